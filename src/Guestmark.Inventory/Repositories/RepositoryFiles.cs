using System.Text;

namespace Guestmark.Inventory.Repositories;

/// <summary>A repository that the machine is configured for, with its base URLs relative to Red Hat's content.</summary>
/// <param name="Urls">
/// What repository-to-CPE may list: <c>content/dist/rhel9/9/x86_64/baseos/os</c>. A mirror keeps these paths below its own, so that a URL can
/// have several. Empty when no URL has such a path.
/// </param>
sealed record ConfiguredRepository(string Id, bool IsEnabled, IReadOnlyList<string> Urls);

/// <summary>Reads the <c>.repo</c> files of yum and dnf (dnf.conf(5), "Repo Options").</summary>
/// <remarks>
/// <code>
/// [id]
/// baseurl=https://cdn.redhat.com/content/dist/rhel9/$releasever/$basearch/baseos/os
///         https://another.url        ; a line that begins with a blank continues the one before; blanks and commas part URLs
/// enabled=1                          ; without it a repository is enabled
/// </code>
/// </remarks>
static class RepositoryFiles
{
    public static readonly string[] Folders = ["etc/yum.repos.d", "etc/distro.repos.d", "etc/yum/repos.d", "usr/share/dnf5/repos.d"];

    // redhat.repo of a machine with many subscriptions has 1 MB with 1,500 repositories.
    const int BytesMax = 4 << 20;
    const int FilesMax = 500;
    const int RepositoriesMax = 10_000;
    const int UrlsMax = 32;
    const int TextCharsMax = 1024;
    const string Suffix = ".repo";
    const string ContentFolder = "content/";

    /// <summary>The repositories by their ids. Of two with one id the first counts.</summary>
    public static IReadOnlyDictionary<string, ConfiguredRepository> Read(InventoryScan scan, DnfVariables variables)
    {
        var repositories = new Dictionary<string, ConfiguredRepository>();
        var files = 0;
        foreach (var folder in Folders)
        {
            foreach (var name in scan.List(folder))
            {
                if (!name.EndsWith(Suffix, StringComparison.Ordinal)) continue;
                if (++files > FilesMax || repositories.Count >= RepositoriesMax)
                {
                    scan.AddProblem(folder, $"has more than {FilesMax} files or {RepositoriesMax} repositories; the others are not read");
                    return repositories;
                }

                if (scan.TryRead($"{folder}/{name}", BytesMax) is { } file) Read(file, variables, repositories);
            }
        }

        return repositories;
    }

    public static void Read(ReadOnlySpan<byte> file, DnfVariables variables, Dictionary<string, ConfiguredRepository> repositories)
    {
        var id = "";
        var isEnabled = true;
        var isBaseUrl = false;
        var urls = new List<string>();
        foreach (var line in Encoding.UTF8.GetString(file).AsSpan().EnumerateLines())
        {
            var text = line.Trim();
            if (text.Length == 0 || text[0] is '#' or ';') continue;
            if (text[0] == '[' && !char.IsWhiteSpace(line[0]))
            {
                Close();
                var end = text.IndexOf(']');
                id = end is > 1 and <= TextCharsMax ? text[1..end].Trim().ToString() : "";
                isEnabled = true;
                isBaseUrl = false;
                continue;
            }

            if (!char.IsWhiteSpace(line[0]))
            {
                var equals = text.IndexOf('=');
                if (equals < 0) continue;
                var name = text[..equals].TrimEnd();
                text = text[(equals + 1)..].TrimStart();
                isBaseUrl = name.SequenceEqual("baseurl");
                if (name.SequenceEqual("enabled")) isEnabled = IsTrue(text);
            }

            if (isBaseUrl) AddUrls(text, variables, urls);
        }

        Close();

        void Close()
        {
            if (id.Length > 0 && repositories.Count < RepositoriesMax)
                repositories.TryAdd(id, new ConfiguredRepository(id, isEnabled, [.. urls]));
            urls.Clear();
        }

        // libdnf's booleans (conf/OptionBool.cpp); what is none of them leaves the default.
        static bool IsTrue(ReadOnlySpan<char> text)
        {
            foreach (var word in (ReadOnlySpan<string>)["0", "no", "false", "off"])
            {
                if (text.Equals(word, StringComparison.OrdinalIgnoreCase)) return false;
            }

            return true;
        }
    }

    static void AddUrls(ReadOnlySpan<char> text, DnfVariables variables, List<string> urls)
    {
        while (text.Length > 0)
        {
            var end = text.IndexOfAny(' ', '\t', ',');
            var url = end < 0 ? text : text[..end];
            text = end < 0 ? default : text[(end + 1)..];
            if (url.Length is 0 or > TextCharsMax || variables.Expand(url) is not { } expanded) continue;
            var query = expanded.AsSpan().IndexOfAny('?', '#');
            var path = (query < 0 ? expanded : expanded.AsSpan(0, query)).TrimEnd('/');
            for (var start = 0; urls.Count < UrlsMax; start++)
            {
                var next = path[start..].IndexOf(ContentFolder);
                if (next < 0) break;
                start += next;
                if (start > 0 && path[start - 1] == '/') urls.Add(path[start..].ToString());
            }
        }
    }
}
