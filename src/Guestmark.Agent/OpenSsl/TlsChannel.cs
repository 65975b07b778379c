using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Guestmark.Agent.OpenSsl;

/// <summary>What came of reading: how many bytes, or why none. Neither: the peer has said that it sends no more.</summary>
readonly record struct TlsRead(int Bytes, string? Problem);

/// <summary>The server's end of one TLS connection over a socket.</summary>
/// <remarks>
/// OpenSSL sees memory only: ciphertext goes through two memory BIOs, and the socket is read and written here, so that every wait
/// can be cancelled and any kind of socket will do. Each call of OpenSSL and the look at its error queue, which belongs to the thread,
/// happen without a wait between them. One reader or writer at a time.
/// <para>
/// What a peer does wrong is returned as text, and never thrown. Cancellation is thrown.
/// </para>
/// </remarks>
sealed class TlsChannel : IDisposable
{
    /// <summary>First byte of a TLS record that carries a handshake (RFC 8446, 5.1). A TLS client can send nothing else first.</summary>
    public const byte HandshakeRecord = 22;

    /// <summary>A record has at most 2^14 bytes; more at once is of no use.</summary>
    public const int BufferBytes = 16 * 1024;

    // Certificates of a client are at most 100 KB (OpenSSL's SSL_MAX_CERT_LIST_DEFAULT). Whoever sends more is not shaking hands.
    const int HandshakeBytesMax = 256 * 1024;

    readonly Socket _socket;
    readonly SslHandle _ssl;
    readonly byte[] _buffer = new byte[BufferBytes];

    // Owned by _ssl.
    readonly nint _input;
    readonly nint _output;

    /// <exception cref="OpenSslException">OpenSSL fails.</exception>
    public TlsChannel(TlsServerContext context, Socket socket)
    {
        _socket = socket;
        LibSsl.ERR_clear_error();
        _ssl = LibSsl.Check(LibSsl.SSL_new(context.Handle), "a TLS connection");
        try
        {
            using var input = CreateMemory();
            using var output = CreateMemory();
            _input = input.Release();
            _output = output.Release();
            LibSsl.SSL_set_bio(_ssl, _input, _output);
        }
        catch
        {
            _ssl.Dispose();
            throw;
        }
    }

    enum Step
    {
        Done,
        NeedsInput,
        Ended,
        Failed,
    }

    /// <summary>Shakes hands. Afterwards the client is verified.</summary>
    /// <param name="received">What has been read from the socket already.</param>
    /// <returns>Null, or why the handshake failed; the client has been told by an alert.</returns>
    public async ValueTask<string?> HandshakeAsync(ReadOnlyMemory<byte> received, CancellationToken cancellationToken)
    {
        Feed(received.Span);
        var bytes = received.Length;
        try
        {
            while (true)
            {
                var (step, problem) = Advance();
                await FlushAsync(cancellationToken);
                if (step == Step.Done) return null;
                if (step != Step.NeedsInput) return problem ?? "the client ended the handshake";
                if (bytes >= HandshakeBytesMax) return $"the client sent more than {HandshakeBytesMax} bytes without completing the handshake";
                var read = await _socket.ReceiveAsync(_buffer, SocketFlags.None, cancellationToken);
                if (read == 0) return "the client closed the connection during the handshake";
                bytes += read;
                Feed(_buffer.AsSpan(0, read));
            }
        }
        catch (SocketException e)
        {
            return e.Message;
        }
    }

    /// <summary>Reads what is there, at least a byte.</summary>
    public async ValueTask<TlsRead> ReadAsync(Memory<byte> destination, CancellationToken cancellationToken)
    {
        Debug.Assert(destination.Length > 0, "nothing to read into");
        try
        {
            while (true)
            {
                var (step, count, problem) = Decrypt(destination.Span);
                // An alert, or the answer to a key update.
                await FlushAsync(cancellationToken);
                if (step == Step.Done) return new(count, null);
                if (step == Step.Ended) return new(0, null);
                if (step == Step.Failed) return new(0, problem);
                var read = await _socket.ReceiveAsync(_buffer, SocketFlags.None, cancellationToken);
                if (read == 0) return new(0, "the peer closed the connection in the middle");
                Feed(_buffer.AsSpan(0, read));
            }
        }
        catch (SocketException e)
        {
            return new(0, e.Message);
        }
    }

