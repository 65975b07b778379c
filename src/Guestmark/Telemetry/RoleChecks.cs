using System.Net;
using System.Net.NetworkInformation;
using Guestmark.Configuration;
using Guestmark.Rpc;

namespace Guestmark.Telemetry;

/// <summary>The checks that roles share.</summary>
static class RoleChecks
{
    /// <summary>A spool with less room than this part of it is full for a whole report.</summary>
    const double NearlyFull = 0.9;
    static readonly TimeSpan ExpiresSoon = TimeSpan.FromDays(14);

    /// <summary>
    /// The accounts that the spools of a host publish: whether one failed, and how full they are. A spool whose flush failed takes nothing
    /// until a restart, so it counts for liveness.
    /// </summary>
    public static HealthCheck SpoolWorks(MetricsCollector metrics) => new(Liveness: true, () =>
    {
        var families = metrics.Collect();
        foreach (var (spool, failed) in Values(families, "guestmark_spool_failed"))
        {
            if (failed > 0)
            {
                return HealthFinding.Fail(
                    "spool", $"the disk failed under the spool '{spool}': it takes nothing more", "look at the kernel's log and the disk, then start the process again");
            }
        }

        return HealthFinding.Ok("spool", "no flush has failed");
    });

    public static HealthCheck SpoolHasRoom(MetricsCollector metrics) => new(Liveness: false, () =>
    {
        var families = metrics.Collect();
        var limits = Values(families, "guestmark_spool_limit_bytes").ToDictionary(value => value.Labels, value => value.Value);
        foreach (var (spool, refusing) in Values(families, "guestmark_spool_refusing"))
        {
            // The class that sheds never is full; the disk refuses both.
            if (refusing <= 0) continue;
            return HealthFinding.Fail(
                "spool-room", $"the spool '{spool}' refused an event within the last 10 seconds: guests are told to try again",
                "free space on its disk (the log says what the disk answered, 3004); where the spool itself is full see that the next hop can be reached");
        }

        var worst = HealthFinding.Ok("spool-room", "there is room");
        foreach (var (spool, size) in Values(families, "guestmark_spool_size_bytes"))
        {
            if (!limits.TryGetValue(spool, out var limit) || limit <= 0) continue;
            var full = size / limit;
            var words = $"the spool '{spool}' holds {Words.Size((long)size)} of {Words.Size((long)limit)}";
            // The class that sheds is full by design when its receiver is slow: it drops and counts.
            var refuses = !spool.Contains("shed", StringComparison.Ordinal);
            const string remedy = "see that the next hop can be reached; spool.bytes-max makes it larger";
            if (full >= 1 && refuses) return HealthFinding.Fail("spool-room", $"{words}: guests are told to try again", remedy);
            if (full >= NearlyFull && refuses) worst = HealthFinding.Warn("spool-room", words, remedy);
            else if (worst.State == HealthState.Ok) worst = HealthFinding.Ok("spool-room", words);
        }

        return worst;
    });

    /// <summary>Makes a file in the folder, flushes it and removes it: what says that a folder can be written is a write.</summary>
    public static HealthCheck FolderIsWritable(string folder) => new(Liveness: false, () =>
    {
        var probe = Path.Combine(folder, ".probe");
        try
        {
            using (var file = new FileStream(probe, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0))
            {
                file.WriteByte(1);
                file.Flush(flushToDisk: true);
            }

            File.Delete(probe);
            return HealthFinding.Ok("data", $"{folder} can be written");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return HealthFinding.Fail("data", $"{folder} cannot be written: {e.Message}", "free space on its disk, and see who owns it");
        }
    });

    /// <summary>The files as they are now, judged as a new connection would judge them.</summary>
    public static HealthCheck CertificatesAreValid(string folder, TimeProvider time) => new(Liveness: false, () =>
    {
        try
        {
            using var certificates = CertificateDirectory.Open(folder, time);
            var left = certificates.NotAfter - time.GetUtcNow();
            return left < ExpiresSoon
                ? HealthFinding.Warn("certificates", $"{folder}: the certificate ends in {Words.Span(left)}", "replace it; the process takes new files at once")
                : HealthFinding.Ok("certificates", $"valid for {Words.Span(left)}");
        }
        catch (CertificateException e)
        {
            return HealthFinding.Fail("certificates", e.Message, "replace the files; the process takes new ones at once");
        }
    });

    /// <summary>
    /// Whether the next hop takes events. While the spool has room nothing is lost without it, so it is a warning for a time and a failure
    /// after <paramref name="grace"/>.
    /// </summary>
    public static HealthCheck RelayIsConnected(MetricsCollector metrics, TimeSpan grace) => new(Liveness: false, () =>
    {
        foreach (var (destination, seconds) in Values(metrics.Collect(), "guestmark_relay_disconnected_seconds"))
        {
            if (seconds <= 0) continue;
            var away = TimeSpan.FromSeconds(seconds);
            // The first of its labels: destination, spool.
            var message = $"no connection to {destination.Split(',')[0]} for {Words.Span(away)}; events wait in the spool";
            const string remedy = "see the log for the reason; 'guestmark doctor' tries the connection";
            return away >= grace ? HealthFinding.Fail("relay", message, remedy) : HealthFinding.Warn("relay", message, remedy);
        }

        return HealthFinding.Ok("relay", "delivery works, or there was nothing to deliver");
    });

