using System.Text;
using Guestmark.Inventory.Sqlite;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Sqlite;

/// <summary>Tables of any columns, as SQLite itself writes them.</summary>
public sealed class SqliteFileTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    string Make(string script)
    {
        var path = _folder.File("made");
        File.Delete(path);
        File.Delete(path + "-wal");
        Tool.Run("sqlite3", [path], script);
        return path;
    }

    static List<string> Read(string path, string table, Action<SqliteTable, SqliteRow> onRow)
    {
        var problems = new List<string>();
        Assert.Null(GuestRoot.TryOpen(Path.GetDirectoryName(path)!, out var root));
        using var _ = root;
        Assert.Null(root!.TryOpenFile(Path.GetFileName(path), out var file));
        using (file)
        {
            using var snapshot = DatabaseSnapshot.Open(root, file!);
            if (SqliteFile.TryOpen(snapshot, problems.Add, CancellationToken.None) is not { } database) return problems;
            if (!database.FindTables(table).TryGetValue(table, out var found)) return [.. problems, "no table"];
            database.Read(found, row =>
            {
                if ((row.Decode(found.ColumnCount) ?? row.Join(100_000)) is { } error) problems.Add(error);
                else onRow(found, row);
                return true;
            });
        }

        return problems;
    }

    static string Text(SqliteRow row, int column) => Encoding.UTF8.GetString(row.Bytes(column));

    [ToolFact("sqlite3")]
    public void Columns_have_their_values_by_type()
    {
        long[] numbers = [0, 1, -1, 2, 127, 128, -128, -129, 32767, 32768, -32769, 8388607, 8388608, -8388609, int.MaxValue, 1L + int.MaxValue, (1L << 47) - 1, 1L << 47, long.MaxValue, long.MinValue + 1];
        var path = Make("CREATE TABLE t (a, b INTEGER, c TEXT, d REAL, e BLOB, f);\n"
            + string.Concat(numbers.Select(number => $"INSERT INTO t VALUES ({number}, {number}, 'Größe {number}', 1.5, x'00ff', NULL);\n")));

        var rows = new List<long?>();
        Assert.Empty(Read(path, "t", (_, row) =>
        {
            rows.Add(row.Integer(1));
            Assert.Equal(row.Integer(0), row.Integer(1));
            Assert.Equal($"Größe {row.Integer(0)}", Text(row, 2));
            Assert.Null(row.Integer(2));
            Assert.Null(row.Integer(3));
            Assert.Equal([0, 0xff], row.Bytes(4).ToArray());
            Assert.True(row.IsBlob(4));
            Assert.False(row.IsBlob(2));
            Assert.Null(row.Integer(5));
            Assert.Equal(0, row.Bytes(5).Length);
            Assert.Null(row.Integer(6));
            Assert.Null(row.Integer(-1));
        }));
        Assert.Equal(numbers.Select(number => (long?)number), rows);
    }

    [ToolFact("sqlite3")]
    public void The_column_that_stands_for_the_rowid_is_found_in_every_notation()
    {
        foreach (var (columns, isAlias) in new[]
        {
            ("x TEXT, id INTEGER PRIMARY KEY", true),
            ("x TEXT, id integer primary key autoincrement not null", true),
            ("\"x\" TEXT, \"id\" INTEGER, PRIMARY KEY(\"id\" AUTOINCREMENT)", true),
            ("[x] TEXT, `id` INTEGER, CONSTRAINT pk PRIMARY KEY (id)", true),
            ("x TEXT DEFAULT (max(1, 2)), -- a comment, with (brackets\n id /* PRIMARY KEY */ INTEGER CHECK (id <> 5) PRIMARY KEY", true),
            ("x DECIMAL(5, 2) REFERENCES o(a), id INTEGER, UNIQUE (x, id), PRIMARY KEY (id), FOREIGN KEY (id) REFERENCES o(id)", true),
            ("x TEXT, id INT PRIMARY KEY", false),
            ("x TEXT, id INTEGER, PRIMARY KEY (x, id)", false),
            ("x TEXT, id INTEGER PRIMARY KEY DESC", false),
            ("x TEXT, id INTEGER UNIQUE", false),
        })
        {
            var path = Make($"CREATE TABLE t ({columns});\nINSERT INTO t (x) VALUES ('one'); INSERT INTO t (x, id) VALUES ('two', 77);\nALTER TABLE t ADD COLUMN late TEXT DEFAULT 'never written';\n");
            var expected = Tool.Run("sqlite3", [path, "SELECT x, id FROM t ORDER BY rowid"]);

            var rows = new StringBuilder();
            Assert.Empty(Read(path, "t", (table, row) =>
            {
                Assert.Equal((columns, 1), (columns, table.Column("ID")));
                Assert.Equal(2, table.Column("late"));
                Assert.Equal((columns, isAlias), (columns, table.RowidColumn == 1));
                rows.Append($"{Text(row, 0)}|{row.Integer(1)}\n");
            }));
            Assert.Equal((columns, expected), (columns, rows.ToString()));
        }
    }

    [ToolFact("sqlite3")]
    public void A_table_without_rowids_is_a_problem()
    {
        var path = Make("CREATE TABLE t (k TEXT PRIMARY KEY, v) WITHOUT ROWID;\nINSERT INTO t VALUES ('a', 1);\n");
        Assert.Equal(["has a table without rowids at page 2, which is not read"], Read(path, "t", (_, _) => Assert.Fail("a row")));
    }

    [ToolFact("sqlite3")]
    public void A_table_can_be_read_again_and_left_early()
    {
        var path = Make("CREATE TABLE t (a INTEGER);\nWITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO t SELECT i FROM n;\n");
        Assert.Null(GuestRoot.TryOpen(_folder.Path, out var root));
        using var _ = root;
        Assert.Null(root!.TryOpenFile(Path.GetFileName(path), out var file));
        using var __ = file;
        using var snapshot = DatabaseSnapshot.Open(root, file!);
        var database = SqliteFile.TryOpen(snapshot, problem => Assert.Fail(problem), CancellationToken.None)!;
        var table = database.FindTables("T", "absent")["T"];
        for (var round = 0; round < 2; round++)
        {
            var (rows, sum) = (0, 0L);
            database.Read(table, row =>
            {
                Assert.Null(row.Decode(1));
                sum += row.Integer(0)!.Value;
                return ++rows < 4000;
            });
            Assert.Equal((4000, 4000L * 4001 / 2), (rows, sum));
        }
    }

    [Theory]
    [InlineData(1, 2, false)]
    [InlineData(2, 3, false)]
    [InlineData(99, 3, true)]
    public void What_was_read_while_a_file_was_written_is_read_again(int writes, int reads, bool isProblem)
    {
        File.WriteAllBytes(_folder.File("database"), SqliteFile.Magic.ToArray());
        File.WriteAllText(_folder.File("database-wal"), new string('w', 100));
        Assert.Null(GuestRoot.TryOpen(_folder.Path, out var root));
        using var _ = root;
        Assert.Null(root!.TryOpenFile("database", out var file));
        using var __ = file;
        var (done, problems) = (0, new List<string>());

        Assert.True(DatabaseSnapshot.TryRead(
            root,
            file!,
            snapshot =>
            {
                Assert.Equal("/database-wal", snapshot.Wal!.Path);
                if (done++ >= writes) return;
                if (done == 1) File.AppendAllText(_folder.File("database-wal"), "w");
                else File.AppendAllText(_folder.File("database"), "x");
            },
            problems.Add));

        Assert.Equal(reads, done);
        Assert.Equal(isProblem ? ["changed while it was read, 3 times: parts of it may be missing or twice"] : [], problems);
    }

    [Theory]
    [InlineData("database", 27)]
    [InlineData("database-wal", 20)]
    [InlineData("database-journal", 15)]
    public void A_file_that_changed_within_a_clock_tick_is_told_by_its_counter_salts_or_nonce(string name, int changed)
    {
        File.WriteAllBytes(_folder.File("database"), SqliteFile.Magic.ToArray());
        var path = _folder.File(name);
        byte[] content = [.. name == "database" ? SqliteFile.Magic : new byte[16], .. new byte[48]];
        File.WriteAllBytes(path, content);
        File.SetLastWriteTimeUtc(path, DateTime.UnixEpoch);
        Assert.Null(GuestRoot.TryOpen(_folder.Path, out var root));
        using var _ = root;
        Assert.Null(root!.TryOpenFile("database", out var file));
        using var __ = file;
        var done = 0;

        Assert.True(DatabaseSnapshot.TryRead(
            root,
            file!,
            _ =>
            {
                if (done++ > 0) return;
                content[changed]++;
                File.WriteAllBytes(path, content);
                File.SetLastWriteTimeUtc(path, DateTime.UnixEpoch);
            },
            problem => Assert.Fail(problem)));

        Assert.Equal(2, done);
    }

    [Fact]
    public void A_sparse_file_that_pretends_to_be_huge_is_not_read()
    {
        using (var stream = File.Create(_folder.File("database"))) stream.SetLength((4L << 30) + 1);
        Assert.Null(GuestRoot.TryOpen(_folder.Path, out var root));
        using var _ = root;
        Assert.Null(root!.TryOpenFile("database", out var file));
        using var __ = file;
        var problems = new List<string>();
        Assert.False(DatabaseSnapshot.TryRead(root, file!, _ => Assert.Fail("read"), problems.Add));
        Assert.Equal(["has more than 4 GiB, which no package manager's database has"], problems);
    }

    [ToolFact("sqlite3")]
    [Trait("Category", "Fuzz")]
    public void Any_file_and_log_give_rows_or_problems()
    {
        var script = "PRAGMA page_size=512; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;\nCREATE TABLE t (id INTEGER, name TEXT, PRIMARY KEY(id));\n"
            + string.Concat(Enumerable.Range(1, 40).Select(i => $"INSERT INTO t VALUES ({i}, '{new string('x', i * 9)}');\n"))
            + "PRAGMA wal_checkpoint(TRUNCATE);\nUPDATE t SET name = 'changed' WHERE id < 5;\n";
        var path = _folder.File("copy");
        Tool.Run("sqlite3", [_folder.File("made")], script + $".shell cp {_folder.File("made")} {path}; cp {_folder.File("made")}-wal {path}-wal\n");
        var (file, log) = (File.ReadAllBytes(path), File.ReadAllBytes(path + "-wal"));
        Assert.NotEmpty(log);
        var random = new Random(20260403);
        for (var i = 0; i < Damage.Inputs(2_000); i++)
        {
            var isFile = random.Next(3) > 0;
            if (isFile) File.WriteAllBytes(path, Damage.Mutate(file, random, focus: 1024));
            else File.WriteAllBytes(path + "-wal", Damage.Mutate(log, random, focus: 64));

            Damage.AssertBounded(
                () => Read(path, "t", (_, row) =>
                {
                    row.Integer(0);
                    row.Bytes(1);
                }),
                file.Length + log.Length,
                $"case {i}");

            if (isFile) File.WriteAllBytes(path, file);
            else File.WriteAllBytes(path + "-wal", log);
        }
    }
}
