using System.Net.Sockets;
using System.Text;
using Guestmark.TestKit;
using Guestmark.Wire.Declarations;

namespace Guestmark.Agent.Tests.Declaring;

/// <summary>A frame as a host has read it.</summary>
sealed record ReadFrame(string Source, uint Pid, string Comm, ulong MonotonicNs, ulong Sequence, ulong Dropped);

/// <summary>The host's side of one cell: a Unix socket, and the frames that come.</summary>
sealed class CellHost : IDisposable
{
    static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    readonly TemporaryFolder _folder = new();
    Socket _listener;

    public CellHost() => _listener = Listen();

    public string Path => _folder.File("vsock.sock_9001");

    /// <summary>The next connection.</summary>
    public async Task<Connection> AcceptAsync()
    {
        using var limit = new CancellationTokenSource(Limit);
        return new Connection(await _listener.AcceptAsync(limit.Token));
    }

    /// <summary>As a host that is not there for a while.</summary>
    public void Stop() => _listener.Dispose();

    public void StartAgain() => _listener = Listen();

    public void Dispose()
    {
        _listener.Dispose();
        _folder.Dispose();
    }

    Socket Listen()
    {
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(Path));
        listener.Listen();
        return listener;
    }

    public sealed class Connection(Socket socket) : IDisposable
    {
        /// <summary>The next frame; null at the end.</summary>
        public async Task<ReadFrame?> ReadAsync()
        {
            using var limit = new CancellationTokenSource(Limit);
            var header = new byte[DeclarationFrame.LengthBytes];
            if (!await FillAsync(header, limit.Token)) return null;
            Assert.True(DeclarationFrame.TryReadLength(header, out var length));
            var body = new byte[length];
            Assert.True(await FillAsync(body, limit.Token));
            return Decode(body);
        }

        /// <summary>Reads until a frame is the right one.</summary>
        public async Task<ReadFrame> ReadUntilAsync(Func<ReadFrame, bool> isRight)
        {
            while (true)
            {
                var frame = await ReadAsync() ?? throw new EndOfStreamException("the agent closed the connection");
                if (isRight(frame)) return frame;
            }
        }

        public void Dispose() => socket.Dispose();

        async Task<bool> FillAsync(byte[] buffer, CancellationToken cancellationToken)
        {
            for (var filled = 0; filled < buffer.Length;)
            {
                var count = await socket.ReceiveAsync(buffer.AsMemory(filled), cancellationToken);
                if (count == 0) return false;
                filled += count;
            }

            return true;
        }

        static ReadFrame Decode(byte[] body)
        {
            Assert.Equal(DeclarationFault.None, DeclarationFrame.TryDecode(body, out var declaration));
            Assert.Equal(DeclarationFrame.ContentVersion, declaration.ContentVersion);
            return new ReadFrame(
                Encoding.UTF8.GetString(declaration.ProbeSource), declaration.GuestPid, Encoding.UTF8.GetString(declaration.GuestComm), declaration.GuestMonotonicNs,
                declaration.Sequence, declaration.Dropped);
        }
    }
}
