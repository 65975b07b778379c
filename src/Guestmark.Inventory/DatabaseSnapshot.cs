using System.Buffers.Binary;
using Guestmark.Inventory.Sqlite;

namespace Guestmark.Inventory;

/// <summary>A package manager's database and the files that SQLite keeps beside it, read while their owner may be writing them.</summary>
/// <remarks>No lock is taken and nothing is written: what was read is kept when none of the files changed meanwhile.</remarks>
sealed class DatabaseSnapshot : IDisposable
{
    // The largest rpm database that was heard of has 1.1 GB (rpm-software-management/dnf5#1251), a history less. A sparse file can
    // pretend any size, and the tables of visited pages grow with it.
    const long BytesMax = 4L << 30;
    const int Attempts = 3;

    readonly GuestRoot _root;
    readonly List<string> _problems = [];
    readonly FilesState _state;

    DatabaseSnapshot(GuestRoot root, GuestFile file)
    {
        _root = root;
        File = file;
        // The database first: a transaction that ends now has changed it before its journal goes.
        var state = FileState.Of(file);
        if (state.IsSqlite)
        {
            Journal = OpenBeside("-journal", "a journal", "an unfinished transaction may be listed in part");
            Wal = OpenBeside("-wal", "a log", "what it holds is missing");
        }

        _state = new FilesState(state, Journal is null ? null : FileState.Of(Journal), Wal is null ? null : FileState.Of(Wal));
    }

    public GuestFile File { get; }

    /// <summary>SQLite's rollback journal; null when there is none.</summary>
    public GuestFile? Journal { get; }

    /// <summary>SQLite's write-ahead log; null when there is none.</summary>
    public GuestFile? Wal { get; }

    /// <summary>Opens what lies beside a database. The database stays the caller's.</summary>
    /// <exception cref="IOException">The disk does not give a file.</exception>
    public static DatabaseSnapshot Open(GuestRoot root, GuestFile file) => new(root, file);

    /// <summary>Opens the files and calls <paramref name="read"/>, again when they were written meanwhile.</summary>
    /// <param name="read">Reads everything. Each call starts anew: of an earlier one nothing may stay.</param>
    /// <param name="addProblem">Takes what is wrong with the files as such.</param>
    /// <returns>Whether there is something that was read.</returns>
    public static bool TryRead(GuestRoot root, GuestFile file, Action<DatabaseSnapshot> read, Action<string> addProblem)
    {
        try
        {
            for (var attempt = 1; ; attempt++)
            {
                using var snapshot = Open(root, file);
                if (snapshot._state.LargestBytes > BytesMax)
                {
                    addProblem($"has more than {BytesMax >> 30} GiB, which no package manager's database has");
                    return false;
                }

                read(snapshot);
                bool isStill;
                using (var after = Open(root, file)) isStill = snapshot._state == after._state;
                if (!isStill && attempt < Attempts) continue;
                if (!isStill) addProblem($"changed while it was read, {Attempts} times: parts of it may be missing or twice");
                foreach (var problem in snapshot._problems) addProblem(problem);
                return true;
            }
        }
        catch (IOException e)
        {
            addProblem($"cannot be read: {e.Message}. Check the disk, and run again");
            return false;
        }
    }

    /// <summary>Whether the guest has a file of this path.</summary>
    public bool Exists(string path) => _root.StatusOf(path) is not null;

    public void Dispose()
    {
        Journal?.Dispose();
        Wal?.Dispose();
    }

    GuestFile? OpenBeside(string suffix, string what, string consequence)
    {
        // Links were resolved: SQLite keeps its files beside the database, not beside a link to it.
        var path = File.Path + suffix;
        if (_root.TryOpenFile(path, out var file) is { } error) _problems.Add($"has {what}, {GuestText.Quote(path)}, that {error}: {consequence}");
        return file;
    }

    readonly record struct FilesState(FileState Database, FileState? Journal, FileState? Wal)
    {
        public long LargestBytes => Math.Max(Database.Status.Size, Math.Max(Journal?.Status.Size ?? 0, Wal?.Status.Size ?? 0));
    }

    /// <summary>
    /// A state of one file. Two writes within one clock tick may leave size and time as they were; the first bytes tell them apart: of
    /// an SQLite database they hold its change counter (@24), of its journal the nonce (@12), of its log the salts (@16), of ndb the generation (@8).
    /// </summary>
    readonly record struct FileState(FileStatus Status, UInt128 First, UInt128 Second)
    {
        const int HeadBytes = 32;

        public bool IsSqlite => First == BinaryPrimitives.ReadUInt128BigEndian(SqliteFile.Magic);

        public static FileState Of(GuestFile file)
        {
            var status = file.Status;
            Span<byte> head = stackalloc byte[HeadBytes];
            head.Clear();
            file.Read(head, 0);
            return new FileState(status, BinaryPrimitives.ReadUInt128BigEndian(head), BinaryPrimitives.ReadUInt128BigEndian(head[16..]));
        }
    }
}
