using System.Globalization;
using Guestmark.Inventory.Sbom;
using Guestmark.Inventory.Tests.Rpm;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Sbom;

/// <summary>Inventories that have every field, and the real ones of the test data.</summary>
static class SampleInventories
{
    static readonly OpenPgpSignature Signature = new(1, 8, 1643274076, "199e2f91fd431d51");

    /// <summary>One package of each manager; the first has every field, hostile text included.</summary>
    public static GuestInventory Full { get; } = new(
        new OsRelease("rhel", "9.4", "Red Hat Enterprise Linux 9.4 (Plow)"),
        [
            new Package
            {
                Manager = PackageManager.Rpm,
                Name = "bash",
                Epoch = 1,
                Version = "5.1.8",
                Release = "9.el9",
                Architecture = "x86_64",
                SourceRpm = "bash-5.1.8-9.el9.src.rpm",
                ModularityLabel = "shells:rhel9:9040020:abc",
                SourceName = "bash",
                SourceVersion = "5.1.8-9.el9",
                Database = "sqlite:var/lib/rpm",
                License = "GPL-3.0-or-later AND MIT",
                Vendor = "Red Hat, Inc.",
                Repository = new PackageRepository("rhel-9-for-x86_64-baseos-rpms", RepositoryEvidence.DnfHistory, ["cpe:/o:redhat:enterprise_linux:9::baseos"], null),
                Rpm = new RpmDetails
                {
                    Number = uint.MaxValue,
                    Summary = "The \"GNU\" shell <\u0001>\n\ud83d",
                    Group = "System",
                    InstallTime = uint.MaxValue,
                    BuildTime = 0,
                    Size = ulong.MaxValue,
                    SigMd5 = "f7bd337ae2962162ac73a509ed7129f0",
                    Sha1Header = "de4d03382b004ca56c50efcd6ba4950c96fb9493",
                    Sha256Header = "4f70812524fc06338b75b9868530ccac4b47f0901a673881a0fa378a1e512cb5",
                    PayloadDigestAlgorithm = 8,
                    PayloadDigest = "440a643f8fc5b09c04e1a86eedf45e7c449cdca57e61bf78c95a8f8748679679",
                    RsaHeader = Signature,
                    DsaHeader = Signature with { PublicKeyAlgorithm = 22, Created = null, KeyId = "" },
                    PackageSignature = Signature,
                    OpenPgp = [Signature],
                    SourceNevr = "bash-5.1.8-9.el9",
                    UpstreamReleases = "https://example.com",
                    InstallTransaction = 7,
                    FileDigestAlgorithm = 8,
                    Provides = [new RpmDependency("bash", "5.1.8-9.el9"), new RpmDependency("/bin/sh", null)],
                    Requires = ["glibc"],
                },
                Files = [new PackageFile("/usr/bin/bash", "ab", 0), new PackageFile("/etc/skel", null, 1)],
            },
            Language(PackageManager.Dpkg, "libc6", "2.36", "var/lib/dpkg/status") with { Epoch = 2, Release = "9+deb12u1", SourceName = "glibc", SourceVersion = "2.36-9", Architecture = "amd64", License = "GPLv2+" },
            Language(PackageManager.Apk, "musl-utils", "1.2.5", "lib/apk/db/installed") with { Release = "r0", SourceName = "musl", SourceVersion = "1.2.5-r0", License = "MIT" },
            Language(PackageManager.PyPI, "Zope_Interface", "5.4.0", "python:usr/lib/python3"),
            Language(PackageManager.Npm, "@Angular/core", "1.0.0-beta.1", "nodejs:usr/lib/node_modules"),
            Language(PackageManager.Maven, "org.apache.logging.log4j:log4j-core", "2.14.1", "maven:opt/app.jar"),
            Language(PackageManager.Go, "github.com/Azure/go-autorest", "v0.6.0+incompatible", "go:usr/bin/x"),
            Language(PackageManager.NuGet, "Newtonsoft.Json", "13.0.1", "nuget:opt/app"),
            Language(PackageManager.NuGet, "Newtonsoft.Json", "13.0.1", "nuget:opt/app2"),
        ],
        [new InventoryProblem("/var/lib/rpm/Packages.db", "is cut off")])
    {
        Host = new HostFacts
        {
            RunningKernel = "5.14.0-427.el9.x86_64",
            InstalledKernels = ["5.14.0-427.el9.x86_64"],
            BootId = "0f0b2a52-8b5c-4d43-9d0c-1d8f6e8b2a11",
            Architecture = "x86_64",
            Activation = Activation.Active,
            DnfMetadata = DnfMetadata.Available,
        },
    };

