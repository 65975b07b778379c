using Guestmark.Inventory.Rpm;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Rpm;

/// <summary>Folders with databases of several backends, of which rpm uses one.</summary>
[Collection(nameof(RealDatabases))]
public sealed class UsedDatabaseTests(RealDatabases databases)
{
    const string Folder = "var/lib/rpm/";
    const string CreateTable = "CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL);\n";

    byte[] Bytes(string name) => File.ReadAllBytes(databases.DatabaseFile(name));

    static byte[] Sqlite(string script)
    {
        using var folder = new TemporaryFolder();
        Tool.Run("sqlite3", [folder.File("made")], CreateTable + script);
        return File.ReadAllBytes(folder.File("made"));
    }

    static void AssertOnly(string name, string database, GuestInventory inventory)
    {
        Assert.All(inventory.Packages, package => Assert.Equal(database, package.Database));
        Assert.Equal(RealDatabases.Expected(name), Databases.Lines(inventory.Packages));
    }

    [TestDataFact]
    public void Of_two_databases_in_a_folder_only_that_of_sqlite_is_listed()
    {
        using var tree = new GuestTree().File(Folder + "rpmdb.sqlite", Bytes("cbl-mariner-2.0")).File(Folder + "Packages", Bytes("libuuid"));

        var inventory = tree.Scan();

        Assert.Empty(inventory.Problems);
        AssertOnly("cbl-mariner-2.0", "sqlite:var/lib/rpm", inventory);
    }

    [TestDataFact]
    public void A_folder_that_is_reached_by_several_paths_has_one_database_as_well()
    {
        using var tree = new GuestTree()
            .File("usr/lib/sysimage/rpm/rpmdb.sqlite", Bytes("cbl-mariner-2.0")).File("usr/lib/sysimage/rpm/Packages", Bytes("libuuid"))
            .Link("var/lib/rpm", "/usr/lib/sysimage/rpm").Link("usr/share/rpm", "/usr/lib/sysimage/rpm");

        var inventory = tree.Scan();

        Assert.Empty(inventory.Problems);
        AssertOnly("cbl-mariner-2.0", "sqlite:usr/lib/sysimage/rpm", inventory);
    }

    [ToolFact("sqlite3")]
    public void A_database_without_packages_leaves_the_next_one_in_use()
    {
        // The backend is told by the content, so that SQLite can stand in for the file of another one.
        var old = Sqlite(Insert("old"));
        foreach (var unused in new[] { Sqlite(""), Sqlite(Insert("gpg-pubkey")) })
        {
            using var tree = new GuestTree().File(Folder + "rpmdb.sqlite", unused).File(Folder + "Packages", old);

            var inventory = tree.Scan();

            Assert.Empty(inventory.Problems);
            Assert.Equal(["old"], inventory.Packages.Select(package => package.Name));
        }

        static string Insert(string name) => $"INSERT INTO Packages VALUES(1, x'{Convert.ToHexString(HeaderBuilder.Package(name))}');\n";
    }

    [TestDataFact]
    public void A_sqlite_database_that_cannot_be_read_is_named_and_the_old_one_listed()
    {
        using var tree = new GuestTree().File(Folder + "rpmdb.sqlite", "SQLite format 3\0").File(Folder + "Packages", Bytes("libuuid"));

        var inventory = tree.Scan();

        Assert.Equal("/var/lib/rpm/rpmdb.sqlite", Assert.Single(inventory.Problems).Path);
        AssertOnly("libuuid", "bdb:var/lib/rpm", inventory);
    }

    [TestDataFact]
    public void Beside_an_ndb_database_the_old_one_is_not_listed()
    {
        using var tree = new GuestTree().File(Folder + "Packages.db", Bytes("sle15-bci")).File(Folder + "Packages", Bytes("libuuid"));

        var inventory = tree.Scan();

        Assert.Empty(inventory.Problems);
        AssertOnly("sle15-bci", "ndb:var/lib/rpm", inventory);
    }

    static byte[] Ndb(string name, uint installTime) =>
        NdbBuilder.Build([new HeaderBuilder().AddText(1000, name).AddText(1001, "1").AddText(1002, "1").CloseRegion().AddNumber(1008, installTime).Build()]);

    [Fact]
    public void Of_two_folders_only_the_first_with_packages_is_listed()
    {
        using var tree = new GuestTree().File("usr/lib/sysimage/rpm/Packages.db", Ndb("used", installTime: 2000))
            .File(Folder + "Packages.db", Ndb("unused", installTime: 1000)).File("usr/share/rpm/Packages.db", NdbBuilder.Build([]));

        var inventory = tree.Scan();

        Assert.Empty(inventory.Problems);
        Assert.Equal(["used"], inventory.Packages.Select(package => package.Name));

        tree.File("usr/lib/sysimage/rpm/Packages.db", NdbBuilder.Build([]));
        inventory = tree.Scan();
        Assert.Empty(inventory.Problems);
        Assert.Equal(["unused"], inventory.Packages.Select(package => package.Name));
    }

    [Fact]
    public void An_unused_folder_with_newer_packages_is_named()
    {
        using var tree = new GuestTree().File("usr/lib/sysimage/rpm/Packages.db", Ndb("used", installTime: 1000))
            .File(Folder + "Packages.db", Ndb("unused", installTime: 2000));

        var inventory = tree.Scan();

        Assert.Equal(["used"], inventory.Packages.Select(package => package.Name));
        var problem = Assert.Single(inventory.Problems);
        Assert.Equal("/var/lib/rpm", problem.Path);
        Assert.StartsWith("holds a database (ndb, 1 packages) that is left out, as /usr/lib/sysimage/rpm holds the one in use", problem.Message);
    }

    [Fact]
    public void All_files_that_decide_are_named_for_change_detection()
    {
        Assert.Equal(
            [
                "usr/lib/sysimage/rpm/Packages", "usr/lib/sysimage/rpm/Packages.db", "usr/lib/sysimage/rpm/rpmdb.sqlite",
                "usr/lib/sysimage/rpm/rpmdb.sqlite-journal", "usr/lib/sysimage/rpm/rpmdb.sqlite-wal",
                "usr/share/rpm/Packages", "usr/share/rpm/Packages.db", "usr/share/rpm/rpmdb.sqlite",
                "usr/share/rpm/rpmdb.sqlite-journal", "usr/share/rpm/rpmdb.sqlite-wal",
                "var/lib/rpm/Packages", "var/lib/rpm/Packages.db", "var/lib/rpm/rpmdb.sqlite",
                "var/lib/rpm/rpmdb.sqlite-journal", "var/lib/rpm/rpmdb.sqlite-wal",
                "var/lib/rpmmanifest/container-manifest-2",
            ],
            RpmPackages.Paths.Order(StringComparer.Ordinal));
    }
}
