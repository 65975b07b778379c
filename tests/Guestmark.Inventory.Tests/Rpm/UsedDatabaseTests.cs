using System.Text;
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
        Assert.Equal(
            RealDatabases.Expected(name).Where(line => !line.StartsWith("gpg-pubkey\t", StringComparison.Ordinal)),
            Databases.Lines(inventory.Packages));
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

    [TestDataFact]
    public void Different_folders_have_a_database_each()
    {
        using var tree = new GuestTree().File("usr/lib/sysimage/rpm/rpmdb.sqlite", Bytes("cbl-mariner-2.0")).File(Folder + "Packages", Bytes("libuuid"));
        Assert.Equal(["bdb:var/lib/rpm", "sqlite:usr/lib/sysimage/rpm"], tree.Scan().Packages.Select(package => package.Database).Distinct().Order());
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
        using var tree = new GuestTree().File(Folder + "Packages.db", Encoding.ASCII.GetBytes("RpmP and more bytes")).File(Folder + "Packages", Bytes("libuuid"));

        var inventory = tree.Scan();

        Assert.Empty(inventory.Packages);
        var problem = Assert.Single(inventory.Problems);
        Assert.Equal("/var/lib/rpm/Packages.db", problem.Path);
        Assert.StartsWith("is an ndb database", problem.Message);
    }
}
