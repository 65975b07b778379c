using Guestmark.Inventory.Rpm;
namespace Guestmark.Inventory.Tests;

public sealed class InventoryScannerTests
{
    const string Stanza = "Package: inside\nStatus: install ok installed\nVersion: 1\n";

    [Fact]
    public void An_empty_root_gives_a_problem_that_names_the_places()
    {
        using var tree = new GuestTree();

        var inventory = tree.Scan();

        Assert.Empty(inventory.Packages);
        var problem = Assert.Single(inventory.Problems);
        foreach (var place in new[] { "/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm", "rpmdb.sqlite", "Packages", "/var/lib/dpkg/status", "/var/lib/dpkg/status.d" })
            Assert.Contains(place, problem.Message);
    }

    [Fact]
    public void A_root_that_is_not_there_is_a_problem()
    {
        var inventory = InventoryScanner.Scan(new InventoryScanOptions { HostPath = "/does/not/exist" }, CancellationToken.None);
        Assert.Contains("/does/not/exist", Assert.Single(inventory.Problems).Message);
    }

    [Fact]
    public void An_absolute_link_starts_at_the_root_of_the_guest()
    {
        using var tree = new GuestTree().File("data/status", Stanza).Link("var/lib/dpkg/status", "/data/status");
        Assert.Equal(["inside"], tree.Scan().Packages.Select(package => package.Name));
    }

    [Theory]
    [InlineData("../../../../../../../../../../outside")]
    [InlineData("../../../../outside")]
    [InlineData("/../outside")]
    public void A_link_cannot_leave_the_root(string target)
    {
        using var tree = new GuestTree().Link("var/lib/dpkg/status", target);
        File.WriteAllText(tree.Outside("outside"), Stanza.Replace("inside", "outside"));
        Assert.Empty(tree.Scan().Packages);

        // The same link leads to the file of that name at the root of the guest.
        tree.File("outside", Stanza);
        Assert.Equal(["inside"], tree.Scan().Packages.Select(package => package.Name));
    }

    [Fact]
    public void A_link_to_a_file_of_the_host_leads_nowhere()
    {
        using var tree = new GuestTree();
        File.WriteAllText(tree.Outside("outside"), Stanza);
        tree.Link("var/lib/dpkg/status", tree.Outside("outside"));

        Assert.Empty(tree.Scan().Packages);
    }

    [Fact]
    public void Links_in_a_circle_are_a_problem()
    {
        using var tree = new GuestTree().Link("var/lib/rpm", "/usr/lib/sysimage/rpm").Link("usr/lib/sysimage/rpm", "/var/lib/rpm");

        var inventory = tree.Scan();

        Assert.Contains(inventory.Problems, problem => problem.Path == "/var/lib/rpm/Packages" && problem.Message.Contains("symbolic links", StringComparison.Ordinal));
    }

    [Fact]
    public void Linked_folders_are_counted_once()
    {
        using var tree = new GuestTree().File("usr/share/rpm/rpmdb.sqlite", "no database").Link("usr/lib/sysimage/rpm", "../../share/rpm").Link("var/lib/rpm", "/usr/lib/sysimage/rpm");

        var problem = Assert.Single(tree.Scan().Problems);

        Assert.Equal("/usr/lib/sysimage/rpm/rpmdb.sqlite", problem.Path);
    }

    [Fact]
    public void A_pipe_in_the_place_of_a_database_does_not_hang()
    {
        using var tree = new GuestTree().Folder("var/lib/rpm").File("var/lib/dpkg/status", Stanza);
        Tool.Run("mkfifo", [tree.Path("var/lib/rpm/Packages")]);

        var inventory = tree.Scan();

        Assert.Equal(["inside"], inventory.Packages.Select(package => package.Name));
        var problem = Assert.Single(inventory.Problems);
        Assert.Equal("/var/lib/rpm/Packages", problem.Path);
        Assert.Contains("is not a regular file", problem.Message);
    }

