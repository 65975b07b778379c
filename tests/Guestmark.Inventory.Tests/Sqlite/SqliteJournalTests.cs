using System.Diagnostics;
using System.IO.Compression;
using System.Text;
using Guestmark.Inventory.Sqlite;
using Guestmark.Inventory.Tests.Rpm;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Sqlite;

/// <summary>Databases in the middle of a transaction of SQLite itself, whose writer was killed or is still at work.</summary>
public sealed class SqliteJournalTests : IDisposable
{
    // Pages spill into the database before the transaction ends only when the cache is full.
    const string SmallCache = "PRAGMA cache_size=5; BEGIN IMMEDIATE;\n";
    const string KillWriter = ".shell kill -9 $PPID\n";
    const int SuperTailBytes = 16;

    static readonly byte[] Magic = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>Databases whose rows cover many pages, by a column of a table: what rpm, dnf 4 and dnf 5 have written.</summary>
    public static TheoryData<string, string, string> RealTables => new()
    {
        { "rpmdb/derived/centos5-plain/rpmdb.sqlite.gz", "Packages", "blob" },
        { "rpmdb/cbl-mariner-2.0/rpmdb.sqlite", "Packages", "blob" },
        { "dnf/dnf4/history.sqlite", "rpm", "version" },
        { "dnf/dnf5/transaction_history.sqlite", "rpm", "version" },
    };

    string Unpack(string source)
    {
        var path = _folder.File("rpmdb.sqlite");
        using var input = File.OpenRead(Repository.TestDataPath(source));
        using var output = File.Create(path);
        if (source.EndsWith(".gz", StringComparison.Ordinal)) new GZipStream(input, CompressionMode.Decompress).CopyTo(output);
        else input.CopyTo(output);
        return path;
    }

    /// <summary>A table of 400 rows on pages of 512 bytes.</summary>
    string MakeSmall()
    {
        var path = _folder.File("small");
        Tool.Run("sqlite3", [path], "PRAGMA page_size=512;\nCREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);\n"
            + "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) INSERT INTO t SELECT i, hex(randomblob(20)) FROM n;\n");
        return path;
    }

    /// <summary>Runs a script and kills SQLite at its end, in the middle of its transaction.</summary>
    static void RunAndKill(string path, string script) => Tool.Run("sh", ["-c", $"sqlite3 '{path}' >/dev/null 2>&1; true"], script + KillWriter);

    static string ChangeHalf(string table) =>
        $"{SmallCache}DELETE FROM {table} WHERE rowid % 2 = 0;\nCREATE TABLE added (x);\nINSERT INTO added SELECT randomblob(3000) FROM {table} LIMIT 50;\n";

    /// <summary>What SQLite gives of a copy, which it rolls back when it opens it.</summary>
    string RowsBySqlite(string path, string table, string column)
    {
        var copy = _folder.File("by-sqlite");
        foreach (var suffix in (string[])["", "-journal", "-wal"])
        {
            File.Delete(copy + suffix);
            if (File.Exists(path + suffix)) File.Copy(path + suffix, copy + suffix);
        }

        return Tool.Run("sqlite3", [copy, $"SELECT rowid, length(CAST({column} AS BLOB)), hex(substr(CAST({column} AS BLOB), -20)) FROM {table} ORDER BY rowid"]);
    }

    static (string Rows, List<string> Problems) Rows(string path, string table, string column)
    {
        var problems = new List<string>();
        var rows = new StringBuilder();
        Assert.Null(GuestRoot.TryOpen(Path.GetDirectoryName(path)!, out var root));
        using var _ = root;
        Assert.Null(root!.TryOpenFile(Path.GetFileName(path), out var file));
        using var __ = file;
        DatabaseSnapshot.TryRead(
            root,
            file!,
            snapshot =>
            {
                rows.Clear();
                if (SqliteFile.TryOpen(snapshot, problems.Add, CancellationToken.None) is not { } database) return;
                if (!database.FindTables(table).TryGetValue(table, out var found)) return;
                database.Read(found, row =>
                {
                    if ((row.Decode(found.ColumnCount) ?? row.Join(64 << 20)) is { } error)
                    {
                        problems.Add(error);
                        return true;
                    }

                    var bytes = row.Bytes(found.Column(column));
                    rows.Append($"{row.Rowid}|{bytes.Length}|{Convert.ToHexString(bytes[^Math.Min(20, bytes.Length)..])}\n");
                    return true;
                });
            },
            problems.Add);
        return (rows.ToString(), problems);
    }

    void AssertAsBefore(string path, string before, string table, string column)
    {
        Assert.Equal(before, RowsBySqlite(path, table, column));
        var (rows, problems) = Rows(path, table, column);
        Assert.Empty(problems);
        Assert.Equal(before, rows);
        // The journal is what does it: without it the pages are of two states.
        File.Move(path + "-journal", path + "-away");
        Assert.NotEqual(before, Rows(path, table, column).Rows);
        File.Move(path + "-away", path + "-journal");
    }

