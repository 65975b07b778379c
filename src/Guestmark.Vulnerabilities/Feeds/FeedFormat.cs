using System.Text;
using System.Text.Json;

namespace Guestmark.Vulnerabilities;

/// <summary>What a document is, as its content tells.</summary>
public enum FeedFormat
{
    Unknown,
    Csaf,
    Osv,
    OpenVex,
    CycloneDx,
    Kev,
    Epss,
    DebianTracker,
    AlpineSecdb,
    Oval,
    UpdateInfo,

    /// <summary>Red Hat's table of repositories and CPEs: no advisories, but needed while machines are scanned.</summary>
    RepositoryToCpe,

    /// <summary>provider-metadata.json of CSAF 2.0: says where a provider's documents are.</summary>
    ProviderMetadata,

    /// <summary>A ROLIE feed (RFC 8322): lists documents.</summary>
    Rolie,

    /// <summary>changes.csv, deletions.csv, checksums and signatures beside documents.</summary>
    Listing,
}

/// <summary>What the first bytes of a document tell.</summary>
/// <param name="Detail">
/// Of a secdb its <c>v3.19/main</c>. Of something unknown, or known and of no use here: what was seen, and where it belongs.
/// </param>
readonly record struct FeedKind(FeedFormat Format, string Detail)
{
    /// <summary>Read as a stream, because whole feeds are one document. Others are read in memory.</summary>
    public bool IsStream => Format is FeedFormat.Kev or FeedFormat.Epss or FeedFormat.DebianTracker or FeedFormat.AlpineSecdb or FeedFormat.Oval
        or FeedFormat.UpdateInfo;
}

/// <summary>Tells formats apart by their content: names are chosen by whoever made a file, and often wrongly.</summary>
static class FeedDetection
{
    /// <summary>Enough for every format that says early what it is; a JSON document that does not is looked at as a whole.</summary>
    public const int PrefixBytes = 32 << 10;

    const int KeysNamed = 5;
    const int SeenBytes = 40;

    /// <param name="prefix">First bytes of the document.</param>
    /// <param name="isWhole">Whether they are all of it.</param>
    /// <param name="needsMore">Whether more bytes could tell.</param>
    public static FeedKind Of(ReadOnlySpan<byte> prefix, bool isWhole, out bool needsMore)
    {
        needsMore = false;
        if (prefix.StartsWith("\uFEFF"u8)) prefix = prefix[3..];
        var text = prefix.TrimStart(" \t\r\n"u8);
        if (text.IsEmpty) return Unknown(isWhole ? "it is empty" : "it begins with nothing but white space");
        if (text[0] == (byte)'{') return OfJson(text, isWhole, out needsMore);
        if (text[0] == (byte)'<') return OfXml(text);
        if (text.StartsWith("#model_version:"u8) || text.StartsWith("cve,epss"u8) || IsScore(text)) return new FeedKind(FeedFormat.Epss, "");
        if (text[0] == (byte)'"' && text[..Math.Min(text.Length, 300)].IndexOf("\",\""u8) > 0)
            return new FeedKind(FeedFormat.Listing, "list of files");
        return Unknown(text[0] == (byte)'[' ? "a JSON array, no document of a known format" : $"it begins with {Seen(text)}");
    }

    /// <summary>The old form of EPSS has no header: <c>CVE-2020-5902,0.65117</c>.</summary>
    static bool IsScore(ReadOnlySpan<byte> text)
    {
        if (!text.StartsWith("CVE-"u8)) return false;
        var comma = text.IndexOf((byte)',');
        return comma is > 8 and < 30 && comma + 1 < text.Length && text[comma + 1] is (byte)'0' or (byte)'1' or (byte)'.';
    }

