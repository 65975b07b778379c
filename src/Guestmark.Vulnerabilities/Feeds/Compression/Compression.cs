using System.Runtime.InteropServices;

namespace Guestmark.Vulnerabilities;

/// <summary>How a file is packed, as its first bytes tell.</summary>
enum CompressionFormat
{
    None,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

/// <summary>Recognizes and opens compressed data. zstd, bzip2 and xz are unpacked by the system's libraries: .NET has none for them.</summary>
static class Compression
{
    /// <summary>Bytes that <see cref="Of"/> needs.</summary>
    public const int MagicBytes = 6;

    public static CompressionFormat Of(ReadOnlySpan<byte> start)
    {
        if (start.StartsWith((ReadOnlySpan<byte>)[0x1f, 0x8b, 8])) return CompressionFormat.Gzip;
        if (start.StartsWith("BZh"u8) && start.Length > 3 && start[3] is >= (byte)'1' and <= (byte)'9') return CompressionFormat.Bzip2;
        if (start.StartsWith((ReadOnlySpan<byte>)[0xfd, (byte)'7', (byte)'z', (byte)'X', (byte)'Z', 0])) return CompressionFormat.Xz;
        // A frame, or a skippable one before it as pzstd writes (RFC 8878, 3.1).
        if (start.StartsWith((ReadOnlySpan<byte>)[0x28, 0xb5, 0x2f, 0xfd])) return CompressionFormat.Zstd;
        return start.Length >= 4 && start[0] is >= 0x50 and <= 0x5f && start[1..4].SequenceEqual((ReadOnlySpan<byte>)[0x2a, 0x4d, 0x18])
            ? CompressionFormat.Zstd
            : CompressionFormat.None;
    }

    /// <returns>The unpacked data. Reading it ends in <see cref="InvalidDataException"/> where the packed data is damaged or cut.</returns>
    /// <exception cref="FeedException">The system has no library for the format.</exception>
    public static Stream Open(CompressionFormat format, Stream input)
    {
        if (format is CompressionFormat.None) return input;
        if (format is CompressionFormat.Gzip) return new GzipFileStream(input);
        Load(format);
        return format switch
        {
            CompressionFormat.Bzip2 => new Bzip2Stream(input),
            CompressionFormat.Xz => new XzStream(input),
            _ => new ZstdStream(input),
        };
    }

    /// <summary>Loads the library, so that its absence is told in words and before anything depends on it.</summary>
    public static nint Load(CompressionFormat format)
    {
        var (names, debian, redHat) = LibraryOf(format);
        foreach (var name in names)
        {
            if (NativeLibrary.TryLoad(name, out var library)) return library;
        }

        throw new FeedException(
            $"{names[0]} is not on this system, which unpacks {format.ToString().ToLowerInvariant()}: "
            + $"install the package {debian} (Debian, Ubuntu) or {redHat} (RHEL, Fedora, SUSE)");
    }

    public static (string[] Names, string Debian, string RedHat) LibraryOf(CompressionFormat format) => format switch
    {
        CompressionFormat.Bzip2 => (["libbz2.so.1.0", "libbz2.so.1"], "libbz2-1.0", "bzip2-libs"),
        CompressionFormat.Xz => (["liblzma.so.5"], "liblzma5", "xz-libs"),
        CompressionFormat.Zstd => (["libzstd.so.1"], "libzstd1", "libzstd"),
        _ => throw new ArgumentOutOfRangeException(nameof(format)),
    };
}
