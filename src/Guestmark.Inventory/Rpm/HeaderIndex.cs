using System.Buffers.Binary;
using System.Numerics;

namespace Guestmark.Inventory.Rpm;

/// <summary>Where the data of one tag lies.</summary>
/// <param name="Type">3 INT16, 4 INT32, 5 INT64, 6 STRING, 7 BIN, 8 STRING_ARRAY, 9 I18NSTRING …</param>
/// <param name="Offset">From the start of the data.</param>
/// <param name="Count">Elements: numbers, bytes or strings.</param>
/// <param name="End">The data of the tag ends here or before.</param>
readonly record struct HeaderField(RpmTag Tag, uint Type, int Offset, int Count, int End);

/// <summary>Checks the index of an rpm header, and finds the tags that are read. One instance is reused for all headers of a database.</summary>
/// <remarks>
/// All numbers are big-endian:
/// <code>
/// header:  il u32, dl u32, il × entry, dl bytes of data
/// entry:   tag i32, type u32, offset i32, count u32
/// region:  entry 63, 62 or 61 in the first place: type BIN, count 16; its offset leads to a trailer inside the data
/// trailer: an entry of the same tag, type and count, whose offset is -16 × entries of the region, the first included
/// </code>
/// The region covers what the package file contained. Entries behind it ("dribbles") were added at installation and override the
/// same tag of the region. Headers of old packages have no region. Of a tag that a region has twice, which only damage makes, rpm
/// takes the one that its binary search (lib/header.c, findEntry) happens to meet.
///
/// Every entry is checked as rpm checks it (hdrblobVerifyInfo), also those whose data nobody wants: tag, type, alignment, and that
/// the data of one follows the data of the other. Left out is what needs all data to be read: rpm looks for the end of every string
/// and adds up all lengths. Here a string of a tag that nobody wants may run into the next tag.
/// </remarks>
sealed class HeaderIndex
{
    public const int PreambleBytes = 8;
    public const int TrailerBytes = 16;

    // Limits of rpm (lib/header_internal.h): index entries, bytes of data.
    const uint EntriesMax = 0xffff;
    const uint DataBytesMax = 0x0fff_ffff;

    const int EntryBytes = 16;
    const int FirstTag = 100;
    const uint TypeMax = 9;
    const uint TypeString = 6;
    const uint TypeBinary = 7;
    const int RegionSlot = 0;
    const int SlotCount = 39;

    // Slots of tags that were found, in the order of their offsets, and the fields by slot.
    readonly byte[] _order = new byte[SlotCount];
    readonly HeaderField[] _fields = new HeaderField[SlotCount];
    ulong _present;
    int _count;
    uint _entries;
    uint _dataBytes;

    // Size of one element of types 0 to 9, which is its alignment as well. A string has at least its zero; NULL (0) has no data.
    static ReadOnlySpan<byte> ElementBytes => [0, 1, 1, 2, 4, 8, 1, 1, 1, 1];

    /// <summary>Bytes in front of the data.</summary>
    public int DataStart => PreambleBytes + (EntryBytes * (int)_entries);

    /// <summary>Tags that were found.</summary>
    public int Count => _count;

    /// <summary>A tag that was found, in the order of their data.</summary>
    public HeaderField this[int i] => _fields[_order[i]];

    public bool TryFind(RpmTag tag, out HeaderField field)
    {
        var slot = SlotOf((int)tag);
        field = _fields[slot];
        return IsPresent(slot);
    }

    /// <summary>Reads and checks the index.</summary>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    public string? TryRead(ChainedBytes blob)
    {
        _present = 0;
        _count = 0;
        if (blob.Length < PreambleBytes) return $"has {blob.Length} bytes";
        if (blob.Prefix(PreambleBytes, out var preamble) is { } chainError) return chainError;
        _entries = BinaryPrimitives.ReadUInt32BigEndian(preamble);
        _dataBytes = BinaryPrimitives.ReadUInt32BigEndian(preamble[4..]);
        if (_entries is 0 or > EntriesMax) return $"has {_entries} index entries";
        if (_dataBytes > DataBytesMax) return $"has {_dataBytes} bytes of data";
        var bytes = (long)DataStart + _dataBytes;
        if (bytes != blob.Length) return $"says {bytes} bytes and has {blob.Length}";
        return blob.Prefix(DataStart, out var index) ?? ReadEntries(index[PreambleBytes..]);
    }

    /// <summary>Checks the trailer of a region.</summary>
    public bool IsTrailer(RpmTag region, ReadOnlySpan<byte> trailer)
    {
        var offset = -(long)BinaryPrimitives.ReadInt32BigEndian(trailer[8..]);
        return BinaryPrimitives.ReadUInt32BigEndian(trailer) == (uint)region
            && BinaryPrimitives.ReadUInt32BigEndian(trailer[4..]) == TypeBinary
            && BinaryPrimitives.ReadUInt32BigEndian(trailer[12..]) == TrailerBytes
            && offset % EntryBytes == 0 && offset / EntryBytes >= 0 && offset / EntryBytes <= _entries;
    }

