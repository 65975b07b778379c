using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// Numbers byte strings in the order of their first appearance. Looking one up makes no string, so that the ids that a CSAF document repeats for
/// status, remediation, score and threat of each product cost a hash each. Number 0 is the empty string.
/// </summary>
sealed class Utf8Table
{
    // Documents are foreign: without a secret, one could be made whose ids all fall into one bucket.
    static readonly ulong Seed = BinaryPrimitives.ReadUInt64LittleEndian(RandomNumberGenerator.GetBytes(sizeof(ulong)));

    byte[] _bytes = new byte[4096];
    int _length;
    Entry[] _entries = new Entry[256];
    int[] _buckets = new int[512];

    public Utf8Table() => Clear();

    /// <summary>How many there are, the empty one included.</summary>
    public int Count { get; private set; }

    /// <summary>Bytes of memory that it holds on to.</summary>
    public long Capacity => _bytes.Length + ((long)_entries.Length * 32) + (_buckets.Length * sizeof(int));

    public ReadOnlySpan<byte> this[int number] => _bytes.AsSpan(_entries[number].Start, _entries[number].Length);

    public void Clear()
    {
        Array.Clear(_entries, 0, Count);
        Array.Clear(_buckets);
        Count = 0;
        _length = 0;
        Add([]);
    }

    /// <summary>The number of a string; -1 when it is not in the table.</summary>
    /// <param name="guess">What it may be, which is looked at first. Any number.</param>
    public int Find(ReadOnlySpan<byte> key, int guess = -1) =>
        (uint)guess < (uint)Count && key.SequenceEqual(this[guess]) ? guess : FindHashed(key, Hash(key));

    /// <summary>The number of a string, which is added when it is new.</summary>
    /// <param name="guess">As for <see cref="Find(ReadOnlySpan{byte}, int)"/>.</param>
    public int Add(ReadOnlySpan<byte> key, int guess = -1)
    {
        if ((uint)guess < (uint)Count && key.SequenceEqual(this[guess])) return guess;
        var hash = Hash(key);
        var known = FindHashed(key, hash);
        if (known >= 0) return known;

        if (_length + key.Length > _bytes.Length) Array.Resize(ref _bytes, Math.Max(_bytes.Length * 2, _length + key.Length));
        if (Count == _entries.Length) Array.Resize(ref _entries, Count * 2);
        if (Count * 2 > _buckets.Length) Rehash();
        key.CopyTo(_bytes.AsSpan(_length));
        ref var bucket = ref _buckets[hash & (uint)(_buckets.Length - 1)];
        _entries[Count] = new Entry { Start = _length, Length = key.Length, Hash = hash, Next = bucket - 1 };
        _length += key.Length;
        bucket = ++Count;
        return Count - 1;
    }

    /// <summary>The string, made once. Bytes that are no UTF-8 become U+FFFD.</summary>
    public string Text(int number) => _entries[number].Text ??= Encoding.UTF8.GetString(this[number]);

    int FindHashed(ReadOnlySpan<byte> key, uint hash)
    {
        for (var i = _buckets[hash & (uint)(_buckets.Length - 1)] - 1; i >= 0; i = _entries[i].Next)
        {
            ref var entry = ref _entries[i];
            if (entry.Hash == hash && entry.Length == key.Length && key.SequenceEqual(_bytes.AsSpan(entry.Start, entry.Length))) return i;
        }

        return -1;
    }

    void Rehash()
    {
        _buckets = new int[_buckets.Length * 2];
        for (var i = 0; i < Count; i++)
        {
            ref var bucket = ref _buckets[_entries[i].Hash & (uint)(_buckets.Length - 1)];
            _entries[i].Next = bucket - 1;
            bucket = i + 1;
        }
    }

    // Eight bytes at a time, each folded by one multiplication. Ids have 60 bytes on average.
    static uint Hash(ReadOnlySpan<byte> key)
    {
        var hash = Seed ^ (ulong)key.Length;
        while (key.Length >= sizeof(ulong))
        {
            hash = Fold(hash ^ BinaryPrimitives.ReadUInt64LittleEndian(key));
            key = key[sizeof(ulong)..];
        }

        var rest = 0UL;
        foreach (var b in key) rest = (rest << 8) | b;
        hash = Fold(hash ^ rest);
        return (uint)(hash ^ (hash >> 32));
    }

    static ulong Fold(ulong value)
    {
        var high = Math.BigMul(value ^ 0x9e3779b97f4a7c15, 0xa0761d6478bd642f ^ (Seed >> 7), out var low);
        return high ^ low;
    }

    struct Entry
    {
        public int Start;
        public int Length;
        public uint Hash;

        /// <summary>The entry before it in its bucket. -1: none.</summary>
        public int Next;

        public string? Text;
    }
}
