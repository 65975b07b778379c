using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Guestmark.Vulnerabilities;

/// <summary>The database file.</summary>
/// <remarks>
/// <code>
/// file    = magic[8] version:u32 length:u64 sha256[32] body[length]       all fixed numbers little-endian; sha256 is of the body
/// body    = revision[32] sources content                                  revision is the sha256 of content
/// sources = n { name:text path:text advisories:v newest:time }
/// content = strings cves streams advisories packages
/// strings = n { text }                                                    string 0 is empty; all "s" below are indexes into it
/// cves    = n { s }                                                       CVEs of all advisories, one after another
/// streams = n { s }                                                       module streams, likewise
/// advisories = n { feed:s id:s summary:s severity:u8 score:u8 vector:s url:s published:time modified:time cves:v streams:v }
/// packages   = n { ecosystem:s name:s m { advisory:v modular:u8 k { introduced:s end:s kind:u8 } } }   sorted by ecosystem, name
/// v, n, m, k, s = unsigned LEB128; text = v bytes of UTF-8; time = i64 UTC ticks, 0: none; score = tenths, 255: none
/// </code>
/// </remarks>
static class AdvisoryDatabaseFormat
{
    public const uint Version = 1;
    public const int HeaderBytes = 8 + 4 + 8 + HashBytes;
    public const int HashBytes = SHA256.HashSizeInBytes;

    /// <summary>Refuses to load more. All of AlmaLinux takes 1.4 MB.</summary>
    public const int BodyBytesMax = 1 << 30;

    public static ReadOnlySpan<byte> Magic => "GMADVDB\n"u8;

    public static byte[] Seal(byte[] body)
    {
        var file = new byte[HeaderBytes + body.Length];
        Magic.CopyTo(file);
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(8), Version);
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(12), (ulong)body.Length);
        SHA256.HashData(body, file.AsSpan(20, HashBytes));
        body.CopyTo(file, HeaderBytes);
        return file;
    }

    /// <returns>The body.</returns>
    /// <exception cref="AdvisoryDatabaseException">Says what is wrong, without the file's name.</exception>
    public static ReadOnlyMemory<byte> Unseal(ReadOnlyMemory<byte> file)
    {
        var span = file.Span;
        if (span.Length < HeaderBytes || !span.StartsWith(Magic)) throw new AdvisoryDatabaseException("not an advisory database");
        var version = BinaryPrimitives.ReadUInt32LittleEndian(span[8..]);
        if (version != Version)
            throw new AdvisoryDatabaseException($"has format version {version}, this program reads version {Version}: import the feeds again");
        var length = BinaryPrimitives.ReadUInt64LittleEndian(span[12..]);
        var body = file[HeaderBytes..];
        if (length != (ulong)body.Length)
            throw new AdvisoryDatabaseException($"is cut or has grown: {body.Length} bytes after the header, which says {length}: import the feeds again");
        Span<byte> hash = stackalloc byte[HashBytes];
        SHA256.HashData(body.Span, hash);
        return hash.SequenceEqual(span.Slice(20, HashBytes))
            ? body
            : throw new AdvisoryDatabaseException("is damaged, its checksum does not fit: import the feeds again");
    }

    /// <param name="sources">In the order in which they are listed.</param>
    /// <param name="advisories">Sorted, each with packages of one ecosystem.</param>
    public static byte[] Encode(IReadOnlyList<AdvisorySource> sources, IReadOnlyList<Advisory> advisories)
    {
        var content = EncodeContent(advisories);
        var body = new MemoryStream();
        body.Write(SHA256.HashData(content));
        using (var writer = new BinaryWriter(body, Encoding.UTF8, leaveOpen: true))
        {
            writer.Write7BitEncodedInt(sources.Count);
            foreach (var source in sources)
            {
                WriteText(writer, source.Name);
                WriteText(writer, source.Path);
                writer.Write7BitEncodedInt(source.Advisories);
                WriteTime(writer, source.NewestModified);
            }
        }

        body.Write(content);
        return body.ToArray();
    }

    static byte[] EncodeContent(IReadOnlyList<Advisory> advisories)
    {
        var strings = new List<string> { "" };
        var indexes = new Dictionary<string, int>(StringComparer.Ordinal) { [""] = 0 };
        var cves = new List<int>();
        var streams = new List<int>();
        var packages = new SortedDictionary<(string Ecosystem, string Name), List<(int Advisory, bool Modular, List<VersionInterval> Intervals)>>(
            Comparer<(string Ecosystem, string Name)>.Create((a, b) =>
                string.CompareOrdinal(a.Ecosystem, b.Ecosystem) is not 0 and var order ? order : string.CompareOrdinal(a.Name, b.Name)));

        using var records = new Section();
        for (var i = 0; i < advisories.Count; i++)
        {
            var advisory = advisories[i];
            var advisoryCves = advisory.Cves.Distinct().Order(StringComparer.Ordinal).ToList();
            var advisoryStreams = advisory.ModuleStreams.Distinct().Order(StringComparer.Ordinal).ToList();
            records.Writer.Write7BitEncodedInt(Index(advisory.Feed));
            records.Writer.Write7BitEncodedInt(Index(advisory.Id));
            records.Writer.Write7BitEncodedInt(Index(advisory.Summary));
            records.Writer.Write((byte)advisory.Severity);
            records.Writer.Write(advisory.CvssScore is { } score ? (byte)Math.Round(score * 10) : byte.MaxValue);
            records.Writer.Write7BitEncodedInt(Index(advisory.CvssVector ?? ""));
            records.Writer.Write7BitEncodedInt(Index(advisory.Url ?? ""));
            WriteTime(records.Writer, advisory.Published);
            WriteTime(records.Writer, advisory.Modified);
            records.Writer.Write7BitEncodedInt(advisoryCves.Count);
            records.Writer.Write7BitEncodedInt(advisoryStreams.Count);
            cves.AddRange(advisoryCves.Select(Index));
            streams.AddRange(advisoryStreams.Select(Index));

            foreach (var package in advisory.Affected)
            {
                var key = (package.Ecosystem, package.Name);
                if (!packages.TryGetValue(key, out var candidates)) packages[key] = candidates = [];
                // A modular package never meets a fix that is not modular, nor the other way round: two candidates.
                foreach (var part in package.Intervals.GroupBy(IsModular).OrderBy(part => part.Key))
                {
                    var intervals = part.Distinct()
                        .OrderBy(interval => interval.Introduced ?? "", StringComparer.Ordinal)
                        .ThenBy(interval => interval.End ?? "", StringComparer.Ordinal)
                        .ThenBy(interval => interval.Kind)
                        .ToList();
                    candidates.Add((i, part.Key, intervals));
                }
            }
        }

        using var table = new Section();
        table.Writer.Write7BitEncodedInt(packages.Count);
        foreach (var (key, candidates) in packages)
        {
            table.Writer.Write7BitEncodedInt(Index(key.Ecosystem));
            table.Writer.Write7BitEncodedInt(Index(key.Name));
            table.Writer.Write7BitEncodedInt(candidates.Count);
            foreach (var (advisory, modular, intervals) in candidates)
            {
                table.Writer.Write7BitEncodedInt(advisory);
                table.Writer.Write(modular);
                table.Writer.Write7BitEncodedInt(intervals.Count);
                foreach (var interval in intervals)
                {
                    table.Writer.Write7BitEncodedInt(Index(interval.Introduced ?? ""));
                    table.Writer.Write7BitEncodedInt(Index(interval.End ?? ""));
                    table.Writer.Write((byte)interval.Kind);
                }
            }
        }

        using var content = new Section();
        content.Writer.Write7BitEncodedInt(strings.Count);
        foreach (var text in strings) WriteText(content.Writer, text);
        foreach (var list in (ReadOnlySpan<List<int>>)[cves, streams])
        {
            content.Writer.Write7BitEncodedInt(list.Count);
            foreach (var index in list) content.Writer.Write7BitEncodedInt(index);
        }

        content.Writer.Write7BitEncodedInt(advisories.Count);
        content.Writer.Write(records.ToArray());
        content.Writer.Write(table.ToArray());
        return content.ToArray();

        int Index(string text)
        {
            if (indexes.TryGetValue(text, out var index)) return index;
            strings.Add(text);
            return indexes[text] = strings.Count - 1;
        }

        static bool IsModular(VersionInterval interval) => ModularBuild.Is(interval.End) || ModularBuild.Is(interval.Introduced);
    }

    static void WriteText(BinaryWriter writer, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        writer.Write7BitEncodedInt(bytes.Length);
        writer.Write(bytes);
    }

    static void WriteTime(BinaryWriter writer, DateTimeOffset? time) => writer.Write(time?.UtcTicks ?? 0);

    sealed class Section : IDisposable
    {
        readonly MemoryStream _bytes = new();

        public Section() => Writer = new BinaryWriter(_bytes);

        public BinaryWriter Writer { get; }

        public byte[] ToArray()
        {
            Writer.Flush();
            return _bytes.ToArray();
        }

        public void Dispose() => Writer.Dispose();
    }
}

