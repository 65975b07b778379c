using System.Runtime.InteropServices;

namespace Guestmark.Vulnerabilities;

// The rows of the database file, little-endian, as they lie in the mapping. "text" is an index of the texts, 0 the empty one;
// "list" is a place in the lists, 0 the empty one. Times are UTC ticks, 0: none. A change of any of them raises DatabaseFile.Version.

/// <summary>A document: where it came from, and what it says for all its packages.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
readonly record struct DocumentRow
{
    /// <summary>Index of the source.</summary>
    public required int Source { get; init; }

    public required int Feed { get; init; }

    public required int Id { get; init; }

    public required int Part { get; init; }

    public required int Summary { get; init; }

    public required int Vector { get; init; }

    public required int Url { get; init; }

    /// <summary>List of texts, sorted.</summary>
    public required int Cves { get; init; }

    public required long Published { get; init; }

    public required long Modified { get; init; }

    /// <summary>Where its statements are, in <see cref="DatabaseSection.DocumentStatements"/>.</summary>
    public required int StatementStart { get; init; }

    public required int StatementCount { get; init; }

    /// <summary>Hash of the whole document, so that two databases can be compared without reading it.</summary>
    public required ulong Hash { get; init; }

    public required byte Severity { get; init; }

    /// <summary>255: none.</summary>
    public required byte ScoreTenths { get; init; }

    public required DocumentState State { get; init; }

    // So that the size is a multiple of four on every platform.
    readonly byte _reserved;
}

enum DocumentState : byte
{
    /// <summary>Its statements are in the index.</summary>
    Live = 0,

    /// <summary>Another source has the same document in a newer version. It counts again when that one goes.</summary>
    Shadowed = 1,

    /// <summary>Its vendor took it back at <see cref="DocumentRow.Modified"/>; an older version that comes later does not count.</summary>
    Withdrawn = 2,
}

/// <summary>One statement. Those of one product and name lie side by side, in the order of their documents.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
readonly record struct StatementRow
{
    public required int Document { get; init; }

    public required int Product { get; init; }

    public required int Name { get; init; }

    public required int Cpe { get; init; }

    /// <summary>List of texts. 0: all.</summary>
    public required int Architectures { get; init; }

    /// <summary>List of texts. 0: none named.</summary>
    public required int Modules { get; init; }

    public required int Detail { get; init; }

    public required int IntervalStart { get; init; }

    public required ushort IntervalCount { get; init; }

    /// <summary>A <see cref="PackageNaming"/>.</summary>
    public required byte Naming { get; init; }

    /// <summary>A <see cref="ProductStatus"/>.</summary>
    public required byte Status { get; init; }
}

/// <summary>What many statements of a document share. Row 0 is the empty one.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
readonly record struct DetailRow
{
    public required int Cve { get; init; }

    public required int Vector { get; init; }

    public required int Erratum { get; init; }

    public required int ErratumUrl { get; init; }

    public required int Remark { get; init; }

    public required int Justification { get; init; }

    /// <summary>0: the document's.</summary>
    public required byte Severity { get; init; }

    /// <summary>255: the document's.</summary>
    public required byte ScoreTenths { get; init; }

    readonly ushort _reserved;
}

[StructLayout(LayoutKind.Sequential, Pack = 4)]
readonly record struct IntervalRow
{
    /// <summary>Text. 0: from the beginning.</summary>
    public required int Introduced { get; init; }

    /// <summary>Text. 0 when <see cref="Kind"/> says that there is no end.</summary>
    public required int End { get; init; }

    /// <summary>An <see cref="IntervalEnd"/>.</summary>
    public required int Kind { get; init; }
}

/// <summary>A package name in a product, and where its statements are. Sorted by the texts of product and name.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
readonly record struct NameRow
{
    public required int Product { get; init; }

    public required int Name { get; init; }

    public required int StatementStart { get; init; }

    public required int StatementCount { get; init; }

    /// <summary>Of the hashes of its documents: differs from another database's when anything that could be found for this name does.</summary>
    public required ulong Hash { get; init; }
}

/// <summary>EPSS of a CVE. Sorted by CVE, then source.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
readonly record struct PredictionRow
{
    public required int Cve { get; init; }

    public required int Source { get; init; }

    public required float Score { get; init; }

    public required float Percentile { get; init; }
}

/// <summary>A known exploited CVE. Sorted by CVE, then source. Dates are day numbers, 0: none.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
readonly record struct KnownExploitedRow
{
    public required int Cve { get; init; }

    public required int Source { get; init; }

    public required int Added { get; init; }

    public required int Due { get; init; }

    public required int Action { get; init; }

    public required int Ransomware { get; init; }
}

/// <summary>A <see cref="VexDecision"/>. Sorted by id, then source.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
readonly record struct DecisionRow
{
    public required int Id { get; init; }

    public required int Source { get; init; }

    public required int Vulnerability { get; init; }

    public required int Products { get; init; }

    public required int Status { get; init; }

    public required int Justification { get; init; }

    public required int Reason { get; init; }

    public required int Author { get; init; }

    public required int Scope { get; init; }

    public required long Decided { get; init; }

    public required long Expires { get; init; }
}

/// <summary>An <see cref="AdvisorySource"/>.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
readonly record struct SourceRow
{
    public required int Name { get; init; }

    public required int Format { get; init; }

    public required int Uri { get; init; }

    public required int Version { get; init; }

    public required int Documents { get; init; }

    public required int Skipped { get; init; }

    public required long Imported { get; init; }

    public required long Newest { get; init; }
}
