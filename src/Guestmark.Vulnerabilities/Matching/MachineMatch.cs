using System.Runtime.InteropServices;
using System.Text;
using Guestmark.Inventory;

namespace Guestmark.Vulnerabilities;

/// <summary>The match of one machine's packages. Not for several threads at a time.</summary>
public sealed class MachineMatch
{
    // Lists of CPEs are repeated by every package of a repository; a machine has some dozens.
    const int ChainsMax = 1024;

    readonly Matcher _matcher;
    readonly AdvisoryDatabase _database;
    readonly HostFacts _host;
    readonly PackageOrigin.Family? _family;
    readonly ProductChain _osChain;
    readonly Ecosystem? _osEcosystem;
    readonly ProductChain?[] _languageChains = new ProductChain?[16];
    readonly Dictionary<IReadOnlyList<string>, ProductChain> _cpeChains = new(CpeLists.Instance);
    readonly List<PlanUse> _uses = [];
    readonly Lookup[] _lookups = new Lookup[3];
    readonly List<Candidate> _candidates = [];
    readonly List<Emission> _emissions = [];
    readonly Comparison<Emission> _byAdvisory;

    // The package that is being matched.
    byte[] _text = new byte[512];
    int _textLength;
    Package _package = null!;
    ProductChain _chain = ProductChain.Empty;
    int _lookupCount;
    bool _isModular;
    byte[] _module = [];
    string? _moduleLabel;
    byte[] _moduleVersion = [];
    string? _lastVendor;
    bool _lastVendorIsThirdParty;

    internal MachineMatch(Matcher matcher, OsRelease os, HostFacts host)
    {
        _matcher = matcher;
        _database = matcher.Database;
        _host = host;
        Os = os;
        _family = PackageOrigin.FamilyOf(os);
        var products = Ecosystem.ProductsOf(os);
        _osChain = os.IsRhel ? ProductChain.OfRelease(matcher, os) : ProductChain.Of(matcher, products);
        _osEcosystem = products.Count > 0 ? Ecosystem.Find(products[0]) : null;
        _byAdvisory = CompareByAdvisory;
    }

    public OsRelease Os { get; }

    /// <summary>Of the packages so far.</summary>
    public MatchSummary Summary { get; } = new();

    internal Matcher Matcher => _matcher;

    /// <summary>Adds one finding for each advisory that applies, in ascending order of advisory ids.</summary>
    public MatchOutcome Match(Package package, ICollection<Finding> findings)
    {
        ArgumentNullException.ThrowIfNull(package);
        ArgumentNullException.ThrowIfNull(findings);
        var outcome = Prepare(package);
        Summary.Add(outcome);
        if (outcome != MatchOutcome.Matched || _uses.Count == 0) return outcome;
        if (_uses is [{ Plan.IsPlain: true }]) AddPlain(findings);
        else AddDecided(findings);
        return outcome;
    }

    /// <summary>Finds what there is to compare with.</summary>
    internal MatchOutcome Prepare(Package package)
    {
        _package = package;
        _uses.Clear();
        var outcome = Choose(package);
        if (outcome != MatchOutcome.Matched) return outcome;
        Read(package);
        for (var tier = 0; tier < _chain.Tiers.Count; tier++)
        {
            foreach (var product in _chain.Tiers[tier])
            {
                for (var i = 0; i < _lookupCount; i++)
                {
                    ref readonly var lookup = ref _lookups[i];
                    if ((lookup.Accepts & product.Plan.Namings) == PackageNamings.None) continue;
                    var name = _database.FindName(product.Plan.Text, lookup.Name(_text));
                    if (name < 0) continue;
                    var plan = _matcher.PlanOf(product.Plan, name);
                    var ranks = plan.Ranks(lookup.Order);
                    var version = lookup.Version(_text);
                    _uses.Add(new PlanUse(plan, ranks, version.IsEmpty ? NamePlan.NoPlace : ranks.PlaceOf(version), i, tier, product));
                }
            }
        }

        return outcome;
    }

