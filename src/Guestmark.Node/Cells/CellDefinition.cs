using System.Globalization;
using System.Text;
using System.Text.Json.Serialization;
using Guestmark.Events;

namespace Guestmark.Node.Cells;

/// <summary>What becomes of a cell's channel when its agent falls silent.</summary>
public enum SilencePolicy
{
    /// <summary>It is told of in an event, and the agent may come back.</summary>
    Report,

    /// <summary>
    /// The channel is closed for good as well, as CellOS's <c>fail-cell</c> demands: what comes back after a silence may be another than what fell silent.
    /// It takes a first connection to fall silent.
    /// </summary>
    Fail,
}

/// <summary>One cell, as whoever starts it describes it. Kept in the node's data folder.</summary>
public sealed record CellDefinition
{
    /// <summary>sockaddr_un.sun_path has 108 bytes with the closing zero.</summary>
    const int SocketPathBytesMax = 107;

    /// <summary>1 to 128 letters, digits, <c>-</c>, <c>_</c>, <c>.</c> or <c>:</c>. The subject of the cell's events.</summary>
    public required string Id { get; init; }

    /// <summary>1 to 128 printable ASCII characters without spaces.</summary>
    public required string RunId { get; init; }

    /// <summary>Lower-case hexadecimal digits, after <c>sha256:</c> or alone; null when the cell's specification is not signed.</summary>
    public string? SpecSignatureHash { get; init; }

    /// <summary>
    /// Absolute path of the cell's vsock Unix socket as its hypervisor is given it (<c>uds_path</c>). The node listens on <c>&lt;SocketBase&gt;_9001</c>.
    /// </summary>
    public required string SocketBase { get; init; }

    public SilencePolicy OnSilence { get; init; }

    /// <summary>Mode of the socket in octal: <c>0600</c> (default) or <c>0660</c>. Who may write to it may speak for the cell.</summary>
    public string SocketMode { get; init; } = "0600";

    /// <summary>Owner of the socket as <c>UID:GID</c>, the hypervisor's. Null: the node's own.</summary>
    public string? SocketOwner { get; init; }

    /// <summary>Set by the node when the cell has <see cref="SilencePolicy.Fail"/> and fell silent.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public SilenceReason FailedBy { get; init; }

    /// <summary>The socket that the node listens on.</summary>
    public string SocketPath(uint port) => string.Create(CultureInfo.InvariantCulture, $"{SocketBase}_{port}");

    internal UnixFileMode Mode => SocketMode == "0660"
        ? UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite
        : UnixFileMode.UserRead | UnixFileMode.UserWrite;

    internal (uint Uid, uint Gid)? Owner =>
        SocketOwner?.Split(':') is [var uid, var gid]
            && uint.TryParse(uid, NumberStyles.None, CultureInfo.InvariantCulture, out var user)
            && uint.TryParse(gid, NumberStyles.None, CultureInfo.InvariantCulture, out var group)
            // -1 is "leave it" to chown(2).
            && user != uint.MaxValue && group != uint.MaxValue
                ? (user, group)
                : null;

    /// <summary>What is wrong, with the value and what is allowed. Null when nothing is.</summary>
    internal string? Problem(uint port)
    {
        if (Id.Length is < 1 or > 128 || !Id.All(c => NodeOptions.IsNameCharacter(c) || c == ':'))
            return $"id '{Excerpt(Id)}': use 1 to 128 letters, digits, '-', '_', '.' or ':'";
        // In the path of DELETE /v1/cells/{id} they are steps (RFC 3986, 5.2.4), which clients take before they ask.
        if (Id is "." or "..") return $"id '{Id}': it means a folder in paths; use a letter or a digit as well";
        if (RunId.Length is < 1 or > 128 || !RunId.All(c => c is > ' ' and <= '~')) return $"runId '{Excerpt(RunId)}': use 1 to 128 printable ASCII characters without spaces";
        if (SpecSignatureHash is { } hash && !IsHash(hash)) return $"specSignatureHash '{Excerpt(hash)}': write 1 to 128 lower-case hexadecimal digits, or sha256: and such digits";
        if (!Path.IsPathFullyQualified(SocketBase) || SocketBase.EndsWith('/') || SocketBase.Any(char.IsControl))
            return $"socketBase '{Excerpt(SocketBase)}': write the absolute path of the cell's vsock socket, without _{port} at its end";
        if (Encoding.UTF8.GetByteCount(SocketPath(port)) is var bytes && bytes > SocketPathBytesMax)
            return $"socketBase: {Excerpt(SocketPath(port))} has {bytes} bytes, a Unix socket's path has at most {SocketPathBytesMax}; use a shorter folder";
        if (SocketMode is not ("0600" or "0660")) return $"socketMode '{Excerpt(SocketMode)}': use 0600 or 0660";
        if (SocketOwner is not null && Owner is null) return $"socketOwner '{Excerpt(SocketOwner)}': write UID:GID in numbers, for example 123:100";
        return Enum.IsDefined(OnSilence) ? null : $"onSilence '{OnSilence}': use report or fail";
    }

    static bool IsHash(string hash)
    {
        var digits = hash.StartsWith("sha256:", StringComparison.Ordinal) ? hash["sha256:".Length..] : hash;
        return digits.Length is >= 1 and <= 128 && digits.All(char.IsAsciiHexDigitLower);
    }

    static string Excerpt(string text) => text.Length <= 64 ? text : text[..64] + "…";
}
