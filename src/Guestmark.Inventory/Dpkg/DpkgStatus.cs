using System.Text;

namespace Guestmark.Inventory.Dpkg;

/// <summary>What is installed by one dpkg status file, and which stanzas could not be understood.</summary>
/// <param name="BytesRead">Bytes of the file that were read.</param>
sealed record DpkgContents(IReadOnlyList<Package> Packages, IReadOnlyList<string> Problems, long BytesRead);

/// <summary>Decodes dpkg's status file (deb822(5), deb-version(7)) from a stream of its bytes.</summary>
/// <remarks>
/// Stanzas end at an empty line. A line that begins with a blank continues the field before it; none of the fields that
/// are taken has such lines.
/// <code>
/// Package: name
/// Status: want flag status             only the status "installed" is taken
/// Architecture: arch
/// Version: [epoch:]upstream[-revision] the revision follows the last "-"
/// Source: name [(version)]             absent when name and version are the package's own
/// Maintainer: name &lt;address&gt;
/// </code>
/// The fields of a stanza are kept as bytes until it ends: text is only made of what is kept, and once for what repeats.
/// </remarks>
sealed class DpkgStatus
{
    // dpkg has no limit; the longest in Debian and Ubuntu is below 100 bytes, and 260 for a Maintainer.
    const int ValueBytesMax = 1024;
    const int ProblemsMax = 20;

    readonly string _database;
    readonly bool _installedWithoutStatus;
    readonly List<Package> _packages = [];
    readonly List<string> _problems = [];
    readonly TextPool _pool;
    int _unlistedProblems;

    readonly byte[] _values = new byte[(int)Field.Count * ValueBytesMax];
    readonly int[] _lengths = new int[(int)Field.Count];
    int _stanza = 1;
    bool _inStanza;
    string? _error;

    // Packages of one source follow each other with one version.
    string? _splitText;
    (uint? Epoch, string Upstream, string Revision) _split;

    DpkgStatus(string database, bool installedWithoutStatus, TextPool pool)
    {
        _database = database;
        _installedWithoutStatus = installedWithoutStatus;
        _pool = pool;
        _lengths.AsSpan().Fill(Absent);
    }

    enum Field
    {
        Package,
        Status,
        Architecture,
        Version,
        Source,
        Maintainer,
        Count,
    }

    const int Absent = -1;

    /// <summary>Reads a status file.</summary>
    /// <param name="database">What <see cref="Package.Database"/> shall say.</param>
    /// <param name="installedWithoutStatus">Files of <c>status.d</c> have no Status field: what has such a file is installed.</param>
    /// <param name="bytesMax">What is read of the file at most.</param>
    /// <exception cref="IOException">The disk does not give the file.</exception>
    public static DpkgContents Read(GuestFile file, string database, bool installedWithoutStatus, long bytesMax, FileLines lines, TextPool pool)
    {
        var reader = new DpkgStatus(database, installedWithoutStatus, pool);
        lines.Begin(file, bytesMax);
        // Beyond the bound the scanner leaves packages out, and says so.
        while (reader._packages.Count <= InventoryScanner.PackagesMax && lines.TryNext(out var line)) reader.Line(line);
        if (lines.IsCut) reader._problems.Add($"has more than {bytesMax} bytes; the packages behind them are left out");
        else reader.EndStanza();
        if (reader._unlistedProblems > 0) reader._problems.Add($"has {reader._unlistedProblems} more problems");
        return new DpkgContents(reader._packages, reader._problems, lines.BytesRead);
    }

    void Line(ReadOnlySpan<byte> line)
    {
        line = line.TrimEnd((byte)'\r');
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

        var name = line[..colon];
        // Most lines are of other fields: one look at the first letter passes over nearly all of them.
        switch (name[0] | 0x20)
        {
            case 'p' when Ascii.EqualsIgnoreCase(name, "Package"u8): Take(Field.Package, line[(colon + 1)..]); break;
            case 's' when Ascii.EqualsIgnoreCase(name, "Status"u8): Take(Field.Status, line[(colon + 1)..]); break;
            case 's' when Ascii.EqualsIgnoreCase(name, "Source"u8): Take(Field.Source, line[(colon + 1)..]); break;
            case 'a' when Ascii.EqualsIgnoreCase(name, "Architecture"u8): Take(Field.Architecture, line[(colon + 1)..]); break;
            case 'v' when Ascii.EqualsIgnoreCase(name, "Version"u8): Take(Field.Version, line[(colon + 1)..]); break;
            case 'm' when Ascii.EqualsIgnoreCase(name, "Maintainer"u8): Take(Field.Maintainer, line[(colon + 1)..]); break;
        }
    }