/// <summary>Reads the numbers of the format. Every read is checked: a file with a good checksum may still be made by someone else.</summary>
ref struct AdvisoryDatabaseReader(ReadOnlySpan<byte> bytes)
{
    ReadOnlySpan<byte> _rest = bytes;

    public readonly bool AtEnd => _rest.IsEmpty;

    public ReadOnlySpan<byte> Bytes(int count)
    {
        if ((uint)count > (uint)_rest.Length) throw new AdvisoryDatabaseException("is malformed: it ends early");
        var taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }

    public byte Byte() => Bytes(1)[0];

    public int Number()
    {
        var value = 0u;
        for (var shift = 0; shift < 35; shift += 7)
        {
            var part = Byte();
            value |= (uint)(part & 0x7f) << shift;
            if (part < 0x80) return value <= int.MaxValue ? (int)value : throw Malformed("a number");
        }

        throw Malformed("a number");
    }

    /// <summary>A number of elements that follow, each of at least one byte: that many can be allocated.</summary>
    public int Count()
    {
        var count = Number();
        return count <= _rest.Length ? count : throw Malformed("a count");
    }

    public int IndexBelow(int limit)
    {
        var index = Number();
        return index < limit ? index : throw Malformed("an index");
    }

    public DateTimeOffset? Time()
    {
        var ticks = BinaryPrimitives.ReadInt64LittleEndian(Bytes(8));
        if (ticks < 0 || ticks > DateTimeOffset.MaxValue.UtcTicks) throw Malformed("a time");
        return ticks == 0 ? null : new DateTimeOffset(ticks, TimeSpan.Zero);
    }

    public string Text() => Encoding.UTF8.GetString(Bytes(Number()));

    public static AdvisoryDatabaseException Malformed(string what) => new($"is malformed: {what} is out of range");
}
