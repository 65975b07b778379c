using System.Runtime.InteropServices;
using System.Text;
using Guestmark.Inventory;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// From names of packages to the distinct packages that have them, to the package sets that hold those, to the machines that have the sets:
/// what a changed advisory concerns is found without looking at anything else. Not for several threads at a time.
/// </summary>
/// <remarks>
/// A set is what machines with equal packages share, under a number that the caller chooses. Memory: about 400 bytes for each distinct package
/// (its texts not counted, which belong to the caller's objects), 24 for each package of a set, 120 for each machine; 500 sets of 508
/// packages and 50,000 machines take 13 MB.
/// </remarks>
public sealed class FleetIndex
{
    readonly Dictionary<DistinctKey, int> _numbers = [];
    readonly List<Distinct?> _packages = [];
    readonly Stack<int> _free = new();
    readonly Dictionary<string, List<int>> _byName = new(StringComparer.Ordinal);
    readonly Dictionary<long, PackageSet> _sets = [];
    readonly Dictionary<long, PackageSet> _machines = [];

    long _question;

    public int MachineCount => _machines.Count;

    public int SetCount => _sets.Count;

    public int PackageCount => _numbers.Count;

    /// <summary>Makes a set known. One that is known stays as it is, since sets do not change.</summary>
    public void AddSet(long set, OsRelease os, IReadOnlyList<Package> packages)
    {
        ArgumentNullException.ThrowIfNull(os);
        ArgumentNullException.ThrowIfNull(packages);
        if (_sets.ContainsKey(set)) return;
        var numbers = new HashSet<int>(packages.Count);
        foreach (var package in packages) numbers.Add(NumberOf(os, package));
        var entry = new PackageSet(set, [.. numbers]);
        foreach (var number in entry.Packages) _packages[number]!.Sets.Add(entry);
        _sets.Add(set, entry);
    }

    /// <summary>Adds a machine with a set, or moves it there.</summary>
    /// <exception cref="ArgumentException">The set is not known.</exception>
    public void MoveMachine(long machine, long set)
    {
        if (!_sets.TryGetValue(set, out var to)) throw new ArgumentException($"package set {set} is not known: add it before its machines", nameof(set));
        if (_machines.TryGetValue(machine, out var from))
        {
            if (from == to) return;
            Leave(machine, from);
        }

        to.Places[machine] = to.Machines.Count;
        to.Machines.Add(machine);
        _machines[machine] = to;
    }

    /// <returns>False when it was not known.</returns>
    public bool RemoveMachine(long machine)
    {
        if (!_machines.Remove(machine, out var from)) return false;
        Leave(machine, from);
        return true;
    }

    /// <summary>Forgets a set, and the packages that no other has.</summary>
    /// <returns>False when it was not known.</returns>
    /// <exception cref="InvalidOperationException">A machine has it.</exception>
    public bool RemoveSet(long set)
    {
        if (!_sets.TryGetValue(set, out var entry)) return false;
        if (entry.Machines.Count > 0) throw new InvalidOperationException($"package set {set} has {entry.Machines.Count} machines: move or remove them first");
        _sets.Remove(set);
        foreach (var number in entry.Packages)
        {
            var distinct = _packages[number]!;
            distinct.Sets.Remove(entry);
            if (distinct.Sets.Count > 0) continue;
            foreach (var name in distinct.Names)
            {
                var numbers = _byName[name];
                numbers.Remove(number);
                if (numbers.Count == 0) _byName.Remove(name);
            }

            _numbers.Remove(distinct.Key);
            _packages[number] = null;
            _free.Push(number);
        }

        return true;
    }

    /// <summary>The machines that have a package with a finding of one advisory.</summary>
    /// <param name="matcher">Over the database that has the advisory.</param>
    /// <param name="advisory">Its id.</param>
    public FleetMatch Affected(Matcher matcher, string advisory)
    {
        ArgumentNullException.ThrowIfNull(matcher);
        ArgumentNullException.ThrowIfNull(advisory);
        return Match(matcher, NamesIn(matcher.Database, advisory), finding => finding.IsOf(advisory));
    }

    /// <summary>The machines that have a package with one of the names, affected or not: whose findings a change of these names may have changed.</summary>
    public FleetMatch Concerned(IEnumerable<string> names)
    {
        var packages = PackagesOf(names);
        return Collect([.. packages.Select(number => _packages[number]!)]);
    }

    /// <summary>The findings of all distinct packages with one of the names, and the machines that have a package with one.</summary>
    /// <param name="include">Which findings count.</param>
    public FleetMatch Match(Matcher matcher, IEnumerable<string> names, Predicate<Finding> include)
    {
        ArgumentNullException.ThrowIfNull(matcher);
        ArgumentNullException.ThrowIfNull(include);
        var affected = new List<Distinct>();
        var findings = new List<Finding>();
        foreach (var number in PackagesOf(names))
        {
            var distinct = _packages[number]!;
            findings.Clear();
            matcher.Match(distinct.Key.Os, distinct.Key.Package, findings);
            if (findings.Exists(include)) affected.Add(distinct);
        }

        return Collect(affected);
    }

