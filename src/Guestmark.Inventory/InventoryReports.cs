using System.Globalization;
using System.Text;
using Guestmark.Wire.Protobuf;
using Guestmark.Wire.Reports;
using Scanner = Guestmark.Wire.Reports.Scanner;

namespace Guestmark.Inventory;

/// <summary>An inventory as the messages that agents send (proto/stackrox), and back.</summary>
/// <remarks>
/// The messages have no field for the file name of the source rpm, for version and context of a module, for licence, vendor, files and
/// details of rpm, or for single problems: <see cref="Read"/> leaves them null and puts <c>name:stream</c> into
/// <see cref="Package.ModularityLabel"/>; problems are lines of <c>err</c>.
/// Writing needs no generated code, which keeps its runtime out of the agent.
/// </remarks>
public static class InventoryReports
{
    /// <summary>Longer texts of a report are cut.</summary>
    public const int TextCharsMax = 1024;

    const int ErrorCharsMax = 16 * 1024;
    const int KernelsMax = 60;
    const int CpesMax = 64;
    const string KindBinary = "binary";
    const string KindSource = "source";
    const string DistributionId = "1";
    const string CpeRepositoryKey = "rhel-cpe-repository";
    const string RepositoryUriPrefix = "repoid=";
    const string RunningKernelFact = "kernel_running";
    const string InstalledKernelsFact = "kernels_installed";
    const string BootIdFact = "boot_id";
    const string ArchitectureFact = "architecture";

    // What the text before the colon of a package's database says; the rest of it is a folder or a file.
    static readonly (string Prefix, PackageManager Manager)[] DatabasePrefixes =
    [
        ("sqlite:", PackageManager.Rpm),
        ("bdb:", PackageManager.Rpm),
        ("ndb:", PackageManager.Rpm),
        ("manifest:", PackageManager.Rpm),
        ("python:", PackageManager.PyPI),
        ("nodejs:", PackageManager.Npm),
        ("maven:", PackageManager.Maven),
        ("go:", PackageManager.Go),
        ("nuget:", PackageManager.NuGet),
    ];

    /// <summary>
    /// Writes a <c>virtualmachine.v1.VMReport</c>, the body of a push. It has no claims about the guest's identity: the host knows it.
    /// </summary>
    public static void Write(GuestInventory inventory, ProtoWriter writer)
    {
        var report = writer.Begin(1);
        var index = writer.Begin(2);
        WriteIndexReport(inventory, writer);
        writer.End(index);
        writer.End(report);

        var (os, host) = (inventory.Os, inventory.Host);
        var discovered = writer.Begin(2);
        writer.Varint(1, (ulong)(os.IsRhel ? DetectedOS.Rhel : DetectedOS.Unknown));
        writer.Text(2, OsVersionOf(os));
        writer.Varint(3, (ulong)host.Activation);
        writer.Varint(4, (ulong)host.DnfMetadata);
        writer.End(discovered);

        foreach (var (name, value) in FactsOf(host)) writer.Entry(1000, name, value);
    }

    /// <summary>What StackRox calls the version of a system: the number alone of RHEL, which another field names, and the name as well of every other.</summary>
    public static string OsVersionOf(OsRelease os) => os.IsRhel ? os.VersionId : $"{os.Id} {os.VersionId}".Trim();

    /// <summary>What a machine says of itself that StackRox has no name for; only what is known. A push and the answer to a pull name it alike.</summary>
    public static IEnumerable<(string Name, string Value)> FactsOf(HostFacts host)
    {
        foreach (var (name, value) in ((string, string?)[])
            [
                (RunningKernelFact, host.RunningKernel),
                (InstalledKernelsFact, JoinKernels(host.InstalledKernels)),
                (BootIdFact, host.BootId),
                (ArchitectureFact, host.Architecture),
            ])
        {
            if (value is { Length: > 0 }) yield return (name, Cut(value));
        }
    }

    /// <summary>Writes the fields of a <c>scanner.v4.IndexReport</c>, the answer to a pull.</summary>
    public static void WriteIndexReport(GuestInventory inventory, ProtoWriter writer)
    {
        var success = inventory.Packages.Count > 0 || inventory.Problems.Count == 0;
        writer.Text(2, success ? "IndexFinished" : "IndexError");
        writer.Varint(3, success ? 1u : 0);
        var contents = writer.Begin(5);
        var left = WriteContents(inventory, writer);
        writer.End(contents);
        writer.Text(4, JoinProblems(left is null ? inventory.Problems : [.. inventory.Problems, new InventoryProblem("", left)]));
    }

