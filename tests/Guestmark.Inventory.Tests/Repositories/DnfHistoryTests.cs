using System.Diagnostics;
using System.Text;
using Guestmark.Inventory.Repositories;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Repositories;

public sealed class DnfHistoryTests : IDisposable
{
    const string Dnf4Path = "var/lib/dnf/history.sqlite";
    const string Dnf5Path = "usr/lib/sysimage/libdnf5/transaction_history.sqlite";

    const string Dnf4Tables =
        "CREATE TABLE repo (id INTEGER PRIMARY KEY, repoid TEXT NOT NULL);\n"
        + "CREATE TABLE trans_item (id INTEGER PRIMARY KEY AUTOINCREMENT, trans_id INTEGER, item_id INTEGER REFERENCES item(id), repo_id INTEGER, action INTEGER NOT NULL /* (enum) */, reason INTEGER NOT NULL, state INTEGER NOT NULL);\n"
        + "CREATE TABLE rpm (item_id INTEGER UNIQUE NOT NULL, name TEXT NOT NULL, epoch INTEGER NOT NULL, version TEXT NOT NULL, release TEXT NOT NULL, arch TEXT NOT NULL, CONSTRAINT rpm_unique_nevra UNIQUE (name, epoch, version, release, arch));\n"
        + "INSERT INTO repo VALUES (1, 'first'), (2, 'second'), (3, '@System');\n"
        + "INSERT INTO rpm VALUES (10, 'p', 0, '1', '1.el9_4', 'x86_64');\n";

    const string Dnf5Tables =
        "CREATE TABLE \"repo\" (\"id\" INTEGER, \"repoid\" TEXT NOT NULL, PRIMARY KEY(\"id\"));\n"
        + "CREATE TABLE \"pkg_name\" (\"id\" INTEGER, \"name\" TEXT NOT NULL UNIQUE, PRIMARY KEY(\"id\"));\n"
        + "CREATE TABLE \"arch\" (\"id\" INTEGER, \"name\" TEXT NOT NULL UNIQUE, PRIMARY KEY(\"id\"));\n"
        + "CREATE TABLE \"trans_item_action\" (\"id\" INTEGER, \"name\" TEXT, PRIMARY KEY(\"id\"));\n"
        + "CREATE TABLE \"trans_item_state\" (\"id\" INTEGER, \"name\" TEXT, PRIMARY KEY(\"id\"));\n"
        + "CREATE TABLE \"trans_item\" (\"id\" INTEGER, \"trans_id\" INTEGER, \"item_id\" INTEGER, \"repo_id\" INTEGER, \"action_id\" INTEGER NOT NULL, \"reason_id\" INTEGER NOT NULL, \"state_id\" INTEGER NOT NULL, PRIMARY KEY(\"id\" AUTOINCREMENT));\n"
        + "CREATE TABLE \"rpm\" (\"item_id\" INTEGER NOT NULL UNIQUE, \"name_id\" INTEGER NOT NULL, \"epoch\" INTEGER NOT NULL, \"version\" TEXT NOT NULL, \"release\" TEXT NOT NULL, \"arch_id\" INTEGER NOT NULL);\n"
        // The numbers of actions are not those of dnf 4, and nothing fixes them.
        + "INSERT INTO trans_item_action VALUES (1, 'Install'), (2, 'Upgrade'), (3, 'Downgrade'), (4, 'Reinstall'), (5, 'Remove'), (6, 'Replaced'), (7, 'Reason Change');\n"
        + "INSERT INTO trans_item_state VALUES (1, 'Started'), (2, 'Ok'), (3, 'Error');\n"
        + "INSERT INTO repo VALUES (1, 'first'), (2, 'second'), (3, '@System'); INSERT INTO pkg_name VALUES (4, 'other'), (5, 'p'); INSERT INTO arch VALUES (1, 'noarch'), (2, 'x86_64');\n"
        + "INSERT INTO rpm VALUES (10, 5, 0, '1', '1.el9_4', 2);\n";

    readonly GuestTree _tree = new();

    public void Dispose() => _tree.Dispose();

    void Make(string path, string script)
    {
        _tree.Folder(Path.GetDirectoryName(path)!);
        File.Delete(_tree.Path(path));
        Tool.Run("sqlite3", [_tree.Path(path)], "BEGIN;\n" + script + "COMMIT;\n");
    }

    string? IdOf(Package package)
    {
        Assert.Empty(Assigned.Assign(_tree.Root, [package]));
        return package.Repository!.Id;
    }

