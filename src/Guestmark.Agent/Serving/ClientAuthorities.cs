using Guestmark.Agent.OpenSsl;

namespace Guestmark.Agent.Serving;

/// <summary>Whom the agent lets in: asks for the authorities at each handshake, because they are rotated, and remembers the last good answer.</summary>
/// <param name="identity">What the agent shows.</param>
/// <param name="fetch">Gets the bundle; ends by itself in reasonable time.</param>
/// <param name="note">Is told, once for each change, that an old bundle is used or that there is none.</param>
sealed class ClientAuthorities(TlsIdentity identity, Func<CancellationToken, Task<CaBundle>> fetch, Action<string> note) : IDisposable
{
    readonly Lock _lock = new();
    readonly CancellationTokenSource _disposed = new();
    byte[] _bundle = [];
    string? _noted;
    Task<TlsServerContext?>? _asking;

    // An old one is left to its finalizer: a handshake may be about to use it.
    TlsServerContext? _context;

    /// <summary>The context for the next handshake.</summary>
    /// <remarks>Who comes while the bundle is being asked for waits for that answer: handshakes that nobody means cannot make a queue.</remarks>
    /// <returns>Null when no good bundle was ever got.</returns>
    /// <exception cref="OpenSslException">OpenSSL fails.</exception>
    public Task<TlsServerContext?> GetAsync(CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            if (_asking is null || _asking.IsCompleted) _asking = AskAsync();
            return _asking.WaitAsync(cancellationToken);
        }
    }

    /// <summary>Reads a bundle from a file. A file that was replaced is seen at the next handshake.</summary>
    public static async Task<CaBundle> ReadFileAsync(string path, CancellationToken cancellationToken)
    {
        try
        {
            await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 1, useAsync: false);
            if (file.Length > CaBundleClient.BundleBytesMax) return new(null, $"{path} has more than {CaBundleClient.BundleBytesMax} bytes");
            var bytes = new byte[file.Length];
            var read = await file.ReadAtLeastAsync(bytes, bytes.Length, throwOnEndOfStream: false, cancellationToken);
            return new(bytes[..read], null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new(null, $"{path}: {e.Message}");
        }
    }

    public void Dispose()
    {
        _disposed.Cancel();
        _disposed.Dispose();
        _context?.Dispose();
    }

    // One at a time, by _asking.
    async Task<TlsServerContext?> AskAsync()
    {
        var (pem, problem) = await fetch(_disposed.Token);
        if (pem is not null && (_context is null || !pem.AsSpan().SequenceEqual(_bundle)))
        {
            if (TlsServerContext.TryCreate(identity, pem, out var unusable) is { } context)
            {
                _context = context;
                _bundle = pem;
            }
            else
            {
                problem = "the CA bundle " + unusable;
            }
        }

        if (problem is not null && problem != _noted)
            note(_context is null ? $"no connection is accepted: {problem}" : $"{problem}; the last good CA bundle is used");
        _noted = problem;
        return _context;
    }
}
