using System.Text.Json;

namespace Guestmark.Vulnerabilities;

/// <summary>Reads the data of Debian's security tracker (https://security-tracker.debian.org/tracker/data/json).</summary>
/// <remarks>
/// One object, of more than 60 MB:
/// <code>
/// { "curl": { "CVE-2023-38545": {
///     "description": "…", "scope": "remote", "debianbug": 1053636,
///     "releases": { "bookworm": {
///         "status": "resolved" | "open" | "undetermined", "fixed_version": "7.88.1-10+deb12u4", "urgency": "medium",
///         "repositories": { "bookworm": "7.88.1-10+deb12u12" }, "nodsa": "Minor issue", "nodsa_reason": "postponed" } } } } }
/// </code>
/// A CVE of a source package is a document: its id is the CVE's and its part the package, so that they stream one by one and each keeps
/// its identity from one day's file to the next. What the tracker knows without a CVE (<c>TEMP-0000000-…</c>) keeps the tracker's id.
/// <list type="bullet">
/// <item>resolved: fixed in <c>fixed_version</c>; "0" means that the release was never affected.</item>
/// <item>open: affected; with a <c>nodsa_reason</c> of postponed deferred, of ignored not to be fixed; with the urgency end-of-life out of
/// support, as the package then is.</item>
/// <item>undetermined: under investigation.</item>
/// </list>
/// The urgency is a release's: where one has none, that of another says nothing about it, so that the document as a whole has no severity.
/// </remarks>
sealed class DebianTracker
{
    const int NameCharsMax = 512;
    const int SummaryCharsMax = 300;

    // Releases by their code names (https://www.debian.org/releases/), with the numbers that OSV's ecosystem names and os-release have.
    static readonly (string CodeName, string Product)[] Releases =
    [
        ("bookworm", "Debian:12"),
        ("bullseye", "Debian:11"),
        ("trixie", "Debian:13"),
        ("sid", "Debian:sid"),
        ("forky", "Debian:14"),
        ("duke", "Debian:15"),
        ("buster", "Debian:10"),
        ("stretch", "Debian:9"),
        ("jessie", "Debian:8"),
        ("wheezy", "Debian:7"),
        ("squeeze", "Debian:6.0"),
        ("lenny", "Debian:5.0"),
        ("etch", "Debian:4.0"),
        ("sarge", "Debian:3.1"),
        ("woody", "Debian:3.0"),
    ];

    readonly JsonText _text = new();
    readonly string _document;
    readonly IFeedSink _sink;
    readonly List<PackageStatement> _statements = [];
    string _package = "";
    string _id = "";

    DebianTracker(string document, IFeedSink sink)
    {
        _document = document;
        _sink = sink;
    }

    /// <summary>Gives every CVE of every source package to <paramref name="sink"/>, one in memory at a time.</summary>
    /// <exception cref="IOException">The stream cannot be read.</exception>
    public static void Read(string document, Stream stream, IFeedSink sink, CancellationToken cancellationToken)
    {
        try
        {
            var json = new JsonStream(stream, cancellationToken);
            new DebianTracker(document, sink).ReadPackages(ref json);
        }
        catch (JsonException e)
        {
            sink.Skip(document, "", $"not valid JSON: {e.Message}");
        }
    }

    void ReadPackages(ref JsonStream json)
    {
        json.Read();
        if (json.Json.TokenType != JsonTokenType.StartObject)
        {
            _sink.Skip(_document, "$", JsonText.Instead(ref json.Json, "an object of source packages"));
            return;
        }

        while (json.ReadProperty())
        {
            if (!Name(ref json, "$", out _package)) continue;
            json.Read();
            if (json.Json.TokenType != JsonTokenType.StartObject)
            {
                Skip(ref json, $"$.{_package}", JsonText.Instead(ref json.Json, "an object of vulnerabilities"));
                continue;
            }

            while (json.ReadProperty())
            {
                if (!Name(ref json, $"$.{_package}", out _id)) continue;
                json.Read();
                if (json.Json.TokenType != JsonTokenType.StartObject) Skip(ref json, Path(""), JsonText.Instead(ref json.Json, "an object"));
                else ReadVulnerability(ref json);
            }
        }

        json.Read();
    }

