namespace Guestmark.Node.Admission;

/// <summary>The memory in which unfinished messages of all guests wait for their last byte.</summary>
/// <remarks>
/// One guest may hold a quarter of what is free beside it, which is a fifth of all when it is alone. So something is left for the next guest, however many
/// hold all they can: after ten of them a tenth. This is the dynamic threshold of switches with shared buffers (Choudhury and Hahne, IEEE/ACM Transactions
/// on Networking 6(2), 1998).
/// </remarks>
public sealed class MessageMemoryPool(Func<long> max)
{
    /// <summary>The factor of the threshold. Smaller leaves more for others and makes the largest message need more memory in all.</summary>
    internal const int Divisor = 4;

    long _taken;

    public long Taken => Volatile.Read(ref _taken);

    /// <param name="held">What the guest holds now.</param>
    internal bool TryTake(int bytes, long held)
    {
        var limit = max();
        if (held + bytes > (limit - Volatile.Read(ref _taken)) / Divisor) return false;
        if (Interlocked.Add(ref _taken, bytes) <= limit) return true;
        Interlocked.Add(ref _taken, -bytes);
        return false;
    }

    internal void Return(int bytes) => Interlocked.Add(ref _taken, -bytes);
}

/// <summary>One guest's part of <see cref="MessageMemoryPool"/>. Safe for concurrent use by its connections.</summary>
public sealed class MessageMemory(MessageMemoryPool pool)
{
    long _held;

    public long Held => Volatile.Read(ref _held);

    public bool TryTake(int bytes)
    {
        if (!pool.TryTake(bytes, Volatile.Read(ref _held))) return false;
        Interlocked.Add(ref _held, bytes);
        return true;
    }

    public void Return(int bytes)
    {
        Interlocked.Add(ref _held, -bytes);
        pool.Return(bytes);
    }
}

/// <summary>The node, or this guest, has no memory left for the rest of a message.</summary>
public sealed class MessageMemoryException() : IOException("no memory is left for the rest of the message; see the limit on bytes of unfinished messages");