    /// <summary>
    /// Whether the node knows what the sensor says of its guests. An old list is better than none: a warning after <paramref name="grace"/>. Without one
    /// nobody knows whom to listen to.
    /// </summary>
    public static HealthCheck RegistryIsFollowed(MetricsCollector metrics, TimeSpan grace) => new(Liveness: false, () =>
    {
        const string remedy = "see the log for the reason (4412, 4413): the sensor needs --guests, this node's certificate its name";
        var families = metrics.Collect();
        if (Values(families, "guestmark_node_registry_age_seconds").Select(value => value.Value).ToList() is not [var seconds])
            return HealthFinding.Fail("registry", "the sensor has never said who this node's guests are", remedy);
        var count = Words.Count((int)Values(families, "guestmark_node_registry_guests").Sum(value => value.Value), "guest");
        var age = TimeSpan.FromSeconds(seconds);
        return age >= grace
            ? HealthFinding.Warn("registry", $"the sensor's list of {count} was last right {Words.Span(age)} ago; those that came or went since are not known", remedy)
            : HealthFinding.Ok("registry", $"the sensor names {count} of this node");
    });

    /// <summary>
    /// Whether the guests that are in force are those of the file. As with <see cref="ConfigurationIsInForce"/> the process works on with the last good one, and the
    /// next start would fail.
    /// </summary>
    /// <param name="problem">What is wrong with it; null: nothing.</param>
    public static HealthCheck GuestsAreTaken(string path, Func<string?> problem) => new(Liveness: false, () => problem() is { } found
        ? HealthFinding.Warn("guests", $"the guests of an earlier {path} stay in force: {found}", "mend the file; it is read again at once")
        : HealthFinding.Ok("guests", $"the guests of {path} are in force"));

    /// <summary>Each guest's Unix socket is listened on, and its path leads to that very socket: somebody may have removed the file or bound another in its place.</summary>
    /// <remarks>
    /// Not for liveness: a machine's folder may be gone before its registry knows, the node tries again by itself, and a restart would cut off all others.
    /// The node is not ready when it hears no guest at all.
    /// </remarks>
    /// <param name="sockets">The path of each, and whether who connects there reaches this process.</param>
    public static HealthCheck SocketsAreBound(Func<IReadOnlyList<(string Path, bool IsReachable)>> sockets) => new(Liveness: false, () =>
    {
        var wanted = sockets();
        var missing = wanted.Where(socket => !socket.IsReachable).Select(socket => socket.Path).ToList();
        if (missing.Count == 0) return HealthFinding.Ok("listeners", $"{Words.Count(wanted.Count, "socket")} of guests listen");
        var message = $"{missing.Count} of {wanted.Count} sockets of guests do not listen, or somebody put another file in their place: {string.Join(", ", missing.Take(3))}";
        const string remedy = "the log says why (4113), and the node tries again; let nobody remove or replace its sockets";
        return missing.Count == wanted.Count ? HealthFinding.Fail("listeners", message, remedy) : HealthFinding.Warn("listeners", message, remedy);
    });

    /// <summary>
    /// Whether the newest configuration is the one in force. Not ready would be too much: the node works on with the last good one. Gone unseen, the next
    /// restart would not.
    /// </summary>
    public static HealthCheck ConfigurationIsInForce(NodeReload reload) => new(Liveness: false, () =>
        reload.Problem is { } problem
            ? HealthFinding.Warn(
                "configuration", $"the newest configuration is refused, that of {Words.Time(reload.InForceSince)} stays in force: {problem}",
                "mend the file; it is read again when it changes and on SIGHUP, and 'guestmark config check' says what is wrong with it")
            : HealthFinding.Ok("configuration", $"in force since {Words.Time(reload.InForceSince)}"));

    /// <param name="address">With port 0 any port was asked for: then there is nothing to look for.</param>
    public static HealthCheck PortListens(string name, IPEndPoint address) => new(Liveness: true, () =>
        address.Port == 0 || IPGlobalProperties.GetIPGlobalProperties().GetActiveTcpListeners().Any(listener => listener.Port == address.Port)
            ? HealthFinding.Ok(name, $"{address} listens")
            : HealthFinding.Fail(name, $"nobody listens on {address}", "start the process again"));

    static IEnumerable<(string Labels, double Value)> Values(IReadOnlyList<MetricFamily> families, string name) =>
        families.FirstOrDefault(family => family.Name == name)?.Samples.Select(sample => (string.Join(",", sample.Labels.Select(label => label.Value)), sample.Value)) ?? [];
}
