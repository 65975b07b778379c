using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using Guestmark.Inventory;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// Reads documents in the OSV format (https://ossf.github.io/osv-schema/) of every ecosystem whose versions can be compared. What is taken
/// from which field, ecosystem by ecosystem, is in docs/reference/osv.md.
/// </summary>
/// <remarks>
/// One pass over the bytes, members in any order:
/// <code>
/// { "schema_version", "id", "modified", "published", "withdrawn", "aliases": [""], "related": [""], "upstream": [""], "summary", "details",
///   "severity": [{ "type", "score" }],
///   "affected": [{ "package": { "ecosystem", "name", "purl" },
///                  "ranges": [{ "type", "events": [{ "introduced" | "fixed" | "last_affected" | "limit": "" }] }],
///                  "versions": [""], "severity": […], "ecosystem_specific": {}, "database_specific": {} }],
///   "references": [{ "type", "url" }], "database_specific": {} }
/// </code>
/// A member of another shape than the schema's makes the document unreadable: it is skipped, with the path of the first such member.
/// </remarks>
sealed class OsvDocument
{
    // Bounds of what is kept of one document: a longer summary is cut, a longer name or version is an error. AlmaLinux' longest
    // have 138 (summary), 47 (name) and 59 (version) characters.
    const int SummaryCharsMax = 300;
    const int NameCharsMax = 512;
    const int UrlCharsMax = 2048;

    // The schema needs 7 levels, without what is in its *_specific objects.
    const int DepthMax = 64;

    const int ProductsKeptMax = 4096;
    const int PackagesKeptMax = 1024;

    // What repeats beyond this the database drops: a document of 64 MB could have a million.
    const int IntervalsComparedMax = 64;

    [ThreadStatic]
    static OsvDocument? _ofThread;

    readonly JsonText _text = new();
    readonly Dictionary<string, Target> _targets = new(StringComparer.Ordinal);

    // Of the current document. The collections keep their memory for the next one.
    readonly List<string> _cves = [];
    readonly List<Entry> _entries = [];
    readonly List<VersionInterval> _intervals = [];
    readonly List<string> _leftOut = [];
    readonly List<VersionInterval> _merged = [];
    readonly List<(PackageStatement Model, string Name)> _statements = [];
    VersionInterval[] _single = [];
    string[] _modules = [];
    Dictionary<PackageKey, int> _heads = [];
    string? _id;
    string? _summary;
    string? _url;
    DateTimeOffset? _modified;
    DateTimeOffset? _published;
    bool _withdrawn;
    Severity _severity;
    Score _score;
    (int Start, int Length) _details;
    Problem? _problem;
    Problem? _identityProblem;

    // Of the current affected entry, and where in it the reader is.
    readonly List<Event> _events = [];
    Package _package;
    int _affectedIndex;
    int _rangeIndex;
    int _eventIndex;

    // Where the reader's bytes begin in the document.
    int _base;

    readonly (int Start, int Length)[] _spots = new (int, int)[SpotKinds];
    bool _hasPattern;

    // An entry and a reference as the patterns of the next, and the reader's state behind each: it is the same behind every other one.
    readonly JsonAlike _alike = new(SpotKinds);
    Entry _model;
    string _modelVersion = "";
    IntervalEnd _modelEnd;
    JsonReaderState _behindEntry;
    readonly JsonAlike _alikeReferences = new(1);
    JsonReaderState _behindReference;

    OsvDocument()
    {
    }

    /// <summary>Gives the advisory in <paramref name="json"/> to <paramref name="sink"/>, or takes it back when it is withdrawn.</summary>
    public static void Read(string document, ReadOnlyMemory<byte> json, IFeedSink sink) =>
        (_ofThread ??= new OsvDocument()).Read(document, json.Span, sink);

    void Read(string document, ReadOnlySpan<byte> bytes, IFeedSink sink)
    {
        Clear();
        if (bytes.StartsWith("\uFEFF"u8)) bytes = bytes[3..];
        try
        {
            var json = new Utf8JsonReader(bytes, new JsonReaderOptions { MaxDepth = DepthMax });
            json.Read();
            if (json.TokenType != JsonTokenType.StartObject)
            {
                sink.Skip(document, "$", JsonText.Instead(ref json, "an object"));
                return;
            }

            ReadRoot(ref json, bytes);
            // Fails when anything but white space follows.
            json.Read();
        }
        catch (JsonException e)
        {
            sink.Skip(document, "", $"not valid JSON: {Fault(bytes) ?? e.Message}");
            return;
        }

        // Of a withdrawn document only id and times count, so that a list that was emptied or nulled with it is no fault.
        if ((_identityProblem ?? (_withdrawn ? null : _problem)) is { } problem) sink.Skip(document, problem.Path, problem.Reason);
        else if (_id is null) sink.Skip(document, "$.id", "is absent: no OSV document");
        else if (_modified is null) sink.Skip(document, "$.modified", "is absent: no OSV document");
        else Give(document, bytes, sink);
    }

    // The reader that skipped entries does not know the line and position any more.
    static string? Fault(ReadOnlySpan<byte> bytes)
    {
        try
        {
            var json = new Utf8JsonReader(bytes, new JsonReaderOptions { MaxDepth = DepthMax });
            while (json.Read())
            {
                // To the fault.
            }

            return null;
        }
        catch (JsonException e)
        {
            return e.Message;
        }
    }

    void Clear()
    {
        _base = 0;
        _cves.Clear();
        _entries.Clear();
        _intervals.Clear();
        _leftOut.Clear();
        _statements.Clear();
        _id = _summary = _url = null;
        _modified = _published = null;
        _withdrawn = false;
        _severity = Severity.Unknown;
        _score = default;
        _details = default;
        _problem = _identityProblem = null;
    }