    string? ReadEntries(ReadOnlySpan<byte> index)
    {
        var all = index;
        var end = 0L;
        var last = -1;
        var repeated = 0ul;
        for (var i = 0; index.Length > 0; i++, index = index[EntryBytes..])
        {
            var tag = BinaryPrimitives.ReadInt32BigEndian(index);
            var type = BinaryPrimitives.ReadUInt32BigEndian(index[4..]);
            var offset = BinaryPrimitives.ReadUInt32BigEndian(index[8..]);
            var count = BinaryPrimitives.ReadUInt32BigEndian(index[12..]);
            if (i == 0 && tag is >= (int)RpmTag.RegionImage and <= (int)RpmTag.RegionImmutable)
            {
                if (type != TypeBinary || count != TrailerBytes || offset > (long)_dataBytes - TrailerBytes) return "has a bad region";
                // The trailer lies behind the data of the region: it takes its place in the order when all others are known.
                Set(RegionSlot, new HeaderField((RpmTag)tag, type, (int)offset, (int)count, (int)offset + TrailerBytes));
                continue;
            }

            if (tag < FirstTag) return $"has tag {(uint)tag} in index entry {i}";
            if (type > TypeMax) return $"has type {type} for tag {tag}";
            var size = ElementBytes[(int)type];
            var bytes = (ulong)count * size;
            if (bytes == 0 || offset % size != 0 || offset > _dataBytes || bytes > _dataBytes - offset || (type == TypeString && count != 1))
                return $"puts tag {tag} at {offset} × {count} in {_dataBytes} bytes of data";
            if (offset < end) return $"puts tag {tag} at {offset}, inside the data of the tag before it";
            end = offset + (long)bytes;

            // What follows bounds what came before: a string says only with its zero where it ends.
            if (last >= 0) _fields[last] = _fields[last] with { End = (int)offset };
            last = SlotOf(tag);
            if (last < 0) continue;
            var isRepeated = IsPresent(last);
            // What lies behind the trailer is no part of the region, and overrides it.
            if (isRepeated && (!IsPresent(RegionSlot) || offset < _fields[RegionSlot].Offset)) repeated |= 1UL << last;
            else repeated &= ~(1UL << last);
            Set(last, new HeaderField((RpmTag)tag, type, (int)offset, (int)count, (int)_dataBytes));
        }

        for (; repeated != 0; repeated &= repeated - 1)
        {
            var slot = BitOperations.TrailingZeroCount(repeated);
            _fields[slot] = MetBySearch(all, _fields[slot].Tag);
        }

        for (var slots = _present; slots != 0; slots &= slots - 1) Insert((byte)ulong.TrailingZeroCount(slots));
        return null;
    }

    /// <summary>Of several entries of a tag the one that a binary search over all entries, sorted by tag, meets first.</summary>
    HeaderField MetBySearch(ReadOnlySpan<byte> index, RpmTag tag)
    {
        var (before, same) = (0, 0);
        for (var rest = index; rest.Length > 0; rest = rest[EntryBytes..])
        {
            var other = BinaryPrimitives.ReadInt32BigEndian(rest);
            if (other < (int)tag) before++;
            else if (other == (int)tag) same++;
        }

        var (low, high) = (0, (int)_entries);
        var middle = high / 2;
        while (middle < before || middle >= before + same)
        {
            if (middle < before) low = middle + 1;
            else high = middle;
            middle = (low + high) / 2;
        }

        for (var passed = before - 1; ; index = index[EntryBytes..])
        {
            if (BinaryPrimitives.ReadInt32BigEndian(index) != (int)tag || ++passed != middle) continue;
            var type = BinaryPrimitives.ReadUInt32BigEndian(index[4..]);
            var offset = BinaryPrimitives.ReadInt32BigEndian(index[8..]);
            var count = BinaryPrimitives.ReadInt32BigEndian(index[12..]);
            var next = index[EntryBytes..];
            return new HeaderField(tag, type, offset, count, next.Length > 0 ? BinaryPrimitives.ReadInt32BigEndian(next[8..]) : (int)_dataBytes);
        }
    }

    bool IsPresent(int slot) => (_present & (1UL << slot)) != 0;

    void Set(int slot, HeaderField field)
    {
        _fields[slot] = field;
        _present |= 1UL << slot;
    }

    /// <summary>Sorts by insertion: a region is written in the order of its tags, and so are the slots.</summary>
    void Insert(byte slot)
    {
        var at = _count++;
        for (; at > 0 && _fields[_order[at - 1]].Offset > _fields[slot].Offset; at--) _order[at] = _order[at - 1];
        _order[at] = slot;
    }

    static int SlotOf(int tag) => (RpmTag)tag switch
    {
        RpmTag.Name => 1,
        RpmTag.Version => 2,
        RpmTag.Release => 3,
        RpmTag.Epoch => 4,
        RpmTag.Summary => 5,
        RpmTag.BuildTime => 6,
        RpmTag.Size => 7,
        RpmTag.Vendor => 8,
        RpmTag.License => 9,
        RpmTag.Group => 10,
        RpmTag.Architecture => 11,
        RpmTag.OldFileNames => 12,
        RpmTag.FileDigests => 13,
        RpmTag.FileFlags => 14,
        RpmTag.SourceRpm => 15,
        RpmTag.ProvideName => 16,
        RpmTag.RequireName => 17,
        RpmTag.ProvideVersion => 18,
        RpmTag.DirIndexes => 19,
        RpmTag.BaseNames => 20,
        RpmTag.DirNames => 21,
        RpmTag.LongSize => 22,
        RpmTag.FileDigestAlgorithm => 23,
        RpmTag.PayloadDigest => 24,
        RpmTag.PayloadDigestAlgorithm => 25,
        RpmTag.ModularityLabel => 26,
        RpmTag.UpstreamReleases => 27,
        RpmTag.SourceNevr => 28,
        // Signatures and what installation adds lie behind the region.
        RpmTag.SigPgp => 29,
        RpmTag.SigMd5 => 30,
        RpmTag.SigGpg => 31,
        RpmTag.DsaHeader => 32,
        RpmTag.RsaHeader => 33,
        RpmTag.Sha1Header => 34,
        RpmTag.Sha256Header => 35,
        RpmTag.OpenPgp => 36,
        RpmTag.InstallTime => 37,
        RpmTag.InstallTransaction => 38,
        _ => -1,
    };
}
