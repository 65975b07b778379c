using System.Collections;
using System.Diagnostics.Metrics;
using Guestmark.Configuration;
using Guestmark.Node;
using Guestmark.Node.Identity;
using Guestmark.Systemd;
using Guestmark.Telemetry;
using Guestmark.TestKit;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Guestmark.Tests;

/// <summary>Establishes what a changed configuration does to a node that runs: in process for each rule, and with the real program.</summary>
public sealed class ReloadTests : IDisposable
{
    readonly TemporaryFolder _folder = new();
    readonly ManualTimeProvider _time = new(TimeProvider.System.GetUtcNow());
    readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();

    public void Dispose()
    {
        _services.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void What_may_change_changes_and_the_rest_waits_for_a_restart()
    {
        var (reload, configuration, log, lines) = Start("guests: [web1=/run/a.sock]\n");
        NodeOptions? told = null;
        configuration.OnChange((_, current) => told = current);

        Write("guests: [web1=/run/a.sock, web2=/run/b.sock]\nvsock-port: 1024\nlimits: {messages-burst: 5}\nlog: {level: debug}\n");
        Assert.True(reload.Reload());

        Assert.Equal(["web1", "web2"], configuration.Current.Guests.Select(guest => guest.Name));
        Assert.Equal(5, configuration.Current.Limits.MessagesBurst);
        Assert.Equal(818u, configuration.Current.PushPort);
        Assert.Same(configuration.Current, told);
        Assert.Equal(LogLevel.Debug, log.Level);
        Assert.Equal([8103, 8101], lines.Entries.Select(entry => entry.Id));
        Assert.Contains("vsock-port is now '1024'", lines.Entries[0].Text, StringComparison.Ordinal);
        Assert.Contains("guests, limits.messages-burst, log.level", lines.Entries[1].Text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_bad_configuration_leaves_the_last_good_one_in_force_and_is_explained()
    {
        var (reload, configuration, _, lines) = Start("limits: {messages-burst: 5}\n");
        var before = configuration.Current;

        Write("limits: {messages-burst: 6}\nlimts: {}\nidle-timeout: soon\n");
        Assert.False(reload.Reload());
        Assert.Same(before, configuration.Current);
        var entry = Assert.Single(lines.Entries);
        Assert.Equal(8102, entry.Id);
        Assert.Contains($"{_folder.File("node.yaml")}:2: 'limts' is not known; did you mean 'limits'?", entry.Text, StringComparison.Ordinal);
        Assert.Contains(":3: idle-timeout: 'soon' is no time", entry.Text, StringComparison.Ordinal);
        Assert.NotNull(reload.Problem);

        File.Delete(_folder.File("node.yaml"));
        Assert.False(reload.Reload());
        Assert.Same(before, configuration.Current);

        Write("limits: {messages-burst: 7}\n");
        Assert.True(reload.Reload());
        Assert.Equal(7, configuration.Current.Limits.MessagesBurst);
        Assert.Null(reload.Problem);
    }

    [Fact]
    public void A_refused_configuration_is_in_the_metrics_and_a_warning_of_a_node_that_stays_ready()
    {
        using var collector = new MetricsCollector(_services.GetRequiredService<IMeterFactory>());
        var (reload, _, _, _) = Start("limits: {messages-burst: 5}\n");
        var check = RoleChecks.ConfigurationIsInForce(reload);
        var started = _time.GetUtcNow();
        Assert.Equal((1, started.ToUnixTimeMilliseconds() / 1000.0, 0, 0), Metrics());
        Assert.Equal(HealthState.Ok, check.Run().State);

        _time.Advance(TimeSpan.FromMinutes(1));
        Write("limts: {}\n");
        reload.Reload();
        reload.Reload();
        Assert.Equal((0, started.ToUnixTimeMilliseconds() / 1000.0, 0, 2), Metrics());
        var finding = check.Run();
        Assert.Equal((HealthState.Warning, false), (finding.State, check.Liveness));
        Assert.Contains($"that of {started:yyyy-MM-dd'T'HH:mm:ss.fff'Z'} stays in force", finding.Message, StringComparison.Ordinal);
        Assert.Contains("'limts' is not known", finding.Message, StringComparison.Ordinal);

        Write("limits: {messages-burst: 6}\n");
        reload.Reload();
        Assert.Equal((1, _time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0, 1, 2), Metrics());
        Assert.Equal(HealthState.Ok, check.Run().State);

        (double Successful, double At, double Applied, double Refused) Metrics()
        {
            var samples = collector.Collect().SelectMany(family => family.Samples.Select(sample => (Name: string.Join(':', [family.Name, .. sample.Labels.Select(l => l.Value)]), sample.Value)))
                .ToDictionary(sample => sample.Name, sample => sample.Value);
            return (
                samples["guestmark_configuration_last_reload_successful"], samples["guestmark_configuration_last_reload_success_timestamp_seconds"],
                samples["guestmark_configuration_reloads:applied"], samples["guestmark_configuration_reloads:refused"]);
        }
    }

    [Fact]
    public async Task Guests_that_contradict_the_registry_are_refused_aloud_and_taken_when_they_no_longer_do()
    {
        var (reload, configuration, _, lines) = Start("guests: [web1=/run/a.sock]\n");
        var registry = new GuestRegistry(configuration, TimeProvider.System);
        Assert.Empty(registry.Replace(GuestSource.File, [new GuestOptions { Uid = "u", Name = "n", Cid = 7 }]));
        Write("guests: [web1=/run/a.sock, 'web2,cid=7']\n");
        Assert.False(reload.Reload());
        Assert.Contains("cid 7", reload.Problem, StringComparison.Ordinal);
        Assert.Equal([8102], lines.Entries.Select(entry => entry.Id));
        Assert.Single(configuration.Current.Guests);

        // Nobody touches the configuration's file: it is tried again by itself.
        await reload.StartAsync(default);
        Assert.Empty(registry.Replace(GuestSource.File, []));
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (registry.Find(7) is null)
        {
            Assert.False(limit.IsCancellationRequested);
            _time.Advance(TimeSpan.FromSeconds(1));
            await Task.Yield();
        }

        await reload.StopAsync(default);
        Assert.Null(reload.Problem);
        Assert.Equal([8102, 8101], lines.Entries.Select(entry => entry.Id));
    }

    [Fact]
    public void A_new_name_of_the_cluster_does_not_rename_the_guests_of_a_running_node()
    {
        var (reload, configuration, _, _) = Start("guests: [web1=/run/a.sock]\n");
        var uid = configuration.Current.Guests[0].Uid;
        Write("cluster: other\nguests: [web1=/run/a.sock]\n");
        Assert.True(reload.Reload());
        Assert.Equal(uid, configuration.Current.Guests[0].Uid);
    }

    [Fact]
    public async Task The_real_node_takes_a_changed_file_and_SIGHUP_and_survives_a_bad_one()
    {
        Certificates.Create(_folder.File("certs"), ["node"], TimeProvider.System);
        var text = $"certs: certs/node\ndata: data\nsensor-endpoint: 127.0.0.1:1\nguests: [web1={_folder.File("web1.sock")}]\n";
        Write(text);
        await using var node = GuestmarkProcess.Start("guestmark", "node", "--config", _folder.File("node.yaml"));
        await node.WaitForLineAsync("listening for web1");

        Write(text + "limits: {messages-burst: 5}\n");
        Assert.Contains("limits.messages-burst", await node.WaitForLineAsync("[8101]"), StringComparison.Ordinal);

        Write(text + "limits: {messages-burst: lots}\n");
        Assert.Contains("node.yaml:5: limits.messages-burst: 'lots' is no number", await node.WaitForLineAsync("[8102]"), StringComparison.Ordinal);

        // SIGHUP reads it whether it changed or not.
        node.Signal("HUP");
        await node.WaitForLineAsync("[8102]", count: 2);
        Write(text);
        node.Signal("HUP");
        await node.WaitForLineAsync("[8101]", count: 2);
        Assert.Equal(0, await node.StopAsync());
    }

    [Fact]
    public async Task Config_show_and_check_of_the_real_program_name_the_origin_and_end_with_the_documented_codes()
    {
        Write("certs: certs\nvsock-port: 1024\n");
        var (code, output, _) = await GuestmarkProcess.RunAsync("guestmark", "config", "show", "--config", _folder.File("node.yaml"), "--cluster", "prod");
        Assert.Equal(0, code);
        var lines = output.Split('\n').Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Where(fields => fields.Length > 2).ToList();
        Assert.Contains(lines, fields => fields[..3] is ["cluster", "prod", "--cluster"]);
        Assert.Contains(lines, fields => fields[0] == "vsock-port" && fields[1] == "1024" && fields[2] == $"{_folder.File("node.yaml")}:2");

        Write("vsock-prt: 1024\n");
        string error;
        (code, _, error) = await GuestmarkProcess.RunAsync("guestmark", "config", "check", "--config", _folder.File("node.yaml"), "--certs", "x");
        Assert.Equal(1, code);
        Assert.Contains("node.yaml:1: 'vsock-prt' is not known; did you mean 'vsock-port'?", error, StringComparison.Ordinal);
        (code, _, error) = await GuestmarkProcess.RunAsync("guestmark", "node", "--mode", "file-monitor", "--certs", "x");
        Assert.Equal(2, code);
        Assert.Contains("the file monitor is not built yet", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Commands_beside_the_node_find_it_by_its_own_configuration()
    {
        var data = _folder.File("data");
        Write($"data: {data}\n");
        var (code, _, error) = await GuestmarkProcess.RunAsync("guestmark", "cell", "list", "--config", _folder.File("node.yaml"));
        Assert.Equal(1, code);
        Assert.Contains($"--control {data}/control.sock: there is no such socket", error, StringComparison.Ordinal);
        (_, _, error) = await GuestmarkProcess.RunAsync("guestmark", "spool", "inspect", "--config", _folder.File("node.yaml"));
        Assert.Contains($"{data}: there is no such folder", error, StringComparison.Ordinal);
        Write($"control-socket: {data}/c.sock\n");
        (_, _, error) = await GuestmarkProcess.RunAsync("guestmark", "cell", "remove", "a", "--config", _folder.File("node.yaml"));
        Assert.Contains($"--control {data}/c.sock", error, StringComparison.Ordinal);
        (code, _, error) = await GuestmarkProcess.RunAsync("guestmark", "cell", "list", "--config", _folder.File("absent.yaml"));
        Assert.Equal(1, code);
        Assert.Contains("cannot be read", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_start_that_fails_leaves_nothing_in_the_log_of_what_only_had_to_stop()
    {
        var time = new TellingTime();
        var (reload, _, _, _) = Start("", time);
        await reload.StartAsync(CancellationToken.None);
        await time.Waits.WaitAsync(TimeSpan.FromSeconds(20));
        // As the host does when another service cannot start: it stops nothing, and disposes all.
        reload.Dispose();
        await reload.ExecuteTask!;
    }

    (NodeReload Reload, NodeConfiguration Configuration, LogSwitch Log, ListedLog Lines) Start(string text, TimeProvider? time = null)
    {
        Write(text);
        SettingValues Read() => SettingValues.Read(new Dictionary<Setting, IReadOnlyList<string>>(), new Hashtable { ["FACT_CERTS"] = "/certs" }, _folder.File("node.yaml"));
        var values = Read();
        var configuration = new NodeConfiguration(Layers.Setup(values).Options);
        var (log, lines) = (new LogSwitch(LogLevel.Information), new ListedLog());
        var reload = new NodeReload(Read, values, configuration, log, new ServiceNotifier(null, null, null), _services.GetRequiredService<IMeterFactory>(), time ?? _time, lines.For<NodeReload>());
        return (reload, configuration, log, lines);
    }

    void Write(string text)
    {
        // As editors and Kubernetes do: a new file takes the place of the old.
        var path = _folder.File("node.yaml.new");
        File.WriteAllText(path, text);
        File.Move(path, _folder.File("node.yaml"), overwrite: true);
    }

    /// <summary>Says when somebody waits.</summary>
    sealed class TellingTime : TimeProvider
    {
        readonly TaskCompletionSource _waits = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Waits => _waits.Task;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            _waits.TrySetResult();
            return base.CreateTimer(callback, state, dueTime, period);
        }
    }
}
