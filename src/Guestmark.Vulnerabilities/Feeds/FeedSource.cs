using System.Text.Json;

namespace Guestmark.Vulnerabilities;

/// <summary>How a source is fetched.</summary>
public enum FeedSourceKind
{
    /// <summary>One file or archive.</summary>
    File,

    /// <summary>
    /// A folder of CSAF documents with changes.csv (CSAF 2.0, 7.1.13), as Red Hat's with an archive of everything (archive_latest.txt) and
    /// deletions.csv.
    /// </summary>
    CsafDirectory,

    /// <summary>A provider of CSAF 2.0, by its provider-metadata.json.</summary>
    CsafProvider,
}

/// <summary>What <c>vulndb update</c> fetches.</summary>
/// <param name="Name">The source in the database. Null: each document's own.</param>
/// <param name="Product">What the packages of an updateinfo.xml are part of: <c>AlmaLinux:9</c>.</param>
public sealed record FeedSource(string? Name, FeedSourceKind Kind, Uri Url, string? Product = null)
{
    static readonly (string Name, FeedSourceKind Kind, string Url, string What)[] Known =
    [
        ("redhat-vex", FeedSourceKind.CsafDirectory, "https://security.access.redhat.com/data/csaf/v2/vex/",
            "Red Hat's VEX, one document for each CVE"),
        ("redhat-vex-feed", FeedSourceKind.CsafDirectory, "https://security.access.redhat.com/data/csaf/v2/vex-feed/",
            "Red Hat's new VEX feed, which takes the place of the former"),
        ("csaf/www.redhat.com", FeedSourceKind.CsafDirectory, "https://security.access.redhat.com/data/csaf/v2/advisories/",
            "Red Hat's advisories (RHSA)"),
        ("csaf/www.suse.com", FeedSourceKind.CsafProvider, "https://www.suse.com/.well-known/csaf/provider-metadata.json", "SUSE's advisories"),
        ("debian-tracker", FeedSourceKind.File, "https://security-tracker.debian.org/tracker/data/json", "Debian's security tracker"),
        ("epss", FeedSourceKind.File, "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz", "how likely each CVE is exploited"),
        ("kev", FeedSourceKind.File, "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",
            "CISA's known exploited vulnerabilities"),
    ];

    const string OsvBucket = "https://osv-vulnerabilities.storage.googleapis.com/";

    /// <summary>Ecosystems of https://osv.dev, each with an archive of its own. Their sources are called <c>osv/almalinux</c>.</summary>
    static readonly string[] OsvEcosystems =
    [
        "AlmaLinux", "Alpine", "Azure Linux", "Bitnami", "Chainguard", "crates.io", "Debian", "Go", "Hex", "Mageia", "Maven", "npm",
        "NuGet", "openEuler", "openSUSE", "Packagist", "Pub", "PyPI", "Red Hat", "Rocky Linux", "RubyGems", "SUSE", "SwiftURL", "Ubuntu", "Wolfi",
    ];

    /// <summary>The sources that are known by name, with what they are, for people.</summary>
    public static IEnumerable<(string Name, string What)> Catalog =>
    [
        .. Known.Select(source => (source.Name, source.What)),
        .. OsvEcosystems.Select(ecosystem => ($"osv/{Slug(ecosystem)}", $"OSV's advisories for {ecosystem}")),
        ("alpine-secdb/v3.22/main", "Alpine's fixes; any release and repository (main, community), also alpine-secdb/edge/main"),
    ];

    /// <summary>A source by its name. Null when none is known by it.</summary>
    public static FeedSource? Find(string name)
    {
        foreach (var known in Known)
        {
            if (known.Name == name) return new FeedSource(name, known.Kind, new Uri(known.Url));
        }

        foreach (var ecosystem in OsvEcosystems)
        {
            // The spaces of names are written as they are in the bucket's paths, which a URL escapes.
            if (name == $"osv/{Slug(ecosystem)}")
                return new FeedSource(name, FeedSourceKind.File, new Uri($"{OsvBucket}{Uri.EscapeDataString(ecosystem)}/all.zip"));
        }

        const string secdb = "alpine-secdb/";
        var parts = name.StartsWith(secdb, StringComparison.Ordinal) ? name[secdb.Length..].Split('/') : [];
        return parts.Length == 2
            && parts.All(part => part.Length is > 0 and < 30 && part[0] != '.' && part.All(c => char.IsAsciiLetterOrDigit(c) || c is '.'))
            ? new FeedSource(name, FeedSourceKind.File, new Uri($"https://secdb.alpinelinux.org/{parts[0]}/{parts[1]}.json"))
            : null;
    }

