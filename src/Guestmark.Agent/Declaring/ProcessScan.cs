using System.Diagnostics;
using System.Globalization;
using Guestmark.Wire.Declarations;

namespace Guestmark.Agent.Declaring;

/// <summary>Starts and ends of processes by looking at /proc again and again: needs no rights, and does not see what lives shorter than an interval.</summary>
/// <remarks>
/// A number is taken for the same process as long as it is there: numbers are given in turn and come again after pid_max, 4,194,304 on machines of 64
/// bits, which no machine starts within an interval.
/// </remarks>
sealed class ProcessScan(string proc)
{
    readonly Dictionary<uint, string> _known = [];
    readonly HashSet<uint> _present = [];
    readonly List<uint> _gone = [];
    bool _hasLooked;

    /// <summary>Looks once. What is there at the first look was there before and is not told.</summary>
    public void Look(ObservationQueue queue)
    {
        var now = MonotonicNs();
        _present.Clear();
        foreach (var folder in Directory.EnumerateDirectories(proc))
        {
            if (uint.TryParse(Path.GetFileName(folder.AsSpan()), NumberStyles.None, CultureInfo.InvariantCulture, out var pid)) _present.Add(pid);
        }

        _gone.Clear();
        foreach (var pid in _known.Keys)
        {
            if (!_present.Contains(pid)) _gone.Add(pid);
        }

        foreach (var pid in _gone)
        {
            _known.Remove(pid, out var name);
            queue.Add(new Observation(ProbeSources.ProcessExited, pid, name!, now));
        }

        foreach (var pid in _present)
        {
            if (_known.ContainsKey(pid)) continue;
            var name = ProcessName.Of(proc, pid) ?? "";
            _known.Add(pid, name);
            if (_hasLooked) queue.Add(new Observation(ProbeSources.ProcessSpawned, pid, name, now));
        }

        _hasLooked = true;
    }

    /// <summary>Looks at each interval until it is cancelled.</summary>
    /// <exception cref="OperationCanceledException"/>
    public async Task RunAsync(ObservationQueue queue, TimeSpan interval, TimeProvider time, CancellationToken cancellationToken)
    {
        while (true)
        {
            Look(queue);
            await Task.Delay(interval, time, cancellationToken);
        }
    }

    /// <summary>CLOCK_MONOTONIC, which is what .NET's timestamps are made of on Linux.</summary>
    public static ulong MonotonicNs() => (ulong)Stopwatch.GetTimestamp() * (ulong)(1_000_000_000 / Stopwatch.Frequency);
}
