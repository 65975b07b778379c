using System.Net;
using Guestmark.Central;
using Guestmark.CommandLine;
using Guestmark.Events.Signing;
using Guestmark.Node;
using Guestmark.Sensor;
using Guestmark.Vulnerabilities;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Logging;

namespace Guestmark;

/// <summary>What <c>guestmark up</c> was asked for, and where it keeps things.</summary>
sealed record UpSetup(string Data, IReadOnlyList<ScannedGuest> Guests, string[] Feeds, IPEndPoint Address)
{
    public const string Cluster = "local";
    public const uint PushPort = 818;

    public string Certificates => Path.Combine(Data, "certs");

    public string Sockets => Path.Combine(Data, "guests");

    /// <summary>Holds the key that the node signs with, and the public half of each that it ever signed with.</summary>
    public string Keys => Path.Combine(Data, "keys");

    public string NodeData => Path.Combine(Data, "node");

    public string CentralData => Path.Combine(Data, "central");
}

/// <summary>Central, sensor and node in one process, each connected to the one before over loopback with mutual TLS.</summary>
sealed class UpHosts : IAsyncDisposable
{
    static readonly IPEndPoint AnyLoopbackPort = new(IPAddress.Loopback, 0);

    readonly Stack<WebApplication> _hosts = [];

    /// <returns>Central.</returns>
    public async Task<WebApplication> StartAsync(UpSetup setup, AdvisoryDatabase database, CancellationToken cancellationToken)
    {
        var centralOptions = new CentralOptions { DataDirectory = setup.CentralData };
        var central = await RoleHosts.StartAsync(
            "central",
            () => RoleHosts.Central(centralOptions, Path.Combine(setup.Certificates, "central"), AnyLoopbackPort, setup.Address, database, HostSettings.Part(LogLevel.Warning)),
            cancellationToken);
        _hosts.Push(central);

        var sensorOptions = new SensorOptions
        {
            DataDirectory = Path.Combine(setup.Data, "sensor"),
            CentralEndpoint = LoopbackEndpoint(central),
            CentralName = "central",
            Certificates = Path.Combine(setup.Certificates, "sensor"),
        };
        var sensor = await RoleHosts.StartAsync("sensor", () => RoleHosts.Sensor(sensorOptions, AnyLoopbackPort, HostSettings.Part(LogLevel.Warning)), cancellationToken);
        _hosts.Push(sensor);

        var nodeOptions = new NodeOptions
        {
            Cluster = UpSetup.Cluster,
            Node = ScannedGuest.NameOfThisMachine(),
            DataDirectory = setup.NodeData,
            Guests = [.. setup.Guests.Select(guest => guest.Channel(setup.Sockets, UpSetup.Cluster))],
            PushPort = UpSetup.PushPort,
            SensorEndpoint = LoopbackEndpoint(sensor),
            SensorName = "sensor",
            Certificates = Path.Combine(setup.Certificates, "node"),
            Signing = new SigningOptions { KeyFile = UpKeys.SecretFile(setup.Keys) },
            // A laptop's few guests: what a host may have would ask for more open files than a shell allows.
            Limits = new GuestLimits { ConnectionsMax = 256 },
            Cells = new CellOptions { CellsMax = 64 },
        };
        _hosts.Push(await RoleHosts.StartAsync("node", () => RoleHosts.Node(nodeOptions, HostSettings.Part(LogLevel.Warning)), cancellationToken));
        return central;
    }

    public async ValueTask DisposeAsync()
    {
        while (_hosts.TryPop(out var host)) await RoleHosts.StopAsync(host);
    }

    static Uri LoopbackEndpoint(WebApplication app) => new($"https://127.0.0.1:{RoleHosts.Port(app, 0)}");
}

/// <summary>The key of <c>guestmark up</c>.</summary>
static class UpKeys
{
    /// <summary>Its file; made when there is none.</summary>
    /// <exception cref="CommandException">It cannot be made.</exception>
    public static string SecretFile(string folder)
    {
        // Of several somebody made another by hand: the newest is meant.
        if (Directory.Exists(folder) && Directory.EnumerateFiles(folder, "*.key").OrderByDescending(File.GetLastWriteTimeUtc).FirstOrDefault() is { } there) return there;
        try
        {
            return SigningKeyFile.Create(SigningAlgorithm.EcdsaP256, folder).SecretFile;
        }
        catch (SigningKeyException e)
        {
            throw new CommandException(e.Message, e);
        }
    }
}
