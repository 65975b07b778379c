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
        ("derived", "rpmdb/derived/centos5-plain/rpmdb.sqlite.gz"),
    ];

    public static TheoryData<string> Names => [.. Sources.Select(source => source.Name)];

    public string Root(string name) => Path.Combine(_folder.Path, name);

    public string DatabaseFile(string name) => Directory.GetFiles(Path.Combine(Root(name), "var/lib/rpm")).Single();

    public void Dispose() => _folder.Dispose();

    /// <summary>name, epoch, version, release, arch, sourcerpm, modularitylabel of each package as rpm 4.18 prints them, sorted.</summary>
    public static List<string> Expected(string name)
    {
        // The derived database is centos5-plain in another format.
        var lines = File.ReadAllLines(Repository.TestDataPath($"rpmdb/expected-rpm-4.18/{(name == "derived" ? "centos5-plain" : name)}.tsv"));
        return [.. lines.Skip(1).Select(line => string.Join('\t', line.Split('\t')[1..8])).Order(StringComparer.Ordinal)];
    }
}

[CollectionDefinition(nameof(RealDatabases))]
public sealed class RealDatabasesCollection : ICollectionFixture<RealDatabases>;
