using System.Security.Cryptography;
using System.Text;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// A checksum that a vendor puts beside a file, <c>csaf_vex_2026-07-01.tar.zst.sha256</c>, in the forms of sha256sum (<c>digest  name</c>,
/// <c>SHA256 (name) = digest</c> with --tag) or as a bare digest.
/// </summary>
static class FeedChecksum
{
    public const int Sha256Digits = 64;
    public const int Sha512Digits = 128;
    const int BytesMax = 64 << 10;

    /// <summary>Compares a file with the checksums beside it, if there are any, and goes back to the file's start.</summary>
    /// <exception cref="FeedException">It is another file, or a checksum cannot be read.</exception>
    public static void Verify(string path, FileStream file, CancellationToken cancellationToken)
    {
        Verify(path, file, ".sha256", "SHA-256", Sha256Digits, HashAlgorithmName.SHA256, cancellationToken);
        Verify(path, file, ".sha512", "SHA-512", Sha512Digits, HashAlgorithmName.SHA512, cancellationToken);
    }

    /// <summary>The digest of a file, in lower case. Null when there is none.</summary>
    /// <param name="text">The checksum file. One line is about the file whatever name it has; of several the one that names it.</param>
    /// <param name="name">Of the file, without folder.</param>
    /// <param name="digits">How many hexadecimal digits the digest has.</param>
    public static string? Parse(string text, string name, int digits)
    {
        var lines = text.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        foreach (var line in lines)
        {
            // *name is what sha256sum writes of a file read in binary mode.
            if (lines.Length > 1 && !line.EndsWith(name, StringComparison.Ordinal) && !line.Contains($"({name})", StringComparison.Ordinal)) continue;
            foreach (var word in line.Split([' ', '\t', '='], StringSplitOptions.RemoveEmptyEntries))
            {
                if (word.Length == digits && word.All(char.IsAsciiHexDigit)) return word.ToLowerInvariant();
            }
        }

        return null;
    }

    static void Verify(
        string path, FileStream file, string extension, string algorithm, int digits, HashAlgorithmName hashName, CancellationToken cancellationToken)
    {
        var beside = path + extension;
        if (!File.Exists(beside)) return;
        var expected = Parse(ReadText(beside), Path.GetFileName(path), digits)
            ?? throw new FeedException($"{path}: {Path.GetFileName(beside)} beside it has no {algorithm} of it: download both again");
        using var hash = IncrementalHash.CreateHash(hashName);
        var buffer = new byte[256 << 10];
        while (file.Read(buffer) is > 0 and var read)
        {
            cancellationToken.ThrowIfCancellationRequested();
            hash.AppendData(buffer, 0, read);
        }

        file.Position = 0;
        var found = Convert.ToHexStringLower(hash.GetHashAndReset());
        if (found != expected)
        {
            throw new FeedException(
                $"{path}: its {algorithm} is {found}, {Path.GetFileName(beside)} says {expected}: it is damaged, or the two are of different days; "
                + "download both again");
        }
    }

    static string ReadText(string path)
    {
        try
        {
            using var stream = RegularFile.Open(path) ?? throw new FeedException($"{path}: is no regular file");
            var bytes = new byte[BytesMax];
            return Encoding.ASCII.GetString(bytes, 0, stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new FeedException($"{path}: {e.Message}", e);
        }
    }
}
