using System.Buffers.Binary;
using System.Diagnostics.Metrics;
using System.Net.Sockets;
using Guestmark.Events;
using Guestmark.Node;
using Guestmark.Node.Admission;
using Guestmark.Node.Cells;
using Guestmark.Node.Identity;
using Guestmark.Node.Listening;
using Guestmark.Node.Protocols;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace Guestmark.Benchmarks;

/// <summary>
/// The node's way of a frame, from the listener over the protocol and its checks to the stamp, with a Unix socket in place of the spool: what
/// <c>bench/run node</c> puts beside relays that only copy bytes.
/// </summary>
static class NodeRelay
{
    /// <summary>Prints "ready 0" and serves until its input ends.</summary>
    /// <param name="input">Where frames come in.</param>
    /// <param name="output">Where events go: u32 little endian length and the CloudEvent.</param>
    /// <param name="kind"><c>declarations</c> of a cell, or <c>reports</c> of a guest.</param>
    public static async Task<int> ServeAsync(string input, string output, string kind)
    {
        var isCell = kind == "declarations";
        var unlimited = new GuestLimits { MessagesPerSecond = 0, BytesPerSecond = 0 };
        var options = new NodeOptions
        {
            Node = "bench",
            DataDirectory = "/nonexistent",
            Certificates = "/nonexistent",
            SensorEndpoint = new Uri("https://127.0.0.1:1"),
            Limits = unlimited,
            Cells = new CellOptions { DeclarationsPerSecond = 0, KeepAliveWindow = TimeSpan.FromHours(1) },
            Guests = [new GuestOptions { Uid = "guest", Name = "guest", SocketBase = input }],
        };
        using var services = new ServiceCollection().AddMetrics().BuildServiceProvider();
        var meters = services.GetRequiredService<IMeterFactory>();
        using var sink = new Sink(output, isCell);
        var stamper = EventStamper.WithoutSpool(sink.Take, options, signer: null, TimeProvider.System);
        var refusals = new Refusals(stamper, TimeProvider.System, NullLogger<Refusals>.Instance);
        Func<ConnectionContext, Task> serve;
        if (isCell)
        {
            var identity = new ChannelIdentity("//local/bench/cell:bench", "bench") { GuestPort = 9001, Cell = new CellAttribution("bench", "run", null) };
            serve = new CellChannel(identity, options.Cells, stamper, refusals, new CellMetrics(meters), NullLogger.Instance, TimeProvider.System).RunAsync;
        }
        else
        {
            var configuration = new NodeConfiguration(options);
            var registry = new GuestRegistry(configuration, TimeProvider.System);
            var reception = new GuestReception(
                configuration, registry, stamper, refusals, new NodeMetrics(meters), new CellMetrics(meters), new DeadlineSweep(TimeProvider.System), TimeProvider.System,
                NullLogger<CellChannel>.Instance);
            serve = connection => reception.ServeSocketAsync(registry.All[0], new UnixListenerOptions(), declarations: null, connection);
        }

        await using var listener = GuestListener.Bind(new UnixDomainSocketEndPoint(input), ServeAsync, NullLogger.Instance);
        Console.WriteLine("ready 0");
        await Console.In.ReadToEndAsync();
        return 0;

        Task ServeAsync(ConnectionContext connection)
        {
            sink.Connect();
            return serve(connection);
        }
    }

    /// <summary>Where events go instead of the spool: each is written when the task of its group ends, as the spool's are on disk.</summary>
    sealed class Sink : IDisposable
    {
        readonly string _path;
        readonly bool _inline;
        readonly Lock _lock = new();
        readonly SemaphoreSlim _gathered = new(0);
        Socket? _socket;
        byte[] _buffer = new byte[1 << 20];
        byte[] _other = new byte[1 << 20];
        int _length;
        TaskCompletionSource? _group;

        /// <param name="inline">Each event is a batch already: write it at once. Otherwise what gathers while one write runs is written together.</param>
        public Sink(string path, bool inline)
        {
            _path = path;
            _inline = inline;
            if (!inline) new Thread(WriteGroups) { IsBackground = true }.Start();
        }

        public void Dispose() => _socket?.Dispose();

        /// <summary>To a new peer: each run has its own.</summary>
        public void Connect()
        {
            _socket?.Dispose();
            _socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            _socket.Connect(new UnixDomainSocketEndPoint(_path));
        }

        public Task Take(byte[] encoded)
        {
            lock (_lock)
            {
                var size = sizeof(uint) + encoded.Length;
                if (_buffer.Length - _length < size) Array.Resize(ref _buffer, Math.Max(_buffer.Length * 2, _length + size));
                BinaryPrimitives.WriteInt32LittleEndian(_buffer.AsSpan(_length), encoded.Length);
                encoded.CopyTo(_buffer.AsSpan(_length + sizeof(uint)));
                _length += size;
                if (_inline)
                {
                    try
                    {
                        Send(_buffer.AsSpan(0, _length));
                    }
                    catch (SocketException)
                    {
                        // After a run: the cell's end is an event too, and nobody reads it. In a run the receiver misses what is lost here.
                    }
                    finally
                    {
                        _length = 0;
                    }

                    return Task.CompletedTask;
                }

                if (_group is not null) return _group.Task;
                _group = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                _gathered.Release();
                return _group.Task;
            }
        }

        void WriteGroups()
        {
            while (true)
            {
                _gathered.Wait();
                TaskCompletionSource group;
                int length;
                lock (_lock)
                {
                    (_buffer, _other) = (_other, _buffer);
                    (group, _group) = (_group!, null);
                    (length, _length) = (_length, 0);
                }

                Send(_other.AsSpan(0, length));
                group.SetResult();
            }
        }

        void Send(ReadOnlySpan<byte> bytes)
        {
            while (_socket is not null && !bytes.IsEmpty) bytes = bytes[_socket.Send(bytes)..];
        }
    }
}
