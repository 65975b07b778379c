using System.Globalization;
using System.IO.Compression;
using System.Text;
using Guestmark.Inventory;
using Guestmark.Vulnerabilities;

namespace Guestmark.Benchmarks;

/// <summary>The advisories and the fleet that matching is measured with, for us and as tables for PostgreSQL.</summary>
/// <remarks>
/// 500 package sets of 508 packages: those of a real CentOS 8, about half of them in a version that an advisory names, so that machines
/// are on different levels of updates. 50,000 machines have them in turn.
/// </remarks>
static class MatchData
{
    public const int Sets = 500;
    public const int PackagesPerSet = 508;
    public const int Machines = 50_000;

    public static OsRelease Os { get; } = new("almalinux", "8.10", "AlmaLinux 8.10");

    public static string DatabaseIn(string folder) => Path.Combine(folder, "advisories.db");

    public static int Prepare(string feed, string packagesPath, string folder)
    {
        Directory.CreateDirectory(folder);
        var builder = new AdvisoryDatabaseBuilder();
        var import = builder.Import("osv/almalinux", FeedName.Osv, feed, ImportMode.Replace);
        using (var zip = ZipFile.OpenRead(feed))
        {
            foreach (var entry in zip.Entries.Where(entry => entry.Name.EndsWith(".json", StringComparison.Ordinal)))
            {
                using var stream = entry.Open();
                using var document = new MemoryStream();
                stream.CopyTo(document);
                OsvDocument.Read(entry.FullName, document.ToArray(), import);
            }
        }

        import.Complete("", DateTimeOffset.UnixEpoch);
        if (import.Skipped > 0) throw new InvalidOperationException($"{import.Skipped} documents of {feed} could not be read: {import.SkippedParts[0]}");
        builder.Write(DatabaseIn(folder));
        var database = AdvisoryDatabase.Open(DatabaseIn(folder));
        var sets = MakeSets(ReadPackages(packagesPath), FixedVersions(database));
        WriteFleet(folder, sets);
        WriteAdvisories(folder, database);
        Console.WriteLine($"{database.AdvisoryCount} advisories, {sets.SelectMany(set => set).Distinct().Count()} distinct packages");
        return 0;
    }

    /// <summary>The sets, and the number under which PostgreSQL has each package.</summary>
    public static (List<Package[]> Sets, Dictionary<Package, int> Numbers) ReadFleet(string folder)
    {
        var packages = new List<Package>();
        foreach (var line in File.ReadLines(Path.Combine(folder, "ours.tsv")))
        {
            var fields = line.Split('\t');
            packages.Add(ToPackage(fields[0], fields[1], fields[2], fields[3], fields[4], fields[5], fields[6]));
        }

        var sets = new List<Package[]>();
        var numbers = new Dictionary<Package, int>(ReferenceEqualityComparer.Instance);
        for (var i = 0; i < packages.Count; i++) numbers[packages[i]] = i;
        foreach (var line in File.ReadLines(Path.Combine(folder, "ours-sets.tsv"))) sets.Add([.. line.Split(' ').Select(number => packages[int.Parse(number, CultureInfo.InvariantCulture)])]);
        return (sets, numbers);
    }

    /// <summary>The first packages of what <c>rpm -qa</c> says, one a line with the names of the fields in the first.</summary>
    static List<Package> ReadPackages(string path)
    {
        var lines = File.ReadAllLines(path);
        var names = lines[0].Split('\t');
        return
        [
            .. lines.Skip(1).Select(line => line.Split('\t')).Where(fields => Of(fields, "name") != "gpg-pubkey").Take(PackagesPerSet).Select(fields => ToPackage(
                Of(fields, "name"), Of(fields, "epoch"), Of(fields, "version"), Of(fields, "release"), Of(fields, "arch"), Of(fields, "modularitylabel"), Of(fields, "vendor"))),
        ];

        string Of(string[] fields, string name) => fields[Array.IndexOf(names, name)] is var value && value == "(none)" ? "" : value;
    }

    static Package ToPackage(string name, string epoch, string version, string release, string arch, string label, string vendor) => new()
    {
        Manager = PackageManager.Rpm,
        Name = name,
        Epoch = epoch.Length == 0 ? null : uint.Parse(epoch, CultureInfo.InvariantCulture),
        Version = version,
        Release = release,
        Architecture = arch,
        ModularityLabel = label.Length == 0 ? null : label,
        Vendor = vendor.Length == 0 ? null : vendor,
    };

    static Dictionary<string, List<string>> FixedVersions(AdvisoryDatabase database)
    {
        var versions = new Dictionary<string, List<string>>(StringComparer.Ordinal);
        foreach (ref readonly var statement in database.AllStatements)
        {
            if (database.TextOf(statement.Product) != "AlmaLinux:8") continue;
            var name = database.TextOf(statement.Name);
            if (!versions.TryGetValue(name, out var known)) versions[name] = known = [];
            foreach (ref readonly var interval in database.Intervals(statement))
            {
                var version = database.TextOf(interval.End);
                if (version.Length > 0 && !BuildTag.IsModular(Encoding.UTF8.GetBytes(version)) && !known.Contains(version)) known.Add(version);
            }
        }

        return versions;
    }