    void ReadVulnerability(ref JsonStream json)
    {
        _statements.Clear();
        string? summary = null;
        var hasReleases = false;
        while (json.ReadProperty())
        {
            if (json.Is("description"u8))
            {
                json.Read();
                if (json.IsCut) _sink.Skip(_document, Path(".description"), $"has more than {JsonStream.TokenBytesMax} bytes");
                else if (json.Json.TokenType == JsonTokenType.String) summary = JsonText.FirstLine(json.Json.ValueSpan, SummaryCharsMax);
                else if (json.Json.TokenType != JsonTokenType.Null) Skip(ref json, Path(".description"), JsonText.Instead(ref json.Json, "a string"));
            }
            else if (json.Is("releases"u8))
            {
                json.Read();
                if (json.Json.TokenType != JsonTokenType.StartObject)
                {
                    Skip(ref json, Path(".releases"), JsonText.Instead(ref json.Json, "an object"));
                    continue;
                }

                hasReleases = true;
                while (json.ReadProperty()) ReadRelease(ref json);
            }
            else
            {
                json.Skip();
            }
        }

        if (_statements.Count == 0)
        {
            if (!hasReleases) _sink.LeaveOut("no release");
            return;
        }

        _sink.Add(new Advisory
        {
            Feed = FeedName.DebianTracker,
            Id = _id,
            Part = _package,
            Cves = _id.StartsWith("CVE-", StringComparison.Ordinal) ? [_id] : [],
            Summary = summary ?? "",
            Url = $"https://security-tracker.debian.org/tracker/{_id}",
            Statements = _statements.ToArray(),
        });
    }

    void ReadRelease(ref JsonStream json)
    {
        var product = json.IsCut ? null : ProductOf(_text.Of(ref json.Json));
        if (product is null)
        {
            _sink.LeaveOut("release");
            json.Skip();
            return;
        }

        json.Read();
        if (json.Json.TokenType != JsonTokenType.StartObject)
        {
            Skip(ref json, Path($".releases.{CodeName(product)}"), JsonText.Instead(ref json.Json, "an object"));
            return;
        }

        var release = new Release();
        while (json.ReadProperty())
        {
            var field = json.Is("status"u8) ? Field.Status
                : json.Is("fixed_version"u8) ? Field.FixedVersion
                : json.Is("urgency"u8) ? Field.Urgency
                : json.Is("nodsa_reason"u8) ? Field.Reason
                : json.Is("nodsa"u8) ? Field.Remark
                : Field.Other;
            json.Read();
            if (field == Field.Other || json.Json.TokenType == JsonTokenType.Null)
            {
                json.Skip();
                continue;
            }

            var text = json.Json.TokenType == JsonTokenType.String && !json.IsCut ? _text.Of(ref json.Json) : null;
            if (text is null || (field != Field.Remark && text.Length > NameCharsMax))
            {
                var reason = json.IsCut || text is not null ? $"has more than {NameCharsMax} characters"
                    : json.Json.TokenType == JsonTokenType.String ? JsonText.NotText
                    : JsonText.Instead(ref json.Json, "a string");
                _sink.Skip(_document, Path($".releases.{CodeName(product)}.{Word(field)}"), reason);
                json.Skip();
                release.IsBad |= field is Field.Status or Field.FixedVersion;
                continue;
            }

            switch (field)
            {
                case Field.Status when release.Status is not null:
                case Field.FixedVersion when release.FixedVersion is not null:
                    _sink.Skip(_document, Path($".releases.{CodeName(product)}.{Word(field)}"), "occurs twice");
                    release.IsBad = true;
                    break;
                case Field.Status: release.Status = text; break;
                case Field.FixedVersion: release.FixedVersion = text; break;
                case Field.Urgency: release.Urgency = text; break;
                case Field.Reason: release.Reason = text; break;
                default: release.Remark = text.Length > SummaryCharsMax ? text[..SummaryCharsMax] : text; break;
            }
        }

        // What was wrong has been told, and half a statement is none.
        if (!release.IsBad) AddStatement(product, release);
    }

