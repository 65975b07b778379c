using System.Buffers;
using System.Globalization;
using System.Text;

namespace Guestmark.Inventory.Sbom;

/// <summary>The package URL (purl) of a package: the one name of it that every tool understands.</summary>
/// <remarks>
/// https://github.com/package-url/purl-spec:
/// <code>pkg:type/namespace/name@version?qualifier=value&amp;qualifier=value</code>
/// The qualifiers are sorted by name; every part is UTF-8 with all but letters, digits, ".", "-", "_", "~" and ":" escaped as %HH. For the
/// types of distributions the namespace is the distribution, as its advisories spell it: <c>redhat</c> for os-release's <c>rhel</c>.
/// </remarks>
public static class PackageUrl
{
    static readonly SearchValues<byte> Unescaped =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_~:"u8);

    /// <summary>A longer one is none: the longest of the tests' documents has 115 characters.</summary>
    public const int CharsMax = 4096;

    /// <summary>Takes a package URL apart.</summary>
    /// <returns>Null when the text is none, or is longer than <see cref="CharsMax"/>.</returns>
    public static PackageUrlParts? TryParse(string url)
    {
        const string Scheme = "pkg:";
        if (url.Length > CharsMax || !url.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase)) return null;
        var rest = url.AsSpan(Scheme.Length);
        if (rest.LastIndexOf('#') is >= 0 and var subpath) rest = rest[..subpath];
        var qualifiers = default(ReadOnlySpan<char>);
        if (rest.IndexOf('?') is >= 0 and var question)
        {
            qualifiers = rest[(question + 1)..];
            rest = rest[..question];
        }

        // Some write pkg://type/name.
        rest = rest.Trim('/');
        var slash = rest.IndexOf('/');
        if (slash <= 0) return null;
        var type = rest[..slash].ToString().ToLowerInvariant();
        rest = rest[(slash + 1)..];
        // Of npm's pkg:npm/@angular/core, which should be %40angular, the @ begins no version.
        var version = "";
        if (rest.LastIndexOf('@') is >= 0 and var at && !rest[at..].Contains('/'))
        {
            version = Unescape(rest[(at + 1)..]);
            rest = rest[..at];
        }

        rest = rest.Trim('/');
        var name = Unescape(rest[(rest.LastIndexOf('/') + 1)..]);
        if (name.Length == 0) return null;

        var nameSpace = new StringBuilder();
        foreach (var range in rest[..Math.Max(0, rest.LastIndexOf('/'))].Split('/'))
        {
            var segment = rest[range];
            if (segment.IsEmpty) continue;
            if (nameSpace.Length > 0) nameSpace.Append('/');
            nameSpace.Append(Unescape(segment));
        }

        var pairs = new List<(string Name, string Value)>();
        foreach (var range in qualifiers.Split('&'))
        {
            var pair = qualifiers[range];
            if (pair.IndexOf('=') is > 0 and var equals) pairs.Add((pair[..equals].ToString().ToLowerInvariant(), Unescape(pair[(equals + 1)..])));
        }

        return new PackageUrlParts(type, nameSpace.ToString(), name, version, pairs);

