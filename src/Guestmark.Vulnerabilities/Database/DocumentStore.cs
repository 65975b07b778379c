using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// What was imported, as rows with numbers of their own: texts, lists, details and intervals once each in memory, documents in a
/// <see cref="Spill"/>. Discarded documents stay in it; what the database does not use is not written to it.
/// </summary>
/// <remarks>
/// <code>
/// document in the spill = DocumentRow StatementRow*      statements by their hash, each once
/// </code>
/// Numbers differ from import to import, the hashes of documents and the order of statements do not: they are made of the texts.
/// </remarks>
/// <param name="spillPrefix">See <see cref="Spill"/>.</param>
sealed class DocumentStore(string spillPrefix) : IDisposable
{
    readonly Spill _spill = new(spillPrefix);
    int[] _list = new int[64];
    IntervalRow[] _intervals = new IntervalRow[16];
    StatementRow[] _statements = new StatementRow[64];
    ulong[] _hashes = new ulong[64];
    int[] _order = new int[64];
    byte[] _document = [];
    Comparison<int>? _byText;
    // Neighbouring statements name the same things with the same string objects.
    Memo _feed;
    Memo _product;
    Memo _cpe;
    Memo _end;
    Memo _cve;
    Memo _vector;
    Memo _erratum;
    Memo _erratumUrl;
    Memo _remark;
    Memo _justification;
    // Within a document they say the same things in the same lists and words.
    ListMemo _architectures;
    ListMemo _modules;
    IntervalsMemo _ranges;
    (PackageStatement? Of, int Number, ulong Hash) _detail;
    Model _model;
    bool _isTooLong;
    bool _hasTooMany;

    public TextTable Texts { get; } = new();

    /// <summary>Length and texts of each.</summary>
    public RunTable<int> Lists { get; } = WithFirst(0);

    public RunTable<DetailRow> Details { get; } = WithFirst(EmptyDetail);

    public RunTable<IntervalRow> Intervals { get; } = new();

    public static DetailRow EmptyDetail => new()
    {
        Cve = 0,
        Vector = 0,
        Erratum = 0,
        ErratumUrl = 0,
        Remark = 0,
        Justification = 0,
        Severity = 0,
        ScoreTenths = byte.MaxValue,
    };

    /// <summary>Takes a document in, without storing it yet: <see cref="Append"/> does.</summary>
    /// <param name="row">The document's row.</param>
    /// <returns>Null, or why the document cannot be stored.</returns>
    public string? Encode(Advisory advisory, out DocumentRow row)
    {
        _isTooLong = _hasTooMany = false;
        // Whose lists those are may change them from here on.
        _architectures = _modules = default;
        _ranges = default;
        _detail = default;
        _model = default;
        var statements = Encode(advisory.Statements);
        var (id, part, summary) = (Text(advisory.Id), Text(advisory.Part), Text(advisory.Summary));
        var (feed, vector, url) = (Text(advisory.Feed, ref _feed), Text(advisory.CvssVector), Text(advisory.Url));
        var cves = List(advisory.Cves, out var cvesHash);
        var (published, modified) = (advisory.Published?.UtcTicks ?? 0, advisory.Modified?.UtcTicks ?? 0);
        var (severity, tenths) = (InRange((int)advisory.Severity, (int)Severity.Critical), Tenths(advisory.CvssScore));
        row = default;
        if (Refusal() is { } refusal) return refusal;

        var hash = ContentHash.Mix(Texts.HashOf(feed), Texts.HashOf(id));
        hash = ContentHash.Mix(hash, Texts.HashOf(part));
        hash = ContentHash.Mix(hash, Texts.HashOf(summary));
        hash = ContentHash.Mix(hash, Texts.HashOf(vector));
        hash = ContentHash.Mix(hash, Texts.HashOf(url));
        hash = ContentHash.Mix(hash, cvesHash);
        hash = ContentHash.Mix(hash, (ulong)published);
        hash = ContentHash.Mix(hash, (ulong)modified);
        hash = ContentHash.Mix(hash, severity | ((ulong)tenths << 8) | ((ulong)statements << 16));
        for (var i = 0; i < statements; i++) hash = ContentHash.Mix(hash, _hashes[i]);
        row = new DocumentRow
        {
            Source = 0,
            Feed = feed,
            Id = id,
            Part = part,
            Summary = summary,
            Vector = vector,
            Url = url,
            Cves = cves,
            Published = published,
            Modified = modified,
            StatementStart = 0,
            StatementCount = statements,
            Hash = hash,
            Severity = severity,
            ScoreTenths = tenths,
            State = DocumentState.Live,
        };
        return null;
    }

