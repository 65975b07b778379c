using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace Guestmark.Vulnerabilities;

/// <summary>Every text of a database that is being made, once, as UTF-8. Texts are known by numbers in the order in which they came; 0 is the empty one.</summary>
sealed class TextTable : IDisposable
{
    const int ChunkBits = 20;
    const int ChunkBytes = 1 << ChunkBits;
    const int RecentBits = 13;
    const int RecentCharsMax = 128;

    // In chunks of the pool, so that growing neither copies nor leaves garbage.
    readonly List<byte[]> _chunks = [ArrayPool<byte>.Shared.Rent(64 * 1024)];
    byte[] _scratch = new byte[1024];
    int _chunkUsed;
    // Chunk and place in it. Texts never straddle chunks.
    uint[] _starts = new uint[1024];
    int[] _lengths = new int[1024];
    ulong[] _hashes = new ulong[1024];
    // Open addressing: number plus one, 0 is free. At most two thirds are taken.
    int[] _table = new int[2048];
    // Direct-mapped: names and versions come again and again, mostly as the same string object, and need not be encoded and hashed each time.
    readonly (string Text, int Number)[] _recent = new (string, int)[1 << RecentBits];

    public TextTable()
    {
        _hashes[0] = ContentHash.Of([]);
        Count = 1;
    }

    /// <summary>The most bytes of a text. No vendor's comes near; what is longer is refused by whoever asked.</summary>
    public static int BytesMax => ChunkBytes;

    public int Count { get; private set; }

    /// <returns>The text's number; -1 when it is longer than <see cref="BytesMax"/>.</returns>
    public int Intern(string? text)
    {
        if (string.IsNullOrEmpty(text)) return 0;
        if (text.Length > BytesMax) return -1;
        if (text.Length > RecentCharsMax) return Encoded(text);
        ref var recent = ref _recent[RecentSlot(text)];
        if (!ReferenceEquals(text, recent.Text) && !string.Equals(text, recent.Text, StringComparison.Ordinal)) recent = (text, Encoded(text));
        return recent.Number;
    }

    /// <inheritdoc cref="Intern(string?)"/>
    public int Intern(ReadOnlySpan<byte> text)
    {
        if (text.IsEmpty) return 0;
        if (text.Length > BytesMax) return -1;
        var hash = ContentHash.Of(text);
        var mask = _table.Length - 1;
        var place = (int)hash & mask;
        for (; _table[place] != 0; place = (place + 1) & mask)
        {
            var known = _table[place] - 1;
            if (_hashes[known] == hash && this[known].SequenceEqual(text)) return known;
        }

        var number = Append(text, hash);
        _table[place] = number + 1;
        if (Count * 3L > _table.Length * 2L) Grow();
        return number;
    }

    public ReadOnlySpan<byte> this[int number]
    {
        get
        {
            var start = _starts[number];
            return _chunks[(int)(start >> ChunkBits)].AsSpan((int)(start & (ChunkBytes - 1)), _lengths[number]);
        }
    }

    public ulong HashOf(int number) => _hashes[number];

    public int Compare(int a, int b) => a == b ? 0 : this[a].SequenceCompareTo(this[b]);

    /// <summary>All numbers, in the order of their texts' bytes.</summary>
    public int[] InOrder()
    {
        var order = new int[Count];
        for (var i = 0; i < order.Length; i++) order[i] = i;
        Sort(order, new ulong[Count], 0, 0);
        return order;
    }

    /// <summary>Gives its memory back: it has no texts any more.</summary>
    public void Dispose()
    {
        foreach (var chunk in _chunks) ArrayPool<byte>.Shared.Return(chunk);
        _chunks.Clear();
    }

    int Encoded(string text)
    {
        var most = text.Length * 3;
        if (most > _scratch.Length) _scratch = new byte[most];
        return Intern(_scratch.AsSpan(0, Encoding.UTF8.GetBytes(text, _scratch)));
    }

    // Of the length and of the first, middle and last four characters.
    static int RecentSlot(string text)
    {
        var hash = (ulong)text.Length;
        var bytes = MemoryMarshal.AsBytes(text.AsSpan());
        if (bytes.Length >= sizeof(ulong))
        {
            hash = (hash ^ MemoryMarshal.Read<ulong>(bytes)) * 0x9E3779B97F4A7C15;
            hash = (hash ^ (hash >> 29) ^ MemoryMarshal.Read<ulong>(bytes[^sizeof(ulong)..])) * 0xBF58476D1CE4E5B9;
            hash = (hash ^ (hash >> 32) ^ MemoryMarshal.Read<ulong>(bytes[((bytes.Length - sizeof(ulong)) / 2)..])) * 0x94D049BB133111EB;
        }
        else
        {
            foreach (var c in text) hash = (hash ^ c) * 0x9E3779B97F4A7C15;
        }

        return (int)(hash >> (64 - RecentBits));
    }

    /// <summary>Sorts texts that are equal up to <paramref name="depth"/>: by their next eight bytes as a number, and those that are still equal by the next.</summary>
    void Sort(Span<int> order, Span<ulong> keys, int depth, int recursions)
    {
        for (var i = 0; i < order.Length; i++) keys[i] = KeyAt(order[i], depth);
        keys.Sort(order);
        for (int start = 0, end; start < order.Length; start = end)
        {
            var hasEnd = false;
            for (end = start; end < order.Length && keys[end] == keys[start]; end++) hasEnd |= _lengths[order[end]] <= depth + sizeof(ulong);
            if (end - start < 2) continue;
            // Behind its end a text counts as zeros, which another may have. Texts that are alike for long are the same vendor's URLs or made by
            // someone who wants us to recurse.
            if (hasEnd || end - start < 8 || recursions == 16) order[start..end].Sort(Compare);
            else Sort(order[start..end], keys[start..end], depth + sizeof(ulong), recursions + 1);
        }
    }

    ulong KeyAt(int number, int depth)
    {
        var text = this[number];
        if (text.Length >= depth + sizeof(ulong)) return BinaryPrimitives.ReadUInt64BigEndian(text[depth..]);
        var key = 0UL;
        for (var i = depth; i < text.Length; i++) key |= (ulong)text[i] << (56 - (8 * (i - depth)));
        return key;
    }

    int Append(ReadOnlySpan<byte> text, ulong hash)
    {
        var chunk = _chunks[^1];
        if (text.Length > chunk.Length - _chunkUsed)
        {
            if (_chunks.Count == 1 << (32 - ChunkBits)) throw new AdvisoryDatabaseException("the feeds have more than 4 GB of text: import fewer of them");
            chunk = ArrayPool<byte>.Shared.Rent(ChunkBytes);
            _chunks.Add(chunk);
            _chunkUsed = 0;
        }

        text.CopyTo(chunk.AsSpan(_chunkUsed));
        if (Count == _starts.Length)
        {
            Array.Resize(ref _starts, Count * 2);
            Array.Resize(ref _lengths, Count * 2);
            Array.Resize(ref _hashes, Count * 2);
        }

        _starts[Count] = ((uint)(_chunks.Count - 1) << ChunkBits) | (uint)_chunkUsed;
        _lengths[Count] = text.Length;
        _hashes[Count] = hash;
        _chunkUsed += text.Length;
        return Count++;
    }

    void Grow()
    {
        var table = new int[_table.Length * 2];
        for (var number = 1; number < Count; number++)
        {
            var place = (int)_hashes[number] & (table.Length - 1);
            while (table[place] != 0) place = (place + 1) & (table.Length - 1);
            table[place] = number + 1;
        }

        _table = table;
    }
}
