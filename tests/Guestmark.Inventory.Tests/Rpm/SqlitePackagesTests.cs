using System.Buffers.Binary;
using System.Text;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Rpm;

/// <summary>Files that SQLite itself writes: logs, page sizes and tree depths that the real databases lack.</summary>
public sealed class SqlitePackagesTests : IDisposable
{
    const string CreateTable = "CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL);\n";
    const int WalHeader = 32;
    const int FrameHeader = 24;

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    static string Insert(int number, byte[] header) => $"INSERT INTO Packages VALUES({number}, x'{Convert.ToHexString(header)}');\n";

    static string InsertMany(int first, int count, int padding = 0)
    {
        var sql = new StringBuilder("BEGIN;\n");
        for (var number = first; number < first + count; number++) sql.Append(Insert(number, HeaderBuilder.Package($"package{number}", padding: padding)));
        return sql.Append("COMMIT;\n").ToString();
    }

    /// <summary>Runs a script, and copies database and log while the connection is open: closing it would empty the log.</summary>
    string Make(string script)
    {
        var made = _folder.File("made.sqlite");
        var copy = _folder.File("rpmdb.sqlite");
        Tool.Run("sqlite3", [made], script + $".shell cp {made} {copy}; if [ -e {made}-wal ]; then cp {made}-wal {copy}-wal; fi\n");
        return copy;
    }

    static IEnumerable<string> Names(int first, int count) => Enumerable.Range(first, count).Select(number => $"package{number}");

    static void AssertNames(IEnumerable<string> expected, string path)
    {
        var contents = Databases.Read(path);
        Assert.Empty(contents.Problems);
        Assert.Equal(expected, contents.Headers.Select(header => header.Name));
        Assert.Equal(expected, contents.Headers.Select(header => $"package{header.Number}"));
    }

    [ToolFact("sqlite3")]
    public void Rows_that_are_only_in_the_log_are_read()
    {
        var path = Make($"PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;\n{CreateTable}{InsertMany(1, 50)}PRAGMA wal_checkpoint(TRUNCATE);\n"
            + $"{InsertMany(51, 200, padding: 3000)}DELETE FROM Packages WHERE hnum <= 10; UPDATE Packages SET blob = x'{Convert.ToHexString(HeaderBuilder.Package("package11", padding: 60_000))}' WHERE hnum = 11;\n");
        var mainOnly = _folder.File("without-log.sqlite");
        File.Copy(path, mainOnly);

        AssertNames(Names(11, 240), path);
        AssertNames(Names(1, 50), mainOnly);
    }

    [ToolFact("sqlite3")]
    public void A_log_that_was_started_again_has_no_rows_of_its_earlier_round()
    {
        // After the checkpoint the log begins again at its front: behind the new frames lie old ones with other salts.
        var path = Make($"PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;\n{CreateTable}{InsertMany(1, 100, padding: 3000)}PRAGMA wal_checkpoint(PASSIVE);\n"
            + "DELETE FROM Packages WHERE hnum > 3;\n");

        AssertNames(Names(1, 3), path);
    }

    [ToolFact("sqlite3")]
    public void A_torn_last_frame_takes_its_transaction_with_it()
    {
        var path = Make($"PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;\n{CreateTable}{InsertMany(1, 5)}{InsertMany(6, 20, padding: 5000)}");
        AssertNames(Names(1, 25), path);

        using (var wal = File.OpenWrite(path + "-wal")) wal.SetLength(wal.Length - 100);

        AssertNames(Names(1, 5), path);
    }

    [ToolFact("sqlite3")]
    public void Frames_behind_a_flipped_bit_do_not_count()
    {
        var path = Make($"PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;\n{CreateTable}{InsertMany(1, 5)}{InsertMany(6, 1)}{InsertMany(7, 1)}");
        var wal = File.ReadAllBytes(path + "-wal");
        // Each transaction writes two frames, the page of all rows and that of sqlite_sequence: this is the first frame of the last but one.
        wal[^((3 * (FrameHeader + 4096)) + 2000)] ^= 1;
        File.WriteAllBytes(path + "-wal", wal);

        AssertNames(Names(1, 5), path);
    }

