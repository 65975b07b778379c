using System.CommandLine;
using Guestmark.Inventory;

namespace Guestmark.Agent.RepositoryMapping;

/// <summary>Where the repository-to-cpe mapping comes from: options of every command that reports.</summary>
/// <param name="defaultUrl">Empty: it is not fetched unless the user names a URL.</param>
sealed class MappingOptions(string defaultUrl)
{
    /// <summary>How long a first scan waits for the mapping, so that the first report has CPEs where a download is quick.</summary>
    public static readonly TimeSpan FirstTryMax = TimeSpan.FromSeconds(10);

    readonly Option<string> _url = new("--repo-cpe-url")
    {
        Description = "Where to fetch Red Hat's repository-to-cpe mapping once a day, on systems of Red Hat; '' for nowhere",
        HelpName = "URL",
        DefaultValueFactory = _ => defaultUrl,
    };

    readonly Option<string?> _path = new("--repo-cpe-path") { Description = "A mapping to use until another one is there", HelpName = "PATH" };

    readonly Option<string> _stateFolder = new("--state-dir")
    {
        Description = "Where the mapping is kept",
        HelpName = "DIR",
        DefaultValueFactory = _ => "/var/lib/guestmark-agent",
    };

    public void AddTo(Command command)
    {
        command.Options.Add(_url);
        command.Options.Add(_path);
        command.Options.Add(_stateFolder);
    }

    /// <summary>Empty: the mapping is not fetched.</summary>
    public string Url(ParseResult parsed) => parsed.GetRequiredValue(_url);

    public string StateFolder(ParseResult parsed) => parsed.GetRequiredValue(_stateFolder);

    public MappingStore Open(ParseResult parsed, Action<string> note) => MappingStore.Open(StateFolder(parsed), parsed.GetValue(_path), note);

    /// <summary>The refresh of the mapping; null when it is not to be fetched, or the machine has no use for it.</summary>
    public MappingRefresh? Refresh(ParseResult parsed, MappingStore store, InventoryScanOptions scan, TimeProvider time, Action<string> note) =>
        Url(parsed) is { Length: > 0 } url && InventoryScanner.NeedsRepositoryToCpe(scan)
            ? new MappingRefresh(store, new DownloadRequest { Url = url }, time, note)
            : null;
}
