using System.Globalization;
using System.Text.Json;

namespace Guestmark.Vulnerabilities;

/// <summary>One OSV document, read (https://ossf.github.io/osv-schema/).</summary>
/// <param name="Advisory">Holds only the affected packages of ecosystems that can be matched.</param>
/// <param name="Withdrawn">The document is withdrawn: nothing of it applies.</param>
/// <param name="IsVulnerability">False for a bug fix or enhancement advisory that names no CVE.</param>
/// <param name="Ranges">All ranges of type ECOSYSTEM, of any ecosystem. 0 when withdrawn.</param>
/// <param name="OtherEcosystems">Ecosystems of the affected packages that were left out, once for each package.</param>
sealed record OsvDocument(Advisory Advisory, bool Withdrawn, bool IsVulnerability, int Ranges, IReadOnlyList<string> OtherEcosystems)
{
    // Bounds of what is kept of one document: a longer summary is cut, a longer name or version is an error. AlmaLinux' longest
    // have 138 (summary), 47 (name) and 59 (version) characters.
    const int SummaryLengthMax = 300;
    const int NameLengthMax = 512;

    /// <exception cref="OsvDocumentException">It is no OSV document, or a field has another shape than the schema says.</exception>
    public static OsvDocument Parse(ReadOnlyMemory<byte> json)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            return Read(document.RootElement);
        }
        catch (JsonException e)
        {
            throw new OsvDocumentException($"not valid JSON: {e.Message}");
        }
        catch (InvalidOperationException)
        {
            // JsonDocument does not look into strings and names before they are asked for, and then throws this.
            throw new OsvDocumentException("a text in it is not valid UTF-8 or has an unpaired surrogate");
        }
    }

    static OsvDocument Read(JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object) throw new OsvDocumentException("not a JSON object");
        var id = Name(root, "id") ?? throw new OsvDocumentException("no OSV document: it has no id");
        var modified = Time(root, "modified") ?? throw new OsvDocumentException("no OSV document: it has no modified time");

        var cves = new SortedSet<string>(StringComparer.Ordinal);
        AddCve(cves, id);
        // AlmaLinux, Rocky and SUSE name an advisory's CVEs in related, newer feeds in upstream, others in aliases.
        foreach (var field in (ReadOnlySpan<string>)["aliases", "related", "upstream"])
        {
            foreach (var name in Items(root, field)) AddCve(cves, Text(name, field));
        }

        var summary = Summary(root);
        var (vector, score) = Cvss(root);
        var affected = new List<AffectedPackage>();
        var others = new List<string>();
        var ranges = 0;
        var severity = SeverityOfWord(summary.AsSpan(0, Math.Max(0, summary.IndexOf(':'))));
        severity = Worse(severity, SpecificSeverity(root));
        var withdrawn = Time(root, "withdrawn") is not null;
        // Of a withdrawn document only id and time count, so that a list that was emptied or nulled with it is no fault.
        foreach (var entry in withdrawn ? [] : Objects(root, "affected"))
        {
            severity = Worse(severity, SpecificSeverity(entry));
            if (vector is null) (vector, score) = Cvss(entry);
            ReadAffected(entry, affected, others, ref ranges);
        }

        if (severity == Severity.Unknown && score is { } known) severity = SeverityOfScore(known);
        var streams = ModularBuild.StreamsIn(summary);
        var advisory = new Advisory
        {
            Feed = FeedName.Osv,
            Id = id,
            Cves = [.. cves],
            Summary = summary,
            Severity = severity,
            CvssVector = vector,
            CvssScore = score,
            Published = Time(root, "published"),
            Modified = modified,
            Url = AdvisoryUrl(root),
            Statements = [.. MergeBuilds(affected).SelectMany(package => Statements(package, streams))],
        };
        return new OsvDocument(advisory, withdrawn, cves.Count > 0 || !IsBugFixOrEnhancement(id), ranges, others);
    }

    // A modular package never meets a fix that is not modular, nor the other way round: two statements.
    static IEnumerable<PackageStatement> Statements(AffectedPackage package, IReadOnlyList<string> streams) =>
        package.Intervals.GroupBy(interval => ModularBuild.Is(interval.End) || ModularBuild.Is(interval.Introduced)).Select(part => new PackageStatement
        {
            Product = package.Ecosystem,
            Name = package.Name,
            Naming = Ecosystem.Find(package.Ecosystem)!.NamesSource ? PackageNaming.Source : PackageNaming.Binary,
            Status = part.Any(interval => interval.Kind != IntervalEnd.Fixed) ? ProductStatus.Affected : ProductStatus.Fixed,
            Intervals = [.. part],
            Modules = part.Key ? streams : [],
        });

    static void ReadAffected(JsonElement entry, List<AffectedPackage> affected, List<string> others, ref int ranges)
    {
        // The schema lets it be absent: such an entry is about commits of a repository.
        if (Member(entry, "affected.package", JsonValueKind.Object) is not { } package) return;
        var ecosystemName = Name(package, "affected.package.ecosystem") ?? throw new OsvDocumentException("affected.package has no ecosystem");
        var name = Name(package, "affected.package.name") ?? throw new OsvDocumentException("affected.package has no name");
        var ecosystem = Ecosystem.Find(ecosystemName);
        if (ecosystem is null) others.Add(ecosystemName);

        var intervals = new List<VersionInterval>();
        var hasRange = false;
        foreach (var range in Objects(entry, "affected.ranges"))
        {
            var type = Name(range, "affected.ranges.type") ?? throw new OsvDocumentException("affected.ranges has no type");
            if (type != "ECOSYSTEM") continue;
            ranges++;
            hasRange = true;
            if (ecosystem is not null) ReadEvents(range, ecosystem, intervals);
        }

        if (ecosystem is null) return;
        if (!hasRange)
        {
            // With a range, versions only enumerates what lies in it.
            foreach (var version in Items(entry, "affected.versions"))
            {
                var exact = VersionOf(version, "affected.versions");
                intervals.Add(new VersionInterval(exact, exact, IntervalEnd.LastAffected));
            }
        }

        if (intervals.Count > 0) affected.Add(new AffectedPackage(ecosystemName, name, intervals));
    }

    // Events are a set: the schema's evaluation sorts them by version first, "0" before everything.
    static void ReadEvents(JsonElement range, Ecosystem ecosystem, List<VersionInterval> intervals)
    {
        if (!range.TryGetProperty("events", out _)) throw new OsvDocumentException("affected.ranges has no events");
        var events = new List<(string Version, bool Introduced, IntervalEnd End)>();
        foreach (var entry in Objects(range, "affected.ranges.events"))
        {
            foreach (var property in entry.EnumerateObject())
            {
                if (property.NameEquals("introduced")) events.Add((VersionOf(property.Value, "events.introduced"), true, IntervalEnd.None));
                else if (property.NameEquals("fixed")) events.Add((VersionOf(property.Value, "events.fixed"), false, IntervalEnd.Fixed));
                else if (property.NameEquals("last_affected")) events.Add((VersionOf(property.Value, "events.last_affected"), false, IntervalEnd.LastAffected));
            }
        }

        var ordered = events.Order(Comparer<(string Version, bool Introduced, IntervalEnd End)>.Create((a, b) =>
        {
            var firstA = a.Version == "0" && a.Introduced;
            var firstB = b.Version == "0" && b.Introduced;
            if (firstA || firstB) return firstB.CompareTo(firstA);
            var order = ecosystem.Compare(a.Version, b.Version);
            if (order != 0) return order;
            // At one version: fixed there, introduced there, still affected there.
            return Rank(a).CompareTo(Rank(b));

            static int Rank((string Version, bool Introduced, IntervalEnd End) e) => e.Introduced ? 1 : e.End == IntervalEnd.Fixed ? 0 : 2;
        }));

        string? introduced = null;
        var open = false;
        foreach (var (version, isIntroduced, end) in ordered)
        {
            if (isIntroduced && !open)
            {
                introduced = version == "0" ? null : version;
                open = true;
            }
            else if (!isIntroduced && open)
            {
                intervals.Add(new VersionInterval(introduced, version, end));
                open = false;
            }
        }

        if (open) intervals.Add(new VersionInterval(introduced, null, IntervalEnd.None));
    }

    /// <summary>One entry for each package of an ecosystem, and of rpm rebuilds only the first.</summary>
    /// <remarks>
    /// AlmaLinux lists successive builds of one fix as separate entries (3,576 of its packages: <c>3.6.8-41.el8</c> and
    /// <c>3.6.8-41.el8.alma</c>). A machine that has any of them has the fix, so the oldest decides. Taken as OSV's union
    /// of ranges, every machine that installed the first build would look vulnerable. Modular builds and others are kept apart.
    /// </remarks>
    static List<AffectedPackage> MergeBuilds(List<AffectedPackage> affected)
    {
        var merged = new List<AffectedPackage>();
        foreach (var group in affected.GroupBy(package => (package.Ecosystem, package.Name)))
        {
            var intervals = group.SelectMany(package => package.Intervals).Distinct().ToList();
            if (intervals.Count > 1 && Ecosystem.Find(group.Key.Ecosystem)!.Manager == Inventory.PackageManager.Rpm
                && intervals.TrueForAll(interval => interval is { Introduced: null, Kind: IntervalEnd.Fixed }))
            {
                intervals =
                [
                    .. intervals.GroupBy(interval => ModularBuild.Is(interval.End)).Select(builds =>
                        builds.Aggregate((a, b) => RpmVersion.Compare(b.End, a.End) < 0 ? b : a)),
                ];
            }

            merged.Add(new AffectedPackage(group.Key.Ecosystem, group.Key.Name, intervals));
        }

        return merged;
    }

    static string Summary(JsonElement root)
    {
        var text = (Member(root, "summary", JsonValueKind.String) ?? Member(root, "details", JsonValueKind.String)) is { } value
            ? Text(value, "summary").AsSpan().Trim()
            : default;
        var line = text.IndexOfAny('\r', '\n');
        if (line >= 0) text = text[..line];
        if (text.Length <= SummaryLengthMax) return text.ToString();
        // Not between the halves of a surrogate pair.
        var cut = char.IsHighSurrogate(text[SummaryLengthMax - 2]) ? SummaryLengthMax - 2 : SummaryLengthMax - 1;
        return $"{text[..cut]}…";
    }

    // severity: [{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:…" }]. A v3 vector is preferred because only v3 is scored here.
    static (string? Vector, double? Score) Cvss(JsonElement element)
    {
        string? other = null;
        foreach (var entry in Objects(element, "severity"))
        {
            if (Name(entry, "severity.type") is not ("CVSS_V2" or "CVSS_V3" or "CVSS_V4") || Name(entry, "severity.score") is not { } vector) continue;
            if (CvssV3.BaseScore(vector) is { } score) return (vector, score);
            other ??= vector;
        }

        return (other, null);
    }

    static Severity SpecificSeverity(JsonElement element)
    {
        var severity = Severity.Unknown;
        foreach (var field in (ReadOnlySpan<string>)["database_specific", "ecosystem_specific"])
        {
            if (Member(element, field, JsonValueKind.Object) is not { } specific) continue;
            // "severity" is GitHub's and Rocky's word, "urgency" Debian's, "priority" and "ubuntu_priority" Ubuntu's.
            foreach (var word in (ReadOnlySpan<string>)["severity", "urgency", "priority", "ubuntu_priority"])
            {
                // The schema leaves what is in these objects to the vendor: another type is no fault and no word.
                if (specific.TryGetProperty(word, out var value) && value.ValueKind == JsonValueKind.String)
                    severity = Worse(severity, SeverityOfWord(Text(value, word)));
            }
        }

        // Ubuntu also writes its priority among the severities.
        foreach (var entry in Objects(element, "severity"))
        {
            if (Name(entry, "severity.type") == "Ubuntu" && Name(entry, "severity.score") is { } priority) severity = Worse(severity, SeverityOfWord(priority));
        }

        return severity;
    }

    static Severity Worse(Severity a, Severity b) => a > b ? a : b;

    static Severity SeverityOfWord(ReadOnlySpan<char> word)
    {
        Span<char> lower = stackalloc char[16];
        return word.Length > lower.Length ? Severity.Unknown : lower[..word.ToLowerInvariant(lower)] switch
        {
            "critical" => Severity.Critical,
            "important" or "high" => Severity.Important,
            "moderate" or "medium" => Severity.Moderate,
            "low" or "negligible" or "unimportant" => Severity.Low,
            _ => Severity.Unknown,
        };
    }

    // The qualitative scale of CVSS v3.1, section 5.
    static Severity SeverityOfScore(double score) => score switch
    {
        >= 9 => Severity.Critical,
        >= 7 => Severity.Important,
        >= 4 => Severity.Moderate,
        > 0 => Severity.Low,
        _ => Severity.Unknown,
    };

    // AlmaLinux, Red Hat and Rocky publish bug fix (BA) and enhancement (EA) advisories in the same feed as security ones (SA):
    // "tzdata bug fix and enhancement update" is no vulnerability unless it names a CVE.
    static bool IsBugFixOrEnhancement(string id) =>
        id.Length > 5 && id[..2] is "AL" or "RH" or "RL" or "RX" && id[2..5] is "BA-" or "EA-";

    static string? AdvisoryUrl(JsonElement root)
    {
        foreach (var reference in Objects(root, "references"))
        {
            if (Name(reference, "references.type") == "ADVISORY" && Member(reference, "references.url", JsonValueKind.String) is { } url
                && Text(url, "url") is { Length: <= 2048 } text
                && (text.StartsWith("https://", StringComparison.Ordinal) || text.StartsWith("http://", StringComparison.Ordinal)))
            {
                return text;
            }
        }

        return null;
    }

    // CVE-YYYY-N…N with at least four digits
    static void AddCve(SortedSet<string> cves, string id)
    {
        if (id.Length is >= 13 and <= 32 && id.StartsWith("CVE-", StringComparison.Ordinal) && id[8] == '-'
            && !id.AsSpan(4, 4).ContainsAnyExceptInRange('0', '9') && !id.AsSpan(9).ContainsAnyExceptInRange('0', '9'))
        {
            cves.Add(id);
        }
    }

    static DateTimeOffset? Time(JsonElement element, string name)
    {
        if (Member(element, name, JsonValueKind.String) is not { } value) return null;
        const DateTimeStyles utc = DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal;
        return DateTimeOffset.TryParse(Text(value, name), CultureInfo.InvariantCulture, utc, out var time)
            ? time
            : throw new OsvDocumentException($"{name} is not a time");
    }

    static string VersionOf(JsonElement value, string field)
    {
        var version = Text(value, field);
        return version.Length is > 0 and <= NameLengthMax
            ? version
            : throw new OsvDocumentException($"{field}: a version has {version.Length} characters, limit {NameLengthMax}");
    }

    static string? Name(JsonElement element, string field)
    {
        if (Member(element, field, JsonValueKind.String) is not { } value) return null;
        var text = Text(value, field);
        return text.Length <= NameLengthMax ? text : throw new OsvDocumentException($"{field} has {text.Length} characters, limit {NameLengthMax}");
    }

    /// <param name="field">Where the schema has it, for the error. The part after the last dot is the member's name.</param>
    static JsonElement? Member(JsonElement element, string field, JsonValueKind kind)
    {
        var name = field.AsSpan(field.LastIndexOf('.') + 1);
        if (!element.TryGetProperty(name, out var value)) return null;
        // Null stands for an absent description: the schema allows it for aliases, references and severity, and writers do it with
        // others. In what says which packages are affected it would pass for "none" and hide a vulnerability.
        if (value.ValueKind == JsonValueKind.Null && name is not ("affected" or "package" or "ranges" or "events" or "versions")) return null;
        return value.ValueKind == kind ? value : throw WrongType(field, value, kind);
    }

    static JsonElement.ArrayEnumerator Items(JsonElement element, string field) =>
        Member(element, field, JsonValueKind.Array) is { } array ? array.EnumerateArray() : default;

    static IEnumerable<JsonElement> Objects(JsonElement element, string field)
    {
        foreach (var item in Items(element, field))
            yield return item.ValueKind == JsonValueKind.Object ? item : throw WrongType($"an item of {field}", item, JsonValueKind.Object);
    }

    static string Text(JsonElement value, string field) =>
        value.ValueKind == JsonValueKind.String ? value.GetString()! : throw WrongType(field, value, JsonValueKind.String);

    static OsvDocumentException WrongType(string field, JsonElement value, JsonValueKind expected)
    {
        return new OsvDocumentException($"{field} is {Word(value.ValueKind)}, not {Word(expected)}");

        static string Word(JsonValueKind kind) => kind switch
        {
            JsonValueKind.Object => "an object",
            JsonValueKind.Array => "an array",
            JsonValueKind.String => "a string",
            JsonValueKind.Number => "a number",
            JsonValueKind.Null => "null",
            _ => "true or false",
        };
    }
}

/// <summary>A document that is skipped, and why.</summary>
sealed class OsvDocumentException(string message) : Exception(message);

/// <summary>Which versions of one package in one ecosystem are affected: those in any of the intervals.</summary>
sealed record AffectedPackage(string Ecosystem, string Name, IReadOnlyList<VersionInterval> Intervals);
