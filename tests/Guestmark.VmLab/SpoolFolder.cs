using Guestmark.Events;
using Guestmark.Spool;

namespace Guestmark.VmLab;

/// <summary>A copy of a node's spools, as what runs beside a node must read them.</summary>
static class SpoolFolder
{
    /// <summary>Every event of every spool in a folder, the oldest of each first.</summary>
    public static async Task<IReadOnlyList<StampedEvent>> ReadAsync(string copy)
    {
        var events = new List<StampedEvent>();
        foreach (var folder in Directory.EnumerateDirectories(copy, "*", SearchOption.AllDirectories).Where(folder => Directory.EnumerateFiles(folder).Any()))
        {
            await using var spool = EventSpool.Open(new SpoolOptions { Directory = folder });
            using var cursor = spool.OpenCursor();
            for (var rest = spool.Depth; rest > 0;)
            {
                var records = await cursor.ReadAsync((int)Math.Min(rest, 1000), int.MaxValue, default);
                rest -= (ulong)records.Count;
                foreach (var record in records)
                {
                    Assert.Null(StampedEvent.TryRead(record.Data, out var stamped));
                    events.Add(stamped!);
                }
            }
        }

        return events;
    }

    /// <summary>Looks again and again until there is an event of which something holds.</summary>
    /// <param name="read">Finds the events.</param>
    /// <param name="explain">What else may tell why there is none.</param>
    public static async Task<StampedEvent> WaitForAsync(
        Func<Task<IReadOnlyList<StampedEvent>>> read, Func<StampedEvent, bool> condition, Func<Task<string>> explain)
    {
        // What a guest is not told of is not on the disk when it goes on.
        var limit = TimeSpan.FromSeconds(60);
        var time = TimeProvider.System;
        for (var start = time.GetTimestamp(); ; await Task.Delay(TimeSpan.FromMilliseconds(500), time))
        {
            var events = await read();
            if (events.FirstOrDefault(condition) is { } found) return found;
            if (time.GetElapsedTime(start) < limit) continue;
            var seen = string.Join('\n', events.Select(e => $"{e.Type} of {e.Subject}"));
            throw new InvalidOperationException($"no such event within {limit}, only\n{seen}\n{await explain()}");
        }
    }
}