    void Give(string document, ReadOnlySpan<byte> bytes, IFeedSink sink)
    {
        if (_withdrawn)
        {
            sink.Withdraw(FeedName.Osv, _id!, _modified);
            sink.LeaveOut("withdrawn");
            return;
        }

        var summary = _summary;
        if (string.IsNullOrEmpty(summary) && _details.Length > 0)
        {
            summary = JsonText.FirstLine(bytes.Slice(_details.Start, _details.Length), SummaryCharsMax);
            if (summary is null)
            {
                sink.Skip(document, "$.details", JsonText.NotText);
                return;
            }
        }

        foreach (var what in _leftOut) sink.LeaveOut(what);
        summary ??= "";
        AddCveOfId();
        var part = Part();
        var isVulnerability = _cves.Count > 0 || !IsBugFixOrEnhancement(_id!);
        if (!isVulnerability) sink.LeaveOut("no vulnerability");
        if (isVulnerability) MakeStatements(summary);
        if (_statements.Count == 0)
        {
            if (isVulnerability && _leftOut.Count == 0) sink.LeaveOut("no affected package");
            // A former version of the document may have had some.
            sink.Withdraw(FeedName.Osv, _id!, _modified);
            return;
        }

        var severity = Worse(SeverityOf(summary.AsSpan(0, Math.Max(0, summary.IndexOf(':')))), _severity);
        foreach (var entry in _entries)
        {
            severity = Worse(severity, entry.Severity);
            if (_score.Vector is null) _score = entry.Score;
        }

        if (severity == Severity.Unknown && _score.Value is { } score) severity = SeverityOf(score);
        sink.Add(new Advisory
        {
            Feed = FeedName.Osv,
            Id = _id!,
            Part = part,
            Cves = _cves.Count == 0 ? [] : _cves.ToArray(),
            Summary = summary,
            Severity = severity,
            CvssScore = _score.Value,
            CvssVector = _score.Vector,
            Published = _published,
            Modified = _modified,
            Url = _url,
            Statements = new NamedStatements([.. _statements]),
        });
    }

    // AlmaLinux publishes a document for each of its releases that an advisory is for, under one id.
    string Part()
    {
        if (_entries.Count == 0 || !_entries[0].Target.Product.StartsWith("AlmaLinux:", StringComparison.Ordinal)) return "";
        var product = _entries[0].Target.Product;
        foreach (var entry in _entries)
        {
            if (!string.Equals(entry.Target.Product, product, StringComparison.Ordinal)) return "";
        }

        return product;
    }

    // ---- Statements

    /// <summary>One for each package, and module where it says one; open intervals apart from those that end in a fix.</summary>
    void MakeStatements(string summary)
    {
        IReadOnlyList<string>? streams = null;
        Chain();
        var entries = CollectionsMarshal.AsSpan(_entries);
        for (var i = 0; i < entries.Length; i++)
        {
            ref readonly var entry = ref entries[i];
            if (!entry.IsHead) continue;
            IReadOnlyList<string> modules = [];
            if (entry.Module == ModularBuild.UnknownStream) modules = streams ??= ModularBuild.StreamsIn(summary);
            else if (entry.Module.Length > 0) modules = ModulesOf(entry.Module);
            if (entry is { Next: < 0, Count: 1 })
            {
                var only = _intervals[entry.First];
                AddStatement(entry, modules, entry.Severity, entry.Score, only.Kind == IntervalEnd.Fixed, Single(only));
                continue;
            }

            var severity = entry.Severity;
            var score = entry.Score;
            _merged.Clear();
            for (var next = i; next >= 0; next = entries[next].Next)
            {
                ref readonly var part = ref entries[next];
                severity = Worse(severity, part.Severity);
                if (score.Vector is null) score = part.Score;
                for (var k = part.First; k < part.First + part.Count; k++)
                {
                    if (entry.Next < 0 || _merged.Count > IntervalsComparedMax || !_merged.Contains(_intervals[k])) _merged.Add(_intervals[k]);
                }
            }

            KeepOldestBuild(entry.Target.Ecosystem);
            AddMerged(entry, modules, severity, score, isFixed: true);
            AddMerged(entry, modules, severity, score, isFixed: false);
        }
    }

    void AddMerged(in Entry entry, IReadOnlyList<string> modules, Severity severity, in Score score, bool isFixed)
    {
        var count = 0;
        foreach (var interval in _merged)
        {
            if (interval.Kind == IntervalEnd.Fixed == isFixed) count++;
        }

        if (count == 0) return;
        var intervals = new VersionInterval[count];
        count = 0;
        foreach (var interval in _merged)
        {
            if (interval.Kind == IntervalEnd.Fixed == isFixed) intervals[count++] = interval;
        }

        AddStatement(entry, modules, severity, score, isFixed, intervals);
    }

    void AddStatement(
        in Entry entry, IReadOnlyList<string> modules, Severity severity, in Score score, bool isFixed, VersionInterval[] intervals)
    {
        var status = isFixed ? ProductStatus.Fixed : ProductStatus.Affected;
        // Texts and lists come from this reader, which has the same object for the same one from one entry to the next.
        if (_statements.Count > 0 && _statements[^1].Model is var last
            && ReferenceEquals(last.Intervals, intervals) && ReferenceEquals(last.Modules, modules)
            && ReferenceEquals(last.Product, entry.Target.Product) && ReferenceEquals(last.Cpe, entry.Target.Cpe)
            && last.Naming == entry.Target.Naming && last.Status == status && last.Severity == severity
            && ReferenceEquals(last.CvssVector, score.Vector) && last.CvssScore.Equals(score.Value))
        {
            _statements.Add((last, entry.Name));
            return;
        }

        var statement = new PackageStatement
        {
            Product = entry.Target.Product,
            Name = entry.Name,
            Naming = entry.Target.Naming,
            Status = status,
            Intervals = intervals,
            Cpe = entry.Target.Cpe,
            Modules = modules,
            Severity = severity,
            CvssScore = score.Value,
            CvssVector = score.Vector,
        };
        _statements.Add((statement, entry.Name));
    }

    // Most packages of a document are of one module.
    string[] ModulesOf(string module) => _modules is [var last] && last == module ? _modules : _modules = [module];

    // Most packages of a document are fixed in one version: of which one list is enough.
    VersionInterval[] Single(in VersionInterval interval)
    {
        if (_single is [var last] && ReferenceEquals(last.End, interval.End) && ReferenceEquals(last.Introduced, interval.Introduced)
            && last.Kind == interval.Kind)
        {
            return _single;
        }

        return _single = [interval];
    }

