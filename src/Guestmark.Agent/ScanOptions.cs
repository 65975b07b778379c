using System.CommandLine;
using System.CommandLine.Parsing;
using Guestmark.CommandLine;
using Guestmark.Inventory;

namespace Guestmark.Agent;

/// <summary>What to scan: options that every command of the agent has.</summary>
sealed class ScanOptions
{
    readonly Option<string> _hostPath = new("--host-path")
    {
        Description = "The root of the machine's files",
        HelpName = "DIR",
        DefaultValueFactory = _ => "/",
    };

    readonly Option<OsRelease?> _distro = new("--distro")
    {
        Description = "The operating system, instead of what os-release says: ID:VERSION_ID, as almalinux:8",
        HelpName = "ID:VERSION",
        CustomParser = ParseDistro,
    };

    readonly Option<bool> _languages = new("--languages")
    {
        Description = "Also look for packages of Python, Node.js, Java, Go and .NET that no package of the system owns",
    };

    public void AddTo(Command command)
    {
        command.Options.Add(_languages);
        command.Options.Add(_hostPath);
        command.Options.Add(_distro);
    }

    /// <exception cref="CommandException">The root is not there.</exception>
    public InventoryScanOptions Read(ParseResult parsed)
    {
        var root = parsed.GetRequiredValue(_hostPath);
        if (!Directory.Exists(root)) throw new CommandException($"--host-path {root}: no such folder; name the root of the machine's files");
        return new InventoryScanOptions { HostPath = root, Os = parsed.GetValue(_distro), Languages = parsed.GetValue(_languages) };
    }

    static OsRelease? ParseDistro(ArgumentResult result)
    {
        var text = result.Tokens[0].Value;
        var parts = text.Split(':');
        if (parts is [{ Length: > 0 } id, { Length: > 0 } version]) return new OsRelease(id.ToLowerInvariant(), version, "");
        result.AddError($"--distro {text}: write ID:VERSION_ID as os-release has them, for example almalinux:8 or debian:12");
        return null;
    }
}