    /// <summary>Stores the document that was encoded last.</summary>
    /// <returns>Its place, for <see cref="Read"/>.</returns>
    public long Append(in DocumentRow row)
    {
        var place = _spill.Append(MemoryMarshal.AsBytes(new ReadOnlySpan<DocumentRow>(in row)));
        for (var i = 0; i < row.StatementCount; i++) _spill.Append(MemoryMarshal.AsBytes(new ReadOnlySpan<StatementRow>(in _statements[_order[i]])));
        return place;
    }

    /// <summary>A stored document. What it returned is overwritten by the next call.</summary>
    public ReadOnlySpan<StatementRow> Read(long place, int statementCount, out DocumentRow row)
    {
        var bytes = Unsafe.SizeOf<DocumentRow>() + (statementCount * Unsafe.SizeOf<StatementRow>());
        if (_document.Length < bytes) _document = new byte[Math.Max(bytes, 4096)];
        _spill.Read(place, _document.AsSpan(0, bytes));
        row = MemoryMarshal.Read<DocumentRow>(_document);
        return MemoryMarshal.Cast<byte, StatementRow>(_document.AsSpan(Unsafe.SizeOf<DocumentRow>(), bytes - Unsafe.SizeOf<DocumentRow>()));
    }

    /// <summary>A decision's row.</summary>
    /// <returns>Null, or why it cannot be stored.</returns>
    public string? Encode(VexDecision decision, out DecisionRow row)
    {
        _isTooLong = false;
        row = new DecisionRow
        {
            Id = Text(decision.Id),
            Source = 0,
            Vulnerability = Text(decision.Vulnerability),
            Products = ListInOrder(decision.Products),
            Status = InRange((int)decision.Status, (int)DecisionStatus.UnderInvestigation),
            Justification = Text(decision.Justification),
            Reason = Text(decision.Reason),
            Author = Text(decision.Author),
            Scope = ListInOrder(decision.Scope),
            Decided = decision.Decided.UtcTicks,
            Expires = decision.Expires?.UtcTicks ?? 0,
        };
        return Refusal();
    }

    /// <inheritdoc cref="Encode(VexDecision, out DecisionRow)"/>
    public string? Encode(KnownExploited entry, out KnownExploitedRow row)
    {
        _isTooLong = false;
        row = new KnownExploitedRow
        {
            Cve = Text(entry.Cve),
            Source = 0,
            Added = entry.Added.DayNumber,
            Due = entry.Due?.DayNumber ?? 0,
            Action = Text(entry.RequiredAction),
            Ransomware = entry.Ransomware ? 1 : 0,
        };
        return Refusal();
    }

    /// <inheritdoc cref="Encode(VexDecision, out DecisionRow)"/>
    public string? Encode(in ExploitPrediction prediction, out PredictionRow row)
    {
        _isTooLong = false;
        row = new PredictionRow { Cve = Text(prediction.Cve), Source = 0, Score = prediction.Score, Percentile = prediction.Percentile };
        return Refusal();
    }

    /// <summary>The number of a text that is a key. Too long ones are cut: no document has them.</summary>
    public int Key(string text) => Texts.Intern(text) is >= 0 and var number ? number : Texts.Intern(text[..(TextTable.BytesMax / 3)]);

    public void Dispose()
    {
        _spill.Dispose();
        Texts.Dispose();
    }

    static byte Tenths(double? score) => score is { } known ? (byte)Math.Clamp(Math.Round(known * 10), 0, 100) : byte.MaxValue;

    static byte InRange(int value, int most) => (uint)value <= (uint)most ? (byte)value : throw new ArgumentOutOfRangeException(nameof(value), value, null);

    static RunTable<T> WithFirst<T>(T first) where T : unmanaged
    {
        var table = new RunTable<T>();
        table.Intern([first]);
        return table;
    }

