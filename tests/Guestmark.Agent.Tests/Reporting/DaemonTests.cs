using Guestmark.TestKit;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Reports;

namespace Guestmark.Agent.Tests.Reporting;

/// <summary>Establishes that the daemon, as a real process, reports what dpkg changes within seconds, and is alone on its channel.</summary>
public sealed class DaemonTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public DaemonTests()
    {
        Directory.CreateDirectory(_folder.File("guest/var/lib/dpkg"));
        File.WriteAllText(Status, Stanza("bash"));
    }

    string Status => _folder.File("guest/var/lib/dpkg/status");

    string[] Arguments => ["--host-path", _folder.File("guest"), "--socket", _folder.File("host.sock"), "--lock-file", _folder.File("lock")];

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_change_is_reported_within_seconds()
    {
        var host = PushHost.RunAsync(_folder.File("host.sock"), PushStatus.Stored, PushStatus.Stored);
        await using var daemon = GuestmarkProcess.Start("guestmark-agent", [.. Arguments, "--daemon", "--max-initial-report-delay", "0s"]);
        await daemon.WaitForLineAsync("delivered");

        // As dpkg does it: a new file takes the place of the old one.
        File.WriteAllText(Status + "-new", Stanza("bash") + Stanza("zsh"));
        File.Move(Status + "-new", Status, overwrite: true);

        var reports = (await host.WaitAsync(TimeSpan.FromSeconds(30))).ConvertAll(VMReport.Parser.ParseFrom);
        Assert.Equal([1, 2], reports.Select(report => report.IndexReport.IndexV4.Contents.Packages.Count));
        Assert.Equal(0, await daemon.StopAsync());
    }

    [Fact]
    public async Task A_folder_that_takes_the_place_of_the_databases_folder_is_noticed()
    {
        var host = PushHost.RunAsync(_folder.File("host.sock"), PushStatus.Stored, PushStatus.Stored, PushStatus.Stored);
        await using var daemon = GuestmarkProcess.Start("guestmark-agent", [.. Arguments, "--daemon", "--max-initial-report-delay", "0s"]);
        await daemon.WaitForLineAsync("delivered");

        Directory.CreateDirectory(_folder.File("guest/var/lib/dpkg.new"));
        File.WriteAllText(_folder.File("guest/var/lib/dpkg.new/status"), Stanza("bash") + Stanza("zsh"));
        Directory.Move(_folder.File("guest/var/lib/dpkg"), _folder.File("guest/var/lib/dpkg.old"));
        Directory.Move(_folder.File("guest/var/lib/dpkg.new"), _folder.File("guest/var/lib/dpkg"));
        await daemon.WaitForLineAsync("delivered", 2);

        File.AppendAllText(Status, Stanza("tar"));
        var reports = (await host.WaitAsync(TimeSpan.FromSeconds(60))).ConvertAll(VMReport.Parser.ParseFrom);
        Assert.Equal([1, 2, 3], reports.Select(report => report.IndexReport.IndexV4.Contents.Packages.Count));
    }

    [Fact]
    public async Task A_second_agent_on_the_same_channel_ends_and_names_the_first()
    {
        var host = PushHost.RunAsync(_folder.File("host.sock"), PushStatus.Stored);
        await using var daemon = GuestmarkProcess.Start("guestmark-agent", [.. Arguments, "--daemon", "--max-initial-report-delay", "0s"]);
        await daemon.WaitForLineAsync("delivered");
        await host;
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark-agent", Arguments);
        Assert.Equal(1, exitCode);
        Assert.Contains($"process {daemon.Id} already reports", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_link_in_the_place_of_the_lock_is_not_written_through()
    {
        File.WriteAllText(_folder.File("victim"), "untouched");
        File.CreateSymbolicLink(_folder.File("lock"), _folder.File("victim"));
        var host = PushHost.RunAsync(_folder.File("host.sock"), PushStatus.Stored);
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark-agent", Arguments);
        await host;
        Assert.Equal(0, exitCode);
        Assert.Contains("cannot be locked", error, StringComparison.Ordinal);
        Assert.Equal("untouched", File.ReadAllText(_folder.File("victim")));
    }

    [Fact]
    public async Task What_could_not_be_delivered_is_delivered_when_the_host_comes()
    {
        await using var daemon = GuestmarkProcess.Start("guestmark-agent", [.. Arguments, "--daemon", "--max-initial-report-delay", "0s"]);
        await daemon.WaitForLineAsync("kept, and sent again");
        var reports = await PushHost.RunAsync(_folder.File("host.sock"), PushStatus.Stored).WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Single(reports);
    }

    static string Stanza(string package) => $"Package: {package}\nStatus: install ok installed\nVersion: 1\n\n";
}
