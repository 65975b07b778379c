using System.Globalization;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Guestmark.Inventory.Os;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Os;

public sealed class HostFactsReaderTests
{
    static readonly DateTimeOffset Now = new(2026, 6, 1, 0, 0, 0, TimeSpan.Zero);

    static (HostFacts Facts, IReadOnlyList<InventoryProblem> Problems) Read(GuestTree tree) => ReadAt(tree.Root);

    static (HostFacts Facts, IReadOnlyList<InventoryProblem> Problems) ReadAt(string path)
    {
        Assert.Null(GuestRoot.TryOpen(path, out var opened));
        using var root = opened!;
        var scan = new InventoryScan(root, CancellationToken.None);
        return (HostFactsReader.Read(scan, new ManualTimeProvider(Now)), scan.Problems);
    }

    static X509Certificate2 Certificate(DateTimeOffset notAfter)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return new CertificateRequest("CN=entitlement", key, HashAlgorithmName.SHA256).CreateSelfSigned(notAfter.AddYears(-80), notAfter);
    }

    static string Pem(DateTimeOffset notAfter) => Certificate(notAfter).ExportCertificatePem() + "\n-----BEGIN ENTITLEMENT DATA-----\nAAAA\n-----END ENTITLEMENT DATA-----\n";

    [Fact]
    public void An_empty_machine_tells_nothing_and_has_no_problem()
    {
        using var tree = new GuestTree();
        var (facts, problems) = Read(tree);

        Assert.Empty(problems);
        Assert.Empty(facts.InstalledKernels);
        Assert.Equal(HostFacts.Unknown, facts with { InstalledKernels = HostFacts.Unknown.InstalledKernels });
    }

    [Fact]
    public void This_machine_tells_what_its_kernel_tells()
    {
        var facts = ReadAt("/").Facts;

        Assert.Equal(Tool.Run("uname", ["-r"]).Trim(), facts.RunningKernel);
        Assert.Equal(Tool.Run("uname", ["-m"]).Trim(), facts.Architecture);
        Assert.Equal(File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim(), facts.BootId);
        Assert.True(Guid.TryParse(facts.BootId, out _));
    }

    [Fact]
    public void Without_the_kernel_a_program_tells_the_architecture()
    {
        using var tree = new GuestTree().File("usr/bin/env", "#!/bin/sh\n").File("usr/bin/sh", File.ReadAllBytes("/bin/sh")[..64]).Link("bin", "usr/bin");

        Assert.Equal(Tool.Run("uname", ["-m"]).Trim(), Read(tree).Facts.Architecture);
    }

    [Fact]
    public void Kernels_of_a_merged_usr_count_once()
    {
        using var tree = new GuestTree().Folder("usr/lib/modules/6.1.0-9-amd64").Folder("usr/lib/modules/5.14.0-427.el9.x86_64")
            .File("usr/lib/modules/note", "").Link("usr/lib/modules/link", "6.1.0-9-amd64").Link("lib", "usr/lib");

        Assert.Equal(["5.14.0-427.el9.x86_64", "6.1.0-9-amd64"], Read(tree).Facts.InstalledKernels);
    }

    [Fact]
    public void A_certificate_with_its_key_activates_until_it_ends()
    {
        using var tree = new GuestTree().Folder("etc/pki/entitlement");
        Assert.Equal(Activation.Inactive, Read(tree).Facts.Activation);

        tree.File("etc/pki/entitlement/1.pem", Pem(Now.AddDays(1)));
        Assert.Equal(Activation.Inactive, Read(tree).Facts.Activation);

        tree.File("etc/pki/entitlement/1-key.pem", "key");
        Assert.Equal((Activation.Active, 0), (Read(tree).Facts.Activation, Read(tree).Problems.Count));

        tree.File("etc/pki/entitlement/1.pem", Pem(Now.AddSeconds(-1)));
        Assert.Equal((Activation.Inactive, 0), (Read(tree).Facts.Activation, Read(tree).Problems.Count));

        tree.File("etc/pki/entitlement/2.pem", Pem(Now.AddYears(40))).File("etc/pki/entitlement/2-key.pem", "key");
        Assert.Equal(Activation.Active, Read(tree).Facts.Activation);
    }

    [Fact]
    public void A_certificate_that_cannot_be_read_says_why_it_does_not_count()
    {
        using var tree = new GuestTree().File("etc/pki/entitlement/1.pem", "no certificate").File("etc/pki/entitlement/1-key.pem", "key");

        var (facts, problems) = Read(tree);

        Assert.Equal(Activation.Inactive, facts.Activation);
        var problem = Assert.Single(problems);
        Assert.Equal("/etc/pki/entitlement/1.pem", problem.Path);
        Assert.StartsWith("has no certificate, so it does not count as an entitlement", problem.Message);
    }

    [Theory]
    [InlineData("etc/yum.repos.d/redhat.repo", "var/cache/dnf/rhel-9-for-x86_64-baseos-rpms-0123456789abcdef", DnfMetadata.Available)]
    [InlineData("etc/yum/repos.d/redhat.repo", "var/cache/dnf/rhel-9-for-x86_64-baseos-rpms-0123456789abcdef", DnfMetadata.Available)]
    [InlineData("etc/distro.repos.d/x.repo", "var/cache/libdnf5/rhel-10-for-x86_64-baseos-rpms-0123456789abcdef", DnfMetadata.Available)]
    [InlineData("usr/share/dnf5/repos.d/x.repo", "var/cache/libdnf5/rhel-10-for-x86_64-baseos-rpms-0123456789abcdef", DnfMetadata.Available)]
    [InlineData("etc/yum.repos.d/redhat.repo", "var/cache/dnf", DnfMetadata.Unavailable)]
    [InlineData("etc/yum.repos.d/redhat.repo", "var/cache/dnf/fedora-0123456789abcdef", DnfMetadata.Unavailable)]
    [InlineData("etc/yum.repos.d/README", "var/cache/dnf/a-rpms-b", DnfMetadata.Unavailable)]
    [InlineData("etc/other", "var/cache/other", DnfMetadata.Unspecified)]
    public void Dnf_needs_a_repository_and_its_metadata(string file, string folder, DnfMetadata expected)
    {
        using var tree = new GuestTree().File(file, "").Folder(folder);
        Assert.Equal(expected, Read(tree).Facts.DnfMetadata);
    }

    [Theory]
    [InlineData("2026-05-31T23:59:59Z")]
    [InlineData("2049-12-31T23:59:59Z")]
    [InlineData("2050-01-01T00:00:00Z")]
    [InlineData("2124-02-29T12:00:00Z")]
    [InlineData("1999-01-02T03:04:05Z")]
    public void The_end_of_a_certificate_is_read_as_the_platform_reads_it(string end)
    {
        using var certificate = Certificate(DateTimeOffset.Parse(end, CultureInfo.InvariantCulture));

        Assert.Null(CertificateValidity.ReadDer(certificate.RawData, out var notAfter));
        Assert.Equal(new DateTimeOffset(certificate.NotAfter.ToUniversalTime()), notAfter);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_bytes_give_a_time_or_an_error()
    {
        var random = new Random(20260111);
        using var certificate = Certificate(Now);
        var pem = Encoding.ASCII.GetBytes(certificate.ExportCertificatePem());
        for (var i = 0; i < Damage.Inputs(2_000); i++)
        {
            var (der, text) = (Damage.Mutate(certificate.RawData, random, 100), Damage.Mutate(pem, random, 100));
            Damage.AssertBounded(() => CertificateValidity.ReadDer(der, out _), der.Length, $"DER, case {i}");
            Damage.AssertBounded(() => CertificateValidity.ReadPem(text, out _), text.Length, $"PEM, case {i}");
        }
    }
}
