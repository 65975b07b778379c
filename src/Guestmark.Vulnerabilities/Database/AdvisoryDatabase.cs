using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using System.Text;
using Guestmark.Inventory;

namespace Guestmark.Vulnerabilities;

/// <summary>Advisories, indexed by product and package name. Immutable, safe for any number of threads.</summary>
/// <remarks>
/// <para>The file is mapped and its rows are read in place: what is never looked up costs neither time nor memory. A file that is replaced
/// (<see cref="AdvisoryDatabaseBuilder.Write(string)"/>) stays readable here, because it is another one with the same name.</para>
/// <para>There is nothing to dispose: the mapping goes when nobody refers to this object any more, so that nobody's memory goes while it is
/// read. Spans of rows and texts do not count as references: whoever walks one keeps the database in a field or by
/// <see cref="GC.KeepAlive"/>.</para>
/// <para>Nobody may write into or cut the file itself: it is mapped, and the process that then reads a page that is gone ends with SIGBUS.
/// That is why it is only ever replaced by rename, and is to belong to the user who imports.</para>
/// </remarks>
public sealed unsafe class AdvisoryDatabase
{
    // Keeps the memory: a mapping, or an array that the garbage collector does not move.
    readonly SafeBuffer? _mapping;
    readonly byte[]? _memory;
    readonly byte* _file;
    readonly uint* _textStarts;
    readonly byte* _textBytes;
    readonly int _textCount;
    readonly int _nameTableMask;
    readonly Section[] _sections = new Section[DatabaseFile.SectionCount];

    AdvisoryDatabase(SafeBuffer? mapping, byte[]? memory, byte* file, long length)
    {
        _mapping = mapping;
        _memory = memory;
        _file = file;
        DatabaseFile.Check(file, length);
        var header = new ReadOnlySpan<byte>(file, DatabaseFile.HeaderBytes);
        for (var i = 0; i < _sections.Length; i++)
        {
            var (offset, bytes) = DatabaseFile.Section(header, (DatabaseSection)i);
            _sections[i] = new Section(offset, bytes);
        }

        _textStarts = (uint*)(file + _sections[(int)DatabaseSection.TextStarts].Offset);
        _textCount = Rows<uint>(DatabaseSection.TextStarts).Length - 1;
        _textBytes = file + _sections[(int)DatabaseSection.TextBytes].Offset;
        DatabaseCheck.Run(this);
        _nameTableMask = NameTable.Length - 1;
        Revision = Convert.ToHexStringLower(Rows<byte>(DatabaseSection.Revision));
        AdvisoryCount = CountLive();
    }

    /// <summary>A database without advisories, which covers no machine.</summary>
    public static AdvisoryDatabase Empty { get; } = new AdvisoryDatabaseBuilder().Build();

    /// <summary>Changes exactly when findings can: 64 hexadecimal digits. Where documents came from, EPSS, KEV and decisions are not part of it.</summary>
    public string Revision { get; }

    /// <summary>What the database was made of, by name.</summary>
    public IReadOnlyList<AdvisorySource> Sources
    {
        get
        {
            var sources = new List<AdvisorySource>();
            foreach (ref readonly var row in SourceRows)
            {
                sources.Add(new AdvisorySource(
                    TextOf(row.Name), TextOf(row.Format), TextOf(row.Uri), TextOf(row.Version), row.Documents, row.Skipped, Time(row.Imported) ?? default,
                    Time(row.Newest)));
            }

            return sources;
        }
    }

    /// <summary>Documents that count: not withdrawn, and not older versions of another source's.</summary>
    public int AdvisoryCount { get; }

    /// <summary>Size of the file in bytes.</summary>
    public long Bytes => _sections[^1].Offset + _sections[^1].Length;

    /// <summary>Products (<c>AlmaLinux:8</c>, <c>Red Hat:enterprise_linux:9</c>) of which there is a statement, in ascending order.</summary>
    public IReadOnlyList<string> Products
    {
        get
        {
            var products = new List<string>();
            foreach (var product in ProductTexts) products.Add(TextOf(product));
            return products;
        }
    }

    /// <summary>The file, of at most 2 GB.</summary>
    internal ReadOnlySpan<byte> Content => new(_file, checked((int)Bytes));

    internal int TextCount => _textCount;

    internal ReadOnlySpan<uint> TextStarts => Rows<uint>(DatabaseSection.TextStarts);

    internal ReadOnlySpan<int> Lists => Rows<int>(DatabaseSection.Lists);

    internal ReadOnlySpan<SourceRow> SourceRows => Rows<SourceRow>(DatabaseSection.Sources);

    internal ReadOnlySpan<DocumentRow> Documents => Rows<DocumentRow>(DatabaseSection.Documents);

