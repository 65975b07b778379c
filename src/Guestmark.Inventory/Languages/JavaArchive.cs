using System.Text;

namespace Guestmark.Inventory.Languages;

/// <summary>Reads which libraries a Java archive is or contains: a jar, a war, an ear, a plugin.</summary>
/// <remarks>
/// 1. Every META-INF/maven/GROUP/ARTIFACT/pom.properties is a library; an archive that was made of many ("shaded") keeps one of each.
/// 2. Without any, the archive itself is one when it says a version: the name is that of the file (<c>commons-io-2.11.0.jar</c>), else of the
///    manifest, and the group only what Implementation-Vendor-Id says. A guessed group would be a wrong name.
/// 3. Archives in it (WEB-INF/lib of a war, BOOT-INF/lib of Spring Boot) are read as well, and those in them are not.
/// A stored archive is read where it lies, a compressed one is unpacked into memory within a bound of size and ratio.
/// </remarks>
sealed class JavaArchive
{
    const int EntriesMax = 500_000;
    // A large application has some hundred. Entries may share their data: with 20,000 of them a file of 1 MB took 160.
    const int WantedMax = 5_000;
    const int TextBytesMax = 1024 * 1024;
    // Archives hardly compress; text does, tenfold.
    const int ArchiveRatioMax = 16;
    const int TextRatioMax = 50;
    const int SmallTextBytes = 64 * 1024;
    const int NestedBytesMax = 64 * 1024 * 1024;
    const int ProblemsMax = 3;

    readonly TextPool _pool;
    readonly List<Package> _packages;
    readonly CancellationToken _cancellation;
    // Entries may share their packed bytes: what all of them unpack to is bounded by the archive's length as well.
    long _unpackMax;
    int _entries;
    int _problems;
    StringBuilder? _problem;

    JavaArchive(List<Package> packages, TextPool pool, long unpackMax, CancellationToken cancellation)
    {
        _packages = packages;
        _pool = pool;
        _unpackMax = unpackMax;
        _cancellation = cancellation;
    }

    /// <summary>Adds the libraries of an archive.</summary>
    /// <param name="path">From the root, without a leading slash.</param>
    /// <returns>Null on success; otherwise what is wrong, while the rest was read.</returns>
    /// <exception cref="IOException">The disk does not give the file.</exception>
    public static string? Read(ArchiveBytes bytes, string path, List<Package> packages, TextPool pool, CancellationToken cancellation)
    {
        var reader = new JavaArchive(packages, pool, (bytes.Length * ArchiveRatioMax) + SmallTextBytes, cancellation);
        reader.Read(bytes, path, isNested: false);
        if (reader._problems > ProblemsMax) reader._problem!.Append($"; {reader._problems - ProblemsMax} more problems");
        return reader._problem?.ToString();
    }

    void Read(ArchiveBytes bytes, string path, bool isNested)
    {
        _cancellation.ThrowIfCancellationRequested();
        if (ZipArchiveReader.TryOpen(bytes, out var archive) is { } error)
        {
            AddProblem(path, isNested, error);
            return;
        }

        ZipEntry? manifest = null;
        var properties = new List<ZipEntry>();
        var nested = new List<ZipEntry>();
        while (archive!.TryNext(IsWanted, ref _entries, EntriesMax, out var entry, out var damage) || Ended(damage))
        {
            if (properties.Count + nested.Count >= WantedMax)
            {
                AddProblem(path, isNested, $"has more than {WantedMax} libraries; the others are left out");
                break;
            }

            if (entry.Name.EndsWith("/MANIFEST.MF", StringComparison.Ordinal)) manifest ??= entry;
            else if (entry.Name.EndsWith("/pom.properties", StringComparison.Ordinal)) properties.Add(entry);
            else if (!isNested) nested.Add(entry);
        }

        var main = manifest is { } found && Unpack(archive, found, path, isNested) is { } text ? JavaManifest.Read(text, _pool) : default;
        var first = _packages.Count;
        foreach (var entry in properties)
        {
            if (Unpack(archive, entry, path, isNested) is { } pom) AddMaven(pom, entry.Name, path);
        }

        if (_packages.Count == first) AddByManifest(main, path);
        else if (_packages.Count == first + 1) _packages[first] = _packages[first] with { License = main.License, Vendor = main.Vendor };

        foreach (var entry in nested) ReadNested(archive, entry, path);

        bool Ended(string? damage)
        {
            if (damage is not null) AddProblem(path, isNested, damage);
            return false;
        }
    }

