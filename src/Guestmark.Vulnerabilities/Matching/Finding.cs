using System.Text;
using System.Text.Json.Serialization;
using Guestmark.Inventory;

namespace Guestmark.Vulnerabilities;

/// <summary>One advisory that applies to one installed package.</summary>
/// <remarks>
/// It refers to the rows of the database, which it keeps open; each text is made when it is asked for. <see cref="Bytes"/> gives the same
/// as the rows have it, without making texts.
/// </remarks>
public sealed class Finding
{
    readonly PackageMatch _match;
    readonly int _statement;
    readonly int _interval;
    readonly int _mainStatement;
    readonly int _mainInterval;

    /// <param name="statement">The statement that decided.</param>
    /// <param name="interval">The interval of it; -1: all versions.</param>
    /// <param name="mainStatement">The statement that fixes it in the main stream, where the package's own stream has no fix; -1: none.</param>
    internal Finding(PackageMatch match, int statement, int interval, int mainStatement = -1, int mainInterval = -1)
    {
        (_match, _statement, _interval, _mainStatement, _mainInterval) = (match, statement, interval, mainStatement, mainInterval);
    }

    /// <summary>The package that it is about.</summary>
    [JsonIgnore]
    public Package Package => _match.Package;

    /// <summary>The feed that says it, one of <see cref="FeedName"/>.</summary>
    public string Feed => Database.TextOf(Document.Feed);

    /// <summary>The vendor's id: <c>ALSA-2021:2363</c>, <c>DSA-5532-1</c>, in a feed of one document for each CVE the CVE.</summary>
    public string AdvisoryId => Database.TextOf(Document.Id);

    /// <summary>The CVEs that it is about, in ascending order. May be empty.</summary>
    public IReadOnlyList<string> Cves => Detail.Cve != 0 ? [Database.TextOf(Detail.Cve)] : Database.TextsOf(Document.Cves);

    /// <summary>One line for people. Empty when the advisory has none.</summary>
    public string Summary => Database.TextOf(Document.Summary);

    /// <summary>The vendor's word for this product, else for the document, else derived from the score.</summary>
    public Severity Severity => Detail.Severity != 0 ? (Severity)Detail.Severity : (Severity)Document.Severity;

    /// <summary>CVSS base score for this product, else of the document, 0.0 to 10.0. Null when there is none.</summary>
    public double? CvssScore => AdvisoryDatabase.Score(HasOwnScore ? Detail.ScoreTenths : Document.ScoreTenths);

    /// <summary>The vector of <see cref="CvssScore"/> as the advisory writes it.</summary>
    public string? CvssVector => Database.TextOrNull(HasOwnScore ? Detail.Vector : Document.Vector);

    /// <summary>
    /// <see cref="ProductStatus.Fixed"/>: there is a fix, and the package is older. Where only the main stream has the fix:
    /// <see cref="ProductStatus.Affected"/>, which <see cref="Remark"/> explains.
    /// </summary>
    public ProductStatus Status => IsFixedElsewhere && (ProductStatus)Row.Status == ProductStatus.Fixed ? ProductStatus.Affected : (ProductStatus)Row.Status;

    /// <summary>The package's version, <c>[epoch:]version[-release]</c>. Where a source package was matched, its own version is in
    /// <see cref="FindingEvidence.Comparison"/>.</summary>
    public string InstalledVersion => _match.Package.FullVersion;

    /// <summary>The version that ends the range. Null when there is no fix yet in the package's stream.</summary>
    public string? FixedVersion => IsFixedElsewhere ? null : FixOf(_interval);

    /// <summary>The update that fixes it, where that is another document: <c>RHSA-2023:5763</c>. Null when there is none or nobody says.</summary>
    public string? Erratum => Database.TextOrNull((IsFixedElsewhere ? DetailOf(_mainStatement) : Detail).Erratum);

    public string? ErratumUrl => Database.TextOrNull((IsFixedElsewhere ? DetailOf(_mainStatement) : Detail).ErratumUrl);

    /// <summary>The vendor's workaround or reason, and where the fix is when it is in another stream. Null when there is nothing to say.</summary>
    public string? Remark
    {
        get
        {
            var remark = Database.TextOrNull(Detail.Remark);
            if (!IsFixedElsewhere) return remark;
            var by = Erratum is { } erratum ? $" by {erratum}" : "";
            var note = $"not fixed in this stream; fixed in the main stream{by} in {FixOf(_mainInterval)}";
            return remark is null ? note : $"{note}. {remark}";
        }
    }

