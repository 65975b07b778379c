using System.Text;

namespace Guestmark.Inventory.Dpkg;

/// <summary>What is installed by one dpkg status file, and which stanzas could not be understood.</summary>
sealed record DpkgContents(IReadOnlyList<Package> Packages, IReadOnlyList<string> Problems);

/// <summary>Decodes dpkg's status file (deb822(5), deb-version(7)) from a stream of its bytes.</summary>
/// <remarks>
/// Stanzas end at an empty line. A line that begins with a blank continues the field before it; none of the five fields that
/// are taken has such lines.
/// <code>
/// Package: name
/// Status: want flag status             only the status "installed" is taken
/// Architecture: arch
/// Version: [epoch:]upstream[-revision] the revision follows the last "-"
/// Source: name [(version)]             absent when name and version are the package's own
/// </code>
/// </remarks>
sealed class DpkgStatus
{
    const int BufferBytes = 64 * 1024;
    // A folder status.d has hundreds of files of some hundred bytes.
    const int BufferBytesMin = 4096;
    // dpkg has no limit; the longest in Debian and Ubuntu is below 100 bytes.
    const int ValueBytesMax = 1024;
    const int ProblemsMax = 20;

    readonly string _database;
    readonly bool _installedWithoutStatus;
    readonly List<Package> _packages = [];
    readonly List<string> _problems = [];
    readonly Dictionary<string, string> _architectures = [];
    int _unlistedProblems;

    int _stanza = 1;
    bool _inStanza;
    string? _name;
    string? _status;
    string? _architecture;
    string? _version;
    string? _source;
    string? _error;

    DpkgStatus(string database, bool installedWithoutStatus)
    {
        _database = database;
        _installedWithoutStatus = installedWithoutStatus;
    }

    /// <summary>Reads a status file.</summary>
    /// <param name="database">What <see cref="Package.Database"/> shall say.</param>
    /// <param name="installedWithoutStatus">Files of <c>status.d</c> have no Status field: what has such a file is installed.</param>
    /// <exception cref="IOException">The disk does not give the file.</exception>
    public static DpkgContents Read(GuestFile file, string database, bool installedWithoutStatus, CancellationToken cancellation)
    {
        var reader = new DpkgStatus(database, installedWithoutStatus);
        reader.ReadLines(file, cancellation);
        reader.EndStanza();
        if (reader._unlistedProblems > 0) reader._problems.Add($"has {reader._unlistedProblems} more problems");
        return new DpkgContents(reader._packages, reader._problems);
    }

    void ReadLines(GuestFile file, CancellationToken cancellation)
    {
        var buffer = GC.AllocateUninitializedArray<byte>((int)Math.Clamp(file.Status.Size + 1, BufferBytesMin, BufferBytes));
        var filled = 0;
        long offset = 0;
        // Of a line longer than the buffer only the first part is looked at: no field that is wanted is that long.
        var inLongLine = false;
        // Beyond the bound the scanner leaves packages out, and says so.
        while (_packages.Count <= InventoryScanner.PackagesMax)
        {
            cancellation.ThrowIfCancellationRequested();
            var read = RandomAccess.Read(file.Handle, buffer.AsSpan(filled), offset);
            offset += read;
            filled += read;
            var rest = buffer.AsSpan(0, filled);
            while (rest.IndexOf((byte)'\n') is >= 0 and var end)
            {
                if (!inLongLine) Line(rest[..end]);
                inLongLine = false;
                rest = rest[(end + 1)..];
            }

            if (read == 0)
            {
                if (!inLongLine && rest.Length > 0) Line(rest);
                return;
            }

            if (rest.Length == buffer.Length)
            {
                if (!inLongLine) Line(rest);
                inLongLine = true;
                rest = default;
            }

            rest.CopyTo(buffer);
            filled = rest.Length;
        }
    }

    void Line(ReadOnlySpan<byte> line)
    {
        line = line.TrimEnd("\r"u8);
        if (line.Length == 0)
        {
            EndStanza();
            return;
        }

        _inStanza = true;
        if (line[0] is (byte)' ' or (byte)'\t') return;
        var colon = line.IndexOf((byte)':');
        if (colon <= 0)
        {
            _error ??= "has a line without a field name";
            return;
        }

        var value = line[(colon + 1)..].Trim(" \t"u8);
        var name = line[..colon];
        if (Ascii.EqualsIgnoreCase(name, "Package"u8)) Take(ref _name, value);
        else if (Ascii.EqualsIgnoreCase(name, "Status"u8)) Take(ref _status, value);
        else if (Ascii.EqualsIgnoreCase(name, "Architecture"u8)) Take(ref _architecture, value);
        else if (Ascii.EqualsIgnoreCase(name, "Version"u8)) Take(ref _version, value);
        else if (Ascii.EqualsIgnoreCase(name, "Source"u8)) Take(ref _source, value);
    }

    void Take(ref string? field, ReadOnlySpan<byte> value)
    {
        if (field is not null) _error ??= "names a field twice";
        else if (value.Length > ValueBytesMax) _error ??= $"has a field of {value.Length} bytes";
        else field = Encoding.UTF8.GetString(value);
    }

    void EndStanza()
    {
        if (!_inStanza) return;
        if (IsInstalled() && Decode() is { } error) AddProblem($"stanza {_stanza} ({(_name is null ? "without a name" : GuestText.Quote(_name))}) {error}");
        _stanza++;
        _inStanza = false;
        _name = _status = _architecture = _version = _source = _error = null;

        string? Decode()
        {
            if (_error is not null) return _error;
            if (string.IsNullOrEmpty(_name)) return "has no Package";
            if (string.IsNullOrEmpty(_version)) return "has no Version";
            var (epoch, upstream, revision) = Package.SplitVersion(_version);
            // What dpkg refuses (deb-version(7)): any first colon ends an epoch, and a hyphen has a revision behind it.
            if (epoch is null && _version.Contains(':')) return "has a Version whose epoch is not a number";
            if (revision.Length == 0 && _version.EndsWith('-')) return "has a Version with an empty revision";
            if (upstream.Length == 0) return "has a Version without an upstream part";
            var (sourceName, sourceVersion) = SplitSource();
            var architecture = _architecture ?? "";
            if (!_architectures.TryAdd(architecture, architecture)) architecture = _architectures[architecture];
            _packages.Add(new Package
            {
                Manager = PackageManager.Dpkg,
                Name = _name,
                Epoch = epoch,
                Version = upstream,
                Release = revision,
                Architecture = architecture,
                SourceName = sourceName,
                SourceVersion = sourceVersion,
                Database = _database,
            });
            return null;
        }
    }

    /// <summary>Whether the stanza is one to take. One that cannot be understood counts, so that its loss is seen.</summary>
    bool IsInstalled()
    {
        if (_status is null) return _installedWithoutStatus || _error is not null;
        var words = _status.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        if (words.Length == 3) return words[2] == "installed";
        _error ??= $"has a Status of {words.Length} words";
        return true;
    }

    (string? Name, string? Version) SplitSource()
    {
        if (string.IsNullOrEmpty(_source)) return (_name, _version);
        var open = _source.IndexOf('(');
        if (open < 0) return (_source, _version);
        return (_source[..open].TrimEnd(), _source[(open + 1)..].TrimEnd(')').Trim());
    }

    void AddProblem(string problem)
    {
        if (_problems.Count < ProblemsMax) _problems.Add(problem);
        else _unlistedProblems++;
    }
}
