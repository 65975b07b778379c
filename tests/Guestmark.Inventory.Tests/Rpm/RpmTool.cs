using System.Buffers.Binary;
using System.Diagnostics;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Rpm;

/// <summary>
/// Runs rpm of this machine on a copy of a database: it leaves a lock and a log beside what it reads. What it warns of (it misses
/// its indexes) is dropped.
/// </summary>
static class RpmTool
{
    const int MagicBytes = 8;

    public static string Query(string database, string format)
    {
        using var copy = CopyOf(database);
        return Tool.Run("sh", ["-c", $"rpm --dbpath '{copy}' --nodigest --nosignature -qa --qf '{format}' 2>/dev/null"]);
    }

    /// <summary>Writes the headers of a database into a new one of SQLite.</summary>
    public static void Convert(string database, string newFolder)
    {
        using var copy = CopyOf(database);
        Directory.CreateDirectory(newFolder);
        Tool.Run("sh", ["-c", $"rpmdb --dbpath '{copy}' --exportdb 2>/dev/null | rpmdb --dbpath '{newFolder}' --define '_db_backend sqlite' --importdb"]);
    }

    /// <summary>The headers of a database as it keeps them, those of keys too.</summary>
    public static List<byte[]> Export(string database)
    {
        using var copy = CopyOf(database);
        using var process = Process.Start(new ProcessStartInfo("sh", ["-c", $"rpmdb --dbpath '{copy}' --exportdb 2>/dev/null"])
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
        })!;
        var stream = new MemoryStream();
        process.StandardOutput.BaseStream.CopyTo(stream);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
        var headers = new List<byte[]>();
        var exported = stream.ToArray().AsSpan();
        while (exported.Length > 0)
        {
            var entries = BinaryPrimitives.ReadInt32BigEndian(exported[MagicBytes..]);
            var length = 8 + (16 * entries) + BinaryPrimitives.ReadInt32BigEndian(exported[(MagicBytes + 4)..]);
            headers.Add(exported.Slice(MagicBytes, length).ToArray());
            exported = exported[(MagicBytes + length)..];
        }

        return headers;
    }

    static TemporaryFolder CopyOf(string database)
    {
        var folder = new TemporaryFolder();
        File.Copy(database, folder.File(Path.GetFileName(database)));
        return folder;
    }
}