    static HashSet<string> NamesIn(AdvisoryDatabase database, string advisory)
    {
        var id = Encoding.UTF8.GetBytes(advisory);
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (ref readonly var document in database.Documents)
        {
            if (document.State != DocumentState.Live || !database.Text(document.Id).SequenceEqual(id)) continue;
            foreach (var statement in database.DocumentStatements.Slice(document.StatementStart, document.StatementCount))
                names.Add(database.TextOf(database.AllStatements[statement].Name));
        }

        return names;
    }

    FleetMatch Collect(List<Distinct> affected)
    {
        // A number for each question marks the sets that were met: one package after the other has the same ones.
        _question++;
        var sets = new List<PackageSet>();
        var count = 0;
        foreach (var distinct in affected)
        {
            foreach (var set in distinct.Sets)
            {
                if (set.Question == _question) continue;
                set.Question = _question;
                sets.Add(set);
                count += set.Machines.Count;
            }
        }

        // Every machine has one set, so that none is there twice.
        var machines = new List<long>(count);
        foreach (var set in sets) machines.AddRange(CollectionsMarshal.AsSpan(set.Machines));
        return new FleetMatch(machines, [.. sets.Select(set => set.Number)], [.. affected.Select(distinct => distinct.Key.Package)]);
    }

    static void Leave(long machine, PackageSet set)
    {
        set.Places.Remove(machine, out var place);
        var last = set.Machines[^1];
        set.Machines[place] = last;
        if (last != machine) set.Places[last] = place;
        set.Machines.RemoveAt(set.Machines.Count - 1);
    }

    HashSet<int> PackagesOf(IEnumerable<string> names)
    {
        ArgumentNullException.ThrowIfNull(names);
        var numbers = new HashSet<int>();
        foreach (var name in names)
        {
            if (_byName.TryGetValue(name, out var known)) numbers.UnionWith(known);
        }

        return numbers;
    }

    int NumberOf(OsRelease os, Package package)
    {
        var key = new DistinctKey(os, package);
        if (_numbers.TryGetValue(key, out var number)) return number;
        var distinct = new Distinct(key, NamesOf(package));
        if (_free.TryPop(out number))
        {
            _packages[number] = distinct;
        }
        else
        {
            number = _packages.Count;
            _packages.Add(distinct);
        }

        _numbers.Add(key, number);
        foreach (var name in distinct.Names)
        {
            ref var numbers = ref CollectionsMarshal.GetValueRefOrAddDefault(_byName, name, out _);
            (numbers ??= []).Add(number);
        }

        return number;
    }

    /// <summary>Every name by which a statement can be about a package: 1 to 3.</summary>
    public static IReadOnlyList<string> NamesOf(Package package)
    {
        ArgumentNullException.ThrowIfNull(package);
        var name = Ecosystem.ProductOf(package.Manager) is { } product ? Ecosystem.Find(product)?.NormalizeName(package.Name) : null;
        var names = new List<string>(3) { name ?? package.Name };
        if (SourceNames.Of(package).Name is { Length: > 0 } source && source != package.Name) names.Add(source);
        if (package.ModularityLabel is { } label && label.IndexOf(':') is >= 0 and var colon)
        {
            var end = label.IndexOf(':', colon + 1);
            names.Add(end < 0 ? label : label[..end]);
        }

        return names;
    }

    sealed class Distinct(DistinctKey key, IReadOnlyList<string> names)
    {
        public DistinctKey Key { get; } = key;

        public IReadOnlyList<string> Names { get; } = names;

        public HashSet<PackageSet> Sets { get; } = [];
    }

    sealed class PackageSet(long number, int[] packages)
    {
        public long Number { get; } = number;

        public int[] Packages { get; } = packages;

        /// <summary>The last question that met it.</summary>
        public long Question { get; set; }

        public List<long> Machines { get; } = [];

        /// <summary>Where each machine is in <see cref="Machines"/>.</summary>
        public Dictionary<long, int> Places { get; } = [];
    }

    /// <summary>What of a package and its system can change a finding.</summary>
    readonly struct DistinctKey(OsRelease os, Package package) : IEquatable<DistinctKey>
    {
        public OsRelease Os { get; } = os;

        public Package Package { get; } = package;

        public bool Equals(DistinctKey other)
        {
            var (a, b) = (Package, other.Package);
            return Os == other.Os && a.Manager == b.Manager && a.Name == b.Name && a.Epoch == b.Epoch && a.Version == b.Version && a.Release == b.Release
                && a.Architecture == b.Architecture && a.ModularityLabel == b.ModularityLabel && a.SourceName == b.SourceName
                && a.SourceVersion == b.SourceVersion && a.Vendor == b.Vendor && a.Rpm?.Signature?.KeyId == b.Rpm?.Signature?.KeyId
                && Equals(a.Repository, b.Repository);
        }

        public override bool Equals(object? obj) => obj is DistinctKey other && Equals(other);

        public override int GetHashCode() => HashCode.Combine(Package.Name, Package.Version, Package.Release, Package.Architecture, Os.Id, Os.VersionId);
    }
}

/// <summary>What a change concerns in a fleet.</summary>
/// <param name="Machines">Each once, in no order.</param>
/// <param name="Sets">Their package sets; also those that no machine has.</param>
/// <param name="Packages">The distinct packages.</param>
public sealed record FleetMatch(IReadOnlyList<long> Machines, IReadOnlyList<long> Sets, IReadOnlyList<Package> Packages);
