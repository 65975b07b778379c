namespace Guestmark.Inventory.Tests;

public sealed class GuestRootTests
{
    [Fact]
    public void A_folder_is_listed_where_the_walk_stands_and_not_where_its_path_leads_now()
    {
        using var tree = new GuestTree().File("var/lib/inside", "");
        Assert.Null(GuestRoot.TryOpen(tree.Root, out var opened));
        using var root = opened!;
        // What a link that is put in place during the walk does, without a race: the path of the same folder now leads elsewhere.
        Directory.Move(tree.Root, tree.Outside("moved"));
        Directory.CreateDirectory(tree.Outside("elsewhere/var/lib"));
        File.WriteAllText(tree.Outside("elsewhere/var/lib/outside"), "");
        Directory.CreateSymbolicLink(tree.Root, tree.Outside("elsewhere"));

        Assert.Null(root.TryList("var/lib", out var names));

        Assert.Equal(["inside"], names!);
    }

    [Fact]
    public void Names_are_listed_in_order_and_links_among_them_as_they_are()
    {
        using var tree = new GuestTree().File("data/b", "").Folder("data/c").Link("data/a", "/absent").Link("list", "/data");
        Assert.Null(GuestRoot.TryOpen(tree.Root, out var opened));
        using var root = opened!;

        Assert.Null(root.TryList("list", out var names));
        Assert.Equal(["a", "b", "c"], names!);

        Assert.Null(root.TryList("absent", out names));
        Assert.Null(names);
        Assert.Equal("is not a folder", root.TryList("data/b", out _));
    }

    [Fact]
    public void Only_folders_are_listed_when_only_those_are_asked_for()
    {
        using var tree = new GuestTree().File("data/file", "").Folder("data/folder").Link("data/link", "folder");
        Assert.Null(GuestRoot.TryOpen(tree.Root, out var opened));
        using var root = opened!;

        Assert.Null(root.TryList("data", out var names, foldersOnly: true));

        Assert.Equal(["folder"], names!);
    }

    [Fact]
    public void A_listing_that_needs_many_calls_is_whole()
    {
        using var tree = new GuestTree().Folder("data");
        var expected = Enumerable.Range(0, 3000).Select(i => $"{i:D4}-{new string('x', 100)}").ToList();
        foreach (var name in expected) tree.File($"data/{name}", "");
        Assert.Null(GuestRoot.TryOpen(tree.Root, out var opened));
        using var root = opened!;

        Assert.Null(root.TryList("data", out var names));

        Assert.Equal(expected, names!);
    }

    [Fact]
    public void A_folder_is_entered_by_its_name_and_not_through_a_link()
    {
        using var tree = new GuestTree().File("real/file", "").Link("link", "real").Link("real/alias", "file");
        Assert.Null(GuestRoot.TryOpen(tree.Root, out var opened));
        using var root = opened!;
        Assert.Null(root.TryOpenFolder("", out var top));
        using var folder = top!;

        Assert.Null(folder.TryEnter("real", out var real));
        using (real)
        {
            Assert.Equal("/real", real!.Path);
            Assert.Null(real.TryOpenFile("file", out var file));
            using (file) Assert.Equal("/real/file", file!.Path);
            Assert.Equal("is not a regular file", real.TryOpenFile("alias", out _));
        }

        Assert.Null(folder.TryEnter("link", out var link));
        Assert.Null(link);
        foreach (var name in new[] { "..", ".", "", "real/file" })
        {
            Assert.Null(folder.TryEnter(name, out var outside));
            Assert.Null(outside);
            Assert.Null(folder.TryOpenFile(name, out var file));
            Assert.Null(file);
        }
    }
}
