using System.Globalization;

namespace Guestmark.Inventory.Sbom;

/// <summary>What both kinds of documents say in the same way.</summary>
static class SbomText
{
    public const string ToolName = "guestmark";

    /// <summary>RFC 3339 in UTC, to the second: the only form that SPDX takes.</summary>
    public static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    /// <summary>The machine's operating system, for a person. Never empty.</summary>
    public static string NameOf(OsRelease os) => os.IsUnknown ? "unknown" : os.Id;

    /// <summary>CPEs of the repositories that the packages came from: the products that the machine has. Guesses are left out.</summary>
    public static IReadOnlyList<string> ProductCpes(GuestInventory inventory)
    {
        var cpes = new SortedSet<string>(StringComparer.Ordinal);
        PackageRepository? last = null;
        foreach (var package in inventory.Packages)
        {
            if (package.Repository is not { IsGuess: false } repository || ReferenceEquals(repository, last)) continue;
            last = repository;
            foreach (var cpe in repository.Cpes)
            {
                if (CpeName.IsUri(cpe)) cpes.Add(cpe);
            }
        }

        return [.. cpes];
    }

    /// <summary>SIGMD5: header and payload. Null when it is none, which a damaged database may have.</summary>
    public static string? Md5Of(Package package) => package.Rpm?.SigMd5 is { Length: 32 } digest && IsHex(digest) ? digest : null;

    /// <summary>PAYLOADDIGEST, when it is a SHA-256.</summary>
    public static string? Sha256Of(Package package) =>
        package.Rpm is { PayloadDigestAlgorithm: RpmDetails.Sha256, PayloadDigest: { Length: 64 } digest } && IsHex(digest) ? digest : null;

    static bool IsHex(string text)
    {
        foreach (var digit in text)
        {
            if (!char.IsAsciiHexDigitLower(digit)) return false;
        }

        return true;
    }
}
