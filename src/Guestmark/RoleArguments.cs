using System.CommandLine;
using System.CommandLine.Parsing;
using System.Net;

namespace Guestmark;

/// <summary>Options that several roles have, and how they are read.</summary>
static class RoleArguments
{
    public static Option<string> Data(string role) => new("--data")
    {
        Description = "The folder for what this process keeps",
        HelpName = "DIR",
        DefaultValueFactory = _ => Path.Combine(DataHome, role),
        CustomParser = result => Path.GetFullPath(result.Tokens[0].Value),
    };

    public static Option<string> Certificates() => new("--certs")
    {
        Description = "Folder with ca.pem, cert.pem and key.pem of this process; replaced files are used at once",
        HelpName = "DIR",
        Required = true,
    };

    public static Option<IPEndPoint> ListenAddress(string name, string description, IPEndPoint preset) => new(name)
    {
        Description = description,
        HelpName = "IP:PORT",
        DefaultValueFactory = _ => preset,
        CustomParser = ParseListenAddress,
    };

    public static Option<Uri> PeerAddress(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "HOST:PORT",
        Required = true,
        CustomParser = ParsePeerAddress,
    };

    /// <summary><c>$XDG_DATA_HOME/guestmark</c>, or <c>~/.local/share/guestmark</c>.</summary>
    public static string DataHome { get; } = Path.Combine(
        Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify), "guestmark");

    public static IPEndPoint? ParseListenAddress(ArgumentResult result)
    {
        var text = result.Tokens[0].Value;
        if (text.LastIndexOf(':') > 0 && IPEndPoint.TryParse(text, out var endPoint)) return endPoint;
        result.AddError($"'{text}' is no address: write IP:PORT, for example 127.0.0.1:8180 or [::1]:8180");
        return null;
    }

    static Uri? ParsePeerAddress(ArgumentResult result)
    {
        // The documents write sensor:443; https is the only scheme there is.
        var text = result.Tokens[0].Value;
        if (Uri.TryCreate(text.Contains("://", StringComparison.Ordinal) ? text : "https://" + text, UriKind.Absolute, out var uri) && uri.Host.Length > 0) return uri;
        result.AddError($"'{text}' is no endpoint: write HOST:PORT, for example sensor:443");
        return null;
    }
}
