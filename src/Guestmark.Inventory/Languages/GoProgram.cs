namespace Guestmark.Inventory.Languages;

/// <summary>Reads the build information of a Go program (Go's debug/buildinfo, runtime/debug.BuildInfo).</summary>
/// <remarks>
/// In the section .go.buildinfo, else at a multiple of 16 in the first 64 KB of the data segment:
/// <code>
/// "\xff Go buildinf:", size of a pointer u8 @14, flags u8 @15 (2: what follows is inline, from Go 1.18 on)
/// @32   length varint, version of Go; length varint, modules between two marks of 16 bytes
/// </code>
/// The modules are lines of fields between tabs:
/// <code>
/// path  PATH OF THE MAIN PACKAGE
/// mod   PATH  VERSION  [SUM]           the main module; "(devel)" where it is not known
/// dep   PATH  VERSION  [SUM]           a module that is built in
/// =>    PATH  VERSION  [SUM]           what the module of the line before was replaced by
/// build KEY=VALUE
/// </code>
/// </remarks>
static class GoProgram
{
    /// <summary>Bytes that are read at once: the tables of a program lie apart.</summary>
    public const int ReadAheadBytes = 4096;

    const int MagicBytes = 14;
    const int FlagsOffset = 15;
    const int HeaderBytes = 32;
    const int Alignment = 16;
    const int SearchBytesMax = 64 * 1024;
    const int Inline = 2;
    const int MarkBytes = 16;
    const int VarintBytesMax = 10;
    const int VersionBytesMax = 256;
    // Kubernetes has some 300 modules in 25 KB.
    const int ModulesBytesMax = 4 * 1024 * 1024;
    const int ModulesMax = 20_000;

    static ReadOnlySpan<byte> Magic =>
        [0xff, (byte)' ', (byte)'G', (byte)'o', (byte)' ', (byte)'b', (byte)'u', (byte)'i', (byte)'l', (byte)'d',
            (byte)'i', (byte)'n', (byte)'f', (byte)':'];

    /// <summary>Adds the modules of a program, and Go's library as <c>stdlib</c>. Adds nothing for a program that is not of Go.</summary>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    /// <exception cref="IOException">The disk does not give the file.</exception>
    public static string? Read(ElfFile elf, FileWindow file, string database, TextPool pool, List<Package> packages)
    {
        if (!TryFind(elf, file, out var offset) || file.Read(offset, HeaderBytes) is not { IsEmpty: false } header) return null;
        if ((header[FlagsOffset] & Inline) == 0) return "was built by a Go before 1.18: its modules are not read. Build it again with a supported Go";
        offset += HeaderBytes;
        if (!TryText(file, ref offset, VersionBytesMax, out var goVersion)) return "has build information of Go whose version is damaged";
        AddGo(goVersion, database, pool, packages);
        if (!TryText(file, ref offset, ModulesBytesMax, out var modules)) return "has build information of Go whose modules are damaged";
        // As Go does: what is not between marks, behind a line's end, is no list of modules.
        if (modules.Length < (2 * MarkBytes) + 1 || modules[^(MarkBytes + 1)] != '\n') return null;
        return ReadModules(modules[MarkBytes..^MarkBytes], database, pool, packages);
    }

    /// <summary>Adds the modules that a program's build information lists.</summary>
    internal static string? ReadModules(ReadOnlySpan<byte> lines, string database, TextPool pool, List<Package> packages)
    {
        var first = packages.Count;
        var unnamed = 0;
        var isLineBeforeTaken = false;
        while (lines.Length > 0)
        {
            var end = lines.IndexOf((byte)'\n');
            var line = end < 0 ? lines : lines[..end];
            lines = end < 0 ? default : lines[(end + 1)..];
            var kind = Field(ref line);
            var isModule = kind.SequenceEqual("mod"u8) || kind.SequenceEqual("dep"u8);
            var isReplacement = kind.SequenceEqual("=>"u8);
            if (!isModule && !isReplacement) continue;
            // What is built in is the replacement.
            if (isReplacement && isLineBeforeTaken) packages.RemoveAt(packages.Count - 1);
            if (packages.Count - first >= ModulesMax) return $"has more than {ModulesMax} modules; the others are left out";
            var name = LanguageText.Bounded(Field(ref line), pool);
            var version = Field(ref line);
            isLineBeforeTaken = name is not null && version.Length <= LanguageText.NameBytesMax;
            // A module that was replaced by a folder has no version.
            if (isLineBeforeTaken) packages.Add(ToPackage(name!, version.IsEmpty ? "(devel)" : pool.Text(version), database));
            else unnamed++;
        }

        return unnamed > 0 ? $"has {unnamed} modules of Go without a name or with too long a version" : null;

        static ReadOnlySpan<byte> Field(ref ReadOnlySpan<byte> line)
        {
            var tab = line.IndexOf((byte)'\t');
            var field = tab < 0 ? line : line[..tab];
            line = tab < 0 ? default : line[(tab + 1)..];
            return field;
        }
    }

    static bool TryFind(ElfFile elf, FileWindow file, out long offset)
    {
        if (elf.TryFindSection(file, ".go.buildinfo"u8, out offset, out var size) && IsMagic(file, offset)) return true;
        if (!elf.TryFindData(file, out offset, out size)) return false;
        var data = file.Read(offset, (int)Math.Min(Math.Min(size, SearchBytesMax), Math.Max(0, file.Length - offset)));
        for (var at = 0; at + HeaderBytes <= data.Length; at += Alignment)
        {
            var next = data[at..].IndexOf(Magic);
            if (next < 0) return false;
            at += next;
            if (at % Alignment != 0)
            {
                at -= at % Alignment;
                continue;
            }

            offset += at;
            return at + HeaderBytes <= data.Length;
        }

        return false;
    }

    static bool IsMagic(FileWindow file, long offset) =>
        file.Read(offset, HeaderBytes) is { Length: HeaderBytes } header && header[..MagicBytes].SequenceEqual(Magic);

    /// <summary>A text behind its length, a varint of up to 10 bytes.</summary>
    static bool TryText(FileWindow file, ref long offset, int bytesMax, out ReadOnlySpan<byte> text)
    {
        text = default;
        ulong length = 0;
        for (var i = 0; ; i++)
        {
            if (i == VarintBytesMax || file.Read(offset + i, 1) is not [var next]) return false;
            length |= (ulong)(next & 0x7f) << (7 * i);
            if (next >= 0x80) continue;
            offset += i + 1;
            break;
        }

        if (length > (ulong)bytesMax) return false;
        text = file.Read(offset, (int)length);
        offset += (long)length;
        return (ulong)text.Length == length;
    }

    static void AddGo(ReadOnlySpan<byte> version, string database, TextPool pool, List<Package> packages)
    {
        // "go1.22.3 X:boringcrypto" names experiments behind the version; "devel go1.23-abcdef …" is no release.
        var blank = version.StartsWith("go"u8) ? version.IndexOf((byte)' ') : -1;
        if (blank > 0) version = version[..blank];
        if (!version.IsEmpty) packages.Add(ToPackage("stdlib", pool.Text(version), database));
    }

    static Package ToPackage(string name, string version, string database) =>
        new() { Manager = PackageManager.Go, Name = name, Version = version, Release = "", Architecture = "", Database = database };
}