    void ReadNested(ZipArchiveReader archive, in ZipEntry entry, string path)
    {
        var nestedPath = $"{path}!/{entry.Name}";
        if (ZipArchiveReader.IsStored(entry))
        {
            if (archive.TryLocate(entry, out var start) is { } error) AddProblem(path, isNested: false, error);
            else Read(archive.Part(start, entry), nestedPath, isNested: true);
            return;
        }

        if (entry.Bytes > NestedBytesMax || entry.Bytes > (entry.CompressedBytes * ArchiveRatioMax) + SmallTextBytes)
        {
            AddProblem(path, isNested: false, NotUnpacked(entry));
            return;
        }

        if (TryUnpack(archive, entry, path, isNested: false) is { } content) Read(new ArchiveBytes(content), nestedPath, isNested: true);
    }

    byte[]? Unpack(ZipArchiveReader archive, in ZipEntry entry, string path, bool isNested)
    {
        if (entry.Bytes <= TextBytesMax && (entry.Bytes <= SmallTextBytes || entry.Bytes <= entry.CompressedBytes * TextRatioMax))
            return TryUnpack(archive, entry, path, isNested);
        AddProblem(path, isNested, NotUnpacked(entry));
        return null;
    }

    byte[]? TryUnpack(ZipArchiveReader archive, in ZipEntry entry, string path, bool isNested)
    {
        if (entry.Bytes > _unpackMax)
        {
            AddProblem(path, isNested, "unpacks to far more than its own length and is not read to its end");
            return null;
        }

        if (entry.Bytes > 0) _unpackMax -= entry.Bytes;
        if (archive.TryUnpack(entry, out var content) is not { } error) return content;
        AddProblem(path, isNested, error);
        return null;
    }

    static string NotUnpacked(in ZipEntry entry) =>
        $"has {GuestText.Quote(entry.Name)} of {entry.Bytes} bytes packed into {entry.CompressedBytes}, which is not unpacked";

    static bool IsWanted(ReadOnlySpan<byte> name) =>
        name.SequenceEqual("META-INF/MANIFEST.MF"u8)
        || (name.EndsWith("/pom.properties"u8) && name.StartsWith("META-INF/maven/"u8))
        || name.EndsWith(".jar"u8)
        || name.EndsWith(".war"u8);

    /// <summary>
    /// The library of a pom.properties: <c>groupId=…</c>, <c>artifactId=…</c>, <c>version=…</c>, with blanks around and <c>#</c> before comments.
    /// </summary>
    void AddMaven(ReadOnlySpan<byte> properties, string name, string path)
    {
        string? group = null, artifact = null, version = null;
        foreach (var range in properties.Split((byte)'\n'))
        {
            var line = properties[range].Trim(" \t\r\f"u8);
            var separator = line.IndexOfAny("=:"u8);
            if (separator <= 0 || line[0] is (byte)'#' or (byte)'!') continue;
            var key = line[..separator].TrimEnd(" \t"u8);
            var value = line[(separator + 1)..].TrimStart(" \t"u8);
            if (key.SequenceEqual("groupId"u8)) group = LanguageText.Bounded(value, _pool);
            else if (key.SequenceEqual("artifactId"u8)) artifact = LanguageText.Bounded(value, _pool);
            else if (key.SequenceEqual("version"u8)) version = LanguageText.Bounded(value, _pool);
        }

        // META-INF/maven/GROUP/ARTIFACT/pom.properties says both as well.
        var folders = name.Split('/');
        if (folders.Length == 5)
        {
            group ??= folders[2];
            artifact ??= folders[3];
        }

        // A placeholder that the build did not fill in is no version.
        if (group is null || artifact is null || version is null || version.Contains("${", StringComparison.Ordinal)) return;
        Add($"{group}:{artifact}", version, path, default);
    }

    void AddByManifest(in JavaManifest manifest, string path)
    {
        var (fileArtifact, fileVersion) = SplitFileName(path[(path.LastIndexOf('/') + 1)..]);
        var artifact = fileVersion is not null ? fileArtifact : manifest.Title ?? manifest.SymbolicName ?? fileArtifact;
        var version = manifest.Version ?? fileVersion ?? manifest.BundleVersion;
        // Without a version there is nothing to compare, as for the archives of a program's own classes.
        if (version is null || artifact.Length is 0 or > LanguageText.NameBytesMax) return;
        Add(manifest.VendorId is null ? artifact : $"{manifest.VendorId}:{artifact}", version, path, manifest);
    }

    void Add(string name, string version, string path, in JavaManifest manifest) => _packages.Add(new Package
    {
        Manager = PackageManager.Maven,
        Name = name,
        Version = version,
        Release = "",
        Architecture = "",
        License = manifest.License,
        Vendor = manifest.Vendor,
        Database = "maven:" + path,
    });

