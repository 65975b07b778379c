using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using Guestmark.Rpc.Http2;

namespace Guestmark.Rpc;

/// <summary>
/// Opens connections: socket, TLS, HTTP/2 settings. Every way of failing becomes <see cref="RpcStatusCode.Unavailable"/> with a detail from which an
/// operator knows what to change.
/// </summary>
sealed class RpcConnector
{
    readonly Uri _address;
    readonly RpcChannelOptions _options;
    readonly EndPoint _endPoint;

    /// <summary>What HTTP calls the scheme and the authority.</summary>
    readonly string _scheme;
    readonly string _authority;
    readonly string _serverName;

    /// <exception cref="ArgumentException">The address cannot be used, or not with these options.</exception>
    public RpcConnector(Uri address, RpcChannelOptions options)
    {
        _address = address;
        _options = options;
        (_endPoint, _authority, _serverName) = address.Scheme switch
        {
            "http" or "https" => (new DnsEndPoint(address.IdnHost, address.Port), address.Authority, address.IdnHost),
            "unix" => (new UnixDomainSocketEndPoint(Uri.UnescapeDataString(address.AbsolutePath)), "localhost", "localhost"),
            _ => ((EndPoint, string, string))Throw($"'{address}' is not an address for RPC: expected http://, https:// or unix:"),
        };
        _serverName = options.ServerName ?? _serverName;
        var isSecure = address.Scheme == "https" || address.Scheme == "unix" && options.Certificates is not null;
        if (isSecure && options.Certificates is null)
            Throw($"'{address}' needs certificates: set {nameof(RpcChannelOptions)}.{nameof(RpcChannelOptions.Certificates)}");
        if (!isSecure && options.Certificates is not null) Throw($"'{address}' would not use the certificates that are given: write https://");
        _scheme = isSecure ? "https" : "http";

        static object Throw(string problem) => throw new ArgumentException(problem, nameof(address));
    }

    /// <exception cref="RpcException">Unavailable, and why.</exception>
    public async Task<Http2Connection> ConnectAsync(CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(_options.ConnectTimeout, _options.Time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        var step = "connecting";
        Stream? transport = null;
        try
        {
            transport = await DialAsync(both.Token);
            if (_scheme == "https")
            {
                step = "the TLS handshake";
                transport = await SecureAsync(transport, both.Token);
            }

            step = "the server's first frame";
            return await GreetAsync(transport, both.Token);
        }
        catch (Exception e)
        {
            if (transport is not null) await transport.DisposeAsync();
            if (e is not OperationCanceledException || cancellationToken.IsCancellationRequested) throw;
            throw Unavailable(
                $"no answer from {_address} within {_options.ConnectTimeout.TotalSeconds:0.###} s (ConnectTimeout) while waiting for {step}", e);
        }
    }

    static RpcException Unavailable(string detail, Exception e) => new(RpcStatusCode.Unavailable, detail, innerException: e);

    async Task<Stream> DialAsync(CancellationToken cancellationToken)
    {
        var socket = _endPoint is UnixDomainSocketEndPoint
            ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(_endPoint, cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw Unavailable($"cannot connect to {_address}: {e.Message}", e);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    async Task<Stream> SecureAsync(Stream transport, CancellationToken cancellationToken)
    {
        string? refusal = null;
        var tls = new SslStream(transport);
        try
        {
            await tls.AuthenticateAsClientAsync(_options.Certificates!.ClientAuthentication(_serverName, why => refusal = why), cancellationToken);
        }
        catch (Exception e) when (e is AuthenticationException or IOException)
        {
            await tls.DisposeAsync();
            throw Unavailable(
                refusal is not null ? $"the certificate of {_address} is not accepted: {refusal}"
                    : $"the TLS handshake with {_address} failed: {(e.InnerException ?? e).Message}",
                e);
        }

        if (tls.NegotiatedApplicationProtocol == SslApplicationProtocol.Http2) return tls;
        await tls.DisposeAsync();
        throw new RpcException(RpcStatusCode.Unavailable, $"{_address} does not offer HTTP/2");
    }

    async Task<Http2Connection> GreetAsync(Stream transport, CancellationToken cancellationToken)
    {
        var connection = new Http2Connection(transport, _scheme, _authority, _options.KeepAliveInterval, _options.KeepAliveTimeout, _options.Time);
        try
        {
            await connection.StartAsync().WaitAsync(cancellationToken);
            return connection;
        }
        catch (IOException e) when (_scheme == "https")
        {
            // With TLS 1.3 the handshake is complete for the client before the server has judged its certificate.
            throw Unavailable(
                $"{_address} closed the connection right after the TLS handshake; most likely it does not accept our certificate " +
                $"({_options.Certificates!.Describe()}): {e.Message}",
                e);
        }
        catch (IOException e)
        {
            throw Unavailable($"{_address} does not answer as an RPC server: {e.Message}", e);
        }
        catch (OperationCanceledException)
        {
            connection.End("the server did not answer in time");
            throw;
        }
    }
}