    [Fact]
    public void A_folder_in_the_place_of_a_file_is_a_problem_and_the_rest_is_read()
    {
        using var tree = new GuestTree().Folder("var/lib/rpm/rpmdb.sqlite").Folder("etc/os-release").File("usr/lib/os-release", "ID=debian\n").File("var/lib/dpkg/status", Stanza);

        var inventory = tree.ScanWithOs();

        Assert.Equal("debian", inventory.Os.Id);
        Assert.Equal(["inside"], inventory.Packages.Select(package => package.Name));
        Assert.Equal(["/etc/os-release", "/var/lib/rpm/rpmdb.sqlite"], inventory.Problems.Select(problem => problem.Path));
    }

    [Fact]
    public void A_file_in_the_place_of_a_folder_means_that_there_is_no_database()
    {
        using var tree = new GuestTree().File("var/lib/rpm", "").File("var/lib/dpkg/status", Stanza);
        Assert.Empty(tree.Scan().Problems);
    }

    [Theory]
    [InlineData("Packages.db", "RpmP and more bytes", "is cut off in its first page")]
    [InlineData("Packages", "", "is empty")]
    [InlineData("Packages", "short", "has only 5 bytes")]
    [InlineData("rpmdb.sqlite", "SQLite format 3\0", "is cut off in its first page")]
    [InlineData("Packages", "0123456789abcdef0123456789", "is not an rpm database")]
    public void A_database_that_cannot_be_read_is_named(string name, string content, string expected)
    {
        using var tree = new GuestTree().File($"var/lib/rpm/{name}", content);

        var problem = Assert.Single(tree.Scan().Problems);

        Assert.Equal($"/var/lib/rpm/{name}", problem.Path);
        Assert.StartsWith(expected, problem.Message);
    }

    [Fact]
    public void A_sparse_file_of_terabytes_is_refused()
    {
        using var tree = new GuestTree().File("var/lib/rpm/Packages", "");
        using (var file = File.OpenWrite(tree.Path("var/lib/rpm/Packages"))) file.SetLength(5L << 30);

        Assert.StartsWith("has more than 4 GiB", Assert.Single(tree.Scan().Problems).Message);
    }

    [Fact]
    public void Packages_beyond_the_bound_are_left_out_and_that_is_a_problem()
    {
        using var tree = new GuestTree().File("var/lib/dpkg/status", string.Concat(Enumerable.Repeat(Stanza + "\n", InventoryScanner.PackagesMax)));
        Assert.Empty(tree.Scan().Problems);

        tree.File("var/lib/dpkg/status.d/more", Stanza);
        var inventory = tree.Scan();

        Assert.Equal(InventoryScanner.PackagesMax, inventory.Packages.Count);
        Assert.Contains("has more than 50000 packages", Assert.Single(inventory.Problems).Message);
    }

    [Fact]
    public void A_scan_can_be_cancelled()
    {
        using var tree = new GuestTree().File("var/lib/dpkg/status", Stanza);
        Assert.Throws<OperationCanceledException>(
            () => InventoryScanner.Scan(new InventoryScanOptions { HostPath = tree.Root }, new CancellationToken(canceled: true)));
    }

    [Theory]
    [InlineData("bash-5.2-1.el9.src.rpm", "bash", "5.2-1.el9")]
    [InlineData("java-1.8.0-openjdk-1.8.0.392.b08-4.el8.nosrc.rpm", "java-1.8.0-openjdk", "1.8.0.392.b08-4.el8")]
    [InlineData("bash-5.2.src.rpm", null, null)]
    [InlineData("-1-2.src.rpm", null, null)]
    [InlineData("bash-5.2-1.el9.x86_64.rpm", null, null)]
    [InlineData(".src.rpm", null, null)]
    [InlineData("", null, null)]
    [InlineData(null, null, null)]
    public void Source_names_are_split(string? sourceRpm, string? name, string? version) =>
        Assert.Equal((name, version), RpmPackages.SourceOf(sourceRpm));
}
