using Guestmark.Events.Signing;
using Guestmark.Node.Cells;
using Guestmark.Node.Identity;

namespace Guestmark.Node;

/// <summary>What would stop the start of a node although its options are valid: files that it reads first.</summary>
public static class NodeStart
{
    /// <summary>Reads the files as the start does and changes nothing.</summary>
    /// <returns>What each problem is about (<c>signing</c>, <c>registry</c>, <c>cells</c>), and the problem with the file, what is wrong and what to do.</returns>
    public static IEnumerable<(string What, string Problem)> Problems(NodeOptions options)
    {
        if (options.Signing is { } signing && Problem(() => EventSigningKeys.Open(signing.Algorithm, signing.KeyFile, signing.KeyId).Dispose()) is { } key) yield return ("signing", key);
        if (options.RegistryFile is { } path && Problem(() => ReadRegistry(path, options)) is { } registry) yield return ("registry", registry);
        if (Problem(() => new CellStateFile(options.DataDirectory).Read()) is { } cells) yield return ("cells", cells);
    }

    static void ReadRegistry(string path, NodeOptions options)
    {
        var errors = new List<string>();
        GuestOptions.Validate([.. options.Guests, .. RegistryFile.Read(path, options)], options, errors);
        if (errors.Count > 0) throw new InvalidDataException($"{path}: {string.Join("; ", errors)}");
    }

    static string? Problem(Action read)
    {
        try
        {
            read();
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException or SigningKeyException)
        {
            return e.Message;
        }
    }
}