    void AddStatement(string product, Release release)
    {
        ProductStatus status;
        IReadOnlyList<VersionInterval> intervals = [];
        switch (release.Status)
        {
            case "resolved" when release.FixedVersion is null or "":
                _sink.Skip(_document, Path($".releases.{CodeName(product)}.fixed_version"), "is absent, and the status is resolved");
                return;
            case "resolved" when release.FixedVersion == "0":
                status = ProductStatus.NotAffected;
                break;
            case "resolved":
                status = ProductStatus.Fixed;
                intervals = [VersionInterval.FixedIn(release.FixedVersion!)];
                break;
            case "open":
                status = release.Urgency == "end-of-life" || release.Reason == "end-of-life" ? ProductStatus.OutOfSupport
                    : release.Reason == "postponed" ? ProductStatus.FixDeferred
                    : release.Reason == "ignored" ? ProductStatus.WillNotFix
                    : ProductStatus.Affected;
                break;
            case "undetermined":
                status = ProductStatus.UnderInvestigation;
                break;
            default:
                _sink.Skip(
                    _document,
                    Path($".releases.{CodeName(product)}.status"),
                    release.Status is null ? "is absent" : $"is '{release.Status}', not resolved, open or undetermined");
                return;
        }

        _statements.Add(new PackageStatement
        {
            Product = product,
            Name = _package,
            Naming = PackageNaming.Source,
            Status = status,
            Intervals = intervals,
            // Older entries mark an urgency that was derived from NVD's: "medium**".
            Severity = release.Urgency is { } urgency ? OsvDocument.SeverityOf(urgency.AsSpan().TrimEnd('*')) : Severity.Unknown,
            Remark = string.IsNullOrEmpty(release.Remark) ? null : release.Remark,
        });
    }

    static string? ProductOf(ReadOnlySpan<char> name)
    {
        foreach (var (codeName, product) in Releases)
        {
            if (name.SequenceEqual(codeName)) return product;
        }

        return null;
    }

    static string CodeName(string product)
    {
        foreach (var (codeName, other) in Releases)
        {
            if (ReferenceEquals(product, other)) return codeName;
        }

        return product;
    }

    bool Name(ref JsonStream json, string path, out string name)
    {
        name = json.IsCut ? "" : _text.Of(ref json.Json) ?? "";
        if (name.Length is > 0 and <= NameCharsMax) return true;
        var isLong = json.IsCut || name.Length > NameCharsMax;
        Skip(ref json, path, isLong ? $"a name has more than {NameCharsMax} characters" : "a name is empty or not valid UTF-8");
        return false;
    }

    void Skip(ref JsonStream json, string path, string reason)
    {
        _sink.Skip(_document, path, reason);
        json.Skip();
    }

    string Path(string member) => $"$.{_package}.{_id}{member}";

    static string Word(Field field) => field switch
    {
        Field.Status => "status",
        Field.FixedVersion => "fixed_version",
        Field.Urgency => "urgency",
        Field.Reason => "nodsa_reason",
        _ => "nodsa",
    };

    enum Field
    {
        Other,
        Status,
        FixedVersion,
        Urgency,
        Reason,
        Remark,
    }

    struct Release
    {
        public string? Status;
        public string? FixedVersion;
        public string? Urgency;
        public string? Reason;
        public string? Remark;
        public bool IsBad;
    }
}
