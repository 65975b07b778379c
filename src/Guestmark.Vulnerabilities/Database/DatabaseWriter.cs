using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Guestmark.Vulnerabilities;

/// <summary>Makes the file of what a store and the previous database have.</summary>
/// <remarks>
/// <list type="number">
/// <item>Texts of the store are sorted and merged with those of the previous database, which are sorted: each gets a rank.</item>
/// <item>Documents of all sources are sorted by their keys' ranks; of one key the newest counts.</item>
/// <item>In this order statements are copied to a spill with ranks for texts. Lists, details and intervals get their places by first use.</item>
/// <item>Texts that are used get their numbers, in the order of ranks. With that the size of every section is known.</item>
/// <item>Sections are written one after the other. Statements are put into the order of names a window at a time.</item>
/// </list>
/// Nothing depends on the numbers of the store or of the previous file: the same content gives the same bytes.
/// </remarks>
sealed class DatabaseWriter : IDisposable
{
    // 3.4 million statements (all of Red Hat's) take four passes over the spill.
    const int WindowBytes = 32 << 20;
    const int SpillRows = 2048;

    readonly AdvisoryDatabase? _previous;
    readonly DocumentStore _store;
    readonly BuilderSource[] _sources;
    readonly Spill _statements;
    readonly Spill _documents;
    readonly Origin _fromStore;
    readonly Origin _fromPrevious;
    // By rank: the text's number in the store, or the complement of that in the previous database.
    readonly List<int> _texts = [];
    readonly bool[] _isUsed;
    readonly int[] _numbers;
    readonly RunTable<int> _lists = new();
    readonly RunTable<DetailRow> _details = new();
    readonly RunTable<IntervalRow> _intervals = new();
    readonly List<Candidate> _candidates;
    // By statement in the order of documents: first its name's number among _names, then its place in the order of names.
    readonly int[] _places;
    readonly Dictionary<ulong, int> _nameNumbers = [];
    readonly List<ulong> _names = [];
    readonly List<(int Count, ulong Hash)> _nameStatements = [];
    readonly NameRow[] _nameRows;
    readonly int[] _products;
    readonly SourceRow[] _sourceRows;
    readonly List<PredictionRow> _predictions = [];
    readonly List<KnownExploitedRow> _knownExploited = [];
    readonly List<DecisionRow> _decisions = [];
    readonly byte[] _revision;
    readonly (long Offset, long Length)[] _sections = new (long, long)[DatabaseFile.SectionCount];
    StatementRow[] _rows = new StatementRow[64];
    int[] _run = new int[64];
    IntervalRow[] _intervalRun = new IntervalRow[16];
    int _statementCount;

