namespace Guestmark.Vulnerabilities;

/// <summary>One advisory that applies to one installed package.</summary>
/// <param name="AdvisoryId">The vendor's id: <c>ALSA-2021:2363</c>, <c>DSA-5532-1</c>.</param>
/// <param name="Cves">The CVEs that the advisory is about, in ascending order. May be empty.</param>
/// <param name="Summary">One line for people. Empty when the advisory has none.</param>
/// <param name="Severity">The vendor's word, else derived from <paramref name="CvssScore"/>.</param>
/// <param name="CvssScore">CVSS v3 base score, 0.0 to 10.0. Null when the advisory has no v3 vector.</param>
/// <param name="CvssVector">The vector as the advisory writes it.</param>
/// <param name="InstalledVersion">The package's version, <c>[epoch:]version[-release]</c>. Where a source package was matched, its own
/// version is in <see cref="FindingEvidence.Comparison"/>.</param>
/// <param name="FixedVersion">The version that ends the range. Null when there is no fix yet.</param>
public sealed record Finding(
    string AdvisoryId,
    IReadOnlyList<string> Cves,
    string Summary,
    Severity Severity,
    double? CvssScore,
    string? CvssVector,
    string InstalledVersion,
    string? FixedVersion,
    FindingEvidence Evidence);

/// <summary>Why a finding is one: enough to check it by hand against the vendor's document.</summary>
/// <param name="Source">Feed and document: <c>osv ALSA-2021:2363</c>.</param>
/// <param name="Ecosystem">The ecosystem of the machine in the feed's notation: <c>AlmaLinux:8</c>.</param>
/// <param name="MatchedPackage">The package name in the advisory, a source package's where <paramref name="MatchedBySourcePackage"/>.</param>
/// <param name="Range">The affected range: <c>introduced 0, fixed 1.0.6-2.el8_4</c>.</param>
/// <param name="Comparison">What was compared by which rules: <c>1.0.5-1.el8 &lt; 1.0.6-2.el8_4 by rpm</c>.</param>
/// <param name="Url">The advisory's page for people.</param>
public sealed record FindingEvidence(
    string Source,
    string Ecosystem,
    string MatchedPackage,
    bool MatchedBySourcePackage,
    string Range,
    string Comparison,
    DateTimeOffset? Published,
    DateTimeOffset? Modified,
    string? Url);
