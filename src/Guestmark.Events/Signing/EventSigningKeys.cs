using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Guestmark.Events.Signing;

/// <summary>The key of a node, kept current: a replaced file is used without a restart.</summary>
/// <remarks>
/// The file is read again when an event is to be signed and it was not looked at for a second, and compared by its digest: that sees every way of
/// replacing it, also the swapped symbolic link by which Kubernetes replaces the files of a mounted secret. While the new one cannot be used the
/// last good key signs on, and the log says why. Under a key id that was configured there can only be one key, whose public half verifiers have: another
/// one in the file is refused like a damaged one. There is no way to unsigned events: without a good key at the start there is no start.
/// </remarks>
public sealed partial class EventSigningKeys : EventSigner
{
    /// <summary>Keys before the present one that are remembered: a rotation a week, over two months.</summary>
    const int FormerMax = 8;

    static readonly TimeSpan CheckInterval = TimeSpan.FromSeconds(1);

    readonly Lock _lock = new();
    readonly SigningAlgorithm _algorithm;
    readonly string _file;
    readonly string? _keyId;
    readonly TimeProvider _time;
    readonly ILogger _logger;

    /// <summary>What the key itself is called. Null where the id follows the key, so that each may be used.</summary>
    readonly string? _ownKeyId;
    readonly List<UsedKey> _former = [];
    volatile EventSigner _current;
    DateTimeOffset _since;
    byte[] _seen;
    string? _loggedProblem;
    long _checkedAt;

    EventSigningKeys(SigningAlgorithm algorithm, string file, string? keyId, TimeProvider time, ILogger logger)
    {
        (_algorithm, _file, _keyId, _time, _logger) = (algorithm, file, keyId, time, logger);
        var content = SigningKeyFile.ReadSecret(file);
        _current = SigningKeyFile.Parse(algorithm, file, content, keyId);
        _seen = SHA256.HashData(content);
        _ownKeyId = keyId is null ? null : OwnKeyId(content);
        _checkedAt = time.GetTimestamp();
        _since = time.GetUtcNow();
    }

    public override EventSigner Current => _time.GetElapsedTime(Volatile.Read(ref _checkedAt)) < CheckInterval ? _current : Check();

    public override string KeyId => Current.KeyId;

    public override string? PublicKeyPem => Current.PublicKeyPem;

    /// <summary>Where the key is read from.</summary>
    public string File => _file;

    public SigningAlgorithm Algorithm => _algorithm;

    /// <summary>Why the key in the file is not the one that signs. Null: it is.</summary>
    public string? Problem
    {
        get
        {
            _ = Current;
            lock (_lock) return _loggedProblem;
        }
    }

    /// <summary>The keys that were signed with since the start, the present one first and then the newest.</summary>
    public IReadOnlyList<UsedKey> History
    {
        get
        {
            _ = Current;
            lock (_lock) return [Used(null), .. Enumerable.Reverse(_former)];
        }
    }

    public override int SignatureBytesMax => Current.SignatureBytesMax;

    /// <param name="algorithm">One of <see cref="SigningAlgorithms.Names"/>.</param>
    /// <param name="file">As <see cref="SigningKeyFile"/> says.</param>
    /// <param name="keyId">Null: the key's own, which changes with the key.</param>
    /// <exception cref="SigningKeyException">The algorithm is none, or the file cannot be used: the message names it, what is wrong and the remedy.</exception>
    public static EventSigningKeys Open(string algorithm, string file, string? keyId = null, TimeProvider? time = null, ILogger? logger = null) =>
        new(
            SigningAlgorithms.Find(algorithm)
                ?? throw new SigningKeyException(file, $"signing algorithm '{algorithm}' is not known; use one of {string.Join(", ", SigningAlgorithms.Names)}"),
            file, keyId, time ?? TimeProvider.System, logger ?? NullLogger.Instance);

    /// <summary>Signs with the key of this moment. Whoever also writes <see cref="KeyId"/> takes <see cref="Current"/> once instead.</summary>
    public override int Sign(ReadOnlySpan<byte> message, Span<byte> destination) => Current.Sign(message, destination);

    protected override void Dispose(bool disposing) => _current.Dispose();

    EventSigner Check()
    {
        lock (_lock)
        {
            if (_time.GetElapsedTime(_checkedAt) < CheckInterval) return _current;
            Volatile.Write(ref _checkedAt, _time.GetTimestamp());
            try
            {
                var content = SigningKeyFile.ReadSecret(_file);
                var digest = SHA256.HashData(content);
                if (!digest.AsSpan().SequenceEqual(_seen))
                {
                    if (_ownKeyId is not null && OwnKeyId(content) != _ownKeyId)
                    {
                        throw new SigningKeyException(
                            _file, $"holds another key, and signing.key-id gives both the id '{_keyId}', under which verifiers have the former one. "
                            + "Give the new key an id of its own, or none, give verifiers its public key, and start the node again");
                    }

                    // The key before is not disposed: another thread may be signing with it. It is collected after that.
                    var next = SigningKeyFile.Parse(_algorithm, _file, content, _keyId);
                    var now = _time.GetUtcNow();
                    // The same key in other bytes is no rotation.
                    if (next.KeyId != _current.KeyId)
                    {
                        _former.Add(Used(now));
                        if (_former.Count > FormerMax) _former.RemoveAt(0);
                        _since = now;
                    }

                    _current = next;
                    _seen = digest;
                    LogRotated(_file, _current.KeyId);
                }

                _loggedProblem = null;
            }
            catch (SigningKeyException e)
            {
                if (!string.Equals(e.Message, _loggedProblem, StringComparison.Ordinal)) LogNotRotated(_current.KeyId, e.Message);
                _loggedProblem = e.Message;
            }

            return _current;
        }
    }

    UsedKey Used(DateTimeOffset? until) => new(_current.KeyId, _since, until, _current.PublicKeyPem);

    string OwnKeyId(byte[] content)
    {
        using var signer = SigningKeyFile.Parse(_algorithm, _file, content, keyId: null);
        return signer.KeyId;
    }

    [LoggerMessage(2201, LogLevel.Information, "{File} was replaced: events are signed with key {KeyId} from now on", EventName = "SigningKeyRotated")]
    partial void LogRotated(string file, string keyId);

    [LoggerMessage(2202, LogLevel.Error, "Events are still signed with key {KeyId}, because its file cannot be used any more: {Problem}", EventName = "SigningKeyNotRotated")]
    partial void LogNotRotated(string keyId, string problem);
}

/// <summary>A key and the time in which a process signed with it.</summary>
/// <param name="Until">Null: it still does.</param>
/// <param name="PublicKeyPem">As <see cref="EventSigner.PublicKeyPem"/>.</param>
public sealed record UsedKey(string KeyId, DateTimeOffset Since, DateTimeOffset? Until, string? PublicKeyPem);