    /// <summary>Sends all of it.</summary>
    /// <returns>Null, or why it could not be sent.</returns>
    public async ValueTask<string?> WriteAsync(ReadOnlyMemory<byte> source, CancellationToken cancellationToken)
    {
        try
        {
            while (!source.IsEmpty)
            {
                // A record at a time: what is encrypted waits in memory until it is sent.
                var piece = source[..Math.Min(source.Length, BufferBytes)];
                if (Encrypt(piece.Span) is { } problem) return problem;
                await FlushAsync(cancellationToken);
                source = source[piece.Length..];
            }

            return null;
        }
        catch (SocketException e)
        {
            return e.Message;
        }
    }

    /// <summary>Says that nothing more will be sent (close_notify) and ends that direction of the socket. Failures do not matter any more.</summary>
    public async ValueTask CloseAsync(CancellationToken cancellationToken)
    {
        try
        {
            LibSsl.ERR_clear_error();
            LibSsl.SSL_shutdown(_ssl);
            LibSsl.ERR_clear_error();
            await FlushAsync(cancellationToken);
            _socket.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
        }
    }

    public void Dispose() => _ssl.Dispose();

    static BioHandle CreateMemory()
    {
        var bio = LibSsl.Check(LibSsl.BIO_new(LibSsl.BIO_s_mem()), "a buffer");
        // Empty means "come again" and not the end of the stream.
        LibSsl.BIO_ctrl(bio, LibSsl.BioControlSetMemoryEndResult, -1, 0);
        return bio;
    }

    (Step Step, string? Problem) Advance()
    {
        LibSsl.ERR_clear_error();
        var result = LibSsl.SSL_accept(_ssl);
        return result == 1 ? (Step.Done, null) : Explain(result);
    }

    (Step Step, int Count, string? Problem) Decrypt(Span<byte> destination)
    {
        LibSsl.ERR_clear_error();
        var count = LibSsl.SSL_read(_ssl, destination, destination.Length);
        if (count > 0) return (Step.Done, count, null);
        var (step, problem) = Explain(count);
        return (step, 0, problem);
    }

    string? Encrypt(ReadOnlySpan<byte> piece)
    {
        LibSsl.ERR_clear_error();
        var count = LibSsl.SSL_write(_ssl, piece, piece.Length);
        // Without SSL_MODE_ENABLE_PARTIAL_WRITE it is all or nothing, and memory takes all.
        if (count == piece.Length) return null;
        return Explain(count).Problem ?? "the connection takes nothing more";
    }

    (Step Step, string? Problem) Explain(int result)
    {
        switch (LibSsl.SSL_get_error(_ssl, result))
        {
            case LibSsl.ErrorWantRead:
                return (Step.NeedsInput, null);
            case LibSsl.ErrorZeroReturn:
                return (Step.Ended, null);
            default:
                var problem = LibSsl.TakeErrors();
                var verification = LibSsl.SSL_get_verify_result(_ssl);
                if (verification != 0) problem += ": " + Marshal.PtrToStringUTF8(LibSsl.X509_verify_cert_error_string(verification));
                return (Step.Failed, problem);
        }
    }

    void Feed(ReadOnlySpan<byte> ciphertext)
    {
        if (!ciphertext.IsEmpty) LibSsl.Check(LibSsl.BIO_write(_input, ciphertext, ciphertext.Length) == ciphertext.Length, "no memory");
    }

    async ValueTask FlushAsync(CancellationToken cancellationToken)
    {
        while (LibSsl.BIO_read(_output, _buffer, _buffer.Length) is var count and > 0)
        {
            ReadOnlyMemory<byte> ciphertext = _buffer.AsMemory(0, count);
            while (!ciphertext.IsEmpty) ciphertext = ciphertext[await _socket.SendAsync(ciphertext, SocketFlags.None, cancellationToken)..];
        }
    }
}
