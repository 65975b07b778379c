using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests;

/// <summary>A file tree of a guest, made by a test.</summary>
sealed class GuestTree : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public GuestTree() => Directory.CreateDirectory(Root);

    /// <summary>A folder below another one, so that a test can lay something beside the root that must not be reached.</summary>
    public string Root => _folder.File("guest");

    public string Outside(string path) => _folder.File(path);

    public string Path(string path) => System.IO.Path.Combine(Root, path);

    public GuestTree File(string path, string content) => File(path, System.Text.Encoding.UTF8.GetBytes(content));

    public GuestTree File(string path, byte[] content)
    {
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(Path(path))!);
        System.IO.File.WriteAllBytes(Path(path), content);
        return this;
    }

    public GuestTree Folder(string path)
    {
        Directory.CreateDirectory(Path(path));
        return this;
    }

    public GuestTree Link(string path, string target)
    {
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(Path(path))!);
        System.IO.File.CreateSymbolicLink(Path(path), target);
        return this;
    }

    public GuestInventory Scan(OsRelease? os = null) =>
        InventoryScanner.Scan(new InventoryScanOptions { HostPath = Root, Os = os ?? OsRelease.Unknown }, CancellationToken.None);

    public GuestInventory ScanWithOs() => InventoryScanner.Scan(new InventoryScanOptions { HostPath = Root }, CancellationToken.None);

    public void Dispose() => _folder.Dispose();
}
