using System.Text;

namespace Guestmark.Wire.Protobuf;

/// <summary>
/// Writes protobuf messages into one buffer that grows and is kept for the next message. Generated classes would bring their runtime
/// into the agent: 1.5 MB of a limit of 6 MB.
/// </summary>
/// <remarks>
/// A nested message is written in place. Its length is not known before its end, so <see cref="Begin"/> leaves one byte for it and
/// <see cref="End"/> moves the message when the length needs more: each byte is moved at most once for each level above it, and only
/// where a message is longer than 127 bytes.
/// Fields with proto3's default (0, empty) are left out unless the caller asks: a <c>repeated</c> or <c>optional</c> field needs them.
/// </remarks>
public sealed class ProtoWriter(int capacity = 256)
{
    const int VarintBytesMax = 10;

    byte[] _buffer = new byte[Math.Max(capacity, VarintBytesMax)];
    int _length;

    /// <summary>What has been written. Valid until the next call.</summary>
    public ReadOnlyMemory<byte> Written => _buffer.AsMemory(0, _length);

    /// <summary>Bytes written so far.</summary>
    public int Length => _length;

    /// <summary>Begins a new message in the same buffer.</summary>
    public void Reset() => _length = 0;

    /// <summary>A field of an integer type, an enum or a bool. A negative int32 or int64 is written as its 64 bits.</summary>
    public void Varint(int field, ulong value, bool evenIfDefault = false)
    {
        if (value == 0 && !evenIfDefault) return;
        Reserve(2 * VarintBytesMax);
        AppendTag(field, WireType.Varint);
        AppendVarint(value);
    }

    /// <summary>A string field. Half a surrogate pair becomes U+FFFD, so that the text is always UTF-8.</summary>
    public void Text(int field, ReadOnlySpan<char> value, bool evenIfDefault = false)
    {
        if (value.IsEmpty && !evenIfDefault) return;
        var bytes = Encoding.UTF8.GetByteCount(value);
        Reserve((2 * VarintBytesMax) + bytes);
        AppendTag(field, WireType.LengthDelimited);
        AppendVarint((ulong)bytes);
        _length += Encoding.UTF8.GetBytes(value, _buffer.AsSpan(_length));
    }

    /// <summary>A bytes field, or a nested message that is already encoded.</summary>
    public void Bytes(int field, ReadOnlySpan<byte> value, bool evenIfDefault = false)
    {
        if (value.IsEmpty && !evenIfDefault) return;
        Reserve((2 * VarintBytesMax) + value.Length);
        AppendTag(field, WireType.LengthDelimited);
        AppendVarint((ulong)value.Length);
        value.CopyTo(_buffer.AsSpan(_length));
        _length += value.Length;
    }

    /// <summary>An entry of a <c>map&lt;string, string&gt;</c>.</summary>
    public void Entry(int field, ReadOnlySpan<char> key, ReadOnlySpan<char> value)
    {
        var entry = Begin(field);
        Text(1, key);
        Text(2, value);
        End(entry);
    }

    /// <summary>Begins a nested message, which is written even when it stays empty.</summary>
    /// <returns>A mark for <see cref="End"/>. Messages end in the reverse order of their beginnings.</returns>
    public int Begin(int field)
    {
        Reserve(VarintBytesMax + 1);
        AppendTag(field, WireType.LengthDelimited);
        return _length++;
    }

    /// <summary>Ends the nested message that <see cref="Begin"/> gave the mark for.</summary>
    public void End(int mark)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(mark, _length);
        var start = mark + 1;
        var length = _length - start;
        var shift = VarintBytes((uint)length) - 1;
        if (shift > 0)
        {
            Reserve(shift);
            _buffer.AsSpan(start, length).CopyTo(_buffer.AsSpan(start + shift));
        }

        _length = mark;
        AppendVarint((ulong)length);
        _length += length;
    }

    static int VarintBytes(uint value) => value switch
    {
        < 1u << 7 => 1,
        < 1u << 14 => 2,
        < 1u << 21 => 3,
        < 1u << 28 => 4,
        _ => 5,
    };

    void AppendTag(int field, WireType type) => AppendVarint(((ulong)(uint)field << 3) | (byte)type);

    void AppendVarint(ulong value)
    {
        while (value >= 0x80)
        {
            _buffer[_length++] = (byte)(value | 0x80);
            value >>= 7;
        }

        _buffer[_length++] = (byte)value;
    }

    void Reserve(int bytes)
    {
        if (_buffer.Length - _length >= bytes) return;
        Array.Resize(ref _buffer, (int)Math.Min(Math.Max((long)_length + bytes, 2L * _buffer.Length), Array.MaxLength));
    }
}
