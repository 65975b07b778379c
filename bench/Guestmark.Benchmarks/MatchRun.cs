using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Guestmark.Inventory;
using Guestmark.Vulnerabilities;

namespace Guestmark.Benchmarks;

/// <summary>Our side of <c>bench/run match</c>.</summary>
static class MatchRun
{
    static readonly TimeSpan Duration = TimeSpan.FromSeconds(2);

    // Keeps what was read from being left out.
    static ulong _checksum;

    /// <summary>Machines a second on one core, with every field of the evidence read.</summary>
    /// <param name="texts">Make a text of each.</param>
    public static int Machines(string folder, bool texts)
    {
        var database = AdvisoryDatabase.Open(MatchData.DatabaseIn(folder));
        var (sets, numbers) = MatchData.ReadFleet(folder);
        WriteFindings(folder, database, numbers);
        var matcher = new Matcher(database);
        long findings = 0;
        long read = 0;
        var list = new List<Finding>();
        foreach (var set in sets) Match(set);
        (findings, read) = (0, 0);
        var machines = 0;
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed < Duration)
        {
            foreach (var set in sets) Match(set);
            machines += sets.Count;
        }

        var seconds = clock.Elapsed.TotalSeconds;
        Console.Error.WriteLine($"  {findings * sets.Count / machines} findings of {sets.Count} machines, {read / findings} bytes of evidence each");
        Console.WriteLine(((long)(machines / seconds)).ToString(CultureInfo.InvariantCulture));
        return 0;