    /// <summary>Why the package is not affected, in the words of VEX. Null but for <see cref="ProductStatus.NotAffected"/>.</summary>
    public string? Justification => Database.TextOrNull(Detail.Justification);

    /// <summary>Of a kernel, whether it runs.</summary>
    public KernelState Kernel => _match.Kernel;

    public FindingEvidence Evidence
    {
        get
        {
            ref readonly var document = ref Document;
            var repository = _match.Package.Repository;
            return new FindingEvidence(
                $"{Database.TextOf(document.Feed)} {AdvisoryId}",
                Database.TextOf(Row.Product),
                Database.TextOf(Row.Name),
                _match.Lookup == PackageLookup.Source,
                RangeOf(Database, _interval),
                $"{Comparison} by {_match.Product.Rules(_match.Order)}",
                AdvisoryDatabase.Time(document.Published),
                AdvisoryDatabase.Time(document.Modified),
                Database.TextOrNull(document.Url),
                Database.TextOrNull(Row.Cpe),
                (PackageNaming)Row.Naming switch
                {
                    PackageNaming.Source => "source",
                    PackageNaming.Either => "either",
                    PackageNaming.Module => "module",
                    _ => "binary",
                },
                Row.Modules == 0 ? null : string.Join(", ", Database.TextsOf(Row.Modules)),
                repository is { Id.Length: > 0 } ? repository.Id : null,
                _match.Cpe,
                repository?.Evidence?.ToString(),
                _match.IsGuess);
        }
    }

    /// <summary>The same, as the database has it.</summary>
    public FindingBytes Bytes() => new(this);

    /// <summary>EPSS: of several CVEs the one that is most likely exploited. Null when none of them has one.</summary>
    public ExploitPrediction? HighestPrediction()
    {
        ExploitPrediction? highest = null;
        foreach (var cve in Cves)
        {
            if (Database.PredictionOf(cve) is { } prediction && (highest is null || prediction.Score > highest.Value.Score)) highest = prediction;
        }

        return highest;
    }

    /// <summary>The entry of the first of its CVEs that is known to be exploited. Null when none is.</summary>
    public KnownExploited? KnownExploited()
    {
        foreach (var cve in Cves)
        {
            if (Database.KnownExploitedOf(cve) is { } entry) return entry;
        }

        return null;
    }

    /// <summary>Whether its advisory has an id, without making a text of it.</summary>
    public bool IsOf(string advisory)
    {
        var id = Database.Text(Document.Id);
        return id.Length <= Encoding.UTF8.GetMaxByteCount(advisory.Length) && Encoding.UTF8.GetByteCount(advisory) == id.Length
            && AdvisoryId == advisory;
    }

    internal AdvisoryDatabase Database => _match.Database;

    internal PackageMatch Match => _match;

    internal int StatementIndex => _statement;

    internal int IntervalIndex => _interval;

    internal ref readonly StatementRow Row => ref Database.AllStatements[_statement];

    internal ref readonly DocumentRow Document => ref Database.Documents[Row.Document];

    internal ref readonly DetailRow Detail => ref Database.Details[Row.Detail];

    internal bool HasOwnScore => Detail.ScoreTenths != byte.MaxValue;

    /// <summary>The statements that it tells of.</summary>
    internal IEnumerable<int> Statements => IsFixedElsewhere ? [_statement, _mainStatement] : [_statement];

    string Comparison
    {
        get
        {
            var version = _match.ComparedVersion;
            if (_interval < 0) return $"{version}: any version";
            ref readonly var interval = ref Database.AllIntervals[_interval];
            return (IntervalEnd)interval.Kind switch
            {
                IntervalEnd.Fixed => $"{version} < {Database.TextOf(interval.End)}",
                IntervalEnd.LastAffected => $"{version} {(interval.Introduced == interval.End ? "=" : "<=")} {Database.TextOf(interval.End)}",
                _ => $"{version} >= {Introduced(Database, interval)}",
            };
        }
    }

    bool IsFixedElsewhere => _mainStatement >= 0;

    /// <param name="index">Of all intervals; -1: all versions.</param>
    internal static string RangeOf(AdvisoryDatabase database, int index)
    {
        if (index < 0) return "all versions";
        ref readonly var interval = ref database.AllIntervals[index];
        var introduced = Introduced(database, interval);
        return (IntervalEnd)interval.Kind switch
        {
            IntervalEnd.Fixed => $"introduced {introduced}, fixed {database.TextOf(interval.End)}",
            IntervalEnd.LastAffected when interval.Introduced == interval.End => $"exactly {introduced}",
            IntervalEnd.LastAffected => $"introduced {introduced}, last affected {database.TextOf(interval.End)}",
            _ => $"introduced {introduced}, no fix",
        };
    }

