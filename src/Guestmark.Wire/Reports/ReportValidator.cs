using System.Text;
using System.Text.Unicode;

namespace Guestmark.Wire.Reports;

/// <summary>What the host needs to know of a report before it stores it: that it is one, and what it claims.</summary>
/// <param name="ClaimedCid">The guest's idea of its context id; null when it gives none. Compared with the channel, never believed.</param>
/// <param name="PackageCount">Packages in the report.</param>
/// <param name="RepositoryCount">Repositories in the report: one for each CPE of each.</param>
/// <param name="IsReactive">It says that it was sent because something changed (trigger REACTIVE), not because it was time.</param>
/// <param name="ClaimedUid">The guest's idea of its uid in Kubernetes (<c>vm_id</c>); null when it gives none. As <paramref name="ClaimedCid"/>.</param>
public readonly record struct ReportSummary(string? ClaimedCid, int PackageCount, int RepositoryCount, bool IsReactive = false, string? ClaimedUid = null);

/// <summary>
/// Checks the bytes of a <c>virtualmachine.v1.VMReport</c> without building its objects: a hostile body of 16 MiB could
/// otherwise turn into 8 million two-byte packages and gigabytes of memory.
/// </summary>
/// <remarks>
/// A body that passes decodes with any protobuf decoder within fixed bounds: known fields have their wire type, lengths stay
/// inside their message, strings are UTF-8, nesting is at most <see cref="DepthMax"/> and there are at most
/// <see cref="EntriesMax"/> map entries and <see cref="RepositoryReferencesMax"/> references to repositories. Unknown fields are
/// allowed, as protobuf demands.
/// The wire format (https://protobuf.dev/programming-guides/encoding): a message is a row of fields, each
/// <code>tag varint = field number &lt;&lt; 3 | wire type; 0 varint, 1 eight bytes, 2 length varint + bytes, 5 four bytes</code>
/// (3 and 4, groups, are not used by proto3 and refused).
/// </remarks>
public static class ReportValidator
{
    /// <summary>
    /// Packages in one report: the limit of every process that handles one, because a report that the node has stored must not be
    /// refused behind it. The largest desktop seen has 4,500.
    /// </summary>
    public const int PackagesMax = 50_000;

    /// <summary>Entries of all maps and lists together: each package is in two maps and its environment is in a list.</summary>
    public const int EntriesMax = 200_000;

    /// <summary>Repositories in one report. All of Red Hat's mapping of 2025 has 10,590 repositories, and one of them up to 31 CPEs.</summary>
    public const int RepositoriesMax = 20_000;

    /// <summary>Repositories that packages name, together: ten for each of <see cref="PackagesMax"/>.</summary>
    public const int RepositoryReferencesMax = 500_000;

    /// <summary>Facts about the machine. The agent writes four.</summary>
    public const int FactsMax = 64;

    /// <summary>Bytes of a fact's name, and of its value. Sixty names of kernels fit.</summary>
    public const int FactBytesMax = 4096;

    /// <summary>A real report nests 6 deep (report, index, contents, map entry, package, source).</summary>
    public const int DepthMax = 16;

    /// <summary>ReportTrigger.REACTIVE of <c>VMReport.trigger</c>, number 3, as StackRox proposes it; no release sends it, so it may be anything.</summary>
    const ulong TriggerReactive = 2;

    enum Message : byte
    {
        Unknown,
        VmReport,
        FactEntry,
        IndexReport,
        DiscoveredData,
        ScannerIndexReport,
        Contents,
        PackageEntry,
        DistributionEntry,
        RepositoryEntry,
        EnvironmentEntry,
        Package,
        NormalizedVersion,
        Distribution,
        Repository,
        EnvironmentList,
        Environment,
    }

    enum Kind : byte
    {
        Unknown,
        Varint,
        Text,
        Nested,
        PackedVarints,
    }