    /// <summary>Writes the fields of a <c>scanner.v4.Contents</c>.</summary>
    /// <returns>What had to be left out; null when nothing.</returns>
    static string? WriteContents(GuestInventory inventory, ProtoWriter writer)
    {
        var entry = writer.Begin(6);
        writer.Text(1, DistributionId);
        var distribution = writer.Begin(2);
        writer.Text(1, DistributionId);
        writer.Text(2, inventory.Os.Id);
        writer.Text(6, inventory.Os.VersionId);
        writer.Text(9, inventory.Os.PrettyName);
        writer.End(distribution);
        writer.End(entry);

        var repositories = new RepositoryIds(writer);
        var hint = new StringBuilder();
        Span<char> digits = stackalloc char[11];
        for (var i = 0; i < inventory.Packages.Count; i++)
        {
            var package = inventory.Packages[i];
            (i + 1).TryFormat(digits, out var length, default, CultureInfo.InvariantCulture);
            var id = digits[..length];
            var references = repositories.Of(package.Repository);

            entry = writer.Begin(5);
            writer.Text(1, id);
            var message = writer.Begin(2);
            hint.Clear();
            RepositoryHint.Append(hint, package);
            WritePackage(writer, package, id, hint);
            writer.End(message);
            writer.End(entry);

            entry = writer.Begin(8);
            writer.Text(1, id);
            var list = writer.Begin(2);
            var environment = writer.Begin(1);
            writer.Text(1, package.Database);
            writer.Text(3, DistributionId);
            foreach (var reference in references) writer.Text(4, reference, evenIfDefault: true);
            writer.End(environment);
            writer.End(list);
            writer.End(entry);
        }

        return repositories.IsFull
            ? $"has more than {ReportValidator.RepositoriesMax} repositories, or packages that name more than {ReportValidator.RepositoryReferencesMax}; "
                + "the packages beyond have none in the report"
            : null;
    }

    static void WritePackage(ProtoWriter writer, Package package, ReadOnlySpan<char> id, StringBuilder hint)
    {
        var module = ModuleOf(package.ModularityLabel);
        writer.Text(1, id);
        writer.Text(2, package.Name);
        writer.Text(3, package.FullVersion);
        writer.Text(6, KindBinary);
        if (package.SourceName is not null)
        {
            var source = writer.Begin(7);
            writer.Text(2, package.SourceName);
            writer.Text(3, package.SourceVersion);
            writer.Text(6, KindSource);
            writer.Text(8, package.Database);
            writer.Text(10, module);
            writer.End(source);
        }

        writer.Text(8, package.Database);
        if (hint.Length > 0) writer.Text(9, hint.ToString());
        writer.Text(10, module);
        writer.Text(11, package.Architecture);
    }

    /// <summary>Whole names only, as many as fit.</summary>
    static string JoinKernels(IReadOnlyList<string> kernels)
    {
        var text = new StringBuilder();
        for (var i = 0; i < Math.Min(kernels.Count, KernelsMax); i++)
        {
            var kernel = kernels[i];
            // A folder of such a name belongs to no kernel.
            if (kernel.Length == 0 || kernel.Contains(',')) continue;
            if (text.Length + 1 + kernel.Length > TextCharsMax) break;
            if (text.Length > 0) text.Append(',');
            text.Append(kernel);
        }

        return text.ToString();
    }

    /// <summary>
    /// The inventory of a report. Total: any report gives one. Entries that are not installed packages are left out;
    /// those that should have been are counted in a problem. Packages are sorted by name, then by version as text.
    /// </summary>
    public static GuestInventory Read(VMReport report)
    {
        var index = report.IndexReport?.IndexV4;
        var contents = index?.Contents ?? new Scanner.Contents();
        var packages = new List<Package>();
        var repositories = new Repositories(contents);
        var skipped = 0;
        foreach (var (id, message) in contents.Packages)
        {
            if (message.Kind != KindBinary) continue;
            contents.Environments.TryGetValue(id, out var list);
            var environment = list?.Environments.Count > 0 ? list.Environments[0] : null;
            var database = message.PackageDb.Length > 0 ? message.PackageDb : environment?.PackageDb ?? "";
            if (FromMessage(message, database, repositories.Of(message, environment)) is { } package) packages.Add(package);
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
            problems)
        {
            Host = HostOf(report),
        };
    }

