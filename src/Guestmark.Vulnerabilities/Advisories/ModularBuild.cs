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

    public static bool Is(ReadOnlySpan<char> version) =>
        version.Contains(".module_el", StringComparison.Ordinal) || version.Contains(".module+el", StringComparison.Ordinal);

    /// <summary><c>virt:rhel</c> and <c>virt-devel:rhel</c> of "Moderate: virt:rhel and virt-devel:rhel security update".</summary>
    public static IReadOnlyList<string> StreamsIn(string summary)
    {
        var streams = new List<string>();
        foreach (var range in summary.AsSpan().Split(' '))
        {
            var word = summary.AsSpan()[range].Trim("().,;\"'");
            if (IsStreamName(word) && !streams.Contains(word.ToString())) streams.Add(word.ToString());
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

    // name:stream. A module's name has a lower case letter, which an advisory's own id ("ALSA-2022:0123") has not.
    static bool IsStreamName(ReadOnlySpan<char> word)
    {
        var colon = word.IndexOf(':');
        return colon > 0 && colon < word.Length - 1
            && word[..colon].ContainsAnyInRange('a', 'z')
            && !word[..colon].ContainsAnyExcept(NameCharacters) && !word[(colon + 1)..].ContainsAnyExcept(NameCharacters);
    }
}
