namespace Guestmark.Vulnerabilities;

/// <summary>One document of a vendor, whatever its format was: what every importer makes and the database stores.</summary>
public sealed record Advisory
{
    /// <summary>The vendor's series of documents, within which ids are unique: <c>osv</c>, <c>redhat-vex</c>. One of <see cref="FeedName"/>.</summary>
    public required string Feed { get; init; }

    /// <summary>The document's id: <c>ALSA-2021:2363</c>, <c>CVE-2023-38545</c>.</summary>
    public required string Id { get; init; }

    /// <summary>
    /// Tells documents of one id apart where a feed has no documents of its own: Debian's tracker has the CVEs of each source package, Alpine's
    /// secdb the packages of each release. Empty otherwise: the two files that AlmaLinux has of ALSA-2024:8127 are the same document.
    /// </summary>
    public string Part { get; init; } = "";

    /// <summary>In any order; duplicates are dropped when stored.</summary>
    public IReadOnlyList<string> Cves { get; init; } = [];

    /// <summary>One line for people.</summary>
    public string Summary { get; init; } = "";

    public Severity Severity { get; init; }

    /// <summary>CVSS base score, 0.0 to 10.0 in tenths.</summary>
    public double? CvssScore { get; init; }

    public string? CvssVector { get; init; }

    public DateTimeOffset? Published { get; init; }

    public DateTimeOffset? Modified { get; init; }

    public string? Url { get; init; }

    public IReadOnlyList<PackageStatement> Statements { get; init; } = [];
}

/// <summary>What a document says about one package in one product.</summary>
public sealed record PackageStatement
{
    /// <summary>
    /// What the package is part of, the key under which machines look it up: an ecosystem of OSV (<c>AlmaLinux:8</c>, <c>Debian:12</c>, <c>PyPI</c>), or
    /// <c>Red Hat:</c> with product and version of a CPE (<see cref="Vulnerabilities.Cpe.ProductOf"/>): <c>Red Hat:enterprise_linux:9</c>.
    /// </summary>
    public required string Product { get; init; }

    /// <summary>
    /// The package's name as its manager has it. With <see cref="PackageNaming.Module"/> the module's <c>name:stream</c>.
    /// </summary>
    public required string Name { get; init; }

    public PackageNaming Naming { get; init; } = PackageNaming.Binary;

    public ProductStatus Status { get; init; } = ProductStatus.Fixed;

    /// <summary>
    /// The versions that the statement is about; the affected ones when it is <see cref="ProductStatus.Fixed"/>. Empty: all versions.
    /// </summary>
    public IReadOnlyList<VersionInterval> Intervals { get; init; } = [];

    /// <summary>The product as the document names it, when that is a CPE: <c>cpe:/o:redhat:enterprise_linux:9::baseos</c>.</summary>
    public string? Cpe { get; init; }

    /// <summary>Architectures that it is about, in any order. Empty: all.</summary>
    public IReadOnlyList<string> Architectures { get; init; } = [];

    /// <summary>
    /// Module streams (<c>nodejs:18</c>) that the package is a build of, any of which applies. Empty when the package is in no module, or when the
    /// document does not say in which, which its versions then tell.
    /// </summary>
    public IReadOnlyList<string> Modules { get; init; } = [];

    /// <summary>The one of the document's CVEs that this is about. Null: all of them.</summary>
    public string? Cve { get; init; }

    /// <summary>The vendor's severity for this product. Unknown: the document's.</summary>
    public Severity Severity { get; init; }

    /// <summary>CVSS base score for this product. Null: the document's.</summary>
    public double? CvssScore { get; init; }

    public string? CvssVector { get; init; }

    /// <summary>The id of the update that fixes it, where that is another document: <c>RHSA-2023:5763</c>.</summary>
    public string? Erratum { get; init; }

    public string? ErratumUrl { get; init; }

    /// <summary>The vendor's workaround or reason, for people: why there is no fix, how to live without one.</summary>
    public string? Remark { get; init; }

    /// <summary>Why the package is not affected, in the words of VEX: <c>vulnerable_code_not_present</c>.</summary>
    public string? Justification { get; init; }
}

/// <summary>What a statement's name is the name of. The numbers are persisted: add, never change.</summary>
public enum PackageNaming
{
    /// <summary>An installable package.</summary>
    Binary = 0,

    /// <summary>A source package, and with it every package built from it.</summary>
    Source = 1,

    /// <summary>The document does not tell which: both are looked up.</summary>
    Either = 2,

    /// <summary>
    /// A module stream (<c>python39:3.9</c>) with all its packages. Versions are those of modules: <c>stream-version.context</c>, as Red Hat's new feed
    /// writes them (<c>3.9-8100020240826142629.d47b87a4</c>).
    /// </summary>
    Module = 3,
}

/// <summary>
/// What the vendor says of a package: the product status of CSAF, and for affected packages what its remediations say. The numbers are
/// persisted: add, never change.
/// </summary>
public enum ProductStatus
{
    /// <summary>There is a fix: versions in the intervals are affected, others are not.</summary>
    Fixed = 1,

    /// <summary>Affected, and no fix is out.</summary>
    Affected = 2,

    /// <summary>Affected; a fix may come later, when it suits the vendor ("Fix deferred").</summary>
    FixDeferred = 3,

    /// <summary>Affected; the vendor will not fix it.</summary>
    WillNotFix = 4,

    /// <summary>Affected; the product or version is no longer supported.</summary>
    OutOfSupport = 5,

    /// <summary>The vendor does not know yet.</summary>
    UnderInvestigation = 6,

    /// <summary>Not affected, for the statement's justification.</summary>
    NotAffected = 7,
}

/// <summary>Versions from <paramref name="Introduced"/> on, up to <paramref name="End"/>.</summary>
/// <param name="Introduced">First affected version. Null: from the beginning, which OSV writes as 0.</param>
/// <param name="End">Null when <paramref name="Kind"/> is <see cref="IntervalEnd.None"/>.</param>
public readonly record struct VersionInterval(string? Introduced, string? End, IntervalEnd Kind)
{
    /// <summary>All versions older than <paramref name="version"/>.</summary>
    public static VersionInterval FixedIn(string version) => new(null, version, IntervalEnd.Fixed);

    /// <summary>Exactly <paramref name="version"/>.</summary>
    public static VersionInterval Exactly(string version) => new(version, version, IntervalEnd.LastAffected);
}

/// <summary>How an interval ends. The numbers are persisted: add, never change.</summary>
public enum IntervalEnd
{
    /// <summary>It does not: there is no fix yet.</summary>
    None = 0,

    /// <summary>The end is the first version that is not affected.</summary>
    Fixed = 1,

    /// <summary>The end is the last version that is affected.</summary>
    LastAffected = 2,
}

/// <summary>How bad an advisory is, in Red Hat's words, in rising order. The numbers are persisted: add, never change.</summary>
public enum Severity
{
    /// <summary>The advisory says nothing that can be read as a severity.</summary>
    Unknown = 0,
    Low = 1,
    Moderate = 2,
    Important = 3,
    Critical = 4,
}
