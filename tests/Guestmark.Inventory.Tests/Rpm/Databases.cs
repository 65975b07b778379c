using Guestmark.Inventory.Rpm;

namespace Guestmark.Inventory.Tests.Rpm;

/// <summary>Reads a database file by its path on this machine.</summary>
static class Databases
{
    public static DatabaseContents Read(string path)
    {
        Assert.Null(GuestRoot.TryOpen(Path.GetDirectoryName(path)!, out var root));
        using var _ = root;
        Assert.Null(root!.TryOpenFile(Path.GetFileName(path), out var file));
        using var __ = file;
        Assert.NotNull(file);
        return RpmDatabase.Read(root, file, CancellationToken.None);
    }

    public static List<string> Lines(IEnumerable<RpmHeader> headers) =>
    [
        .. headers.Select(header => Line(
            header.Name, header.Epoch, header.Version, header.Release, header.Architecture, header.SourceRpm, header.ModularityLabel)).Order(StringComparer.Ordinal),
    ];

    public static List<string> Lines(IEnumerable<Package> packages) =>
    [
        .. packages.Select(package => Line(
            package.Name, package.Epoch, package.Version, package.Release, package.Architecture, package.SourceRpm, package.ModularityLabel)).Order(StringComparer.Ordinal),
    ];

    static string Line(string name, uint? epoch, string version, string release, string? architecture, string? sourceRpm, string? label) =>
        string.Join('\t', name, epoch?.ToString() ?? "(none)", version, release, architecture ?? "(none)", sourceRpm ?? "(none)", label ?? "(none)");
}
