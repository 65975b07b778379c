namespace Guestmark.Inventory.Rpm;

/// <summary>What was read of one rpm database: the packages of all headers that are whole, and what is wrong with the others.</summary>
/// <param name="backend">As in a report: <c>bdb</c>, <c>ndb</c>, <c>sqlite</c>. Null when the file is none that can be read.</param>
sealed class DatabaseContents(string? backend, PackageRequest request)
{
    /// <summary>A damaged database can be wrong in every row; more than this helps nobody.</summary>
    const int ProblemsMax = 20;

    // Each bad header costs a read of up to 64 KB, and a hostile file of 4 GiB can name a hundred million of them.
    const int FailuresMax = 10_000;

    /// <summary>Imported keys lie among rpm's packages under this name.</summary>
    const string KeyName = "gpg-pubkey";

    // A machine has one for each vendor it takes packages from.
    const int KeysMax = 1000;

    readonly List<string> _problems = [];
    readonly RpmHeader _header = new(request, $"{backend}:{request.Folder}");
    int _failures;

    public string? Backend => backend;

    /// <summary>In the order of the database, without keys.</summary>
    public List<Package> Packages { get; } = [];

    /// <summary>Keys that rpm trusts, at most <see cref="KeysMax"/>.</summary>
    public List<Package> Keys { get; } = [];

    /// <summary>No more headers are taken.</summary>
    public bool IsFull { get; private set; }

    public IReadOnlyList<string> Problems =>
        _failures <= ProblemsMax ? _problems : [.. _problems, $"has {_failures - ProblemsMax} more problems"];

    /// <summary>When the newest package was installed, in seconds since 1970; 0 when no package says.</summary>
    public uint NewestInstallTime
    {
        get
        {
            uint newest = 0;
            foreach (var package in Packages) newest = Math.Max(newest, package.Rpm?.InstallTime ?? 0);
            return newest;
        }
    }

    public void AddProblem(string problem)
    {
        if (++_failures <= ProblemsMax) _problems.Add(problem);
        IsFull |= _failures >= FailuresMax;
    }

    /// <summary>Decodes one header and takes its package, or what is wrong with it.</summary>
    public void Add(ChainedBytes blob, uint number, TextPool pool)
    {
        if (Packages.Count == InventoryScanner.PackagesMax)
        {
            IsFull = true;
            AddProblem($"has more than {InventoryScanner.PackagesMax} packages; the others are left out");
            return;
        }

        if (_header.TryRead(blob, number, pool, out var package) is { } error) AddProblem($"header {number} {error}");
        else if (package!.Name != KeyName) Packages.Add(package);
        else if (Keys.Count < KeysMax) Keys.Add(package);
        if (_header.FileProblem is { } fileProblem) AddProblem($"header {number} {fileProblem}");
    }
}