    /// <summary><c>commons-io-2.11.0.jar</c>: the version begins at the first digit behind a hyphen.</summary>
    internal static (string Artifact, string? Version) SplitFileName(string fileName)
    {
        var stem = fileName[..^4];
        for (var hyphen = stem.IndexOf('-'); hyphen > 0; hyphen = stem.IndexOf('-', hyphen + 1))
        {
            if (hyphen + 1 < stem.Length && char.IsAsciiDigit(stem[hyphen + 1]) && stem.Length - hyphen - 1 <= LanguageText.NameBytesMax)
                return (stem[..hyphen], stem[(hyphen + 1)..]);
        }

        return (stem, null);
    }

    void AddProblem(string path, bool isNested, string problem)
    {
        if (++_problems > ProblemsMax) return;
        _problem = _problem is null ? new StringBuilder() : _problem.Append("; ");
        if (isNested) _problem.Append($"in {GuestText.Quote(path[(path.IndexOf("!/", StringComparison.Ordinal) + 2)..])}: ");
        _problem.Append(problem);
    }
}

/// <summary>What the main section of a manifest says (JAR File Specification). A value is null when it is absent.</summary>
/// <remarks>
/// <code>
/// NAME: VALUE       a line has at most 72 bytes; one that begins with a blank goes on with the value before it
/// empty line        ends the main section
/// </code>
/// </remarks>
readonly record struct JavaManifest(
    string? Title, string? SymbolicName, string? Version, string? BundleVersion, string? VendorId, string? Vendor, string? License)
{
    const int ValueBytesMax = 2048;

    public static JavaManifest Read(ReadOnlySpan<byte> file, TextPool pool)
    {
        var manifest = default(JavaManifest);
        string? specificationVersion = null;
        Span<byte> joined = stackalloc byte[ValueBytesMax];
        while (file.Length > 0)
        {
            var line = NextLine(ref file);
            if (line.IsEmpty) break;
            var colon = line.IndexOf((byte)':');
            if (colon <= 0) continue;
            var key = line[..colon];
            var length = 0;
            var value = line[(colon + 1)..];
            while (true)
            {
                // What is longer than any name is cut: a list of packages may have 100 KB.
                var taken = value[..Math.Min(value.Length, joined.Length - length)];
                taken.CopyTo(joined[length..]);
                length += taken.Length;
                if (file.IsEmpty || file[0] != ' ') break;
                value = NextLine(ref file)[1..];
            }

            var text = joined[..length].Trim(" \t"u8);
            if (text.IsEmpty) continue;
            if (Ascii.EqualsIgnoreCase(key, "Implementation-Version"u8)) manifest = manifest with { Version = VersionOf(text, pool) };
            else if (Ascii.EqualsIgnoreCase(key, "Bundle-Version"u8)) manifest = manifest with { BundleVersion = VersionOf(text, pool) };
            else if (Ascii.EqualsIgnoreCase(key, "Specification-Version"u8)) specificationVersion = VersionOf(text, pool);
            else if (Ascii.EqualsIgnoreCase(key, "Implementation-Title"u8)) manifest = manifest with { Title = Token(text, pool) };
            else if (Ascii.EqualsIgnoreCase(key, "Implementation-Vendor-Id"u8)) manifest = manifest with { VendorId = Token(text, pool) };
            else if (Ascii.EqualsIgnoreCase(key, "Implementation-Vendor"u8)) manifest = manifest with { Vendor = LanguageText.Cut(text, pool) };
            else if (Ascii.EqualsIgnoreCase(key, "Bundle-License"u8)) manifest = manifest with { License = LanguageText.Cut(text, pool) };
            else if (Ascii.EqualsIgnoreCase(key, "Bundle-SymbolicName"u8)) manifest = manifest with { SymbolicName = SymbolicNameOf(text, pool) };
        }

        return manifest with { BundleVersion = manifest.BundleVersion ?? specificationVersion };
    }

    static ReadOnlySpan<byte> NextLine(ref ReadOnlySpan<byte> file)
    {
        var end = file.IndexOf((byte)'\n');
        var line = end < 0 ? file : file[..end];
        file = end < 0 ? default : file[(end + 1)..];
        return line.TrimEnd((byte)'\r');
    }

    // A placeholder that the build did not fill in is no version, nor is a sentence.
    static string? VersionOf(ReadOnlySpan<byte> text, TextPool pool) => text.IndexOfAny(" ${"u8) >= 0 ? null : LanguageText.Bounded(text, pool);

    /// <summary>A name without blanks; titles for people ("Apache Commons IO") are none.</summary>
    static string? Token(ReadOnlySpan<byte> text, TextPool pool) => text.IndexOfAny(" ${:/"u8) >= 0 ? null : LanguageText.Bounded(text, pool);

    /// <summary><c>org.example.library;singleton:=true</c></summary>
    static string? SymbolicNameOf(ReadOnlySpan<byte> text, TextPool pool)
    {
        var end = text.IndexOf((byte)';');
        return Token((end < 0 ? text : text[..end]).Trim(" \t"u8), pool);
    }
}
