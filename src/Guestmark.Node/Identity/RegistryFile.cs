using Guestmark.Rpc.Guests;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Identity;

/// <summary>The guests of <see cref="NodeOptions.RegistryFile"/>, a <see cref="GuestFile"/>, as long as the node runs.</summary>
/// <remarks>Without a uid one is made from cluster, node and name. An entry of another node is passed over, so that all may have the same file.</remarks>
public sealed class RegistryFile(NodeOptions options, GuestRegistry registry, TimeProvider time, ILogger<GuestFile> logger) : IHostedService, IDisposable
{
    GuestFile? _file;

    /// <summary>What is wrong with the file as it is now; null while its guests are in force, or there is none.</summary>
    public string? Problem => _file?.Problem;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        if (options.RegistryFile is not { } path) return Task.CompletedTask;
        _file = new GuestFile(path, guests => registry.Replace(GuestSource.File, Own(guests, options)), time, logger);
        _file.Start();
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        Dispose();
        return Task.CompletedTask;
    }

    public void Dispose() => _file?.Dispose();

    /// <exception cref="IOException">It cannot be read.</exception>
    /// <exception cref="InvalidDataException">It holds no guests.</exception>
    internal static IReadOnlyList<GuestOptions> Read(string path, NodeOptions options) => Own(GuestFile.Read(path), options);

    static GuestOptions[] Own(IReadOnlyList<GuestEntry> guests, NodeOptions options) =>
        [.. guests.Where(guest => guest.Node is null || guest.Node == options.Node).Select(guest => GuestOptions.Of(guest, options))];
}
