using System.Runtime.CompilerServices;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// Checks every index of a database once, when it is opened, so that reading it needs no checks of its own: a file with a good checksum may
/// still have been made by someone else, and an index that points outside would end the process. Orders are checked as well, on which
/// searches and merges rely.
/// </summary>
readonly ref struct DatabaseCheck
{
    readonly AdvisoryDatabase _database;
    readonly ReadOnlySpan<int> _lists;
    // A bit for each place at which a list starts: elsewhere a length would be taken for a text.
    readonly Span<ulong> _listStarts;
    readonly int _texts;
    readonly int _sources;

    DatabaseCheck(AdvisoryDatabase database)
    {
        _database = database;
        _lists = database.Lists;
        _listStarts = new ulong[(_lists.Length / 64) + 1];
        _texts = database.TextCount;
        _sources = database.SourceRows.Length;
    }

    /// <exception cref="AdvisoryDatabaseException">A row points outside, or something is out of order.</exception>
    public static void Run(AdvisoryDatabase database)
    {
        Sizes(database);
        Texts(database);
        var check = new DatabaseCheck(database);
        check.Lists();
        check.Sources();
        check.Documents();
        check.Statements();
        check.Names();
        check.Entries();
        check.Decisions();
    }

    static void Sizes(AdvisoryDatabase database)
    {
        Size<uint>(DatabaseSection.TextStarts, 2);
        Size<int>(DatabaseSection.Lists, 1);
        Size<SourceRow>(DatabaseSection.Sources, 0);
        Size<DocumentRow>(DatabaseSection.Documents, 0);
        Size<StatementRow>(DatabaseSection.Statements, 0);
        Size<int>(DatabaseSection.DocumentStatements, 0);
        Size<DetailRow>(DatabaseSection.Details, 1);
        Size<IntervalRow>(DatabaseSection.Intervals, 0);
        Size<NameRow>(DatabaseSection.Names, 0);
        Size<int>(DatabaseSection.NameTable, 1);
        Size<int>(DatabaseSection.Products, 0);
        Size<PredictionRow>(DatabaseSection.Predictions, 0);
        Size<KnownExploitedRow>(DatabaseSection.KnownExploited, 0);
        Size<DecisionRow>(DatabaseSection.Decisions, 0);
        Require(database.SectionBytes(DatabaseSection.Revision) == 32, "the revision");

        void Size<T>(DatabaseSection section, int least) where T : unmanaged
        {
            var (bytes, size) = (database.SectionBytes(section), Unsafe.SizeOf<T>());
            if (bytes % size != 0 || bytes / size < least || bytes / size > Array.MaxLength) Throw($"the size of {section}");
        }
    }

    static void Texts(AdvisoryDatabase database)
    {
        var starts = database.TextStarts;
        var last = 0u;
        foreach (var start in starts)
        {
            Require(start >= last && start - last <= TextTable.BytesMax, "the length of a text");
            last = start;
        }

        Require(starts[0] == 0 && starts[1] == 0 && last == database.SectionBytes(DatabaseSection.TextBytes), "the size of the texts");
        for (var text = 1; text < database.TextCount; text++)
            Require(database.Text(text - 1).SequenceCompareTo(database.Text(text)) < 0, "the order of texts");
    }

    void Lists()
    {
        Require(_lists[0] == 0, "the empty list");
        for (var at = 0; at < _lists.Length;)
        {
            _listStarts[at / 64] |= 1UL << (at % 64);
            var length = _lists[at++];
            Require((uint)length <= (uint)(_lists.Length - at), "the length of a list");
            for (var end = at + length; at < end; at++) Text(_lists[at]);
        }
    }

    void Sources()
    {
        foreach (ref readonly var row in _database.SourceRows)
        {
            Text(row.Name);
            Text(row.Format);
            Text(row.Uri);
            Text(row.Version);
            Time(row.Imported);
            Time(row.Newest);
        }
    }

    void Documents()
    {
        var statements = 0L;
        var last = (Feed: 0, Id: 0, Part: 0);
        foreach (ref readonly var row in _database.Documents)
        {
            Source(row.Source);
            Text(row.Feed);
            Text(row.Id);
            Text(row.Part);
            Text(row.Summary);
            Text(row.Vector);
            Text(row.Url);
            List(row.Cves);
            Time(row.Published);
            Time(row.Modified);
            Require(row.Severity <= (byte)Severity.Critical && row.State <= DocumentState.Withdrawn, "the kind of a document");
            Require(row.StatementStart == statements && row.StatementCount >= 0, "the statements of a document");
            statements += row.StatementCount;
            var key = (row.Feed, row.Id, row.Part);
            Require(last.CompareTo(key) <= 0, "the order of documents");
            last = key;
        }

        var count = _database.AllStatements.Length;
        Require(statements == _database.DocumentStatements.Length, "the statements of documents");
        foreach (var statement in _database.DocumentStatements) Require((uint)statement < (uint)count, "a statement of a document");
    }

    void Statements()
    {
        var (documents, details, intervals) = (_database.Documents.Length, _database.Details.Length, _database.AllIntervals.Length);
        foreach (ref readonly var row in _database.AllStatements)
        {
            Require((uint)row.Document < (uint)documents && (uint)row.Detail < (uint)details, "a statement");
            Require(row.IntervalStart >= 0 && row.IntervalStart <= intervals - row.IntervalCount, "the intervals of a statement");
            Require(
                row.Naming <= (byte)PackageNaming.Module && row.Status is >= (byte)ProductStatus.Fixed and <= (byte)ProductStatus.NotAffected,
                "the kind of a statement");
            Text(row.Product);
            Text(row.Name);
            Text(row.Cpe);
            List(row.Architectures);
            List(row.Modules);
        }

        foreach (ref readonly var row in _database.Details)
        {
            Text(row.Cve);
            Text(row.Vector);
            Text(row.Erratum);
            Text(row.ErratumUrl);
            Text(row.Remark);
            Text(row.Justification);
            Require(row.Severity <= (byte)Severity.Critical, "a severity");
        }

        foreach (ref readonly var row in _database.AllIntervals)
        {
            Text(row.Introduced);
            Text(row.End);
            Require(row.Kind is >= (int)IntervalEnd.None and <= (int)IntervalEnd.LastAffected, "the kind of an interval");
        }
    }

    void Names()
    {
        var statements = 0L;
        var last = (Product: -1, Name: -1);
        var names = _database.Names;
        foreach (ref readonly var row in names)
        {
            Text(row.Product);
            Text(row.Name);
            Require(row.StatementStart == statements && row.StatementCount > 0, "the statements of a name");
            statements += row.StatementCount;
            var key = (row.Product, row.Name);
            Require(last.CompareTo(key) < 0, "the order of names");
            last = key;
        }

        Require(statements <= _database.AllStatements.Length, "the statements of names");

        // A search ends at a free place: at least half of them are.
        var table = _database.NameTable;
        var taken = 0;
        foreach (var entry in table)
        {
            Require((uint)entry <= (uint)names.Length, "a place in the table of names");
            taken += entry != 0 ? 1 : 0;
        }

        Require(int.IsPow2(table.Length) && taken == names.Length && taken <= table.Length / 2, "the table of names");

        var lastProduct = -1;
        foreach (var product in _database.ProductTexts)
        {
            Text(product);
            Require(product > lastProduct, "the order of products");
            lastProduct = product;
        }
    }

    void Entries()
    {
        var last = 0;
        foreach (ref readonly var row in _database.Predictions)
        {
            Text(row.Cve);
            Source(row.Source);
            Require(row.Cve >= last, "the order of predictions");
            last = row.Cve;
        }

        last = 0;
        foreach (ref readonly var row in _database.KnownExploitedRows)
        {
            Text(row.Cve);
            Text(row.Action);
            Source(row.Source);
            Require(row.Cve >= last, "the order of known exploited CVEs");
            Require((uint)row.Added <= (uint)DateOnly.MaxValue.DayNumber && (uint)row.Due <= (uint)DateOnly.MaxValue.DayNumber, "a day");
            last = row.Cve;
        }
    }

    void Decisions()
    {
        foreach (ref readonly var row in _database.DecisionRows)
        {
            Text(row.Id);
            Text(row.Vulnerability);
            Text(row.Justification);
            Text(row.Reason);
            Text(row.Author);
            List(row.Products);
            List(row.Scope);
            Source(row.Source);
            Time(row.Decided);
            Time(row.Expires);
            Require(row.Status is >= (int)DecisionStatus.NotAffected and <= (int)DecisionStatus.UnderInvestigation, "the kind of a decision");
        }
    }

    void Text(int text) => Require((uint)text < (uint)_texts, "the number of a text");

    void List(int list) =>
        Require((uint)list < (uint)_lists.Length && (_listStarts[list / 64] & (1UL << (list % 64))) != 0, "the place of a list");

    void Source(int source) => Require((uint)source < (uint)_sources, "the number of a source");

    static void Time(long ticks) => Require((ulong)ticks <= (ulong)DateTimeOffset.MaxValue.UtcTicks, "a time");

    static void Require(bool isGood, string what)
    {
        if (!isGood) Throw(what);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static void Throw(string what) => throw new AdvisoryDatabaseException($"is malformed, {what} is wrong: {DatabaseFile.Remedy}");
}
