using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// The bytes of a document: the same for the same content, whatever the order in which a feed lists it. Documents are told apart, compared
/// and kept by them while a database is made.
/// </summary>
static class DocumentEncoding
{
    /// <summary>The document with every list in one order and without duplicates.</summary>
    public static Advisory Normalize(Advisory advisory) => advisory with
    {
        Cves = Sorted(advisory.Cves),
        Statements =
        [
            .. advisory.Statements
                .Select(statement => statement with
                {
                    Architectures = Sorted(statement.Architectures),
                    Modules = Sorted(statement.Modules),
                    Intervals = Sorted(statement.Intervals),
                })
                .Select(statement => (statement, Key: Encode(statement)))
                .OrderBy(entry => entry.Key, Bytes)
                .DistinctBy(entry => Convert.ToHexString(entry.Key))
                .Select(entry => entry.statement),
        ],
    };

    /// <param name="advisory">Normalized.</param>
    public static byte[] Encode(Advisory advisory)
    {
        var writer = new Writer();
        writer.Text(advisory.Feed);
        writer.Text(advisory.Id);
        writer.Text(advisory.Part);
        writer.Texts(advisory.Cves);
        writer.Text(advisory.Summary);
        writer.Byte((byte)advisory.Severity);
        writer.Byte(Tenths(advisory.CvssScore));
        writer.Text(advisory.CvssVector);
        writer.Number(advisory.Published?.UtcTicks ?? 0);
        writer.Number(advisory.Modified?.UtcTicks ?? 0);
        writer.Text(advisory.Url);
        writer.Number(advisory.Statements.Count);
        foreach (var statement in advisory.Statements) Write(ref writer, statement);
        return writer.ToArray();
    }

    /// <summary>First eight bytes of the SHA-256 of the encoded document.</summary>
    public static ulong Hash(ReadOnlySpan<byte> encoded)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(encoded, hash);
        return BinaryPrimitives.ReadUInt64LittleEndian(hash);
    }

    public static byte Tenths(double? score) => score is { } known ? (byte)Math.Clamp(Math.Round(known * 10), 0, 100) : byte.MaxValue;

    static byte[] Encode(PackageStatement statement)
    {
        var writer = new Writer();
        Write(ref writer, statement);
        return writer.ToArray();
    }

    static void Write(ref Writer writer, PackageStatement statement)
    {
        writer.Text(statement.Product);
        writer.Text(statement.Name);
        writer.Byte((byte)statement.Naming);
        writer.Byte((byte)statement.Status);
        writer.Number(statement.Intervals.Count);
        foreach (var interval in statement.Intervals)
        {
            writer.Text(interval.Introduced);
            writer.Text(interval.End);
            writer.Byte((byte)interval.Kind);
        }

        writer.Text(statement.Cpe);
        writer.Texts(statement.Architectures);
        writer.Texts(statement.Modules);
        writer.Text(statement.Cve);
        writer.Byte((byte)statement.Severity);
        writer.Byte(Tenths(statement.CvssScore));
        writer.Text(statement.CvssVector);
        writer.Text(statement.Erratum);
        writer.Text(statement.ErratumUrl);
        writer.Text(statement.Remark);
        writer.Text(statement.Justification);
    }

    static IReadOnlyList<string> Sorted(IReadOnlyList<string> texts) =>
        texts.Count < 2 ? texts : [.. texts.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];

    static IReadOnlyList<VersionInterval> Sorted(IReadOnlyList<VersionInterval> intervals) => intervals.Count < 2 ? intervals :
    [
        .. intervals.Distinct()
            .OrderBy(interval => interval.Introduced ?? "", StringComparer.Ordinal)
            .ThenBy(interval => interval.End ?? "", StringComparer.Ordinal)
            .ThenBy(interval => interval.Kind),
    ];

    static readonly Comparer<byte[]> Bytes = Comparer<byte[]>.Create((a, b) => a.AsSpan().SequenceCompareTo(b));

    readonly struct Writer()
    {
        readonly ArrayBufferWriter<byte> _bytes = new(512);

        public void Byte(byte value)
        {
            _bytes.GetSpan(1)[0] = value;
            _bytes.Advance(1);
        }

        public void Number(long value)
        {
            BinaryPrimitives.WriteInt64LittleEndian(_bytes.GetSpan(8), value);
            _bytes.Advance(8);
        }

        public void Text(string? text)
        {
            var length = Encoding.UTF8.GetByteCount(text ?? "");
            BinaryPrimitives.WriteInt32LittleEndian(_bytes.GetSpan(4), length);
            _bytes.Advance(4);
            if (length > 0) Encoding.UTF8.GetBytes(text, _bytes);
        }

        public void Texts(IReadOnlyList<string> texts)
        {
            Number(texts.Count);
            foreach (var text in texts) Text(text);
        }

        public byte[] ToArray() => _bytes.WrittenSpan.ToArray();
    }
}
