using Guestmark.Inventory;
using Guestmark.TestKit;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>The complete AlmaLinux feed, imported once for all tests.</summary>
public sealed class AlmaLinuxFixture
{
    public static OsRelease AlmaLinux8 { get; } = new("almalinux", "8.10", "AlmaLinux 8.10 (Cerulean Leopard)");

    readonly Lazy<(FeedSourceResult Result, AdvisoryDatabaseBuilder Builder, AdvisoryDatabase Database)> _import = new(() =>
    {
        var builder = new AdvisoryDatabaseBuilder();
        var result = FeedImport.Run(new FeedImportOptions { Path = ZipPath }, builder, TimeProvider.System, progress: null, CancellationToken.None);
        return (result.Sources.Single(), builder, builder.Build());
    });

    public static string ZipPath => Repository.TestDataPath("osv/almalinux-osv-database.zip");

    public FeedSourceResult Result => _import.Value.Result;

    public AdvisoryDatabaseBuilder Builder => _import.Value.Builder;

    public AdvisoryDatabase Database => _import.Value.Database;

    /// <summary>A package by its version as people write it, <c>[epoch:]version[-release]</c>.</summary>
    public static Package Rpm(string name, string version, string? module = null)
    {
        var colon = version.IndexOf(':');
        var dash = version.LastIndexOf('-');
        return new Package
        {
            Manager = PackageManager.Rpm,
            Name = name,
            Epoch = colon < 0 ? null : uint.Parse(version[..colon]),
            Version = version[(colon + 1)..(dash < 0 ? version.Length : dash)],
            Release = dash < 0 ? "" : version[(dash + 1)..],
            Architecture = "x86_64",
            ModularityLabel = module,
        };
    }

    public static List<Finding> Match(AdvisoryDatabase database, OsRelease os, params ReadOnlySpan<Package> packages)
    {
        var findings = new List<Finding>();
        var matcher = new Matcher(database);
        foreach (var package in packages) matcher.Match(os, package, findings);
        return findings;
    }
}
