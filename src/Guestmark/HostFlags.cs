using System.CommandLine;
using System.CommandLine.Completions;
using System.Net;
using Guestmark.Configuration;
using Guestmark.Systemd;
using Guestmark.Telemetry;
using Microsoft.Extensions.Logging;

namespace Guestmark;

/// <summary>Flags of sensor and Central for who watches them.</summary>
sealed class HostFlags
{
    readonly Option<IPEndPoint?> _endpoint = new("--endpoint")
    {
        Description = "Where /metrics, /healthz and /readyz are served, over HTTP [default: nowhere]",
        HelpName = "IP:PORT",
        CustomParser = RoleArguments.ParseListenAddress,
    };

    readonly Option<LogLevel?> _level = new("--log-level")
    {
        Description = "trace, debug, info, warn or error [default: info]",
        HelpName = "LEVEL",
        CustomParser = result =>
        {
            var (level, problem) = NodeSettings.ParseLevel(new ScalarNode(Origin.Default, result.Tokens[0].Value));
            if (problem is not null) result.AddError($"--log-level '{result.Tokens[0].Value}' {problem}");
            return level;
        },
    };

    readonly Option<string> _format = new("--log-format") { Description = "A line of text or of JSON for each entry", DefaultValueFactory = _ => "text" };

    public HostFlags()
    {
        _format.AcceptOnlyFromAmong("text", "json");
        // Those of .NET's enumeration.
        _level.CompletionSources.Clear();
        _level.CompletionSources.Add(_ => NodeSettings.Level.Words.Select(word => new CompletionItem(word)));
    }

    public void AddTo(Command command)
    {
        command.Options.Add(_endpoint);
        command.Options.Add(_level);
        command.Options.Add(_format);
    }

    public HostSettings Read(ParseResult parsed) => new()
    {
        Log = new LogSwitch(parsed.GetValue(_level) ?? LogLevel.Information),
        Format = parsed.GetRequiredValue(_format) == "json" ? LogFormat.Json : LogFormat.Text,
        Telemetry = parsed.GetValue(_endpoint) is { } address ? new TelemetryOptions(address) : null,
        Notifier = ServiceNotifier.OfThisProcess(),
    };
}
