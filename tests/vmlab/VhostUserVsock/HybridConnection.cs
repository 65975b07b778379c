using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Threading.Channels;

namespace Guestmark.VhostUserVsock;

/// <summary>One connection between a guest's port and a Unix socket of this host, with the credit of both directions.</summary>
sealed class HybridConnection(VsockDevice device, (uint HostPort, uint GuestPort) key, Action<HybridConnection> forget, Socket socket)
{
    /// <summary>What the guest may have under way to us; Linux' own default.</summary>
    const uint BufferBytes = 256 * 1024;

    const int PieceBytesMax = 64 * 1024;

    /// <summary>Firecracker's: how long a guest that was told the end may take to agree.</summary>
    static readonly TimeSpan ShutdownTimeout = TimeSpan.FromSeconds(2);

    readonly Lock _lock = new();
    readonly TaskCompletionSource<bool> _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
    readonly Channel<ReadOnlyMemory<byte>> _toHost = Channel.CreateUnbounded<ReadOnlyMemory<byte>>(new() { SingleReader = true });
    TaskCompletionSource _creditChanged = new(TaskCreationOptions.RunContinuationsAsynchronously);
    uint _received;
    uint _forwarded;
    uint _announced;
    uint _sent;
    uint _peerBuffer;
    uint _peerForwarded;
    bool _guestEnded;
    bool _closed;

    public (uint HostPort, uint GuestPort) Key => key;

    /// <summary>Connects to where the guest's request goes, and answers it.</summary>
    public async Task ConnectAsync(string path)
    {
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or ArgumentException)
        {
            device.Log($"nobody listens on {path}: {e.Message}");
            End(VsockOperation.Reset);
            return;
        }

        Send(VsockOperation.Response);
        Pump();
    }

    /// <summary>Asks the guest for a connection.</summary>
    /// <returns>False when it refuses or is silent; the connection is over then.</returns>
    public async Task<bool> RequestAsync(TimeSpan timeout)
    {
        Send(VsockOperation.Request);
        var opened = false;
        try
        {
            opened = await _opened.Task.WaitAsync(timeout, TimeProvider.System);
        }
        catch (TimeoutException)
        {
            device.Log($"no answer from port {key.GuestPort}");
        }

        if (!opened)
        {
            End(VsockOperation.Reset);
            return false;
        }

        await socket.SendAsync(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"OK {key.HostPort}\n")));
        Pump();
        return true;
    }

    /// <summary>Takes a packet of the guest.</summary>
    /// <returns>False when it broke the rules: it is answered by a reset.</returns>
    public bool Take(VsockPacket packet)
    {
        TakeCredit(packet.Header);
        switch (packet.Header.Operation)
        {
            case VsockOperation.Response:
                _opened.TrySetResult(true);
                return true;
            case VsockOperation.Data:
                lock (_lock)
                {
                    if (BufferBytes - (_received - _forwarded) >= packet.Payload.Length)
                    {
                        _received += (uint)packet.Payload.Length;
                        return _toHost.Writer.TryWrite(packet.Payload);
                    }
                }

                device.Counters.CountOverflowed();
                Close();
                return false;
            case VsockOperation.Shutdown:
                var flags = (VsockShutdown)packet.Header.Flags;
                if (flags == VsockShutdown.Both) _guestEnded = true;
                if (flags.HasFlag(VsockShutdown.Send)) _toHost.Writer.TryComplete();
                return true;
            case VsockOperation.Reset:
                _opened.TrySetResult(false);
                Close();
                return true;
            case VsockOperation.CreditRequest:
                Send(VsockOperation.CreditUpdate);
                return true;
            case VsockOperation.CreditUpdate:
                return true;
            default:
                Close();
                return false;
        }
    }

    public void TakeCredit(VsockHeader header)
    {
        TaskCompletionSource changed;
        lock (_lock)
        {
            (_peerBuffer, _peerForwarded) = (header.BufferBytes, header.ForwardedBytes);
            changed = _creditChanged;
            _creditChanged = new(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        changed.SetResult();
    }

    /// <summary>Ends the host's side. The guest knows, or is told by the caller.</summary>
    public void Close()
    {
        lock (_lock)
        {
            if (_closed) return;
            _closed = true;
        }

        _opened.TrySetResult(false);
        _toHost.Writer.TryComplete();
        _creditChanged.TrySetResult();
        socket.Dispose();
        forget(this);
    }

    void End(VsockOperation operation)
    {
        lock (_lock)
        {
            if (_closed) return;
        }

        Send(operation);
        Close();
    }

    void Pump()
    {
        _ = ToGuestAsync();
        _ = ToHostAsync();
    }

    async Task ToGuestAsync()
    {
        try
        {
            var buffer = new byte[PieceBytesMax];
            while (true)
            {
                uint credit;
                Task changed;
                lock (_lock)
                {
                    if (_closed) return;

                    // The difference is negative when the peer has made its buffer smaller than what is under way.
                    credit = (uint)Math.Max(0, (int)(_peerBuffer - (_sent - _peerForwarded)));
                    changed = _creditChanged.Task;
                }

                if (credit == 0)
                {
                    await changed;
                    continue;
                }

                var received = await socket.ReceiveAsync(buffer.AsMemory(0, (int)Math.Min(credit, PieceBytesMax)));
                if (received == 0) break;
                Send(VsockOperation.Data, buffer.AsMemory(0, received).ToArray());
            }

            // As Firecracker: a host's program that ends its direction has ended both, and the guest confirms by a reset.
            Send(VsockOperation.Shutdown, flags: VsockShutdown.Both);
            await Task.Delay(ShutdownTimeout, TimeProvider.System);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            device.Log($"port {key.HostPort}: {e.Message}");
        }

        End(VsockOperation.Reset);
    }

    async Task ToHostAsync()
    {
        var writable = true;
        await foreach (var piece in _toHost.Reader.ReadAllAsync())
        {
            try
            {
                for (var rest = piece; writable && !rest.IsEmpty;) rest = rest[await socket.SendAsync(rest)..];
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // The host's program closed. What it answered before may still be on its way to the guest, so the rest is only counted.
                writable = false;
            }

            bool announce;
            lock (_lock)
            {
                _forwarded += (uint)piece.Length;
                announce = !_closed && _forwarded - _announced >= BufferBytes / 4;
            }

            if (announce) Send(VsockOperation.CreditUpdate);
        }

        if (_guestEnded)
        {
            End(VsockOperation.Reset);
            return;
        }

        try
        {
            socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It is over already.
        }
    }

    void Send(VsockOperation operation, ReadOnlyMemory<byte> payload = default, VsockShutdown flags = VsockShutdown.None)
    {
        lock (_lock)
        {
            _announced = _forwarded;
            _sent += (uint)payload.Length;
            var header = new VsockHeader
            {
                SourceCid = VsockSwitch.CidHost,
                DestinationCid = device.Cid,
                SourcePort = key.HostPort,
                DestinationPort = key.GuestPort,
                Length = (uint)payload.Length,
                Type = VsockHeader.TypeStream,
                Operation = operation,
                Flags = (uint)flags,
                BufferBytes = BufferBytes,
                ForwardedBytes = _forwarded,
            };
            device.Enqueue(new VsockPacket(header, payload), always: true);
        }
    }
}
