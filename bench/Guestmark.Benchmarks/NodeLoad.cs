using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using Guestmark.Events;
using Guestmark.Node;
using Guestmark.Rpc;
using Guestmark.Spool;
using Guestmark.Wire.Framing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Guestmark.Benchmarks;

/// <summary>
/// A node with its real spool, guests that behave, and guests that do what they can to keep it from the others (<c>bench/run node-load</c>). Each is a
/// process of its own: what is measured in one is not slowed by the work of another's.
/// </summary>
static class NodeLoad
{
    // Guests by number. The node's limits are its defaults: 8 connections a guest.
    const int Flooder = 99;
    const int ChurnFirst = 100;
    const int SlowFirst = 110;
    const int IdleFirst = 235;
    const int Guests = 1485;
    const int ConnectionsPerGuest = 8;
    const int ConnectsPerSecond = 1000;

    static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(10);

    /// <summary>
    /// Prints "ready 0" and serves until its input ends; then writes into the file "stored" how many reports of honest guests its spool has. What guests push
    /// goes no further: there is no sensor.
    /// </summary>
    public static async Task<int> ServeAsync(string folder)
    {
        CertificateAuthority.Create(Path.Combine(folder, "ca"));
        CertificateAuthority.Issue(Path.Combine(folder, "ca"), Path.Combine(folder, "certs"), "node");
        var options = new NodeOptions
        {
            Node = "bench",
            DataDirectory = Path.Combine(folder, "data"),
            Certificates = Path.Combine(folder, "certs"),
            SensorEndpoint = new Uri("https://127.0.0.1:1"),
            IdleTimeout = TimeSpan.FromHours(1),
            SpoolBytesMax = 4L << 30,
            Guests =
            [
                .. Enumerable.Range(0, Guests).Select(i => new GuestOptions { Uid = $"uid-{i}", Name = $"g{i}", SocketBase = Path.Combine(folder, $"g{i}") }),
            ],
        };
        if (options.Validate() is { Count: > 0 } errors) throw new ArgumentException(string.Join("; ", errors), nameof(folder));
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddNode(options);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenForControl());
        await using var app = builder.Build();
        await app.StartAsync();
        Console.WriteLine("ready 0");
        await Console.In.ReadToEndAsync();
        var stored = await StoredAsync(app.Services.GetRequiredService<EventSpool>());
        await File.WriteAllTextAsync(Path.Combine(folder, "stored"), stored.ToString(CultureInfo.InvariantCulture));
        return 0;
    }

    static async Task<long> StoredAsync(EventSpool spool)
    {
        var honest = Enumerable.Range(0, Flooder).Select(i => $"uid-{i}").ToHashSet();
        var cursor = spool.OpenCursor();
        var stored = 0L;
        for (ulong seen = 0, last = spool.LastIndex; seen < last;)
        {
            foreach (var record in await cursor.ReadAsync(1000, 1 << 24, default))
            {
                seen++;
                if (StampedEvent.TryRead(record.Data, out var stamped) is { } fault) throw new InvalidDataException($"record {seen} is no event: {fault}");
                if (stamped!.Type == EventTypes.InventoryReport && honest.Contains(stamped.Subject)) stored++;
            }
        }

        return stored;
    }

    /// <summary>Holds 10,000 connections that say nothing, until its input ends.</summary>
    public static async Task<int> IdleAsync(string folder)
    {
        var idle = await OpenIdleAsync(folder);
        Console.WriteLine($"ready {idle.Count}");
        await Console.In.ReadToEndAsync();
        var open = idle.Count(socket => !socket.Poll(0, SelectMode.SelectRead));
        return open == idle.Count ? 0 : throw new InvalidDataException($"{idle.Count - open} idle connections were closed");
    }

    /// <summary>
    /// 99 guests that send a report of 2 KB ten times a second each and wait for each answer. Prints p99 of the answer in microseconds. Fails when an answer is
    /// another than stored. Adds to the file "acknowledged" how many there were.
    /// </summary>
    public static async Task<int> HonestAsync(string folder, int seconds)
    {
        var latencies = new List<double>();
        var end = TimeSpan.FromSeconds(seconds);
        var start = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, Flooder).Select(GuestAsync));
        latencies.Sort();
        var (p50, p99) = (latencies[latencies.Count / 2], latencies[latencies.Count * 99 / 100]);
        Console.Error.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"  honest: {latencies.Count} reports stored, p50 {p50:F0} us, p99 {p99:F0} us, most {latencies[^1]:F0} us"));
        await File.AppendAllLinesAsync(Path.Combine(folder, "acknowledged"), [latencies.Count.ToString(CultureInfo.InvariantCulture)]);
        Console.WriteLine(p99.ToString("F0", CultureInfo.InvariantCulture));
        return 0;

        async Task GuestAsync(int guest)
        {
            using var socket = await ConnectAsync(folder, guest);
            var frame = Frame(2048);
            var random = new Random(guest);
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(100)), TimeProvider.System);
            while (Stopwatch.GetElapsedTime(start) < end)
            {
                var sent = Stopwatch.GetTimestamp();
                await socket.SendAsync(frame);
                var status = await ReceiveAsync(socket);
                var latency = Stopwatch.GetElapsedTime(sent).TotalMicroseconds;
                if (status != PushStatus.Stored) throw new InvalidDataException($"a report of guest {guest} was answered {status}");
                lock (latencies) latencies.Add(latency);
                await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System);
            }
        }
    }

    /// <summary>10,000 idle connections, 1,000 that send a byte a second, 1,000 connects a second, one guest that sends all it can. Ends with its input.</summary>
    public static async Task<int> HostileAsync(string folder)
    {
        using var stop = new CancellationTokenSource();
        var idle = await OpenIdleAsync(folder);
        long connects = 0;
        long flooded = 0;
        var slow = Enumerable.Range(0, (IdleFirst - SlowFirst) * ConnectionsPerGuest).Select(i => SlowAsync(SlowFirst + i / ConnectionsPerGuest)).ToList();
        var churn = ChurnAsync();
        var flood = Enumerable.Range(0, ConnectionsPerGuest).Select(_ => FloodAsync()).ToList();
        Console.WriteLine($"ready {idle.Count}");
        var started = Stopwatch.GetTimestamp();
        await Console.In.ReadToEndAsync();
        var seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        await stop.CancelAsync();
        await Task.WhenAll([.. slow, churn, .. flood]);
        var open = idle.Count(socket => !socket.Poll(0, SelectMode.SelectRead));
        Console.Error.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"  hostile: {open} idle connections held, {slow.Count} slow, {connects / seconds:F0} connects a second, {flooded / seconds:F0} answers a second to the flooder"));
        return 0;

        async Task SlowAsync(int guest)
        {
            var frame = Frame(1 << 20);
            while (!stop.IsCancellationRequested)
            {
                try
                {
                    using var socket = await ConnectAsync(folder, guest);
                    for (var i = 0; ; i++)
                    {
                        await socket.SendAsync(frame.AsMemory(i, 1), stop.Token);
                        await Task.Delay(TimeSpan.FromSeconds(1), TimeProvider.System, stop.Token);
                    }
                }
                catch (Exception e) when (e is SocketException or OperationCanceledException)
                {
                    // Cut at the deadline: again.
                }
            }
        }

        async Task ChurnAsync()
        {
            var began = Stopwatch.GetTimestamp();
            var random = new Random(1);
            while (!stop.IsCancellationRequested)
            {
                while (connects < Stopwatch.GetElapsedTime(began).TotalSeconds * ConnectsPerSecond)
                {
                    try
                    {
                        using var socket = await ConnectAsync(folder, ChurnFirst + (int)(connects % (SlowFirst - ChurnFirst)));
                        // Nothing, half a length, a wrong length, half a body: and gone.
                        byte[] bytes = random.Next(4) switch { 0 => [], 1 => [1, 2], 2 => [255, 255, 255, 255], _ => [100, 0, 0, 0, 1, 2, 3] };
                        await socket.SendAsync(bytes);
                    }
                    catch (SocketException)
                    {
                        // Refused: it counts as an attempt.
                    }

                    connects++;
                }

                await Task.Delay(Tick, TimeProvider.System);
            }
        }

        async Task FloodAsync()
        {
            var frames = Enumerable.Repeat(Frame(1024), 64).SelectMany(frame => frame).ToArray();
            var answers = new byte[4096];
            while (!stop.IsCancellationRequested)
            {
                try
                {
                    using var socket = await ConnectAsync(folder, Flooder);
                    var reading = Task.Run(async () =>
                    {
                        while (await socket.ReceiveAsync(answers, stop.Token) is var count and > 0) Interlocked.Add(ref flooded, count / PushFrame.StatusBytes);
                    });
                    while (true) await socket.SendAsync(frames, stop.Token);
                }
                catch (Exception e) when (e is SocketException or OperationCanceledException)
                {
                    // Closed: again.
                }
            }
        }
    }

    static async Task<List<Socket>> OpenIdleAsync(string folder)
    {
        var idle = new List<Socket>();
        for (var guest = IdleFirst; guest < Guests; guest++)
        {
            for (var i = 0; i < ConnectionsPerGuest; i++) idle.Add(await ConnectAsync(folder, guest));
        }

        return idle;
    }

    static async Task<Socket> ConnectAsync(string folder, int guest)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(Path.Combine(folder, $"g{guest}_818")));
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    static async Task<PushStatus?> ReceiveAsync(Socket socket)
    {
        var answer = new byte[PushFrame.StatusBytes];
        for (var received = 0; received < answer.Length;)
        {
            var count = await socket.ReceiveAsync(answer.AsMemory(received));
            if (count == 0) return null;
            received += count;
        }

        return PushFrame.ReadStatus(answer);
    }

    /// <summary>A VMReport with one unknown field of text, of so many bytes in all.</summary>
    static byte[] Frame(int bodyBytes)
    {
        var frame = new byte[PushFrame.HeaderBytes + bodyBytes];
        PushFrame.WriteHeader(frame, bodyBytes);
        var position = PushFrame.HeaderBytes;
        frame[position++] = 9 << 3 | 2;
        var length = bodyBytes - 4;
        for (var i = 0; i < 3; i++, length >>= 7) frame[position++] = (byte)(length & 0x7f | (i < 2 ? 0x80 : 0));
        return frame;
    }
}
