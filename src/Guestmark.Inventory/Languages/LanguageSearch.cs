using System.Text;
using System.Text.Unicode;

namespace Guestmark.Inventory.Languages;

/// <summary>How far a search goes. A machine of 500,000 files in 50,000 folders takes some seconds.</summary>
sealed record LanguageSearchLimits
{
    public int FoldersMax { get; init; } = 500_000;

    public long EntriesMax { get; init; } = 10_000_000;

    /// <summary>Files that are opened.</summary>
    public int FilesMax { get; init; } = 1_000_000;

    /// <summary>Folders between the root and the deepest that is listed.</summary>
    public int DepthMax { get; init; } = 64;

    public TimeSpan TimeMax { get; init; } = TimeSpan.FromSeconds(60);
}

/// <summary>One walk over the file tree of a machine.</summary>
/// <remarks>
/// 1. The files that packages of the system own are collected, under the names that they have where /usr is merged.
/// 2. The folders are walked depth first and by name, so that the same tree gives the same order. Symbolic links are not followed. Of other
///    file systems those on disks of the machine are entered (<see cref="LocalFileSystem"/>), which are /home, /opt and /var of many; the others
///    are not, which is no problem: what is on a network is not installed here. A folder that is mounted twice is entered once.
/// 3. What a name makes interesting is read, unless it is owned or was read under another name (a hard link, a bind mount).
/// </remarks>
sealed class LanguageSearch(InventoryScan scan, LanguageSearchLimits limits, TimeProvider time)
{
    // The names that a merged /usr makes links of.
    static readonly string[] Aliases = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr/sbin", "/usr/bin", "/usr/lib64"];

    const int PathBytesMax = 4096;
    const int ProblemsMax = 100;
    const int MetadataBytesMax = 64 * 1024;
    const int PackageJsonBytesMax = 4 * 1024 * 1024;
    const int DependenciesBytesMax = 16 * 1024 * 1024;
    // The smallest program of Go has more than a megabyte; an empty file without an extension is common.
    const int ProgramBytesMin = 64 * 1024;
    // node_modules/.bin and /usr/bin have thousands.
    const int FilesOfFolderMax = 100_000;

    readonly HashSet<string> _owned = [];
    readonly HashSet<(ulong Device, ulong Inode)> _read = [];
    readonly HashSet<(ulong Device, ulong Inode)> _entered = [];
    // By device, whether it is entered: a machine with thousands of subvolumes is asked once for each.
    readonly Dictionary<ulong, bool> _devices = [];
    readonly Stack<Level> _levels = new();
    readonly TextPool _pool = new();
    readonly byte[] _header = new byte[ElfFile.HeaderBytes];
    readonly long _started = time.GetTimestamp();
    // Those that wait are counted as well: they take memory.
    int _folders = 1;
    long _entries;
    uint _rootType;
    int _tooDeep;
    string? _firstTooDeep;
    int _problems;
    int _unlistedProblems;
    string? _stop;

    public void Run()
    {
        CollectOwned();
        var error = scan.Root.TryOpenFolder("", out var root);
        if (root is null)
        {
            AddProblem("", $"cannot be searched for language packages: {error ?? "it is gone"}");
            return;
        }

        try
        {
            Walk(root);
        }
        finally
        {
            while (_levels.TryPop(out var level)) level.Folder.Dispose();
        }

        Conclude();
    }

    /// <summary>A folder whose subfolders are not all walked.</summary>
    sealed class Level(GuestFolder folder, List<string> subfolders)
    {
        public GuestFolder Folder => folder;

        public List<string> Subfolders => subfolders;

        public int Next { get; set; }
    }

    void CollectOwned()
    {
        var merged = new List<(string Alias, string Target)>();
        foreach (var alias in Aliases)
        {
            if (scan.Root.TryOpenFolder(alias, out var folder) is not null || folder is null) continue;
            using (folder)
            {
                if (folder.Path != alias) merged.Add((alias + "/", folder.Path + "/"));
            }
        }

        Span<byte> bytes = stackalloc byte[PathBytesMax];
        foreach (var package in scan.Packages)
        {
            if (package.Files is not { } files) continue;
            foreach (var file in files)
            {
                if (Encoding.UTF8.GetMaxByteCount(file.Path.Length) > PathBytesMax) continue;
                ReadOnlySpan<byte> path = bytes[..Encoding.UTF8.GetBytes(file.Path, bytes)];
                var slash = path.LastIndexOf((byte)'/');
                // With every file of every package at hand only some matter.
                if (slash < 0 || !LanguagePackages.IsCandidate(path[..(slash + 1)], path[(slash + 1)..])) continue;
                _owned.Add(file.Path);
                foreach (var (alias, target) in merged)
                {
                    if (file.Path.StartsWith(alias, StringComparison.Ordinal)) _owned.Add(target + file.Path[alias.Length..]);
                }
            }
        }
    }

