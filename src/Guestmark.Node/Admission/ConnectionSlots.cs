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
    /// <param name="ending">Of the taken places, how many are about to be given back: as many may be taken beyond, up to twice as many as there are.</param>
    public bool TryTake(int ending = 0)
    {
        var most = Math.Min(max(), Ceiling);
        if (Interlocked.Increment(ref _taken) <= most + Math.Min(ending, most)) return true;
        Interlocked.Decrement(ref _taken);
        return false;
    }

    public void Return() => Interlocked.Decrement(ref _taken);
}
