using Guestmark.Rpc.Guests;

namespace Guestmark.Sensor;

/// <summary>Which guests each node of the cluster has, as the sensor knows it now.</summary>
public sealed class GuestLists(TimeProvider time)
{
    readonly Lock _lock = new();
    readonly Dictionary<string, WatchGuestsResponse> _lists = new(StringComparer.Ordinal);
    WatchGuestsResponse? _none;
    TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    ulong _generation;

    /// <summary>Guests of all nodes.</summary>
    public int Count
    {
        get { lock (_lock) return _lists.Values.Sum(list => list.Guests.Count); }
    }

    /// <summary>A node's guests now, and what ends when any node's have changed. Null: nothing is known of any node.</summary>
    public (WatchGuestsResponse? List, Task Changed) Of(string node)
    {
        lock (_lock) return (_lists.GetValueOrDefault(node) ?? _none, _changed.Task);
    }

    /// <summary>Puts guests in place of all that were known.</summary>
    /// <returns>What is wrong with them; then nothing has changed.</returns>
    public IReadOnlyList<string> Replace(IReadOnlyList<GuestEntry> guests)
    {
        var errors = new List<string>();
        foreach (var guest in guests)
        {
            if (guest.Node is null) errors.Add($"guest '{guest.Name}': give its node");
            else if (!GuestEntry.IsName(guest.Node)) errors.Add($"guest '{guest.Name}': its node '{guest.Node}' is no name: 1 to 63 letters, digits, '-', '_' or '.'");
        }

        if (errors.Count > 0) return errors;
        var generation = Math.Max(Volatile.Read(ref _generation) + 1, (ulong)time.GetUtcNow().ToUnixTimeMilliseconds());
        var next = new Dictionary<string, WatchGuestsResponse>(StringComparer.Ordinal);
        foreach (var node in guests.GroupBy(guest => guest.Node!, StringComparer.Ordinal))
        {
            List<GuestEntry> own = [.. node];
            var list = GuestListing.Encode(generation, own);
            if (own.Count > GuestListing.GuestsMax) errors.Add($"node '{node.Key}' has {own.Count} guests, at most {GuestListing.GuestsMax} are allowed");
            else if (list.CalculateSize() is var bytes && bytes > GuestListing.ListBytesMax) errors.Add($"the guests of node '{node.Key}' need {bytes} bytes, at most {GuestListing.ListBytesMax} are allowed");
            // The node checks again, with the ports that it serves.
            GuestEntry.Check(own, port: 0, errors);
            next.Add(node.Key, list);
        }

        if (errors.Count > 0) return errors;
        TaskCompletionSource changed;
        lock (_lock)
        {
            _none ??= new WatchGuestsResponse { Generation = generation };
            // A node that is no longer named has lost its guests, which is a change as any other.
            foreach (var gone in _lists.Keys.Except(next.Keys).ToList()) next.Add(gone, new WatchGuestsResponse { Generation = generation });
            foreach (var (node, list) in next)
            {
                if (!_lists.TryGetValue(node, out var former) || !former.Guests.Equals(list.Guests)) _lists[node] = list;
            }

            _generation = generation;
            changed = _changed;
            _changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        changed.SetResult();
        return [];
    }
}