    [TestDataTheory]
    [InlineData("dnf/dnf4/history.sqlite", Dnf4Path, "n.name", "a.arch", "", "ti.action in (1, 2, 4, 6, 9)")]
    [InlineData(
        "dnf/dnf5/transaction_history.sqlite", Dnf5Path, "n.name", "a.name", "JOIN pkg_name n ON n.id = r.name_id JOIN arch a ON a.id = r.arch_id",
        "ti.action_id in (SELECT id FROM trans_item_action WHERE name in ('Install', 'Upgrade', 'Downgrade', 'Reinstall'))")]
    public void Every_package_of_a_real_history_has_the_repository_that_sqlite_finds(
        string source, string path, string name, string architecture, string joins, string installed)
    {
        _tree.File(path, File.ReadAllBytes(Repository.TestDataPath(source)));
        if (joins.Length == 0) (name, architecture) = ("r.name", "r.arch");
        var sql = $"SELECT {name}, r.epoch, r.version, r.release, {architecture}, (SELECT repoid FROM trans_item ti JOIN repo ON repo.id = ti.repo_id"
            + $" WHERE ti.item_id = r.item_id AND {installed} ORDER BY ti.id DESC LIMIT 1) FROM rpm r {joins}";
        var rows = Tool.Run("sqlite3", ["-separator", "\t", $"file:{_tree.Path(path)}?immutable=1", sql]).Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Split('\t')).ToList();
        var packages = rows.Select(row => Assigned.Rpm(row[0], row[2], row[3], row[4], uint.Parse(row[1]))).ToList();

        Assert.Empty(Assigned.Assign(_tree.Root, packages));

