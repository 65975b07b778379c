using System.Diagnostics.Metrics;
using System.Globalization;
using System.Net.Security;
using System.Net.Sockets;
using Guestmark.Node.Admission;
using Guestmark.Node.Identity;
using Guestmark.Node.Listening;
using Guestmark.Node.Protocols;
using Guestmark.Rpc;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Protobuf;
using Guestmark.Wire.Pull;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Pulling;

/// <summary>How a pull ended.</summary>
enum PullOutcome
{
    /// <summary>The report is new and on disk.</summary>
    Stored,
    Unchanged,

    /// <summary>The hypervisor is not there, or nobody listens in the guest.</summary>
    Unreachable,

    /// <summary>The agent has not answered within the time.</summary>
    TimedOut,

    /// <summary>The connection, or its TLS, broke.</summary>
    Broken,

    /// <summary>The agent cannot now: its first scan is not done, or it lacks a mapping.</summary>
    Refused,

    /// <summary>The answer is none, or too long.</summary>
    Malformed,

    /// <summary>The node did not take the report: its status is counted in <c>guestmark.node.messages</c>.</summary>
    NotStored,

    /// <summary>The node has no certificate to show.</summary>
    NoCertificate,
}

/// <summary>
/// Asks the agents of guests that have a <see cref="GuestOptions.PullPort"/> for their reports, through the guests' hypervisors, and takes what comes as if it
/// had been pushed.
/// </summary>
/// <remarks>
/// Who answers is who is behind the hypervisor's socket, as for what is pushed: the agent's certificate was made at its start and says nothing, so it is not
/// looked at. The agent looks at the node's, which is the one that the sensor knows as well.
/// <para>Each guest is asked by itself, so that none waits for another; unchanged reports cost a handshake. The bytes of an answer come out of the
/// guest's part of <see cref="MessageMemoryPool"/>. What was stored is not asked for again while the agent's run and generation stay; a node that
/// starts asks once for all.</para>
/// </remarks>
sealed partial class GuestPulls : IHostedService, IDisposable
{
    /// <summary>The first question comes within this time, so that a node that starts does not ask all guests at once.</summary>
    static readonly TimeSpan FirstWithin = TimeSpan.FromSeconds(5);

    static readonly TimeSpan RetryFirst = TimeSpan.FromSeconds(5);

    /// <summary>What the agent allows a connection.</summary>
    static readonly TimeSpan Timeout = TimeSpan.FromSeconds(30);

    /// <summary>A report begins with so much memory; more is taken as it arrives.</summary>
    const int BytesFirst = 16 * 1024;

    /// <summary>Around a report in an answer: what the agent says of itself.</summary>
    const int BytesBesideReport = 64 * 1024;

    readonly NodeConfiguration _configuration;
    readonly GuestRegistry _registry;
    readonly GuestReception _reception;
    readonly TimeProvider _time;
    readonly ILogger _logger;
    readonly Counter<long> _pulls;
    readonly Lazy<CertificateDirectory> _certificates;
    readonly CancellationTokenSource _stopping = new();
    readonly Lock _lock = new();
    readonly Dictionary<GuestChannel, (CancellationTokenSource Gone, Task Asking)> _guests = [];

    public GuestPulls(
        NodeConfiguration configuration, GuestRegistry registry, GuestReception reception, IMeterFactory meters, TimeProvider time, ILogger<GuestPulls> logger,
        ILogger<CertificateDirectory> certificatesLogger)
    {
        (_configuration, _registry, _reception, _time, _logger) = (configuration, registry, reception, time, logger);
        _pulls = meters.Create(NodeMetrics.MeterName)
            .CreateCounter<long>("guestmark.node.pulls", "{pull}", "Reports that guests were asked for, by how that ended.");
        foreach (var outcome in Enum.GetValues<PullOutcome>()) _pulls.Add(0, Label(outcome));
        // One that cannot be read now is tried again with the next question.
        _certificates = new(
            () => string.IsNullOrEmpty(configuration.Current.Certificates)
                ? throw new CertificateException("certs", "give the node a certificate (certs), which agents that are asked want to see")
                : CertificateDirectory.Open(configuration.Current.Certificates, time, certificatesLogger),
            LazyThreadSafetyMode.PublicationOnly);
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        _registry.OnChange(change => Follow(change.Gone, change.Come));
        // In the lock, so that a guest that leaves meanwhile is either not among them or found when it is given up.
        lock (_lock) Follow([], _registry.All);
        return Task.CompletedTask;
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await _stopping.CancelAsync();
        Task[] asking;
        lock (_lock) asking = [.. _guests.Values.Select(guest => guest.Asking)];
        await Task.WhenAll(asking);
    }

