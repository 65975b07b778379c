using System.Text.Json.Nodes;
using Guestmark.TestKit;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Reports;

namespace Guestmark.Agent.Tests.Reporting;

/// <summary>Establishes what the agent does with each answer of a host, and what it tells its user, as a real process.</summary>
public sealed class PushTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public PushTests()
    {
        Directory.CreateDirectory(_folder.File("guest/etc"));
        Directory.CreateDirectory(_folder.File("guest/var/lib/dpkg"));
        File.WriteAllText(_folder.File("guest/etc/os-release"), "ID=debian\nVERSION_ID=12\n");
        File.WriteAllText(_folder.File("guest/var/lib/dpkg/status"), "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2.15-2+b7\nSource: bash (5.2.15-2)\n\n");
    }

    string SocketPath => _folder.File("host.sock");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_report_that_is_stored_ends_with_0()
    {
        var host = HostAsync(PushStatus.Stored);
        var (exitCode, output, error) = await PushAsync();
        Assert.Equal((0, ""), (exitCode, output));
        Assert.Contains("delivered 1 package of debian 12", error, StringComparison.Ordinal);
        var report = VMReport.Parser.ParseFrom(Assert.Single(await host));
        Assert.Equal("bash", Assert.Single(report.IndexReport.IndexV4.Contents.Packages).Value.Name);
    }

    [Fact]
    public async Task A_host_that_is_full_is_tried_again()
    {
        var host = HostAsync(PushStatus.Unavailable, null, PushStatus.Stored);
        var (exitCode, _, error) = await PushAsync();
        Assert.True(exitCode == 0, error);
        Assert.Equal(3, (await host).Count);
    }

    [Fact]
    public async Task A_report_that_will_never_be_accepted_is_not_sent_again()
    {
        var host = HostAsync(PushStatus.Malformed);
        var (exitCode, _, error) = await PushAsync();
        Assert.Equal(1, exitCode);
        Assert.Contains(PushStatus.Malformed.Describe(), error, StringComparison.Ordinal);
        Assert.Single(await host);
    }

    [Fact]
    public async Task A_status_of_a_later_version_is_a_failure_that_names_the_number()
    {
        var host = HostAsync((PushStatus)4711);
        var (exitCode, _, error) = await PushAsync();
        Assert.Equal(1, exitCode);
        Assert.Contains("4711", error, StringComparison.Ordinal);
        await host;
    }

    [Fact]
    public async Task A_socket_that_is_not_there_is_named_when_the_time_is_over()
    {
        var (exitCode, _, error) = await PushAsync("--timeout", "1");
        Assert.Equal(1, exitCode);
        Assert.Contains(SocketPath, error, StringComparison.Ordinal);
        Assert.Contains("no such socket", error, StringComparison.Ordinal);
        Assert.Contains("within 1s", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_path_that_is_too_long_for_a_socket_is_named()
    {
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync(
            "guestmark-agent", "--host-path", _folder.File("guest"), "--timeout", "1", "--socket", "/" + new string('x', 200));
        Assert.Equal(2, exitCode);
        Assert.Contains("107 bytes", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_scan_prints_one_json_document_or_a_table()
    {
        var (exitCode, output, _) = await GuestmarkProcess.RunAsync("guestmark-agent", "scan", "--host-path", _folder.File("guest"), "-o", "json");
        Assert.Equal(0, exitCode);
        var package = Assert.Single(JsonNode.Parse(output)!["packages"]!.AsArray())!;
        Assert.Equal("5.2.15", package["version"]!.GetValue<string>());
        Assert.Equal("2+b7", package["release"]!.GetValue<string>());
        Assert.True(package.AsObject().ContainsKey("modularityLabel"));
        Assert.Null(package["modularityLabel"]);

        (exitCode, output, _) = await GuestmarkProcess.RunAsync("guestmark-agent", "scan", "--host-path", _folder.File("guest"));
        Assert.Equal(0, exitCode);
        Assert.Contains("bash  5.2.15-2+b7  amd64", output, StringComparison.Ordinal);
        Assert.Contains("1 package, debian 12", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_distro_that_is_given_goes_before_os_release()
    {
        var (_, output, _) = await GuestmarkProcess.RunAsync("guestmark-agent", "scan", "--host-path", _folder.File("guest"), "--distro", "AlmaLinux:8", "-o", "json");
        Assert.Equal("almalinux 8", $"{JsonNode.Parse(output)!["os"]!["id"]} {JsonNode.Parse(output)!["os"]!["versionId"]}");
    }

    [Fact]
    public async Task Control_characters_of_a_guest_do_not_reach_the_terminal()
    {
        await File.AppendAllTextAsync(_folder.File("guest/var/lib/dpkg/status"), "Package: evil\u001b[2J\nStatus: install ok installed\nVersion: 1\n\n");
        var (_, output, _) = await GuestmarkProcess.RunAsync("guestmark-agent", "scan", "--host-path", _folder.File("guest"));
        Assert.DoesNotContain('\u001b', output);
        Assert.Contains("evil?[2J", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_empty_root_ends_with_1_and_says_where_it_looked()
    {
        Directory.CreateDirectory(_folder.File("empty"));
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark-agent", "scan", "--host-path", _folder.File("empty"));
        Assert.Equal(1, exitCode);
        Assert.Contains("var/lib/dpkg", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--socket")]
    [InlineData("--distro", "nonsense", "--socket", "/x")]
    [InlineData("--timeout", "0", "--socket", "/x")]
    [InlineData("--index-interval", "9m", "--socket", "/x")]
    [InlineData("scan", "--output", "yaml")]
    public async Task Wrong_usage_ends_with_2(params string[] arguments)
    {
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark-agent", arguments);
        Assert.Equal(2, exitCode);
        Assert.StartsWith("error: ", error, StringComparison.Ordinal);
    }

    Task<(int ExitCode, string Output, string Error)> PushAsync(params string[] arguments) =>
        GuestmarkProcess.RunAsync("guestmark-agent", ["--host-path", _folder.File("guest"), "--socket", SocketPath, "--lock-file", _folder.File("lock"), .. arguments]);

    Task<List<byte[]>> HostAsync(params PushStatus?[] answers) => PushHost.RunAsync(SocketPath, answers);
}
