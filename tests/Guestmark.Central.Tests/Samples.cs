using Guestmark.Inventory;
using Guestmark.Vulnerabilities;
using Guestmark.Wire.Protobuf;
using Guestmark.Wire.Reports;

namespace Guestmark.Central.Tests;

/// <summary>Reports and advisories that fit each other.</summary>
static class Samples
{
    public static readonly DateTimeOffset Start = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);

    public static readonly OsRelease Alma = new("almalinux", "8.10", "AlmaLinux 8.10 (Cerulean Leopard)");

    public static Package Package(string name, string version = "1.0", string release = "1.el8") => new()
    {
        Manager = PackageManager.Rpm,
        Name = name,
        Version = version,
        Release = release,
        Architecture = "x86_64",
        SourceName = name,
        SourceVersion = $"{version}-{release}",
        Database = "sqlite:var/lib/rpm",
    };

    public static VMReport Report(params Package[] packages) => Report(Alma, packages);

    public static VMReport Report(OsRelease os, params Package[] packages) => Report(new GuestInventory(os, packages, []));

    static VMReport Report(GuestInventory inventory)
    {
        var writer = new ProtoWriter();
        InventoryReports.Write(inventory, writer);
        return VMReport.Parser.ParseFrom(writer.Written.Span);
    }

    /// <summary>A report of the package bash that lacks what the problems, as <c>path: message</c>, name.</summary>
    public static VMReport Incomplete(params string[] problems) => Report(new GuestInventory(
        Alma, [Package("bash")], [.. problems.Select(problem => problem.Split(": ", 2)).Select(parts => new InventoryProblem(parts.Length > 1 ? parts[0] : "", parts[^1]))]));

    /// <summary>Package p0, p1, … of which each set has another version of the first.</summary>
    public static VMReport ReportOfSet(int set, int packages = 10) =>
        Report([.. Enumerable.Range(0, packages).Select(i => Package($"p{i}", i == 0 ? $"1.{set}" : "1.0"))]);

    public static Advisory Advisory(string id, string package, string fixedIn, Severity severity = Severity.Important, string summary = "") => new()
    {
        Feed = "osv",
        Id = id,
        Cves = [id.Replace("ALSA", "CVE").Replace(':', '-')],
        Summary = summary,
        Severity = severity,
        CvssScore = 7.5,
        Published = Start,
        Modified = Start,
        Url = $"https://errata.example/{id}",
        Statements = [new PackageStatement { Product = "AlmaLinux:8", Name = package, Intervals = [VersionInterval.FixedIn(fixedIn)] }],
    };

    /// <summary>The same about a package of another product.</summary>
    public static Advisory Of(Advisory advisory, string product) => advisory with { Statements = [.. advisory.Statements.Select(statement => statement with { Product = product })] };

    public static AdvisoryDatabase Database(params IEnumerable<Advisory> advisories) => Builder(advisories).Build();

    public static AdvisoryDatabase Database(
        IEnumerable<Advisory> advisories,
        IEnumerable<ExploitPrediction>? predictions = null,
        IEnumerable<KnownExploited>? exploited = null,
        IEnumerable<VexDecision>? decisions = null)
    {
        var builder = Builder(advisories);
        var epss = builder.Import("epss", FeedName.Epss, "epss", ImportMode.Replace);
        foreach (var prediction in predictions ?? []) epss.Add(prediction);
        epss.Complete("", Start);
        var kev = builder.Import("kev", FeedName.Kev, "kev", ImportMode.Replace);
        foreach (var entry in exploited ?? []) kev.Add(entry);
        kev.Complete("", Start);
        var vex = builder.Import("vex", FeedName.Vex, "vex", ImportMode.Replace);
        foreach (var decision in decisions ?? []) vex.Add(decision);
        vex.Complete("", Start);
        return builder.Build();
    }

    public static AdvisoryDatabaseBuilder Builder(params IEnumerable<Advisory> advisories)
    {
        var builder = new AdvisoryDatabaseBuilder();
        var source = builder.Import("samples", FeedName.Osv, "samples", ImportMode.Replace);
        foreach (var advisory in advisories) source.Add(advisory);
        source.Complete("", Start);
        return builder;
    }
}
