using System.Text;
using System.Text.Json;

namespace Guestmark.Vulnerabilities;

/// <summary>Reads CSAF documents, one after the other, with one set of tables.</summary>
sealed class CsafReader
{
    // What a reader may hold on to between documents. Red Hat's largest need 6 MB.
    const long CapacityMax = 64 << 20;
    const int TextsMax = 100_000;
    const int SummaryBytesMax = 1000;

    readonly Utf8Table _texts = new();
    readonly CsafFaults _faults = new();
    readonly CsafProducts _products;
    readonly CsafVulnerability _vulnerability;
    readonly CsafStatements _statements;
    readonly List<string> _cves = [];
    Header _header = new();

    public CsafReader()
    {
        _products = new CsafProducts(_texts);
        _statements = new CsafStatements(_texts, _products);
        _vulnerability = new CsafVulnerability(_texts, _products, _faults, _statements);
    }

    /// <summary>Its tables are small enough to be kept.</summary>
    public bool Reusable => _texts.Capacity + _products.Capacity < CapacityMax;

    public void Read(string document, ReadOnlyMemory<byte> json, IFeedSink sink)
    {
        // Names, versions, CPEs and URLs are mostly those of the documents before.
        var forget = _texts.Count > TextsMax;
        if (forget) _texts.Clear();
        _faults.Start(document, json, sink);
        _products.Start(json, forget);
        _vulnerability.Start();
        _statements.Start(sink);
        _cves.Clear();
        _header = new Header();
        try
        {
            if (TryRead(sink)) sink.Add(Make());
        }
        catch (JsonException e)
        {
            _faults.Refuse($"not valid JSON: {_faults.SyntaxFault(e)}");
        }
        catch (InvalidOperationException)
        {
            // The JSON reader does not look into strings before they are asked for, and then throws this.
            _faults.Refuse("a text in it is not valid UTF-8 or has an unpaired surrogate");
        }
        finally
        {
            _faults.End();
            _products.Start(default, false);
        }
    }

    bool TryRead(IFeedSink sink)
    {
        var json = _faults.FromStart();
        if (!json.Read() || json.TokenType != JsonTokenType.StartObject)
        {
            _faults.Refuse("not a JSON object");
            return false;
        }

        bool? accepted = null;
        var hasTree = false;
        var vulnerabilities = -1;
        var isRead = false;
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (json.Is("document"u8) && accepted is null)
            {
                ReadHeader(ref json);
                accepted = Accept(sink);
                if (accepted is false) return false;
            }
            else if (json.Is("product_tree"u8) && !hasTree)
            {
                _products.Read(ref json, _faults);
                hasTree = true;
            }
            else if (json.Is("vulnerabilities"u8) && vulnerabilities < 0)
            {
                vulnerabilities = _faults.At(in json);
                isRead = hasTree && accepted is true;
                if (isRead) ReadVulnerabilities(ref json);
                else _faults.Pass(ref json);
            }
            else
            {
                _faults.Pass(ref json);
            }
        }

        // Throws when anything follows.
        while (json.Read())
        {
        }

        if (accepted is null)
        {
            _faults.Refuse("no CSAF document: it has no document");
            return false;
        }

        if (vulnerabilities >= 0 && !isRead)
        {
            // Members of an object may come in any order. To these, what they refer to came after.
            var late = _faults.FromStart();
            while (late.Read() && late.TokenStartIndex < vulnerabilities)
            {
            }

            ReadVulnerabilities(ref late);
        }

