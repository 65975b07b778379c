using System.Net.Security;
using System.Security.Authentication;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Guestmark.Rpc;

/// <summary>
/// Our certificate, its key and the authority that peers must have (cert.pem, key.pem, ca.pem in one folder), kept current.
/// </summary>
/// <remarks>
/// The files are read again when a handshake needs them, at most once a second, and compared by content: that sees every way of
/// replacing them, also the swapped symbolic link by which Kubernetes replaces all files of a mounted secret at once. A set that is broken or
/// half written is logged and ignored until it changes; the last good one stays in use. Open connections are never touched.
/// </remarks>
public sealed partial class CertificateDirectory : IDisposable
{
    static readonly TimeSpan CheckInterval = TimeSpan.FromSeconds(1);
    static readonly TimeSpan RefusalLogInterval = TimeSpan.FromSeconds(10);
    static readonly List<SslApplicationProtocol> Http2 = [SslApplicationProtocol.Http2];

    readonly Lock _lock = new();
    readonly TimeProvider _time;
    readonly ILogger _logger;
    CertificateFiles _seen;
    string? _loggedProblem;
    volatile CertificateSet _current;
    long _checkedAt;
    long _refusalLoggedAt;

    CertificateDirectory(string path, TimeProvider time, ILogger logger)
    {
        Path = path;
        _time = time;
        _logger = logger;
        _seen = CertificateFiles.Read(path);
        _current = CertificateSet.Read(_seen, time.GetUtcNow());
        _checkedAt = time.GetTimestamp();
        _refusalLoggedAt = _checkedAt - (long)(RefusalLogInterval.TotalSeconds * time.TimestampFrequency);
    }

    public string Path { get; }

    /// <summary>When the certificate in use ends.</summary>
    public DateTimeOffset NotAfter => new(_current.Certificate.NotAfter);

    /// <param name="path">The folder with ca.pem, cert.pem and key.pem.</param>
    /// <exception cref="CertificateException">The files cannot be used: the message names the file, what is wrong and the remedy.</exception>
    public static CertificateDirectory Open(string path, TimeProvider? time = null, ILogger? logger = null) =>
        new(path, time ?? TimeProvider.System, logger ?? NullLogger.Instance);

    public void Dispose() => _current.Certificate.Dispose();

    /// <summary>What a server says in the handshake that begins now.</summary>
    internal SslServerAuthenticationOptions ServerAuthentication()
    {
        var current = Current();
        var now = _time.GetUtcNow();
        return new SslServerAuthenticationOptions
        {
            ApplicationProtocols = Http2,
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            ServerCertificateContext = current.Context,
            ClientCertificateRequired = true,
            CertificateChainPolicy = CertificateSet.ChainPolicy(current.Authorities, now),
            // A resumed session would skip the check against the authority of this moment.
            AllowTlsResume = false,
            RemoteCertificateValidationCallback = (_, certificate, chain, errors) =>
            {
                if (errors == SslPolicyErrors.None && certificate is not null) return true;
                LogRefusal(CertificateText.Refusal("client", certificate, chain, errors, expectedName: null, current, now));
                return false;
            },
        };
    }

    /// <summary>What a client says in the handshake that begins now.</summary>
    /// <param name="refused">Told why, when the server's certificate is not accepted.</param>
    internal SslClientAuthenticationOptions ClientAuthentication(string serverName, Action<string> refused)
    {
        var current = Current();
        var now = _time.GetUtcNow();
        return new SslClientAuthenticationOptions
        {
            TargetHost = serverName,
            ApplicationProtocols = Http2,
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            ClientCertificateContext = current.Context,
            CertificateChainPolicy = CertificateSet.ChainPolicy(current.Authorities, now),
            AllowTlsResume = false,
            RemoteCertificateValidationCallback = (_, certificate, chain, errors) =>
            {
                if (errors == SslPolicyErrors.None) return true;
                refused(CertificateText.Refusal("server", certificate, chain, errors, serverName, current, now));
                return false;
            },
        };
    }

    /// <summary>
    /// What a client says in the handshake that begins now to a server that is known by the channel on which it answers, whatever certificate it has.
    /// </summary>
    /// <remarks>
    /// .NET builds the chain before it asks whether it matters. Without a policy it would fetch what the certificate names as its issuer: any URL that the server likes,
    /// from this machine's network, for 15 s in which the thread waits and nothing cancels it.
    /// </remarks>
    public SslClientAuthenticationOptions ClientAuthenticationToAny(string serverName) => new()
    {
        TargetHost = serverName,
        EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
        ClientCertificateContext = Current().Context,
        CertificateChainPolicy = CertificateSet.ChainPolicy([], _time.GetUtcNow()),
        AllowTlsResume = false,
        RemoteCertificateValidationCallback = (_, _, _, _) => true,
    };

    /// <summary>Our certificate in words, for an error about its refusal.</summary>
    internal string Describe()
    {
        var certificate = _current.Certificate;
        var period = CertificateText.Period(certificate, _time.GetUtcNow()) ?? $"valid until {CertificateText.Date(certificate.NotAfter)}";
        return $"'{CertificateText.Excerpt(certificate.Subject)}', issued by '{CertificateText.Excerpt(certificate.Issuer)}', {period}";
    }

    CertificateSet Current()
    {
        if (_time.GetElapsedTime(Volatile.Read(ref _checkedAt)) < CheckInterval) return _current;
        lock (_lock)
        {
            if (_time.GetElapsedTime(_checkedAt) < CheckInterval) return _current;
            Volatile.Write(ref _checkedAt, _time.GetTimestamp());
            try
            {
                var files = CertificateFiles.Read(Path);
                if (files == _seen) return _current;
                // A set that is refused is judged again: it may only not be valid yet.
                _current = CertificateSet.Read(files, _time.GetUtcNow());
                _seen = files;
                _loggedProblem = null;
                Log.Reloaded(_logger, Path, CertificateText.Excerpt(_current.Certificate.Subject), CertificateText.Date(_current.Certificate.NotAfter));
            }
            catch (CertificateException e)
            {
                if (!string.Equals(e.Message, _loggedProblem, StringComparison.Ordinal)) Log.NotReloaded(_logger, e.Message);
                _loggedProblem = e.Message;
            }

            return _current;
        }
    }

    /// <summary>Anyone who reaches the port can cause refusals, so they are logged with a limit.</summary>
    void LogRefusal(string reason)
    {
        var last = Volatile.Read(ref _refusalLoggedAt);
        if (_time.GetElapsedTime(last) >= RefusalLogInterval && Interlocked.CompareExchange(ref _refusalLoggedAt, _time.GetTimestamp(), last) == last)
            Log.Refused(_logger, reason);
    }

    static partial class Log
    {
        [LoggerMessage(7101, LogLevel.Information, "New certificates from {Path}: '{Subject}', valid until {NotAfter}", EventName = "CertificatesReloaded")]
        public static partial void Reloaded(ILogger logger, string path, string subject, string notAfter);

        [LoggerMessage(7102, LogLevel.Error, "New certificates are ignored and the last good ones stay in use: {Problem}", EventName = "CertificatesNotReloaded")]
        public static partial void NotReloaded(ILogger logger, string problem);

        [LoggerMessage(7103, LogLevel.Warning, "A connection was refused: {Reason}", EventName = "PeerRefused")]
        public static partial void Refused(ILogger logger, string reason);
    }
}