    void Walk(GuestFolder root)
    {
        if ((root.TryStatus(out var rootStatus) ?? root.TryFileSystemType(out _rootType)) is { } error)
        {
            root.Dispose();
            AddProblem("", $"cannot be searched for language packages: {error}");
            return;
        }

        _devices.Add(rootStatus.Device, true);
        _entered.Add((rootStatus.Device, rootStatus.Inode));
        Enter(root);
        while (_levels.TryPeek(out var level))
        {
            if (_stop is not null) return;
            if (level.Next == level.Subfolders.Count)
            {
                _levels.Pop().Folder.Dispose();
                continue;
            }

            var name = level.Subfolders[level.Next++];
            if (_levels.Count > limits.DepthMax)
            {
                _tooDeep++;
                _firstTooDeep ??= $"{level.Folder.Path}/{name}";
                continue;
            }

            if (level.Folder.TryEnter(name, out var folder) is { } unopened)
                AddProblem($"{level.Folder.Path}/{name}", $"cannot be opened: {unopened}. Check who may read it");
            if (folder is null) continue;
            if (!IsToEnter(folder))
            {
                folder.Dispose();
                continue;
            }

            Enter(folder);
        }
    }

    /// <summary>Whether a folder is of this machine, and was not entered by another path.</summary>
    bool IsToEnter(GuestFolder folder)
    {
        if (folder.TryStatus(out var status) is { } error)
        {
            AddProblem(folder.Path, $"was not searched for language packages: {error}");
            return false;
        }

        if (!_devices.TryGetValue(status.Device, out var isPart))
        {
            if (folder.TryFileSystemType(out var type) is { } unknown)
                AddProblem(folder.Path, $"was not searched for language packages, for its file system does not tell its type: {unknown}");
            else
                isPart = LocalFileSystem.IsPartOf(_rootType, type);
            _devices.Add(status.Device, isPart);
        }

        // The numbers of files that a network or another program gives may name two folders; such a root is of one piece, and is walked whole.
        return isPart && (_entered.Add((status.Device, status.Inode)) || !LocalFileSystem.IsPartOf(_rootType, _rootType));
    }

    /// <summary>Lists a folder, reads what is of interest in it, and puts it on the stack.</summary>
    void Enter(GuestFolder folder)
    {
        var subfolders = new List<string>();
        _levels.Push(new Level(folder, subfolders));
        CheckLimits(folder.Path);
        if (_stop is not null) return;

        Span<byte> path = stackalloc byte[PathBytesMax];
        if (Encoding.UTF8.GetMaxByteCount(folder.Path.Length) + 1 > PathBytesMax)
        {
            AddProblem(folder.Path, "has too long a path and was not searched for language packages");
            return;
        }

        var pathLength = Encoding.UTF8.GetBytes(folder.Path, path);
        path[pathLength++] = (byte)'/';
        List<(string Name, LanguageFile Kind)>? found = null;
        using var entries = folder.Entries();
        while (entries.MoveNext())
        {
            if (++_entries > limits.EntriesMax)
            {
                CheckLimits(folder.Path);
                break;
            }

            // By its name first: most entries are of no interest, whatever they are.
            var kind = LanguageFiles.Classify(path[..pathLength], entries.Name);
            if (kind == LanguageFile.None && entries.Type is not (EntryType.Folder or EntryType.Unknown)) continue;
            if (!Utf8.IsValid(entries.Name))
            {
                AddProblem(folder.Path + "/" + Encoding.UTF8.GetString(entries.Name), "has a name that is not UTF-8 and is not looked at. Rename it");
                continue;
            }

            switch (folder.TypeOf(entries))
            {
                case EntryType.Folder:
                    var name = Encoding.UTF8.GetString(entries.Name);
                    if (IsPassedOver(folder.Path, name)) break;
                    _folders++;
                    subfolders.Add(name);
                    CheckLimits(folder.Path);
                    break;
                case EntryType.RegularFile when kind != LanguageFile.None:
                    (found ??= []).Add((Encoding.UTF8.GetString(entries.Name), kind));
                    break;
            }

            if (_stop is not null || found?.Count > FilesOfFolderMax) break;
        }

        if (entries.Error is { } error) AddProblem(folder.Path, $"cannot be listed: {error}");
        subfolders.Sort(StringComparer.Ordinal);
        if (found is null) return;
        if (found.Count > FilesOfFolderMax)
            AddProblem(folder.Path, $"has more than {FilesOfFolderMax} files that may be language packages; the others are not looked at");
        found.Sort(static (left, right) => string.CompareOrdinal(left.Name, right.Name));
        foreach (var (name, kind) in found)
        {
            CheckLimits(folder.Path);
            if (_stop is not null) return;
            Look(folder, name, kind);
        }
    }

