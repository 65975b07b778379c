namespace Guestmark.Vulnerabilities;

/// <summary>
/// Makes the statements of one CSAF document: one for all architectures and channels of which the same is said, and for all vulnerabilities of the
/// document when it is the same for each. docs/reference/csaf.md has the rules and their reasons.
/// </summary>
sealed class CsafStatements(Utf8Table texts, CsafProducts products)
{
    // A row keeps its architectures as bits.
    const int ArchitecturesMax = 64;

    readonly List<(CsafTarget Target, CsafSaid Said)> _entries = [];
    readonly HashSet<(int Name, int Version)> _fixedBuilds = [];
    readonly HashSet<(int Product, int Name, int Version)> _fixedHere = [];
    readonly HashSet<(int Product, int Version)> _fixedVersions = [];
    readonly HashSet<(int Product, int Name)> _affected = [];
    readonly HashSet<(int Product, int Name)> _ranged = [];
    readonly Dictionary<RowKey, int> _rowOf = [];
    readonly List<Row> _rows = [];
    readonly List<string> _vulnerabilities = [];
    readonly List<int> _architectures = [];
    readonly Dictionary<(double, int), int> _scoreNumbers = [];
    readonly List<CsafScore> _scores = [];
    readonly List<int> _scoresHere = [];
    readonly Dictionary<(int Package, Extent Extent), VersionInterval[]> _intervals = [];
    readonly Dictionary<int, VersionInterval[]?> _ranges = [];
    readonly Dictionary<ulong, string[]> _architectureLists = [];
    readonly Dictionary<int, string[]> _moduleLists = [];
    readonly Dictionary<int, string?> _errata = [];
    IFeedSink _sink = null!;

    /// <summary>The worst severity of any product.</summary>
    public Severity SeverityMax { get; private set; }

    public void Start(IFeedSink sink)
    {
        _sink = sink;
        SeverityMax = Severity.Unknown;
        _rows.Clear();
        _vulnerabilities.Clear();
        _architectures.Clear();
        _scoreNumbers.Clear();
        _scores.Clear();
        _intervals.Clear();
        _ranges.Clear();
        _architectureLists.Clear();
        _moduleLists.Clear();
        _errata.Clear();
    }

    public void LeaveOut(string what) => _sink.LeaveOut(what);

    /// <param name="name">CVE or other id of the vulnerability; empty when it has none.</param>
    /// <param name="scores">Its scores; the first one stands for none.</param>
    public void Begin(string name, List<CsafScore> scores)
    {
        _vulnerabilities.Add(name);
        _entries.Clear();
        _scoresHere.Clear();
        foreach (var score in scores)
        {
            if (!_scoreNumbers.TryGetValue((score.Base, score.Vector), out var number))
            {
                number = _scores.Count;
                _scores.Add(score);
                _scoreNumbers.Add((score.Base, score.Vector), number);
            }

            _scoresHere.Add(number);
        }
    }

    /// <summary>Adds what the vulnerability says of one product.</summary>
    /// <returns>What is wrong with it, when it cannot be added.</returns>
    public string? Add(in CsafTarget target, in CsafSaid said)
    {
        var package = products.Packages[target.Package];
        if (package.Range != 0)
        {
            if (RangeOf(package.Range) is not { } range) return $"version range '{texts.Text(package.Range)}' cannot be read";
            if (said.Status is CsafStatus.Fixed or CsafStatus.Recommended && range is not [{ Introduced: not null, Kind: IntervalEnd.None }])
                return $"fixed in '{texts.Text(package.Range)}', which is not all versions from one on";
        }

        if (target.Architecture != 0 && !_architectures.Contains(target.Architecture))
        {
            if (_architectures.Count == ArchitecturesMax) return $"more than {ArchitecturesMax} architectures in one document";
            _architectures.Add(target.Architecture);
        }

        if (said.Severity > SeverityMax) SeverityMax = said.Severity;
        _entries.Add((target, said));
        return null;
    }

