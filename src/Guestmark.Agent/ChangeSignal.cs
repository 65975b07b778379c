namespace Guestmark.Agent;

/// <summary>Tells a loop that what a scan reads may have changed, and waits until it has come to rest.</summary>
sealed class ChangeSignal(TimeProvider time) : IDisposable
{
    // A transaction writes for seconds or minutes; what never comes to rest is read after the longer time.
    static readonly TimeSpan Quiet = TimeSpan.FromSeconds(2);
    static readonly TimeSpan QuietMax = TimeSpan.FromSeconds(30);

    // One is enough: whoever waits looks at everything.
    readonly SemaphoreSlim _raised = new(0, 1);

    public void Raise()
    {
        try
        {
            _raised.Release();
        }
        catch (SemaphoreFullException)
        {
            // It is raised already.
        }
    }

    /// <summary>Waits for a change, at most <paramref name="wait"/>, and then until nothing changes any more.</summary>
    /// <returns>False when there was no change.</returns>
    /// <exception cref="OperationCanceledException"/>
    public async Task<bool> WaitForRestAsync(TimeSpan wait, CancellationToken cancellationToken)
    {
        if (!await WaitAsync(wait, cancellationToken)) return false;
        var since = time.GetTimestamp();
        while (time.GetElapsedTime(since) < QuietMax && await WaitAsync(Quiet, cancellationToken))
        {
        }

        return true;
    }

    public void Dispose() => _raised.Dispose();

    async Task<bool> WaitAsync(TimeSpan wait, CancellationToken cancellationToken)
    {
        if (wait <= TimeSpan.Zero) return false;
        using var over = new CancellationTokenSource(wait, time);
        using var waiting = CancellationTokenSource.CreateLinkedTokenSource(over.Token, cancellationToken);
        try
        {
            await _raised.WaitAsync(waiting.Token);
            return true;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return false;
        }
    }
}