    /// <summary>Folders in which there is nothing that is installed, or which belong to other machines.</summary>
    static bool IsPassedOver(string parent, string name)
    {
        // In any place.
        if (name is ".git" or ".hg" or ".svn" or "__pycache__" or "lost+found" or ".snapshots") return true;
        // Containers where docker and containerd were given another disk.
        if (name is "overlay2" or "io.containerd.snapshotter.v1.overlayfs") return true;
        // Containers of a user.
        if (name is "containers" or "docker" && parent.EndsWith("/.local/share", StringComparison.Ordinal)) return true;
        switch (parent)
        {
            case "":
                return IsApart(name);
            case "/var":
                return name is "tmp" or "run" or "cache" or "log" or "spool" or "lock";
            case "/var/lib":
                // File trees of containers and machines, and databases of the package managers.
                return name is "docker" or "containers" or "containerd" or "kubelet" or "rancher" or "k0s" or "crio"
                    or "lxc" or "lxcfs" or "lxd" or "incus"
                    or "machines" or "portables" or "snapd" or "flatpak" or "libvirt" or "rpm" or "dpkg" or "apt" or "dnf" or "yum";
            case "/usr":
                return name is "src" or "include";
            case "/usr/share":
                return name is "doc" or "man" or "info" or "locale" or "icons" or "zoneinfo" or "help" or "fonts" or "mime" or "terminfo";
            case "/usr/lib" or "/lib":
                return name is "modules" or "firmware" or "debug";
            default:
                return false;
        }
    }

    /// <summary>Folders of the root without installed files: of the kernel, of one boot, other roots (ostree, snap), the boot loader.</summary>
    static bool IsApart(string name) => name is "proc" or "sys" or "dev" or "run" or "tmp" or "boot" or "sysroot" or "ostree" or "snap";

    void Look(GuestFolder folder, string name, LanguageFile kind)
    {
        var path = $"{folder.Path}/{name}";
        if (_owned.Contains(path)) return;
        if (kind == LanguageFile.Program
            && (!folder.TryStatus(name, out var status) || !status.IsRegularFile || !status.IsExecutable || status.Size < ProgramBytesMin)) return;
        if (folder.TryOpenFile(name, out var opened) is { } error)
        {
            AddProblem(path, $"cannot be opened: {error}. Check who may read it");
            return;
        }

        if (opened is null) return;
        using var file = opened;
        if (!_read.Add((file.OpenedAs.Device, file.OpenedAs.Inode))) return;
        var before = scan.Packages.Count;
        try
        {
            var problem = kind switch
            {
                LanguageFile.PythonMetadata => ReadPython(file, folder.Path),
                LanguageFile.NodePackage => ReadNode(file, path),
                LanguageFile.DotNetDependencies => ReadDotNet(file, path),
                LanguageFile.JavaArchive => JavaArchive.Read(new ArchiveBytes(file), path[1..], scan.Packages, _pool, scan.Cancellation),
                _ => ReadProgram(file, path),
            };
            if (problem is not null) AddProblem(path, problem);
        }
        catch (IOException e)
        {
            AddProblem(path, $"cannot be read: {e.Message}");
        }

        if (scan.Packages.Count > InventoryScanner.PackagesMax && before <= InventoryScanner.PackagesMax)
            _stop = $"there are more than {InventoryScanner.PackagesMax} packages";
    }

