namespace Guestmark.TestKit;

/// <summary>Waits for what another process does, of which there is no signal. Fails after a minute.</summary>
public static class Eventually
{
    static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);
    static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);

    public static async Task TrueAsync(Func<Task<bool>> condition)
    {
        using var limit = new CancellationTokenSource(Limit);
        while (!await condition()) await Task.Delay(Interval, TimeProvider.System, limit.Token);
    }
}
