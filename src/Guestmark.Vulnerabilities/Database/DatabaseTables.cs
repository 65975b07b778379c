using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace Guestmark.Vulnerabilities;

/// <summary>The rows of a database while it is made.</summary>
sealed class DatabaseTables
{
    readonly Dictionary<string, int> _texts = new(StringComparer.Ordinal) { [""] = 0 };
    readonly List<uint> _textStarts = [0, 0];
    readonly MemoryStream _textBytes = new();
    readonly Dictionary<string, int> _listPlaces = new(StringComparer.Ordinal);
    readonly List<int> _lists = [0];
    readonly List<SourceRow> _sources = [];
    readonly List<DocumentRow> _documents = [];
    readonly List<StatementRow> _statements = [];
    readonly Dictionary<DetailRow, int> _detailPlaces = [];
    readonly List<DetailRow> _details = [];
    readonly List<IntervalRow> _intervals = [];
    readonly List<PredictionRow> _predictions = [];
    readonly List<KnownExploitedRow> _knownExploited = [];
    readonly List<DecisionRow> _decisions = [];

    public DatabaseTables() => Detail(new PackageStatement { Product = "", Name = "" });

    public void Add(AdvisorySource source) => _sources.Add(new SourceRow
    {
        Name = Text(source.Name),
        Format = Text(source.Format),
        Uri = Text(source.Uri),
        Version = Text(source.Version),
        Documents = source.Documents,
        Skipped = source.Skipped,
        Imported = source.Imported.UtcTicks,
        Newest = source.Newest?.UtcTicks ?? 0,
    });

    /// <param name="advisory">Normalized. Documents are added in the order in which they are stored.</param>
    public void Add(int source, Advisory advisory, ulong hash, DocumentState state)
    {
        var start = _statements.Count;
        foreach (var statement in advisory.Statements) Add(statement);
        _documents.Add(new DocumentRow
        {
            Source = source,
            Feed = Text(advisory.Feed),
            Id = Text(advisory.Id),
            Part = Text(advisory.Part),
            Summary = Text(advisory.Summary),
            Vector = Text(advisory.CvssVector),
            Url = Text(advisory.Url),
            Cves = List(advisory.Cves),
            Published = advisory.Published?.UtcTicks ?? 0,
            Modified = advisory.Modified?.UtcTicks ?? 0,
            StatementStart = start,
            StatementCount = advisory.Statements.Count,
            Hash = hash,
            Severity = (byte)advisory.Severity,
            ScoreTenths = DocumentEncoding.Tenths(advisory.CvssScore),
            State = state,
        });
    }

    public void Add(int source, ExploitPrediction prediction) => _predictions.Add(new PredictionRow
    {
        Cve = Text(prediction.Cve),
        Source = source,
        Score = prediction.Score,
        Percentile = prediction.Percentile,
    });

    public void Add(int source, KnownExploited entry) => _knownExploited.Add(new KnownExploitedRow
    {
        Cve = Text(entry.Cve),
        Source = source,
        Added = entry.Added.DayNumber,
        Due = entry.Due?.DayNumber ?? 0,
        Action = Text(entry.RequiredAction),
        Ransomware = entry.Ransomware ? 1 : 0,
    });

    public void Add(int source, VexDecision decision) => _decisions.Add(new DecisionRow
    {
        Id = Text(decision.Id),
        Source = source,
        Vulnerability = Text(decision.Vulnerability),
        Products = List(decision.Products),
        Status = (int)decision.Status,
        Justification = Text(decision.Justification),
        Reason = Text(decision.Reason),
        Author = Text(decision.Author),
        Scope = List(decision.Scope),
        Decided = decision.Decided.UtcTicks,
        Expires = decision.Expires?.UtcTicks ?? 0,
    });

