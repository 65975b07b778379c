using System.Buffers.Binary;
using Guestmark.Inventory.Sqlite;

namespace Guestmark.Inventory.Rpm;

/// <summary>Reads one rpm database of any backend, while rpm may be writing it.</summary>
static class RpmDatabase
{
    // The largest that was heard of has 1.1 GB (rpm-software-management/dnf5#1251). A sparse file can pretend any size, and the
    // tables of visited pages grow with it.
    const long BytesMax = 4L << 30;
    const int Attempts = 3;
    const int MagicBytes = 16;

    /// <summary>Reads the packages of all headers.</summary>
    /// <param name="file">The database. Its backend is told from its first bytes, not from its name.</param>
    public static DatabaseContents Read(GuestRoot root, GuestFile file, PackageRequest request, CancellationToken cancellation)
    {
        for (var attempt = 1; ; attempt++)
        {
            DatabaseContents contents;
            try
            {
                if (ReadIfStill(root, file, request, out contents, cancellation)) return contents;
            }
            catch (IOException e)
            {
                contents = new DatabaseContents(backend: null, request);
                contents.AddProblem($"cannot be read: {e.Message}. Check the disk, and run again");
                return contents;
            }

            if (attempt < Attempts) continue;
            contents.AddProblem($"changed while it was read, {Attempts} times: packages may be missing or listed twice");
            return contents;
        }
    }

    /// <summary>Reads once. False when database or log were written meanwhile: the contents may then be of two states.</summary>
    static bool ReadIfStill(GuestRoot root, GuestFile file, PackageRequest request, out DatabaseContents contents, CancellationToken cancellation)
    {
        // Links were resolved: SQLite keeps the log beside the file, not beside a link to it.
        var logPath = file.Path + "-wal";
        var logError = root.TryOpenFile(logPath, out var log);
        using (log)
        {
            var before = DatabaseState.Of(file, log);
            contents = ReadOnce(file, log, request, cancellation);
            if (logError is not null && contents.Backend == SqliteDatabase.Backend)
                contents.AddProblem($"has a log, {GuestText.Quote(logPath)}, that {logError}: what it holds is missing");
            root.TryOpenFile(logPath, out var logAfter);
            using (logAfter) return before == DatabaseState.Of(file, logAfter);
        }
    }

    static DatabaseContents ReadOnce(GuestFile file, GuestFile? wal, PackageRequest request, CancellationToken cancellation)
    {
        var unknown = new DatabaseContents(backend: null, request);
        var size = file.Status.Size;
        if (size > BytesMax || wal?.Status.Size > BytesMax)
        {
            unknown.AddProblem($"has more than {BytesMax >> 30} GiB, which no package database has");
            return unknown;
        }

        var magic = new FileWindow(file.Handle, size, MagicBytes).Read(0, MagicBytes);
        if (magic.Length == 0)
        {
            unknown.AddProblem(size == 0
                ? "is empty. If rpm -qa lists packages, another database is in use"
                : $"has only {size} bytes. Restore it with rpm --rebuilddb");
            return unknown;
        }

        if (magic.SequenceEqual(SqliteDatabase.Magic)) return SqliteDatabase.Read(file, wal, request, cancellation);
        if (magic.StartsWith(NdbDatabase.Magic)) return NdbDatabase.Read(file, request, cancellation);
        if (BinaryPrimitives.ReadUInt32LittleEndian(magic[12..]) == BerkeleyHash.Magic
            || BinaryPrimitives.ReadUInt32BigEndian(magic[12..]) == BerkeleyHash.Magic)
            return BerkeleyHash.Read(file, request, cancellation);

        unknown.AddProblem(
            "is not an rpm database: it begins neither as Berkeley DB hash nor as ndb nor as SQLite. "
            + "Check it with rpm -qa, and restore it with rpm --rebuilddb");
        return unknown;
    }

    /// <summary>
    /// A state of a database with its log. The time of a file may stay the same for two writes within one clock tick: the
    /// generation of ndb tells them apart, and for a log, which is written again from its front, the salts.
    /// </summary>
    readonly record struct DatabaseState(FileStatus File, ulong Generation, FileStatus? Log, ulong Salts)
    {
        const int SaltsStart = 16;

        public static DatabaseState Of(GuestFile file, GuestFile? wal)
        {
            var status = file.Status;
            var generation = NdbDatabase.GenerationOf(file);
            if (wal is null) return new DatabaseState(status, generation, null, 0);
            var logStatus = wal.Status;
            var header = new FileWindow(wal.Handle, logStatus.Size, SqliteWal.HeaderBytes).Read(0, SqliteWal.HeaderBytes);
            return new DatabaseState(
                status, generation, logStatus, header.Length == 0 ? 0 : BinaryPrimitives.ReadUInt64BigEndian(header[SaltsStart..]));
        }
    }
}