    /// <summary>Into <see cref="_statements"/>, in the order of <see cref="_order"/>, whose hashes are then <see cref="_hashes"/>.</summary>
    /// <returns>How many different ones.</returns>
    int Encode(IReadOnlyList<PackageStatement> statements)
    {
        var count = statements.Count;
        if (count > _statements.Length)
        {
            var size = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)count);
            (_statements, _hashes, _order) = (new StatementRow[size], new ulong[size], new int[size]);
        }

        if (statements is NamedStatements { Items: var items })
        {
            for (var i = 0; i < items.Length; i++) _hashes[i] = Encode(items[i].Model, items[i].Name, out _statements[i]);
        }
        else
        {
            for (var i = 0; i < count; i++) _hashes[i] = Encode(statements[i], statements[i].Name, out _statements[i]);
        }

        for (var i = 0; i < count; i++) _order[i] = i;

        if (count < 2) return count;
        _hashes.AsSpan(0, count).Sort(_order.AsSpan(0, count));
        var different = 1;
        for (var i = 1; i < count; i++)
        {
            if (_hashes[i] == _hashes[different - 1] && _statements[_order[i]] == _statements[_order[different - 1]]) continue;
            (_hashes[different], _order[different]) = (_hashes[i], _order[i]);
            different++;
        }

        return different;
    }

    ulong Encode(PackageStatement model, string name, out StatementRow row)
    {
        if (!ReferenceEquals(model, _model.Of)) Encode(model);
        var number = Text(name);
        row = _model.Row with { Name = number };
        if (_isTooLong) return 0;

        ref readonly var known = ref _model;
        var hash = ContentHash.Mix(known.Product, Texts.HashOf(number));
        hash = ContentHash.Mix(hash, row.Naming | ((ulong)row.Status << 8) | ((ulong)row.IntervalCount << 16));
        hash = ContentHash.Mix(hash, known.Cpe);
        hash = ContentHash.Mix(hash, known.Intervals);
        hash = ContentHash.Mix(hash, known.Architectures);
        hash = ContentHash.Mix(hash, known.Modules);
        return ContentHash.Mix(hash, known.Detail);
    }

    void Encode(PackageStatement statement)
    {
        var (product, cpe) = (Text(statement.Product, ref _product), Text(statement.Cpe, ref _cpe));
        var architectures = List(statement.Architectures, ref _architectures, out var architecturesHash);
        var modules = List(statement.Modules, ref _modules, out var modulesHash);
        var detail = Detail(statement, out var detailHash);
        var (start, count) = IntervalsOf(statement.Intervals, out var intervalsHash);
        _model.Of = statement;
        _model.Row = new StatementRow
        {
            Document = 0,
            Product = product,
            Name = 0,
            Cpe = cpe,
            Architectures = architectures,
            Modules = modules,
            Detail = detail,
            IntervalStart = start,
            IntervalCount = count,
            Naming = InRange((int)statement.Naming, (int)PackageNaming.Module),
            Status = InRange((int)statement.Status, (int)ProductStatus.NotAffected),
        };
        (_model.Product, _model.Cpe) = (Texts.HashOf(product), Texts.HashOf(cpe));
        (_model.Intervals, _model.Architectures, _model.Modules, _model.Detail) = (intervalsHash, architecturesHash, modulesHash, detailHash);
    }

    int Detail(PackageStatement statement, out ulong hash)
    {
        if (_detail.Of is null || !HasDetailOf(statement, _detail.Of)) _detail = (statement, NewDetail(statement, out var newHash), newHash);
        hash = _detail.Hash;
        return _detail.Number;
    }

    static bool HasDetailOf(PackageStatement a, PackageStatement b) =>
        ReferenceEquals(a.Cve, b.Cve) && ReferenceEquals(a.CvssVector, b.CvssVector) && ReferenceEquals(a.Erratum, b.Erratum)
        && ReferenceEquals(a.ErratumUrl, b.ErratumUrl) && ReferenceEquals(a.Remark, b.Remark) && ReferenceEquals(a.Justification, b.Justification)
        && a.Severity == b.Severity && a.CvssScore.Equals(b.CvssScore);

    int NewDetail(PackageStatement statement, out ulong hash)
    {
        var row = new DetailRow
        {
            Cve = Text(statement.Cve, ref _cve),
            Vector = Text(statement.CvssVector, ref _vector),
            Erratum = Text(statement.Erratum, ref _erratum),
            ErratumUrl = Text(statement.ErratumUrl, ref _erratumUrl),
            Remark = Text(statement.Remark, ref _remark),
            Justification = Text(statement.Justification, ref _justification),
            Severity = InRange((int)statement.Severity, (int)Severity.Critical),
            ScoreTenths = Tenths(statement.CvssScore),
        };
        hash = 0;
        if (_isTooLong || row == EmptyDetail) return 0;
        hash = ContentHash.Mix(Texts.HashOf(row.Cve), Texts.HashOf(row.Vector));
        hash = ContentHash.Mix(hash, Texts.HashOf(row.Erratum));
        hash = ContentHash.Mix(hash, Texts.HashOf(row.ErratumUrl));
        hash = ContentHash.Mix(hash, Texts.HashOf(row.Remark));
        hash = ContentHash.Mix(hash, Texts.HashOf(row.Justification));
        hash = ContentHash.Mix(hash, row.Severity | ((ulong)row.ScoreTenths << 8));
        return Details.Intern(new ReadOnlySpan<DetailRow>(in row));
    }

    (int Start, ushort Count) IntervalsOf(IReadOnlyList<VersionInterval> intervals, out ulong hash)
    {
        if (!ReferenceEquals(intervals, _ranges.Intervals))
        {
            var (start, count) = NewIntervals(intervals, out var newHash);
            _ranges = new IntervalsMemo(intervals, start, count, newHash);
        }

        hash = _ranges.Hash;
        return (_ranges.Start, _ranges.Count);
    }

    (int Start, ushort Count) NewIntervals(IReadOnlyList<VersionInterval> intervals, out ulong hash)
    {
        hash = 0;
        var count = intervals.Count;
        if (count == 0) return (0, 0);
        if (count > _intervals.Length) _intervals = new IntervalRow[count];
        for (var i = 0; i < count; i++)
        {
            var interval = intervals[i];
            _intervals[i] = new IntervalRow
            {
                Introduced = Text(interval.Introduced),
                End = Text(interval.End, ref _end),
                Kind = InRange((int)interval.Kind, (int)IntervalEnd.LastAffected),
            };
        }

        if (_isTooLong) return (0, 0);
        var rows = _intervals.AsSpan(0, count);
        if (count > 1)
        {
            rows.Sort((a, b) =>
            {
                var order = Texts.Compare(a.Introduced, b.Introduced);
                if (order == 0) order = Texts.Compare(a.End, b.End);
                return order != 0 ? order : a.Kind - b.Kind;
            });
            rows = rows[..Distinct(rows)];
        }

        _hasTooMany |= rows.Length > ushort.MaxValue;
        foreach (ref readonly var row in rows)
            hash = ContentHash.Mix(ContentHash.Mix(hash, Texts.HashOf(row.Introduced)), Texts.HashOf(row.End) + (ulong)row.Kind);
        return (Intervals.Intern(rows), (ushort)rows.Length);
    }

    int List(IReadOnlyList<string> texts, ref ListMemo memo, out ulong hash)
    {
        if (!ReferenceEquals(texts, memo.Texts)) memo = new ListMemo(texts, List(texts, out var newHash), newHash);
        hash = memo.Hash;
        return memo.Number;
    }

    /// <summary>A list whose order says nothing: sorted, each text once.</summary>
    int List(IReadOnlyList<string> texts, out ulong hash)
    {
        hash = 0;
        var count = texts.Count;
        if (count == 0) return 0;
        Fill(texts);
        if (_isTooLong) return 0;
        var list = _list.AsSpan(1, count);
        if (count > 1)
        {
            list.Sort(_byText ??= Texts.Compare);
            list = list[..Distinct(list)];
        }

        _list[0] = list.Length;
        foreach (var text in list) hash = ContentHash.Mix(hash, Texts.HashOf(text));
        return Lists.Intern(_list.AsSpan(0, list.Length + 1));
    }

    int ListInOrder(IReadOnlyList<string> texts)
    {
        Fill(texts);
        return _isTooLong ? 0 : Lists.Intern(_list.AsSpan(0, texts.Count + 1));
    }

    void Fill(IReadOnlyList<string> texts)
    {
        if (texts.Count >= _list.Length) _list = new int[texts.Count + 1];
        _list[0] = texts.Count;
        for (var i = 0; i < texts.Count; i++) _list[i + 1] = Text(texts[i]);
    }

    static int Distinct<T>(Span<T> sorted) where T : IEquatable<T>
    {
        var different = 1;
        for (var i = 1; i < sorted.Length; i++)
        {
            if (!sorted[i].Equals(sorted[different - 1])) sorted[different++] = sorted[i];
        }

        return different;
    }

    int Text(string? text, ref Memo memo)
    {
        if (text is null) return 0;
        if (ReferenceEquals(text, memo.Text)) return memo.Number;
        var number = Text(text);
        if (!_isTooLong) memo = new Memo(text, number);
        return number;
    }

    int Text(string? text)
    {
        var number = Texts.Intern(text);
        if (number >= 0) return number;
        _isTooLong = true;
        return 0;
    }

    string? Refusal() => _isTooLong ? $"has a text of more than {TextTable.BytesMax} bytes" : _hasTooMany ? "has more than 65535 version intervals for one package" : null;

    /// <summary>What was encoded of a statement but for its name: its row, and hashes.</summary>
    struct Model
    {
        public PackageStatement? Of;
        public StatementRow Row;
        public ulong Product;
        public ulong Cpe;
        public ulong Intervals;
        public ulong Architectures;
        public ulong Modules;
        public ulong Detail;
    }

    readonly record struct Memo(string? Text, int Number);

    readonly record struct ListMemo(IReadOnlyList<string>? Texts, int Number, ulong Hash);

    readonly record struct IntervalsMemo(IReadOnlyList<VersionInterval>? Intervals, int Start, ushort Count, ulong Hash);
}