    // Links the entries of one package, from the first on in the document's order.
    void Chain()
    {
        if (_heads.Count > PackagesKeptMax) _heads = [];
        else _heads.Clear();
        var entries = CollectionsMarshal.AsSpan(_entries);
        for (var i = 0; i < entries.Length; i++)
        {
            ref var entry = ref entries[i];
            ref var head = ref CollectionsMarshal.GetValueRefOrAddDefault(
                _heads, new PackageKey(entry.Target, entry.Name, entry.Module), out var exists);
            entry.Next = -1;
            entry.IsHead = !exists;
            if (!exists)
            {
                head = i;
                entry.Last = i;
                continue;
            }

            ref var first = ref entries[head];
            entries[first.Last].Next = i;
            first.Last = i;
        }
    }

    /// <summary>Of several fixed builds of one rpm only the oldest decides.</summary>
    /// <remarks>
    /// AlmaLinux lists successive builds of one fix as separate entries (3,576 of its packages: <c>3.6.8-41.el8</c> and
    /// <c>3.6.8-41.el8.alma</c>), Rocky every build of a module that the update's module has. A machine that has any of them has the fix.
    /// Taken as OSV's union of ranges, every machine that installed the first build would look vulnerable.
    /// </remarks>
    void KeepOldestBuild(Ecosystem ecosystem)
    {
        if (_merged.Count < 2 || ecosystem.Manager != PackageManager.Rpm) return;
        var oldest = _merged[0];
        foreach (var interval in _merged)
        {
            if (interval is not { Introduced: null, Kind: IntervalEnd.Fixed }) return;
            if (ecosystem.Compare(interval.End, oldest.End) < 0) oldest = interval;
        }

        _merged.Clear();
        _merged.Add(oldest);
    }

    // ---- The document