        // A plus is a plus: only forms of HTML write a blank so.
        static string Unescape(ReadOnlySpan<char> text) => text.Contains('%') ? Uri.UnescapeDataString(text) : text.ToString();
    }

    public static string Of(Package package, OsRelease os)
    {
        var text = new StringBuilder("pkg:", 160);
        switch (package.Manager)
        {
            case PackageManager.Rpm:
                // The epoch is a qualifier and not in the version.
                AppendPath(text, "rpm", VendorOf(os), package.Name, package.Release.Length > 0 ? $"{package.Version}-{package.Release}" : package.Version);
                AppendQualifiers(
                    text,
                    ("arch", package.Architecture),
                    ("distro", DistributionOf(os)),
                    ("epoch", package.Epoch is > 0 and var epoch ? epoch.ToString(CultureInfo.InvariantCulture) : null),
                    ("modularitylabel", package.ModularityLabel),
                    ("upstream", package.SourceRpm));
                break;
            case PackageManager.Dpkg:
                AppendPath(text, "deb", os.Id, package.Name, package.FullVersion);
                AppendQualifiers(text, ("arch", package.Architecture), ("distro", DistributionOf(os)), ("upstream", UpstreamOf(package)));
                break;
            case PackageManager.Apk:
                AppendPath(text, "apk", os.Id, package.Name, package.FullVersion);
                AppendQualifiers(text, ("arch", package.Architecture), ("distro", DistributionOf(os)), ("upstream", UpstreamOf(package)));
                break;
            case PackageManager.PyPI:
                AppendPath(text, "pypi", "", package.Name.ToLowerInvariant().Replace('_', '-'), package.FullVersion);
                break;
            case PackageManager.Npm:
                // @scope/name
                AppendSplit(text, "npm", package.Name.ToLowerInvariant(), '/', package.FullVersion);
                break;
            case PackageManager.Maven:
                AppendSplit(text, "maven", package.Name, ':', package.FullVersion);
                break;
            case PackageManager.Go:
                AppendSplit(text, "golang", package.Name.ToLowerInvariant(), '/', package.FullVersion);
                break;
            case PackageManager.NuGet:
                AppendPath(text, "nuget", "", package.Name, package.FullVersion);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(package), package.Manager, "unknown package manager");
        }

        return text.ToString();
    }

    /// <summary>The namespace is what stands before the last separator.</summary>
    static void AppendSplit(StringBuilder text, string type, string name, char separator, string version)
    {
        var at = name.LastIndexOf(separator);
        AppendPath(text, type, at < 0 ? default : name.AsSpan(0, at), name.AsSpan(at + 1), version);
    }

    static void AppendPath(StringBuilder text, string type, ReadOnlySpan<char> nameSpace, ReadOnlySpan<char> name, ReadOnlySpan<char> version)
    {
        text.Append(type);
        foreach (var range in nameSpace.Split('/'))
        {
            // Empty segments are left out, as the specification asks.
            if (nameSpace[range].IsEmpty) continue;
            text.Append('/');
            AppendEscaped(text, nameSpace[range]);
        }

        text.Append('/');
        AppendEscaped(text, name);
        if (version.IsEmpty) return;
        text.Append('@');
        AppendEscaped(text, version);
    }

    /// <param name="text">Ends with the path.</param>
    /// <param name="qualifiers">Sorted by name. Those without a value are left out.</param>
    static void AppendQualifiers(StringBuilder text, params ReadOnlySpan<(string Name, string? Value)> qualifiers)
    {
        var separator = '?';
        foreach (var (name, value) in qualifiers)
        {
            if (string.IsNullOrEmpty(value)) continue;
            text.Append(separator).Append(name).Append('=');
            AppendEscaped(text, value);
            separator = '&';
        }
    }

    static void AppendEscaped(StringBuilder text, ReadOnlySpan<char> value)
    {
        Span<byte> buffer = stackalloc byte[512];
        while (!value.IsEmpty)
        {
            // At most three bytes for a character.
            var chars = Math.Min(value.Length, buffer.Length / 3);
            if (chars < value.Length && char.IsHighSurrogate(value[chars - 1])) chars--;
            var bytes = buffer[..Encoding.UTF8.GetBytes(value[..chars], buffer)];
            value = value[chars..];
            foreach (var next in bytes)
            {
                if (Unescaped.Contains(next)) text.Append((char)next);
                else text.Append('%').Append(next.ToString("X2", CultureInfo.InvariantCulture));
            }
        }
    }

    static string VendorOf(OsRelease os) => os.Id switch
    {
        "rhel" => "redhat",
        _ => os.Id,
    };

    static string? DistributionOf(OsRelease os) =>
        os.IsUnknown ? null : os.VersionId.Length > 0 ? $"{os.Id}-{os.VersionId}" : os.Id;

    /// <summary>The source package, with its version where that is another one.</summary>
    static string? UpstreamOf(Package package) =>
        package.SourceName is null || (package.SourceName == package.Name && (package.SourceVersion is null || package.SourceVersion == package.FullVersion)) ? null
        : package.SourceVersion is null || package.SourceVersion == package.FullVersion ? package.SourceName
        : $"{package.SourceName}@{package.SourceVersion}";
}

/// <summary>A package URL in its parts, unescaped. The type and the names of qualifiers are in lower case.</summary>
/// <param name="Namespace">Segments with <c>/</c> between them; empty when there is none.</param>
/// <param name="Version">Empty when there is none.</param>
public sealed record PackageUrlParts(string Type, string Namespace, string Name, string Version, IReadOnlyList<(string Name, string Value)> Qualifiers)
{
    /// <summary>Whose packages have the type. Null: none that an inventory has.</summary>
    public PackageManager? Manager => Type switch
    {
        "rpm" => PackageManager.Rpm,
        "deb" => PackageManager.Dpkg,
        "apk" => PackageManager.Apk,
        "pypi" => PackageManager.PyPI,
        "npm" => PackageManager.Npm,
        "maven" => PackageManager.Maven,
        "golang" => PackageManager.Go,
        "nuget" => PackageManager.NuGet,
        _ => null,
    };

    /// <summary>The first value of a qualifier. Null when it is absent or empty.</summary>
    public string? Qualifier(string name)
    {
        foreach (var (known, value) in Qualifiers)
        {
            if (known == name) return value.Length > 0 ? value : null;
        }

        return null;
    }
}
