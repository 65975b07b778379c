using System.Buffers;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// Modules of dnf: the same package name exists once per stream (nodejs of nodejs:18 and of nodejs:20), each with its own fixes.
/// </summary>
/// <remarks>
/// OSV has no field for a module. What its documents do have: the release of a modular build contains <c>.module_el</c> (AlmaLinux) or
/// <c>.module+el</c> (Red Hat, Rocky), and the summary names the streams: "Important: nodejs:18 security update". Of the 723 modular
/// advisories of AlmaLinux in 2026 all but 15 do. docs/reference/matching.md has the rule that follows.
/// </remarks>
static class ModularBuild
{
    static readonly SearchValues<char> NameCharacters =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-");

    /// <summary>Stands for the stream of a modular build whose document does not say which.</summary>
    public const string UnknownStream = "?";

    public static bool Is(ReadOnlySpan<char> version) =>
        version.Contains(".module_el", StringComparison.Ordinal) || version.Contains(".module+el", StringComparison.Ordinal);

    /// <summary><c>virt:rhel</c> and <c>virt-devel:rhel</c> of "Moderate: virt:rhel and virt-devel:rhel security update".</summary>
    public static IReadOnlyList<string> StreamsIn(string summary)
    {
        var streams = new List<string>();
        foreach (var range in summary.AsSpan().Split(' '))
        {
            var word = summary.AsSpan()[range].Trim("().,;\"'");
            if (IsStream(word) && !streams.Contains(word.ToString())) streams.Add(word.ToString());
        }

        return streams;
    }

    /// <summary><c>nodejs:18</c> of rpm's label <c>nodejs:18:8080020230718…:63b34585</c>. The whole label when it has no stream.</summary>
    public static ReadOnlySpan<char> StreamOf(ReadOnlySpan<char> label)
    {
        var first = label.IndexOf(':');
        if (first < 0) return label;
        var second = label[(first + 1)..].IndexOf(':');
        return second < 0 ? label : label[..(first + 1 + second)];
    }

    /// <summary>
    /// The stream in a package URL of an rpm: <c>python39:3.9</c> of <c>pkg:rpm/redhat/python39?rpmmod=python39:3.9:8100020240826142629</c>.
    /// Null when there is none.
    /// </summary>
    public static string? OfPackageUrl(string? url)
    {
        const string qualifier = "rpmmod=";
        if (url is null) return null;
        var start = url.IndexOf($"?{qualifier}", StringComparison.Ordinal);
        if (start < 0) start = url.IndexOf($"&{qualifier}", StringComparison.Ordinal);
        if (start < 0) return null;
        var value = url.AsSpan(start + 1 + qualifier.Length);
        var end = value.IndexOfAny('&', '#');
        if (end >= 0) value = value[..end];
        var stream = StreamOf(Uri.UnescapeDataString(value));
        return IsStream(stream) ? stream.ToString() : null;
    }

    /// <summary>
    /// Whether two modular builds can be of one stream, when the stream of one of them is not known: streams are named after the
    /// first one or two numbers of the upstream version, so these are equal within most (perl:5.32, ruby:2.5, postgresql:12).
    /// </summary>
    public static bool MayShareStream(ReadOnlySpan<char> a, ReadOnlySpan<char> b) => StreamVersion(a).SequenceEqual(StreamVersion(b));

    static ReadOnlySpan<char> StreamVersion(ReadOnlySpan<char> version)
    {
        var upstream = RpmVersion.Upstream(version);
        var first = upstream.IndexOf('.');
        if (first < 0) return upstream;
        var second = upstream[(first + 1)..].IndexOf('.');
        return second < 0 ? upstream : upstream[..(first + 1 + second)];
    }

    /// <summary>
    /// Whether it is <c>name:stream</c>. A module's name has a lower case letter, which an advisory's own id (<c>ALSA-2022:0123</c>) has not.
    /// </summary>
    public static bool IsStream(ReadOnlySpan<char> word)
    {
        var colon = word.IndexOf(':');
        return colon > 0 && colon < word.Length - 1
            && word[..colon].ContainsAnyInRange('a', 'z')
            && !word[..colon].ContainsAnyExcept(NameCharacters) && !word[(colon + 1)..].ContainsAnyExcept(NameCharacters);
    }
}