    public DatabaseWriter(AdvisoryDatabase? previous, DocumentStore store, BuilderSource[] sources, string spillPrefix)
    {
        _previous = previous;
        _store = store;
        _sources = sources;
        _statements = new Spill(spillPrefix);
        _documents = new Spill(spillPrefix);
        foreach (var (source, _, _) in sources)
        {
            foreach (var text in (ReadOnlySpan<string>)[source.Name, source.Format, source.Uri, source.Version]) store.Key(text);
        }

        _fromStore = new Origin(store.Texts.Count, store.Lists.Rows.Length, store.Details.Rows.Length, store.Intervals.Rows.Length);
        _fromPrevious = previous is null ? new Origin(0, 0, 0, 0)
            : new Origin(previous.TextCount, previous.Lists.Length, previous.Details.Length, previous.AllIntervals.Length);
        try
        {
            RankTexts();
            _isUsed = new bool[_texts.Count];
            _isUsed[0] = true;
            _lists.Intern([0]);
            _details.Intern([DocumentStore.EmptyDetail]);

            _sourceRows = SourceRows();
            var total = 0L;
            _candidates = Candidates();
            foreach (ref readonly var candidate in CollectionsMarshal.AsSpan(_candidates)) total += candidate.Statements;
            if (total > Array.MaxLength) throw new AdvisoryDatabaseException($"the feeds have {total} statements, more than {Array.MaxLength}: import fewer of them");
            _places = new int[(int)total];
            _revision = CopyDocuments();
            CopyEntries();

            _numbers = NumberTexts(out var textBytes);
            _nameRows = Names();
            _products = Products();
            Measure(textBytes);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Of the file, in bytes.</summary>
    public long Length => _sections[^1].Offset + _sections[^1].Length;

    /// <param name="file">Empty, and can seek.</param>
    public void Write(Stream file)
    {
        var header = new byte[DatabaseFile.HeaderBytes];
        DatabaseFile.WriteHeader(header, _sections, Length);
        using var output = new Output(file);
        output.Write(header);
        for (var section = (DatabaseSection)0; (int)section < _sections.Length; section++)
        {
            output.PadTo(_sections[(int)section].Offset);
            Write(output, section);
        }

        output.Complete();
        GC.KeepAlive(_previous);
    }

    public void Dispose()
    {
        _statements.Dispose();
        _documents.Dispose();
    }

    // 1.
    void RankTexts()
    {
        var (store, old) = (_store.Texts.InOrder(), 0);
        var oldCount = _previous?.TextCount ?? 0;
        _texts.Capacity = store.Length + oldCount;
        foreach (var number in store)
        {
            var order = -1;
            while (old < oldCount && (order = _previous!.Text(old).SequenceCompareTo(_store.Texts[number])) < 0) Add(~old, _fromPrevious.Texts, old++);
            Add(number, _fromStore.Texts, number);
            if (old < oldCount && order == 0) _fromPrevious.Texts[old++] = _texts.Count - 1;
        }

        while (old < oldCount) Add(~old, _fromPrevious.Texts, old++);

        void Add(int origin, int[] ranks, int number)
        {
            ranks[number] = _texts.Count;
            _texts.Add(origin);
        }
    }

    SourceRow[] SourceRows()
    {
        var rows = new SourceRow[_sources.Length];
        for (var i = 0; i < rows.Length; i++)
        {
            var source = _sources[i].Source;
            rows[i] = new SourceRow
            {
                Name = RankOf(source.Name),
                Format = RankOf(source.Format),
                Uri = RankOf(source.Uri),
                Version = RankOf(source.Version),
                Documents = source.Documents,
                Skipped = source.Skipped,
                Imported = source.Imported.UtcTicks,
                Newest = source.Newest?.UtcTicks ?? 0,
            };
        }

        return rows;

        int RankOf(string text) => Use(_fromStore.Texts[_store.Key(text)]);
    }

    // 2.
    List<Candidate> Candidates()
    {
        var most = _previous?.Documents.Length ?? 0;
        foreach (var source in _sources) most += source.Content?.KeyCount ?? 0;
        var candidates = new List<Candidate>(most);
        var previousSources = new int[_previous?.SourceRows.Length ?? 0];
        Array.Fill(previousSources, -1);
        for (var source = 0; source < _sources.Length; source++)
        {
            if (_sources[source].Content is not { } content)
            {
                previousSources[_sources[source].Previous] = source;
                continue;
            }

            var ranks = _fromStore.Texts;
            foreach (var (key, document) in content.Documents)
            {
                candidates.Add(new Candidate(
                    ranks[key.Feed], ranks[key.Id], ranks[key.Part], false, document.Modified, document.Hash, source, document.Place, document.Statements));
            }

            foreach (var ((feed, id), modified) in content.Withdrawn)
                candidates.Add(new Candidate(ranks[feed], ranks[id], 0, true, modified, 0, source, 0, 0));
        }

        if (_previous is not null)
        {
            var ranks = _fromPrevious.Texts;
            var documents = _previous.Documents;
            for (var i = 0; i < documents.Length; i++)
            {
                ref readonly var row = ref documents[i];
                if (previousSources[row.Source] is >= 0 and var source)
                {
                    candidates.Add(new Candidate(
                        ranks[row.Feed], ranks[row.Id], ranks[row.Part], row.State == DocumentState.Withdrawn, row.Modified, row.Hash, source, ~(long)i,
                        row.StatementCount));
                }
            }
        }

        CollectionsMarshal.AsSpan(candidates).Sort(Candidate.Compare);
        return candidates;
    }

    // 3.
    byte[] CopyDocuments()
    {
        using var revision = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> hash = stackalloc byte[sizeof(ulong)];
        var candidates = CollectionsMarshal.AsSpan(_candidates);
        for (var i = 0; i < candidates.Length; i++)
        {
            ref readonly var candidate = ref candidates[i];
            if (candidate.IsWithdrawn)
            {
                Append(WithdrawnRow(candidate));
                continue;
            }

            var isLive = i == 0 || !candidate.HasKeyOf(candidates[i - 1]);
            if (isLive)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(hash, candidate.Hash);
                revision.AppendData(hash);
            }

            var state = isLive ? DocumentState.Live : DocumentState.Shadowed;
            if (candidate.Place >= 0)
            {
                var statements = _store.Read(candidate.Place, candidate.Statements, out var row);
                Copy(_fromStore, row with { Source = candidate.Source, State = state }, statements);
            }
            else
            {
                var number = (int)~candidate.Place;
                Copy(_fromPrevious, _previous!.Documents[number] with { Source = candidate.Source, State = state }, PreviousStatements(number));
            }
        }

        return revision.GetHashAndReset();
    }

    ReadOnlySpan<StatementRow> PreviousStatements(int document)
    {
        ref readonly var row = ref _previous!.Documents[document];
        if (_rows.Length < row.StatementCount) _rows = new StatementRow[row.StatementCount * 2];
        var all = _previous.AllStatements;
        var numbers = _previous.DocumentStatements.Slice(row.StatementStart, row.StatementCount);
        for (var i = 0; i < numbers.Length; i++) _rows[i] = all[numbers[i]];
        return _rows.AsSpan(0, numbers.Length);
    }

    static DocumentRow WithdrawnRow(in Candidate candidate) => new()
    {
        Source = candidate.Source,
        Feed = candidate.Feed,
        Id = candidate.Id,
        Part = 0,
        Summary = 0,
        Vector = 0,
        Url = 0,
        Cves = 0,
        Published = 0,
        Modified = candidate.Modified,
        StatementStart = 0,
        StatementCount = 0,
        Hash = 0,
        Severity = 0,
        ScoreTenths = byte.MaxValue,
        State = DocumentState.Withdrawn,
    };

    void Append(in DocumentRow row)
    {
        Use(row.Feed);
        Use(row.Id);
        var stored = row with { StatementStart = _statementCount };
        _documents.Append(MemoryMarshal.AsBytes(new ReadOnlySpan<DocumentRow>(in stored)));
    }

    void Copy(Origin origin, in DocumentRow row, ReadOnlySpan<StatementRow> statements)
    {
        var texts = origin.Texts;
        var document = (int)(_documents.Length / Unsafe.SizeOf<DocumentRow>());
        Append(row with
        {
            Feed = texts[row.Feed],
            Id = texts[row.Id],
            Part = Use(texts[row.Part]),
            Summary = Use(texts[row.Summary]),
            Vector = Use(texts[row.Vector]),
            Url = Use(texts[row.Url]),
            Cves = List(origin, row.Cves),
        });
        foreach (ref readonly var statement in statements)
        {
            var (product, name) = (Use(texts[statement.Product]), Use(texts[statement.Name]));
            var copied = statement with
            {
                Document = document,
                Product = product,
                Name = name,
                Cpe = Use(texts[statement.Cpe]),
                Architectures = List(origin, statement.Architectures),
                Modules = List(origin, statement.Modules),
                Detail = Detail(origin, statement.Detail),
                IntervalStart = IntervalsOf(origin, statement.IntervalStart, statement.IntervalCount),
            };
            _statements.Append(MemoryMarshal.AsBytes(new ReadOnlySpan<StatementRow>(in copied)));
            _places[_statementCount++] = row.State == DocumentState.Live ? CountName(product, name, row.Hash) : -1;
        }
    }

    int CountName(int product, int name, ulong hash)
    {
        var key = ((ulong)product << 32) | (uint)name;
        ref var number = ref CollectionsMarshal.GetValueRefOrAddDefault(_nameNumbers, key, out var exists);
        if (!exists)
        {
            number = _names.Count;
            _names.Add(key);
            _nameStatements.Add(default);
        }

        ref var statements = ref CollectionsMarshal.AsSpan(_nameStatements)[number];
        statements = (statements.Count + 1, ContentHash.Mix(statements.Hash, hash));
        return number;
    }

    int Use(int rank)
    {
        _isUsed[rank] = true;
        return rank;
    }

    int List(Origin origin, int place)
    {
        if (place == 0) return 0;
        // The empty list alone has place 0.
        ref var known = ref origin.Lists[place];
        if (known != 0) return known;
        var list = origin == _fromStore ? _store.Lists.Rows[place..] : _previous!.Lists[place..];
        var length = list[0];
        if (length >= _run.Length) _run = new int[length + 1];
        _run[0] = length;
        for (var i = 1; i <= length; i++) _run[i] = Use(origin.Texts[list[i]]);
        return known = _lists.Intern(_run.AsSpan(0, length + 1));
    }

    int Detail(Origin origin, int number)
    {
        if (number == 0) return 0;
        ref var known = ref origin.Details[number];
        if (known != 0) return known;
        ref readonly var row = ref (origin == _fromStore ? _store.Details.Rows : _previous!.Details)[number];
        var texts = origin.Texts;
        return known = _details.Intern(
        [
            row with
            {
                Cve = Use(texts[row.Cve]),
                Vector = Use(texts[row.Vector]),
                Erratum = Use(texts[row.Erratum]),
                ErratumUrl = Use(texts[row.ErratumUrl]),
                Remark = Use(texts[row.Remark]),
                Justification = Use(texts[row.Justification]),
            },
        ]);
    }

    int IntervalsOf(Origin origin, int start, int count)
    {
        if (count == 0) return 0;
        ref var known = ref origin.Intervals[start];
        // In our files one run starts at a place; in any other the runs may overlap.
        if (known.Count == count) return known.Start;
        var rows = (origin == _fromStore ? _store.Intervals.Rows : _previous!.AllIntervals).Slice(start, count);
        if (_intervalRun.Length < count) _intervalRun = new IntervalRow[count];
        for (var i = 0; i < count; i++)
            _intervalRun[i] = rows[i] with { Introduced = Use(origin.Texts[rows[i].Introduced]), End = Use(origin.Texts[rows[i].End]) };
        known = (_intervals.Intern(_intervalRun.AsSpan(0, count)), count);
        return known.Start;
    }

    void CopyEntries()
    {
        var previousSources = new Dictionary<int, int>();
        for (var source = 0; source < _sources.Length; source++)
        {
            if (_sources[source].Content is not { } content)
            {
                previousSources[_sources[source].Previous] = source;
                continue;
            }

            foreach (var row in content.Predictions) Add(_fromStore, source, row);
            foreach (var row in content.KnownExploited) Add(_fromStore, source, row);
            foreach (var row in content.Decisions) _decisions.Add(row with { Source = source, Id = Use(_fromStore.Texts[row.Id]) });
        }

        if (_previous is not null)
        {
            foreach (ref readonly var row in _previous.Predictions)
            {
                if (previousSources.TryGetValue(row.Source, out var source)) Add(_fromPrevious, source, row);
            }

            foreach (ref readonly var row in _previous.KnownExploitedRows)
            {
                if (previousSources.TryGetValue(row.Source, out var source)) Add(_fromPrevious, source, row);
            }

            foreach (ref readonly var row in _previous.DecisionRows)
            {
                // Told from those of the store by a negative source until its lists are copied, in the order of decisions.
                if (previousSources.TryGetValue(row.Source, out var source))
                    _decisions.Add(row with { Source = ~source, Id = Use(_fromPrevious.Texts[row.Id]) });
            }
        }

        _predictions.Sort((a, b) => a.Cve != b.Cve ? a.Cve - b.Cve : a.Source - b.Source);
        _knownExploited.Sort((a, b) => a.Cve != b.Cve ? a.Cve - b.Cve : a.Source - b.Source);
        _decisions.Sort((a, b) => a.Id != b.Id ? a.Id - b.Id : SourceOf(a) - SourceOf(b));
        foreach (ref var row in CollectionsMarshal.AsSpan(_decisions))
        {
            var origin = row.Source < 0 ? _fromPrevious : _fromStore;
            row = row with
            {
                Source = SourceOf(row),
                Vulnerability = Use(origin.Texts[row.Vulnerability]),
                Products = List(origin, row.Products),
                Justification = Use(origin.Texts[row.Justification]),
                Reason = Use(origin.Texts[row.Reason]),
                Author = Use(origin.Texts[row.Author]),
                Scope = List(origin, row.Scope),
            };
        }

        static int SourceOf(in DecisionRow row) => row.Source < 0 ? ~row.Source : row.Source;
    }

    void Add(Origin origin, int source, in PredictionRow row) => _predictions.Add(row with { Source = source, Cve = Use(origin.Texts[row.Cve]) });

    void Add(Origin origin, int source, in KnownExploitedRow row) =>
        _knownExploited.Add(row with { Source = source, Cve = Use(origin.Texts[row.Cve]), Action = Use(origin.Texts[row.Action]) });

    // 4.
    int[] NumberTexts(out long bytes)
    {
        var numbers = new int[_texts.Count];
        var number = 0;
        bytes = 0;
        for (var rank = 0; rank < numbers.Length; rank++)
        {
            if (!_isUsed[rank]) continue;
            numbers[rank] = number++;
            bytes += Bytes(rank).Length;
        }

        if (bytes > uint.MaxValue) throw new AdvisoryDatabaseException("the feeds have more than 4 GB of text: import fewer of them");
        return numbers;
    }

    ReadOnlySpan<byte> Bytes(int rank) => _texts[rank] is >= 0 and var number ? _store.Texts[number] : _previous!.Text(~_texts[rank]);

    NameRow[] Names()
    {
        var keys = _names.ToArray();
        var order = new int[keys.Length];
        for (var i = 0; i < order.Length; i++) order[i] = i;
        keys.AsSpan().Sort(order.AsSpan());
        var rows = new NameRow[keys.Length];
        var next = new int[keys.Length];
        var start = 0;
        for (var i = 0; i < rows.Length; i++)
        {
            var (count, hash) = _nameStatements[order[i]];
            rows[i] = new NameRow
            {
                Product = _numbers[(int)(keys[i] >> 32)],
                Name = _numbers[(int)(uint)keys[i]],
                StatementStart = start,
                StatementCount = count,
                Hash = hash,
            };
            next[order[i]] = start;
            start += count;
        }

        // Those of documents that do not count come last.
        foreach (ref var place in _places.AsSpan()) place = place >= 0 ? next[place]++ : start++;
        return rows;
    }

    int[] Products()
    {
        var products = new List<int>();
        foreach (ref readonly var row in _nameRows.AsSpan())
        {
            if (products.Count == 0 || products[^1] != row.Product) products.Add(row.Product);
        }

        return [.. products];
    }

    void Measure(long textBytes)
    {
        var used = 0L;
        foreach (var isUsed in _isUsed) used += isUsed ? 1 : 0;
        long end = DatabaseFile.HeaderBytes;
        Put(DatabaseSection.TextStarts, (used + 1) * sizeof(uint));
        Put(DatabaseSection.TextBytes, textBytes);
        Put(DatabaseSection.Lists, Of<int>(_lists.Rows.Length));
        Put(DatabaseSection.Sources, Of<SourceRow>(_sourceRows.Length));
        Put(DatabaseSection.Documents, Of<DocumentRow>(_candidates.Count));
        Put(DatabaseSection.Statements, Of<StatementRow>(_places.Length));
        Put(DatabaseSection.DocumentStatements, Of<int>(_places.Length));
        Put(DatabaseSection.Details, Of<DetailRow>(_details.Rows.Length));
        Put(DatabaseSection.Intervals, Of<IntervalRow>(_intervals.Rows.Length));
        Put(DatabaseSection.Names, Of<NameRow>(_nameRows.Length));
        Put(DatabaseSection.NameTable, Of<int>(NameTableLength()));
        Put(DatabaseSection.Products, Of<int>(_products.Length));
        Put(DatabaseSection.Predictions, Of<PredictionRow>(_predictions.Count));
        Put(DatabaseSection.KnownExploited, Of<KnownExploitedRow>(_knownExploited.Count));
        Put(DatabaseSection.Decisions, Of<DecisionRow>(_decisions.Count));
        Put(DatabaseSection.Revision, _revision.Length);

        void Put(DatabaseSection section, long length)
        {
            var start = (end + 7) & ~7;
            _sections[(int)section] = (start, length);
            end = start + length;
        }

        static long Of<T>(int rows) where T : unmanaged => (long)rows * Unsafe.SizeOf<T>();
    }

    // 5.
    void Write(Output output, DatabaseSection section)
    {
        switch (section)
        {
            case DatabaseSection.TextStarts:
                WriteTextStarts(output);
                break;
            case DatabaseSection.TextBytes:
                for (var rank = 0; rank < _texts.Count; rank++)
                {
                    if (_isUsed[rank]) output.Write(Bytes(rank));
                }

                break;
            case DatabaseSection.Lists:
                WriteLists(output);
                break;
            case DatabaseSection.Sources:
                foreach (ref readonly var row in _sourceRows.AsSpan())
                    output.Row(row with { Name = _numbers[row.Name], Format = _numbers[row.Format], Uri = _numbers[row.Uri], Version = _numbers[row.Version] });
                break;
            case DatabaseSection.Documents:
                WriteDocuments(output);
                break;
            case DatabaseSection.Statements:
                WriteStatements(output);
                break;
            case DatabaseSection.DocumentStatements:
                output.Write(MemoryMarshal.AsBytes(_places.AsSpan()));
                break;
            case DatabaseSection.Details:
                foreach (ref readonly var row in _details.Rows)
                {
                    output.Row(row with
                    {
                        Cve = _numbers[row.Cve],
                        Vector = _numbers[row.Vector],
                        Erratum = _numbers[row.Erratum],
                        ErratumUrl = _numbers[row.ErratumUrl],
                        Remark = _numbers[row.Remark],
                        Justification = _numbers[row.Justification],
                    });
                }

                break;
            case DatabaseSection.Intervals:
                foreach (ref readonly var row in _intervals.Rows) output.Row(row with { Introduced = _numbers[row.Introduced], End = _numbers[row.End] });
                break;
            case DatabaseSection.Names:
                output.Write(MemoryMarshal.AsBytes(_nameRows.AsSpan()));
                break;
            case DatabaseSection.NameTable:
                output.Write(MemoryMarshal.AsBytes(NameTable().AsSpan()));
                break;
            case DatabaseSection.Products:
                output.Write(MemoryMarshal.AsBytes(_products.AsSpan()));
                break;
            case DatabaseSection.Predictions:
                foreach (ref readonly var row in CollectionsMarshal.AsSpan(_predictions)) output.Row(row with { Cve = _numbers[row.Cve] });
                break;
            case DatabaseSection.KnownExploited:
                foreach (ref readonly var row in CollectionsMarshal.AsSpan(_knownExploited))
                    output.Row(row with { Cve = _numbers[row.Cve], Action = _numbers[row.Action] });
                break;
            case DatabaseSection.Decisions:
                foreach (ref readonly var row in CollectionsMarshal.AsSpan(_decisions))
                {
                    output.Row(row with
                    {
                        Id = _numbers[row.Id],
                        Vulnerability = _numbers[row.Vulnerability],
                        Justification = _numbers[row.Justification],
                        Reason = _numbers[row.Reason],
                        Author = _numbers[row.Author],
                    });
                }

                break;
            default:
                output.Write(_revision);
                break;
        }
    }

    void WriteTextStarts(Output output)
    {
        var start = 0u;
        output.Row(start);
        for (var rank = 0; rank < _texts.Count; rank++)
        {
            if (!_isUsed[rank]) continue;
            start += (uint)Bytes(rank).Length;
            output.Row(start);
        }
    }

    void WriteLists(Output output)
    {
        var lists = _lists.Rows;
        for (var at = 0; at < lists.Length;)
        {
            var length = lists[at++];
            output.Row(length);
            for (var end = at + length; at < end; at++) output.Row(_numbers[lists[at]]);
        }
    }

    void WriteDocuments(Output output)
    {
        var rows = new DocumentRow[SpillRows];
        for (var at = 0; at < _candidates.Count; at += rows.Length)
        {
            var part = rows.AsSpan(0, Math.Min(rows.Length, _candidates.Count - at));
            _documents.Read((long)at * Unsafe.SizeOf<DocumentRow>(), MemoryMarshal.AsBytes(part));
            foreach (ref readonly var row in part)
            {
                output.Row(row with
                {
                    Feed = _numbers[row.Feed],
                    Id = _numbers[row.Id],
                    Part = _numbers[row.Part],
                    Summary = _numbers[row.Summary],
                    Vector = _numbers[row.Vector],
                    Url = _numbers[row.Url],
                });
            }
        }
    }

    void WriteStatements(Output output)
    {
        var rows = new StatementRow[SpillRows];
        var most = Math.Min(_places.Length, WindowBytes / Unsafe.SizeOf<StatementRow>());
        var window = ArrayPool<StatementRow>.Shared.Rent(most);
        for (var start = 0; start < _places.Length; start += most)
        {
            var length = Math.Min(most, _places.Length - start);
            for (var at = 0; at < _places.Length; at += rows.Length)
            {
                var part = rows.AsSpan(0, Math.Min(rows.Length, _places.Length - at));
                _statements.Read((long)at * Unsafe.SizeOf<StatementRow>(), MemoryMarshal.AsBytes(part));
                for (var i = 0; i < part.Length; i++)
                {
                    var place = _places[at + i] - start;
                    if ((uint)place >= (uint)length) continue;
                    ref readonly var row = ref part[i];
                    window[place] = row with { Product = _numbers[row.Product], Name = _numbers[row.Name], Cpe = _numbers[row.Cpe] };
                }
            }

            output.Write(MemoryMarshal.AsBytes(window.AsSpan(0, length)));
        }

        ArrayPool<StatementRow>.Shared.Return(window);
    }

    int NameTableLength() => (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(2, _nameRows.Length * 2));

    int[] NameTable()
    {
        var table = new int[NameTableLength()];
        var order = _names.ToArray();
        order.AsSpan().Sort();
        for (var i = 0; i < order.Length; i++)
        {
            var place = (int)(DatabaseFile.HashOf(_nameRows[i].Product, Bytes((int)(uint)order[i])) & (uint)(table.Length - 1));
            while (table[place] != 0) place = (place + 1) & (table.Length - 1);
            table[place] = i + 1;
        }

        return table;
    }

    /// <summary>Where rows are copied from: the rank of each of its texts, and the new places of what has been copied of it, 0 for none.</summary>
    sealed class Origin(int texts, int lists, int details, int intervals)
    {
        public int[] Texts { get; } = new int[texts];

        public int[] Lists { get; } = new int[lists];

        public int[] Details { get; } = new int[details];

        public (int Start, int Count)[] Intervals { get; } = new (int, int)[intervals];
    }

    /// <summary>A document of one source, its key as ranks.</summary>
    /// <param name="Place">See <see cref="StoredDocument"/>.</param>
    readonly record struct Candidate(
        int Feed, int Id, int Part, bool IsWithdrawn, long Modified, ulong Hash, int Source, long Place, int Statements)
    {
        public bool HasKeyOf(in Candidate other) => !other.IsWithdrawn && Feed == other.Feed && Id == other.Id && Part == other.Part;

        /// <summary>By key, and of one key the newest first, withdrawals last.</summary>
        public static int Compare(Candidate a, Candidate b)
        {
            if (a.Feed != b.Feed) return a.Feed - b.Feed;
            if (a.Id != b.Id) return a.Id - b.Id;
            if (a.Part != b.Part) return a.Part - b.Part;
            if (a.IsWithdrawn != b.IsWithdrawn) return a.IsWithdrawn ? 1 : -1;
            if (a.Modified != b.Modified) return a.Modified > b.Modified ? -1 : 1;
            if (a.Hash != b.Hash) return a.Hash > b.Hash ? -1 : 1;
            return a.Source - b.Source;
        }
    }

    /// <summary>The file, through a buffer and its checksum. While one buffer is filled, the other is written.</summary>
    sealed class Output(Stream file) : IDisposable
    {
        const int BufferBytes = 256 * 1024;

        readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] _buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        byte[]? _other;
        Task _writing = Task.CompletedTask;
        int _buffered;
        long _written;

        public void Write(ReadOnlySpan<byte> bytes)
        {
            while (bytes.Length > _buffer.Length - _buffered)
            {
                var part = bytes[..(_buffer.Length - _buffered)];
                part.CopyTo(_buffer.AsSpan(_buffered));
                _buffered = _buffer.Length;
                Flush();
                bytes = bytes[part.Length..];
            }

            bytes.CopyTo(_buffer.AsSpan(_buffered));
            _buffered += bytes.Length;
        }

        public void Row<T>(in T row) where T : unmanaged => Write(MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in row)));

        public void PadTo(long offset)
        {
            Span<byte> zeros = stackalloc byte[8];
            zeros.Clear();
            Write(zeros[..(int)(offset - _written - _buffered)]);
        }

        public void Complete()
        {
            Flush();
            _writing.GetAwaiter().GetResult();
            Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
            _hash.GetHashAndReset(hash);
            file.Position = DatabaseFile.HashStart;
            file.Write(hash);
        }

        public void Dispose()
        {
            // Of a writer that failed: whoever has the file closes it after this.
            Task.WaitAny(_writing);
            _hash.Dispose();
            ArrayPool<byte>.Shared.Return(_buffer);
            if (_other is not null) ArrayPool<byte>.Shared.Return(_other);
        }

        void Flush()
        {
            // Throws what the one before threw.
            _writing.GetAwaiter().GetResult();
            // The checksum is of what comes after it. It lies in the first buffer.
            var (buffer, length, start) = (_buffer, _buffered, _written == 0 ? DatabaseFile.TableStart : 0);
            _writing = Task.Run(() =>
            {
                _hash.AppendData(buffer, start, length - start);
                file.Write(buffer, 0, length);
            });
            _written += length;
            _buffered = 0;
            _buffer = _other ?? ArrayPool<byte>.Shared.Rent(BufferBytes);
            _other = buffer;
        }
    }
}