    /// <summary>Whether a product is asked about the package, and by which lookup a statement about it is.</summary>
    internal (bool IsAsked, int Lookup) AskedBy(in StatementRow statement)
    {
        foreach (var tier in _chain.Tiers)
        {
            foreach (var product in tier)
            {
                if (product.Plan.Text != statement.Product) continue;
                for (var i = 0; i < _lookupCount; i++)
                {
                    if (((int)_lookups[i].Accepts & (1 << statement.Naming)) != 0 && _lookups[i].Name(_text).SequenceEqual(_database.Text(statement.Name)))
                        return (true, i);
                }

                return (true, -1);
            }
        }

        return (false, -1);
    }

    internal bool IsNamed(in StatementRow statement)
    {
        var name = _database.Text(statement.Name);
        for (var i = 0; i < _lookupCount; i++)
        {
            if (_lookups[i].Name(_text).SequenceEqual(name)) return true;
        }

        return false;
    }

    /// <summary>What a prepared package has to do with a rule by its module and architecture.</summary>
    internal StatementDecision Applies(in PlanRule rule, int lookup)
    {
        if (rule.Naming != PackageNaming.Module)
        {
            if (rule.IsModular != _isModular) return StatementDecision.OtherModule;
            if (_isModular && !IsOfStream(rule, lookup)) return StatementDecision.OtherModule;
        }

        return rule.Architectures == 0 || IsOfArchitecture(rule.Architectures) ? StatementDecision.Applies : StatementDecision.OtherArchitecture;
    }

    internal PlanUse? UseOf(in StatementRow statement, int lookup)
    {
        foreach (var use in _uses)
        {
            if (use.Lookup == lookup && use.Plan.Product.Text == statement.Product) return use;
        }

        return null;
    }

    internal PackageMatch Matching(in PlanUse use)
    {
        ref readonly var lookup = ref _lookups[use.Lookup];
        var isGuess = _chain.IsGuess || (_chain.IsRedHat && _package.Repository is { IsGuess: true });
        return new PackageMatch(
            _database, _package, use.Product.Plan, lookup.Kind, lookup.Order, use.Product.Cpe, isGuess, RunningKernel.StateOf(_package, _host.RunningKernel));
    }

    MatchOutcome Choose(Package package)
    {
        if (package.Architecture is "src" or "nosrc" || package.Name is "gpg-pubkey") return MatchOutcome.NotSoftware;
        if (package.Manager is not (PackageManager.Rpm or PackageManager.Dpkg or PackageManager.Apk))
        {
            _chain = LanguageChain(package.Manager);
            return _chain.Tiers.Count > 0 ? MatchOutcome.Matched : MatchOutcome.LanguageNotCovered;
        }

        var hasCpes = package.Repository is { Cpes.Count: > 0 } && package.Manager == PackageManager.Rpm && (Os.IsRhel || _osEcosystem is null);
        if (!hasCpes && _osEcosystem is null) return MatchOutcome.SystemNotCovered;
        if (!hasCpes && _osEcosystem!.Manager != package.Manager) return MatchOutcome.OtherManager;
        if (IsThirdParty(package)) return MatchOutcome.ThirdParty;
        _chain = hasCpes ? CpeChain(package.Repository!.Cpes) : _osChain;
        if (_chain.Tiers.Count > 0) return MatchOutcome.Matched;
        return hasCpes ? MatchOutcome.ProductNotCovered : MatchOutcome.SystemNotCovered;
    }

    bool IsThirdParty(Package package)
    {
        // By far most packages of a machine have the vendor of the one before, and no more than that is needed then.
        if (package.Manager != PackageManager.Rpm || package.Vendor is not { Length: > 0 } vendor || package.Rpm is not null || package.Repository is not null)
            return PackageOrigin.IsThirdParty(package, _family);
        if (!string.Equals(vendor, _lastVendor, StringComparison.Ordinal))
        {
            _lastVendorIsThirdParty = PackageOrigin.IsThirdParty(package, _family);
            _lastVendor = vendor;
        }

        return _lastVendorIsThirdParty;
    }

    ProductChain LanguageChain(PackageManager manager)
    {
        if ((uint)manager >= (uint)_languageChains.Length) return ProductChain.Empty;
        return _languageChains[(int)manager] ??= Ecosystem.ProductOf(manager) is { } product ? ProductChain.Of(_matcher, [product]) : ProductChain.Empty;
    }

