using Microsoft.Win32.SafeHandles;

namespace Guestmark.Spool;

/// <summary>One file of records with rising indexes.</summary>
sealed class Segment : IDisposable
{
    Segment(string path, SafeFileHandle file, ulong firstIndex, int headerBytes, ulong secret)
    {
        Path = path;
        File = file;
        FirstIndex = firstIndex;
        NextIndex = firstIndex;
        HeaderBytes = headerBytes;
        Secret = secret;
        Length = headerBytes;
    }

    public string Path { get; }

    public SafeFileHandle File { get; }

    public ulong FirstIndex { get; }

    /// <summary>One past the last record that is durable in this segment.</summary>
    public ulong NextIndex { get; set; }

    /// <summary>Where its first record begins.</summary>
    public int HeaderBytes { get; }

    /// <summary>What tells its records from data that looks like one; 0: it has none, and nothing may be searched for in it.</summary>
    public ulong Secret { get; }

    /// <summary>It begins as a segment does.</summary>
    public bool HasHeader { get; private init; } = true;

    /// <summary>Bytes that are durable.</summary>
    public long Length { get; set; }

    /// <summary>Makes an empty segment whose existence survives a crash.</summary>
    /// <param name="reservedBytes">What it will about hold.</param>
    /// <param name="secret">The spool's.</param>
    /// <exception cref="IOException">It could not be made, and is not there.</exception>
    public static Segment Create(string directory, ulong firstIndex, long reservedBytes, ulong secret)
    {
        var path = System.IO.Path.Combine(directory, SegmentFormat.FileName(firstIndex));
        var file = OpenFile(path, FileMode.CreateNew, FileAccess.ReadWrite);
        try
        {
            System.IO.File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            LibC.Reserve(file, reservedBytes);
            Span<byte> header = stackalloc byte[SegmentFormat.HeaderBytes];
            SegmentFormat.WriteHeader(header, firstIndex, secret);
            RandomAccess.Write(file, header, 0);
            LibC.FlushData(file);
            LibC.FlushDirectory(directory);
            return new Segment(path, file, firstIndex, SegmentFormat.HeaderBytes, secret);
        }
        catch
        {
            file.Dispose();
            System.IO.File.Delete(path);
            throw;
        }
    }

    /// <summary>Opens a segment and reads it to its last whole record.</summary>
    /// <param name="secret">The spool's, for a segment whose own header is damaged; 0: unknown.</param>
    /// <param name="access">Read, where another process may be writing it.</param>
    /// <param name="visit">Sees every record with its place.</param>
    /// <param name="damage">Where whole records are missing between others. Empty for a healthy segment, torn or not.</param>
    /// <param name="tail">Bytes after the last whole record.</param>
    /// <returns>Null for a file that a crash left before its header was whole: it never held a record.</returns>
    /// <exception cref="IOException">Another version wrote it.</exception>
    public static Segment? Open(
        string path, ulong firstIndex, int recordBytesMax, ulong secret, FileAccess access, SpoolRecordVisitor? visit, out List<SegmentDamage> damage,
        out long tail)
    {
        damage = [];
        tail = 0;
        var file = OpenFile(path, FileMode.Open, access);
        try
        {
            Span<byte> header = stackalloc byte[SegmentFormat.HeaderBytes];
            var read = RandomAccess.Read(file, header, 0);
            var fileLength = RandomAccess.GetLength(file);
            if (SegmentFormat.IsOtherVersion(header[..read]))
            {
                throw new IOException(
                    $"{path} does not begin as a segment of this version; it may hold undelivered events. "
                    + "Start the version of Guestmark that wrote it, or move the file away to go on without them");
            }

            var isWhole = SegmentFormat.TryReadHeader(header[..read], firstIndex, out var own);
            var hasHeader = isWhole || SegmentFormat.IsHeaderWithoutSecret(header[..read], firstIndex);
            if (fileLength <= SegmentFormat.HeaderBytes && !hasHeader)
            {
                file.Dispose();
                return null;
            }

            // A damaged header takes nothing with it: the file's name and the spool say the same, and every record is checked by itself. Offset 16 is
            // within the header of a segment with a secret: nothing that a guest sent lies there.
            var reader = new SegmentReader(recordBytesMax);
            var without = new Segment(path, file, firstIndex, SegmentFormat.HeaderBytesWithoutSecret, secret: 0) { HasHeader = hasHeader };
            var isWithout = !isWhole && (fileLength <= SegmentFormat.HeaderBytes || reader.ReadNext(without, without.Length, fileLength, firstIndex) is not null);
            var segment = isWithout ? without : new Segment(path, file, firstIndex, SegmentFormat.HeaderBytes, isWhole ? own : secret) { HasHeader = hasHeader };
            while (reader.ReadNext(segment, segment.Length, fileLength, segment.NextIndex) is { } record)
            {
                if (record.Index != segment.NextIndex)
                    damage.Add(new SegmentDamage(segment.NextIndex, record.Index - 1, segment.Length, record.Offset - segment.Length));
                segment.Length = record.End;
                segment.NextIndex = record.Index + 1;
                visit?.Invoke(record.Index, record.Data);
            }

            tail = fileLength - segment.Length;
            return segment;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The secret in a segment's header, where that is whole. 0: there is none.</summary>
    public static ulong ReadSecret(string path, ulong firstIndex)
    {
        using var file = OpenFile(path, FileMode.Open, FileAccess.Read);
        Span<byte> header = stackalloc byte[SegmentFormat.HeaderBytes];
        return SegmentFormat.TryReadHeader(header[..RandomAccess.Read(file, header, 0)], firstIndex, out var secret) ? secret : 0;
    }

    public void Dispose() => File.Dispose();

    static SafeFileHandle OpenFile(string path, FileMode mode, FileAccess access) =>
        System.IO.File.OpenHandle(path, mode, access, FileShare.ReadWrite | FileShare.Delete);
}

/// <summary>Bytes of a segment that hold no whole record any more.</summary>
/// <param name="FirstIndex">The first record that was there.</param>
/// <param name="LastIndex">The last.</param>
/// <param name="Offset">Where in the file.</param>
/// <param name="Bytes">How many.</param>
public readonly record struct SegmentDamage(ulong FirstIndex, ulong LastIndex, long Offset, long Bytes)
{
    public override string ToString() => $"records {FirstIndex} to {LastIndex} at offsets {Offset} to {Offset + Bytes - 1}";
}