    /// <summary>Checks <paramref name="body"/>.</summary>
    /// <returns>Null when it is a report; otherwise what is wrong and at which byte, in words that hold no guest text.</returns>
    public static string? Validate(ReadOnlySpan<byte> body, out ReportSummary summary)
    {
        var walker = new Walker(body);
        var error = walker.Walk(Message.VmReport, 0, body.Length, depth: 1);
        summary = error is null ? new ReportSummary(walker.ClaimedCid, walker.Packages, walker.Repositories, walker.Trigger == TriggerReactive, walker.ClaimedUid) : default;
        return error;
    }

    /// <summary>The messages of proto/stackrox: field number to what it holds. Keep in step with those files.</summary>
    static (Kind Kind, Message Nested) FieldOf(Message message, uint number) => (message, number) switch
    {
        (Message.VmReport, 1) => (Kind.Nested, Message.IndexReport),
        (Message.VmReport, 2) => (Kind.Nested, Message.DiscoveredData),
        (Message.VmReport, 1000) => (Kind.Nested, Message.FactEntry),
        (Message.FactEntry, 1 or 2) => (Kind.Text, default),
        (Message.IndexReport, 1 or 3) => (Kind.Text, default),
        (Message.IndexReport, 2) => (Kind.Nested, Message.ScannerIndexReport),
        (Message.DiscoveredData, 2) => (Kind.Text, default),
        (Message.DiscoveredData, 1 or 3 or 4) => (Kind.Varint, default),
        (Message.ScannerIndexReport, 1 or 2 or 4) => (Kind.Text, default),
        (Message.ScannerIndexReport, 3) => (Kind.Varint, default),
        (Message.ScannerIndexReport, 5) => (Kind.Nested, Message.Contents),
        (Message.Contents, 5) => (Kind.Nested, Message.PackageEntry),
        (Message.Contents, 6) => (Kind.Nested, Message.DistributionEntry),
        (Message.Contents, 7) => (Kind.Nested, Message.RepositoryEntry),
        (Message.Contents, 8) => (Kind.Nested, Message.EnvironmentEntry),
        (Message.PackageEntry or Message.DistributionEntry or Message.RepositoryEntry or Message.EnvironmentEntry, 1) => (Kind.Text, default),
        (Message.PackageEntry, 2) => (Kind.Nested, Message.Package),
        (Message.DistributionEntry, 2) => (Kind.Nested, Message.Distribution),
        (Message.RepositoryEntry, 2) => (Kind.Nested, Message.Repository),
        (Message.EnvironmentEntry, 2) => (Kind.Nested, Message.EnvironmentList),
        (Message.Package, 4) => (Kind.Nested, Message.NormalizedVersion),
        (Message.Package, 7) => (Kind.Nested, Message.Package),
        (Message.Package, >= 1 and <= 12) => (Kind.Text, default),
        (Message.NormalizedVersion, 1) => (Kind.Text, default),
        (Message.NormalizedVersion, 2) => (Kind.PackedVarints, default),
        (Message.Distribution, >= 1 and <= 9) => (Kind.Text, default),
        (Message.Repository, >= 1 and <= 5) => (Kind.Text, default),
        (Message.EnvironmentList, 1) => (Kind.Nested, Message.Environment),
        (Message.Environment, >= 1 and <= 4) => (Kind.Text, default),
        _ => (Kind.Unknown, default),
    };