    void ReadRoot(ref Utf8JsonReader json, ReadOnlySpan<byte> bytes)
    {
        Span<byte> scratch = stackalloc byte[NameBytesMax];
        var seen = 0u;
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var before = json;
            var baseBefore = _base;
            var name = NameOf(ref json, scratch);
            var field = RootField(name);
            json.Read();
            if (field == Root.Other)
            {
                json.Skip();
                continue;
            }

            bool ok;
            if ((seen & (1u << (int)field)) != 0)
            {
                ok = Fail($"$.{Word(field)}", "occurs twice");
            }
            else
            {
                seen |= 1u << (int)field;
                ok = ReadRootField(ref json, bytes, field);
            }

            if (ok) continue;
            if (field is Root.SchemaVersion or Root.Id or Root.Modified or Root.Withdrawn) _identityProblem ??= _problem;
            // Goes on behind it: a later member may say that the document is withdrawn.
            json = before;
            _base = baseBefore;
            json.Skip();
        }
    }

    enum Root
    {
        Other,
        SchemaVersion,
        Id,
        Modified,
        Published,
        Withdrawn,
        Aliases,
        Related,
        Upstream,
        Summary,
        Details,
        Severity,
        Affected,
        References,
        DatabaseSpecific,
        EcosystemSpecific,
    }

    static Root RootField(ReadOnlySpan<byte> name)
    {
        if (name.SequenceEqual("schema_version"u8)) return Root.SchemaVersion;
        if (name.SequenceEqual("id"u8)) return Root.Id;
        if (name.SequenceEqual("modified"u8)) return Root.Modified;
        if (name.SequenceEqual("published"u8)) return Root.Published;
        if (name.SequenceEqual("withdrawn"u8)) return Root.Withdrawn;
        if (name.SequenceEqual("aliases"u8)) return Root.Aliases;
        if (name.SequenceEqual("related"u8)) return Root.Related;
        if (name.SequenceEqual("upstream"u8)) return Root.Upstream;
        if (name.SequenceEqual("summary"u8)) return Root.Summary;
        if (name.SequenceEqual("details"u8)) return Root.Details;
        if (name.SequenceEqual("severity"u8)) return Root.Severity;
        if (name.SequenceEqual("affected"u8)) return Root.Affected;
        if (name.SequenceEqual("references"u8)) return Root.References;
        if (name.SequenceEqual("database_specific"u8)) return Root.DatabaseSpecific;
        return name.SequenceEqual("ecosystem_specific"u8) ? Root.EcosystemSpecific : Root.Other;
    }

    static string Word(Root field) => field switch
    {
        Root.DatabaseSpecific => "database_specific",
        Root.EcosystemSpecific => "ecosystem_specific",
        _ => field.ToString().ToLowerInvariant(),
    };

    bool ReadRootField(ref Utf8JsonReader json, ReadOnlySpan<byte> bytes, Root field)
    {
        // Null stands for an absent description: the schema allows it for aliases, references and severity, and writers do it with
        // others. In what says which packages are affected it would pass for "none" and hide a vulnerability.
        if (json.TokenType == JsonTokenType.Null && field != Root.Affected) return true;
        switch (field)
        {
            case Root.SchemaVersion:
                if (json.TokenType != JsonTokenType.String) return Fail("$.schema_version", JsonText.Instead(ref json, "a string"));
                // Versions with one first number can be read by who knows an earlier one; those below 1 are drafts with the same fields.
                return json.ValueSpan.StartsWith("1."u8) || json.ValueSpan.StartsWith("0."u8)
                    || Fail("$.schema_version", $"is {Encoding.UTF8.GetString(json.ValueSpan[..Math.Min(json.ValueSpan.Length, 40)])}, read are 0.x and 1.x");
            case Root.Id: return Name(ref json, "$.id", out _id);
            case Root.Modified: return Time(ref json, "$.modified", out _modified);
            case Root.Published: return Time(ref json, "$.published", out _published);
            case Root.Withdrawn:
                if (!Time(ref json, "$.withdrawn", out _)) return false;
                _withdrawn = true;
                return true;
            // AlmaLinux, Rocky and SUSE name an advisory's CVEs in related, newer feeds in upstream, others in aliases.
            case Root.Aliases: return Cves(ref json, "$.aliases");
            case Root.Related: return Cves(ref json, "$.related");
            case Root.Upstream: return Cves(ref json, "$.upstream");
            case Root.Summary:
                if (json.TokenType != JsonTokenType.String) return Fail("$.summary", JsonText.Instead(ref json, "a string"));
                _summary = JsonText.FirstLine(json.ValueSpan, SummaryCharsMax);
                return _summary is not null || Fail("$.summary", JsonText.NotText);
            case Root.Details:
                if (json.TokenType != JsonTokenType.String) return Fail("$.details", JsonText.Instead(ref json, "a string"));
                // Its first line stands for an absent summary, which may come later.
                _details = (_base + (int)json.TokenStartIndex + 1, json.ValueSpan.Length);
                return true;
            case Root.Severity: return Severities(ref json, "$", ref _severity, ref _score);
            case Root.Affected: return ReadAffected(ref json, bytes);
            case Root.References: return References(ref json, bytes);
            default:
                string? module = null;
                return Specific(ref json, $"$.{Word(field)}", ref _severity, ref module);
        }
    }

    bool Cves(ref Utf8JsonReader json, string path)
    {
        if (json.TokenType != JsonTokenType.StartArray) return Fail(path, JsonText.Instead(ref json, "an array"));
        for (var i = 0; json.Read() && json.TokenType != JsonTokenType.EndArray; i++)
        {
            if (json.TokenType != JsonTokenType.String) return Fail($"{path}[{i}]", JsonText.Instead(ref json, "a string"));
            if (!json.ValueIsEscaped && JsonText.IsCve(json.ValueSpan)) AddCve(_text.Of(json.ValueSpan)!);
        }

        return true;
    }

    void AddCve(string cve)
    {
        // Most name a few, in one list or two. Where it is more, duplicates are left to the sink, which drops them as it sorts.
        const int comparedMax = 32;
        if (_cves.Count > comparedMax || !_cves.Contains(cve)) _cves.Add(cve);
    }

    // CVE-2024-1, UBUNTU-CVE-2024-1, DEBIAN-CVE-2024-1
    void AddCveOfId()
    {
        var start = _id!.IndexOf("CVE-", StringComparison.Ordinal);
        if (start < 0 || (start > 0 && _id[start - 1] != '-')) return;
        Span<byte> bytes = stackalloc byte[NameCharsMax];
        if (Ascii.FromUtf16(_id.AsSpan(start), bytes, out var length) == OperationStatus.Done
            && JsonText.IsCve(bytes[..length]))
        {
            AddCve(_id[start..]);
        }
    }

    bool References(ref Utf8JsonReader json, ReadOnlySpan<byte> bytes)
    {
        if (json.TokenType != JsonTokenType.StartArray) return Fail("$.references", JsonText.Instead(ref json, "an array"));
        Span<byte> scratch = stackalloc byte[NameBytesMax];
        for (var i = SkipReferences(ref json, bytes, isFirst: true); json.Read() && json.TokenType != JsonTokenType.EndArray; i++)
        {
            if (json.TokenType != JsonTokenType.StartObject) return Fail($"$.references[{i}]", JsonText.Instead(ref json, "an object"));
            var start = _base + (int)json.TokenStartIndex;
            var isAdvisory = false;
            var urls = 0;
            // A string only of the one that counts.
            Utf8JsonReader url = default;
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                var name = NameOf(ref json, scratch);
                var isType = name.SequenceEqual("type"u8);
                var isUrl = name.SequenceEqual("url"u8);
                json.Read();
                if (json.TokenType == JsonTokenType.Null || (!isType && !isUrl))
                {
                    json.Skip();
                    continue;
                }

                if (json.TokenType != JsonTokenType.String)
                    return Fail($"$.references[{i}].{(isType ? "type" : "url")}", JsonText.Instead(ref json, "a string"));
                if (isType) isAdvisory = JsonText.Is(in json, "ADVISORY"u8);
                if (!isUrl) continue;
                urls++;
                if (json.ValueSpan.Length <= UrlCharsMax) url = json;
            }

            if (isAdvisory)
            {
                if (_url is null && url.TokenType == JsonTokenType.String && _text.Of(in url) is { } text
                    && (text.StartsWith("https://", StringComparison.Ordinal) || text.StartsWith("http://", StringComparison.Ordinal)))
                {
                    _url = text;
                }

                continue;
            }

            // Most of a document's references say nothing here and differ in nothing but the URL.
            if (urls != 1 || url.TokenType != JsonTokenType.String || url.ValueIsEscaped) continue;
            _alikeReferences.Begin(bytes, start, _base + (int)json.BytesConsumed);
            _alikeReferences.AddSpot(0, _base + (int)url.TokenStartIndex + 1, url.ValueSpan.Length);
            _behindReference = json.CurrentState;
            i += SkipReferences(ref json, bytes, isFirst: false);
        }

        return true;
    }

    // Steps over those that are like one that says nothing here: of another type.
    int SkipReferences(ref Utf8JsonReader json, ReadOnlySpan<byte> bytes, bool isFirst)
    {
        var position = _base + (int)json.BytesConsumed;
        var count = 0;
        if (!isFirst || _alikeReferences.First(bytes, ref position))
        {
            if (isFirst) count++;
            while (_alikeReferences.Next(bytes, ref position)) count++;
        }

        GoOn(ref json, bytes, position, _behindReference);
        return count;
    }

    // "severity": [{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:…" }]. Of several vectors v3 is taken before v4 and v2, because most
    // documents have v3 and scores are compared across documents. Ubuntu also writes its priority here.
    bool Severities(ref Utf8JsonReader json, string parent, ref Severity severity, ref Score score)
    {
        if (json.TokenType != JsonTokenType.StartArray) return Fail($"{parent}.severity", JsonText.Instead(ref json, "an array"));
        Span<byte> scratch = stackalloc byte[NameBytesMax];
        var best = 0;
        for (var i = 0; json.Read() && json.TokenType != JsonTokenType.EndArray; i++)
        {
            if (json.TokenType != JsonTokenType.StartObject) return Fail($"{parent}.severity[{i}]", JsonText.Instead(ref json, "an object"));
            string? type = null;
            string? text = null;
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                var name = NameOf(ref json, scratch);
                var isType = name.SequenceEqual("type"u8);
                var isScore = name.SequenceEqual("score"u8);
                json.Read();
                if (json.TokenType == JsonTokenType.Null || (!isType && !isScore)) json.Skip();
                else if (isType && !Name(ref json, $"{parent}.severity[{i}].type", out type)) return false;
                else if (isScore && !Name(ref json, $"{parent}.severity[{i}].score", out text)) return false;
            }

            if (type is null || text is null) continue;
            if (type == "Ubuntu") severity = Worse(severity, SeverityOf(text));
            var rank = type switch { "CVSS_V3" => 3, "CVSS_V4" => 2, "CVSS_V2" => 1, _ => 0 };
            if (rank == 0) continue;
            double? value = Cvss.TryParse(text, out var cvss) ? cvss.BaseScore : null;
            // One that can be scored is before any that cannot.
            if (value is not null) rank += 3;
            if (rank <= best) continue;
            best = rank;
            score = new Score(text, value);
        }

        return true;
    }

    // ecosystem_specific and database_specific: what is in them is the vendor's, so that another type is no fault and no word.
    // "severity" is GitHub's and Rocky's, "urgency" Debian's, "priority" and "ubuntu_priority" Ubuntu's; "module" is a label as
    // rpm's (nodejs:18:8080020230718:63b34585).
    bool Specific(ref Utf8JsonReader json, string path, ref Severity severity, ref string? module)
    {
        if (json.TokenType != JsonTokenType.StartObject) return Fail(path, JsonText.Instead(ref json, "an object"));
        Span<byte> scratch = stackalloc byte[NameBytesMax];
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var name = NameOf(ref json, scratch);
            var isSeverity = name.SequenceEqual("severity"u8) || name.SequenceEqual("urgency"u8) || name.SequenceEqual("priority"u8)
                || name.SequenceEqual("ubuntu_priority"u8);
            var isModule = name.SequenceEqual("module"u8);
            json.Read();
            if (json.TokenType != JsonTokenType.String || (!isSeverity && !isModule))
            {
                json.Skip();
                continue;
            }

            if (json.ValueSpan.Length > NameCharsMax || _text.Of(ref json) is not { } text) continue;
            if (isSeverity) severity = Worse(severity, SeverityOf(text));
            else if (ModularBuild.IsStream(ModularBuild.StreamOf(text))) module = ModularBuild.StreamOf(text).ToString();
        }

        return true;
    }

    // ---- Affected packages

    bool ReadAffected(ref Utf8JsonReader json, ReadOnlySpan<byte> bytes)
    {
        if (json.TokenType != JsonTokenType.StartArray) return Fail("$.affected", JsonText.Instead(ref json, "an array"));
        _affectedIndex = 0;
        ReadAlike(ref json, bytes, _base + (int)json.BytesConsumed, isFirst: true);
        for (; json.Read() && json.TokenType != JsonTokenType.EndArray; _affectedIndex++)
        {
            if (json.TokenType != JsonTokenType.StartObject)
                return Fail($"$.affected[{_affectedIndex}]", JsonText.Instead(ref json, "an object"));
            var start = _base + (int)json.TokenStartIndex;
            var (entries, leftOut) = (_entries.Count, _leftOut.Count);
            if (!ReadEntry(ref json)) return false;
            if (_entries.Count != entries + 1 || _leftOut.Count != leftOut || !IsPattern()) continue;
            TakePattern(in json, bytes, start);
            _affectedIndex++;
            ReadAlike(ref json, bytes, _base + (int)json.BytesConsumed, isFirst: false);
            _affectedIndex--;
        }

        return true;
    }

    // ---- Entries that are like the one before

    enum SpotKind
    {
        Name,
        Version,
        PackageUrl,
    }

    const int SpotKinds = 3;

    void AddSpot(SpotKind kind, ref readonly Utf8JsonReader json)
    {
        // Two of a kind, or one that is escaped: no pattern.
        ref var spot = ref _spots[(int)kind];
        _hasPattern &= spot.Length == 0 && !json.ValueIsEscaped && !json.ValueSpan.IsEmpty;
        spot = (_base + (int)json.TokenStartIndex + 1, json.ValueSpan.Length);
    }

    // One range of "introduced": "0" and an end, and a name and a version at one place each.
    bool IsPattern() =>
        _hasPattern && _spots[(int)SpotKind.Name].Length > 0 && _spots[(int)SpotKind.Version].Length > 0
        && _package.Module is null && _events.Count == 2
        && _events[0] is { Kind: EventKind.Introduced, Version: "0" } && _events[1].Kind != EventKind.Introduced && _events[1].Range == 0;

    // Takes the entry that was read for the pattern of those that follow, here and in the next documents.
    void TakePattern(ref readonly Utf8JsonReader json, ReadOnlySpan<byte> bytes, int start)
    {
        _alike.Begin(bytes, start, _base + (int)json.BytesConsumed);
        for (var kind = 0; kind < SpotKinds; kind++) _alike.AddSpot(kind, _spots[kind].Start, _spots[kind].Length);
        _model = _entries[^1];
        _modelVersion = _events[1].Version;
        _modelEnd = _events[1].End;
        _behindEntry = json.CurrentState;
    }

    /// <summary>Reads entries that are like the pattern, but for the name, the version and the package URL.</summary>
    /// <param name="position">Behind the list's bracket or behind an entry.</param>
    /// <remarks>
    /// Of the 2.3 million tokens of AlmaLinux' feed 2.2 million are in such entries. The documents of a release come one after the other, so that the
    /// first entry of one is like those of the document before.
    /// </remarks>
    void ReadAlike(ref Utf8JsonReader json, ReadOnlySpan<byte> bytes, int position, bool isFirst)
    {
        var isRpm = _model.Target?.Ecosystem.Manager == PackageManager.Rpm;
        var next = position;
        for (; isFirst ? _alike.First(bytes, ref next) : _alike.Next(bytes, ref next); position = next, isFirst = false)
        {
            var name = _alike.Text(bytes, (int)SpotKind.Name);
            var version = _alike.Text(bytes, (int)SpotKind.Version);
            // What is too long is told by the reader.
            if (name.Length > NameCharsMax || version.Length > NameCharsMax) break;
            if (_alike.Text(bytes, (int)SpotKind.PackageUrl).IndexOf("rpmmod="u8) >= 0) break;
            if (!Ascii.Equals(version, _modelVersion)) _modelVersion = _text.Of(version)!;
            var modular = isRpm && ModularBuild.Is(_modelVersion);
            _entries.Add(_model with
            {
                Name = _model.Target!.Ecosystem.NormalizeName(_text.Of(name)!),
                Module = modular ? ModularBuild.UnknownStream : "",
                First = _intervals.Count,
            });
            _intervals.Add(new VersionInterval(null, _modelVersion, _modelEnd));
            _affectedIndex++;
        }

        GoOn(ref json, bytes, position, _behindEntry);
    }

    // Behind elements that were read without it.
    void GoOn(ref Utf8JsonReader json, ReadOnlySpan<byte> bytes, int position, JsonReaderState behindOne)
    {
        if (position == _base + (int)json.BytesConsumed) return;
        json = new Utf8JsonReader(bytes[position..], isFinalBlock: true, behindOne);
        _base = position;
    }

    bool ReadEntry(ref Utf8JsonReader json)
    {
        Span<byte> scratch = stackalloc byte[NameBytesMax];
        _events.Clear();
        Array.Clear(_spots);
        _hasPattern = true;
        _package = default;
        Utf8JsonReader versions = default;
        var seen = 0u;
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var name = NameOf(ref json, scratch);
            var field = name.SequenceEqual("package"u8) ? 1
                : name.SequenceEqual("ranges"u8) ? 2
                : name.SequenceEqual("versions"u8) ? 3
                : name.SequenceEqual("database_specific"u8) ? 4
                : name.SequenceEqual("ecosystem_specific"u8) ? 5
                : name.SequenceEqual("severity"u8) ? 6
                : 0;
            json.Read();
            if (field == 0 || (field > 3 && json.TokenType == JsonTokenType.Null))
            {
                json.Skip();
                continue;
            }

            if ((seen & (1u << field)) != 0) return FailInEntry(EntryFields[field], "occurs twice");
            seen |= 1u << field;
            var ok = true;
            switch (field)
            {
                case 1:
                    ok = ReadPackage(ref json);
                    break;
                case 2:
                    ok = ReadRanges(ref json);
                    break;
                case 3:
                    if (json.TokenType != JsonTokenType.StartArray) return FailInEntry("versions", JsonText.Instead(ref json, "an array"));
                    // Read only when there is no range: with one, versions only enumerates what lies in it.
                    versions = json;
                    json.Skip();
                    break;
                case 6:
                    ok = Severities(ref json, $"$.affected[{_affectedIndex}]", ref _package.Severity, ref _package.Score);
                    break;
                default:
                    // The path is only for a value that is no object.
                    ok = Specific(ref json, json.TokenType == JsonTokenType.StartObject ? "" : $"$.affected[{_affectedIndex}].{EntryFields[field]}",
                        ref _package.Severity, ref _package.Module);
                    break;
            }

            if (!ok) return false;
        }

        // The schema lets the package be absent: such an entry is about commits of a repository.
        if ((seen & (1u << 1)) == 0)
        {
            _leftOut.Add("no package");
            return true;
        }

        return AddPackage(versions);
    }

    static readonly string[] EntryFields = ["", "package", "ranges", "versions", "database_specific", "ecosystem_specific", "severity"];

    bool ReadPackage(ref Utf8JsonReader json)
    {
        if (json.TokenType != JsonTokenType.StartObject) return FailInEntry("package", JsonText.Instead(ref json, "an object"));
        Span<byte> scratch = stackalloc byte[NameBytesMax];
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var property = NameOf(ref json, scratch);
            var field = property.SequenceEqual("ecosystem"u8) ? "ecosystem" : property.SequenceEqual("name"u8) ? "name"
                : property.SequenceEqual("purl"u8) ? "purl" : null;
            json.Read();
            if (field is null || json.TokenType == JsonTokenType.Null)
            {
                json.Skip();
                continue;
            }

            if (json.TokenType != JsonTokenType.String) return FailInEntry($"package.{field}", JsonText.Instead(ref json, "a string"));
            if (field == "purl")
            {
                AddSpot(SpotKind.PackageUrl, in json);
                if (json.ValueSpan.IndexOf("rpmmod="u8) >= 0) _package.Module ??= ModularBuild.OfPackageUrl(_text.Of(ref json));
                continue;
            }

            if ((field == "ecosystem" ? _package.Ecosystem : _package.Name) is not null) return FailInEntry($"package.{field}", "occurs twice");
            var text = _text.Of(ref json);
            if (text is null) return FailInEntry($"package.{field}", JsonText.NotText);
            if (text.Length is 0 or > NameCharsMax) return FailInEntry($"package.{field}", Length(text));
            if (field == "ecosystem") _package.Ecosystem = text;
            else
            {
                _package.Name = text;
                AddSpot(SpotKind.Name, in json);
            }
        }

        if (_package.Ecosystem is null) return FailInEntry("package.ecosystem", "is absent");
        return _package.Name is not null || FailInEntry("package.name", "is absent");
    }

    bool ReadRanges(ref Utf8JsonReader json)
    {
        if (json.TokenType != JsonTokenType.StartArray) return FailInEntry("ranges", JsonText.Instead(ref json, "an array"));
        Span<byte> scratch = stackalloc byte[NameBytesMax];
        for (_rangeIndex = 0; json.Read() && json.TokenType != JsonTokenType.EndArray; _rangeIndex++)
        {
            if (json.TokenType != JsonTokenType.StartObject) return FailInRange("", JsonText.Instead(ref json, "an object"));
            var firstEvent = _events.Count;
            var hasEvents = false;
            string? type = null;
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                var name = NameOf(ref json, scratch);
                var isType = name.SequenceEqual("type"u8);
                var isEvents = name.SequenceEqual("events"u8);
                json.Read();
                if (!isType && !isEvents)
                {
                    json.Skip();
                    continue;
                }

                if (isType ? type is not null : hasEvents) return FailInRange(isType ? ".type" : ".events", "occurs twice");
                if (isEvents)
                {
                    hasEvents = true;
                    if (!ReadEvents(ref json)) return false;
                }
                else
                {
                    if (json.TokenType != JsonTokenType.String) return FailInRange(".type", JsonText.Instead(ref json, "a string"));
                    type = _text.Of(ref json);
                    if (type is null) return FailInRange(".type", JsonText.NotText);
                }
            }

            if (type is null) return FailInRange(".type", "is absent");
            if (type is not ("ECOSYSTEM" or "SEMVER"))
            {
                // GIT: commits, which no package manager knows.
                const int shown = 32;
                _leftOut.Add(type == "GIT" ? "range GIT" : $"range {type.AsSpan(0, Math.Min(type.Length, shown))}");
                _events.RemoveRange(firstEvent, _events.Count - firstEvent);
                continue;
            }

            if (!hasEvents) return FailInRange(".events", "is absent");
            _package.HasRange = true;
        }

        return true;
    }

    bool ReadEvents(ref Utf8JsonReader json)
    {
        if (json.TokenType != JsonTokenType.StartArray) return FailInRange(".events", JsonText.Instead(ref json, "an array"));
        Span<byte> scratch = stackalloc byte[NameBytesMax];
        for (_eventIndex = 0; json.Read() && json.TokenType != JsonTokenType.EndArray; _eventIndex++)
        {
            if (json.TokenType != JsonTokenType.StartObject) return FailInRange($".events[{_eventIndex}]", JsonText.Instead(ref json, "an object"));
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                var name = NameOf(ref json, scratch);
                EventKind kind;
                if (name.SequenceEqual("introduced"u8)) kind = EventKind.Introduced;
                else if (name.SequenceEqual("fixed"u8)) kind = EventKind.Fixed;
                else if (name.SequenceEqual("last_affected"u8)) kind = EventKind.LastAffected;
                else if (name.SequenceEqual("limit"u8)) kind = EventKind.Limit;
                else kind = EventKind.Other;
                json.Read();
                if (kind == EventKind.Other)
                {
                    json.Skip();
                    continue;
                }

                if (json.TokenType != JsonTokenType.String) return FailInEvent(kind, JsonText.Instead(ref json, "a string"));
                var version = _text.Of(ref json);
                if (version is null) return FailInEvent(kind, JsonText.NotText);
                if (version.Length is 0 or > NameCharsMax) return FailInEvent(kind, Length(version));
                // A limit ends a range of commits. In one of versions the schema lets it be, and nobody writes it.
                if (kind == EventKind.Limit) _leftOut.Add("limit event");
                else _events.Add(new Event(version, kind, _rangeIndex));
                if (kind != EventKind.Introduced) AddSpot(SpotKind.Version, in json);
            }
        }

        return true;
    }

    bool AddPackage(Utf8JsonReader versions)
    {
        if (!TryTarget(_package.Ecosystem!, out var target)) return true;
        var first = _intervals.Count;
        for (int i = 0, next; i < _events.Count; i = next)
        {
            next = i + 1;
            while (next < _events.Count && _events[next].Range == _events[i].Range) next++;
            AddIntervals(target.Ecosystem, i, next);
        }

        if (!_package.HasRange && versions.TokenType == JsonTokenType.StartArray)
        {
            for (var i = 0; versions.Read() && versions.TokenType != JsonTokenType.EndArray; i++)
            {
                if (versions.TokenType != JsonTokenType.String) return FailInEntry($"versions[{i}]", JsonText.Instead(ref versions, "a string"));
                var version = _text.Of(ref versions);
                if (version is null) return FailInEntry($"versions[{i}]", JsonText.NotText);
                if (version.Length is 0 or > NameCharsMax) return FailInEntry($"versions[{i}]", Length(version));
                _intervals.Add(VersionInterval.Exactly(version));
            }
        }

        if (_intervals.Count == first) return true;
        if (_package.Module is { } module || target.Ecosystem.Manager != PackageManager.Rpm)
        {
            AddEntry(target, _package.Module ?? "", first, _intervals.Count - first);
            return true;
        }

        // Builds of modules and others are kept apart: they are fixed on their own, and an installed package is one or the other.
        for (int i = first, next; i < _intervals.Count; i = next)
        {
            var modular = ModularBuild.Is(_intervals[i].End ?? _intervals[i].Introduced);
            for (next = i + 1; next < _intervals.Count; next++)
            {
                if (ModularBuild.Is(_intervals[next].End ?? _intervals[next].Introduced) != modular) break;
            }

            AddEntry(target, modular ? ModularBuild.UnknownStream : "", i, next - i);
        }

        return true;
    }

    void AddEntry(Target target, string module, int first, int count) => _entries.Add(new Entry
    {
        Target = target,
        Name = target.Ecosystem.NormalizeName(_package.Name!),
        Module = module,
        Severity = _package.Severity,
        Score = _package.Score,
        First = first,
        Count = count,
    });

    // Events are a set: the schema's evaluation sorts them by version first, "0" before everything.
    void AddIntervals(Ecosystem ecosystem, int first, int end)
    {
        if (end - first <= 2 && _events[first].Kind == EventKind.Introduced)
        {
            var from = _events[first].Version == "0" ? null : _events[first].Version;
            if (end - first == 1)
            {
                _intervals.Add(new VersionInterval(from, null, IntervalEnd.None));
                return;
            }

            var to = _events[first + 1];
            if (to.Kind != EventKind.Introduced && (from is null || ecosystem.Compare(from, to.Version) < 0))
            {
                _intervals.Add(new VersionInterval(from, to.Version, to.End));
                return;
            }
        }

        AddSorted(ecosystem, first, end);
    }

    void AddSorted(Ecosystem ecosystem, int first, int end)
    {
        string? introduced = null;
        var open = false;
        foreach (var next in _events.GetRange(first, end - first).Order(Comparer<Event>.Create((a, b) => Order(ecosystem, a, b))))
        {
            if (next.Kind == EventKind.Introduced && !open)
            {
                introduced = next.Version == "0" ? null : next.Version;
                open = true;
            }
            else if (next.Kind != EventKind.Introduced && open)
            {
                _intervals.Add(new VersionInterval(introduced, next.Version, next.End));
                open = false;
            }
        }

        if (open) _intervals.Add(new VersionInterval(introduced, null, IntervalEnd.None));

        static int Order(Ecosystem ecosystem, Event a, Event b)
        {
            var firstA = a is { Version: "0", Kind: EventKind.Introduced };
            var firstB = b is { Version: "0", Kind: EventKind.Introduced };
            if (firstA || firstB) return firstB.CompareTo(firstA);
            var order = ecosystem.Compare(a.Version, b.Version);
            // At one version: fixed there, introduced there, still affected there.
            return order != 0 ? order : a.Kind.CompareTo(b.Kind);
        }
    }

    bool TryTarget(string ecosystemName, out Target target)
    {
        if (_targets.TryGetValue(ecosystemName, out target!)) return true;
        if (Ecosystem.Find(ecosystemName) is not { } ecosystem || Product(ecosystem, ecosystemName) is not { } product)
        {
            const int shown = 64;
            _leftOut.Add($"ecosystem {ecosystemName.AsSpan(0, Math.Min(ecosystemName.Length, shown))}");
            return false;
        }

        target = new Target(ecosystem, product.Name, product.Cpe, ecosystem.NamesSource ? PackageNaming.Source : PackageNaming.Binary);
        // Some hundred exist. A hostile feed shall not fill the memory with others.
        if (_targets.Count == ProductsKeptMax)
        {
            _targets.Clear();
            _alike.Clear();
        }

        _targets.Add(ecosystemName, target);
        return true;
    }

    // Red Hat's ecosystem is a CPE without its first three segments: "Red Hat:rhel_eus:9.2::appstream".
    static (string Name, string? Cpe)? Product(Ecosystem ecosystem, string name)
    {
        if (ecosystem.Family != "Red Hat") return (name, null);
        var rest = name.AsSpan(Math.Min(name.Length, "Red Hat:".Length));
        var channel = rest[(rest.LastIndexOf(':') + 1)..];
        // The part (o or a) is not written. In Red Hat's repository-to-cpe.json of 2025 these channels of RHEL are /o and all but a few
        // of the others /a. Nothing is decided by it: Red Hat tells scanners to take both for the same.
        var part = channel is "baseos" or "server" or "client" or "workstation" or "computenode" ? "o" : "a";
        var cpe = $"cpe:/{part}:redhat:{rest}";
        return Cpe.ProductOf(cpe) is { } product ? (product, cpe) : null;
    }

    // ---- Values

    const int NameBytesMax = 32;

    // The name of a property, unescaped. Empty for one that is longer than all that are known.
    static ReadOnlySpan<byte> NameOf(ref readonly Utf8JsonReader json, Span<byte> scratch)
    {
        if (!json.ValueIsEscaped) return json.ValueSpan;
        // An escape is at most six times as long as what it stands for.
        if (json.ValueSpan.Length > scratch.Length) return json.ValueSpan.Length > scratch.Length * 6 ? default : Long(in json, scratch);
        try
        {
            return scratch[..json.CopyString(scratch)];
        }
        catch (InvalidOperationException)
        {
            return default;
        }

        static ReadOnlySpan<byte> Long(ref readonly Utf8JsonReader json, Span<byte> scratch)
        {
            var name = new byte[json.ValueSpan.Length];
            try
            {
                var length = json.CopyString(name);
                if (length > scratch.Length) return default;
                name.AsSpan(0, length).CopyTo(scratch);
                return scratch[..length];
            }
            catch (InvalidOperationException)
            {
                return default;
            }
        }
    }

    bool Name(ref readonly Utf8JsonReader json, string path, out string? text)
    {
        text = null;
        if (json.TokenType != JsonTokenType.String) return Fail(path, JsonText.Instead(in json, "a string"));
        var value = _text.Of(in json);
        if (value is null) return Fail(path, JsonText.NotText);
        if (value.Length is 0 or > NameCharsMax) return Fail(path, Length(value));
        text = value;
        return true;
    }

    bool Time(ref readonly Utf8JsonReader json, string path, out DateTimeOffset? time)
    {
        time = null;
        if (json.TokenType != JsonTokenType.String) return Fail(path, JsonText.Instead(in json, "a string"));
        if (!JsonText.TryTime(in json, out var value)) return Fail(path, "is not a time");
        time = value;
        return true;
    }

    static string Length(string text) => text.Length == 0 ? "is empty" : $"has {text.Length} characters, limit {NameCharsMax}";

    bool Fail(string path, string reason)
    {
        _problem ??= new Problem(path, reason);
        return false;
    }

    bool FailInEntry(string member, string reason) => Fail($"$.affected[{_affectedIndex}].{member}", reason);

    bool FailInRange(string member, string reason) => Fail($"$.affected[{_affectedIndex}].ranges[{_rangeIndex}]{member}", reason);

    bool FailInEvent(EventKind kind, string reason)
    {
        var name = kind switch
        {
            EventKind.Introduced => "introduced",
            EventKind.Fixed => "fixed",
            EventKind.LastAffected => "last_affected",
            _ => "limit",
        };
        return FailInRange($".events[{_eventIndex}].{name}", reason);
    }

    static Severity Worse(Severity a, Severity b) => a > b ? a : b;

    /// <summary>The words of all vendors for Red Hat's four: GitHub's HIGH, Ubuntu's negligible, Debian's unimportant.</summary>
    public static Severity SeverityOf(ReadOnlySpan<char> word)
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

    // The qualitative scale of CVSS v3.1, section 5, which v4.0 has too.
    static Severity SeverityOf(double score) => score switch
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

    // In the order of events at one version.
    enum EventKind
    {
        Fixed,
        Introduced,
        LastAffected,
        Limit,
        Other,
    }

    readonly record struct Event(string Version, EventKind Kind, int Range)
    {
        public IntervalEnd End => Kind == EventKind.Fixed ? IntervalEnd.Fixed : IntervalEnd.LastAffected;
    }

    readonly record struct Score(string? Vector, double? Value);

    sealed record Problem(string Path, string Reason);

    /// <summary>What an ecosystem's name stands for.</summary>
    sealed record Target(Ecosystem Ecosystem, string Product, string? Cpe, PackageNaming Naming);

    /// <summary>What statements are made for. Targets are kept, so that one ecosystem's name has one.</summary>
    readonly record struct PackageKey(Target Target, string Name, string Module)
    {
        public bool Equals(PackageKey other) =>
            ReferenceEquals(Target, other.Target) && string.Equals(Name, other.Name, StringComparison.Ordinal)
            && string.Equals(Module, other.Module, StringComparison.Ordinal);

        public override int GetHashCode() => Name.GetHashCode(StringComparison.Ordinal) ^ RuntimeHelpers.GetHashCode(Target);
    }

    struct Package
    {
        public string? Ecosystem;
        public string? Name;
        public string? Module;
        public bool HasRange;
        public Severity Severity;
        public Score Score;
    }

    /// <summary>What one affected entry says of a package.</summary>
    struct Entry
    {
        public Target Target;
        public string Name;

        /// <summary>Empty: in none.</summary>
        public string Module;
        public Severity Severity;
        public Score Score;
        public int First;
        public int Count;

        /// <summary>The next entry of the same package, -1 when there is none.</summary>
        public int Next;

        /// <summary>Of a head: the last entry of its package.</summary>
        public int Last;
        public bool IsHead;
    }
}
