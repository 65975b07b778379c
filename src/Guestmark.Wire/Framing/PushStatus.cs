namespace Guestmark.Wire.Framing;

/// <summary>
/// The host's answer to one pushed message. On the wire as u32 little endian; the numbers are fixed: add, never change.
/// The original protocol knows only 0; a client that does not know a number treats it as a failure.
/// </summary>
public enum PushStatus : uint
{
    /// <summary>The report is on the host's disk. It will reach Central whatever happens to the host's processes.</summary>
    Stored = 0,

    /// <summary>The length was 0. The connection is closed.</summary>
    EmptyBody = 1,

    /// <summary>The length is over the host's limit. The connection is closed.</summary>
    BodyTooLong = 2,

    /// <summary>The body is no VMReport, or one beyond the limits on its contents. Sending it again is useless.</summary>
    Malformed = 3,

    /// <summary>The report claims another machine's identity than the one of this channel.</summary>
    IdentityMismatch = 4,

    /// <summary>The host cannot store the report now (its queue or disk is full). Try again later.</summary>
    Unavailable = 5,

    /// <summary>The message took longer than the host allows. The connection is closed.</summary>
    DeadlineExceeded = 6,

    /// <summary>Too many connections of this guest are open. The connection is closed; try again later.</summary>
    TooManyConnections = 7,

    /// <summary>No registry of the host knows this channel's machine. Try again later: the host may learn of it.</summary>
    UnknownGuest = 8,

    /// <summary>The host demands a source port below 1024, which only root can bind. The connection is closed.</summary>
    UnprivilegedPort = 9,

    /// <summary>This guest has sent more than its share. Try again later.</summary>
    TooManyMessages = 10,
}

public static class PushStatusExtensions
{
    /// <summary>Whether the same report may be accepted at another time.</summary>
    public static bool IsTransient(this PushStatus status) =>
        status is PushStatus.Unavailable or PushStatus.DeadlineExceeded or PushStatus.TooManyConnections or
            PushStatus.UnknownGuest or PushStatus.TooManyMessages;

    /// <summary>The status for a person, with what to do.</summary>
    public static string Describe(this PushStatus status) => status switch
    {
        PushStatus.Stored => "stored",
        PushStatus.EmptyBody => "the host received a message of length 0",
        PushStatus.BodyTooLong => "the report is larger than the host accepts; raise the host's limit on message bytes",
        PushStatus.Malformed => "the host could not read the report; agent and host may be of different versions",
        PushStatus.IdentityMismatch => "the report claims another machine's identity than the channel it came on",
        PushStatus.Unavailable => "the host cannot store reports now, its queue or disk is full; try again later",
        PushStatus.DeadlineExceeded => "the message took longer than the host allows; try again later",
        PushStatus.TooManyConnections => "too many connections of this guest are open; try again later",
        PushStatus.UnknownGuest => "the host does not know this machine (yet); register it there, or try again later",
        PushStatus.UnprivilegedPort => "the host demands a source port below 1024; run the agent as root",
        PushStatus.TooManyMessages => "this machine has sent more than its share; try again later",
        _ => $"the host answered with the unknown status {(uint)status}",
    };
}