    [ToolFact("sqlite3")]
    public void Frames_of_an_open_transaction_do_not_count()
    {
        var open = InsertMany(6, 200, padding: 3000).Replace("COMMIT;\n", "");
        var path = Make($"PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=1;\n{CreateTable}{InsertMany(1, 5)}PRAGMA cache_spill=1;\n{open}");
        Assert.True(new FileInfo(path + "-wal").Length > 200_000, "SQLite did not write the open transaction to the log");

        AssertNames(Names(1, 5), path);
    }

    [ToolFact("sqlite3")]
    public void A_log_with_checksums_of_a_big_endian_machine_is_read()
    {
        var path = Make($"PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;\n{CreateTable}{InsertMany(1, 40)}");
        var wal = File.ReadAllBytes(path + "-wal");
        uint s0 = 0, s1 = 0;
        wal[3] |= 1;
        Add(wal.AsSpan(0, 24));
        Store(wal.AsSpan(24));
        for (var offset = WalHeader; offset < wal.Length; offset += FrameHeader + 4096)
        {
            Add(wal.AsSpan(offset, 8));
            Add(wal.AsSpan(offset + FrameHeader, 4096));
            Store(wal.AsSpan(offset + 16));
        }

        File.WriteAllBytes(path + "-wal", wal);

        AssertNames(Names(1, 40), path);

        void Add(ReadOnlySpan<byte> bytes)
        {
            for (var i = 0; i < bytes.Length; i += 8)
            {
                s0 += BinaryPrimitives.ReadUInt32BigEndian(bytes[i..]) + s1;
                s1 += BinaryPrimitives.ReadUInt32BigEndian(bytes[(i + 4)..]) + s0;
            }
        }

        void Store(Span<byte> target)
        {
            BinaryPrimitives.WriteUInt32BigEndian(target, s0);
            BinaryPrimitives.WriteUInt32BigEndian(target[4..], s1);
        }
    }

    [ToolFact("sqlite3")]
    public void Every_page_size_with_deep_trees_and_long_overflow_chains_is_read()
    {
        for (var pageBytes = 512; pageBytes <= 65536; pageBytes *= 2)
        {
            var path = Make($"PRAGMA page_size={pageBytes};\n{CreateTable}{InsertMany(1, 3000)}{InsertMany(3001, 20, padding: 200_000)}");

            AssertNames(Names(1, 3020), path);
            File.Delete(path);
            File.Delete(_folder.File("made.sqlite"));
        }
    }

    [ToolFact("sqlite3")]
    public void Reserved_bytes_of_pages_are_left_out()
    {
        var path = Make($".filectrl reserve_bytes 40\n{CreateTable}{InsertMany(1, 300, padding: 5000)}VACUUM;\n");
        Assert.Equal(40, File.ReadAllBytes(path)[20]);

        AssertNames(Names(1, 300), path);
    }

    [ToolFact("sqlite3")]
    public void The_table_is_found_by_its_name_among_others()
    {
        var others = string.Concat(Enumerable.Range(0, 200).Select(i => $"CREATE TABLE 'Other{i}' (key TEXT, hnum INTEGER, idx INTEGER);\nCREATE INDEX 'Packages_{i}' ON Other{i}(key);\n"));
        var path = Make(others + CreateTable + InsertMany(1, 3));

        AssertNames(Names(1, 3), path);
        Assert.Equal(["has no table Packages"], Databases.Read(MakeFresh(others)).Problems);

        string MakeFresh(string script)
        {
            File.Delete(_folder.File("made.sqlite"));
            return Make(script);
        }
    }

