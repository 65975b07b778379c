namespace Guestmark.Node;

/// <summary>
/// The options in force. Guests, limits and the policy for unknown guests may be replaced while the node runs; everything else is
/// what it was at the start, because sockets, spools and keys are opened once.
/// </summary>
public sealed class NodeConfiguration(NodeOptions initial)
{
    readonly Lock _lock = new();
    readonly List<Action<NodeOptions, NodeOptions>> _listeners = [];
    volatile NodeOptions _current = initial;
    Func<NodeOptions, NodeOptions, IReadOnlyList<string>>? _take;

    /// <summary>What is in force at this moment. Read it again for each decision, or listen to <see cref="OnChange"/>.</summary>
    public NodeOptions Current => _current;

    /// <summary>
    /// Calls <paramref name="listener"/> after <see cref="Current"/> was replaced, with the options in force before and after. Calls
    /// follow each other; a listener returns quickly and does not throw. It is called until the process ends.
    /// </summary>
    public void OnChange(Action<NodeOptions, NodeOptions> listener)
    {
        lock (_lock) _listeners.Add(listener);
    }

    /// <summary>
    /// Has <paramref name="take"/> put options into force, given those before and after, before <see cref="Current"/> is replaced. It may refuse, because what
    /// is valid alone may contradict what else the node knows; then it says why and has changed nothing. There is one.
    /// </summary>
    internal void OnTake(Func<NodeOptions, NodeOptions, IReadOnlyList<string>> take)
    {
        lock (_lock) _take = take;
    }

    /// <summary>Puts what may change into force and leaves the rest as it is.</summary>
    /// <param name="wanted">Valid options: <see cref="NodeOptions.Validate"/> found nothing.</param>
    /// <returns>Why nothing has changed. Empty on success.</returns>
    public IReadOnlyList<string> Replace(NodeOptions wanted)
    {
        lock (_lock)
        {
            var former = _current;
            var next = Merge(former, wanted);
            if (_take?.Invoke(former, next) is { Count: > 0 } problems) return problems;
            _current = next;
            foreach (var listener in _listeners) listener(former, next);
            return [];
        }
    }

    /// <summary>
    /// The options that <see cref="Replace"/> would put into force. <c>config show</c> calls the same keys "reload" that are taken from
    /// <paramref name="wanted"/> here.
    /// </summary>
    public static NodeOptions Merge(NodeOptions former, NodeOptions wanted) => former with
    {
        Guests = wanted.Guests,
        UnknownGuests = wanted.UnknownGuests,
        // The order into the spool is made once, with what it may hold.
        Limits = wanted.Limits with { OutstandingBytesMax = former.Limits.OutstandingBytesMax },
    };
}
