using System.Diagnostics;
using System.Text.Json.Nodes;
using Guestmark.CommandLine;

namespace Guestmark;

/// <summary>Runs the agent, as a process of its own, for each guest of <c>guestmark up</c>.</summary>
sealed class GuestScans(UpSetup setup, CentralClient api, Progress progress, TimeProvider time)
{
    static readonly TimeSpan MatchTimeout = TimeSpan.FromMinutes(2);
    const int ErrorsShown = 3;
    static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(50);

    /// <summary>Scans every guest, and waits until Central has stored and matched what they reported.</summary>
    /// <returns>The guests that reported, and what went wrong: nothing when every guest was read whole and has reported.</returns>
    public async Task<(List<ScannedGuest> Reported, List<ScanFailure> Failures)> RunAsync(CancellationToken cancellationToken)
    {
        var since = time.GetUtcNow();
        var failures = await ScanAsync(cancellationToken);
        var reported = setup.Guests.Where(guest => failures.All(failure => failure.Guest != guest || failure.Reported)).ToList();
        await WaitUntilMatchedAsync(reported, since, cancellationToken);
        return (reported, failures);
    }

    /// <summary>Scans every guest. Two at a time: an agent is busy with the disk and one core.</summary>
    Task<List<ScanFailure>> ScanAsync(CancellationToken cancellationToken) =>
        progress.RunAsync($"Scanning {Count(setup.Guests.Count)}", async tell =>
        {
            var done = 0;
            var failures = new List<ScanFailure>();
            await Parallel.ForEachAsync(
                setup.Guests,
                new ParallelOptions { MaxDegreeOfParallelism = 2, CancellationToken = cancellationToken },
                async (guest, cancel) =>
                {
                    var failure = await ScanAsync(guest, cancel);
                    lock (failures)
                    {
                        if (failure is not null) failures.Add(failure);
                        tell($"{++done} of {setup.Guests.Count}");
                    }
                });
            return (failures, $"{setup.Guests.Count - failures.Count(failure => !failure.Reported)} reported");
        });

    Task WaitUntilMatchedAsync(IReadOnlyList<ScannedGuest> guests, DateTimeOffset since, CancellationToken cancellationToken) =>
        progress.RunAsync("Matching", async tell =>
        {
            var started = time.GetTimestamp();
            var waiting = guests.ToDictionary(guest => guest.Uid(UpSetup.Cluster), guest => guest.Name);
            while (waiting.Count > 0)
            {
                foreach (var uid in waiting.Keys.ToList())
                {
                    if (await api.TryGetAsync($"api/v1/vms/{uid}", cancellationToken) is { } machine && IsMatched(machine, since)) waiting.Remove(uid);
                }

                if (waiting.Count == 0) break;
                if (time.GetElapsedTime(started) > MatchTimeout)
                    throw new CommandException($"Central has not matched the reports of {string.Join(", ", waiting.Values)} within {MatchTimeout.TotalSeconds} seconds");
                tell($"{guests.Count - waiting.Count} of {guests.Count}");
                await Task.Delay(PollInterval, time, cancellationToken);
            }

            return (0, Count(guests.Count));
        });

    static string Count(int guests) => guests == 1 ? "1 guest" : $"{guests} guests";

    static bool IsMatched(JsonNode machine, DateTimeOffset since) =>
        machine["lastReportAt"] is { } reported && reported.GetValue<DateTimeOffset>() >= since && machine["matching"]?["state"]?.GetValue<string>() is not (null or "pending");

    /// <returns>Null, or what the agent said was wrong.</returns>
    async Task<ScanFailure?> ScanAsync(ScannedGuest guest, CancellationToken cancellationToken)
    {
        var agent = Path.Combine(AppContext.BaseDirectory, "guestmark-agent");
        var start = new ProcessStartInfo(agent) { UseShellExecute = false, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var argument in Arguments(guest)) start.ArgumentList.Add(argument);
        Process process;
        try
        {
            process = Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            return new ScanFailure(guest, $"cannot start {agent}: {e.Message}", Reported: false);
        }

        using (process)
        {
            try
            {
                var words = await process.StandardError.ReadToEndAsync(cancellationToken);
                await process.WaitForExitAsync(cancellationToken);
                if (process.ExitCode == ExitCode.Done) return null;
                var lines = words.Split('\n', StringSplitOptions.RemoveEmptyEntries);
                var errors = lines.Where(line => line.StartsWith("error: ", StringComparison.Ordinal)).Select(line => line["error: ".Length..]).ToList();
                var shown = errors.Take(ErrorsShown).Append(errors.Count > ErrorsShown ? $"and {errors.Count - ErrorsShown} more" : "").Where(text => text.Length > 0);
                return new ScanFailure(guest, string.Join("; ", shown), Reported: lines.Any(line => line.StartsWith("delivered ", StringComparison.Ordinal)));
            }
            catch (OperationCanceledException)
            {
                process.Kill();
                throw;
            }
        }
    }

    IEnumerable<string> Arguments(ScannedGuest guest)
    {
        yield return "--host-path";
        yield return guest.Folder;
        var socket = $"{guest.SocketBase(setup.Sockets)}_{UpSetup.PushPort}";
        yield return "--socket";
        yield return socket;
        yield return "--lock-file";
        yield return socket + ".lock";
        // This machine's network is not the guest's.
        yield return "--repo-cpe-url";
        yield return "";
        if (guest.Distro is null) yield break;
        yield return "--distro";
        yield return guest.Distro;
    }
}

/// <summary>A guest that could not be read whole, or that could not report at all.</summary>
/// <param name="Message">What its agent said; paths in it are below the guest's folder.</param>
/// <param name="Reported">Whether what could be read was reported.</param>
sealed record ScanFailure(ScannedGuest Guest, string Message, bool Reported)
{
    public override string ToString() => $"{Guest.Name}, in {Guest.Folder}: {Message}";
}
