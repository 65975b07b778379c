namespace Guestmark.Vulnerabilities;

/// <summary>Which of a package's versions is compared, and how.</summary>
enum VersionOrder : byte
{
    /// <summary>The order of the product's ecosystem.</summary>
    Ecosystem,

    /// <summary>rpm's, where the file name of a source rpm is all that is known and has no epoch.</summary>
    RpmWithoutEpoch,

    /// <summary>Module builds, by the number in <c>stream-version.context</c>.</summary>
    Module,
}

/// <summary>What modular builds say in their versions, in UTF-8.</summary>
/// <remarks>
/// The release of a modular build contains <c>.module_el8.10.0</c> (AlmaLinux) or <c>.module+el8.10.0</c> (Red Hat, Rocky). A module's own
/// version is the platform it was built for and the time, <c>8100020240826142629</c> = 8.10.0, 2024-08-26 14:26:29
/// (https://docs.fedoraproject.org/en-US/modularity/core-concepts/nsvca/).
/// </remarks>
static class BuildTag
{
    const int ModuleTimeDigits = 14;

    public static bool IsModular(ReadOnlySpan<byte> version) => version.IndexOf(".module_el"u8) >= 0 || version.IndexOf(".module+el"u8) >= 0;

    /// <summary>Whether two modular builds can be of one stream: streams are named after the first one or two numbers of the version.</summary>
    public static bool MayShareStream(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b) => VersionLine(a).SequenceEqual(VersionLine(b));

    /// <summary>Whether a modular build can be of a stream by its name alone: <c>18.19.0</c> of <c>nodejs:18</c>. Of <c>rhel8</c> nobody can tell.</summary>
    public static bool MayBeOfStream(ReadOnlySpan<byte> version, ReadOnlySpan<byte> module)
    {
        var stream = module[(module.IndexOf((byte)':') + 1)..];
        var upstream = RpmVersion.Upstream(version);
        return !stream.IsEmpty && stream[0] is >= (byte)'0' and <= (byte)'9' && upstream.StartsWith(stream)
            && (upstream.Length == stream.Length || upstream[stream.Length] == (byte)'.');
    }

    /// <summary><c>2.5</c> of <c>0:2.5.9-1.module_el8.6.0</c>.</summary>
    public static ReadOnlySpan<byte> VersionLine(ReadOnlySpan<byte> version)
    {
        var upstream = RpmVersion.Upstream(version);
        var first = upstream.IndexOf((byte)'.');
        if (first < 0) return upstream;
        var second = upstream[(first + 1)..].IndexOf((byte)'.');
        return second < 0 ? upstream : upstream[..(first + 1 + second)];
    }

    /// <summary>
    /// The minor release that a build was made for, which is the stream of updates that it belongs to: 9002 of <c>23.el9_2.4</c>, 8009 of
    /// <c>1.module+el8.9.0+1+a</c>. 0 when it has none, as builds for the first release of a version have: <c>26.el9</c>.
    /// </summary>
    public static int MinorOf(ReadOnlySpan<byte> version)
    {
        var rest = version;
        while (NextMajor(ref rest) is > 0 and var major)
        {
            if (rest.IsEmpty || rest[0] is not ((byte)'_' or (byte)'.')) continue;
            var isModular = rest[0] == (byte)'.';
            // ".el9.4" is a rebuild; only modular builds separate the minor release by a dot.
            if (isModular && !IsModular(version)) continue;
            rest = rest[1..];
            var minor = Number(ref rest);
            if (minor >= 0) return (major * 1000) + minor;
        }

        return 0;
    }

    /// <summary>The release of Enterprise Linux that a build was made for: 9 of <c>23.el9_2.4</c>, 7 of <c>2.el7jbcs</c>. 0 when it has none.</summary>
    public static int MajorOf(ReadOnlySpan<byte> version) => NextMajor(ref version);

    /// <param name="rest">Ends up behind the number; empty when there is none.</param>
    static int NextMajor(ref ReadOnlySpan<byte> rest)
    {
        while (rest.IndexOf("el"u8) is >= 0 and var at)
        {
            var begins = at > 0 && rest[at - 1] is (byte)'.' or (byte)'+' or (byte)'_';
            rest = rest[(at + 2)..];
            var major = Number(ref rest);
            if (begins && major > 0) return major;
        }

        rest = default;
        return 0;
    }

    /// <summary>As <see cref="MinorOf"/> for <c>3.9-8100020240826142629.d47b87a4</c>: the digits before the time. 0 when it has none.</summary>
    public static int PlatformOf(ReadOnlySpan<byte> moduleVersion)
    {
        var digits = ModuleNumber(moduleVersion);
        if (digits.Length <= ModuleTimeDigits) return 0;
        digits = digits[..^ModuleTimeDigits];
        var platform = Number(ref digits);
        return digits.IsEmpty ? Math.Max(platform, 0) : 0;
    }

    public static int CompareModules(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        var x = ModuleNumber(a).TrimStart((byte)'0');
        var y = ModuleNumber(b).TrimStart((byte)'0');
        return x.Length != y.Length ? x.Length - y.Length : x.SequenceCompareTo(y);
    }

    static ReadOnlySpan<byte> ModuleNumber(ReadOnlySpan<byte> moduleVersion)
    {
        var number = moduleVersion[(moduleVersion.LastIndexOf((byte)'-') + 1)..];
        var length = 0;
        while (length < number.Length && number[length] is >= (byte)'0' and <= (byte)'9') length++;
        return number[..length];
    }

    /// <returns>-1 when there is no digit, or more than a number of three digits before the factor of 1,000 has.</returns>
    static int Number(ref ReadOnlySpan<byte> text)
    {
        var value = 0;
        var length = 0;
        while (length < text.Length && text[length] is >= (byte)'0' and <= (byte)'9')
        {
            if (value < 1_000_000) value = (value * 10) + (text[length] - '0');
            length++;
        }

        text = text[length..];
        return length == 0 || value >= 1_000_000 ? -1 : value;
    }
}