    ref struct Walker(ReadOnlySpan<byte> body)
    {
        readonly ReadOnlySpan<byte> _body = body;
        int _entries;
        int _references;
        int _facts;

        public string? ClaimedCid { get; private set; }

        public string? ClaimedUid { get; private set; }

        public ulong Trigger { get; private set; }

        public int Packages { get; private set; }

        public int Repositories { get; private set; }

        public string? Walk(Message message, int start, int end, int depth)
        {
            if (depth > DepthMax) return $"nested deeper than {DepthMax} at byte {start}";
            var position = start;
            while (position < end)
            {
                var fieldStart = position;
                if (!TryReadVarint(ref position, end, out var tag) || tag > uint.MaxValue || tag >> 3 == 0) return $"bad field tag at byte {fieldStart}";
                var (kind, nested) = FieldOf(message, (uint)tag >> 3);
                switch (tag & 7)
                {
                    case 0:
                        if (kind is Kind.Text or Kind.Nested) return $"wrong wire type at byte {fieldStart}";
                        // A list of numbers may also come one by one.
                        if (kind == Kind.PackedVarints && ++_entries > EntriesMax) return $"more than {EntriesMax} entries";
                        if (!TryReadVarint(ref position, end, out var number)) return $"cut number at byte {fieldStart}";
                        if (message == Message.VmReport && tag >> 3 == 3) Trigger = number;
                        break;
                    case 1:
                    case 5:
                        if (kind != Kind.Unknown) return $"wrong wire type at byte {fieldStart}";
                        position += (tag & 7) == 1 ? 8 : 4;
                        if (position > end) return $"cut number at byte {fieldStart}";
                        break;
                    case 2:
                        if (kind == Kind.Varint) return $"wrong wire type at byte {fieldStart}";
                        if (!TryReadVarint(ref position, end, out var length) || length > (ulong)(end - position)) return $"cut field at byte {fieldStart}";
                        if (WalkValue(message, (uint)tag >> 3, kind, nested, position, (int)length, depth) is { } error) return error;
                        position += (int)length;
                        break;
                    default:
                        return $"wire type {tag & 7} at byte {fieldStart}";
                }
            }

            return null;
        }

        string? WalkValue(Message message, uint number, Kind kind, Message nested, int start, int length, int depth)
        {
            switch (kind)
            {
                case Kind.Text:
                    var text = _body.Slice(start, length);
                    if (!Utf8.IsValid(text)) return $"text at byte {start} is not UTF-8";
                    if (message == Message.FactEntry && length > FactBytesMax) return $"fact of more than {FactBytesMax} bytes at byte {start}";
                    if (message == Message.Environment && number == 4 && ++_references > RepositoryReferencesMax)
                        return $"more than {RepositoryReferencesMax} references to repositories";
                    // A context id has at most 10 digits; anything longer is a claim that cannot be true.
                    if (message == Message.IndexReport && number == 1 && length > 0) ClaimedCid = Encoding.UTF8.GetString(text[..Math.Min(length, 16)]);
                    // A uid has 36 characters.
                    if (message == Message.IndexReport && number == 3 && length > 0) ClaimedUid = Encoding.UTF8.GetString(text[..Math.Min(length, 64)]);
                    return null;
                case Kind.Nested:
                    if (nested is Message.PackageEntry && ++Packages > PackagesMax) return $"more than {PackagesMax} packages";
                    if (nested is Message.RepositoryEntry && ++Repositories > RepositoriesMax) return $"more than {RepositoriesMax} repositories";
                    if (nested is Message.FactEntry && ++_facts > FactsMax) return $"more than {FactsMax} facts";
                    if (message is Message.Contents or Message.EnvironmentList && ++_entries > EntriesMax) return $"more than {EntriesMax} entries";
                    return Walk(nested, start, start + length, depth + 1);
                case Kind.PackedVarints:
                    var position = start;
                    while (position < start + length)
                    {
                        if (++_entries > EntriesMax) return $"more than {EntriesMax} entries";
                        if (!TryReadVarint(ref position, start + length, out _)) return $"cut number at byte {position}";
                    }

                    return null;
                default:
                    return null;
            }
        }

        readonly bool TryReadVarint(ref int position, int end, out ulong value)
        {
            value = 0;
            for (var shift = 0; shift < 64; shift += 7)
            {
                if (position >= end) return false;
                var next = _body[position++];
                value |= (ulong)(next & 0x7f) << shift;
                if (next < 0x80) return true;
            }

            return false;
        }
    }
}
