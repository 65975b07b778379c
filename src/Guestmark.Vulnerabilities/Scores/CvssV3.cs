namespace Guestmark.Vulnerabilities;

/// <summary>Base score of a CVSS v3.0 or v3.1 vector.</summary>
public static class CvssV3
{
    /// <summary>0.0 to 10.0 with one decimal. Null when the vector is not well-formed or of another edition.</summary>
    public static double? BaseScore(ReadOnlySpan<char> vector) =>
        Cvss.TryParse(vector, out var cvss) && cvss.Version is CvssVersion.V30 or CvssVersion.V31 ? cvss.BaseScore : null;
}