    static FeedKind OfXml(ReadOnlySpan<byte> text)
    {
        // Past the declaration, comments and a document type to the first element.
        while (text.Length > 1 && text[0] == (byte)'<' && text[1] is (byte)'?' or (byte)'!')
        {
            var end = text.StartsWith("<!--"u8) ? text.IndexOf("-->"u8) + 2 : text.IndexOf((byte)'>');
            if (end < 2) return Unknown("XML without an element in its first bytes");
            text = text[(end + 1)..].TrimStart(" \t\r\n"u8);
        }

        if (text.IsEmpty || text[0] != (byte)'<') return Unknown($"it begins with {Seen(text)}");
        var name = text[1..];
        var length = name.IndexOfAny(" \t\r\n/>"u8);
        name = name[..(length < 0 ? Math.Min(name.Length, SeenBytes) : length)];
        var colon = name.IndexOf((byte)':');
        if (colon >= 0) name = name[(colon + 1)..];
        if (name.SequenceEqual("oval_definitions"u8)) return new FeedKind(FeedFormat.Oval, "");
        if (name.SequenceEqual("updates"u8) || name.SequenceEqual("updateinfo"u8)) return new FeedKind(FeedFormat.UpdateInfo, "");
        if (name.SequenceEqual("repomd"u8))
            return Unknown("repomd.xml of a package repository: give the updateinfo.xml that it names");
        if (name.SequenceEqual("html"u8) || name.SequenceEqual("HTML"u8)) return Unknown("an HTML page, perhaps of a proxy or a login");
        return Unknown($"XML whose first element is {Seen(name)}");
    }