    public void End()
    {
        _fixedBuilds.Clear();
        _fixedHere.Clear();
        _fixedVersions.Clear();
        _affected.Clear();
        _ranged.Clear();
        _rowOf.Clear();
        var isMixed = false;
        foreach (var entry in _entries) isMixed |= entry.Said.Status is not (CsafStatus.Fixed or CsafStatus.Recommended);
        foreach (var (target, said) in _entries)
        {
            // An advisory with nothing but fixes has nothing to compare them with.
            if (!isMixed) break;
            var package = products.Packages[target.Package];
            if (said.Status == CsafStatus.NotAffected) continue;
            _affected.Add((target.Product, package.Name));
            if (said.Status is CsafStatus.Fixed or CsafStatus.Recommended)
            {
                _fixedBuilds.Add((package.Name, package.Version));
                _fixedHere.Add((target.Product, package.Name, package.Version));
                _fixedVersions.Add((target.Product, package.Version));
            }
            else if (package.Range != 0)
            {
                _ranged.Add((target.Product, package.Name));
            }
        }

        var last = -1;
        foreach (var (target, said) in _entries)
        {
            var package = products.Packages[target.Package];
            var isFix = said.Status is CsafStatus.Fixed or CsafStatus.Recommended;
            if (ExtentOf(target, package, said.Status) is not { } extent) continue;
            var status = said.Status switch
            {
                CsafStatus.NotAffected => ProductStatus.NotAffected,
                CsafStatus.UnderInvestigation => ProductStatus.UnderInvestigation,
                CsafStatus.Affected when said.Unfixed is { } unfixed => unfixed,
                CsafStatus.Affected when !said.HasFix || extent == Extent.All => ProductStatus.Affected,
                _ => ProductStatus.Fixed,
            };
            // What is not affected has no severity and needs no workaround, whatever lists its product id.
            var counts = status != ProductStatus.NotAffected;
            var key = new RowKey(
                target.Product,
                target.Edition,
                extent == Extent.All && package.Version != 0 ? products.NumberOf(package with { Version = 0 }) : target.Package,
                status,
                extent,
                isFix || status == ProductStatus.Fixed || said.HasFix ? said.Fix : 0,
                counts ? said.Remark : 0,
                counts ? 0 : said.Justification,
                counts ? _scoresHere[said.Score] : 0,
                counts ? said.Severity : Severity.Unknown);
            var architecture = target.Architecture == 0 ? 0UL : 1UL << _architectures.IndexOf(target.Architecture);
            if (last < 0 || _rows[last].Key != key)
            {
                if (!_rowOf.TryGetValue(key, out last))
                {
                    last = _rows.Count;
                    _rowOf.Add(key, last);
                    _rows.Add(new Row(key, target.Cpe, architecture, _vulnerabilities.Count - 1));
                    continue;
                }
            }

            var row = _rows[last];
            _rows[last] = row with { Architectures = architecture == 0 || row.Architectures == 0 ? 0 : row.Architectures | architecture };
        }
    }

    /// <summary>The document's score: the worst of what is affected, when all of that has one; of all scores when nothing is affected.</summary>
    public (double? Score, string? Vector) CommonScore()
    {
        var worst = 0;
        var isAffected = false;
        foreach (var row in _rows)
        {
            if (row.Key.Status == ProductStatus.NotAffected) continue;
            isAffected = true;
            if (row.Key.Score == 0) return (null, null);
            if (worst == 0 || _scores[row.Key.Score].Base > _scores[worst].Base) worst = row.Key.Score;
        }

        for (var i = 1; i < _scores.Count && !isAffected; i++)
        {
            if (worst == 0 || _scores[i].Base > _scores[worst].Base) worst = i;
        }

        return worst == 0 ? (null, null) : (_scores[worst].Base, VectorOf(_scores[worst]));
    }

