using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Threading.Channels;
using Guestmark.Rpc;
using Guestmark.Systemd;
using Guestmark.Telemetry;
using Guestmark.TestKit;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Hosting.Internal;
using Microsoft.Extensions.Logging.Abstractions;
using ServingStatus = Guestmark.Rpc.Health.HealthCheckResponse.Types.ServingStatus;

namespace Guestmark.Tests;

/// <summary>Establishes that a check finds what it claims to look for, and that who watches is told.</summary>
public sealed class HealthTests : IDisposable
{
    readonly TemporaryFolder _folder = new();
    readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();

    public void Dispose()
    {
        _services.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void A_failed_or_full_spool_is_found_in_its_accounts()
    {
        var meters = _services.GetRequiredService<IMeterFactory>();
        using var collector = new MetricsCollector(meters);
        var (failed, size, refusing) = (0, 10L, 0);
        var meter = meters.Create("Guestmark.Spool");
        var label = new KeyValuePair<string, object?>("spool", "keep");
        meter.CreateObservableGauge("guestmark.spool.failed", () => new Measurement<int>(failed, label));
        meter.CreateObservableGauge("guestmark.spool.size", () => new Measurement<long>(size, label), "By");
        meter.CreateObservableGauge("guestmark.spool.limit", () => new Measurement<long>(100, label), "By");
        meter.CreateObservableGauge("guestmark.spool.refusing", () => new Measurement<int>(refusing, label));
        var (works, room) = (RoleChecks.SpoolWorks(collector), RoleChecks.SpoolHasRoom(collector));
        Assert.Equal((HealthState.Ok, HealthState.Ok), (works.Run().State, room.Run().State));

        size = 95;
        Assert.Equal(HealthState.Warning, room.Run().State);
        size = 100;
        Assert.Equal(HealthState.Failed, room.Run().State);
        Assert.Contains("100 B of 100 B", room.Run().Message, StringComparison.Ordinal);

        // A disk is full long before a spool is that may grow to more than the disk has.
        (size, refusing) = (10, 1);
        Assert.Equal(HealthState.Failed, room.Run().State);
        Assert.Contains("'keep' refused an event", room.Run().Message, StringComparison.Ordinal);
        failed = 1;
        Assert.Equal(HealthState.Failed, works.Run().State);
        Assert.True(works.Liveness && !room.Liveness);
    }

    [Fact]
    public void A_relay_that_fails_is_a_warning_until_its_time_is_over()
    {
        var meters = _services.GetRequiredService<IMeterFactory>();
        using var collector = new MetricsCollector(meters);
        var away = 0.0;
        meters.Create("Guestmark.Relay").CreateObservableGauge("guestmark.relay.disconnected", () => away, "s");
        var check = RoleChecks.RelayIsConnected(collector, TimeSpan.FromMinutes(1));
        Assert.Equal(HealthState.Ok, check.Run().State);
        away = 59;
        Assert.Equal(HealthState.Warning, check.Run().State);
        away = 60;
        Assert.Equal(HealthState.Failed, check.Run().State);
    }

    [Fact]
    public void A_folder_that_cannot_be_written_is_found()
    {
        Assert.Equal(HealthState.Ok, RoleChecks.FolderIsWritable(_folder.Path).Run().State);
        Assert.Empty(Directory.GetFiles(_folder.Path));
        var finding = RoleChecks.FolderIsWritable(_folder.File("absent")).Run();
        Assert.Equal(HealthState.Failed, finding.State);
        Assert.NotNull(finding.Remedy);
    }

    [Fact]
    public void Sockets_that_nobody_reaches_are_a_warning_and_a_failure_when_they_are_all()
    {
        var reachable = new Dictionary<string, bool> { ["/a"] = true, ["/b"] = true };
        var check = RoleChecks.SocketsAreBound(() => [.. reachable.Select(socket => (socket.Key, socket.Value))]);
        Assert.Equal(HealthState.Ok, check.Run().State);
        // One guest of several is told of; the watchdog asks for liveness only, and no guest may have the node ended.
        reachable["/b"] = false;
        Assert.Equal(HealthState.Warning, check.Run().State);
        Assert.Contains("/b", check.Run().Message, StringComparison.Ordinal);
        reachable["/a"] = false;
        Assert.Equal(HealthState.Failed, check.Run().State);
        Assert.Empty(new Health([check], TimeProvider.System).Look(livenessOnly: true));
    }

    [Fact]
    public void Certificates_are_judged_by_their_files_and_by_the_clock()
    {
        Certificates.Create(_folder.Path, ["node"], TimeProvider.System);
        var time = new ManualTimeProvider(TimeProvider.System.GetUtcNow());
        var check = RoleChecks.CertificatesAreValid(_folder.File("node"), time);
        Assert.Equal(HealthState.Ok, check.Run().State);
        time.Advance(TimeSpan.FromDays(360));
        Assert.Equal(HealthState.Warning, check.Run().State);
        time.Advance(TimeSpan.FromDays(30));
        Assert.Equal(HealthState.Failed, check.Run().State);
        File.WriteAllText(Path.Combine(_folder.File("node"), "key.pem"), "nothing");
        Assert.Contains("key.pem", check.Run().Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_check_that_cannot_look_has_failed()
    {
        var health = new Health([new HealthCheck(true, () => throw new InvalidOperationException("no"))], TimeProvider.System);
        Assert.False(Health.IsGood(health.Look(livenessOnly: true)));
    }

    [Fact]
    public async Task Nothing_is_called_missing_before_the_role_has_started()
    {
        using var notifier = new ServiceNotifier(null, null, null);
        using var lifetime = new Lifetime();
        var looks = Channel.CreateUnbounded<bool>();
        var health = new Health(
            [new HealthCheck(true, () => looks.Writer.TryWrite(lifetime.HasStarted) ? HealthFinding.Ok("rpc", "m") : throw new UnreachableException())],
            TimeProvider.System);
        using var watch = new ReadinessWatch(health, notifier, null, lifetime, TimeProvider.System, NullLogger<ReadinessWatch>.Instance);
        await watch.StartAsync(CancellationToken.None);
        // Whichever comes first: it waits for the start, as it should, or it looks.
        await Task.WhenAny(lifetime.Asked.Task, looks.Reader.WaitToReadAsync().AsTask());
        lifetime.NotifyStarted();
        Assert.True(await looks.Reader.ReadAsync());
        await watch.StopAsync(CancellationToken.None);
    }

    [Fact]
    public async Task Who_watches_is_told_and_the_watchdog_is_fed_only_while_the_node_works()
    {
        using var manager = new ServiceManagerDouble(_folder.File("notify"));
        using var notifier = new ServiceNotifier(_folder.File("notify"), "2000000", null);
        var (live, ready) = (HealthState.Ok, HealthState.Ok);
        var time = new ManualTimeProvider();
        var health = new Health(
            [new HealthCheck(true, () => new HealthFinding("spool", live, "m", "r")), new HealthCheck(false, () => new HealthFinding("relay", ready, "away", "r"))], time);
        var rpc = new RpcHealth();
        var log = new ListedLog();
        using var watch = new ReadinessWatch(health, notifier, rpc, new ApplicationLifetime(NullLogger<ApplicationLifetime>.Instance), time, log.For<ReadinessWatch>());

        watch.Look();
        Assert.Equal(["STATUS=ready", "WATCHDOG=1"], await manager.ReceiveAsync(2));

        // Not ready is no reason to start again.
        ready = HealthState.Failed;
        time.Advance(TimeSpan.FromSeconds(2));
        watch.Look();
        Assert.Equal(["STATUS=relay: away", "WATCHDOG=1"], await manager.ReceiveAsync(2));
        Assert.Equal(ServingStatus.NotServing, (await rpc.AnswerCheckAsync(new())).Status);
        Assert.Equal([8201], log.Entries.Select(entry => entry.Id));

        live = HealthState.Failed;
        time.Advance(TimeSpan.FromSeconds(2));
        watch.Look();
        Assert.StartsWith("STATUS=", Assert.Single(await manager.ReceiveAsync(1)), StringComparison.Ordinal);
        (live, ready) = (HealthState.Ok, HealthState.Ok);
        time.Advance(TimeSpan.FromSeconds(2));
        watch.Look();
        // Had the watchdog been fed in between, it would be the first here.
        Assert.Equal(["STATUS=ready", "WATCHDOG=1"], await manager.ReceiveAsync(2));
        Assert.Equal(ServingStatus.Serving, (await rpc.AnswerCheckAsync(new())).Status);
        Assert.Equal(2, log.Entries.Count(entry => entry.Id == 8202));
    }

    /// <summary>Of a host that says when somebody asks whether it has started.</summary>
    sealed class Lifetime : IHostApplicationLifetime, IDisposable
    {
        readonly CancellationTokenSource _started = new();

        public TaskCompletionSource Asked { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public bool HasStarted => _started.IsCancellationRequested;

        public CancellationToken ApplicationStarted
        {
            get
            {
                Asked.TrySetResult();
                return _started.Token;
            }
        }

        public CancellationToken ApplicationStopping => CancellationToken.None;

        public CancellationToken ApplicationStopped => CancellationToken.None;

        public void NotifyStarted() => _started.Cancel();

        public void StopApplication() => throw new NotSupportedException();

        public void Dispose() => _started.Dispose();
    }
}
