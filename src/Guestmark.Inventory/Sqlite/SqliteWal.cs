using System.Buffers.Binary;

namespace Guestmark.Inventory.Sqlite;

/// <summary>
/// The write-ahead log beside an SQLite database (<c>-wal</c>): pages that transactions have committed and that are not yet in the
/// database itself. rpm keeps this file between transactions.
/// </summary>
/// <remarks>
/// Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log. Numbers are big-endian; the lowest bit of the magic tells the
/// byte order of the words that the checksum adds up.
/// <code>
/// header: magic u32 = 0x377f0682 | 0x377f0683, version u32 = 3007000, page size u32, checkpoint u32, salt u32 × 2, checksum u32 × 2
/// frame:  page u32, database size after commit u32 (0 when not a commit), salt u32 × 2, checksum u32 × 2, the page
/// </code>
/// The checksum of a frame continues that of the frame before. The first frame with another salt or checksum ends the log: what
/// follows is left from an earlier round or was torn. Frames after the last commit do not count.
/// </remarks>
sealed class SqliteWal
{
    const int HeaderBytes = 32;

    const int FrameHeaderBytes = 24;
    const uint Magic = 0x377f_0682;
    const uint Version = 3_007_000;
    const int ReadAhead = 256 * 1024;

    readonly FileWindow _file;
    readonly int _pageBytes;
    readonly Dictionary<uint, long> _committed = [];

    SqliteWal(FileWindow file, int pageBytes)
    {
        _file = file;
        _pageBytes = pageBytes;
    }

    /// <summary>Pages in the database after the last commit; 0 when there is no commit in the log.</summary>
    public uint PageCount { get; private set; }

    /// <summary>Different pages that the log holds.</summary>
    public int CommittedPages => _committed.Count;

    /// <summary>Finds the committed pages. A log with a wrong header has none, as SQLite sees it.</summary>
    /// <exception cref="IOException">The disk does not give the file.</exception>
    public static SqliteWal Read(GuestFile file, int pageBytes, CancellationToken cancellation)
    {
        var wal = new SqliteWal(new FileWindow(file.Handle, file.Status.Size, ReadAhead), pageBytes);
        wal.ReadFrames(cancellation);
        return wal;
    }

    /// <summary>The newest committed bytes of a page, valid until the next call. False when the page is not in the log.</summary>
    public bool TryPage(uint number, out ReadOnlySpan<byte> page)
    {
        page = default;
        if (!_committed.TryGetValue(number, out var offset)) return false;
        page = _file.Read(offset, _pageBytes);
        return true;
    }

    void ReadFrames(CancellationToken cancellation)
    {
        var header = _file.Read(0, HeaderBytes);
        if (header.Length == 0) return;
        var magic = BinaryPrimitives.ReadUInt32BigEndian(header);
        if ((magic & ~1u) != Magic || BinaryPrimitives.ReadUInt32BigEndian(header[4..]) != Version) return;
        if (BinaryPrimitives.ReadUInt32BigEndian(header[8..]) != _pageBytes) return;
        var checksum = new Checksum(bigEndian: (magic & 1) != 0);
        checksum.Add(header[..24]);
        if (!checksum.Matches(header[24..])) return;
        var salts = BinaryPrimitives.ReadUInt64BigEndian(header[16..]);

        var uncommitted = new List<(uint Page, long Offset)>();
        for (long offset = HeaderBytes; ; offset += FrameHeaderBytes + _pageBytes)
        {
            cancellation.ThrowIfCancellationRequested();
            var frame = _file.Read(offset, FrameHeaderBytes + _pageBytes);
            if (frame.Length == 0) return;
            var page = BinaryPrimitives.ReadUInt32BigEndian(frame);
            if (page == 0 || BinaryPrimitives.ReadUInt64BigEndian(frame[8..]) != salts) return;
            checksum.Add(frame[..8]);
            checksum.Add(frame[FrameHeaderBytes..]);
            if (!checksum.Matches(frame[16..])) return;

            uncommitted.Add((page, offset + FrameHeaderBytes));
            var pageCount = BinaryPrimitives.ReadUInt32BigEndian(frame[4..]);
            if (pageCount == 0) continue;
            foreach (var (committedPage, at) in uncommitted) _committed[committedPage] = at;
            uncommitted.Clear();
            PageCount = pageCount;
        }
    }

    /// <summary>s0 += x[i] + s1; s1 += x[i+1] + s0, over 32-bit words.</summary>
    struct Checksum(bool bigEndian)
    {
        uint _s0;
        uint _s1;

        public void Add(ReadOnlySpan<byte> bytes)
        {
            var (s0, s1) = (_s0, _s1);
            for (; bytes.Length > 0; bytes = bytes[8..])
            {
                var pair = bigEndian ? BinaryPrimitives.ReadUInt64BigEndian(bytes) : BinaryPrimitives.ReadUInt64LittleEndian(bytes);
                var (first, second) = bigEndian ? ((uint)(pair >> 32), (uint)pair) : ((uint)pair, (uint)(pair >> 32));
                s0 += first + s1;
                s1 += second + s0;
            }

            (_s0, _s1) = (s0, s1);
        }

        public readonly bool Matches(ReadOnlySpan<byte> stored) =>
            BinaryPrimitives.ReadUInt32BigEndian(stored) == _s0 && BinaryPrimitives.ReadUInt32BigEndian(stored[4..]) == _s1;
    }
}