    string? ReadPython(GuestFile file, string folder)
    {
        var bytes = ReadAll(file, MetadataBytesMax, out _);
        if (PythonMetadata.Read(bytes, _pool, out var package) is { } error) return error;
        // site-packages/NAME.dist-info/METADATA, site-packages/NAME.egg-info, site-packages/NAME.egg/EGG-INFO/PKG-INFO.
        var place = file.Path.EndsWith(".egg-info", StringComparison.Ordinal) ? folder : ParentOf(folder);
        if (folder.EndsWith(".egg/EGG-INFO", StringComparison.Ordinal)) place = ParentOf(place);
        scan.Packages.Add(package! with { Database = "python:" + place.TrimStart('/') });
        return null;
    }

    string? ReadNode(GuestFile file, string path)
    {
        var bytes = ReadAll(file, PackageJsonBytesMax, out var isCut);
        if (isCut) return $"has more than {PackageJsonBytesMax} bytes and is not read";
        if (NodePackage.Read(bytes, _pool, out var package) is { } error) return error;
        if (package is not null) scan.Packages.Add(package with { Database = "nodejs:" + path[1..] });
        return null;
    }

    string? ReadDotNet(GuestFile file, string path)
    {
        var bytes = ReadAll(file, DependenciesBytesMax, out var isCut);
        return isCut ? $"has more than {DependenciesBytesMax} bytes and is not read"
            : DotNetDependencies.Read(bytes, "nuget:" + path[1..], _pool, scan.Packages);
    }

    string? ReadProgram(GuestFile file, string path)
    {
        // Not ELF: a script. Shorter than its header: not a program.
        if (file.Read(_header, 0) < _header.Length || !ElfFile.TryRead(_header, out var elf)) return null;
        return GoProgram.Read(elf, new FileWindow(file.Handle, file.OpenedAs.Size, GoProgram.ReadAheadBytes),
            "go:" + path[1..], _pool, scan.Packages);
    }

    /// <summary>The bytes of a file, as many as are allowed.</summary>
    /// <exception cref="IOException">The disk does not give them.</exception>
    static ReadOnlySpan<byte> ReadAll(GuestFile file, int bytesMax, out bool isCut)
    {
        var bytes = new byte[(int)Math.Min(file.OpenedAs.Size, bytesMax)];
        var filled = 0;
        while (filled < bytes.Length)
        {
            var read = file.Read(bytes.AsSpan(filled), filled);
            if (read == 0) break;
            filled += read;
        }

        isCut = file.OpenedAs.Size > bytesMax;
        return bytes.AsSpan(0, filled);
    }

    static string ParentOf(string folder) => folder[..Math.Max(0, folder.LastIndexOf('/'))];

    void CheckLimits(string path)
    {
        scan.Cancellation.ThrowIfCancellationRequested();
        if (_stop is not null) return;
        if (_folders > limits.FoldersMax) Stop($"there are more than {limits.FoldersMax} folders");
        else if (_entries > limits.EntriesMax) Stop($"there are more than {limits.EntriesMax} files");
        else if (_read.Count > limits.FilesMax) Stop($"more than {limits.FilesMax} files may be language packages");
        else if (time.GetElapsedTime(_started) > limits.TimeMax) Stop($"it took longer than {limits.TimeMax.TotalSeconds:0} s");

        void Stop(string why) => _stop = $"{why}; the search was at {GuestText.Quote(path + "/")}";
    }

    void Conclude()
    {
        if (_stop is not null) scan.AddProblem("", $"was not searched to its end for language packages: {_stop}");
        if (_tooDeep > 0)
            AddProblem(_firstTooDeep!,
                $"and {_tooDeep - 1} more folders lie deeper than {limits.DepthMax} and were not searched for language packages");
        if (_unlistedProblems > 0) scan.AddProblem("", $"has {_unlistedProblems} more problems with language packages");
    }

    /// <param name="path">Absolute.</param>
    void AddProblem(string path, string message)
    {
        if (++_problems <= ProblemsMax) scan.AddProblem(path.TrimStart('/'), message);
        else _unlistedProblems++;
    }
}
