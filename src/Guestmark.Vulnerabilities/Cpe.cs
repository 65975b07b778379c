namespace Guestmark.Vulnerabilities;

/// <summary>
/// CPE names in the form of CPE 2.2 (<c>cpe:/o:redhat:enterprise_linux:9::baseos</c>) as Red Hat's data have them, and in that of CPE 2.3
/// (<c>cpe:2.3:o:redhat:enterprise_linux:9:*:baseos:…</c>).
/// </summary>
public static class Cpe
{
    /// <summary>
    /// The product that Red Hat's CPE stands for. Red Hat tells scanners to compare the first five segments only (cpe, part, vendor, product,
    /// version), which leaves out the channel, and to take <c>/o</c> and <c>/a</c> of RHEL for the same
    /// (https://redhatproductsecurity.github.io/security-data-guidelines/): product and version are what is left.
    /// </summary>
    /// <returns><c>Red Hat:enterprise_linux:9</c>, without a version <c>Red Hat:enterprise_linux</c>; null when it is no CPE of Red Hat.</returns>
    public static string? ProductOf(ReadOnlySpan<char> cpe)
    {
        var rest = cpe.StartsWith("cpe:2.3:", StringComparison.Ordinal) ? cpe["cpe:2.3:".Length..]
            : cpe.StartsWith("cpe:/", StringComparison.Ordinal) ? cpe["cpe:/".Length..]
            : default;
        var part = Segment(ref rest);
        var vendor = Segment(ref rest);
        var product = Segment(ref rest);
        var version = Segment(ref rest);
        if (part is not ("o" or "a") || vendor is not "redhat" || product.IsEmpty || product is "*") return null;
        return version.IsEmpty || version is "*" or "-" ? $"{RedHat}:{product}" : $"{RedHat}:{product}:{version}";

        static ReadOnlySpan<char> Segment(ref ReadOnlySpan<char> text)
        {
            var colon = text.IndexOf(':');
            var segment = colon < 0 ? text : text[..colon];
            text = colon < 0 ? default : text[(colon + 1)..];
            return segment;
        }
    }

    const string RedHat = "Red Hat";
}
