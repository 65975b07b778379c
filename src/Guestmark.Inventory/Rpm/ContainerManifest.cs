using System.Globalization;
using System.Text;

namespace Guestmark.Inventory.Rpm;

/// <summary>Reads the list of packages that CBL-Mariner and Azure Linux leave in images without rpm ("distroless").</summary>
/// <remarks>
/// One package a line, as <c>rpm -qa --qf</c> printed it when the image was built, ten columns parted by tabs:
/// <code>
/// NAME, VERSION-RELEASE, INSTALLTIME, BUILDTIME, VENDOR, EPOCH, SIZE, ARCH, EPOCHNUM, SOURCERPM
/// </code>
/// What a package lacks is <c>(none)</c>; EPOCHNUM is then 0.
/// </remarks>
static class ContainerManifest
{
    public const string Path = "var/lib/rpmmanifest/container-manifest-2";

    // 100 bytes a package.
    const int BytesMax = 16 << 20;
    const int Columns = 10;
    const int ColumnBytesMax = RpmHeader.NameBytesMax;
    const string Database = "manifest:var/lib/rpmmanifest";

    static ReadOnlySpan<byte> None => "(none)"u8;

    /// <summary>Reads the manifest of a machine, if there is one.</summary>
    public static void Read(InventoryScan scan)
    {
        var problems = scan.Problems.Count;
        var file = scan.TryRead(Path, BytesMax);
        if (file is null && scan.Problems.Count == problems) return;
        scan.Databases++;
        var wrong = Decode(file, scan.Packages, scan.Cancellation);
        if (wrong > 0)
            scan.AddProblem(Path, $"has {wrong} lines that are not the ten columns of a package: these are missing. Check it against the image it came with");
    }

    /// <summary>Appends the packages of a manifest.</summary>
    /// <returns>How many lines name no package.</returns>
    public static int Decode(ReadOnlySpan<byte> file, List<Package> packages, CancellationToken cancellation)
    {
        var pool = new TextPool();
        var wrong = 0;
        for (var number = 1u; file.Length > 0 && packages.Count < InventoryScanner.PackagesMax; number++)
        {
            cancellation.ThrowIfCancellationRequested();
            var end = file.IndexOf((byte)'\n');
            var line = end < 0 ? file : file[..end];
            file = end < 0 ? default : file[(end + 1)..];
            if (line.Length == 0) continue;
            if (PackageOf(line, number, pool) is { } package) packages.Add(package);
            else wrong++;
        }

        return wrong;
    }

    static Package? PackageOf(ReadOnlySpan<byte> line, uint number, TextPool pool)
    {
        Span<Range> columns = stackalloc Range[Columns + 1];
        // One more than there are, so that a line of eleven columns is told from one of ten.
        var count = 0;
        foreach (var column in line.Split((byte)'\t'))
        {
            if (count == columns.Length) break;
            columns[count++] = column;
            if (line[column].Length > ColumnBytesMax) return null;
        }

        if (count != Columns) return null;
        var name = line[columns[0]];
        var evr = line[columns[1]];
        var hyphen = evr.LastIndexOf((byte)'-');
        if (name.Length == 0 || hyphen <= 0 || hyphen == evr.Length - 1) return null;
        uint? epoch = null;
        if (!line[columns[5]].SequenceEqual(None))
        {
            epoch = Number(line[columns[5]]);
            if (epoch is null) return null;
        }

        var sourceRpm = TextOf(line[columns[9]], pool);
        var (sourceName, sourceVersion) = RpmPackages.SourceOf(sourceRpm);
        return new Package
        {
            Manager = PackageManager.Rpm,
            Name = Encoding.UTF8.GetString(name),
            Epoch = epoch,
            Version = pool.Text(evr[..hyphen]),
            Release = pool.Text(evr[(hyphen + 1)..]),
            Architecture = TextOf(line[columns[7]], pool) ?? "",
            SourceRpm = sourceRpm,
            SourceName = sourceName,
            SourceVersion = sourceVersion,
            Database = Database,
            Vendor = TextOf(line[columns[4]], pool),
            Rpm = new RpmDetails
            {
                Number = number,
                InstallTime = Number(line[columns[2]]),
                BuildTime = Number(line[columns[3]]),
                Size = Number(line[columns[6]]),
            },
        };
    }

    static string? TextOf(ReadOnlySpan<byte> column, TextPool pool) => column.Length == 0 || column.SequenceEqual(None) ? null : pool.Text(column);

    static uint? Number(ReadOnlySpan<byte> column) =>
        uint.TryParse(column, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
}
