using System.Globalization;
using System.Text;

namespace Guestmark.Inventory.Repositories;

/// <summary>
/// The rpm packages of a scan by name, epoch, version, release and architecture, as histories name them, and the repository that was
/// found for each. Looking one up takes no memory: a history has tens of thousands of rows.
/// </summary>
sealed class InstalledPackages
{
    // Five texts of a row. The longest of the real databases of the tests has 130 characters.
    const int KeyCharsMax = 2048;

    readonly Dictionary<string, int> _slots = [];
    readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _lookup;
    readonly List<(string? Id, RepositoryEvidence Evidence, bool IsForeign)> _found = [];
    readonly List<uint?> _installTimes = [];
    readonly char[] _key = new char[KeyCharsMax];
    int _keyChars;

    public InstalledPackages(IEnumerable<Package> packages)
    {
        _lookup = _slots.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (var package in packages)
        {
            if (package.Manager != PackageManager.Rpm || !MakeKey(package)) continue;
            Names.Add(package.Name);
            // The same package may be in two databases, and a damaged one may have it twice.
            if (!_lookup.TryAdd(Key, _found.Count)) continue;
            _found.Add(default);
            _installTimes.Add(package.Rpm?.InstallTime);
        }

        Missing = _found.Count;
    }

    public HashSet<string> Names { get; } = [];

    /// <summary>Different packages; each has a number below this one.</summary>
    public int Count => _found.Count;

    /// <summary>Packages whose repository somebody may still name.</summary>
    public int Missing { get; private set; }

    ReadOnlySpan<char> Key => _key.AsSpan(0, Math.Max(_keyChars, 0));

    /// <summary>Whether nobody is to be asked for the repository of a package any more.</summary>
    public bool IsSettled(int number) => _found[number].Id is not null || _found[number].IsForeign;

    /// <summary>When a package was installed, in seconds since 1970. Null when it does not say so.</summary>
    public uint? InstallTimeOf(int number) => _installTimes[number];

    /// <summary>The repository of a package; null when none was found.</summary>
    public string? IdOf(int number) => _found[number].Id;

    /// <summary>What was found for a package. Null when nothing was.</summary>
    public (string Id, RepositoryEvidence Evidence)? Of(Package package) =>
        Find(package) is >= 0 and var number && _found[number] is { Id: { } id, Evidence: var evidence } ? (id, evidence) : null;

    /// <summary>Takes the repository of a package, unless it has one.</summary>
    public void Found(int number, string id, RepositoryEvidence evidence)
    {
        if (IsSettled(number)) return;
        _found[number] = (id, evidence, false);
        Missing--;
    }

    /// <summary>Takes that something which keeps no record installed a package, unless it has a repository: older records are of another installation.</summary>
    public void FoundForeign(int number)
    {
        if (IsSettled(number)) return;
        _found[number] = (null, default, true);
        Missing--;
    }

    /// <summary>The number of a package; -1 when it is not one of these.</summary>
    public int Find(Package package) => MakeKey(package) ? Lookup() : -1;

    /// <summary>The number of a package; -1 when it is not installed.</summary>
    /// <param name="epoch">0 for none.</param>
    public int Find(ReadOnlySpan<char> name, long epoch, ReadOnlySpan<byte> version, ReadOnlySpan<byte> release, ReadOnlySpan<char> architecture)
    {
        Begin(name, epoch);
        Add(version);
        Add(release);
        Add(architecture);
        return Lookup();
    }

    /// <inheritdoc cref="Find(ReadOnlySpan{char}, long, ReadOnlySpan{byte}, ReadOnlySpan{byte}, ReadOnlySpan{char})"/>
    public int Find(ReadOnlySpan<byte> name, long epoch, ReadOnlySpan<byte> version, ReadOnlySpan<byte> release, ReadOnlySpan<byte> architecture)
    {
        _keyChars = 0;
        Add(name);
        Add(epoch);
        Add(version);
        Add(release);
        Add(architecture);
        return Lookup();
    }

    /// <summary>The number of the package <c>name-[epoch:]version-release.arch</c>; -1 when it is not installed.</summary>
    public int Find(ReadOnlySpan<char> nevra)
    {
        var dot = nevra.LastIndexOf('.');
        var release = dot < 0 ? -1 : nevra[..dot].LastIndexOf('-');
        var version = release < 0 ? -1 : nevra[..release].LastIndexOf('-');
        if (version < 0) return -1;
        var versionText = nevra[(version + 1)..release];
        var epoch = 0u;
        var colon = versionText.IndexOf(':');
        if (colon >= 0 && !uint.TryParse(versionText[..colon], NumberStyles.None, CultureInfo.InvariantCulture, out epoch)) return -1;
        Begin(nevra[..version], epoch);
        Add(versionText[(colon + 1)..]);
        Add(nevra[(release + 1)..dot]);
        Add(nevra[(dot + 1)..]);
        return Lookup();
    }

    bool MakeKey(Package package)
    {
        Begin(package.Name, package.Epoch ?? 0);
        Add(package.Version);
        Add(package.Release);
        Add(package.Architecture);
        return _keyChars >= 0;
    }

    void Begin(ReadOnlySpan<char> name, long epoch)
    {
        _keyChars = 0;
        Add(name);
        Add(epoch);
    }

    void Add(long epoch)
    {
        Span<char> digits = stackalloc char[20];
        epoch.TryFormat(digits, out var length, provider: CultureInfo.InvariantCulture);
        Add(digits[..length]);
    }

    // A NUL ends each text: none can hold one, because rpm ends its texts with it.
    void Add(ReadOnlySpan<char> text)
    {
        if (_keyChars < 0 || _keyChars + text.Length >= KeyCharsMax)
        {
            _keyChars = -1;
            return;
        }

        text.CopyTo(_key.AsSpan(_keyChars));
        _keyChars += text.Length;
        _key[_keyChars++] = '\0';
    }

    void Add(ReadOnlySpan<byte> text)
    {
        // Bytes are never fewer than characters.
        if (_keyChars < 0 || _keyChars + text.Length >= KeyCharsMax)
        {
            _keyChars = -1;
            return;
        }

        _keyChars += Encoding.UTF8.GetChars(text, _key.AsSpan(_keyChars));
        _key[_keyChars++] = '\0';
    }

    int Lookup() => _keyChars >= 0 && _lookup.TryGetValue(Key, out var number) ? number : -1;
}