    internal ReadOnlySpan<StatementRow> AllStatements => Rows<StatementRow>(DatabaseSection.Statements);

    internal ReadOnlySpan<int> DocumentStatements => Rows<int>(DatabaseSection.DocumentStatements);

    internal ReadOnlySpan<DetailRow> Details => Rows<DetailRow>(DatabaseSection.Details);

    internal ReadOnlySpan<IntervalRow> AllIntervals => Rows<IntervalRow>(DatabaseSection.Intervals);

    internal ReadOnlySpan<NameRow> Names => Rows<NameRow>(DatabaseSection.Names);

    internal ReadOnlySpan<int> NameTable => Rows<int>(DatabaseSection.NameTable);

    internal ReadOnlySpan<int> ProductTexts => Rows<int>(DatabaseSection.Products);

    internal ReadOnlySpan<PredictionRow> Predictions => Rows<PredictionRow>(DatabaseSection.Predictions);

    internal ReadOnlySpan<KnownExploitedRow> KnownExploitedRows => Rows<KnownExploitedRow>(DatabaseSection.KnownExploited);

    internal ReadOnlySpan<DecisionRow> DecisionRows => Rows<DecisionRow>(DatabaseSection.Decisions);

    /// <summary>Maps a database that <see cref="AdvisoryDatabaseBuilder.Write(string)"/> wrote.</summary>
    /// <exception cref="AdvisoryDatabaseException">The file cannot be read, is of another version, cut or damaged.</exception>
    public static AdvisoryDatabase Open(string path)
    {
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0);
            var length = stream.Length;
            if (length < DatabaseFile.HeaderBytes) throw new AdvisoryDatabaseException("not an advisory database");
            using var file = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
            var view = file.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read).SafeMemoryMappedViewHandle;
            byte* pointer = null;
            view.AcquirePointer(ref pointer);
            // No reference is counted while the database lives: the handle unmaps itself when it is collected with the database.
            view.ReleasePointer();
            try
            {
                return new AdvisoryDatabase(view, null, pointer, length);
            }
            catch
            {
                view.Dispose();
                throw;
            }
        }
        catch (AdvisoryDatabaseException e)
        {
            throw new AdvisoryDatabaseException($"{path}: {e.Message}", e);
        }
        catch (FileNotFoundException e)
        {
            throw new AdvisoryDatabaseException($"{path}: is not there: import the feeds", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new AdvisoryDatabaseException($"{path}: {e.Message}", e);
        }
    }

    /// <param name="file">A whole file, in an array that was allocated pinned.</param>
    internal static AdvisoryDatabase Read(byte[] file) => new(null, file, (byte*)Marshal.UnsafeAddrOfPinnedArrayElement(file, 0), file.Length);

    /// <summary>Whether there is any statement about machines with this system. Without, no finding says nothing about a machine.</summary>
    public bool Covers(OsRelease os)
    {
        Span<char> name = stackalloc char[Ecosystem.NameMax];
        var length = Ecosystem.NameOf(os, name);
        return length > 0 && FindProduct(name[..length]) >= 0;
    }

    /// <summary>EPSS of a CVE; of several sources the first by name. Null when there is none.</summary>
    public ExploitPrediction? PredictionOf(string cve)
    {
        Span<byte> name = stackalloc byte[64];
        if (!Encoding.UTF8.TryGetBytes(cve, name, out var length)) return null;
        var (low, high) = (0, Predictions.Length);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (Text(Predictions[middle].Cve).SequenceCompareTo(name[..length]) < 0) low = middle + 1;
            else high = middle;
        }

        if (low == Predictions.Length || !Text(Predictions[low].Cve).SequenceEqual(name[..length])) return null;
        return new ExploitPrediction(cve, Predictions[low].Score, Predictions[low].Percentile);
    }

    /// <summary>The entry of a CVE in the catalogue of known exploited vulnerabilities. Null when it is not in it.</summary>
    public KnownExploited? KnownExploitedOf(string cve)
    {
        Span<byte> name = stackalloc byte[64];
        if (!Encoding.UTF8.TryGetBytes(cve, name, out var length)) return null;
        var rows = KnownExploitedRows;
        var (low, high) = (0, rows.Length);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (Text(rows[middle].Cve).SequenceCompareTo(name[..length]) < 0) low = middle + 1;
            else high = middle;
        }

        return low == rows.Length || !Text(rows[low].Cve).SequenceEqual(name[..length]) ? null : ToKnownExploited(rows[low]);
    }

    /// <summary>Whether any document that counts has this id, or is about this CVE, in any case.</summary>
    public bool Mentions(string id)
    {
        var bytes = Encoding.UTF8.GetBytes(id);
        foreach (ref readonly var document in Documents)
        {
            if (document.State != DocumentState.Live) continue;
            if (Ascii.EqualsIgnoreCase(Text(document.Id), bytes)) return true;
            foreach (var cve in List(document.Cves))
            {
                if (Ascii.EqualsIgnoreCase(Text(cve), bytes)) return true;
            }
        }

        return false;
    }

    /// <summary>The names of the sources that say anything about a product for which the condition holds.</summary>
    public IReadOnlySet<string> SourcesAbout(Func<string, bool> isMeant)
    {
        ArgumentNullException.ThrowIfNull(isMeant);
        var found = new bool[SourceRows.Length];
        // The names of a product lie side by side.
        var (product, means) = (-1, false);
        for (var name = 0; name < Names.Length; name++)
        {
            if (Names[name].Product != product) (product, means) = (Names[name].Product, isMeant(TextOf(Names[name].Product)));
            if (!means) continue;
            foreach (ref readonly var statement in StatementsOf(name)) found[Documents[statement.Document].Source] = true;
        }

        var names = new HashSet<string>(StringComparer.Ordinal);
        for (var source = 0; source < found.Length; source++)
        {
            if (found[source]) names.Add(TextOf(SourceRows[source].Name));
        }

        return names;
    }

    /// <summary>The operator's decisions.</summary>
    public IReadOnlyList<VexDecision> Decisions
    {
        get
        {
            var decisions = new List<VexDecision>();
            foreach (ref readonly var row in DecisionRows) decisions.Add(ToDecision(row));
            return decisions;
        }
    }

    /// <summary>
    /// The packages about which this database says something else than another did: what must be matched again when it takes the other's
    /// place. A document that has changed in anything counts for every package that it names, one that came or went as well.
    /// </summary>
    /// <returns>Product and name (<see cref="PackageStatement"/>), in ascending order of their bytes.</returns>
    public IReadOnlyList<(string Product, string Name)> ChangedNames(AdvisoryDatabase previous)
    {
        ArgumentNullException.ThrowIfNull(previous);
        var changed = new List<(string, string)>();
        var ours = Names;
        var theirs = previous.Names;
        var (our, their) = (0, 0);
        while (our < ours.Length || their < theirs.Length)
        {
            var order = our == ours.Length ? 1 : their == theirs.Length ? -1 : Compare(ours[our], previous, theirs[their]);
            if (order < 0) changed.Add((TextOf(ours[our].Product), TextOf(ours[our].Name)));
            else if (order > 0) changed.Add((previous.TextOf(theirs[their].Product), previous.TextOf(theirs[their].Name)));
            else if (ours[our].Hash != theirs[their].Hash) changed.Add((TextOf(ours[our].Product), TextOf(ours[our].Name)));
            if (order <= 0) our++;
            if (order >= 0) their++;
        }

        GC.KeepAlive(previous);
        return changed;
    }

    /// <returns>The text of the product, by which names are looked up; -1 when the database has no statement about it.</returns>
    internal int FindProduct(ReadOnlySpan<char> product)
    {
        Span<byte> bytes = stackalloc byte[Ecosystem.NameMax * 3];
        return Encoding.UTF8.TryGetBytes(product, bytes, out var length) ? FindProduct(bytes[..length]) : -1;
    }

    internal int FindProduct(ReadOnlySpan<byte> product)
    {
        var products = ProductTexts;
        var (low, high) = (0, products.Length - 1);
        while (low <= high)
        {
            var middle = (low + high) / 2;
            var order = Text(products[middle]).SequenceCompareTo(product);
            if (order == 0) return products[middle];
            if (order < 0) low = middle + 1;
            else high = middle - 1;
        }

        return -1;
    }

    /// <returns>The name's row; -1 when the database has no statement about it.</returns>
    internal int FindName(int product, ReadOnlySpan<byte> name)
    {
        var names = Names;
        var table = NameTable;
        for (var place = DatabaseFile.HashOf(product, name) & (uint)_nameTableMask; ; place = (place + 1) & (uint)_nameTableMask)
        {
            var entry = table[(int)place];
            if (entry == 0) return -1;
            ref readonly var row = ref names[entry - 1];
            if (row.Product == product && Text(row.Name).SequenceEqual(name)) return entry - 1;
        }
    }

    internal ReadOnlySpan<StatementRow> StatementsOf(int name)
    {
        ref readonly var row = ref Names[name];
        return AllStatements.Slice(row.StatementStart, row.StatementCount);
    }

    internal ReadOnlySpan<IntervalRow> Intervals(in StatementRow statement) => AllIntervals.Slice(statement.IntervalStart, statement.IntervalCount);

    internal ReadOnlySpan<byte> Text(int text) => new(_textBytes + _textStarts[text], (int)(_textStarts[text + 1] - _textStarts[text]));

    internal ReadOnlySpan<int> List(int list) => Lists.Slice(list + 1, Lists[list]);

    internal string TextOf(int text)
    {
        if (text == 0) return "";
        var result = Encoding.UTF8.GetString(Text(text));
        // Making the text may collect what nobody refers to any more, and that may be this.
        GC.KeepAlive(this);
        return result;
    }

    internal string? TextOrNull(int text) => text == 0 ? null : TextOf(text);

    internal string[] TextsOf(int list)
    {
        var texts = List(list);
        if (texts.IsEmpty) return [];
        var result = new string[texts.Length];
        for (var i = 0; i < result.Length; i++) result[i] = TextOf(texts[i]);
        return result;
    }

    /// <summary>The document as it was added, normalized.</summary>
    internal Advisory ToAdvisory(in DocumentRow row)
    {
        var statements = new PackageStatement[row.StatementCount];
        for (var i = 0; i < statements.Length; i++) statements[i] = ToStatement(AllStatements[DocumentStatements[row.StatementStart + i]]);
        return new Advisory
        {
            Feed = TextOf(row.Feed),
            Id = TextOf(row.Id),
            Part = TextOf(row.Part),
            Cves = TextsOf(row.Cves),
            Summary = TextOf(row.Summary),
            Severity = (Severity)row.Severity,
            CvssScore = Score(row.ScoreTenths),
            CvssVector = TextOrNull(row.Vector),
            Published = Time(row.Published),
            Modified = Time(row.Modified),
            Url = TextOrNull(row.Url),
            Statements = statements,
        };
    }

    internal VexDecision ToDecision(in DecisionRow row) => new()
    {
        Id = TextOf(row.Id),
        Vulnerability = TextOf(row.Vulnerability),
        Products = TextsOf(row.Products),
        Status = (DecisionStatus)row.Status,
        Justification = TextOrNull(row.Justification),
        Reason = TextOf(row.Reason),
        Author = TextOf(row.Author),
        Decided = Time(row.Decided) ?? default,
        Expires = Time(row.Expires),
        Scope = TextsOf(row.Scope),
    };

    internal KnownExploited ToKnownExploited(in KnownExploitedRow row) => new(
        TextOf(row.Cve), DateOnly.FromDayNumber(row.Added), row.Due == 0 ? null : DateOnly.FromDayNumber(row.Due), row.Ransomware != 0, TextOf(row.Action));

    internal static double? Score(byte tenths) => tenths == byte.MaxValue ? null : tenths / 10.0;

    internal static DateTimeOffset? Time(long ticks) => ticks == 0 ? null : new DateTimeOffset(ticks, TimeSpan.Zero);

    internal ReadOnlySpan<T> Rows<T>(DatabaseSection section) where T : unmanaged
    {
        var (offset, bytes) = _sections[(int)section];
        return new ReadOnlySpan<T>(_file + offset, (int)(bytes / sizeof(T)));
    }

    internal long SectionBytes(DatabaseSection section) => _sections[(int)section].Length;

    PackageStatement ToStatement(in StatementRow row)
    {
        ref readonly var detail = ref Details[row.Detail];
        var intervals = new VersionInterval[row.IntervalCount];
        for (var i = 0; i < intervals.Length; i++)
        {
            ref readonly var interval = ref AllIntervals[row.IntervalStart + i];
            intervals[i] = new VersionInterval(TextOrNull(interval.Introduced), TextOrNull(interval.End), (IntervalEnd)interval.Kind);
        }

        return new PackageStatement
        {
            Product = TextOf(row.Product),
            Name = TextOf(row.Name),
            Naming = (PackageNaming)row.Naming,
            Status = (ProductStatus)row.Status,
            Intervals = intervals,
            Cpe = TextOrNull(row.Cpe),
            Architectures = TextsOf(row.Architectures),
            Modules = TextsOf(row.Modules),
            Cve = TextOrNull(detail.Cve),
            Severity = (Severity)detail.Severity,
            CvssScore = Score(detail.ScoreTenths),
            CvssVector = TextOrNull(detail.Vector),
            Erratum = TextOrNull(detail.Erratum),
            ErratumUrl = TextOrNull(detail.ErratumUrl),
            Remark = TextOrNull(detail.Remark),
            Justification = TextOrNull(detail.Justification),
        };
    }

    int Compare(in NameRow row, AdvisoryDatabase other, in NameRow otherRow)
    {
        var order = Text(row.Product).SequenceCompareTo(other.Text(otherRow.Product));
        return order != 0 ? order : Text(row.Name).SequenceCompareTo(other.Text(otherRow.Name));
    }

    int CountLive()
    {
        var live = 0;
        foreach (ref readonly var document in Documents) live += document.State == DocumentState.Live ? 1 : 0;
        return live;
    }

    readonly record struct Section(long Offset, long Length);
}