    ProductChain CpeChain(IReadOnlyList<string> cpes)
    {
        if (_cpeChains.TryGetValue(cpes, out var chain)) return chain;
        if (_cpeChains.Count >= ChainsMax) _cpeChains.Clear();
        return _cpeChains[cpes] = ProductChain.OfCpes(_matcher, cpes, Os.VersionId);
    }

    void Read(Package package)
    {
        _textLength = 0;
        _lookupCount = 0;
        var isLanguage = package.Manager is not (PackageManager.Rpm or PackageManager.Dpkg or PackageManager.Apk);
        var name = Write(isLanguage ? _chain.Tiers[0][0].Plan.Ecosystem.NormalizeName(package.Name) : package.Name);
        var version = WriteVersion(package);
        _lookups[_lookupCount++] = new Lookup(PackageLookup.Binary, VersionOrder.Ecosystem, PackageNamings.Binary | PackageNamings.Either, name, version);
        if (isLanguage)
        {
            _isModular = false;
            return;
        }

        var (sourceName, sourceText) = SourceNames.Of(package);
        var hasSource = sourceName is { Length: > 0 };
        var isOwnSource = !hasSource || sourceName == package.Name;
        var sourceVersion = hasSource && sourceText is { Length: > 0 } ? Write(sourceText) : version;
        // The file name of a source rpm has no epoch and the binary's may be another (perl-Carp 0, perl 4).
        var order = !sourceVersion.Equals(version) && package.Manager == PackageManager.Rpm && !RpmVersion.HasEpoch(_text.AsSpan(sourceVersion))
            ? VersionOrder.RpmWithoutEpoch
            : VersionOrder.Ecosystem;
        _lookups[_lookupCount++] = new Lookup(
            hasSource ? PackageLookup.Source : PackageLookup.Binary,
            order,
            isOwnSource ? PackageNamings.Source : PackageNamings.Source | PackageNamings.Either,
            isOwnSource ? name : Write(sourceName!),
            sourceVersion);

        var label = package.ModularityLabel is { Length: > 0 } known && known.Contains(':') ? known : null;
        _isModular = label is not null || BuildTag.IsModular(_text.AsSpan(version));
        if (label != _moduleLabel)
        {
            (_module, _moduleVersion) = PackageMatch.LabelOf(package);
            _moduleLabel = label;
        }

        if (label is not null)
            _lookups[_lookupCount++] = new Lookup(PackageLookup.Module, VersionOrder.Module, PackageNamings.Module, Write(_module), Write(_moduleVersion));
    }

    /// <summary>The common case: one product, one name, errata of one feed. Each interval is two comparisons of integers.</summary>
    void AddPlain(ICollection<Finding> findings)
    {
        var use = _uses[0];
        var rules = use.Plan.Rules;
        var (first, last, place) = (use.Ranks.First, use.Ranks.Last, use.Place);
        var accepts = _lookups[use.Lookup].Accepts;
        PackageMatch? match = null;
        var document = -1;
        for (var i = 0; i < first.Length && i < last.Length; i++)
        {
            if (place < first[i] || place > last[i]) continue;
            ref readonly var rule = ref rules[i];
            // An advisory with two statements about a package is still one finding.
            if (rule.Document == document || ((int)accepts & (1 << (int)rule.Naming)) == 0) continue;
            if (Applies(rule, use.Lookup) != StatementDecision.Applies) continue;
            findings.Add(new Finding(match ??= Matching(use), rule.Statement, rule.Interval));
            document = rule.Document;
        }
    }

