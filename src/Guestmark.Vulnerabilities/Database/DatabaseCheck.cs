namespace Guestmark.Vulnerabilities;

/// <summary>
/// Checks every index of a database once, when it is opened, so that reading it needs no checks of its own: a file with a good checksum may
/// still have been made by someone else.
/// </summary>
static class DatabaseCheck
{
    /// <exception cref="AdvisoryDatabaseException">A row points outside.</exception>
    public static void Run(AdvisoryDatabase database)
    {
        Sizes(database);
        Texts(database);
        Lists(database);
        foreach (ref readonly var row in database.SourceRows)
        {
            Text(database, row.Name);
            Text(database, row.Format);
            Text(database, row.Uri);
            Text(database, row.Version);
            Time(row.Imported);
            Time(row.Newest);
        }

        Documents(database);
        Statements(database);
        Names(database);
        Others(database);
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
        if (database.SectionBytes(DatabaseSection.Revision) != 32) throw Malformed("the revision");
        // Half of the table is free: a search always ends.
        if (!int.IsPow2(database.NameTable.Length) || database.NameTable.Length < 2 * database.Names.Length) throw Malformed("the table of names");

        void Size<T>(DatabaseSection section, int least) where T : unmanaged
        {
            var (bytes, size) = (database.SectionBytes(section), DatabaseFile.SizeOf<T>());
            if (bytes % size != 0 || bytes / size < least || bytes / size > Array.MaxLength) throw Malformed($"the size of {section}");
        }
    }

    static void Texts(AdvisoryDatabase database)
    {
        var starts = database.TextStarts;
        var last = 0u;
        foreach (var start in starts)
        {
            if (start < last) throw Malformed("a text");
            last = start;
        }

        if (starts[0] != 0 || starts[1] != 0 || last != database.SectionBytes(DatabaseSection.TextBytes)) throw Malformed("the texts");
    }

    static void Lists(AdvisoryDatabase database)
    {
        var lists = database.Lists;
        if (lists[0] != 0) throw Malformed("the empty list");
        for (var at = 0; at < lists.Length;)
        {
            var length = lists[at++];
            if (length < 0 || length > lists.Length - at) throw Malformed("a list");
            for (var end = at + length; at < end; at++) Text(database, lists[at]);
        }
    }

    static void Documents(AdvisoryDatabase database)
    {
        var statements = 0L;
        foreach (ref readonly var row in database.Documents)
        {
            if ((uint)row.Source >= (uint)database.SourceRows.Length) throw Malformed("a source");
            Text(database, row.Feed);
            Text(database, row.Id);
            Text(database, row.Part);
            Text(database, row.Summary);
            Text(database, row.Vector);
            Text(database, row.Url);
            List(database, row.Cves);
            Time(row.Published);
            Time(row.Modified);
            if (row.Severity > (byte)Severity.Critical || row.State > DocumentState.Withdrawn) throw Malformed("a document");
            if (row.StatementStart != statements || row.StatementCount < 0) throw Malformed("the statements of a document");
            statements += row.StatementCount;
        }

        if (statements != database.DocumentStatements.Length) throw Malformed("the statements of documents");
        foreach (var statement in database.DocumentStatements)
        {
            if ((uint)statement >= (uint)database.AllStatements.Length) throw Malformed("a statement of a document");
        }
    }

    static void Statements(AdvisoryDatabase database)
    {
        foreach (ref readonly var row in database.AllStatements)
        {
            if ((uint)row.Document >= (uint)database.Documents.Length || (uint)row.Detail >= (uint)database.Details.Length
                || row.IntervalStart < 0 || row.IntervalStart > database.AllIntervals.Length - row.IntervalCount
                || row.Naming > (byte)PackageNaming.Module || row.Status is < (byte)ProductStatus.Fixed or > (byte)ProductStatus.NotAffected)
                throw Malformed("a statement");
            Text(database, row.Product);
            Text(database, row.Name);
            Text(database, row.Cpe);
            List(database, row.Architectures);
            List(database, row.Modules);
        }

        foreach (ref readonly var row in database.Details)
        {
            Text(database, row.Cve);
            Text(database, row.Vector);
            Text(database, row.Erratum);
            Text(database, row.ErratumUrl);
            Text(database, row.Remark);
            Text(database, row.Justification);
            if (row.Severity > (byte)Severity.Critical) throw Malformed("a severity");
        }

        foreach (ref readonly var row in database.AllIntervals)
        {
            Text(database, row.Introduced);
            Text(database, row.End);
            if (row.Kind is < (int)IntervalEnd.None or > (int)IntervalEnd.LastAffected) throw Malformed("an interval");
        }
    }

    static void Names(AdvisoryDatabase database)
    {
        var statements = 0L;
        foreach (ref readonly var row in database.Names)
        {
            Text(database, row.Product);
            Text(database, row.Name);
            if (row.StatementStart != statements || row.StatementCount <= 0) throw Malformed("the statements of a name");
            statements += row.StatementCount;
        }

        if (statements > database.AllStatements.Length) throw Malformed("the statements of names");
        foreach (var entry in database.NameTable)
        {
            if ((uint)entry > (uint)database.Names.Length) throw Malformed("the table of names");
        }

        foreach (var product in database.ProductTexts) Text(database, product);
    }

    static void Others(AdvisoryDatabase database)
    {
        foreach (ref readonly var row in database.Predictions)
        {
            Text(database, row.Cve);
            Source(database, row.Source);
        }

        foreach (ref readonly var row in database.KnownExploitedRows)
        {
            Text(database, row.Cve);
            Text(database, row.Action);
            Source(database, row.Source);
            if (!IsDay(row.Added) || !IsDay(row.Due)) throw Malformed("a day");
        }

        foreach (ref readonly var row in database.DecisionRows)
        {
            Text(database, row.Id);
            Text(database, row.Vulnerability);
            Text(database, row.Justification);
            Text(database, row.Reason);
            Text(database, row.Author);
            List(database, row.Products);
            List(database, row.Scope);
            Source(database, row.Source);
            Time(row.Decided);
            Time(row.Expires);
            if (row.Status is < (int)DecisionStatus.NotAffected or > (int)DecisionStatus.UnderInvestigation) throw Malformed("a decision");
        }

        static bool IsDay(int number) => (uint)number <= (uint)DateOnly.MaxValue.DayNumber;
    }

    static void Text(AdvisoryDatabase database, int text)
    {
        if ((uint)text >= (uint)database.TextCount) throw Malformed("a text's number");
    }

    static void List(AdvisoryDatabase database, int list)
    {
        if ((uint)list >= (uint)database.Lists.Length || (uint)database.Lists[list] > (uint)(database.Lists.Length - list - 1)) throw Malformed("a list's place");
    }

    static void Source(AdvisoryDatabase database, int source)
    {
        if ((uint)source >= (uint)database.SourceRows.Length) throw Malformed("a source's number");
    }

    static void Time(long ticks)
    {
        if (ticks < 0 || ticks > DateTimeOffset.MaxValue.UtcTicks) throw Malformed("a time");
    }

    static AdvisoryDatabaseException Malformed(string what) => new($"is malformed: {what} is out of range");
}
