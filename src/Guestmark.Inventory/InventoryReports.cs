using System.Globalization;
using System.Text;
using Guestmark.Wire.Reports;
using Scanner = Guestmark.Wire.Reports.Scanner;

namespace Guestmark.Inventory;

/// <summary>An inventory as the <c>VMReport</c> that agents push (proto/stackrox), and back.</summary>
/// <remarks>
/// The message has no field for the file name of the source rpm, for version and context of a module, or for single problems:
/// <see cref="Read"/> leaves <see cref="Package.SourceRpm"/> null and puts <c>name:stream</c> into <see cref="Package.ModularityLabel"/>; problems
/// are lines of <c>err</c>.
/// </remarks>
public static class InventoryReports
{
    /// <summary>Longer texts of a report are cut.</summary>
    public const int TextCharsMax = 1024;

    const int ErrorCharsMax = 16 * 1024;
    const string KindBinary = "binary";
    const string KindSource = "source";
    const string DistributionId = "1";
    const string RhelId = "rhel";

    /// <summary>The report of an inventory. It has no claims about the guest's identity: an agent may add them.</summary>
    public static VMReport Write(GuestInventory inventory)
    {
        var contents = new Scanner.Contents();
        contents.Distributions[DistributionId] = new Scanner.Distribution
        {
            Id = DistributionId,
            Did = inventory.Os.Id,
            VersionId = inventory.Os.VersionId,
            PrettyName = inventory.Os.PrettyName,
        };
        for (var i = 0; i < inventory.Packages.Count; i++)
        {
            var package = inventory.Packages[i];
            var id = (i + 1).ToString(CultureInfo.InvariantCulture);
            contents.Packages[id] = ToMessage(package, id);
            contents.Environments[id] = new Scanner.Environment.Types.List
            {
                Environments = { new Scanner.Environment { PackageDb = package.Database, DistributionId = DistributionId } },
            };
        }

        var success = inventory.Packages.Count > 0 || inventory.Problems.Count == 0;
        var isRhel = inventory.Os.Id == RhelId;
        return new VMReport
        {
            IndexReport = new IndexReport
            {
                IndexV4 = new Scanner.IndexReport
                {
                    State = success ? "IndexFinished" : "IndexError",
                    Success = success,
                    Err = JoinProblems(inventory.Problems),
                    Contents = contents,
                },
            },
            DiscoveredData = new DiscoveredData
            {
                DetectedOs = isRhel ? DetectedOS.Rhel : DetectedOS.Unknown,
                OsVersion = isRhel ? inventory.Os.VersionId : $"{inventory.Os.Id} {inventory.Os.VersionId}".Trim(),
            },
        };
    }

    /// <summary>
    /// The inventory of a report. Total: any report gives one. Entries that are not installed packages of rpm or dpkg are left out;
    /// those that should have been are counted in a problem. Packages are sorted by name, then by version as text.
    /// </summary>
    public static GuestInventory Read(VMReport report)
    {
        var index = report.IndexReport?.IndexV4;
        var contents = index?.Contents ?? new Scanner.Contents();
        var packages = new List<Package>();
        var skipped = 0;
        foreach (var (id, message) in contents.Packages)
        {
            if (message.Kind != KindBinary) continue;
            if (FromMessage(message, DatabaseOf(contents, id, message)) is { } package) packages.Add(package);
            else skipped++;
        }

        var problems = SplitProblems(index?.Err ?? "");
        if (index is null) problems.Add(new InventoryProblem("", "the report has no index"));
        if (skipped > 0)
        {
            problems.Add(new InventoryProblem(
                "", $"{skipped} packages of the report are left out: they have no name or no known package database"));
        }

        return new GuestInventory(
            OsOf(contents, report.DiscoveredData),
            [.. packages.OrderBy(package => package.Name, StringComparer.Ordinal).ThenBy(package => package.FullVersion, StringComparer.Ordinal)],
            problems);
    }

    static Scanner.Package ToMessage(Package package, string id)
    {
        var message = new Scanner.Package
        {
            Id = id,
            Name = package.Name,
            Version = package.FullVersion,
            Kind = KindBinary,
            PackageDb = package.Database,
            Module = ModuleOf(package.ModularityLabel),
            Arch = package.Architecture,
        };
        if (package.SourceName is not null)
        {
            message.Source = new Scanner.Package
            {
                Name = package.SourceName,
                Version = package.SourceVersion ?? "",
                Kind = KindSource,
                PackageDb = package.Database,
                Module = message.Module,
            };
        }

        return message;
    }