    static List<Package[]> MakeSets(List<Package> packages, Dictionary<string, List<string>> fixedVersions)
    {
        var random = new Random(20260101);
        var distinct = new Dictionary<Package, Package>();
        var sets = new List<Package[]>();
        for (var i = 0; i < Sets; i++)
        {
            sets.Add([.. packages.Select(package =>
            {
                var isModular = package.ModularityLabel is not null || BuildTag.IsModular(Encoding.UTF8.GetBytes(package.Release));
                if (!isModular && random.Next(2) == 0 && fixedVersions.TryGetValue(package.Name, out var versions) && versions.Count > 0)
                {
                    var (epoch, version, release) = Package.SplitVersion(versions[random.Next(versions.Count)]);
                    package = package with { Epoch = epoch, Version = version, Release = release };
                }

                if (distinct.TryGetValue(package, out var known)) return known;
                distinct[package] = package;
                return package;
            })]);
        }

        return sets;
    }

    static void WriteFleet(string folder, List<Package[]> sets)
    {
        var numbers = new Dictionary<Package, int>();
        using var ours = new StreamWriter(Path.Combine(folder, "ours.tsv"));
        using var oursSets = new StreamWriter(Path.Combine(folder, "ours-sets.tsv"));
        using var packages = new StreamWriter(Path.Combine(folder, "package.tsv"));
        using var members = new StreamWriter(Path.Combine(folder, "member.tsv"));
        for (var set = 0; set < sets.Count; set++)
        {
            var inSet = new List<int>();
            foreach (var package in sets[set])
            {
                if (!numbers.TryGetValue(package, out var number))
                {
                    number = numbers.Count;
                    numbers.Add(package, number);
                    ours.WriteLine(string.Join('\t', package.Name, package.Epoch?.ToString(CultureInfo.InvariantCulture), package.Version, package.Release, package.Architecture, package.ModularityLabel, package.Vendor));
                    var isModular = package.ModularityLabel is not null || BuildTag.IsModular(Encoding.UTF8.GetBytes(package.Release));
                    var stream = package.ModularityLabel is { } label ? string.Join(':', label.Split(':')[..2]) : "";
                    packages.WriteLine(string.Join('\t', number, package.Name, package.FullVersion, SortKey(package.FullVersion), isModular ? "t" : "f", stream, Line(package.FullVersion)));
                }

                inSet.Add(number);
                members.WriteLine($"{set}\t{number}");
            }

            oursSets.WriteLine(string.Join(' ', inSet));
        }

        using var machines = new StreamWriter(Path.Combine(folder, "machine.tsv"));
        for (var machine = 0; machine < Machines; machine++) machines.WriteLine($"{machine}\t{machine % Sets}");
    }

    static void WriteAdvisories(string folder, AdvisoryDatabase database)
    {
        using var advisories = new StreamWriter(Path.Combine(folder, "advisory.tsv"));
        using var affected = new StreamWriter(Path.Combine(folder, "affected.tsv"));
        for (var i = 0; i < database.Documents.Length; i++)
        {
            ref readonly var document = ref database.Documents[i];
            advisories.WriteLine(string.Join(
                '\t', i, database.TextOf(document.Id), Plain(database.TextOf(document.Summary)), document.Severity, string.Join(' ', database.TextsOf(document.Cves)),
                database.TextOf(document.Url), document.Published, document.Modified));
        }

        foreach (var name in database.Products.Select(product => ProductPlan.Find(database, product)!).SelectMany(product => Names(database, product)))
        {
            var plan = NamePlan.Of(database, name.Product, name.Index);
            foreach (var rule in plan.Rules)
            {
                ref readonly var interval = ref database.AllIntervals[rule.Interval];
                var (introduced, end) = (database.TextOf(interval.Introduced), database.TextOf(interval.End));
                // The end is exclusive: after a last affected version comes its key with one more byte.
                var high = (IntervalEnd)interval.Kind switch
                {
                    IntervalEnd.Fixed => SortKey(end),
                    IntervalEnd.LastAffected => SortKey(end) + "00",
                    _ => @"\\xffff",
                };
                affected.WriteLine(string.Join(
                    '\t', name.Product.Name, database.TextOf(database.Names[name.Index].Name), rule.Document, introduced.Length == 0 ? @"\\x" : SortKey(introduced), high,
                    rule.IsModular ? "t" : "f", $"{{{string.Join(',', database.TextsOf(rule.Modules))}}}", Line(end.Length > 0 ? end : introduced), introduced, end));
            }
        }

        static string Plain(string text) => text.Replace('\t', ' ').Replace('\n', ' ').Replace('\\', '/');

        static IEnumerable<(ProductPlan Product, int Index)> Names(AdvisoryDatabase database, ProductPlan product)
        {
            for (var i = 0; i < database.Names.Length; i++)
            {
                if (database.Names[i].Product == product.Text) yield return (product, i);
            }
        }
    }

    static string Line(string version) => Encoding.UTF8.GetString(BuildTag.VersionLine(Encoding.UTF8.GetBytes(version)));

    static string SortKey(string version)
    {
        var bytes = Encoding.UTF8.GetBytes(version);
        var key = new byte[RpmVersion.SortKeyBytesMax(bytes.Length)];
        return @"\\x" + Convert.ToHexStringLower(key.AsSpan(0, RpmVersion.WriteSortKey(bytes, key)));
    }
}
