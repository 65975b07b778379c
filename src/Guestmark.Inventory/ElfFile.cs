using System.Buffers.Binary;

namespace Guestmark.Inventory;

/// <summary>The header of an ELF file and the tables that it names (elf(5)).</summary>
/// <remarks>
/// <code>
/// header    0x7f "ELF", class u8 @4 (1: 32 bits, 2: 64 bits), data u8 @5 (1: little-endian, 2: big-endian), machine u16 @18
///           64 bits: phoff u64 @32, shoff u64 @40, phentsize u16 @54, phnum u16 @56, shentsize u16 @58, shnum u16 @60, shstrndx u16 @62
///           32 bits: phoff u32 @28, shoff u32 @32, phentsize u16 @42, phnum u16 @44, shentsize u16 @46, shnum u16 @48, shstrndx u16 @50
/// section   name u32 @0, type u32 @4; 64 bits: offset u64 @24, size u64 @32; 32 bits: offset u32 @16, size u32 @20
/// segment   type u32 @0; 64 bits: flags u32 @4, offset u64 @8, filesz u64 @32; 32 bits: offset u32 @4, filesz u32 @16, flags u32 @24
/// </code>
/// </remarks>
readonly struct ElfFile
{
    public const int HeaderBytes = 64;

    const int Section32Bytes = 40;
    const int Section64Bytes = 64;
    const int Segment32Bytes = 32;
    const int Segment64Bytes = 56;

    // The numbers are 16 bits; a program of Go has some 30 sections and 10 segments.
    const int SectionsMax = 1000;
    const int SegmentsMax = 1000;
    const int SectionNamesBytesMax = 64 * 1024;

    const uint NoBits = 8;
    const uint Load = 1;
    const uint Execute = 1;
    const uint Write = 2;

    readonly bool _is64;
    readonly long _segments;
    readonly long _sections;
    readonly int _segmentBytes;
    readonly int _segmentCount;
    readonly int _sectionBytes;
    readonly int _sectionCount;
    readonly int _sectionNames;

    ElfFile(ReadOnlySpan<byte> header)
    {
        _is64 = header[4] == 2;
        IsBigEndian = header[5] == 2;
        Machine = U16(header[18..]);
        _segments = _is64 ? U64(header[32..]) : U32(header[28..]);
        _sections = _is64 ? U64(header[40..]) : U32(header[32..]);
        var counts = header[(_is64 ? 54 : 42)..];
        _segmentBytes = U16(counts);
        _segmentCount = U16(counts[2..]);
        _sectionBytes = U16(counts[4..]);
        _sectionCount = U16(counts[6..]);
        _sectionNames = U16(counts[8..]);
    }

    public bool IsBigEndian { get; }

    /// <summary>e_machine: 62 x86-64, 183 AArch64 …</summary>
    public ushort Machine { get; }

    /// <summary>The kernel's name of the machine (<c>uname -m</c>). Null for one that is not known here.</summary>
    public string? MachineName => (Machine, _is64, IsBigEndian) switch
    {
        (3, _, _) => "i686",
        (21, _, true) => "ppc64",
        (21, _, false) => "ppc64le",
        (22, true, _) => "s390x",
        (40, _, false) => "armv7l",
        (62, true, _) => "x86_64",
        (183, _, false) => "aarch64",
        (243, true, _) => "riscv64",
        (258, true, _) => "loongarch64",
        _ => null,
    };

    /// <summary>Decodes a header. False when the bytes are not the start of an ELF file.</summary>
    /// <param name="header">The first <see cref="HeaderBytes"/> of the file.</param>
    public static bool TryRead(ReadOnlySpan<byte> header, out ElfFile elf)
    {
        elf = default;
        if (header.Length < HeaderBytes || !header.StartsWith("\u007fELF"u8) || header[4] is not (1 or 2) || header[5] is not (1 or 2)) return false;
        elf = new ElfFile(header);
        return true;
    }

    /// <summary>Where a section lies in the file. False when there is none of that name with bytes.</summary>
    /// <exception cref="IOException">The disk does not give the file.</exception>
    public bool TryFindSection(FileWindow file, ReadOnlySpan<byte> name, out long offset, out long size)
    {
        offset = size = 0;
        if (_sectionBytes < (_is64 ? Section64Bytes : Section32Bytes) || _sectionCount > SectionsMax || _sectionNames >= _sectionCount) return false;
        if (!TrySection(file, _sectionNames, out _, out _, out var namesOffset, out var namesSize)) return false;
        var names = file.Read(namesOffset, (int)Math.Min(namesSize, SectionNamesBytesMax)).ToArray();
        for (var i = 0; i < _sectionCount; i++)
        {
            if (!TrySection(file, i, out var nameOffset, out var type, out offset, out size)) return false;
            if (type == NoBits || nameOffset >= names.Length) continue;
            var found = names.AsSpan((int)nameOffset);
            if (found.StartsWith(name) && found.Length > name.Length && found[name.Length] == 0) return true;
        }

        return false;
    }

    /// <summary>Where the first segment lies that is loaded to be written and not executed.</summary>
    /// <exception cref="IOException">The disk does not give the file.</exception>
    public bool TryFindData(FileWindow file, out long offset, out long size)
    {
        offset = size = 0;
        var bytes = _is64 ? Segment64Bytes : Segment32Bytes;
        if (_segmentBytes < bytes || _segmentCount > SegmentsMax) return false;
        for (var i = 0; i < _segmentCount; i++)
        {
            var segment = file.Read(At(_segments, i, _segmentBytes), bytes);
            if (segment.IsEmpty) return false;
            var flags = U32(segment[(_is64 ? 4 : 24)..]);
            if (U32(segment) != Load || (flags & (Execute | Write)) != Write) continue;
            offset = _is64 ? U64(segment[8..]) : U32(segment[4..]);
            size = _is64 ? U64(segment[32..]) : U32(segment[16..]);
            return size > 0;
        }

        return false;
    }

    bool TrySection(FileWindow file, int number, out uint name, out uint type, out long offset, out long size)
    {
        var section = file.Read(At(_sections, number, _sectionBytes), _is64 ? Section64Bytes : Section32Bytes);
        if (section.IsEmpty)
        {
            (name, type, offset, size) = (0, 0, 0, 0);
            return false;
        }

        name = U32(section);
        type = U32(section[4..]);
        offset = _is64 ? U64(section[24..]) : U32(section[16..]);
        size = _is64 ? U64(section[32..]) : U32(section[20..]);
        return true;
    }

    // Beyond any file, instead of an overflow.
    static long At(long table, int number, int bytes) => table > long.MaxValue / 2 ? long.MaxValue : table + ((long)number * bytes);

    ushort U16(ReadOnlySpan<byte> bytes) =>
        IsBigEndian ? BinaryPrimitives.ReadUInt16BigEndian(bytes) : BinaryPrimitives.ReadUInt16LittleEndian(bytes);

    uint U32(ReadOnlySpan<byte> bytes) => IsBigEndian ? BinaryPrimitives.ReadUInt32BigEndian(bytes) : BinaryPrimitives.ReadUInt32LittleEndian(bytes);

    /// <summary>A number over 2^63 is beyond any file, as is 2^63 - 1.</summary>
    long U64(ReadOnlySpan<byte> bytes)
    {
        var value = IsBigEndian ? BinaryPrimitives.ReadUInt64BigEndian(bytes) : BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        return value > long.MaxValue ? long.MaxValue : (long)value;
    }
}
