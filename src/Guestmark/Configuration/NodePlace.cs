using System.CommandLine;
using Guestmark.CommandLine;

namespace Guestmark.Configuration;

/// <summary>Where the node of this host is, for commands beside it: by the same variables and the same file as <c>guestmark node</c>.</summary>
sealed class NodePlace
{
    readonly Option<string?> _config = ConfigFlag.Create();

    public void AddTo(Command command) => command.Options.Add(_config);

    /// <summary>The node's data folder.</summary>
    /// <exception cref="CommandException">The configuration file cannot be read.</exception>
    public string DataFolder(ParseResult parsed) => Read(parsed).Of(NodeSettings.Data)!;

    /// <summary>The node's control socket.</summary>
    /// <inheritdoc cref="DataFolder"/>
    public string ControlSocket(ParseResult parsed) =>
        Read(parsed) is var values && values.Of(NodeSettings.ControlSocket) is { } socket ? socket : Path.Combine(values.Of(NodeSettings.Data)!, "control.sock");

    /// <summary>All of the node's configuration but flags. Other mistakes in it are told where it is used as a whole.</summary>
    /// <inheritdoc cref="DataFolder"/>
    public SettingValues Read(ParseResult parsed)
    {
        var values = SettingValues.Read(new Dictionary<Setting, IReadOnlyList<string>>(), Environment.GetEnvironmentVariables(), ConfigFlag.Path(parsed, _config));
        return values.IsFileRead ? values : throw NodeFlags.Refuse(values.Problems);
    }
}
