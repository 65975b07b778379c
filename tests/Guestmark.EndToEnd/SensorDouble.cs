using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Rpc;
using Guestmark.Rpc.Publishing;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Reports;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;
using Scanner = Guestmark.Wire.Reports.Scanner;

namespace Guestmark.EndToEnd;

/// <summary>A receiver that ignores what it has, by stream and number, as every one must, and remembers what came.</summary>
sealed class SensorDouble : IEventSink
{
    readonly Lock _lock = new();
    readonly HashSet<string> _seen = [];
    TaskCompletionSource _grown = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Of every report, in the order in which they came.</summary>
    public List<string> Markers { get; } = [];

    /// <summary>Numbers and types by stream.</summary>
    public Dictionary<string, List<(ulong Sequence, string Type)>> Streams { get; } = [];

    /// <summary>Events that came, each once.</summary>
    public int Count
    {
        get { lock (_lock) return _seen.Count; }
    }

    /// <summary>Listens with the certificates of <c>sensor</c>.</summary>
    public async Task<WebApplication> StartAsync(string certificatesFolder, int port)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddPublish();
        var certificates = CertificateDirectory.Open(certificatesFolder);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port, listener => listener.UseRpc(certificates)));
        var app = builder.Build();
        app.MapPublish(this);
        await app.StartAsync();
        return app;
    }

    public ValueTask<IReadOnlyList<EventRefusal>> StoreAsync(IReadOnlyList<StampedEvent> events, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            foreach (var stamped in events)
            {
                var (stream, sequence) = stamped.Position;
                if (!_seen.Add($"{stream} {sequence}")) continue;
                if (!Streams.TryGetValue(stream, out var sequences)) Streams[stream] = sequences = [];
                sequences.Add((sequence, stamped.Type));
                if (stamped.Type == EventTypes.InventoryReport) Markers.Add(GuestDouble.MarkerOf(stamped));
            }

            _grown.SetResult();
            _grown = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        return new([]);
    }

    public async Task WaitUntilAsync(Func<HashSet<string>, bool> complete)
    {
        while (true)
        {
            Task grown;
            lock (_lock)
            {
                if (complete([.. Markers])) return;
                grown = _grown.Task;
            }

            await grown.WaitAsync(TimeSpan.FromSeconds(60));
        }
    }

    public static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}

/// <summary>One connection of a guest.</summary>
sealed class GuestDouble : IDisposable
{
    readonly Socket _socket;

    GuestDouble(Socket socket) => _socket = socket;

    /// <exception cref="SocketException">Nobody listens.</exception>
    public static async Task<GuestDouble> ConnectAsync(string socketBase)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketBase + "_818"), CancellationToken.None);
            return new GuestDouble(socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Sends a report that can be told apart at the receiver, and waits for the answer.</summary>
    /// <param name="padding">Bytes that it has beside.</param>
    /// <exception cref="SocketException">The connection ended before there was an answer.</exception>
    public async Task<PushStatus> SendAsync(string marker, int padding = 0)
    {
        var contents = new Scanner.Contents();
        contents.Packages["1"] = new Scanner.Package { Id = "1", Name = marker, Version = "1.0-1", Kind = "binary", PackageDb = "sqlite:var/lib/rpm", Arch = "x86_64" };
        var report = new Scanner.IndexReport { Success = true, Contents = contents, Err = new string('x', padding) };
        var body = new VMReport { IndexReport = new IndexReport { IndexV4 = report } }.ToByteArray();
        var frame = new byte[PushFrame.HeaderBytes + body.Length];
        PushFrame.WriteHeader(frame, body.Length);
        body.CopyTo(frame, PushFrame.HeaderBytes);
        await _socket.SendAsync(frame);
        var answer = new byte[PushFrame.StatusBytes];
        for (var received = 0; received < answer.Length;)
        {
            var count = await _socket.ReceiveAsync(answer.AsMemory(received));
            if (count == 0) throw new SocketException((int)SocketError.ConnectionReset);
            received += count;
        }

        return PushFrame.ReadStatus(answer);
    }

    public static string MarkerOf(StampedEvent stamped) =>
        VMReport.Parser.ParseFrom(stamped.Data.Span).IndexReport.IndexV4.Contents.Packages.Values.Single().Name;

    public void Dispose() => _socket.Dispose();
}

/// <summary>One look at <c>/metrics</c>.</summary>
sealed class MetricsPage
{
    readonly List<(string Name, string Labels, double Value)> _samples = [];

    /// <exception cref="HttpRequestException">Nobody answers, or not to the end.</exception>
    public static async Task<MetricsPage> ReadAsync(HttpClient http, int port)
    {
        var page = new MetricsPage();
        foreach (var line in (await http.GetStringAsync(new Uri($"http://127.0.0.1:{port}/metrics"))).Split('\n'))
        {
            if (line.Length == 0 || line[0] == '#') continue;
            var space = line.LastIndexOf(' ');
            var brace = line.IndexOf('{', StringComparison.Ordinal);
            var name = brace < 0 ? line[..space] : line[..brace];
            page._samples.Add((name, brace < 0 ? "" : line[brace..space], double.Parse(line[(space + 1)..], CultureInfo.InvariantCulture)));
        }

        return page;
    }

    /// <summary>The sum of a family, or of those of its series that have a label: <c>spool="keep"</c>.</summary>
    public long Sum(string name, string label = "")
    {
        var found = _samples.Where(sample => sample.Name == name && sample.Labels.Contains(label, StringComparison.Ordinal)).ToList();
        Assert.True(found.Count > 0, $"{name} {label} is not among {_samples.Count} samples");
        return (long)found.Sum(sample => sample.Value);
    }

    public long Messages(PushStatus? status = null) => Sum("guestmark_node_messages_total", status is null ? "" : $"status=\"{status}\"");

    public long Stored => Sum("guestmark_spool_stored_total", "spool=\"keep\"");

    public long Delivered => Sum("guestmark_relay_delivered_total", "spool=\"keep\"");

    public long Depth => Sum("guestmark_spool_depth", "spool=\"keep\"");

    /// <summary>What is gone without having been delivered, or will be: everything that a healthy run has none of.</summary>
    public long Dropped => Sum("guestmark_spool_dropped_total") + Sum("guestmark_relay_refused_total") + Sum("guestmark_spool_failed") + Sum("guestmark_spool_positions_mended_total");
}
