using Guestmark.Inventory;
using static Guestmark.Vulnerabilities.Tests.AlmaLinuxFixture;

namespace Guestmark.Vulnerabilities.Tests;

public class RunningKernelTests
{
    [Theory]
    [InlineData("kernel", "4.18.0-553.el8_10", "4.18.0-553.el8_10.x86_64", KernelState.Running)]
    [InlineData("kernel-core", "4.18.0-553.el8_10", "4.18.0-553.el8_10.x86_64", KernelState.Running)]
    [InlineData("kernel-modules-extra", "4.18.0-553.el8_10", "4.18.0-552.el8_10.x86_64", KernelState.NotRunning)]
    [InlineData("kernel", "4.18.0-55.el8", "4.18.0-55.el8_10.x86_64", KernelState.NotRunning)]
    [InlineData("kernel", "5.14.0-362", "5.14.0-362.8.1.el9_3.x86_64", KernelState.NotRunning)]
    [InlineData("kernel", "4.18.0-553.el8_10", null, KernelState.Unknown)]
    [InlineData("kernel-headers", "4.18.0-553.el8_10", "4.18.0-553.el8_10.x86_64", KernelState.NoKernel)]
    [InlineData("bash", "4.18.0-553.el8_10", "4.18.0-553.el8_10.x86_64", KernelState.NoKernel)]
    [InlineData("kernel-rt-core", "5.14.0-427.el9_4", "5.14.0-427.el9_4.x86_64+rt", KernelState.Running)]
    [InlineData("kernel-core", "5.14.0-427.el9_4", "5.14.0-427.el9_4.x86_64+rt", KernelState.NotRunning)]
    [InlineData("kernel-rt-core", "5.14.0-427.el9_4", "5.14.0-427.el9_4.x86_64", KernelState.NotRunning)]
    [InlineData("kernel-rt", "4.18.0-305.rt7.72.el8", "4.18.0-305.rt7.72.el8.x86_64", KernelState.Running)]
    [InlineData("kernel-64k-core", "5.14.0-427.el9_4", "5.14.0-427.el9_4.aarch64+64k", KernelState.Running)]
    [InlineData("kernel-default", "5.14.21-150500.55.19.1", "5.14.21-150500.55.19-default", KernelState.Running)]
    [InlineData("kernel-default", "5.14.21-150500.55.12.1", "5.14.21-150500.55.19-default", KernelState.NotRunning)]
    [InlineData("kernel-azure", "5.14.21-150500.55.19.1", "5.14.21-150500.55.19-default", KernelState.NotRunning)]
    public void An_rpm_kernel_is_told_by_version_release_and_variant(string name, string version, string? running, KernelState expected) =>
        Assert.Equal(expected, RunningKernel.StateOf(Rpm(name, version), running));

    [Theory]
    [InlineData("linux-image-6.1.0-13-amd64", "6.1.0-13-amd64", KernelState.Running)]
    [InlineData("linux-image-6.1.0-12-amd64", "6.1.0-13-amd64", KernelState.NotRunning)]
    [InlineData("linux-modules-extra-5.15.0-88-generic", "5.15.0-88-generic", KernelState.Running)]
    [InlineData("linux-image-unsigned-5.15.0-88-generic", "5.15.0-88-generic", KernelState.Running)]
    [InlineData("linux-image-amd64", "6.1.0-13-amd64", KernelState.NoKernel)]
    [InlineData("linux-headers-6.1.0-13-amd64", "6.1.0-13-amd64", KernelState.NoKernel)]
    public void A_dpkg_kernel_has_its_release_in_its_name(string name, string running, KernelState expected) =>
        Assert.Equal(expected, RunningKernel.StateOf(Rpm(name, "6.1.55-1") with { Manager = PackageManager.Dpkg }, running));

    [Fact]
    public void A_restart_is_due_when_a_fixed_kernel_is_installed_and_an_older_one_runs()
    {
        var database = Databases.Of(
            Advisory("ALSA-1", "4.18.0-553.el8_10"), Advisory("ALSA-2", "4.18.0-999.el8_10"));
        Package[] packages = [Rpm("kernel-core", "4.18.0-477.el8_8"), Rpm("kernel-core", "4.18.0-553.el8_10"), Rpm("bash", "1-1")];
        Assert.Equal(["ALSA-1"], EndedBy("4.18.0-477.el8_8.x86_64"));
        Assert.Empty(EndedBy("4.18.0-553.el8_10.x86_64"));
        Assert.Empty(EndedBy(null));

        IEnumerable<string> EndedBy(string? running)
        {
            var machine = new Matcher(database).For(AlmaLinux8, new HostFacts { RunningKernel = running });
            var findings = new List<Finding>();
            foreach (var package in packages) machine.Match(package, findings);
            Assert.Equal(3, findings.Count);
            return RunningKernel.EndedByRestart(findings, packages).Select(finding => finding.AdvisoryId);
        }
    }

    static Advisory Advisory(string id, string version) => new()
    {
        Feed = FeedName.Osv,
        Id = id,
        Statements = [new PackageStatement { Product = "AlmaLinux:8", Name = "kernel-core", Intervals = [VersionInterval.FixedIn(version)] }],
    };
}