    /// <summary>Where statements may overrule each other: each CVE is decided by itself, then what was decided is told by document.</summary>
    void AddDecided(ICollection<Finding> findings)
    {
        _candidates.Clear();
        _emissions.Clear();
        for (var i = 0; i < _uses.Count; i++) Collect(i);
        var candidates = CollectionsMarshal.AsSpan(_candidates);
        candidates.Sort(static (a, b) =>
        {
            var order = a.Cve.CompareTo(b.Cve);
            if (order == 0) order = a.Rank.CompareTo(b.Rank);
            if (order == 0) order = a.Tier.CompareTo(b.Tier);
            if (order == 0) order = a.Use.CompareTo(b.Use);
            return order != 0 ? order : a.Rule.CompareTo(b.Rule);
        });

        for (var start = 0; start < candidates.Length;)
        {
            // Of the feeds that name a CVE only the one of the best rank is heard.
            var end = start + 1;
            while (end < candidates.Length && candidates[end].Cve == candidates[start].Cve && candidates[end].Rank == candidates[start].Rank) end++;
            Decide(candidates[start..end]);
            start = end;
            while (start < candidates.Length && candidates[start].Cve == candidates[start - 1].Cve) start++;
        }

        CollectionsMarshal.AsSpan(_emissions).Sort(_byAdvisory);
        var previous = default(Emission?);
        foreach (var emission in _emissions)
        {
            if (previous is { } last && IsSame(last, emission)) continue;
            previous = emission;
            var (use, rule) = (_uses[emission.Use], _uses[emission.Use].Plan.Rules[emission.Rule]);
            var main = emission.MainUse < 0 ? default(PlanRule?) : _uses[emission.MainUse].Plan.Rules[emission.MainRule];
            findings.Add(new Finding(Matching(use), rule.Statement, rule.Interval, main?.Statement ?? -1, main?.Interval ?? -1));
        }
    }

    void Collect(int index)
    {
        var use = _uses[index];
        var rules = use.Plan.Rules;
        var accepts = _lookups[use.Lookup].Accepts;
        for (var i = 0; i < rules.Length;)
        {
            var start = i;
            var (applying, containing) = (-1, -1);
            for (; i < rules.Length && rules[i].Statement == rules[start].Statement; i++)
            {
                if (containing >= 0 || ((int)accepts & (1 << (int)rules[i].Naming)) == 0 || Applies(rules[i], use.Lookup) != StatementDecision.Applies) continue;
                if (applying < 0) applying = i;
                if (use.Ranks.Contains(i, use.Place)) containing = i;
            }

            if (applying < 0) continue;
            var verdict = rules[start].Status switch
            {
                ProductStatus.Fixed => containing >= 0 ? Verdict.Vulnerable : Verdict.Fixed,
                ProductStatus.NotAffected => containing < 0 ? Verdict.None : rules[containing].Interval >= 0 ? Verdict.BuildNotAffected : Verdict.NotAffected,
                _ => containing >= 0 ? Verdict.Unfixed : Verdict.None,
            };
            if (verdict == Verdict.None) continue;
            // A module's version that is not known cannot be compared.
            if (verdict == Verdict.Fixed && use.Place == NamePlan.NoPlace) continue;
            Add(index, use.Tier, containing >= 0 ? containing : applying, rules[start], verdict);
        }
    }

    void Add(int use, int tier, int index, in PlanRule rule, Verdict verdict)
    {
        var own = _database.Details[_database.AllStatements[rule.Statement].Detail].Cve;
        var cves = _database.List(_database.Documents[rule.Document].Cves);
        if (own != 0)
        {
            _candidates.Add(new Candidate(own, rule.FeedRank, tier, use, index, verdict));
            return;
        }

        foreach (var cve in cves) _candidates.Add(new Candidate(cve, rule.FeedRank, tier, use, index, verdict));
        // A document that names no CVE stands for itself.
        if (cves.IsEmpty) _candidates.Add(new Candidate(-1 - rule.Document, rule.FeedRank, tier, use, index, verdict));
    }

