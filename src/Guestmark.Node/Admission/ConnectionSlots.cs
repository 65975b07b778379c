namespace Guestmark.Node.Admission;

/// <summary>Places for connections, of which there are only so many.</summary>
/// <param name="max">Asked at each connection, so that it may change while the node runs.</param>
public sealed class ConnectionSlots(Func<int> max)
{
    int _taken;
    int _ceiling = int.MaxValue;

    /// <summary>What the host can bear, however many are allowed.</summary>
    public int Ceiling { get => Volatile.Read(ref _ceiling); set => Volatile.Write(ref _ceiling, value); }

    public int Taken => Volatile.Read(ref _taken);

    /// <summary>Takes a place. False when all are taken.</summary>
    public bool TryTake()
    {
        if (Interlocked.Increment(ref _taken) <= Math.Min(max(), Ceiling)) return true;
        Interlocked.Decrement(ref _taken);
        return false;
    }

    public void Return() => Interlocked.Decrement(ref _taken);
}