    static string Introduced(AdvisoryDatabase database, in IntervalRow interval) => interval.Introduced == 0 ? "0" : database.TextOf(interval.Introduced);

    ref readonly DetailRow DetailOf(int statement) => ref Database.Details[Database.AllStatements[statement].Detail];

    string? FixOf(int interval) =>
        interval >= 0 && (IntervalEnd)Database.AllIntervals[interval].Kind == IntervalEnd.Fixed ? Database.TextOf(Database.AllIntervals[interval].End) : null;
}

/// <summary>What a finding says and why, as UTF-8 of the database. Valid as long as the finding is referenced.</summary>
public readonly ref struct FindingBytes
{
    static readonly IntervalRow AllVersions = new() { Introduced = 0, End = 0, Kind = (int)IntervalEnd.None };

    readonly Finding _finding;
    readonly AdvisoryDatabase _database;
    readonly ref readonly StatementRow _row;
    readonly ref readonly DocumentRow _document;
    readonly ref readonly DetailRow _detail;
    readonly ref readonly IntervalRow _interval;

    internal FindingBytes(Finding finding)
    {
        _finding = finding;
        _database = finding.Database;
        _row = ref _database.AllStatements[finding.StatementIndex];
        _document = ref _database.Documents[_row.Document];
        _detail = ref _database.Details[_row.Detail];
        _interval = ref AllVersions;
        if (finding.IntervalIndex >= 0) _interval = ref _database.AllIntervals[finding.IntervalIndex];
    }

    public ReadOnlySpan<byte> Feed => _database.Text(_document.Feed);

    public ReadOnlySpan<byte> AdvisoryId => _database.Text(_document.Id);

    public ReadOnlySpan<byte> Summary => _database.Text(_document.Summary);

    public ReadOnlySpan<byte> Url => _database.Text(_document.Url);

    public DateTimeOffset? Published => AdvisoryDatabase.Time(_document.Published);

    public DateTimeOffset? Modified => AdvisoryDatabase.Time(_document.Modified);

    /// <summary>As <see cref="Finding.Severity"/>.</summary>
    public Severity Severity => (Severity)(_detail.Severity != 0 ? _detail.Severity : _document.Severity);

    /// <summary>As <see cref="Finding.CvssScore"/>.</summary>
    public double? CvssScore => AdvisoryDatabase.Score(HasOwnScore ? _detail.ScoreTenths : _document.ScoreTenths);

    public ReadOnlySpan<byte> CvssVector => _database.Text(HasOwnScore ? _detail.Vector : _document.Vector);

    /// <summary>What the statement says; <see cref="Finding.Status"/> also tells where only the main stream has the fix.</summary>
    public ProductStatus StatementStatus => (ProductStatus)_row.Status;

    public ReadOnlySpan<byte> Product => _database.Text(_row.Product);

    /// <summary>The name in the advisory.</summary>
    public ReadOnlySpan<byte> Name => _database.Text(_row.Name);

    public PackageNaming Naming => (PackageNaming)_row.Naming;

    public ReadOnlySpan<byte> Cpe => _database.Text(_row.Cpe);

    public ReadOnlySpan<byte> Erratum => _database.Text(_detail.Erratum);

    public ReadOnlySpan<byte> ErratumUrl => _database.Text(_detail.ErratumUrl);

    public ReadOnlySpan<byte> Remark => _database.Text(_detail.Remark);

    public ReadOnlySpan<byte> Justification => _database.Text(_detail.Justification);

    /// <summary>The start of the range; empty: from the beginning.</summary>
    public ReadOnlySpan<byte> Introduced => _database.Text(_interval.Introduced);

    /// <summary>The end of the range, which is the version that the package's was compared with; empty: none.</summary>
    public ReadOnlySpan<byte> End => _database.Text(_interval.End);

    public IntervalEnd EndKind => (IntervalEnd)_interval.Kind;

    public int CveCount => _detail.Cve != 0 ? 1 : _database.List(_document.Cves).Length;

    public int ModuleCount => _database.List(_row.Modules).Length;

    /// <summary>The rules by which versions were compared.</summary>
    public string Rules => _finding.Match.Product.Rules(_finding.Match.Order);

    /// <summary>Whether the version of the source package was compared.</summary>
    public bool IsSourceVersion => _finding.Match.Lookup == PackageLookup.Source;

    /// <summary>The CPE of the package's repository that led to the product. Null when none did.</summary>
    public string? RepositoryCpe => _finding.Match.Cpe;

    /// <summary>As <see cref="FindingEvidence.IsGuess"/>.</summary>
    public bool IsGuess => _finding.Match.IsGuess;

    bool HasOwnScore => _detail.ScoreTenths != byte.MaxValue;

    public ReadOnlySpan<byte> Cve(int index) => _database.Text(_detail.Cve != 0 ? _detail.Cve : _database.List(_document.Cves)[index]);

    public ReadOnlySpan<byte> Module(int index) => _database.Text(_database.List(_row.Modules)[index]);
}