    /// <summary>Decides about one CVE.</summary>
    /// <param name="candidates">Of one rank, ordered by tier, use and rule.</param>
    void Decide(ReadOnlySpan<Candidate> candidates)
    {
        if (candidates[0].Rank == FeedRank.Errata && !_chain.IsRedHat)
        {
            // Errata are about updates, each of which is reported: several of them fix one CVE when the first fix was not enough.
            foreach (var candidate in candidates)
            {
                if (candidate.Verdict is Verdict.Vulnerable or Verdict.Unfixed && !IsRuledOut(candidates, candidate)) Emit(candidate);
            }

            return;
        }

        var unfixed = default(Candidate?);
        for (var start = 0; start < candidates.Length;)
        {
            var end = start + 1;
            while (end < candidates.Length && candidates[end].Tier == candidates[start].Tier) end++;
            var tier = candidates[start..end];
            start = end;
            var decided = DecideTier(tier);
            switch (decided.Verdict)
            {
                case Verdict.Fixed:
                    return;
                case Verdict.NotAffected or Verdict.BuildNotAffected when unfixed is null:
                    if (_matcher.Options.IncludeNotAffected) Emit(decided);
                    return;
                case Verdict.NotAffected or Verdict.BuildNotAffected:
                    Emit(unfixed.Value);
                    return;
                case Verdict.Vulnerable when decided.Tier == 0 || !_chain.IsStream:
                    Emit(decided);
                    return;
                case Verdict.Vulnerable:
                    Emit(unfixed ?? decided, decided);
                    return;
                case Verdict.Unfixed:
                    unfixed ??= decided;
                    break;
            }
        }

        if (unfixed is { } left) Emit(left);
    }

    static bool IsRuledOut(ReadOnlySpan<Candidate> candidates, in Candidate candidate)
    {
        foreach (var other in candidates)
        {
            if (other.Use == candidate.Use && (other.Verdict == Verdict.BuildNotAffected || (other.Verdict == Verdict.NotAffected && candidate.Verdict == Verdict.Unfixed)))
                return true;
        }

        return false;
    }

    /// <summary>
    /// What the products of one tier say together: within a product each of the package's names is decided by itself, and what is fixed by one
    /// name is fixed; products of a tier stand side by side because nobody knows which applies, so that vulnerable in one is vulnerable.
    /// </summary>
    Candidate DecideTier(ReadOnlySpan<Candidate> candidates)
    {
        var best = default(Candidate?);
        var bestWeight = int.MaxValue;
        for (var start = 0; start < candidates.Length;)
        {
            var product = _uses[candidates[start].Use].Plan.Product;
            var ofProduct = default(Candidate?);
            while (start < candidates.Length && ReferenceEquals(_uses[candidates[start].Use].Plan.Product, product))
            {
                var end = start + 1;
                while (end < candidates.Length && candidates[end].Use == candidates[start].Use) end++;
                var decided = DecideName(candidates[start..end]);
                if (ofProduct is not { } known || IsStronger(decided, known)) ofProduct = decided;
                start = end;
            }

            var weight = AcrossProducts(ofProduct!.Value.Verdict);
            if (weight < bestWeight) (best, bestWeight) = (ofProduct, weight);
        }

        return best!.Value;

        // What is said of the installable package itself is more exact than what is said of its source: git-core of an affected git.
        bool IsStronger(in Candidate a, in Candidate b)
        {
            if (a.Verdict == Verdict.Vulnerable && IsOfSource(a) && b.Verdict == Verdict.NotAffected && !IsOfSource(b)) return false;
            if (b.Verdict == Verdict.Vulnerable && IsOfSource(b) && a.Verdict == Verdict.NotAffected && !IsOfSource(a)) return true;
            return WithinProduct(a.Verdict) < WithinProduct(b.Verdict);
        }

        bool IsOfSource(in Candidate candidate) => _lookups[_uses[candidate.Use].Lookup].Kind == PackageLookup.Source;

        static int WithinProduct(Verdict verdict) => verdict switch
        {
            Verdict.BuildNotAffected => 0,
            Verdict.Fixed => 1,
            Verdict.Vulnerable => 2,
            Verdict.NotAffected => 3,
            _ => 4,
        };

        static int AcrossProducts(Verdict verdict) => verdict switch
        {
            Verdict.Vulnerable => 0,
            Verdict.BuildNotAffected => 1,
            Verdict.Fixed => 2,
            Verdict.Unfixed => 3,
            _ => 4,
        };
    }

