using System.Globalization;

namespace Guestmark.Inventory;

/// <summary>What is installed on one machine, as its package databases say it.</summary>
/// <param name="Os">The operating system, from os-release or as the caller named it.</param>
/// <param name="Packages">Installed packages in the order of their databases. The same name may occur many times.</param>
/// <param name="Problems">What could not be read. Empty when the inventory is complete.</param>
public sealed record GuestInventory(OsRelease Os, IReadOnlyList<Package> Packages, IReadOnlyList<InventoryProblem> Problems);

/// <summary>An operating system by the names of os-release(5). Each text is cut after <see cref="TextCharsMax"/> characters.</summary>
/// <param name="Id">ID, in lower case: <c>debian</c>, <c>almalinux</c>, <c>rhel</c>. Empty when unknown.</param>
/// <param name="VersionId">VERSION_ID: <c>12</c>, <c>8.10</c>. Empty when unknown.</param>
/// <param name="PrettyName">PRETTY_NAME, for people. Empty when unknown.</param>
public sealed record OsRelease(string Id, string VersionId, string PrettyName)
{
    /// <summary>The longest PRETTY_NAME of the real files of the tests has 43 characters.</summary>
    public const int TextCharsMax = 256;

    public string Id { get; init => field = GuestText.Cut(value, TextCharsMax); } = GuestText.Cut(Id, TextCharsMax);

    public string VersionId { get; init => field = GuestText.Cut(value, TextCharsMax); } = GuestText.Cut(VersionId, TextCharsMax);

    public string PrettyName { get; init => field = GuestText.Cut(value, TextCharsMax); } = GuestText.Cut(PrettyName, TextCharsMax);

    public static OsRelease Unknown { get; } = new("", "", "");

    public bool IsUnknown => Id.Length == 0;

    public override string ToString() => PrettyName.Length > 0 ? PrettyName : IsUnknown ? "unknown" : $"{Id} {VersionId}".TrimEnd();
}

/// <summary>The package manager whose database a package was read from, which decides how its versions compare.</summary>
public enum PackageManager
{
    Rpm = 1,
    Dpkg = 2,
}

/// <summary>One installed package.</summary>
public sealed record Package
{
    public required PackageManager Manager { get; init; }

    public required string Name { get; init; }

    /// <summary>Null when the package has no epoch, which compares as 0 but is printed as absent.</summary>
    public uint? Epoch { get; init; }

    public required string Version { get; init; }

    /// <summary>rpm's RELEASE, dpkg's Debian revision. Empty for a native dpkg package, which has no revision.</summary>
    public required string Release { get; init; }

    /// <summary>Empty when the database names none, as for <c>gpg-pubkey</c>.</summary>
    public required string Architecture { get; init; }

    /// <summary>File name of the source rpm (<c>bash-4.4.19-12.el8.src.rpm</c>). Null for dpkg and where rpm has none.</summary>
    public string? SourceRpm { get; init; }

    /// <summary><c>name:stream:version:context</c>. Null outside modules.</summary>
    public string? ModularityLabel { get; init; }

    /// <summary>Name of the source package. Null when unknown.</summary>
    public string? SourceName { get; init; }

    /// <summary>Version of the source package in the manager's notation (<c>[epoch:]version[-release]</c>). Null when unknown.</summary>
    public string? SourceVersion { get; init; }

    /// <summary>Where the package was found: backend and folder for rpm (<c>sqlite:var/lib/rpm</c>), the file for dpkg.</summary>
    public string Database { get; init; } = "";

    /// <summary><c>[epoch:]version[-release]</c>, the notation of rpm and dpkg. An epoch of 0 is not written.</summary>
    public string FullVersion => (Epoch is > 0, Release.Length > 0) switch
    {
        (true, true) => $"{Epoch}:{Version}-{Release}",
        (true, false) => $"{Epoch}:{Version}",
        (false, true) => $"{Version}-{Release}",
        (false, false) => Version,
    };

    /// <summary>
    /// Splits <c>[epoch:]version[-release]</c>: the epoch is a number before the first colon, the release follows the last hyphen,
    /// which no version of rpm contains and which deb-version(7) gives to the revision.
    /// </summary>
    /// <returns>Any text gives a value. What looks like an epoch and is no number of 32 bits stays in the version.</returns>
    public static (uint? Epoch, string Version, string Release) SplitVersion(string text)
    {
        uint? epoch = null;
        var colon = text.IndexOf(':');
        if (colon > 0 && uint.TryParse(text.AsSpan(0, colon), NumberStyles.None, CultureInfo.InvariantCulture, out var number))
        {
            epoch = number;
            text = text[(colon + 1)..];
        }

        var hyphen = text.LastIndexOf('-');
        return hyphen < 0 ? (epoch, text, "") : (epoch, text[..hyphen], text[(hyphen + 1)..]);
    }
}

/// <summary>Something that could not be read, for a person: the path, what is wrong with it, and what to do.</summary>
/// <remarks>Both may hold text of the guest: each is cut after <see cref="TextCharsMax"/> characters, and neither is escaped for a terminal.</remarks>
public sealed record InventoryProblem(string Path, string Message)
{
    /// <summary>A path of ours with the longest file name of Linux (255 bytes) has fewer than 300.</summary>
    public const int TextCharsMax = 1024;

    public string Path { get; init => field = GuestText.Cut(value, TextCharsMax); } = GuestText.Cut(Path, TextCharsMax);

    public string Message { get; init => field = GuestText.Cut(value, TextCharsMax); } = GuestText.Cut(Message, TextCharsMax);
}