    /// <summary>The statements, which say only what differs from the document.</summary>
    public IReadOnlyList<PackageStatement> Make(string id, Severity severity, double? score, string? vector)
    {
        var statements = new List<PackageStatement>(_rows.Count);
        var alike = _vulnerabilities.Count > 1 ? CountAlike() : null;
        foreach (var row in _rows)
        {
            var cve = _vulnerabilities.Count > 1 ? _vulnerabilities[row.Vulnerability] : "";
            if (alike is not null && alike[row with { Vulnerability = 0 }] == _vulnerabilities.Count)
            {
                // Said of every vulnerability: once is enough.
                if (row.Vulnerability > 0) continue;
                cve = "";
            }

            var key = row.Key;
            var package = products.Packages[key.Package];
            var own = key.Score == 0 ? default : _scores[key.Score];
            var ownVector = VectorOf(own);
            var isOwn = key.Score != 0 && (own.Base != score || ownVector != vector);
            var erratum = ErratumOf(key.Fix);
            var isOther = erratum != id;
            statements.Add(new PackageStatement
            {
                Product = texts.Text(key.Product),
                Name = texts.Text(package.Name),
                Naming = package.Naming,
                Status = key.Status,
                Intervals = IntervalsOf(key.Package, key.Extent),
                Cpe = row.Cpe == 0 ? null : texts.Text(row.Cpe),
                Architectures = ArchitecturesOf(row.Architectures),
                Modules = ModulesOf(package.Module),
                Cve = cve.Length == 0 ? null : cve,
                Severity = key.Severity == severity ? Severity.Unknown : key.Severity,
                CvssScore = isOwn ? own.Base : null,
                CvssVector = isOwn ? ownVector : null,
                Erratum = isOther ? erratum : null,
                ErratumUrl = isOther && key.Fix != 0 ? texts.Text(key.Fix) : null,
                Remark = key.Remark == 0 ? null : texts.Text(key.Remark),
                Justification = key.Justification == 0 ? null : texts.Text(key.Justification),
            });
        }

        return statements;
    }

    Dictionary<Row, int> CountAlike()
    {
        var alike = new Dictionary<Row, int>(_rows.Count);
        foreach (var row in _rows)
        {
            var key = row with { Vulnerability = 0 };
            alike[key] = alike.GetValueOrDefault(key) + 1;
        }

        return alike;
    }

    // Null: it says nothing that can be compared, or nothing that counts.
    Extent? ExtentOf(in CsafTarget target, CsafPackage package, CsafStatus status)
    {
        var isNamed = package.Version != 0;
        switch (status)
        {
            case CsafStatus.Fixed or CsafStatus.Recommended:
                if (!isNamed && package.Range == 0)
                {
                    _sink.LeaveOut("fixed without a version");
                    return null;
                }

                // A registry has several lines of versions side by side, of which a fix says one; ranges of affected ones say all.
                if (!target.OfDistribution && _ranged.Contains((target.Product, package.Name))) return null;
                return package.Range != 0 ? Extent.FixedInRange : Extent.FixedIn;

            case CsafStatus.NotAffected when target.OfDistribution && isNamed:
                // A source package counts for all that is built of it, of which some may be fixed in this very build.
                return _affected.Contains((target.Product, package.Name))
                    || (package.Naming == PackageNaming.Source && _fixedVersions.Contains((target.Product, package.Version)))
                    ? Extent.Exactly
                    : Extent.All;

            case CsafStatus.Affected or CsafStatus.UnderInvestigation when target.OfDistribution && isNamed:
                if (_fixedHere.Contains((target.Product, package.Name, package.Version)))
                {
                    _sink.LeaveOut("affected build that is the fix itself");
                    return null;
                }

                return _fixedBuilds.Contains((package.Name, package.Version)) ? Extent.Before : Extent.UpTo;

            default:
                return isNamed ? Extent.Exactly : package.Range != 0 ? Extent.Range : Extent.All;
        }
    }

    VersionInterval[] IntervalsOf(int number, Extent extent)
    {
        if (extent == Extent.All) return [];
        if (_intervals.TryGetValue((number, extent), out var known)) return known;
        var package = products.Packages[number];
        var version = texts.Text(package.Version);
        VersionInterval[] intervals = extent switch
        {
            Extent.FixedIn or Extent.Before => [VersionInterval.FixedIn(version)],
            Extent.UpTo => [new VersionInterval(null, version, IntervalEnd.LastAffected)],
            Extent.Exactly => [VersionInterval.Exactly(version)],
            Extent.FixedInRange => [VersionInterval.FixedIn(RangeOf(package.Range)![0].Introduced!)],
            _ => RangeOf(package.Range)!,
        };
        _intervals.Add((number, extent), intervals);
        return intervals;
    }

    VersionInterval[]? RangeOf(int range)
    {
        if (!_ranges.TryGetValue(range, out var intervals))
        {
            intervals = VersionRange.Parse(texts.Text(range));
            _ranges.Add(range, intervals);
        }

        return intervals;
    }

    string[] ArchitecturesOf(ulong bits)
    {
        if (bits == 0) return [];
        if (_architectureLists.TryGetValue(bits, out var list)) return list;
        list = new string[System.Numerics.BitOperations.PopCount(bits)];
        for (int i = 0, n = 0; i < _architectures.Count; i++)
        {
            if ((bits & (1UL << i)) != 0) list[n++] = texts.Text(_architectures[i]);
        }

        Array.Sort(list, StringComparer.Ordinal);
        _architectureLists.Add(bits, list);
        return list;
    }