    static Package? FromMessage(Scanner.Package message, string database, PackageRepository? repository)
    {
        if (message.Name.Length == 0 || ManagerOf(database) is not { } manager) return null;
        var text = Cut(message.Version);
        // Only the versions of distributions have an epoch and a release; 1.0-rc1 of a language is one word.
        var (epoch, version, release) = manager is PackageManager.Rpm or PackageManager.Dpkg or PackageManager.Apk
            ? Package.SplitVersion(text) : (null, text, "");
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
            Repository = repository,
        };
    }

    static PackageManager? ManagerOf(string database)
    {
        foreach (var (prefix, manager) in DatabasePrefixes)
        {
            if (database.StartsWith(prefix, StringComparison.Ordinal)) return manager;
        }

        if (database.EndsWith("apk/db/installed", StringComparison.Ordinal)) return PackageManager.Apk;
        return database.EndsWith("dpkg/status", StringComparison.Ordinal) || database.Contains("dpkg/status.d", StringComparison.Ordinal)
            || database.EndsWith("opkg/status", StringComparison.Ordinal)
            ? PackageManager.Dpkg : null;
    }

    static HostFacts HostOf(VMReport report) => new()
    {
        RunningKernel = FactOf(report, RunningKernelFact),
        InstalledKernels = FactOf(report, InstalledKernelsFact)?.Split(',', StringSplitOptions.RemoveEmptyEntries).Take(KernelsMax).ToList() ?? [],
        BootId = FactOf(report, BootIdFact),
        Architecture = FactOf(report, ArchitectureFact),
        // A number that is newer than this version means that nothing is known.
        Activation = report.DiscoveredData?.ActivationStatus switch
        {
            ActivationStatus.Active => Activation.Active,
            ActivationStatus.Inactive => Activation.Inactive,
            _ => Activation.Unspecified,
        },
        DnfMetadata = report.DiscoveredData?.DnfMetadataStatus switch
        {
            DnfMetadataStatus.Available => DnfMetadata.Available,
            DnfMetadataStatus.Unavailable => DnfMetadata.Unavailable,
            _ => DnfMetadata.Unspecified,
        },
    };

    static string? FactOf(VMReport report, string name) => report.Facts.TryGetValue(name, out var value) && value.Length > 0 ? Cut(value) : null;

    static OsRelease OsOf(Scanner.Contents contents, DiscoveredData? discovered)
    {
        var distribution = contents.Distributions.TryGetValue(DistributionId, out var first) ? first : contents.Distributions.Values.FirstOrDefault();
        if (distribution is not null) return new OsRelease(Cut(distribution.Did), Cut(distribution.VersionId), Cut(distribution.PrettyName));
        if (discovered is null) return OsRelease.Unknown;
        var version = Cut(discovered.OsVersion);
        if (discovered.DetectedOs == DetectedOS.Rhel) return new OsRelease(OsRelease.RhelId, version, "");
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

    /// <summary>Gives each repository with a CPE its id in a report, and writes it where it first comes up.</summary>
    sealed class RepositoryIds(ProtoWriter writer)
    {
        readonly Dictionary<(string Id, string Cpe), string> _ids = [];
        // Many packages share one repository.
        readonly Dictionary<PackageRepository, string[]> _references = new(ReferenceEqualityComparer.Instance);
        int _referenceCount;

        /// <summary>A limit of <see cref="ReportValidator"/> was reached: what came later is not in the report.</summary>
        public bool IsFull { get; private set; }

        public string[] Of(PackageRepository? repository)
        {
            if (repository is null || repository.Cpes.Count == 0) return [];
            if (!_references.TryGetValue(repository, out var references))
            {
                references = [.. repository.Cpes.Take(CpesMax).Select(cpe => IdOf(repository.Id, cpe)).OfType<string>().Distinct()];
                _references.Add(repository, references);
            }

            if (_referenceCount + references.Length > ReportValidator.RepositoryReferencesMax)
            {
                IsFull = true;
                return [];
            }

            _referenceCount += references.Length;
            return references;
        }

        string? IdOf(string repository, string cpe)
        {
            if (_ids.TryGetValue((repository, cpe), out var id)) return id;
            if (_ids.Count == ReportValidator.RepositoriesMax)
            {
                IsFull = true;
                return null;
            }

            id = (_ids.Count + 1).ToString(CultureInfo.InvariantCulture);
            _ids.Add((repository, cpe), id);
            var entry = writer.Begin(7);
            writer.Text(1, id);
            var message = writer.Begin(2);
            writer.Text(1, id);
            writer.Text(2, cpe);
            writer.Text(3, CpeRepositoryKey);
            if (repository.Length > 0) writer.Text(4, RepositoryUriPrefix + Uri.EscapeDataString(repository));
            writer.Text(5, CpeName.ToFormattedString(cpe));
            writer.End(message);
            writer.End(entry);
            return id;
        }
    }

    /// <summary>The repositories of a report as its packages name them. Packages that name the same share the value.</summary>
    sealed class Repositories
    {
        readonly Dictionary<string, string> _cpes = [];
        readonly Dictionary<string, PackageRepository?> _repositories = [];
        readonly StringBuilder _key = new();

        public Repositories(Scanner.Contents contents)
        {
            foreach (var (id, repository) in contents.Repositories)
            {
                if (repository.Key == CpeRepositoryKey && repository.Name.Length > 0) _cpes[id] = Cut(repository.Name);
            }
        }

        public PackageRepository? Of(Scanner.Package package, Scanner.Environment? environment)
        {
            var hint = RepositoryHint.RepositoryPart(package.RepositoryHint);
            var references = environment?.RepositoryIds;
            if (hint.IsEmpty && (references is null || references.Count == 0)) return null;

            _key.Clear().Append(hint);
            for (var i = 0; i < Math.Min(references?.Count ?? 0, CpesMax); i++) _key.Append('\n').Append(references![i]);
            var key = _key.ToString();
            if (_repositories.TryGetValue(key, out var repository)) return repository;

            List<string> cpes = [];
            for (var i = 0; i < Math.Min(references?.Count ?? 0, CpesMax); i++)
            {
                if (_cpes.TryGetValue(references![i], out var cpe) && !cpes.Contains(cpe)) cpes.Add(cpe);
            }

            repository = RepositoryHint.Read(hint, cpes);
            _repositories.Add(key, repository);
            return repository;
        }
    }
}
