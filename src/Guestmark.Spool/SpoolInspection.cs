using System.Globalization;

namespace Guestmark.Spool;

/// <summary>What lies in the folder of a spool, read without opening it: a process may be writing to it meanwhile.</summary>
public sealed record SpoolInspection
{
    SpoolInspection()
    {
    }

    public required string Directory { get; init; }

    public required IReadOnlyList<InspectedSegment> Segments { get; init; }

    /// <summary>How far each reader has come, by name; the one without a name is what all are done with.</summary>
    public required IReadOnlyList<(string? Reader, ulong Acknowledged)> Readers { get; init; }

    /// <summary>The newest record that was on disk, as far as the spool has noted it.</summary>
    public required ulong Stored { get; init; }

    /// <summary>A process holds the lock of the spool.</summary>
    public required bool IsOpen { get; init; }

    /// <summary>All records up to this one are done with.</summary>
    public ulong Acknowledged => Readers.Where(reader => reader.Reader is null).Select(reader => reader.Acknowledged).FirstOrDefault();

    /// <summary>Index of the newest record that is there, or was; of none, 0.</summary>
    public ulong Last => Math.Max(Stored, Segments.Count > 0 ? Segments[^1].LastIndex : 0);

    /// <summary>Records that are not acknowledged and lie in no segment: before the first, between two, or behind the last that is there.</summary>
    public IEnumerable<(ulong First, ulong Last)> Missing
    {
        get
        {
            var next = (Readers.Any(reader => reader.Reader is null) || Segments.Count == 0 ? Acknowledged : Segments[0].FirstIndex - 1) + 1;
            foreach (var segment in Segments)
            {
                if (segment.FirstIndex > next) yield return (next, segment.FirstIndex - 1);
                next = Math.Max(next, segment.LastIndex + 1);
            }

            if (Stored >= next) yield return (next, Stored);
        }
    }

    /// <summary>Readers whose position lies behind all that was ever stored. The spool does not believe it when it is opened.</summary>
    public IEnumerable<(string? Reader, ulong Acknowledged)> Ahead =>
        Stored == 0 && Segments.Count == 0 ? [] : Readers.Where(reader => reader.Acknowledged > Last);

    /// <summary>Reads a spool. Segments that are deleted meanwhile are left out.</summary>
    /// <param name="visit">Sees every whole record, in order.</param>
    /// <exception cref="IOException">The folder cannot be read, or a segment was written by another version.</exception>
    public static SpoolInspection Read(string directory, SpoolRecordVisitor? visit = null)
    {
        const int recordBytesMax = 1 << 30;
        // Before the segments, and the readers after them: what is deleted meanwhile is then acknowledged, and what is written is beyond this.
        var stored = PositionFile.Read(Path.Combine(directory, EventSpool.StoredFile)) ?? 0;
        var secret = SpoolSecret.Read(directory);
        var segments = new List<InspectedSegment>();
        foreach (var path in System.IO.Directory.GetFiles(directory, "*" + SegmentFormat.Extension).Order(StringComparer.Ordinal))
        {
            if (!SegmentFormat.TryParseFileName(Path.GetFileName(path), out var firstIndex)) continue;
            var records = 0L;
            try
            {
                using var segment = Segment.Open(
                    path, firstIndex, recordBytesMax, secret, FileAccess.Read,
                    (index, data) =>
                    {
                        records++;
                        visit?.Invoke(index, data);
                    },
                    out var damage, out var tail);
                segments.Add(new InspectedSegment(path, segment?.Length + tail ?? 0, firstIndex, segment is null ? firstIndex - 1 : segment.NextIndex - 1, records, damage, tail));
            }
            catch (FileNotFoundException)
            {
                // Done with meanwhile.
            }
        }

        var readers = new List<(string?, ulong)>();
        foreach (var path in System.IO.Directory.GetFiles(directory, SpoolReader.FileName + "*").Order(StringComparer.Ordinal))
        {
            var name = Path.GetFileName(path);
            if (PositionFile.Read(path) is not { } acknowledged) continue;
            readers.Add((name == SpoolReader.FileName ? null : name[(SpoolReader.FileName.Length + 1)..], acknowledged));
        }

        return new SpoolInspection { Stored = stored, Directory = directory, Segments = segments, Readers = readers, IsOpen = IsLocked(Path.Combine(directory, "lock")) };
    }

    /// <summary>
    /// Whether /proc/locks names the file: taking the lock to try would stop a process that starts at that moment. Its lines are
    /// <code>1: FLOCK  ADVISORY  WRITE 4711 fe:00:131077 0 EOF</code>
    /// with the process and, after the device, the inode, which /proc/self/fdinfo gives as <c>ino:</c>.
    /// </summary>
    static bool IsLocked(string path)
    {
        try
        {
            using var file = LibC.OpenUnlocked(path);
            if (file.IsInvalid) return false;
            var inode = File.ReadLines($"/proc/self/fdinfo/{file.DangerousGetHandle().ToString(CultureInfo.InvariantCulture)}")
                .Where(line => line.StartsWith("ino:", StringComparison.Ordinal)).Select(line => line[4..].Trim()).FirstOrDefault();
            return inode is not null && File.ReadLines("/proc/locks")
                .Any(line => line.Contains("FLOCK", StringComparison.Ordinal) && line.Contains($":{inode} ", StringComparison.Ordinal));
        }
        catch (IOException)
        {
            return false;
        }
    }
}

/// <summary>One segment file.</summary>
/// <param name="LastIndex">Of the last whole record; one less than <paramref name="FirstIndex"/> when there is none.</param>
/// <param name="Damage">Where records are missing between others.</param>
/// <param name="TailBytes">Bytes after the last whole record: being written, torn by a crash, or damaged.</param>
public sealed record InspectedSegment(
    string Path, long Bytes, ulong FirstIndex, ulong LastIndex, long Records, IReadOnlyList<SegmentDamage> Damage, long TailBytes);