    static Package? FromMessage(Scanner.Package message, string database)
    {
        if (message.Name.Length == 0 || ManagerOf(database) is not { } manager) return null;
        var (epoch, version, release) = Package.SplitVersion(Cut(message.Version));
        return new Package
        {
            Manager = manager,
            Name = Cut(message.Name),
            Epoch = epoch,
            Version = version,
            Release = release,
            Architecture = Cut(message.Arch),
            ModularityLabel = message.Module.Length > 0 ? Cut(message.Module) : null,
            SourceName = message.Source?.Name is { Length: > 0 } sourceName ? Cut(sourceName) : null,
            SourceVersion = message.Source?.Version is { Length: > 0 } sourceVersion ? Cut(sourceVersion) : null,
            Database = Cut(database),
        };
    }

    static string DatabaseOf(Scanner.Contents contents, string id, Scanner.Package message)
    {
        if (message.PackageDb.Length > 0) return message.PackageDb;
        return contents.Environments.TryGetValue(id, out var list) && list.Environments.Count > 0 ? list.Environments[0].PackageDb : "";
    }

    static PackageManager? ManagerOf(string database)
    {
        if (database.StartsWith("bdb:", StringComparison.Ordinal) || database.StartsWith("sqlite:", StringComparison.Ordinal)
            || database.StartsWith("ndb:", StringComparison.Ordinal)) return PackageManager.Rpm;
        return database.EndsWith("dpkg/status", StringComparison.Ordinal) || database.Contains("dpkg/status.d", StringComparison.Ordinal)
            ? PackageManager.Dpkg : null;
    }

    static OsRelease OsOf(Scanner.Contents contents, DiscoveredData? discovered)
    {
        var distribution = contents.Distributions.TryGetValue(DistributionId, out var first) ? first : contents.Distributions.Values.FirstOrDefault();
        if (distribution is not null) return new OsRelease(Cut(distribution.Did), Cut(distribution.VersionId), Cut(distribution.PrettyName));
        if (discovered is null) return OsRelease.Unknown;
        var version = Cut(discovered.OsVersion);
        if (discovered.DetectedOs == DetectedOS.Rhel) return new OsRelease(RhelId, version, "");
        var blank = version.IndexOf(' ');
        return blank < 0 ? new OsRelease(version, "", "") : new OsRelease(version[..blank], version[(blank + 1)..], "");
    }

    static string ModuleOf(string? label)
    {
        if (label is null) return "";
        var afterName = label.IndexOf(':');
        var afterStream = afterName < 0 ? -1 : label.IndexOf(':', afterName + 1);
        return afterStream < 0 ? label : label[..afterStream];
    }

    /// <summary>One line for each problem, <c>path: message</c>.</summary>
    static string JoinProblems(IReadOnlyList<InventoryProblem> problems)
    {
        var text = new StringBuilder();
        for (var i = 0; i < problems.Count; i++)
        {
            var line = Cut($"{problems[i].Path}: {problems[i].Message}").ReplaceLineEndings(" ");
            if (text.Length + line.Length > ErrorCharsMax)
            {
                text.Append(CultureInfo.InvariantCulture, $"\n: {problems.Count - i} more problems");
                break;
            }

            if (i > 0) text.Append('\n');
            text.Append(line);
        }

        return text.ToString();
    }

    static List<InventoryProblem> SplitProblems(string error)
    {
        var problems = new List<InventoryProblem>();
        var read = 0;
        foreach (var line in error.AsSpan().EnumerateLines())
        {
            if (line.Length == 0) continue;
            if ((read += line.Length) > ErrorCharsMax + TextCharsMax)
            {
                problems.Add(new InventoryProblem("", "the report names more problems"));
                break;
            }

            var text = Cut(line.ToString());
            var separator = text.IndexOf(": ", StringComparison.Ordinal);
            // A path that Write wrote begins with a slash or is empty; anything else is another agent's own text.
            problems.Add(separator == 0 || (separator > 0 && text[0] == '/')
                ? new InventoryProblem(text[..separator], text[(separator + 2)..])
                : new InventoryProblem("", text));
        }

        return problems;
    }

    static string Cut(string text) => GuestText.Cut(text, TextCharsMax);
}