        Assert.True(rows.Count >= 55);
        Assert.All(packages.Zip(rows), pair => Assert.Equal((pair.Second[5], RepositoryEvidence.DnfHistory), (pair.First.Repository!.Id, pair.First.Repository.Evidence)));
    }

    [ToolFact("sqlite3")]
    public void The_newest_item_that_installed_a_package_names_its_repository()
    {
        // Of each action one item from 'second' after an installation from 'first'.
        foreach (var (action, expected) in new[]
        {
            (1, "second"), (2, "second"), (4, "second"), (6, "second"), (9, "second"),
            (3, "first"), (5, "first"), (7, "first"), (8, "first"), (10, "first"), (11, "first"), (99, "first"),
        })
        {
            Make(Dnf4Path, Dnf4Tables + $"INSERT INTO trans_item VALUES (1, 1, 10, 1, 1, 1, 1), (2, 2, 10, 2, {action}, 1, 1);\n");
            Assert.Equal((action, expected), (action, IdOf(Assigned.Rpm("p"))));
        }

        File.Delete(_tree.Path(Dnf4Path));
        foreach (var (action, expected) in new[] { (1, "second"), (2, "second"), (3, "second"), (4, "second"), (5, "first"), (6, "first"), (7, "first"), (99, "first") })
        {
            Make(Dnf5Path, Dnf5Tables + $"INSERT INTO trans_item VALUES (1, 1, 10, 1, 1, 1, 2), (2, 2, 10, 2, {action}, 1, 2);\n");
            Assert.Equal((action, expected), (action, IdOf(Assigned.Rpm("p"))));
        }
    }

    [ToolFact("sqlite3")]
    public void An_item_with_an_error_counts_only_where_there_is_no_other()
    {
        Make(Dnf4Path, Dnf4Tables + "INSERT INTO trans_item VALUES (1, 1, 10, 1, 1, 1, 1), (2, 2, 10, 2, 9, 1, 2);\n");
        Assert.Equal("first", IdOf(Assigned.Rpm("p")));

        Make(Dnf4Path, Dnf4Tables + "INSERT INTO trans_item VALUES (2, 2, 10, 2, 9, 1, 2);\n");
        Assert.Equal("second", IdOf(Assigned.Rpm("p")));

        File.Delete(_tree.Path(Dnf4Path));
        Make(Dnf5Path, Dnf5Tables + "INSERT INTO trans_item VALUES (1, 1, 10, 1, 1, 1, 2), (2, 2, 10, 2, 4, 1, 3);\n");
        Assert.Equal("first", IdOf(Assigned.Rpm("p")));
    }

    [ToolFact("sqlite3")]
    public void A_package_that_came_back_after_dnf_removed_it_has_no_repository()
    {
        const string Times = "CREATE TABLE trans (id INTEGER PRIMARY KEY AUTOINCREMENT, dt_begin INTEGER NOT NULL, dt_end INTEGER);\n"
            + "INSERT INTO trans VALUES (1, 1000, 1010), (2, 2000, 2010), (3, 3000, 3010), (4, 4000, NULL);\n";
        foreach (var action in new[] { 3, 5, 7, 8 })
        {
            Make(Dnf4Path, Dnf4Tables + Times + $"INSERT INTO trans_item VALUES (1, 1, 10, 1, 1, 1, 1), (2, 2, 10, 3, {action}, 1, 1);\n");
            Assert.Equal(("first", "first", ""), (At(null), At(2010), At(2011)));
        }

        // Installed again by dnf, with an error or not; reinstalled, which is both in one transaction; a removal with an error, or without an end.
        foreach (var (items, expected) in new[]
        {
            ("(2, 2, 10, 3, 8, 1, 1), (3, 3, 10, 2, 1, 1, 1)", "second"),
            ("(2, 2, 10, 3, 8, 1, 1), (3, 3, 10, 2, 1, 1, 2)", "second"),
            ("(2, 2, 10, 2, 9, 1, 1), (3, 2, 10, 3, 10, 1, 1)", "second"),
            ("(2, 2, 10, 3, 8, 1, 2)", "first"),
            ("(2, 4, 10, 3, 8, 1, 1)", "first"),
            ("(2, 9, 10, 3, 8, 1, 1)", "first"),
        })
        {
            Make(Dnf4Path, Dnf4Tables + Times + $"INSERT INTO trans_item VALUES (1, 1, 10, 1, 1, 1, 1), {items};\n");
            Assert.Equal((items, expected), (items, At(5000)));
        }

        // dnf 5 knows of the removal alone: what dnf 4 knew before does not count.
        Make(Dnf4Path, Dnf4Tables + Times + "INSERT INTO trans_item VALUES (1, 1, 10, 1, 1, 1, 1);\n");
        Make(Dnf5Path, Dnf5Tables + Times + "INSERT INTO trans_item VALUES (1, 2, 10, 3, 5, 1, 2);\n");
        Assert.Equal(("first", ""), (At(2010), At(2011)));
        Make(Dnf5Path, Dnf5Tables + Times + "INSERT INTO trans_item VALUES (1, 2, 10, 2, 4, 1, 2), (2, 2, 10, 3, 6, 1, 2);\n");
        Assert.Equal("second", At(2011));

        string? At(int? installTime) => IdOf(Assigned.Rpm("p", installTime: (uint?)installTime));
    }

    [ToolFact("sqlite3")]
    public void Only_the_exact_package_is_found()
    {
        Make(Dnf4Path, Dnf4Tables + "INSERT INTO trans_item VALUES (1, 1, 10, 1, 1, 1, 1);\n"
            + "INSERT INTO rpm VALUES (11, 'q', 3, '1', '1.el9_4', 'loongarch64'); INSERT INTO trans_item VALUES (2, 1, 11, 2, 1, 1, 1);\n");

        Assert.Equal("first", IdOf(Assigned.Rpm("p")));
        Assert.Equal("first", IdOf(Assigned.Rpm("p", epoch: 0)));
        Assert.Equal("second", IdOf(Assigned.Rpm("q", epoch: 3, architecture: "loongarch64")));
        foreach (var other in new[]
        {
            Assigned.Rpm("p", version: "2"), Assigned.Rpm("p", release: "2"), Assigned.Rpm("p", architecture: "i686"), Assigned.Rpm("p", epoch: 1),
            Assigned.Rpm("q", architecture: "loongarch64"), Assigned.Rpm("p\u00001", ""), Assigned.Rpm(new string('p', 5000)),
        })
            Assert.Equal("", IdOf(other));
        Assert.Equal(("", null), (Assign("none").Id, Assign("none").Evidence));

        PackageRepository Assign(string name)
        {
            var package = Assigned.Rpm(name);
            Assigned.Assign(_tree.Root, [package]);
            return package.Repository!;
        }
    }

    [ToolFact("sqlite3")]
    public void The_tables_tell_whose_history_it_is_and_dnf_5_comes_first()
    {
        Make(Dnf5Path, Dnf4Tables + "INSERT INTO trans_item VALUES (1, 1, 10, 1, 1, 1, 1);\n");
        Assert.Equal("first", IdOf(Assigned.Rpm("p")));

        Make(Dnf4Path, Dnf5Tables + "INSERT INTO trans_item VALUES (1, 1, 10, 2, 1, 1, 2); INSERT INTO rpm VALUES (11, 4, 0, '1', '1.el9_4', 2); INSERT INTO trans_item VALUES (2, 1, 11, 2, 1, 1, 2);\n");
        Assert.Equal("first", IdOf(Assigned.Rpm("p")));
        Assert.Equal("second", IdOf(Assigned.Rpm("other")));
    }

    [ToolFact("sqlite3")]
    public void A_history_that_lacks_tables_or_columns_is_named()
    {
        Make(Dnf4Path, "CREATE TABLE rpm (item_id INTEGER); CREATE TABLE repo (id INTEGER);\n");
        Assert.Equal("has no table trans_item. Packages may lack their repository", Assert.Single(Assigned.Assign(_tree.Root, [Assigned.Rpm("p")])).Message);

        Make(Dnf4Path, Dnf4Tables.Replace("repo_id", "repository"));
        var problem = Assert.Single(Assigned.Assign(_tree.Root, [Assigned.Rpm("p")]));
        Assert.Equal(("/" + Dnf4Path, "has a table trans_item without the column repo_id. Packages may lack their repository"), (problem.Path, problem.Message));

        _tree.File(Dnf4Path, "not a database");
        Assert.Contains("is cut off", Assert.Single(Assigned.Assign(_tree.Root, [Assigned.Rpm("p")])).Message);
    }

    /// <summary>A history of 30,000 items, in one pass and without memory for each row.</summary>
    [ToolFact("sqlite3")]
    public void A_long_history_is_read_in_one_pass()
    {
        const int Packages = 1500;
        const int Items = 30_000;
        var script = new StringBuilder(Dnf4Tables);
        for (var i = 0; i < Packages; i++) script.Append($"INSERT INTO rpm VALUES ({100 + i}, 'package{i}', 0, '1', '1', 'x86_64');\n");
        var random = new Random(20260401);
        var expected = new string[Packages];
        for (var i = 0; i < Items; i++)
        {
            var (package, action, repository) = (random.Next(Packages), random.Next(1, 12), random.Next(1, 3));
            script.Append($"INSERT INTO trans_item VALUES ({1000 + i}, {i / 100}, {100 + package}, {repository}, {action}, 1, 1);\n");
            if (action is 1 or 2 or 4 or 6 or 9) expected[package] = repository == 1 ? "first" : "second";
        }

        Make(Dnf4Path, script.Append("CREATE INDEX trans_item_item_id ON trans_item(item_id);\n").ToString());
        var packages = Enumerable.Range(0, Packages).Select(i => Assigned.Rpm($"package{i}", release: "1")).ToList();
        Assigned.Assign(_tree.Root, packages);

        var (allocatedBefore, start) = (GC.GetAllocatedBytesForCurrentThread(), Stopwatch.GetTimestamp());
        Assert.Empty(Assigned.Assign(_tree.Root, packages));
        var (allocated, elapsed) = (GC.GetAllocatedBytesForCurrentThread() - allocatedBefore, Stopwatch.GetElapsedTime(start));

        Assert.Equal(expected.Select(id => id ?? ""), packages.Select(package => package.Repository!.Id));
        Assert.True(allocated < Items * 40, $"{allocated} bytes");
        // It takes 10 ms on one core; this machine may be busy.
        Assert.True(elapsed < TimeSpan.FromMilliseconds(500), $"{elapsed}");
    }

    [ToolFact("sqlite3")]
    [Trait("Category", "Fuzz")]
    public void Any_history_gives_repositories_or_problems()
    {
        Make(Dnf4Path, Dnf4Tables + "INSERT INTO trans_item VALUES (1, 1, 10, 1, 1, 1, 1);\n");
        File.Move(_tree.Path(Dnf4Path), _tree.Outside("dnf4"));
        var seeds = new List<byte[]> { File.ReadAllBytes(_tree.Outside("dnf4")) };
        foreach (var tables in new[] { Dnf4Tables, Dnf5Tables })
        {
            File.Delete(_tree.Outside("made"));
            Tool.Run("sqlite3", [_tree.Outside("made")], "PRAGMA page_size=512;\n" + tables + "INSERT INTO trans_item VALUES (1, 1, 10, 1, 1, 1, 2), (2, 2, 10, 2, 3, 1, 2);\n");
            seeds.Add(File.ReadAllBytes(_tree.Outside("made")));
        }

        _tree.Folder("var/lib/dnf");
        var random = new Random(20260402);
        var package = Assigned.Rpm("p");
        for (var i = 0; i < Damage.Inputs(2_000); i++)
        {
            var seed = seeds[i % seeds.Count];
            File.WriteAllBytes(_tree.Path(Dnf4Path), Damage.Mutate(seed, random, focus: 2048));
            Damage.AssertBounded(() => Assigned.Assign(_tree.Root, [package]), seed.Length, $"case {i}");
        }
    }
}