    [RealDatabaseTheory("sqlite3")]
    [MemberData(nameof(RealTables))]
    public void A_transaction_whose_writer_was_killed_is_undone(string source, string table, string column)
    {
        // Without synchronous the one header of a journal does not count its records.
        foreach (var pragmas in (string[])["journal_mode=DELETE; PRAGMA synchronous=OFF", "journal_mode=TRUNCATE; PRAGMA synchronous=FULL"])
        {
            var path = Unpack(source);
            var before = RowsBySqlite(path, table, column);
            RunAndKill(path, $"PRAGMA {pragmas};\n{ChangeHalf(table)}");
            AssertAsBefore(path, before, table, column);
            File.Delete(path + "-journal");
        }
    }

    [RealDatabaseFact("sqlite3")]
    public void Of_an_rpm_database_whose_writer_was_killed_all_packages_are_read()
    {
        var path = Unpack("rpmdb/derived/centos5-plain/rpmdb.sqlite.gz");
        var before = Databases.Lines(Databases.Read(path).Packages);
        Assert.True(before.Count > 100);
        RunAndKill(path, $"PRAGMA journal_mode=TRUNCATE;\n{SmallCache}DELETE FROM Packages WHERE hnum % 2 = 0;\n");

        var contents = Databases.Read(path);

        Assert.Empty(contents.Problems);
        Assert.Equal(before, Databases.Lines(contents.Packages));
    }

    [ToolFact("sqlite3")]
    public void Beside_a_writer_at_work_the_state_before_is_read_and_after_its_commit_the_state_after()
    {
        foreach (var mode in (string[])["DELETE", "TRUNCATE", "PERSIST"])
        {
            var path = MakeSmall();
            var before = RowsBySqlite(path, "t", "name");
            using var writer = Process.Start(new ProcessStartInfo("sqlite3", [path])
            {
                UseShellExecute = false,
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
            })!;
            writer.StandardInput.Write($"PRAGMA journal_mode={mode};\n{ChangeHalf("t")}SELECT 'ready';\n");
            writer.StandardInput.Flush();
            while (writer.StandardOutput.ReadLine() is { } line && line != "ready")
            {
            }

            AssertAsBefore(path, before, "t", "name");

            writer.StandardInput.Write("COMMIT;\nSELECT 'done';\n.shell cat\n");
            writer.StandardInput.Flush();
            while (writer.StandardOutput.ReadLine() is { } line && line != "done")
            {
            }

            // While the connection is open its journal stays: cut to nothing, or with zeros for a header.
            Assert.Equal(mode != "DELETE", File.Exists(path + "-journal"));
            var (rows, problems) = Rows(path, "t", "name");
            Assert.Empty(problems);
            Assert.Equal(200, rows.Count(next => next == '\n'));
            Assert.Equal(RowsBySqlite(path, "t", "name"), rows);
            writer.StandardInput.Close();
            writer.WaitForExit();
            File.Delete(path);
            File.Delete(path + "-journal");
        }
    }

    [ToolFact("sqlite3")]
    public void A_short_transaction_does_not_take_pages_of_a_longer_one_from_its_journal()
    {
        var path = MakeSmall();
        Tool.Run("sqlite3", [path], "PRAGMA journal_mode=PERSIST;\nUPDATE t SET name = hex(randomblob(20));\n");
        Tool.Run("sqlite3", [path], "UPDATE t SET name = 'later';\n");
        var before = RowsBySqlite(path, "t", "name");
        RunAndKill(path, $"PRAGMA journal_mode=PERSIST;\n{SmallCache}UPDATE t SET name = hex(randomblob(20)) WHERE id < 100;\nSELECT sum(length(name)) FROM t;\n");

        AssertAsBefore(path, before, "t", "name");
    }

    [ToolFact("sqlite3")]
    public void A_database_that_shrinks_has_its_last_pages_from_the_journal()
    {
        var path = _folder.File("shrinking");
        Tool.Run("sqlite3", [path], "PRAGMA page_size=512; PRAGMA auto_vacuum=FULL;\nCREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);\n"
            + "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) INSERT INTO t SELECT i, hex(randomblob(20)) FROM n;\n");
        var before = RowsBySqlite(path, "t", "name");
        RunAndKill(path, $"{SmallCache}DELETE FROM t WHERE id > 3;\nSELECT * FROM t;\n");
        AssertAsBefore(path, before, "t", "name");

        // As the end of the commit leaves it: cut to its new size while the journal is still there.
        using (var file = File.OpenWrite(path)) file.SetLength(8 * 512);
        var (rows, problems) = Rows(path, "t", "name");
        Assert.NotEmpty(problems);
        Assert.NotEqual("", rows);
    }

