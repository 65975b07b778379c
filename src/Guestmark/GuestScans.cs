using System.Diagnostics;
using System.Text.Json.Nodes;
using Guestmark.CommandLine;

namespace Guestmark;

/// <summary>Runs the agent, as a process of its own, for each guest of <c>guestmark up</c>.</summary>
sealed class GuestScans(UpSetup setup, string cluster, uint pushPort, Progress progress, TimeProvider time)
{
    static readonly TimeSpan MatchTimeout = TimeSpan.FromMinutes(2);
    static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(50);

    /// <summary>Scans every guest. Two at a time: an agent is busy with the disk and one core.</summary>
    public Task RunAsync(bool failOnError, CancellationToken cancellationToken) =>
        progress.RunAsync($"Scanning {Count(setup.Guests.Count)}", async tell =>
        {
            var done = 0;
            var failures = new List<string>();
            await Parallel.ForEachAsync(
                setup.Guests,
                new ParallelOptions { MaxDegreeOfParallelism = 2, CancellationToken = cancellationToken },
                async (guest, cancel) =>
                {
                    var failure = await ScanAsync(guest, cancel);
                    lock (failures)
                    {
                        if (failure is not null) failures.Add($"{guest.Name}: {failure}");
                        tell($"{++done} of {setup.Guests.Count}");
                    }
                });
            if (failOnError && failures.Count > 0) throw new CommandException(string.Join("\n", failures));
            foreach (var failure in failures) await Console.Error.WriteLineAsync($"error: {failure}");
            return (0, $"{setup.Guests.Count - failures.Count} reported");
        });

    /// <summary>Waits until Central has stored and matched a report of every guest that came after <paramref name="since"/>.</summary>
    public Task WaitUntilMatchedAsync(CentralApi api, DateTimeOffset since, CancellationToken cancellationToken) =>
        progress.RunAsync("Matching", async tell =>
        {
            var started = time.GetTimestamp();
            var waiting = setup.Guests.ToDictionary(guest => guest.Uid(cluster), guest => guest.Name);
            while (waiting.Count > 0)
            {
                foreach (var uid in waiting.Keys.ToList())
                {
                    if (await api.TryGetAsync($"api/v1/vms/{uid}", cancellationToken) is { } machine && IsMatched(machine, since)) waiting.Remove(uid);
                }

                if (waiting.Count == 0) break;
                if (time.GetElapsedTime(started) > MatchTimeout)
                    throw new CommandException($"Central has not matched the reports of {string.Join(", ", waiting.Values)} within {MatchTimeout.TotalSeconds} seconds");
                tell($"{setup.Guests.Count - waiting.Count} of {setup.Guests.Count}");
                await Task.Delay(PollInterval, time, cancellationToken);
            }

            return (0, Count(setup.Guests.Count));
        });

    static string Count(int guests) => guests == 1 ? "1 guest" : $"{guests} guests";

    static bool IsMatched(JsonNode machine, DateTimeOffset since) =>
        machine["lastReportAt"] is { } reported && reported.GetValue<DateTimeOffset>() >= since && machine["matching"]?["state"]?.GetValue<string>() is not (null or "pending");

    /// <returns>Null, or what the agent said was wrong.</returns>
    async Task<string?> ScanAsync(ScannedGuest guest, CancellationToken cancellationToken)
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
            return $"cannot start {agent}: {e.Message}";
        }

        using (process)
        {
            try
            {
                var words = await process.StandardError.ReadToEndAsync(cancellationToken);
                await process.WaitForExitAsync(cancellationToken);
                return process.ExitCode == ExitCode.Done ? null : words.Trim().Replace("error: ", "", StringComparison.Ordinal);
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
        yield return "--socket";
        yield return $"{guest.SocketBase(setup.Data)}_{pushPort}";
        if (guest.Distro is null) yield break;
        yield return "--distro";
        yield return guest.Distro;
    }
}
