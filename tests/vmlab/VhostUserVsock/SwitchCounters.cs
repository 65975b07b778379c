namespace Guestmark.VhostUserVsock;

/// <summary>What a switch has seen. Each packet of a guest is in exactly one of them, but for those that are both carried and overflow.</summary>
public sealed class SwitchCounters
{
    long _carried;
    long _foreignSource;
    long _malformed;
    long _refused;
    long _overflowed;

    /// <summary>Packets that reached their destination's queue or host's socket.</summary>
    public long Carried => Interlocked.Read(ref _carried);

    /// <summary>Packets dropped because they named another source than their machine's own CID.</summary>
    public long ForeignSource => Interlocked.Read(ref _foreignSource);

    /// <summary>Packets and rings that broke the rules.</summary>
    public long Malformed => Interlocked.Read(ref _malformed);

    /// <summary>Packets to where nobody is, answered by a reset.</summary>
    public long Refused => Interlocked.Read(ref _refused);

    /// <summary>Connections reset because a guest sent more than its peer had said it can take.</summary>
    public long Overflowed => Interlocked.Read(ref _overflowed);

    internal void CountCarried() => Interlocked.Increment(ref _carried);

    internal void CountForeignSource() => Interlocked.Increment(ref _foreignSource);

    internal void CountMalformed() => Interlocked.Increment(ref _malformed);

    internal void CountRefused() => Interlocked.Increment(ref _refused);

    internal void CountOverflowed() => Interlocked.Increment(ref _overflowed);

    public override string ToString() =>
        $"carried {Carried}, foreign source {ForeignSource}, malformed {Malformed}, refused {Refused}, overflowed {Overflowed}";
}
