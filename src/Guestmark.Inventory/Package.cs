using System.Globalization;

namespace Guestmark.Inventory;

/// <summary>What a package was read from, which decides how its versions compare.</summary>
public enum PackageManager
{
    Rpm = 1,
    Dpkg = 2,
    Apk = 3,

    /// <summary>A distribution in Python's sense: <c>dist-info</c>, <c>egg-info</c>.</summary>
    PyPI = 4,

    /// <summary>A <c>package.json</c> below <c>node_modules</c>.</summary>
    Npm = 5,

    /// <summary>A Java archive. The name is <c>group:artifact</c> where the archive says both.</summary>
    Maven = 6,

    /// <summary>A module in the build information of a Go program.</summary>
    Go = 7,

    /// <summary>A library of a <c>deps.json</c>.</summary>
    NuGet = 8,
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

    /// <summary>
    /// Where the package was found: backend and folder for rpm (<c>sqlite:var/lib/rpm</c>), the file for dpkg and apk, ecosystem and
    /// folder or file for language packages (<c>python:usr/lib/python3.9/site-packages</c>, <c>nodejs:</c>, <c>maven:</c>, <c>go:</c>, <c>nuget:</c>).
    /// </summary>
    public string Database { get; init; } = "";

    /// <summary>The licence as the package names it. Null when it names none.</summary>
    public string? License { get; init; }

    /// <summary>rpm's VENDOR, dpkg's and apk's maintainer. Null when there is none.</summary>
    public string? Vendor { get; init; }

    /// <summary>What only rpm says. Null for every other manager.</summary>
    public RpmDetails? Rpm { get; init; }

    /// <summary>The repository that the package came from. Null where nobody has looked: only rpm packages have one.</summary>
    public PackageRepository? Repository { get; set; }

    /// <summary>Files of the package, in the order of its database. Null unless the scan was asked for them.</summary>
    public IReadOnlyList<PackageFile>? Files { get; internal set; }

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
