using System.Buffers.Text;
using System.Text;

namespace Guestmark.Inventory.Apk;

/// <summary>Decodes apk's database of installed packages (apk-tools, src/database.c) from a stream of its bytes.</summary>
/// <remarks>
/// A record ends at an empty line; each line is a letter, a colon and a value. Those that are taken:
/// <code>
/// P:name   V:version   A:architecture   o:name of the source package   L:licence   m:maintainer
/// F:folder without a leading slash      R:name of a file in that folder
/// Z:"Q1" and SHA-1, or "Q2" and SHA-256, in base64, of the file before it
/// </code>
/// </remarks>
sealed class ApkInstalled
{
    /// <summary>Files that are taken at most.</summary>
    public const int FilesMax = 4_000_000;

    // apk has no limit; the longest licence of Alpine has some 300 bytes.
    const int ValueBytesMax = 2048;
    const int PathBytesMax = 4096;
    const int ProblemsMax = 20;
    const int Sha1Bytes = 20;
    const int Sha256Bytes = 32;

    readonly string _database;
    readonly FileSelector? _selector;
    readonly List<Package> _packages;
    readonly TextPool _pool;
    readonly List<string> _problems = [];
    int _unlistedProblems;
    int _filesTaken;

    int _record = 1;
    bool _inRecord;
    string? _name;
    string? _version;
    string? _architecture;
    string? _origin;
    string? _license;
    string? _maintainer;
    string? _error;
    List<PackageFile>? _files;
    readonly byte[] _folder = new byte[PathBytesMax];
    int _folderLength;
    bool _isFileTaken;

    ApkInstalled(string database, FileSelector? selector, List<Package> packages, TextPool pool)
    {
        _database = database;
        _selector = selector;
        _packages = packages;
        _pool = pool;
        EndRecord();
    }

    /// <summary>Reads a database and adds its packages. What is wrong with it.</summary>
    /// <param name="database">What <see cref="Package.Database"/> shall say.</param>
    /// <param name="selector">Which files are wanted. Null: none.</param>
    /// <exception cref="IOException">The disk does not give the file.</exception>
    public static IReadOnlyList<string> Read(
        GuestFile file, string database, FileSelector? selector, List<Package> packages, FileLines lines, TextPool pool)
    {
        var reader = new ApkInstalled(database, selector, packages, pool);
        lines.Begin(file, ApkPackages.DatabaseBytesMax);
        // Beyond the bound the scanner leaves packages out, and says so.
        while (packages.Count <= InventoryScanner.PackagesMax && lines.TryNext(out var line)) reader.Line(line);
        if (lines.IsCut) reader._problems.Add($"has more than {ApkPackages.DatabaseBytesMax} bytes; the packages behind them are left out");
        else reader.EndRecord();
        if (reader._filesTaken >= FilesMax) reader._problems.Add($"has more than {FilesMax} files; the others are left out");
        if (reader._unlistedProblems > 0) reader._problems.Add($"has {reader._unlistedProblems} more problems");
        return reader._problems;
    }

    /// <summary>
    /// Splits <c>1.2.3-r4</c>: the release is what follows the last hyphen where that is <c>r</c> with digits, so that the two joined by a
    /// hyphen are the text again.
    /// </summary>
    internal static (string Version, string Release) SplitVersion(string text)
    {
        var hyphen = text.LastIndexOf('-');
        if (hyphen <= 0 || hyphen + 2 >= text.Length || text[hyphen + 1] != 'r') return (text, "");
        return text.AsSpan(hyphen + 2).IndexOfAnyExceptInRange('0', '9') < 0 ? (text[..hyphen], text[(hyphen + 1)..]) : (text, "");
    }

