namespace Guestmark.Agent.Tests.Serving;

/// <summary>What the agent said.</summary>
sealed class Notes
{
    static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    readonly Lock _lock = new();
    readonly List<string> _said = [];
    TaskCompletionSource _more = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public IReadOnlyList<string> All
    {
        get { lock (_lock) return [.. _said]; }
    }

    public void Add(string note)
    {
        TaskCompletionSource more;
        lock (_lock)
        {
            _said.Add(note);
            more = _more;
            _more = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        more.SetResult();
    }

    public async Task<string> WaitForAsync(string text)
    {
        using var limit = new CancellationTokenSource(Limit);
        while (true)
        {
            Task more;
            lock (_lock)
            {
                if (_said.Find(note => note.Contains(text, StringComparison.Ordinal)) is { } found) return found;
                more = _more.Task;
            }

            try
            {
                await more.WaitAsync(limit.Token);
            }
            catch (OperationCanceledException e)
            {
                throw new TimeoutException($"not said within {Limit}: '{text}'; said:\n{string.Join('\n', All)}", e);
            }
        }
    }
}
