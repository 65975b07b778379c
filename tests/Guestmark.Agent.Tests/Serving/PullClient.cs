using System.Buffers.Binary;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Google.Protobuf;
using Guestmark.Wire.Pull.Messages;

namespace Guestmark.Agent.Tests.Serving;

/// <summary>A Sensor with virt-handler's certificate: .NET's own TLS, and messages by generated code.</summary>
sealed class PullClient : IAsyncDisposable
{
    readonly Socket _socket;

    PullClient(Socket socket, SslStream tls)
    {
        _socket = socket;
        Tls = tls;
    }

    public SslStream Tls { get; }

    public static async Task<Socket> ConnectAsync(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
        return socket;
    }

    /// <exception cref="AuthenticationException">The handshake fails.</exception>
    /// <exception cref="IOException">The server closes the connection.</exception>
    public static async Task<PullClient> OpenAsync(string path, X509Certificate2? certificate, SslProtocols protocols = SslProtocols.None)
    {
        var socket = await ConnectAsync(path);
        var tls = new SslStream(new NetworkStream(socket, ownsSocket: true));
        try
        {
            await tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
            {
                TargetHost = "guestmark-agent",
                EnabledSslProtocols = protocols,
                ClientCertificateContext = certificate is null ? null : SslStreamCertificateContext.Create(certificate, null, offline: true),
                // As virt-handler does: it knows the machine by the channel.
                RemoteCertificateValidationCallback = (_, _, _, _) => true,
            });
        }
        catch
        {
            await tls.DisposeAsync();
            throw;
        }

        return new PullClient(socket, tls);
    }

    public static async Task<VMServiceResponse> CallAsync(string path, X509Certificate2? certificate, VMServiceRequest request, SslProtocols protocols = SslProtocols.None)
    {
        await using var client = await OpenAsync(path, certificate, protocols);
        return await client.CallAsync(request);
    }

    public async Task<VMServiceResponse> CallAsync(VMServiceRequest request)
    {
        await SendAsync(request.ToByteArray());
        return await ReceiveAsync();
    }

    public async Task SendAsync(byte[] payload)
    {
        var frame = new byte[4 + payload.Length];
        BinaryPrimitives.WriteUInt32BigEndian(frame, (uint)payload.Length);
        payload.CopyTo(frame, 4);
        await Tls.WriteAsync(frame);
    }

    public async Task<VMServiceResponse> ReceiveAsync()
    {
        var header = new byte[4];
        await Tls.ReadExactlyAsync(header);
        var payload = new byte[BinaryPrimitives.ReadUInt32BigEndian(header)];
        await Tls.ReadExactlyAsync(payload);
        return VMServiceResponse.Parser.ParseFrom(payload);
    }

    public async ValueTask DisposeAsync()
    {
        await Tls.DisposeAsync();
        _socket.Dispose();
    }
}