    void Line(ReadOnlySpan<byte> line)
    {
        if (line.IsEmpty)
        {
            EndRecord();
            return;
        }

        _inRecord = true;
        if (line.Length < 2 || line[1] != ':')
        {
            _error ??= "has a line that is not a letter, a colon and a value";
            return;
        }

        var value = line[2..];
        switch (line[0])
        {
            case (byte)'P': Take(ref _name, value); break;
            case (byte)'V': Take(ref _version, value); break;
            case (byte)'A': Take(ref _architecture, value); break;
            case (byte)'o': Take(ref _origin, value); break;
            case (byte)'L': Take(ref _license, value); break;
            case (byte)'m': Take(ref _maintainer, value); break;
            case (byte)'F' when _selector is not null: EnterFolder(value); break;
            case (byte)'R' when _selector is not null: AddFile(value); break;
            case (byte)'Z' when _isFileTaken: AddDigest(value); break;
        }
    }

    void Take(ref string? field, ReadOnlySpan<byte> value)
    {
        if (field is not null) _error ??= "names a field twice";
        else if (value.Length > ValueBytesMax) _error ??= $"has a field of {value.Length} bytes";
        else field = _pool.Text(value);
    }

    void EnterFolder(ReadOnlySpan<byte> value)
    {
        _isFileTaken = false;
        // "F:" is the root. What cannot be a path of Linux has no files for us.
        if (value.Length > PathBytesMax - 2)
        {
            _folderLength = 0;
            return;
        }

        _folder[0] = (byte)'/';
        value.CopyTo(_folder.AsSpan(1));
        _folderLength = value.Length + 1;
        if (value.Length > 0) _folder[_folderLength++] = (byte)'/';
    }

    void AddFile(ReadOnlySpan<byte> name)
    {
        _isFileTaken = false;
        if (_folderLength == 0 || name.IsEmpty || _folderLength + name.Length > PathBytesMax || _filesTaken >= FilesMax) return;
        var folder = _folder.AsSpan(0, _folderLength);
        if (!_selector!(folder, name)) return;
        Span<byte> path = stackalloc byte[PathBytesMax];
        folder.CopyTo(path);
        name.CopyTo(path[folder.Length..]);
        (_files ??= []).Add(new PackageFile(Encoding.UTF8.GetString(path[..(folder.Length + name.Length)]), null, 0));
        _filesTaken++;
        _isFileTaken = true;
    }

    void AddDigest(ReadOnlySpan<byte> value)
    {
        _isFileTaken = false;
        Span<byte> digest = stackalloc byte[Sha256Bytes];
        var length = value.StartsWith("Q1"u8) ? Sha1Bytes : value.StartsWith("Q2"u8) ? Sha256Bytes : 0;
        if (length == 0 || Base64.DecodeFromUtf8(value[2..], digest, out _, out var written) != System.Buffers.OperationStatus.Done
            || written != length) return;
        _files![^1] = _files[^1] with { Digest = Convert.ToHexStringLower(digest[..length]) };
    }

    void EndRecord()
    {
        if (_inRecord)
        {
            if (Decode() is { } error)
            {
                var problem = $"record {_record} ({(_name is null ? "without a name" : GuestText.Quote(_name))}) {error}";
                if (_problems.Count < ProblemsMax) _problems.Add(problem);
                else _unlistedProblems++;
            }

            _record++;
        }

        _inRecord = false;
        _name = _version = _architecture = _origin = _license = _maintainer = _error = null;
        _files = null;
        _isFileTaken = false;
        // Files before the first folder line lie in the root.
        _folder[0] = (byte)'/';
        _folderLength = 1;
    }

    string? Decode()
    {
        if (_error is not null) return _error;
        if (string.IsNullOrEmpty(_name)) return "has no P (name)";
        if (string.IsNullOrEmpty(_version)) return "has no V (version)";
        var (version, release) = SplitVersion(_version);
        _packages.Add(new Package
        {
            Manager = PackageManager.Apk,
            Name = _name,
            Version = version,
            Release = release,
            Architecture = _architecture ?? "",
            SourceName = string.IsNullOrEmpty(_origin) ? _name : _origin,
            SourceVersion = _version,
            Database = _database,
            License = string.IsNullOrEmpty(_license) ? null : _license,
            Vendor = string.IsNullOrEmpty(_maintainer) ? null : _maintainer,
            Files = _selector is null ? null : _files ?? [],
        });
        return null;
    }
}
