using System.Buffers.Binary;
using System.Text;

namespace Guestmark.Inventory.Tests.Rpm;

/// <summary>Writes header blobs as rpm keeps them: entries of a region, its trailer, then entries that were added at installation.</summary>
sealed class HeaderBuilder
{
    const uint Int32 = 4;
    const uint Int64 = 5;
    const uint Text = 6;
    const uint Binary = 7;
    const uint TextArray = 8;
    const uint I18NText = 9;

    readonly List<(uint Tag, uint Type, uint Offset, uint Count)> _entries = [];
    readonly MemoryStream _data = new();

    public static byte[] Package(string name, string version = "1", string release = "1", int padding = 0)
    {
        var header = new HeaderBuilder().AddText(1000, name).AddText(1001, version).AddText(1002, release).AddText(1022, "noarch");
        if (padding > 0) header.AddBinary(1100, new byte[padding]);
        return header.AddText(5096, $"{name}:1:2:3").CloseRegion().Build();
    }

    public HeaderBuilder AddText(uint tag, string text) => Add(tag, Text, 1, 1, [.. Encoding.UTF8.GetBytes(text), 0]);

    public HeaderBuilder AddStrings(uint tag, params string[] texts) =>
        Add(tag, TextArray, (uint)texts.Length, 1, Encoding.UTF8.GetBytes(string.Concat(texts.Select(text => text + "\0"))));

    public HeaderBuilder AddNumbers(uint tag, params uint[] numbers)
    {
        var bytes = new byte[4 * numbers.Length];
        for (var i = 0; i < numbers.Length; i++) BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(4 * i), numbers[i]);
        return Add(tag, Int32, (uint)numbers.Length, 4, bytes);
    }

    public HeaderBuilder AddNumber(uint tag, uint number) => AddNumbers(tag, number);

    public HeaderBuilder AddBinary(uint tag, byte[] bytes) => Add(tag, Binary, (uint)bytes.Length, 1, bytes);

    public HeaderBuilder AddI18N(uint tag, params string[] texts) =>
        Add(tag, I18NText, (uint)texts.Length, 1, Encoding.UTF8.GetBytes(string.Concat(texts.Select(text => text + "\0"))));

    public HeaderBuilder AddLong(uint tag, byte[] number) => Add(tag, Int64, 1, 8, number);

    /// <summary>Data of any type that needs no alignment.</summary>
    public HeaderBuilder AddData(uint tag, uint type, uint count, byte[] bytes) => Add(tag, type, count, 1, bytes);

    /// <summary>An entry without data of its own.</summary>
    public HeaderBuilder AddRaw(uint tag, uint type, uint offset, uint count)
    {
        _entries.Add((tag, type, offset, count));
        return this;
    }

    /// <summary>Puts all entries so far into a region.</summary>
    public HeaderBuilder CloseRegion(uint region = 63)
    {
        var count = _entries.Count + 1;
        var trailer = new byte[16];
        WriteEntry(trailer, region, Binary, (uint)(-16 * count), 16);
        _entries.Insert(0, (region, Binary, (uint)_data.Length, 16));
        _data.Write(trailer);
        return this;
    }

    public byte[] Build()
    {
        var blob = new byte[8 + (16 * _entries.Count) + _data.Length];
        BinaryPrimitives.WriteUInt32BigEndian(blob, (uint)_entries.Count);
        BinaryPrimitives.WriteUInt32BigEndian(blob.AsSpan(4), (uint)_data.Length);
        for (var i = 0; i < _entries.Count; i++)
            WriteEntry(blob.AsSpan(8 + (16 * i)), _entries[i].Tag, _entries[i].Type, _entries[i].Offset, _entries[i].Count);
        _data.ToArray().CopyTo(blob, 8 + (16 * _entries.Count));
        return blob;
    }

    HeaderBuilder Add(uint tag, uint type, uint count, int alignment, byte[] bytes)
    {
        while (_data.Length % alignment != 0) _data.WriteByte(0);
        _entries.Add((tag, type, (uint)_data.Length, count));
        _data.Write(bytes);
        return this;
    }

    static void WriteEntry(Span<byte> target, uint tag, uint type, uint offset, uint count)
    {
        BinaryPrimitives.WriteUInt32BigEndian(target, tag);
        BinaryPrimitives.WriteUInt32BigEndian(target[4..], type);
        BinaryPrimitives.WriteUInt32BigEndian(target[8..], offset);
        BinaryPrimitives.WriteUInt32BigEndian(target[12..], count);
    }
}
