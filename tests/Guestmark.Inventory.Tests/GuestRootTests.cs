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
}