    /// <summary>What the statements about one name in one product say together.</summary>
    Candidate DecideName(ReadOnlySpan<Candidate> candidates)
    {
        var use = _uses[candidates[0].Use];
        var rules = use.Plan.Rules;
        var (major, minor) = use.Plan.Product.IsRedHat ? ReleaseOf(use.Lookup) : default;
        var fix = default(Candidate?);
        var fixLikeness = 0;
        var notAffected = default(Candidate?);
        var unfixed = default(Candidate?);
        foreach (var candidate in candidates)
        {
            switch (candidate.Verdict)
            {
                case Verdict.BuildNotAffected:
                    return candidate;
                case Verdict.NotAffected:
                    notAffected ??= candidate;
                    break;
                case Verdict.Unfixed:
                    unfixed ??= candidate;
                    break;
                default:
                    // Builds of several minor releases stand side by side in one product of Red Hat, those of layered products for several
                    // major ones (el7jbcs and el8jbcs). That of the installed build's own decides; without one the newest, because nothing
                    // says that an older one was fixed where the installed comes from.
                    ref readonly var rule = ref rules[candidate.Rule];
                    var likeness = minor != 0 && rule.Minor == minor ? 2 : major != 0 && rule.Major == major ? 1 : 0;
                    var isBetter = fix is not { } known || likeness > fixLikeness
                        || (likeness == fixLikeness && use.Ranks.Last[candidate.Rule] > use.Ranks.Last[known.Rule]);
                    if (isBetter) (fix, fixLikeness) = (candidate, likeness);
                    break;
            }
        }

        return fix ?? notAffected ?? unfixed!.Value;
    }

    (int Major, int Minor) ReleaseOf(int lookup)
    {
        var version = _lookups[lookup].Version(_text);
        return _lookups[lookup].Kind == PackageLookup.Module ? (0, BuildTag.PlatformOf(version)) : (BuildTag.MajorOf(version), BuildTag.MinorOf(version));
    }

    void Emit(in Candidate candidate, Candidate? main = null) =>
        _emissions.Add(new Emission(candidate.Use, candidate.Rule, main?.Use ?? -1, main?.Rule ?? -1, candidate.Rank));

    int CompareByAdvisory(Emission a, Emission b)
    {
        var (x, y) = (DocumentOf(a), DocumentOf(b));
        var order = 0;
        if (x.Id != y.Id) order = _database.Text(x.Id).SequenceCompareTo(_database.Text(y.Id));
        if (order == 0) order = a.Rank.CompareTo(b.Rank);
        if (order == 0 && x.Feed != y.Feed) order = _database.Text(x.Feed).SequenceCompareTo(_database.Text(y.Feed));
        if (order == 0) order = RuleOf(a).Document.CompareTo(RuleOf(b).Document);
        if (order == 0 && CveOf(a) != CveOf(b)) order = _database.Text(CveOf(a)).SequenceCompareTo(_database.Text(CveOf(b)));
        if (order == 0) order = a.Use.CompareTo(b.Use);
        return order != 0 ? order : a.Rule.CompareTo(b.Rule);
    }

    /// <summary>Two findings of one document about the same CVEs, or of one advisory that two feeds have.</summary>
    bool IsSame(Emission a, Emission b)
    {
        var (x, y) = (DocumentOf(a), DocumentOf(b));
        return x.Id == y.Id && (x.Feed != y.Feed || (RuleOf(a).Document == RuleOf(b).Document && CveOf(a) == CveOf(b)));
    }

    ref readonly PlanRule RuleOf(in Emission emission) => ref _uses[emission.Use].Plan.Rules[emission.Rule];

    ref readonly DocumentRow DocumentOf(in Emission emission) => ref _database.Documents[RuleOf(emission).Document];

    int CveOf(in Emission emission) => _database.Details[_database.AllStatements[RuleOf(emission).Statement].Detail].Cve;

    // nodejs of nodejs:18 is older than the fix of nodejs:20 and not affected by it, or is, and then nodejs:18 has its own fix.
    bool IsOfStream(in PlanRule rule, int lookup)
    {
        if (_moduleLabel is not null && rule.Modules != 0)
        {
            foreach (var module in _database.List(rule.Modules))
            {
                if (_database.Text(module).SequenceEqual(_module)) return true;
            }

            return false;
        }

        var version = _lookups[lookup].Version(_text);
        if (rule.Interval < 0)
        {
            foreach (var module in _database.List(rule.Modules))
            {
                if (BuildTag.MayBeOfStream(version, _database.Text(module))) return true;
            }

            return false;
        }

        ref readonly var interval = ref _database.AllIntervals[rule.Interval];
        return BuildTag.MayShareStream(version, _database.Text(interval.End != 0 ? interval.End : interval.Introduced));
    }

