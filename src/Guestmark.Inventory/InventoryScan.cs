namespace Guestmark.Inventory;

/// <summary>Whether a file that a package owns is wanted.</summary>
/// <param name="folder">With a leading and a trailing slash.</param>
delegate bool FileSelector(ReadOnlySpan<byte> folder, ReadOnlySpan<byte> name);

/// <summary>What the readers of one scan share: the tree, and what they found.</summary>
sealed class InventoryScan(GuestRoot root, CancellationToken cancellation)
{
    public GuestRoot Root => root;

    public CancellationToken Cancellation => cancellation;

    /// <summary>Which files of packages are wanted. Null: none.</summary>
    public FileSelector? Files { get; init; }

    /// <summary>Whether <see cref="RpmDetails.Provides"/> and <see cref="RpmDetails.Requires"/> are wanted.</summary>
    public bool Dependencies { get; init; }

    public List<Package> Packages { get; } = [];

    /// <summary>Keys that rpm trusts.</summary>
    public List<Package> RpmKeys { get; } = [];

    public List<InventoryProblem> Problems { get; } = [];

    /// <summary>Package databases that were found, whether they could be read or not.</summary>
    public int Databases { get; set; }

    /// <summary>Opens a file of the machine. What is wrong with it becomes a problem; absent is none.</summary>
    public bool TryOpen(string path, out GuestFile? file)
    {
        if (root.TryOpenFile(path, out file) is { } error) AddProblem(path, $"cannot be opened: {error}. Check what it is and who may read it");
        return file is not null;
    }

    /// <summary>A file's bytes. Null when it is absent, and with a problem when it cannot be read or is longer than <paramref name="bytesMax"/>.</summary>
    public byte[]? TryRead(string path, int bytesMax)
    {
        if (!TryOpen(path, out var opened)) return null;
        using var file = opened!;
        // The size of a file in /proc is 0, and a file may grow: read until the end.
        var bytes = new byte[(int)Math.Clamp(file.OpenedAs.Size + 1, 512, bytesMax + 1L)];
        var filled = 0;
        try
        {
            while (true)
            {
                var read = file.Read(bytes.AsSpan(filled), filled);
                if (read == 0) return bytes[..filled];
                filled += read;
                if (filled > bytesMax)
                {
                    AddProblem(path, $"has more than {bytesMax} bytes and is not read");
                    return null;
                }

                if (filled == bytes.Length) Array.Resize(ref bytes, (int)Math.Min(bytes.Length * 2L, bytesMax + 1L));
            }
        }
        catch (IOException e)
        {
            AddProblem(path, $"cannot be read: {e.Message}");
            return null;
        }
    }

    /// <summary>Names in a folder, sorted. Empty when it is absent, and with a problem when it cannot be listed.</summary>
    public IReadOnlyList<string> List(string path)
    {
        if (root.TryList(path, out var names) is { } error) AddProblem(path, $"cannot be listed: {error}");
        names ??= [];
        foreach (var name in names)
        {
            // What the name was is lost, and with it the way to the file.
            if (name.Contains('\ufffd')) AddProblem($"{path}/{name}", "has a name that is not UTF-8 and is not read. Rename it");
        }

        return names;
    }

    /// <param name="path">From the root, without a leading slash.</param>
    public void AddProblem(string path, string message) => Problems.Add(new InventoryProblem("/" + path, message));
}