    [ToolFact("sqlite3")]
    public void A_bad_row_costs_only_itself()
    {
        var path = Make(CreateTable + InsertMany(1, 1) + "INSERT INTO Packages VALUES(2, x'010203'); INSERT INTO Packages VALUES(3, 'text');\n" + InsertMany(4, 1));

        var contents = Databases.Read(path);

        Assert.Equal(["package1", "package4"], contents.Headers.Select(header => header.Name));
        Assert.Equal(["header 2 has 3 bytes", "header 3 is not a blob"], contents.Problems);
    }

    [ToolFact("sqlite3")]
    public void A_tree_in_a_circle_is_an_error()
    {
        var path = Make($"PRAGMA page_size=512;\n{CreateTable}{InsertMany(1, 100)}");
        var file = File.ReadAllBytes(path);
        var root = Enumerable.Range(0, file.Length / 512).First(i => i > 0 && file[i * 512] == 5);
        BinaryPrimitives.WriteUInt32BigEndian(file.AsSpan((root * 512) + 8), (uint)root + 1);
        File.WriteAllBytes(path, file);

        var contents = Databases.Read(path);

        Assert.Contains($"uses page {root + 1} twice", contents.Problems);
        Assert.NotEmpty(contents.Headers);
    }

    [ToolFact("sqlite3")]
    public void Reading_leaves_no_trace()
    {
        var path = Make($"PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;\n{CreateTable}{InsertMany(1, 40)}");
        var before = Trace();

        Databases.Read(path);

        Assert.Equal(before, Trace());

        List<string> Trace() =>
            [.. Directory.GetFiles(_folder.Path).Order().Select(file => $"{file} {File.GetLastWriteTimeUtc(file):O} {Convert.ToHexString(File.ReadAllBytes(file))}")];
    }

    [ToolFact("sqlite3")]
    public void The_log_is_found_beside_the_file_that_a_link_leads_to()
    {
        var path = Make($"PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;\n{CreateTable}{InsertMany(1, 4)}");
        Directory.CreateDirectory(_folder.File("root/var/lib/rpm"));
        Directory.CreateDirectory(_folder.File("root/data"));
        File.Move(path, _folder.File("root/data/real.sqlite"));
        File.Move(path + "-wal", _folder.File("root/data/real.sqlite-wal"));
        File.CreateSymbolicLink(_folder.File("root/var/lib/rpm/rpmdb.sqlite"), "/data/real.sqlite");

        var inventory = InventoryScanner.Scan(new InventoryScanOptions { HostPath = _folder.File("root"), Os = OsRelease.Unknown }, CancellationToken.None);

        Assert.Empty(inventory.Problems);
        Assert.Equal(Names(1, 4), inventory.Packages.Select(package => package.Name));
    }

    [ToolFact("sqlite3")]
    public void Any_log_gives_headers_or_problems()
    {
        var path = Make($"PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;\n{CreateTable}{InsertMany(1, 50, padding: 1000)}{InsertMany(51, 50)}");
        var original = File.ReadAllBytes(path + "-wal");
        var random = new Random(20260102);
        for (var i = 0; i < 1000; i++)
        {
            File.WriteAllBytes(path + "-wal", Damage.Mutate(original, random, focus: WalHeader + FrameHeader));
            Damage.AssertBounded(() => Databases.Read(path), original.Length, $"case {i}");
        }
    }

    [ToolFact("sqlite3")]
    public void Any_pages_give_headers_or_problems()
    {
        var path = Make($"PRAGMA page_size=512;\n{CreateTable}{InsertMany(1, 300)}{InsertMany(301, 20, padding: 5000)}");
        var original = File.ReadAllBytes(path);
        var random = new Random(20260103);
        for (var i = 0; i < 3000; i++)
        {
            File.WriteAllBytes(path, Damage.Mutate(original, random, focus: 4096));
            Damage.AssertBounded(() => Databases.Read(path), original.Length, $"case {i}");
        }
    }
}