/// <summary>Why a finding is one: enough to check it by hand against the vendor's document.</summary>
/// <param name="Source">Feed and document: <c>osv ALSA-2021:2363</c>.</param>
/// <param name="Ecosystem">The product that the statement is about: an ecosystem of OSV (<c>AlmaLinux:8</c>), <c>Red Hat:enterprise_linux:9</c>.</param>
/// <param name="MatchedPackage">The package name in the advisory: a source package's where <paramref name="MatchedBySourcePackage"/>, a module's
/// where <paramref name="Naming"/> is <c>module</c>.</param>
/// <param name="Range">The affected range: <c>introduced 0, fixed 1.0.6-2.el8_4</c>.</param>
/// <param name="Comparison">What was compared by which rules: <c>1.0.5-1.el8 &lt; 1.0.6-2.el8_4 by rpm</c>.</param>
/// <param name="Url">The advisory's page for people.</param>
/// <param name="Cpe">The product as the document names it, when that is a CPE.</param>
/// <param name="Naming">What the name in the advisory is the name of: <c>binary</c>, <c>source</c>, <c>either</c>, <c>module</c>.</param>
/// <param name="Module">The module streams that the advisory names.</param>
/// <param name="Repository">The id of the repository that the package came from.</param>
/// <param name="RepositoryCpe">The CPE of that repository that made the statement apply. Null where os-release did.</param>
/// <param name="RepositoryEvidence">What says that the package came from it, a <see cref="Inventory.RepositoryEvidence"/>.</param>
/// <param name="IsGuess">Nothing records where the package came from: the product was guessed, from the repository's URL, a certificate, or os-release.</param>
public sealed record FindingEvidence(
    string Source,
    string Ecosystem,
    string MatchedPackage,
    bool MatchedBySourcePackage,
    string Range,
    string Comparison,
    DateTimeOffset? Published,
    DateTimeOffset? Modified,
    string? Url,
    string? Cpe = null,
    string Naming = "binary",
    string? Module = null,
    string? Repository = null,
    string? RepositoryCpe = null,
    string? RepositoryEvidence = null,
    bool IsGuess = false);

/// <summary>By which of a package's names it was looked up.</summary>
enum PackageLookup : byte
{
    Binary,
    Source,
    Module,
}

/// <summary>What all findings of a package have in common that were found in one product by one of its names.</summary>
sealed record PackageMatch(
    AdvisoryDatabase Database, Package Package, ProductPlan Product, PackageLookup Lookup, VersionOrder Order, string? Cpe, bool IsGuess, KernelState Kernel)
{
    /// <summary>The package's version that was compared.</summary>
    public string ComparedVersion => Lookup switch
    {
        PackageLookup.Source => SourceNames.Of(Package).Version is { Length: > 0 } version ? version : Package.FullVersion,
        PackageLookup.Module => Encoding.UTF8.GetString(LabelOf(Package).Version),
        _ => Package.FullVersion,
    };

    /// <summary>
    /// Of the label <c>name:stream:version:context</c> the module <c>name:stream</c>, and the version as feeds write it,
    /// <c>stream-version.context</c>, which is empty when the label has none.
    /// </summary>
    public static (byte[] Module, byte[] Version) LabelOf(Package package)
    {
        if (package.ModularityLabel is not { } label) return ([], []);
        var parts = label.Split(':');
        if (parts.Length < 2) return ([], []);
        var version = parts.Length < 3 ? "" : parts.Length < 4 ? $"{parts[1]}-{parts[2]}" : $"{parts[1]}-{parts[2]}.{parts[3]}";
        return (Encoding.UTF8.GetBytes($"{parts[0]}:{parts[1]}"), Encoding.UTF8.GetBytes(version));
    }
}
