using Guestmark.Configuration;
using Guestmark.Node;
using Guestmark.Rpc;
using Guestmark.Telemetry;

namespace Guestmark.Diagnosis;

/// <summary>What would stop the start of a node although its configuration is well formed: for <c>config check</c> and the doctor.</summary>
static class StartCheck
{
    /// <summary>All of it, certificates included.</summary>
    public static IEnumerable<HealthFinding> Examine(NodeSetup setup, TimeProvider time)
    {
        if (!setup.Delivers) return [];
        var options = setup.Options;
        var certificates = new[] { options.SensorEndpoint is null ? null : options.Certificates, options.StackRoxSensor?.Certificates }.OfType<string>().Distinct();
        return [.. certificates.Select(folder => Certificates(folder, time)).OfType<HealthFinding>(), .. Files(options), .. GuestFolders(options)];
    }

    /// <summary>The key, the registry and the cells.</summary>
    public static IEnumerable<HealthFinding> Files(NodeOptions options) => NodeStart.Problems(options).Select(problem => HealthFinding.Fail(
        problem.What, problem.Problem, "the node does not start before this is mended"));

    /// <summary>Folders of guests' sockets that are not there and that the node cannot make.</summary>
    public static IEnumerable<HealthFinding> GuestFolders(NodeOptions options)
    {
        foreach (var group in options.Guests.Where(guest => guest.SocketBase is not null).GroupBy(guest => Path.GetDirectoryName(guest.SocketBase)!, StringComparer.Ordinal))
        {
            if (Directory.Exists(group.Key)) continue;
            var existing = group.Key;
            while (!Path.Exists(existing)) existing = Path.GetDirectoryName(existing)!;
            if (Directory.Exists(existing) && LibC.access(existing, LibC.MayWrite | LibC.MayEnter) == 0) continue;
            yield return HealthFinding.Fail(
                "permissions", $"there is no folder {group.Key} for the socket of guest '{group.First().Name}', and it cannot be made in {existing}",
                $"make it, for the hypervisor and the node only, or give the guest another socket");
        }
    }

    static HealthFinding? Certificates(string folder, TimeProvider time)
    {
        try
        {
            CertificateDirectory.Open(folder, time).Dispose();
            return null;
        }
        catch (CertificateException e)
        {
            return HealthFinding.Fail("certificates", e.Message, "'guestmark certs create' makes certificates to try");
        }
    }
}