        if (_vulnerability.Count > 0) return true;
        sink.LeaveOut("CSAF document without a vulnerability");
        return false;
    }

    void ReadHeader(ref Utf8JsonReader json)
    {
        if (!_faults.Enter(ref json, JsonTokenType.StartObject, "document")) return;
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (json.Is("category"u8)) _header.Category = ReadText(ref json, "category");
            else if (json.Is("csaf_version"u8)) _header.Version = ReadText(ref json, "csaf_version", ref _header.VersionOffset);
            else if (json.Is("title"u8)) _header.Title = ReadText(ref json, "title");
            else if (json.Is("aggregate_severity"u8)) ReadAggregateSeverity(ref json);
            else if (json.Is("publisher"u8)) ReadPublisher(ref json);
            else if (json.Is("references"u8)) ReadReferences(ref json);
            else if (json.Is("tracking"u8)) ReadTracking(ref json);
            else _faults.Pass(ref json);
        }
    }

    void ReadAggregateSeverity(ref Utf8JsonReader json)
    {
        if (!_faults.Enter(ref json, JsonTokenType.StartObject, "aggregate_severity")) return;
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (!json.Is("text"u8)) _faults.Pass(ref json);
            else if (_faults.Enter(ref json, JsonTokenType.String, "text"))
                _header.Severity = CsafVulnerability.SeverityOf(_products.Unescape(ref json));
        }
    }

    void ReadPublisher(ref Utf8JsonReader json)
    {
        if (!_faults.Enter(ref json, JsonTokenType.StartObject, "publisher")) return;
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (json.Is("namespace"u8)) _header.Publisher = ReadText(ref json, "namespace");
            else _faults.Pass(ref json);
        }
    }

    // The page for people: the first reference to itself that is not the JSON.
    void ReadReferences(ref Utf8JsonReader json)
    {
        if (!_faults.Enter(ref json, JsonTokenType.StartArray, "references")) return;
        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
        {
            if (!_faults.Is(ref json, JsonTokenType.StartObject, "reference")) continue;
            var isSelf = false;
            var url = 0;
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                if (json.Is("category"u8))
                {
                    if (_faults.Enter(ref json, JsonTokenType.String, "category")) isSelf = json.Is("self"u8);
                }
                else if (json.Is("url"u8))
                {
                    if (_faults.Enter(ref json, JsonTokenType.String, "url")) url = _texts.Add(_products.Unescape(ref json));
                }
                else
                {
                    _faults.Pass(ref json);
                }
            }

            if (!isSelf || url == 0) continue;
            if (!_texts[url].EndsWith(".json"u8)) _header.Page ??= _texts.Text(url);
            else _header.Self ??= _texts.Text(url);
        }
    }

    void ReadTracking(ref Utf8JsonReader json)
    {
        if (!_faults.Enter(ref json, JsonTokenType.StartObject, "tracking")) return;
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (json.Is("id"u8)) _header.Id = ReadText(ref json, "id");
            else if (json.Is("status"u8)) _header.Status = ReadText(ref json, "status");
            else if (json.Is("current_release_date"u8)) _header.Modified = ReadTime(ref json, "current_release_date");
            else if (json.Is("initial_release_date"u8)) _header.Published = ReadTime(ref json, "initial_release_date");
            else _faults.Pass(ref json);
        }
    }

    string ReadText(ref Utf8JsonReader json, string what)
    {
        var offset = 0L;
        return ReadText(ref json, what, ref offset);
    }

    string ReadText(ref Utf8JsonReader json, string what, ref long offset)
    {
        if (!_faults.Enter(ref json, JsonTokenType.String, what)) return "";
        offset = _faults.At(in json);
        var text = _products.Unescape(ref json);
        return Encoding.UTF8.GetString(text[..CsafVulnerability.CutAt(text, SummaryBytesMax)]);
    }

    DateTimeOffset? ReadTime(ref Utf8JsonReader json, string what)
    {
        if (!_faults.Enter(ref json, JsonTokenType.String, what)) return null;
        if (json.TryGetDateTimeOffset(out var time)) return time;
        var text = json.ValueSpan[..CsafVulnerability.CutAt(json.ValueSpan, 40)];
        _faults.Add(_faults.At(in json), $"{what} is no time of RFC 3339: '{Encoding.UTF8.GetString(text)}'");
        return null;
    }

    // Decides by its header whether the document counts.
    bool Accept(IFeedSink sink)
    {
        if (_header.Id.Length == 0)
        {
            _faults.Refuse("no CSAF document: it has no document.tracking.id");
            return false;
        }

        // What Red Hat deletes is left of with id and status alone.
        if (_header.Status == "deleted" || _header.Category is "csaf_withdrawn" or "csaf_superseded")
        {
            sink.Withdraw(_header.Feed, _header.Id, _header.Modified);
            if (_header.Modified is null)
                _faults.Refuse("deleted, but it has no document.tracking.current_release_date: takes back only versions without one");
            return false;
        }

        if (_header.Version is not ("2.0" or "2.1"))
        {
            if (_header.Version.Length == 0) _faults.Refuse("no CSAF document: it has no document.csaf_version");
            else _faults.Add(_header.VersionOffset, $"CSAF version '{_header.Version}' is not known; 2.0 and 2.1 are");
            return false;
        }

        if (_header.Status == "draft")
        {
            sink.LeaveOut("CSAF draft");
            return false;
        }

        if (_header.Modified is null) _faults.Refuse("it has no document.tracking.current_release_date: any other version of it counts as newer");
        return true;
    }

    void ReadVulnerabilities(ref Utf8JsonReader json)
    {
        if (!_faults.Enter(ref json, JsonTokenType.StartArray, "vulnerabilities")) return;
        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
        {
            if (!_faults.Is(ref json, JsonTokenType.StartObject, "vulnerability")) continue;
            var name = _vulnerability.Read(ref json);
            if (name.StartsWith("CVE-", StringComparison.Ordinal) && !_cves.Contains(name)) _cves.Add(name);
            if (_header.Title.Length == 0) _header.Title = _vulnerability.Title;
        }
    }

    Advisory Make()
    {
        var severity = _header.Severity;
        if (severity == Severity.Unknown) severity = _statements.SeverityMax;
        var (score, vector) = _statements.CommonScore();
        if (severity == Severity.Unknown && score is { } known) severity = CsafVulnerability.SeverityOf(known);
        return new Advisory
        {
            Feed = _header.Feed,
            Id = _header.Id,
            Part = _header.Part,
            Cves = [.. _cves],
            Summary = _header.Title,
            Severity = severity,
            CvssScore = score,
            CvssVector = vector,
            Published = _header.Published,
            Modified = _header.Modified,
            Url = _header.Feed == FeedName.RedHatVex ? $"https://access.redhat.com/security/cve/{_header.Id}" : _header.Page ?? _header.Self,
            Statements = _statements.Make(_header.Id, severity, score, vector),
        };
    }

    sealed class Header
    {
        public string Category = "";
        public string Version = "";
        public long VersionOffset;
        public string Title = "";
        public Severity Severity;
        public string Publisher = "";
        public string? Page;
        public string? Self;
        public string Id = "";
        public string Status = "";
        public DateTimeOffset? Modified;
        public DateTimeOffset? Published;

        // The stub that is left of a deleted document has no publisher; only Red Hat leaves such stubs.
        bool IsRedHat => Publisher.Length == 0 ? Status == "deleted" : Publisher.TrimEnd('/') is "https://www.redhat.com";

        public string Feed => IsRedHat && Id.StartsWith("CVE-", StringComparison.Ordinal)
            && Category is "csaf_vex" or "" or "csaf_withdrawn" or "csaf_superseded"
            ? FeedName.RedHatVex
            : FeedName.Csaf;

        // CSAF 2.0, 3.2.1.8: only publisher and id together name a document. SUSE's and others' VEX have CVEs for ids.
        public string Part => IsRedHat ? "" : Publisher;
    }
}