    /// <returns>The whole file, in an array that does not move.</returns>
    public byte[] ToFile(byte[] revision)
    {
        var (statements, documentStatements, names) = Index();
        var products = names.Select(name => name.Product).Distinct().ToArray();
        _predictions.Sort((a, b) => Compare(a.Cve, b.Cve) is not 0 and var order ? order : a.Source - b.Source);
        _knownExploited.Sort((a, b) => Compare(a.Cve, b.Cve) is not 0 and var order ? order : a.Source - b.Source);
        _decisions.Sort((a, b) => Compare(a.Id, b.Id) is not 0 and var order ? order : a.Source - b.Source);

        var sections = new ReadOnlyMemory<byte>[DatabaseFile.SectionCount];
        Put<uint>(DatabaseSection.TextStarts, CollectionsMarshal.AsSpan(_textStarts));
        sections[(int)DatabaseSection.TextBytes] = _textBytes.ToArray();
        Put<int>(DatabaseSection.Lists, CollectionsMarshal.AsSpan(_lists));
        Put<SourceRow>(DatabaseSection.Sources, CollectionsMarshal.AsSpan(_sources));
        Put<DocumentRow>(DatabaseSection.Documents, CollectionsMarshal.AsSpan(_documents));
        Put<StatementRow>(DatabaseSection.Statements, statements);
        Put<int>(DatabaseSection.DocumentStatements, documentStatements);
        Put<DetailRow>(DatabaseSection.Details, CollectionsMarshal.AsSpan(_details));
        Put<IntervalRow>(DatabaseSection.Intervals, CollectionsMarshal.AsSpan(_intervals));
        Put<NameRow>(DatabaseSection.Names, CollectionsMarshal.AsSpan(names));
        Put<int>(DatabaseSection.NameTable, NameTable(names));
        Put<int>(DatabaseSection.Products, products);
        Put<PredictionRow>(DatabaseSection.Predictions, CollectionsMarshal.AsSpan(_predictions));
        Put<KnownExploitedRow>(DatabaseSection.KnownExploited, CollectionsMarshal.AsSpan(_knownExploited));
        Put<DecisionRow>(DatabaseSection.Decisions, CollectionsMarshal.AsSpan(_decisions));
        sections[(int)DatabaseSection.Revision] = revision;
        return Join(sections);

        void Put<T>(DatabaseSection section, ReadOnlySpan<T> rows) where T : unmanaged => sections[(int)section] = DatabaseFile.BytesOf(rows).ToArray();
    }

    static byte[] Join(ReadOnlyMemory<byte>[] sections)
    {
        var places = new (long Offset, long Length)[sections.Length];
        long end = DatabaseFile.HeaderBytes;
        for (var i = 0; i < sections.Length; i++)
        {
            var start = (end + 7) & ~7;
            places[i] = (start, sections[i].Length);
            end = start + sections[i].Length;
        }

        var file = GC.AllocateArray<byte>(checked((int)end), pinned: true);
        for (var i = 0; i < sections.Length; i++) sections[i].Span.CopyTo(file.AsSpan((int)places[i].Offset));
        DatabaseFile.WriteHeader(file, places, end);
        SHA256.HashData(file.AsSpan(DatabaseFile.TableStart), file.AsSpan(DatabaseFile.HashStart, SHA256.HashSizeInBytes));
        return file;
    }

    void Add(PackageStatement statement)
    {
        var intervals = _intervals.Count;
        foreach (var interval in statement.Intervals)
            _intervals.Add(new IntervalRow { Introduced = Text(interval.Introduced), End = Text(interval.End), Kind = (int)interval.Kind });
        _statements.Add(new StatementRow
        {
            Document = _documents.Count,
            Product = Text(statement.Product),
            Name = Text(statement.Name),
            Cpe = Text(statement.Cpe),
            Architectures = List(statement.Architectures),
            Modules = List(statement.Modules),
            Detail = Detail(statement),
            IntervalStart = intervals,
            IntervalCount = checked((ushort)statement.Intervals.Count),
            Naming = (byte)statement.Naming,
            Status = (byte)statement.Status,
        });
    }

