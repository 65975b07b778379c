using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Guestmark.Spool;

/// <summary>What makes a record one of this spool (<see cref="SegmentFormat"/>): random, chosen once, never shown to anybody.</summary>
/// <remarks>
/// <code>
/// file  u64 LE  the secret, never 0
///       u32 LE  CRC-32C of the 8 bytes before
/// </code>
/// Every segment holds it as well, so that neither a damaged file nor a damaged header takes records with it.
/// </remarks>
static class SpoolSecret
{
    public const string FileName = "secret";
    const int Bytes = 12;

    /// <summary>The spool's secret; a new one where there is none.</summary>
    /// <exception cref="IOException">The folder cannot be read or written.</exception>
    public static ulong ReadOrMake(string directory)
    {
        var secret = Read(directory);
        if (secret != 0) return secret;
        Span<byte> bytes = stackalloc byte[Bytes];
        secret = OfSegments(directory);
        while (secret == 0)
        {
            RandomNumberGenerator.Fill(bytes[..sizeof(ulong)]);
            secret = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        }

        BinaryPrimitives.WriteUInt64LittleEndian(bytes, secret);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[sizeof(ulong)..], ~Crc32C.Append(uint.MaxValue, bytes[..sizeof(ulong)]));
        using var file = File.OpenHandle(Path.Combine(directory, FileName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read | FileShare.Delete);
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        RandomAccess.Write(file, bytes, 0);
        LibC.FlushData(file);
        LibC.FlushDirectory(directory);
        return secret;
    }

    /// <summary>What the folder says; 0: nothing that can be trusted.</summary>
    public static ulong Read(string directory)
    {
        try
        {
            using var file = File.OpenHandle(Path.Combine(directory, FileName), FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            Span<byte> bytes = stackalloc byte[Bytes];
            if (RandomAccess.Read(file, bytes, 0) < Bytes) return 0;
            var isWhole = BinaryPrimitives.ReadUInt32LittleEndian(bytes[sizeof(ulong)..]) == ~Crc32C.Append(uint.MaxValue, bytes[..sizeof(ulong)]);
            return isWhole ? BinaryPrimitives.ReadUInt64LittleEndian(bytes) : 0;
        }
        catch (FileNotFoundException)
        {
            return 0;
        }
    }

    static ulong OfSegments(string directory)
    {
        foreach (var path in Directory.GetFiles(directory, "*" + SegmentFormat.Extension).OrderDescending(StringComparer.Ordinal))
        {
            if (SegmentFormat.TryParseFileName(Path.GetFileName(path), out var firstIndex) && Segment.ReadSecret(path, firstIndex) is not 0 and var secret) return secret;
        }

        return 0;
    }
}