    /// <summary>What a URL most likely is: a provider's metadata, a folder of CSAF documents (it ends with a slash), or a file.</summary>
    public static FeedSource OfUrl(Uri url, string? name = null, string? product = null) => new(
        name,
        url.AbsolutePath.EndsWith("provider-metadata.json", StringComparison.Ordinal) ? FeedSourceKind.CsafProvider
            : url.AbsolutePath.EndsWith('/') ? FeedSourceKind.CsafDirectory
            : FeedSourceKind.File,
        url,
        product);

    static string Slug(string ecosystem) => ecosystem.ToLowerInvariant().Replace(' ', '-');

    /// <summary>
    /// Reads the list of sources to update:
    /// <c>{"sources": ["epss", {"name": "acme", "url": "https://acme.example/csaf/provider-metadata.json"}]}</c>.
    /// An entry is a known name, or an object with name and url, and for an updateinfo.xml product.
    /// </summary>
    /// <exception cref="FeedException">It is not there, or an entry is wrong. The message names the file and the entry.</exception>
    public static IReadOnlyList<FeedSource> ReadList(string path)
    {
        const int bytesMax = 1 << 20;
        try
        {
            if (new FileInfo(path) is { Exists: true, Length: > bytesMax }) throw new FeedException($"{path}: larger than {bytesMax} bytes");
            using var document = JsonDocument.Parse(
                File.ReadAllBytes(path), new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
            if (document.RootElement.ValueKind is not JsonValueKind.Object || !document.RootElement.TryGetProperty("sources", out var list)
                || list.ValueKind is not JsonValueKind.Array)
            {
                throw new FeedException($"{path}: no \"sources\" in it, an array of names and of objects with name and url");
            }

            var sources = new List<FeedSource>();
            foreach (var entry in list.EnumerateArray())
            {
                var source = OfEntry(entry, $"{path}: $.sources[{sources.Count}]");
                if (sources.Exists(other => other.Name == source.Name))
                    throw new FeedException($"{path}: $.sources[{sources.Count}]: {source.Name} is named twice");
                sources.Add(source);
            }

            return sources;
        }
        catch (JsonException e)
        {
            throw new FeedException($"{path}: not valid JSON: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new FeedException($"{path}: {e.Message}", e);
        }
    }

    static FeedSource OfEntry(JsonElement entry, string where)
    {
        if (entry.ValueKind is JsonValueKind.String) return Find(entry.GetString()!) ?? throw Unknown(entry.GetString()!);
        if (entry.ValueKind is not JsonValueKind.Object) throw new FeedException($"{where}: neither the name of a source nor an object");
        string? name = null, product = null;
        Uri? url = null;
        foreach (var property in entry.EnumerateObject())
        {
            if (property.Value.ValueKind is not JsonValueKind.String) throw new FeedException($"{where}.{property.Name}: not a string");
            var value = property.Value.GetString()!;
            switch (property.Name)
            {
                case "name" when value.Length is > 0 and <= 200 && !value.Any(char.IsControl):
                    name = value;
                    break;
                case "product":
                    product = value;
                    break;
                case "url" when Uri.TryCreate(value, UriKind.Absolute, out url) && url.Scheme is "https" or "http":
                    break;
                case "name" or "url":
                    throw new FeedException($"{where}.{property.Name}: '{value}' is no {(property.Name is "url" ? "http or https URL" : "name")}");
                default:
                    throw new FeedException($"{where}.{property.Name}: unknown; an entry has name, url and product");
            }
        }

        if (name is null) throw new FeedException($"{where}: it has no name");
        if (url is not null) return OfUrl(url, name, product);
        return Find(name) is { } known ? known with { Product = product } : throw Unknown(name);

        FeedException Unknown(string unknown) => new(
            $"{where}: '{unknown}' is no known source: give its url too, or one of {string.Join(", ", Known.Select(source => source.Name))}, "
            + "osv/<ecosystem>, alpine-secdb/<release>/<repository>");
    }
}
