namespace Guestmark.Node.Admission;

/// <summary>Places for connections, of which there are only so many.</summary>
/// <param name="max">Asked at each connection, so that it may change while the node runs.</param>
public sealed class ConnectionSlots(Func<int> max)
{
    int _taken;

    public int Taken => Volatile.Read(ref _taken);

    /// <summary>Takes a place. False when all are taken.</summary>
    public bool TryTake()
    {
        if (Interlocked.Increment(ref _taken) <= max()) return true;
        Interlocked.Decrement(ref _taken);
        return false;
    }

    public void Return() => Interlocked.Decrement(ref _taken);
}