        void Match(Package[] packages)
        {
            list.Clear();
            var machine = matcher.For(MatchData.Os);
            foreach (var package in packages) machine.Match(package, list);
            foreach (var finding in list) read += texts ? ReadTexts(finding) : ReadBytes(finding);
            findings += list.Count;
        }
    }

    /// <summary>
    /// Machines a second when all are matched together, each distinct package once, and every field of the evidence is read for each machine:
    /// as PostgreSQL plans the one query for all.
    /// </summary>
    public static int Together(string folder)
    {
        var database = AdvisoryDatabase.Open(MatchData.DatabaseIn(folder));
        var (sets, numbers) = MatchData.ReadFleet(folder);
        var matcher = new Matcher(database);
        var machines = 0;
        Match();
        machines = 0;
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed < Duration) Match();
        Console.WriteLine(((long)(machines / clock.Elapsed.TotalSeconds)).ToString(CultureInfo.InvariantCulture));
        return 0;

        void Match()
        {
            var machine = matcher.For(MatchData.Os);
            var findings = new List<Finding>[numbers.Count];
            foreach (var (package, number) in numbers) machine.Match(package, findings[number] = []);
            foreach (var set in sets)
            {
                foreach (var package in set)
                {
                    foreach (var finding in findings[numbers[package]]) ReadBytes(finding);
                }
            }

            machines += sets.Count;
        }
    }

    /// <summary>How often a second the affected machines of one advisory are found among 50,000, with a matcher that has not met it before.</summary>
    public static int Fleet(string folder)
    {
        var database = AdvisoryDatabase.Open(MatchData.DatabaseIn(folder));
        var (sets, _) = MatchData.ReadFleet(folder);
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var fleet = new FleetIndex();
        for (var i = 0; i < sets.Count; i++) fleet.AddSet(i, MatchData.Os, sets[i]);
        for (var i = 0; i < MatchData.Machines; i++) fleet.MoveMachine(i, i % sets.Count);
        var memory = GC.GetTotalMemory(forceFullCollection: true) - before;
        var advisory = File.ReadAllText(Path.Combine(folder, "advisory")).Trim();
        var match = fleet.Affected(new Matcher(database), advisory);
        File.WriteAllText(Path.Combine(folder, "ours-machines"), $"{match.Machines.Count} {match.Machines.Sum()}\n");
        for (var i = 0; i < 20; i++) fleet.Affected(new Matcher(database), advisory);
        var times = new List<double>();
        var clock = Stopwatch.StartNew();
        while (clock.Elapsed < Duration)
        {
            var start = Stopwatch.GetTimestamp();
            fleet.Affected(new Matcher(database), advisory);
            times.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        times.Sort();
        Console.Error.WriteLine(
            $"  {advisory}: {match.Machines.Count} machines of {match.Sets.Count} sets by {match.Packages.Count} packages; {times[times.Count / 2] * 1e6:F0} us, at most {times[^1] * 1e6:F0} us; "
            + $"index of {fleet.PackageCount} packages {memory >> 20} MB");
        File.WriteAllText(Path.Combine(folder, "fleet-memory"), $"{memory >> 20} {times[^1] * 1000:F2}\n");
        Console.WriteLine(((long)(1 / times[times.Count / 2])).ToString(CultureInfo.InvariantCulture));
        return 0;
    }

    /// <summary>What PostgreSQL must find too: number of the package and id of the advisory; and the advisory that most of the sets have.</summary>
    static void WriteFindings(string folder, AdvisoryDatabase database, Dictionary<Package, int> numbers)
    {
        var matcher = new Matcher(database);
        var lines = new List<string>();
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var (package, number) in numbers)
        {
            var findings = new List<Finding>();
            matcher.Match(MatchData.Os, package, findings);
            foreach (var finding in findings)
            {
                lines.Add($"{number}\t{finding.AdvisoryId}");
                counts[finding.AdvisoryId] = counts.GetValueOrDefault(finding.AdvisoryId) + 1;
            }
        }

        lines.Sort(StringComparer.Ordinal);
        File.WriteAllLines(Path.Combine(folder, "ours-findings"), lines);
        File.WriteAllText(Path.Combine(folder, "advisory"), counts.MaxBy(count => count.Value).Key);
    }

    /// <summary>Reads each field to its last byte.</summary>
    static long ReadBytes(Finding finding)
    {
        var bytes = finding.Bytes();
        var package = finding.Package;
        var read = Read(bytes.Feed) + Read(bytes.AdvisoryId) + Read(bytes.Summary) + Read(bytes.Url) + Read(bytes.CvssVector) + Read(bytes.Product)
            + Read(bytes.Name) + Read(bytes.Cpe) + Read(bytes.Erratum) + Read(bytes.ErratumUrl) + Read(bytes.Remark) + Read(bytes.Justification)
            + Read(bytes.Introduced) + Read(bytes.End) + Read(bytes.Rules) + Read(bytes.RepositoryCpe) + Read(package.Name) + Read(package.Version)
            + Read(package.Release);
        for (int i = 0, count = bytes.CveCount; i < count; i++) read += Read(bytes.Cve(i));
        for (int i = 0, count = bytes.ModuleCount; i < count; i++) read += Read(bytes.Module(i));
        _checksum ^= (ulong)((bytes.Published?.UtcTicks ?? 0) ^ (bytes.Modified?.UtcTicks ?? 0)) ^ (ulong)bytes.EndKind ^ (ulong)bytes.Naming
            ^ (ulong)bytes.Severity ^ (ulong)finding.Status ^ (ulong)finding.Kernel ^ (bytes.CvssScore is null ? 0UL : 1) ^ (bytes.IsSourceVersion ? 2UL : 0)
            ^ (bytes.IsGuess ? 4UL : 0);
        return read;
    }

    static long Read(string? text) => Read(MemoryMarshal.AsBytes(text.AsSpan()));

    static long Read(ReadOnlySpan<byte> bytes)
    {
        var checksum = _checksum;
        foreach (var word in MemoryMarshal.Cast<byte, ulong>(bytes)) checksum ^= word;
        foreach (var rest in bytes[(bytes.Length & ~7)..]) checksum ^= rest;
        _checksum = checksum;
        return bytes.Length;
    }

    static long ReadTexts(Finding finding)
    {
        var evidence = finding.Evidence;
        long read = finding.Feed.Length + finding.AdvisoryId.Length + finding.Summary.Length + finding.InstalledVersion.Length + (finding.FixedVersion?.Length ?? 0)
            + (finding.CvssVector?.Length ?? 0) + (finding.Erratum?.Length ?? 0) + (finding.ErratumUrl?.Length ?? 0) + (finding.Remark?.Length ?? 0)
            + (finding.Justification?.Length ?? 0) + evidence.Source.Length + evidence.Ecosystem.Length + evidence.MatchedPackage.Length + evidence.Range.Length
            + evidence.Comparison.Length + (evidence.Url?.Length ?? 0);
        foreach (var cve in finding.Cves) read += cve.Length;
        return read;
    }
}
