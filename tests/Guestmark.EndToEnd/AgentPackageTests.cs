using System.Diagnostics;
using System.IO.Compression;
using System.Text.Json.Nodes;
using Guestmark.TestKit;

namespace Guestmark.EndToEnd;

/// <summary>Establishes that what goes into guests is what was tested: the native agent out of its packages, as deploy/packages/build.sh made them.</summary>
public sealed class AgentPackageTests : IDisposable
{
    const int AgentBytesMax = 6_000_000;

    static readonly string Packages = Path.Combine(Repository.Root, "artifacts", "packages");

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [ToolFact("dpkg")]
    public async Task The_deb_installs_and_its_agent_lists_itself()
    {
        Directory.CreateDirectory(_folder.File("root/var/lib/dpkg/info"));
        Directory.CreateDirectory(_folder.File("root/var/lib/dpkg/updates"));
        await File.WriteAllTextAsync(_folder.File("root/var/lib/dpkg/status"), "");
        await RunAsync("dpkg", "--root=" + _folder.File("root"), "--force-depends", "--force-not-root", "--force-script-chrootless", "-i", Package("*.deb"));

        var agent = Assert.Single(await ScanAsync(_folder.File("root/usr/bin/guestmark-agent"), _folder.File("root")))!;
        Assert.Equal("guestmark-agent 0.1.0 amd64", $"{agent["name"]} {agent["version"]} {agent["arch"]}");
    }

    [ToolFact("rpm")]
    public async Task The_rpm_installs_and_its_agent_lists_itself()
    {
        var root = _folder.File("root");
        Directory.CreateDirectory(root);
        await RunAsync("rpm", "--root", root, "--dbpath", "/var/lib/rpm", "--nodeps", "--noscripts", "-i", Package("*.rpm"));

        var agent = Assert.Single(await ScanAsync(_folder.File("root/usr/bin/guestmark-agent"), root))!;
        Assert.Equal("guestmark-agent 0.1.0 1 x86_64", $"{agent["name"]} {agent["version"]} {agent["release"]} {agent["arch"]}");
        Assert.InRange(new FileInfo(_folder.File("root/usr/bin/guestmark-agent")).Length, 1, AgentBytesMax);
    }

    [TestDataFact]
    public async Task The_native_agent_prints_what_the_tested_one_prints()
    {
        Directory.CreateDirectory(_folder.File("root/var/lib/rpm"));
        await using (var packed = new GZipStream(File.OpenRead(Repository.TestDataPath("rpmdb/centos8-modularitylabel/Packages.gz")), CompressionMode.Decompress))
        await using (var database = File.Create(_folder.File("root/var/lib/rpm/Packages"))) await packed.CopyToAsync(database);
        string[] arguments = ["scan", "--host-path", _folder.File("root"), "--distro", "almalinux:8", "-o", "json", "--files", "--dependencies"];

        var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark-agent", arguments);
        Assert.True(exitCode == 0, error);
        Assert.Equal(output.TrimEnd(), (await RunAsync(Path.Combine(Packages, "agent", "guestmark-agent"), arguments)).TrimEnd());
    }

    static string Package(string pattern) => Assert.Single(Directory.GetFiles(Packages, pattern));

    static async Task<JsonArray> ScanAsync(string agent, string root) =>
        JsonNode.Parse(await RunAsync(agent, "scan", "--host-path", root, "-o", "json"))!["packages"]!.AsArray();

    static async Task<string> RunAsync(string program, params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(program) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"{program}: {await error}");
        return output;
    }
}
