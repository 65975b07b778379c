using System.Text;
using Guestmark.Wire.Declarations;

namespace Guestmark.Agent.Declaring;

/// <summary>What a probe saw.</summary>
/// <param name="Source">One of <see cref="ProbeSources"/>.</param>
/// <param name="Comm">The process's name; empty when it was gone before it could be asked.</param>
/// <param name="MonotonicNs">CLOCK_MONOTONIC of this machine.</param>
readonly record struct Observation(string Source, uint Pid, string Comm, ulong MonotonicNs);

/// <summary>What waits for the host. Bounded: what does not fit is counted, and the host is told the count.</summary>
/// <remarks>The newest is dropped, not the oldest, as CellOS's agent does: what an intruder does first is not washed away by what it does next.</remarks>
sealed class ObservationQueue(int capacity) : IDisposable
{
    readonly Lock _lock = new();
    readonly Queue<Observation> _waiting = new();
    readonly SemaphoreSlim _filled = new(0, 1);
    ulong _dropped;

    /// <summary>What did not fit, and what the kernel had no room for.</summary>
    public ulong Dropped
    {
        get
        {
            lock (_lock) return _dropped;
        }
    }

    public void Add(Observation observation)
    {
        lock (_lock)
        {
            if (_waiting.Count == capacity)
            {
                _dropped++;
                return;
            }

            _waiting.Enqueue(observation);
            if (_filled.CurrentCount == 0) _filled.Release();
        }
    }

    /// <summary>Some were lost before they came here.</summary>
    public void Lost(uint count)
    {
        lock (_lock) _dropped += count;
    }

    /// <summary>Moves what waits, at most <paramref name="most"/>, to the end of a list.</summary>
    public void Take(List<Observation> taken, int most)
    {
        lock (_lock)
        {
            while (most-- > 0 && _waiting.TryDequeue(out var observation)) taken.Add(observation);
            if (_waiting.Count > 0 && _filled.CurrentCount == 0) _filled.Release();
        }
    }

    /// <summary>Waits until there may be something.</summary>
    /// <returns>False when the time is over.</returns>
    /// <exception cref="OperationCanceledException"/>
    public async Task<bool> WaitAsync(TimeSpan wait, TimeProvider time, CancellationToken cancellationToken)
    {
        if (wait <= TimeSpan.Zero) return false;
        using var over = new CancellationTokenSource(wait, time);
        using var waiting = CancellationTokenSource.CreateLinkedTokenSource(over.Token, cancellationToken);
        try
        {
            await _filled.WaitAsync(waiting.Token);
            return true;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return false;
        }
    }

    public void Dispose() => _filled.Dispose();
}

/// <summary>Names of processes, as /proc shows them.</summary>
static class ProcessName
{
    /// <summary>The name of a process, or null when it is gone.</summary>
    public static string? Of(string proc, uint pid)
    {
        try
        {
            // The kernel's names are bytes; those that are no UTF-8 become U+FFFD.
            var bytes = File.ReadAllBytes(Path.Combine(proc, pid.ToString(System.Globalization.CultureInfo.InvariantCulture), "comm"));
            return Encoding.UTF8.GetString(bytes).TrimEnd('\n');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>As UTF-8 within <see cref="DeclarationFrame.GuestCommBytesMax"/>, cut between characters.</summary>
    public static int Write(string name, Span<byte> destination)
    {
        Encoder encoder = Encoding.UTF8.GetEncoder();
        encoder.Convert(name, destination[..DeclarationFrame.GuestCommBytesMax], flush: true, out _, out var bytes, out _);
        return bytes;
    }
}
