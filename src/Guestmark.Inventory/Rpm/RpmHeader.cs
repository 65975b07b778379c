using System.Buffers.Binary;

namespace Guestmark.Inventory.Rpm;

/// <summary>What an rpm header says of one installed package, or of a key: rpm keeps imported keys as headers named <c>gpg-pubkey</c>.</summary>
/// <param name="Number">rpm's number of the header in its database (<c>DBINSTANCE</c>).</param>
/// <param name="Architecture">Null in keys.</param>
readonly record struct RpmHeader(
    uint Number, string Name, uint? Epoch, string Version, string Release, string? Architecture, string? SourceRpm, string? ModularityLabel)
{
    /// <summary>Longest text that is taken. The longest in the real databases of the tests has 90 bytes.</summary>
    public const int TextBytesMax = 1024;

    // Limits of rpm (lib/header_internal.h): index entries, bytes of data.
    const uint EntriesMax = 0xffff;
    const uint DataBytesMax = 0x0fff_ffff;

    const int PreambleBytes = 8;
    const int EntryBytes = 16;

    const uint RegionImage = 61;
    const uint RegionImmutable = 63;
    const int RegionTrailerBytes = 16;
    const uint FirstTag = 100;

    const uint TypeMax = 9;
    const uint TypeInt32 = 4;
    const uint TypeString = 6;
    const uint TypeBinary = 7;

    // Alignment of the data of types 0 to 9, which for the numbers is their size as well.
    static ReadOnlySpan<byte> Alignment => [1, 1, 1, 2, 4, 8, 1, 1, 1, 1];

    /// <summary>Decodes a header as it is kept in a database.</summary>
    /// <remarks>
    /// All numbers are big-endian:
    /// <code>
    /// il u32, dl u32, il × { tag u32, type u32, offset u32, count u32 }, dl bytes of data
    /// </code>
    /// The first entry is usually a region (tags 61 to 63), which covers what the package file contained and has a trailer inside the
    /// data. Entries behind it ("dribbles") were added at installation and override the same tag of the region. A region is sorted by
    /// tag and names each once, so "the last entry of a tag counts" is the same rule without the number of entries in the trailer:
    /// the trailer, which lies at the end of the region, is therefore not read, and with it most pages of most headers.
    /// Every entry is checked as rpm does (hdrblobVerifyInfo), also those whose data nobody wants.
    /// </remarks>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    public static string? TryRead(ChainedBytes blob, uint number, TextPool pool, out RpmHeader header)
    {
        header = default;
        if (blob.Length < PreambleBytes) return $"has {blob.Length} bytes";
        if (blob.Prefix(PreambleBytes, out var preamble) is { } chainError) return chainError;
        var entries = BinaryPrimitives.ReadUInt32BigEndian(preamble);
        var dataBytes = BinaryPrimitives.ReadUInt32BigEndian(preamble[4..]);
        if (entries is 0 or > EntriesMax) return $"has {entries} index entries";
        if (dataBytes > DataBytesMax) return $"has {dataBytes} bytes of data";
        var dataStart = PreambleBytes + (EntryBytes * (long)entries);
        if (dataStart + dataBytes != blob.Length) return $"says {dataStart + dataBytes} bytes and has {blob.Length}";

        if (blob.Prefix((int)dataStart, out var index) is { } indexError) return indexError;
        if (ReadIndex(index[PreambleBytes..], dataBytes, out var fields) is { } entryError) return entryError;

        var reader = new DataReader(blob, (int)dataStart, (int)dataBytes, pool);
        var name = reader.Text(fields.Name, "NAME");
        var version = reader.Text(fields.Version, "VERSION");
        var release = reader.Text(fields.Release, "RELEASE");
        var epoch = reader.Number(fields.Epoch, "EPOCH");
        var architecture = reader.Text(fields.Architecture, "ARCH");
        var sourceRpm = reader.Text(fields.SourceRpm, "SOURCERPM");
        var modularityLabel = reader.Text(fields.ModularityLabel, "MODULARITYLABEL");
        if (reader.Error is not null) return reader.Error;
        if (string.IsNullOrEmpty(name)) return "has no NAME";
        if (version is null) return $"({GuestText.Quote(name)}) has no VERSION";
        if (release is null) return $"({GuestText.Quote(name)}) has no RELEASE";
        header = new RpmHeader(number, name, epoch, version, release, architecture, sourceRpm, modularityLabel);
        return null;
    }

    static string? ReadIndex(ReadOnlySpan<byte> index, uint dataBytes, out Fields fields)
    {
        fields = default;
        for (var i = 0; index.Length > 0; i++, index = index[EntryBytes..])
        {
            var tag = BinaryPrimitives.ReadUInt32BigEndian(index);
            var type = BinaryPrimitives.ReadUInt32BigEndian(index[4..]);
            var offset = BinaryPrimitives.ReadUInt32BigEndian(index[8..]);
            var count = BinaryPrimitives.ReadUInt32BigEndian(index[12..]);
            if (i == 0 && tag is >= RegionImage and <= RegionImmutable)
            {
                if (type != TypeBinary || count != RegionTrailerBytes || offset > (long)dataBytes - RegionTrailerBytes) return "has a bad region";
                continue;
            }

            if (tag < FirstTag) return $"has tag {tag} in index entry {i}";
            if (type > TypeMax) return $"has type {type} for tag {tag}";
            var size = Alignment[(int)type];
            if (offset > dataBytes || count > dataBytes || offset % size != 0 || offset + ((ulong)count * size) > dataBytes)
                return $"puts tag {tag} at {offset} × {count} in {dataBytes} bytes of data";

            var field = new Field(type, offset, count);
            switch (tag)
            {
                case 1000: fields.Name = field; break;
                case 1001: fields.Version = field; break;
                case 1002: fields.Release = field; break;
                case 1003: fields.Epoch = field; break;
                case 1022: fields.Architecture = field; break;
                case 1044: fields.SourceRpm = field; break;
                case 5096: fields.ModularityLabel = field; break;
            }
        }

        return null;
    }

    readonly record struct Field(uint Type, uint Offset, uint Count);

    struct Fields
    {
        public Field? Name;
        public Field? Version;
        public Field? Release;
        public Field? Epoch;
        public Field? Architecture;
        public Field? SourceRpm;
        public Field? ModularityLabel;
    }

    /// <summary>Reads fields until one is wrong, and keeps what was wrong with the first.</summary>
    ref struct DataReader(ChainedBytes blob, int dataStart, int dataBytes, TextPool pool)
    {
        public string? Error { get; private set; }

        public string? Text(Field? field, string tag)
        {
            if (field is not { } found || Error is not null) return null;
            if (found.Type != TypeString || found.Count != 1)
            {
                Error = $"has a {tag} that is not one string";
                return null;
            }

            var data = From(found, TextBytesMax + 1);
            if (Error is not null) return null;
            var length = data.IndexOf((byte)0);
            if (length < 0)
            {
                Error = data.Length > TextBytesMax ? $"has a {tag} of more than {TextBytesMax} bytes" : $"has a {tag} without an end";
                return null;
            }

            return pool.Text(data[..length]);
        }

        public uint? Number(Field? field, string tag)
        {
            if (field is not { } found || Error is not null) return null;
            if (found.Type != TypeInt32 || found.Count != 1)
            {
                Error = $"has an {tag} that is not one number";
                return null;
            }

            var data = From(found, sizeof(uint));
            return Error is null ? BinaryPrimitives.ReadUInt32BigEndian(data) : null;
        }

        ReadOnlySpan<byte> From(Field field, int count)
        {
            var start = (int)field.Offset;
            var end = dataStart + Math.Min(start + count, dataBytes);
            Error = blob.Prefix(end, out var prefix);
            return Error is null ? prefix[(dataStart + start)..] : default;
        }
    }
}
