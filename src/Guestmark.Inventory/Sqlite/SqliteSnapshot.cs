using System.Buffers.Binary;

namespace Guestmark.Inventory.Sqlite;

/// <summary>Reads a database while its owner may be writing it: what was read is kept when neither database nor log changed meanwhile.</summary>
static class SqliteSnapshot
{
    // The largest rpm database that was heard of has 1.1 GB, a history less. A sparse file can pretend any size, and the tables of
    // visited pages grow with it.
    const long BytesMax = 4L << 30;
    const int Attempts = 3;
    const int SaltsStart = 16;

    /// <summary>Opens the database and its log and calls <paramref name="read"/>, again when they were written meanwhile.</summary>
    /// <param name="read">Reads everything. Each call starts anew: of an earlier one nothing may stay.</param>
    /// <param name="addProblem">Takes what is wrong with the files as such.</param>
    /// <returns>Whether there is something that was read.</returns>
    public static bool TryRead(GuestRoot root, GuestFile file, Action<GuestFile?> read, Action<string> addProblem)
    {
        // Links were resolved: SQLite keeps the log beside the file, not beside a link to it.
        var logPath = file.Path + "-wal";
        try
        {
            for (var attempt = 1; ; attempt++)
            {
                var logError = root.TryOpenFile(logPath, out var log);
                using (log)
                {
                    var before = (file.Status, LogState.Of(log));
                    if (before.Status.Size > BytesMax || before.Item2?.Status.Size > BytesMax)
                    {
                        addProblem($"has more than {BytesMax >> 30} GiB, which no package manager's database has");
                        return false;
                    }

                    read(log);
                    root.TryOpenFile(logPath, out var logAfter);
                    bool isStill;
                    using (logAfter) isStill = before == (file.Status, LogState.Of(logAfter));
                    if (!isStill && attempt < Attempts) continue;
                    if (!isStill) addProblem($"changed while it was read, {Attempts} times: the newest transactions may be missing");
                    if (logError is not null) addProblem($"has a log, {GuestText.Quote(logPath)}, that {logError}: what it holds is missing");
                    return true;
                }
            }
        }
        catch (IOException e)
        {
            addProblem($"cannot be read: {e.Message}. Check the disk, and run again");
            return false;
        }
    }

    /// <summary>A state of the write-ahead log. A new round of it reuses the file and may keep size and, within one clock tick, time.</summary>
    readonly record struct LogState(FileStatus Status, ulong Salts)
    {
        public static LogState? Of(GuestFile? wal)
        {
            if (wal is null) return null;
            var status = wal.Status;
            var header = new FileWindow(wal.Handle, status.Size, SqliteWal.HeaderBytes).Read(0, SqliteWal.HeaderBytes);
            return new LogState(status, header.Length == 0 ? 0 : BinaryPrimitives.ReadUInt64BigEndian(header[SaltsStart..]));
        }
    }
}