    bool IsOfArchitecture(int architectures)
    {
        var own = _package.Architecture;
        // An SBOM need not say it.
        if (own.Length == 0) return true;
        foreach (var architecture in _database.List(architectures))
        {
            if (EqualsAscii(_database.Text(architecture), own)) return true;
        }

        return false;

        static bool EqualsAscii(ReadOnlySpan<byte> bytes, string text)
        {
            if (bytes.Length != text.Length) return false;
            for (var i = 0; i < bytes.Length; i++)
            {
                if (bytes[i] != text[i]) return false;
            }

            return true;
        }
    }

    Range Write(ReadOnlySpan<char> text)
    {
        Reserve(text.Length * 3);
        var start = _textLength;
        _textLength += Encoding.UTF8.GetBytes(text, _text.AsSpan(start));
        return start.._textLength;
    }

    Range Write(ReadOnlySpan<byte> text)
    {
        Reserve(text.Length);
        var start = _textLength;
        text.CopyTo(_text.AsSpan(start));
        _textLength += text.Length;
        return start.._textLength;
    }

    /// <summary><see cref="Package.FullVersion"/>.</summary>
    Range WriteVersion(Package package)
    {
        var start = _textLength;
        if (package.Epoch is { } epoch and > 0)
        {
            Reserve(16);
            epoch.TryFormat(_text.AsSpan(_textLength), out var written, provider: System.Globalization.CultureInfo.InvariantCulture);
            _textLength += written;
            _text[_textLength++] = (byte)':';
        }

        Write(package.Version);
        if (package.Release.Length > 0)
        {
            Reserve(1);
            _text[_textLength++] = (byte)'-';
            Write(package.Release);
        }

        return start.._textLength;
    }

    void Reserve(int bytes)
    {
        if (_text.Length - _textLength < bytes) Array.Resize(ref _text, Math.Max(_text.Length * 2, _textLength + bytes));
    }

    enum Verdict : byte
    {
        None,

        /// <summary>There is a fix, and the package has it.</summary>
        Fixed,

        /// <summary>There is a fix, and the package is older.</summary>
        Vulnerable,

        /// <summary>Exactly this build is not affected.</summary>
        BuildNotAffected,
        NotAffected,
        Unfixed,
    }

    readonly record struct Lookup(PackageLookup Kind, VersionOrder Order, PackageNamings Accepts, Range NameRange, Range VersionRange)
    {
        public ReadOnlySpan<byte> Name(byte[] text) => text.AsSpan(NameRange);

        public ReadOnlySpan<byte> Version(byte[] text) => text.AsSpan(VersionRange);
    }

    /// <summary>A name of the package that a product has statements about, and where the package's version lies among theirs.</summary>
    internal readonly record struct PlanUse(NamePlan Plan, VersionRanks Ranks, int Place, int Lookup, int Tier, ChainProduct Product);

    /// <summary>What one statement says about one CVE.</summary>
    readonly record struct Candidate(int Cve, byte Rank, int Tier, int Use, int Rule, Verdict Verdict);

    readonly record struct Emission(int Use, int Rule, int MainUse, int MainRule, byte Rank);

    sealed class CpeLists : IEqualityComparer<IReadOnlyList<string>>
    {
        public static CpeLists Instance { get; } = new();

        public bool Equals(IReadOnlyList<string>? x, IReadOnlyList<string>? y)
        {
            if (ReferenceEquals(x, y)) return true;
            if (x is null || y is null || x.Count != y.Count) return false;
            for (var i = 0; i < x.Count; i++)
            {
                if (x[i] != y[i]) return false;
            }

            return true;
        }

        public int GetHashCode(IReadOnlyList<string> cpes) => HashCode.Combine(cpes.Count, cpes.Count > 0 ? cpes[0] : "", cpes.Count > 1 ? cpes[^1] : "");
    }
}
