using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Guestmark.Rpc.Http2;

namespace Guestmark.Rpc.Tests;

/// <summary>A server of which the tests write every byte, so that it can break every rule.</summary>
sealed class FakeServer : IDisposable
{
    readonly TcpListener _listener = new(IPAddress.Loopback, 0);

    public FakeServer() => _listener.Start();

    public Uri Address => new($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}");

    /// <summary>The next connection, before anything is read or written.</summary>
    public async Task<FakeConnection> AcceptAsync() => new(await _listener.AcceptTcpClientAsync().WaitAsync(TimeSpan.FromSeconds(10)));

    /// <summary>The next connection, with preface and settings exchanged.</summary>
    public async Task<FakeConnection> AcceptHttp2Async(params (Setting Setting, uint Value)[] settings)
    {
        var connection = await AcceptAsync();
        await connection.ReadBytesAsync("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".Length);
        var payload = new byte[settings.Length * 6];
        for (var i = 0; i < settings.Length; i++)
        {
            BinaryPrimitives.WriteUInt16BigEndian(payload.AsSpan(i * 6), (ushort)settings[i].Setting);
            BinaryPrimitives.WriteUInt32BigEndian(payload.AsSpan(i * 6 + 2), settings[i].Value);
        }

        await connection.WriteAsync(FrameType.Settings, FrameFlags.None, 0, payload);
        return connection;
    }

    public void Dispose() => _listener.Dispose();
}

sealed class FakeConnection(TcpClient client) : IDisposable
{
    readonly NetworkStream _stream = client.GetStream();

    /// <summary>Ordinary headers of a response: :status 200, content-type application/grpc.</summary>
    public static byte[] Headers => [0x88, .. Literal("content-type", "application/grpc")];

    public static byte[] Trailers(int status) => Literal("grpc-status", $"{status}");

    /// <summary>A StringValue "hi" with its prefix.</summary>
    public static byte[] Message => [0, 0, 0, 0, 4, 0x0a, 2, (byte)'h', (byte)'i'];

    /// <summary>A field without indexing and without Huffman coding; short names and values only.</summary>
    public static byte[] Literal(string name, string value) =>
        [0, (byte)name.Length, .. Encoding.ASCII.GetBytes(name), (byte)value.Length, .. Encoding.ASCII.GetBytes(value)];

    public async Task WriteAsync(FrameType type, FrameFlags flags, int streamId, byte[] payload)
    {
        var bytes = new byte[FrameHeader.Bytes + payload.Length];
        new FrameHeader(payload.Length, type, flags, streamId).Write(bytes);
        payload.CopyTo(bytes, FrameHeader.Bytes);
        await WriteAsync(bytes);
    }

    public async Task WriteAsync(byte[] bytes) => await _stream.WriteAsync(bytes);

    public async Task<(FrameHeader Header, byte[] Payload)> ReadAsync()
    {
        var header = FrameHeader.Read(await ReadBytesAsync(FrameHeader.Bytes));
        return (header, await ReadBytesAsync(header.Length));
    }

    /// <summary>The next frame of a kind; others are passed over.</summary>
    public async Task<(FrameHeader Header, byte[] Payload)> ReadAsync(FrameType type)
    {
        while (true)
        {
            var frame = await ReadAsync();
            if (frame.Header.Type == type) return frame;
        }
    }

    public async Task<byte[]> ReadBytesAsync(int count)
    {
        var bytes = new byte[count];
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        await _stream.ReadExactlyAsync(bytes, limit.Token);
        return bytes;
    }

    public void Dispose() => client.Dispose();
}
