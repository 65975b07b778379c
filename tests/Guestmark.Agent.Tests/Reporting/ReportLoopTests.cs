using System.Threading.Channels;
using Guestmark.Agent.Reporting;
using Guestmark.Inventory;
using Guestmark.TestKit;
using Guestmark.Wire.Framing;

namespace Guestmark.Agent.Tests.Reporting;

/// <summary>Establishes when the daemon reads and when it sends, on a clock of the test's and over a real folder.</summary>
public sealed class ReportLoopTests : IDisposable
{
    static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    static readonly TimeSpan Interval = TimeSpan.FromHours(4);

    readonly TemporaryFolder _guest = new();
    readonly ManualTimeProvider _time = new(TimeProvider.System.GetUtcNow());
    readonly Channel<byte[]> _sent = Channel.CreateUnbounded<byte[]>();
    readonly Channel<PushOutcome> _answers = Channel.CreateUnbounded<PushOutcome>();
    readonly ChangeSignal _changes;
    readonly CancellationTokenSource _stop = new();
    readonly Channel<string> _told = Channel.CreateUnbounded<string>();
    int _scans;
    bool _isUnreadable;

    public ReportLoopTests()
    {
        _changes = new ChangeSignal(_time);
        Directory.CreateDirectory(_guest.File("var/lib/dpkg"));
        Install("bash", age: TimeSpan.FromHours(1));
    }

    string Status => _guest.File("var/lib/dpkg/status");

    public void Dispose()
    {
        _stop.Cancel();
        _stop.Dispose();
        _changes.Dispose();
        _guest.Dispose();
    }

    [Fact]
    public async Task An_interval_without_change_sends_the_same_report_and_reads_nothing()
    {
        var loop = Start(TimeSpan.Zero);
        var first = await AnswerAsync(PushStatus.Stored);
        await AdvanceUntilSentAsync(Interval / 8);
        Assert.Same(first, await AnswerAsync(PushStatus.Stored));
        Assert.Equal(1, _scans);
        await StopAsync(loop);
    }

    [Fact]
    public async Task A_change_is_reported_when_it_has_come_to_rest()
    {
        var loop = Start(TimeSpan.Zero);
        await AnswerAsync(PushStatus.Stored);
        var before = _time.GetUtcNow();
        Install("zsh", age: TimeSpan.Zero);
        _changes.Raise();
        await AdvanceUntilSentAsync(TimeSpan.FromMilliseconds(100));
        Assert.Equal("report 2", Text(await AnswerAsync(PushStatus.Stored)));
        Assert.True(_time.GetUtcNow() - before < TimeSpan.FromSeconds(10), "reported at the interval and not at the change");
        await StopAsync(loop);
    }

    [Fact]
    public async Task A_change_that_gives_the_same_report_is_read_and_not_sent()
    {
        var loop = Start(TimeSpan.Zero);
        await AnswerAsync(PushStatus.Stored);
        File.SetLastWriteTimeUtc(Status, _time.GetUtcNow().UtcDateTime);
        _changes.Raise();
        await AdvanceUntilToldAsync("the same report");
        Assert.Equal(2, _scans);
        Assert.False(_sent.Reader.TryRead(out _));
        await StopAsync(loop);
    }

    [Fact]
    public async Task A_report_of_nothing_but_problems_does_not_take_the_place_of_one_with_packages()
    {
        var loop = Start(TimeSpan.Zero);
        await AnswerAsync(PushStatus.Stored);
        _isUnreadable = true;
        Install("zsh", age: TimeSpan.Zero);
        _changes.Raise();
        await AdvanceUntilToldAsync("the last report stands");
        _isUnreadable = false;
        _changes.Raise();
        await AdvanceUntilSentAsync(TimeSpan.FromMilliseconds(100));
        Assert.Equal("report 2", Text(await AnswerAsync(PushStatus.Stored)));
        await StopAsync(loop);
    }

    [Fact]
    public async Task What_was_not_acknowledged_is_sent_again_ever_more_rarely()
    {
        var loop = Start(TimeSpan.Zero);
        var report = await AnswerAsync(PushStatus.Unavailable);
        var waits = new List<TimeSpan>();
        for (var i = 0; i < 8; i++)
        {
            var before = _time.GetUtcNow();
            await AdvanceUntilSentAsync(TimeSpan.FromMilliseconds(100));
            waits.Add(_time.GetUtcNow() - before);
            Assert.Same(report, i % 2 == 0 ? await AnswerAsync(PushStatus.Unavailable) : await AnswerAsync("no answer"));
        }

        Assert.InRange(waits[0], TimeSpan.FromSeconds(0.5), TimeSpan.FromSeconds(2));
        Assert.InRange(waits[7], TimeSpan.FromSeconds(64), TimeSpan.FromSeconds(140));
        Assert.Equal(1, _scans);
        await StopAsync(loop);
    }