    static FeedKind OfJson(ReadOnlySpan<byte> json, bool isWhole, out bool needsMore)
    {
        needsMore = false;
        var reader = new Utf8JsonReader(json, isWhole, default);
        var keys = new List<string>();
        try
        {
            reader.Read();
            while (reader.Read())
            {
                if (reader.TokenType is JsonTokenType.EndObject) break;
                if (Key(ref reader) is { } known) return known;
                var key = Encoding.UTF8.GetString(reader.ValueSpan[..Math.Min(reader.ValueSpan.Length, SeenBytes)]);
                if (keys.Count < KeysNamed) keys.Add(key);
                if (!reader.Read())
                {
                    needsMore = !isWhole;
                    break;
                }

                if (reader.TokenType is JsonTokenType.StartObject)
                {
                    if (OfFirstObject(ref reader, key) is { } found) return found;
                    if (!LeaveObject(ref reader))
                    {
                        needsMore = !isWhole;
                        break;
                    }
                }
                else if (!reader.TrySkip())
                {
                    needsMore = !isWhole;
                    break;
                }
            }

            if (!isWhole && reader.TokenType is not JsonTokenType.EndObject) needsMore = true;
        }
        catch (JsonException e)
        {
            // Of a list of packages or CVEs that is cut the beginning tells enough.
            return Unknown($"not valid JSON: {e.Message}");
        }

        if (keys.Count == 0 && !needsMore) return Unknown("an empty JSON object");
        return Unknown($"JSON with {string.Join(", ", keys.Select(key => $"\"{key}\""))}, no document of a known format");
    }

    /// <summary>What the name of a top-level property tells. The reader is on the name, and stays there when it does not tell.</summary>
    static FeedKind? Key(ref Utf8JsonReader reader)
    {
        if (reader.ValueTextEquals("document"u8) || reader.ValueTextEquals("product_tree"u8)) return new FeedKind(FeedFormat.Csaf, "");
        if (reader.ValueTextEquals("affected"u8) || reader.ValueTextEquals("modified"u8) || reader.ValueTextEquals("schema_version"u8)
            || reader.ValueTextEquals("withdrawn"u8) || reader.ValueTextEquals("aliases"u8) || reader.ValueTextEquals("related"u8))
        {
            return new FeedKind(FeedFormat.Osv, "");
        }

        if (reader.ValueTextEquals("@context"u8)) return new FeedKind(FeedFormat.OpenVex, "");
        if (reader.ValueTextEquals("bomFormat"u8)) return new FeedKind(FeedFormat.CycloneDx, "");
        if (reader.ValueTextEquals("catalogVersion"u8) || reader.ValueTextEquals("dateReleased"u8)) return new FeedKind(FeedFormat.Kev, "");
        if (reader.ValueTextEquals("apkurl"u8) || reader.ValueTextEquals("distroversion"u8) || reader.ValueTextEquals("reponame"u8))
            return new FeedKind(FeedFormat.AlpineSecdb, SecdbName(reader));
        if (reader.ValueTextEquals("canonical_url"u8) || reader.ValueTextEquals("distributions"u8) || reader.ValueTextEquals("metadata_version"u8))
        {
            return new FeedKind(
                FeedFormat.ProviderMetadata,
                "the metadata of a CSAF provider: give its URL to `guestmark vulndb update`, which fetches the documents");
        }

        if (reader.ValueTextEquals("spdxVersion"u8)) return Unknown("an SPDX document: it lists packages and says nothing about vulnerabilities");
        if (reader.ValueTextEquals("dataType"u8) || reader.ValueTextEquals("cveMetadata"u8)) return Unknown("a CVE record, which names no packages");
        return null;
    }

    /// <summary><c>v3.19/main</c> of Alpine's, <c>packages.wolfi.dev/os</c> of those that have no release.</summary>
    static string SecdbName(Utf8JsonReader reader)
    {
        var (release, repository, host) = ("", "", "");
        do
        {
            if (reader.TokenType is not JsonTokenType.PropertyName || reader.ValueTextEquals("packages"u8)) break;
            var isRelease = reader.ValueTextEquals("distroversion"u8);
            var isRepository = reader.ValueTextEquals("reponame"u8);
            var isPrefix = reader.ValueTextEquals("urlprefix"u8);
            if (!reader.Read()) break;
            if (reader.TokenType is JsonTokenType.String && reader.ValueSpan.Length < 200 && !reader.ValueIsEscaped)
            {
                var text = Encoding.UTF8.GetString(reader.ValueSpan);
                if (isRelease) release = text;
                else if (isRepository) repository = text;
                else if (isPrefix && Uri.TryCreate(text, UriKind.Absolute, out var uri)) host = uri.Host;
            }
            else if (!reader.TrySkip())
            {
                break;
            }
        }
        while (reader.Read());
        return $"{(release.Length > 0 ? release : host)}/{repository}".Trim('/');
    }

    /// <summary>What the first name within an object tells. The reader is on the object's start, and at last on the name.</summary>
    static FeedKind? OfFirstObject(ref Utf8JsonReader reader, string key)
    {
        if (!reader.Read() || reader.TokenType is not JsonTokenType.PropertyName) return null;
        // {"openssl": {"CVE-2014-0160": {…
        if (reader.ValueSpan.StartsWith("CVE-"u8) || reader.ValueSpan.StartsWith("TEMP-"u8)) return new FeedKind(FeedFormat.DebianTracker, "");
        if (key is "feed") return new FeedKind(FeedFormat.Rolie, "a list of CSAF documents: give the provider's URL to `guestmark vulndb update`");
        if (key is not "data") return null;
        // {"data": {"rhel-9-for-x86_64-baseos-rpms": {"cpes": […
        if (reader.Read() && reader.TokenType is JsonTokenType.StartObject && reader.Read() && reader.TokenType is JsonTokenType.PropertyName
            && (reader.ValueTextEquals("cpes"u8) || reader.ValueTextEquals("repo_relative_urls"u8)))
        {
            return new FeedKind(
                FeedFormat.RepositoryToCpe,
                "Red Hat's repository-to-cpe.json, which is needed where machines are scanned: give it to the agent with --repo-cpe-path");
        }

        return null;
    }

    /// <summary>To the end of the object at depth 2 that the reader is in. False when the bytes end before.</summary>
    static bool LeaveObject(ref Utf8JsonReader reader)
    {
        while (reader.CurrentDepth > 1 || reader.TokenType is not JsonTokenType.EndObject)
        {
            if (!reader.Read()) return false;
        }

        return true;
    }

    static FeedKind Unknown(string seen) => new(FeedFormat.Unknown, seen);

    /// <summary>First bytes for people: what is not ASCII text as hexadecimal.</summary>
    static string Seen(ReadOnlySpan<byte> bytes)
    {
        bytes = bytes[..Math.Min(bytes.Length, SeenBytes)];
        var line = bytes.IndexOfAny((byte)'\n', (byte)'\r');
        if (line > 0) bytes = bytes[..line];
        return bytes.ContainsAnyExceptInRange((byte)' ', (byte)'~')
            ? $"the bytes {Convert.ToHexStringLower(bytes[..Math.Min(bytes.Length, 16)])}"
            : $"'{Encoding.ASCII.GetString(bytes)}'";
    }
}
