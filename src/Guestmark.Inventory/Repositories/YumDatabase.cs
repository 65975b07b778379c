using System.Text;

namespace Guestmark.Inventory.Repositories;

/// <summary>Reads from yum's database (RHEL 7 and before) which repository each installed package came from.</summary>
/// <remarks>
/// A folder for each package, without its epoch, with a file for each thing that yum noted (yum/rpmsack.py, RPMDBAdditionalDataPackage):
/// <code>var/lib/yum/yumdb/b/{SHA-1 of the header}-bash-4.2.46-34.el7-x86_64/from_repo</code>
/// The SHA-1 tells packages apart that differ only in what the name lacks. Where the rpm header has none, and yum took something else, the
/// folder of the letter is listed.
/// </remarks>
static class YumDatabase
{
    public const string Folder = "var/lib/yum/yumdb";

    const string FileName = "from_repo";
    const int IdBytesMax = 512;
    // Where many cannot be read, all cannot.
    const int ProblemsMax = 20;

    public static void Read(InventoryScan scan, InstalledPackages packages)
    {
        if (packages.Missing == 0 || scan.List(Folder).Count == 0) return;
        var folders = new Dictionary<char, Dictionary<string, string?>>();
        var problemsBefore = scan.Problems.Count;
        foreach (var package in scan.Packages)
        {
            scan.Cancellation.ThrowIfCancellationRequested();
            if (scan.Problems.Count - problemsBefore >= ProblemsMax)
            {
                scan.AddProblem(Folder, $"had {ProblemsMax} problems; the rest is not read");
                return;
            }

            // Names come from the guest and become part of a path.
            if (package.Manager != PackageManager.Rpm || package.Name.Length == 0 || package.Name[0] is '.' || package.Name.Contains('/')) continue;
            var number = packages.Find(package);
            if (number < 0 || packages.IsSettled(number)) continue;
            var letter = package.Name[0];
            var name = $"{package.Name}-{package.Version}-{package.Release}-{package.Architecture}";
            var id = package.Rpm?.Sha1Header is { Length: > 0 } sha1 ? ReadId(scan, $"{Folder}/{letter}/{sha1}-{name}") : null;
            if (id is null)
            {
                if (!folders.TryGetValue(letter, out var names)) folders[letter] = names = List(scan, letter);
                if (names.GetValueOrDefault(name) is { } folder) id = ReadId(scan, $"{Folder}/{letter}/{folder}");
            }

            if (id is not null) packages.Found(number, id, RepositoryEvidence.YumDatabase);
        }
    }

    /// <summary>The folders of a letter by what follows the SHA-1; null where two differ only in it, and nothing tells which is meant.</summary>
    static Dictionary<string, string?> List(InventoryScan scan, char letter)
    {
        var folders = new Dictionary<string, string?>();
        foreach (var folder in scan.List($"{Folder}/{letter}"))
        {
            var hyphen = folder.IndexOf('-');
            if (hyphen < 0) continue;
            var name = folder[(hyphen + 1)..];
            folders[name] = folders.ContainsKey(name) ? null : folder;
        }

        return folders;
    }

    static string? ReadId(InventoryScan scan, string folder)
    {
        // A version with slashes could lead to other files of the guest.
        if (folder.Contains("/../", StringComparison.Ordinal)) return null;
        if (scan.TryRead($"{folder}/{FileName}", IdBytesMax) is not { } bytes) return null;
        return Encoding.UTF8.GetString(bytes).Trim() is { Length: > 0 } id ? id : null;
    }
}