    string[] ModulesOf(int module)
    {
        if (module == 0) return [];
        if (!_moduleLists.TryGetValue(module, out var list))
        {
            list = [texts.Text(module)];
            _moduleLists.Add(module, list);
        }

        return list;
    }

    // https://access.redhat.com/errata/RHSA-2023:5763
    string? ErratumOf(int url)
    {
        if (url == 0) return null;
        if (_errata.TryGetValue(url, out var erratum)) return erratum;
        const string Folder = "/errata/";
        var text = texts.Text(url);
        var start = text.IndexOf(Folder, StringComparison.Ordinal);
        var id = start < 0 ? "" : text[(start + Folder.Length)..].TrimEnd('/');
        erratum = id.Length == 0 || id.Contains('/', StringComparison.Ordinal) ? null : id;
        _errata.Add(url, erratum);
        return erratum;
    }

    string? VectorOf(CsafScore score) => score.Vector == 0 ? null : texts.Text(score.Vector);

    /// <summary>Which versions a statement is about.</summary>
    enum Extent : byte
    {
        All,

        /// <summary>Older than the package's, which is fixed.</summary>
        FixedIn,

        /// <summary>Older than the first of the package's range, which is fixed.</summary>
        FixedInRange,

        /// <summary>Older than the package's, which is a fix elsewhere.</summary>
        Before,

        /// <summary>The package's and every older one.</summary>
        UpTo,

        Exactly,

        /// <summary>Those in the package's range.</summary>
        Range,
    }

    readonly record struct RowKey(
        int Product,
        int Edition,
        int Package,
        ProductStatus Status,
        Extent Extent,
        int Fix,
        int Remark,
        int Justification,
        int Score,
        Severity Severity);

    /// <param name="Cpe">Of the first product of which it is said.</param>
    /// <param name="Architectures">Bits of those named. 0: all.</param>
    readonly record struct Row(RowKey Key, int Cpe, ulong Architectures, int Vulnerability);
}

/// <summary>
/// Ranges of versions as products of category <c>product_version_range</c> have them: vers (https://github.com/package-url/vers-spec),
/// <c>vers:pypi/&gt;=1.2|&lt;1.4.1</c>, or only its comparisons.
/// </summary>
static class VersionRange
{
    const int ConstraintsMax = 200;

    /// <returns>Intervals of the versions that are in it, empty for all of them; null when it cannot be read.</returns>
    public static VersionInterval[]? Parse(string range)
    {
        var text = range.AsSpan().Trim();
        if (text.StartsWith("vers:", StringComparison.OrdinalIgnoreCase))
        {
            var slash = text.IndexOf('/');
            if (slash < 0) return null;
            text = text[(slash + 1)..];
        }
        else if (text.IsEmpty || text[0] is not ('<' or '>' or '=' or '*'))
        {
            // Words of a vendor: "all versions before V3.1".
            return null;
        }

        if (text is "*") return [];
        var intervals = new List<VersionInterval>();
        string? introduced = null;
        var constraints = 0;
        foreach (var part in text.SplitAny('|', ','))
        {
            var constraint = text[part].Trim();
            var length = 0;
            while (length < constraint.Length && constraint[length] is '<' or '>' or '=' or '!') length++;
            var version = constraint[length..].Trim();
            if (version.IsEmpty || version.ContainsAny(' ', '\t', '*') || ++constraints > ConstraintsMax) return null;
            var number = Uri.UnescapeDataString(version.ToString());
            switch (constraint[..length])
            {
                case "" or "=" or "==":
                    intervals.Add(VersionInterval.Exactly(number));
                    break;
                // There is no interval without its first version; the one that is too many is the last fixed one before it.
                case ">=" or ">":
                    if (introduced is not null) return null;
                    introduced = number;
                    break;
                case "<":
                    intervals.Add(new VersionInterval(introduced, number, IntervalEnd.Fixed));
                    introduced = null;
                    break;
                case "<=":
                    intervals.Add(new VersionInterval(introduced, number, IntervalEnd.LastAffected));
                    introduced = null;
                    break;
                default:
                    return null;
            }
        }

        if (introduced is not null) intervals.Add(new VersionInterval(introduced, null, IntervalEnd.None));
        return [.. intervals];
    }
}