    /// <summary>An inventory in which nothing is known.</summary>
    public static GuestInventory Empty { get; } = new(OsRelease.Unknown, [Language(PackageManager.Rpm, "x", "", "")], []);

    public static SbomOptions Options { get; } = new()
    {
        SerialNumber = new Guid("3e671687-395b-41f5-a30f-a58921a69b79"),
        Created = new DateTimeOffset(2026, 1, 2, 3, 4, 5, 678, TimeSpan.FromHours(2)),
        HostName = "vm1",
        ToolVersion = "0.1.0",
    };

    /// <summary>Names for <see cref="OfTable"/>.</summary>
    public static IReadOnlyList<string> Tables { get; } = Repository.TestData is null
        ? []
        : [.. Directory.GetFiles(Repository.TestDataPath("rpmdb/expected-rpm-4.18"), "*.tsv").Select(path => Path.GetFileNameWithoutExtension(path)).Order(StringComparer.Ordinal)];

    /// <summary>The same for a theory, which fails without data.</summary>
    public static TheoryData<string> TableRows => [.. Tables.DefaultIfEmpty("absent")];

    /// <summary>The real databases as they are scanned, and a large dpkg status.</summary>
    public static IEnumerable<GuestInventory> Real(RealDatabases databases)
    {
        foreach (string name in RealDatabases.Names) yield return InventoryScanner.Scan(new InventoryScanOptions { HostPath = databases.Root(name) }, CancellationToken.None);
        using var tree = new GuestTree().File("var/lib/dpkg/status", File.ReadAllBytes(Repository.TestDataPath("dpkg/texlive.status")));
        yield return tree.Scan(new OsRelease("debian", "12", "Debian GNU/Linux 12 (bookworm)"));
    }

    /// <summary>What rpm 4.18 printed of a real database, as packages.</summary>
    public static GuestInventory OfTable(string name)
    {
        var lines = File.ReadAllLines(Repository.TestDataPath($"rpmdb/expected-rpm-4.18/{name}.tsv"));
        return new GuestInventory(new OsRelease("rhel", "9", ""), [.. lines.Skip(1).Select(line => PackageOf(line.Split('\t')))], []);
    }

    static Package PackageOf(string[] columns)
    {
        return new Package
        {
            Manager = PackageManager.Rpm,
            Name = columns[1],
            Epoch = Number(2),
            Version = columns[3],
            Release = columns[4],
            Architecture = Text(5) ?? "",
            SourceRpm = Text(6),
            ModularityLabel = Text(7),
            Vendor = Text(8),
            License = Text(19),
            Database = "sqlite:var/lib/rpm",
            Rpm = new RpmDetails
            {
                Number = Number(0)!.Value,
                InstallTime = Number(9),
                BuildTime = Number(10),
                Size = Number(11),
                SigMd5 = Text(12),
                Sha1Header = Text(13),
                Sha256Header = Text(14),
                PayloadDigestAlgorithm = Number(15),
                PayloadDigest = Text(16),
                RsaHeader = SignatureOf(Text(17)),
                DsaHeader = SignatureOf(Text(18)),
            },
        };

        string? Text(int column) => columns[column] == "(none)" ? null : columns[column];

        uint? Number(int column) => Text(column) is { } text ? uint.Parse(text, CultureInfo.InvariantCulture) : null;
    }

    // RSA/SHA256, Thu Jan 27 09:01:16 2022, Key ID 0cd9fed33135ce90
    static OpenPgpSignature? SignatureOf(string? text)
    {
        if (text is null) return null;
        var parts = text.Split(", ");
        var algorithms = parts[0].Split('/');
        var time = DateTimeOffset.ParseExact(parts[1], "ddd MMM d HH:mm:ss yyyy", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AllowInnerWhite);
        return new OpenPgpSignature(
            algorithms[0] switch { "RSA" => 1, "DSA" => 17, _ => throw new InvalidDataException(text) },
            algorithms[1] switch { "SHA1" => 2, "SHA256" => 8, _ => throw new InvalidDataException(text) },
            (uint)time.ToUnixTimeSeconds(),
            parts[2]["Key ID ".Length..]);
    }

    static Package Language(PackageManager manager, string name, string version, string database) => new()
    {
        Manager = manager,
        Name = name,
        Version = version,
        Release = "",
        Architecture = "",
        Database = database,
    };
}