    /// <summary>Sorts the statements by product and name, those of documents that do not count last.</summary>
    (StatementRow[] Statements, int[] DocumentStatements, List<NameRow> Names) Index()
    {
        var order = new int[_statements.Count];
        for (var i = 0; i < order.Length; i++) order[i] = i;
        Array.Sort(order, (a, b) =>
        {
            var (x, y) = (_statements[a], _statements[b]);
            var byState = IsLive(y).CompareTo(IsLive(x));
            if (byState != 0) return byState;
            var byName = Compare(x.Product, y.Product);
            if (byName == 0) byName = Compare(x.Name, y.Name);
            return byName != 0 ? byName : a - b;
        });

        var statements = new StatementRow[order.Length];
        var documentStatements = new int[order.Length];
        var names = new List<NameRow>();
        for (var i = 0; i < order.Length; i++)
        {
            ref var statement = ref statements[i];
            statement = _statements[order[i]];
            documentStatements[order[i]] = i;
            if (!IsLive(statement)) continue;
            var hash = _documents[statement.Document].Hash;
            if (names.Count > 0 && names[^1].Product == statement.Product && names[^1].Name == statement.Name)
            {
                names[^1] = names[^1] with { StatementCount = names[^1].StatementCount + 1, Hash = (names[^1].Hash * 1099511628211) ^ hash };
                continue;
            }

            names.Add(new NameRow { Product = statement.Product, Name = statement.Name, StatementStart = i, StatementCount = 1, Hash = hash });
        }

        return (statements, documentStatements, names);

        bool IsLive(in StatementRow statement) => _documents[statement.Document].State == DocumentState.Live;
    }

    int[] NameTable(List<NameRow> names)
    {
        var table = new int[(int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(2, names.Count * 2))];
        for (var i = 0; i < names.Count; i++)
        {
            var place = (int)(DatabaseFile.HashOf(names[i].Product, TextBytes(names[i].Name)) & (uint)(table.Length - 1));
            while (table[place] != 0) place = (place + 1) & (table.Length - 1);
            table[place] = i + 1;
        }

        return table;
    }

    int Detail(PackageStatement statement)
    {
        var row = new DetailRow
        {
            Cve = Text(statement.Cve),
            Vector = Text(statement.CvssVector),
            Erratum = Text(statement.Erratum),
            ErratumUrl = Text(statement.ErratumUrl),
            Remark = Text(statement.Remark),
            Justification = Text(statement.Justification),
            Severity = (byte)statement.Severity,
            ScoreTenths = DocumentEncoding.Tenths(statement.CvssScore),
        };
        if (_detailPlaces.TryGetValue(row, out var place)) return place;
        _details.Add(row);
        return _detailPlaces[row] = _details.Count - 1;
    }

    int List(IReadOnlyList<string> texts)
    {
        if (texts.Count == 0) return 0;
        // No text has a line feed that would make two lists one: names, versions and CVEs do not.
        var key = string.Join('\n', texts);
        if (_listPlaces.TryGetValue(key, out var place)) return place;
        place = _lists.Count;
        _lists.Add(texts.Count);
        foreach (var text in texts) _lists.Add(Text(text));
        return _listPlaces[key] = place;
    }

    int Text(string? text)
    {
        text ??= "";
        if (_texts.TryGetValue(text, out var number)) return number;
        _textBytes.Write(Encoding.UTF8.GetBytes(text));
        _textStarts.Add((uint)_textBytes.Length);
        return _texts[text] = _textStarts.Count - 2;
    }

    int Compare(int a, int b) => a == b ? 0 : TextBytes(a).SequenceCompareTo(TextBytes(b));

    ReadOnlySpan<byte> TextBytes(int text) =>
        _textBytes.GetBuffer().AsSpan((int)_textStarts[text], (int)(_textStarts[text + 1] - _textStarts[text]));
}