    void Take(Field field, ReadOnlySpan<byte> value)
    {
        value = value.Trim(" \t"u8);
        ref var length = ref _lengths[(int)field];
        // Who maintains a package is no reason to lose it.
        if (field == Field.Maintainer && (length != Absent || value.Length > ValueBytesMax)) return;
        if (length != Absent)
        {
            _error ??= "names a field twice";
        }
        else if (value.Length > ValueBytesMax)
        {
            _error ??= $"has a field of {value.Length} bytes";
        }
        else
        {
            value.CopyTo(_values.AsSpan((int)field * ValueBytesMax));
            length = value.Length;
        }
    }

    /// <summary>The value of a field, empty when it is absent.</summary>
    ReadOnlySpan<byte> Value(Field field) => _values.AsSpan((int)field * ValueBytesMax, Math.Max(0, _lengths[(int)field]));

    void EndStanza()
    {
        if (!_inStanza) return;
        if (IsInstalled() && Decode() is { } error)
        {
            var name = _lengths[(int)Field.Package] == Absent ? "without a name" : GuestText.Quote(Encoding.UTF8.GetString(Value(Field.Package)));
            AddProblem($"stanza {_stanza} ({name}) {error}");
        }

        _stanza++;
        _inStanza = false;
        _lengths.AsSpan().Fill(Absent);
        _error = null;
    }

    string? Decode()
    {
        if (_error is not null) return _error;
        if (Value(Field.Package).IsEmpty) return "has no Package";
        if (Value(Field.Version).IsEmpty) return "has no Version";
        var version = _pool.Text(Value(Field.Version));
        if (!ReferenceEquals(version, _splitText))
        {
            _splitText = version;
            _split = Package.SplitVersion(version);
        }

        var (epoch, upstream, revision) = _split;
        // What dpkg refuses (deb-version(7)): any first colon ends an epoch, and a hyphen has a revision behind it.
        if (epoch is null && version.Contains(':')) return "has a Version whose epoch is not a number";
        if (revision.Length == 0 && version.EndsWith('-')) return "has a Version with an empty revision";
        if (upstream.Length == 0) return "has a Version without an upstream part";
        var name = Encoding.UTF8.GetString(Value(Field.Package));
        var (sourceName, sourceVersion) = SplitSource(name, version);
        _packages.Add(new Package
        {
            Manager = PackageManager.Dpkg,
            Name = name,
            Epoch = epoch,
            Version = upstream,
            Release = revision,
            Architecture = _pool.Text(Value(Field.Architecture)),
            SourceName = sourceName,
            SourceVersion = sourceVersion,
            Vendor = Value(Field.Maintainer).IsEmpty ? null : _pool.Text(Value(Field.Maintainer)),
            Database = _database,
        });
        return null;
    }

    /// <summary>Whether the stanza is one to take. One that cannot be understood counts, so that its loss is seen.</summary>
    bool IsInstalled()
    {
        if (_lengths[(int)Field.Status] == Absent) return _installedWithoutStatus || _error is not null;
        var words = 0;
        var isInstalled = false;
        var rest = Value(Field.Status);
        while ((rest = rest.TrimStart(" \t"u8)).Length > 0)
        {
            var end = rest.IndexOfAny(" \t"u8);
            var word = end < 0 ? rest : rest[..end];
            rest = rest[word.Length..];
            if (++words == 3) isInstalled = word.SequenceEqual("installed"u8);
        }

        if (words == 3) return isInstalled;
        _error ??= $"has a Status of {words} words";
        return true;
    }

    (string Name, string Version) SplitSource(string name, string version)
    {
        var source = Value(Field.Source);
        if (source.IsEmpty) return (name, version);
        var open = source.IndexOf((byte)'(');
        if (open < 0) return (_pool.Text(source), version);
        return (_pool.Text(source[..open].TrimEnd(" \t"u8)), _pool.Text(source[(open + 1)..].TrimEnd((byte)')').Trim(" \t"u8)));
    }

    void AddProblem(string problem)
    {
        if (_problems.Count < ProblemsMax) _problems.Add(problem);
        else _unlistedProblems++;
    }
}
