using System.IO.Compression;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Rpm;

/// <summary>The real databases of the test data, unpacked once. Each lies in a folder <c>name/var/lib/rpm</c>, so that it is a guest's root as well.</summary>
public sealed class RealDatabases : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public RealDatabases()
    {
        if (Repository.TestData is null) return;
        foreach (var (name, source) in Sources)
        {
            var folder = Path.Combine(Root(name), "var/lib/rpm");
            Directory.CreateDirectory(folder);
            var target = Path.Combine(folder, Path.GetFileName(source).Replace(".gz", ""));
            using var input = File.OpenRead(Repository.TestDataPath(source));
            using var output = File.Create(target);
            if (source.EndsWith(".gz", StringComparison.Ordinal)) new GZipStream(input, CompressionMode.Decompress).CopyTo(output);
            else input.CopyTo(output);
        }
    }

    static readonly (string Name, string Source)[] Sources =
    [
        ("centos5-plain", "rpmdb/centos5-plain/Packages.gz"),
        ("centos6-devtools", "rpmdb/centos6-devtools/Packages.gz"),
        ("centos6-plain", "rpmdb/centos6-plain/Packages.gz"),
        ("centos7-httpd24", "rpmdb/centos7-httpd24/Packages.gz"),
        ("centos7-plain", "rpmdb/centos7-plain/Packages.gz"),
        ("centos8-modularitylabel", "rpmdb/centos8-modularitylabel/Packages.gz"),
        ("libuuid", "rpmdb/libuuid/Packages"),
        ("cbl-mariner-2.0", "rpmdb/cbl-mariner-2.0/rpmdb.sqlite"),
        ("sle15-bci", "rpmdb/sle15-bci/Packages.db"),
        ("derived", "rpmdb/derived/centos5-plain/rpmdb.sqlite.gz"),
        ("derived-ndb", "rpmdb/derived/centos5-plain/Packages.db.gz"),
    ];

    public static IEnumerable<string> All => Sources.Select(source => source.Name);

    public static TheoryData<string> Names => [.. All];

    public string Root(string name) => Path.Combine(_folder.Path, name);

    public string DatabaseFile(string name) =>
        Path.Combine(Root(name), "var/lib/rpm", Path.GetFileName(Sources.Single(source => source.Name == name).Source).Replace(".gz", ""));

    public void Dispose() => _folder.Dispose();

    public static string BackendOf(string path) => Path.GetFileName(path) switch
    {
        "Packages" => "bdb",
        "Packages.db" => "ndb",
        _ => "sqlite",
    };

    /// <summary>The rows of the expected values, in the order in which rpm 4.18 lists the packages. Keys are rows too.</summary>
    public static List<string> Rows(string name)
    {
        // The derived databases are centos5-plain in other formats.
        var source = name.StartsWith("derived", StringComparison.Ordinal) ? "centos5-plain" : name;
        return [.. File.ReadLines(Repository.TestDataPath($"rpmdb/expected-rpm-4.18/{source}.tsv")).Skip(1)];
    }

    /// <summary>The 20 columns of each package as rpm 4.18 prints them, without keys, sorted.</summary>
    public static List<string> Expected(string name) => [.. Rows(name).Where(row => row.Split('\t')[1] != "gpg-pubkey").Order(StringComparer.Ordinal)];
}

[CollectionDefinition(nameof(RealDatabases))]
public sealed class RealDatabasesCollection : ICollectionFixture<RealDatabases>;