    [ToolFact("sqlite3")]
    public void A_database_whose_first_transaction_is_not_complete_has_no_pages()
    {
        var path = MakeSmall();
        RunAndKill(path, ChangeHalf("t"));
        using (var journal = File.OpenWrite(path + "-journal"))
        {
            journal.Position = 16;
            journal.Write([0, 0, 0, 0]);
        }

        var (rows, problems) = Rows(path, "t", "name");

        Assert.Equal("", rows);
        Assert.Equal(["has no pages yet: the transaction that makes it is not complete"], problems);
    }

    [ToolFact("sqlite3")]
    public void A_transaction_over_several_databases_counts_when_its_super_journal_is_gone()
    {
        var path = MakeSmall();
        var before = RowsBySqlite(path, "t", "name");
        RunAndKill(path, ChangeHalf("t"));
        var mixed = Rows(path, "t", "name");
        Assert.Equal(before, mixed.Rows);
        var name = Encoding.UTF8.GetBytes("/data/all-mj0123");
        var tail = new byte[SuperTailBytes];
        tail[3] = (byte)name.Length;
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(tail.AsSpan(4), (uint)name.Sum(next => next));
        Magic.CopyTo(tail, 8);
        File.AppendAllBytes(path + "-journal", [.. name, .. tail]);

        Assert.NotEqual(before, Rows(path, "t", "name").Rows);

        Directory.CreateDirectory(_folder.File("data"));
        File.WriteAllText(_folder.File("data/all-mj0123"), path + "-journal");
        Assert.Equal(before, Rows(path, "t", "name").Rows);
    }

    [ToolFact("sqlite3")]
    public void A_journal_that_cannot_be_opened_is_a_problem()
    {
        var path = MakeSmall();
        Directory.CreateDirectory(path + "-journal");

        var (rows, problems) = Rows(path, "t", "name");

        Assert.Equal(400, rows.Count(next => next == '\n'));
        Assert.Equal(
            ["has a journal, /small-journal, that is a folder, not a regular file: an unfinished transaction may be listed in part"], problems);
    }

    /// <summary>Wherever the journal is torn or wrong, the same pages are taken from it as SQLite takes.</summary>
    [ToolFact("sqlite3")]
    public void A_damaged_journal_is_played_back_as_far_as_SQLite_does()
    {
        var path = MakeSmall();
        RunAndKill(path, ChangeHalf("t"));
        var (file, journal) = (File.ReadAllBytes(path), File.ReadAllBytes(path + "-journal"));
        var rolledBack = _folder.File("rolled-back");
        var random = new Random(20261121);
        var same = 0;
        for (var i = 0; i < 100; i++)
        {
            var damaged = Damage.Mutate(journal, random, focus: 64);
            File.WriteAllBytes(path + "-journal", damaged);
            File.WriteAllBytes(rolledBack, file);
            File.WriteAllBytes(rolledBack + "-journal", damaged);
            Tool.Run("sh", ["-c", $"sqlite3 '{rolledBack}' 'SELECT count(*) FROM sqlite_schema' >/dev/null 2>&1; true"]);
            // Not in the way of the file that SQLite has made of the two.
            if (File.Exists(rolledBack + "-journal")) File.Delete(rolledBack + "-journal");

            if (new FileInfo(rolledBack).Length is 0 or > 10_000_000) continue;
            var bySqlite = Rows(rolledBack, "t", "name");
            Assert.Equal((i, bySqlite.Rows), (i, Rows(path, "t", "name").Rows));
            same++;
        }

        Assert.True(same > 80, $"{same} of 100 journals could be compared");
    }

    [ToolFact("sqlite3")]
    [Trait("Category", "Fuzz")]
    public void Any_file_and_journal_give_rows_or_problems()
    {
        var path = MakeSmall();
        Tool.Run("sqlite3", [path], "DELETE FROM t WHERE id > 100;\nVACUUM;\n");
        RunAndKill(path, $"{SmallCache}DELETE FROM t WHERE rowid % 2 = 0;\nSELECT * FROM t;\n");
        var (file, journal) = (File.ReadAllBytes(path), File.ReadAllBytes(path + "-journal"));
        Assert.True(journal.AsSpan().StartsWith(Magic));
        var random = new Random(20261122);
        for (var i = 0; i < Damage.Inputs(2_000); i++)
        {
            var isFile = random.Next(4) == 0;
            if (isFile) File.WriteAllBytes(path, Damage.Mutate(file, random, focus: 128));
            else File.WriteAllBytes(path + "-journal", Damage.Mutate(journal, random, focus: 64));

            Damage.AssertBounded(() => Rows(path, "t", "name"), file.Length + journal.Length, $"case {i}");

            if (isFile) File.WriteAllBytes(path, file);
            else File.WriteAllBytes(path + "-journal", journal);
        }
    }
}

/// <summary>A test over real databases, one after another, that needs programs.</summary>
sealed class RealDatabaseTheoryAttribute : TheoryAttribute
{
    public RealDatabaseTheoryAttribute(params string[] tools) => Skip = new RealDatabaseFactAttribute(tools).Skip;
}