    public void Dispose()
    {
        _stopping.Dispose();
        if (_certificates.IsValueCreated) _certificates.Value.Dispose();
    }

    void Follow(IReadOnlyList<GuestChannel> gone, IReadOnlyList<GuestChannel> come)
    {
        lock (_lock)
        {
            // All are cancelled then, and what would cancel one may be disposed.
            if (_stopping.IsCancellationRequested) return;
            foreach (var channel in gone)
            {
                if (_guests.Remove(channel, out var guest)) _ = guest.Gone.CancelAsync();
            }

            foreach (var channel in come.Where(channel => channel.Guest is { PullPort: not null, SocketBase: not null } && !_guests.ContainsKey(channel)))
            {
                var left = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
                _guests.Add(channel, (left, Task.Run(() => AskAsync(channel, left))));
            }
        }
    }

    async Task AskAsync(GuestChannel channel, CancellationTokenSource gone)
    {
        using var left = gone;
        var cancellationToken = gone.Token;
        var known = default(VmServiceAnswer);
        var failures = 0;
        var last = PullOutcome.Stored;
        var wait = FirstWithin * Random.Shared.NextDouble();
        try
        {
            while (true)
            {
                await Task.Delay(wait, _time, cancellationToken);
                var (outcome, answer, problem) = await PullAsync(channel, known, cancellationToken);
                _pulls.Add(1, Label(outcome));
                if (outcome == PullOutcome.Stored) known = answer;
                failures = outcome is PullOutcome.Stored or PullOutcome.Unchanged ? 0 : failures + 1;
                // A guest that is off is told of once, and whatever a guest does at most once in an interval.
                if (failures > 0 && outcome != last && channel.Share.Log.MayLog(_time, out _)) LogNotPulled(channel.Guest.Name, outcome, problem);
                if (failures == 0 && last is not (PullOutcome.Stored or PullOutcome.Unchanged)) LogPulledAgain(channel.Guest.Name);
                last = outcome;

                var interval = _configuration.Current.PullInterval;
                wait = failures == 0 ? interval : RetryFirst * Math.Pow(2, Math.Min(failures - 1, 20));
                // Not all at the same moment.
                wait = (wait < interval ? wait : interval) * (0.9 + (0.2 * Random.Shared.NextDouble()));
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // The guest has left, or the node stops.
        }
    }

    async Task<(PullOutcome Outcome, VmServiceAnswer Answer, string Problem)> PullAsync(
        GuestChannel channel, VmServiceAnswer known, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(Timeout, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            var authentication = _certificates.Value.ClientAuthenticationToAny("guestmark-agent");
            var connection = await HybridVsock.ConnectAsync(channel.Guest.SocketBase!, channel.Guest.PullPort!.Value, _time, cancellationToken: either.Token);
            await using var stream = new NetworkStream(connection.Socket, ownsSocket: true);
            await using var tls = new SslStream(stream);
            await tls.AuthenticateAsClientAsync(authentication, either.Token);
            await AskForReportAsync(tls, known, either.Token);
            return await TakeAnswerAsync(channel, tls, either.Token);
        }
        catch (HybridVsockException e)
        {
            return (PullOutcome.Unreachable, default, e.Message);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return (PullOutcome.TimedOut, default, $"no whole answer within {Timeout.TotalSeconds} s");
        }
        catch (CertificateException e)
        {
            return (PullOutcome.NoCertificate, default, e.Message);
        }
        catch (MessageMemoryException e)
        {
            return (PullOutcome.NotStored, default, e.Message);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // Not by kinds: .NET parses the agent's certificate with exceptions of its own (CryptographicException), and nothing that a guest sends may
            // end the asking.
            return (PullOutcome.Broken, default, $"{e.Message}; does the agent know the authority of the node's certificate (serve --ca-file)?");
        }
    }

    static async Task AskForReportAsync(SslStream tls, VmServiceAnswer known, CancellationToken cancellationToken)
    {
        var question = new ProtoWriter();
        VmServiceAnswer.WriteQuestion(question, Guid.NewGuid().ToString(), known.Generation, known.Epoch);
        var frame = new byte[PullFrame.HeaderBytes + question.Length];
        PullFrame.WriteHeader(frame, question.Length);
        question.Written.Span.CopyTo(frame.AsSpan(PullFrame.HeaderBytes));
        await tls.WriteAsync(frame, cancellationToken);
    }

    async Task<(PullOutcome Outcome, VmServiceAnswer Answer, string Problem)> TakeAnswerAsync(
        GuestChannel channel, SslStream tls, CancellationToken cancellationToken)
    {
        var header = new byte[PullFrame.HeaderBytes];
        await tls.ReadExactlyAsync(header, cancellationToken);
        var bytesMax = _configuration.Current.MessageBytesMax;
        if (PullFrame.TryReadHeader(header, bytesMax + BytesBesideReport, out var length) != FrameReadResult.Complete)
            return (PullOutcome.Malformed, default, $"the answer has {length} bytes, over the limit of {bytesMax}");

        var memory = channel.Share.Memory;
        var held = 0;
        try
        {
            var response = Array.Empty<byte>();
            while (response.Length < (int)length)
            {
                var filled = response.Length;
                var size = (int)Math.Min(Math.Max(filled * 2L, BytesFirst), length);
                // Twice: the report is made beside the answer.
                if (!memory.TryTake(2 * (size - filled))) throw new MessageMemoryException();
                held += 2 * (size - filled);
                Array.Resize(ref response, size);
                await tls.ReadExactlyAsync(response.AsMemory(filled), cancellationToken);
            }

            var report = new ProtoWriter((int)length + VmServiceAnswer.ReportBytesMore);
            var answer = VmServiceAnswer.Read(response, channel.Guest.Cid?.ToString(CultureInfo.InvariantCulture), report);
            switch (answer.Kind)
            {
                case VmServiceAnswerKind.Report when report.Length <= bytesMax:
                    var status = await _reception.TakePulledAsync(channel, report.Written);
                    return (status == PushStatus.Stored ? PullOutcome.Stored : PullOutcome.NotStored, answer, $"the report was answered {status}");
                case VmServiceAnswerKind.Unchanged:
                    return (PullOutcome.Unchanged, answer, "");
                case VmServiceAnswerKind.Refused:
                    // Of an enum, a number that has no name is written as the number.
                    return (PullOutcome.Refused, default, $"the agent answers error {answer.Error}");
                case VmServiceAnswerKind.Report:
                    return (PullOutcome.Malformed, default, $"the report has over {bytesMax} bytes");
                default:
                    return (PullOutcome.Malformed, default, "it is no answer to get_report");
            }
        }
        finally
        {
            memory.Return(held);
        }
    }

    static KeyValuePair<string, object?> Label(PullOutcome outcome) => new("outcome", outcome.ToString());

    [LoggerMessage(4131, LogLevel.Warning, "Guest {Guest} gave no report when it was asked, {Outcome}: {Problem}; asking again", EventName = "GuestNotPulled")]
    partial void LogNotPulled(string guest, PullOutcome outcome, string problem);

    [LoggerMessage(4132, LogLevel.Information, "Guest {Guest} answers again when it is asked for its report", EventName = "GuestPulled")]
    partial void LogPulledAgain(string guest);
}