    [Fact]
    public async Task A_newer_report_takes_the_place_of_one_that_was_not_acknowledged()
    {
        var loop = Start(TimeSpan.Zero);
        Assert.Equal("report 1", Text(await AnswerAsync(PushStatus.Unavailable)));
        Install("zsh", age: TimeSpan.Zero);
        _changes.Raise();
        byte[] sent;
        do
        {
            await AdvanceUntilSentAsync(TimeSpan.FromMilliseconds(100));
            sent = await AnswerAsync(PushStatus.Unavailable);
        }
        while (Text(sent) == "report 1");
        Assert.Equal("report 2", Text(sent));
        await StopAsync(loop);
    }

    [Fact]
    public async Task What_the_host_refuses_for_good_waits_for_the_interval()
    {
        var loop = Start(TimeSpan.Zero);
        await AnswerAsync(PushStatus.Malformed);
        var before = _time.GetUtcNow();
        await AdvanceUntilSentAsync(TimeSpan.FromMinutes(1));
        await AnswerAsync(PushStatus.Stored);
        Assert.True(_time.GetUtcNow() - before >= Interval - TimeSpan.FromMinutes(1));
        await StopAsync(loop);
    }

    [Fact]
    public async Task The_first_report_comes_within_the_initial_delay()
    {
        var loop = Start(TimeSpan.FromMinutes(20));
        var before = _time.GetUtcNow();
        await AdvanceUntilSentAsync(TimeSpan.FromSeconds(1));
        await AnswerAsync(PushStatus.Stored);
        Assert.InRange(_time.GetUtcNow() - before, TimeSpan.Zero, TimeSpan.FromMinutes(20) + TimeSpan.FromSeconds(10));
        await StopAsync(loop);
    }

    Task Start(TimeSpan initialDelayMax)
    {
        var options = new InventoryScanOptions { HostPath = _guest.Path };
        var loop = new ReportLoop(
            new ReportSchedule { Interval = Interval, InitialDelayMax = initialDelayMax },
            _ =>
            {
                _scans++;
                return new ScannedReport(System.Text.Encoding.ASCII.GetBytes($"report {File.ReadAllText(Status).Split("Package:").Length - 1}"), _isUnreadable);
            },
            () => InventoryFingerprint.Take(options, _time),
            async (report, cancellation) =>
            {
                await _sent.Writer.WriteAsync(report, cancellation);
                return await _answers.Reader.ReadAsync(cancellation);
            },
            _changes,
            _time,
            line => _told.Writer.TryWrite(line),
            isVerbose: true);
        return Task.Run(() => loop.RunAsync(_stop.Token));
    }

    async Task<byte[]> AnswerAsync(PushStatus status)
    {
        var report = await _sent.Reader.ReadAsync().AsTask().WaitAsync(Limit);
        await _answers.Writer.WriteAsync(new PushOutcome(status, null));
        return report;
    }

    async Task<byte[]> AnswerAsync(string problem)
    {
        var report = await _sent.Reader.ReadAsync().AsTask().WaitAsync(Limit);
        await _answers.Writer.WriteAsync(new PushOutcome(null, problem));
        return report;
    }

    /// <summary>Moves the clock in steps until something is sent. Between steps the loop gets the time to set its next timer.</summary>
    async Task AdvanceUntilSentAsync(TimeSpan step)
    {
        var waiting = _sent.Reader.WaitToReadAsync().AsTask();
        for (var steps = 0; steps < 20_000 && !waiting.IsCompleted; steps++)
        {
            _time.Advance(step);
            await Task.WhenAny(waiting, Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System));
        }

        Assert.True(waiting.IsCompleted, "nothing was sent");
    }

    async Task AdvanceUntilToldAsync(string text)
    {
        for (var steps = 0; steps < 20_000; steps++)
        {
            while (_told.Reader.TryRead(out var line))
            {
                if (line.Contains(text, StringComparison.Ordinal)) return;
            }

            _time.Advance(TimeSpan.FromMilliseconds(100));
            await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System);
        }

        Assert.Fail($"never said '{text}'");
    }

    async Task StopAsync(Task loop)
    {
        await _stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => loop.WaitAsync(Limit));
    }

    void Install(string package, TimeSpan age)
    {
        File.AppendAllText(Status, $"Package: {package}\nStatus: install ok installed\nVersion: 1\n\n");
        File.SetLastWriteTimeUtc(Status, (_time.GetUtcNow() - age).UtcDateTime);
    }

    static string Text(byte[] report) => System.Text.Encoding.ASCII.GetString(report);
}
