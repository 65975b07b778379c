using System.Globalization;
using System.Net;
using Guestmark.Node;

namespace Guestmark.Configuration;

/// <summary>The forms in which values are written, each read and written here.</summary>
static class SettingForms
{
    static readonly (string Unit, double Seconds)[] TimeUnits = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400)];
    static readonly (string Unit, long Size)[] ByteUnits = [("KiB", 1L << 10), ("MiB", 1L << 20), ("GiB", 1L << 30), ("TiB", 1L << 40), ("B", 1)];

    public static (string?, string?) Text(ScalarNode node) => node.Text.Any(char.IsControl) ? (null, "has control characters") : (node.Text, null);

    /// <summary>A path: relative ones are meant from the configuration file, or from the working folder.</summary>
    public static (string?, string?) FilePath(ScalarNode node)
    {
        if (node.Text.Any(char.IsControl)) return (null, "has control characters");
        var from = node.Origin.Source == Source.File ? Path.GetDirectoryName(Path.GetFullPath(node.Origin.Name))! : Environment.CurrentDirectory;
        return (Path.GetFullPath(node.Text, from), null);
    }

    public static (bool, string?) Switch(ScalarNode node) => node.Text.ToLowerInvariant() switch
    {
        "true" or "yes" or "on" or "1" => (true, null),
        "false" or "no" or "off" or "0" => (false, null),
        _ => (false, "is neither true nor false"),
    };

    public static (bool?, string?) OptionalSwitch(ScalarNode node) => Switch(node) is var (value, problem) && problem is null ? (value, null) : (null, problem);

    public static Func<ScalarNode, (uint, string?)> Port { get; } = Number("port", 1u, uint.MaxValue - 1);

    public static Func<ScalarNode, (T, string?)> Number<T>(string what, T min, T max)
        where T : struct, System.Numerics.INumber<T> => node =>
        T.TryParse(node.Text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number) && number >= min && number <= max
            ? (number, null)
            : (default, string.Create(CultureInfo.InvariantCulture, $"is no {what}: write a number from {min} to {max}"));

    /// <summary><c>64MiB</c>, <c>1GiB</c>, or a number of bytes.</summary>
    public static Func<ScalarNode, (long, string?)> Bytes(long min, long max) => node =>
    {
        var text = node.Text.Trim();
        var (unit, factor) = ByteUnits.FirstOrDefault(u => text.EndsWith(u.Unit, StringComparison.OrdinalIgnoreCase), (Unit: "", Size: 1L));
        return double.TryParse(text[..^unit.Length].TrimEnd(), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)
            && number * factor is var bytes && bytes >= min && bytes <= max
            ? ((long)bytes, null)
            : (0, $"is no size: write {WriteBytes(min)} to {WriteBytes(max)}, as 64MiB or a number of bytes");
    };

    public static string WriteBytes(long bytes)
    {
        var (unit, factor) = ByteUnits.Where(u => u.Size > 1).Reverse().FirstOrDefault(u => bytes > 0 && bytes % u.Size == 0, (Unit: "", Size: 1L));
        return string.Create(CultureInfo.InvariantCulture, $"{bytes / factor}{unit}");
    }

    /// <summary><c>30s</c>, <c>10m</c>, <c>4h</c>, <c>500ms</c>, or a number of seconds.</summary>
    public static Func<ScalarNode, (TimeSpan, string?)> Time(TimeSpan min, TimeSpan max) => node =>
    {
        var text = node.Text.Trim();
        var (unit, factor) = TimeUnits.FirstOrDefault(u => text.EndsWith(u.Unit, StringComparison.Ordinal), ("", 1));
        return double.TryParse(text[..^unit.Length].TrimEnd(), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)
            && number * factor <= max.TotalSeconds && TimeSpan.FromSeconds(number * factor) is var time && time >= min
            ? (time, null)
            : (default, $"is no time: write {WriteTime(min)} to {WriteTime(max)}, as 30s, 10m, 4h or a number of seconds");
    };

    public static string WriteTime(TimeSpan time)
    {
        foreach (var (unit, seconds) in TimeUnits.Reverse())
        {
            if (time.TotalSeconds >= seconds && time.TotalSeconds % seconds == 0) return string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds / seconds}{unit}");
        }

        return string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds}s");
    }

    /// <summary><c>HOST:PORT</c>; https is the only scheme there is.</summary>
    public static (Uri?, string?) Endpoint(ScalarNode node)
    {
        const string wanted = "is no endpoint: write HOST:PORT, for example sensor:443";
        var text = node.Text;
        if (!Uri.TryCreate(text.Contains("://", StringComparison.Ordinal) ? text : "https://" + text, UriKind.Absolute, out var uri) || uri.Host.Length == 0) return (null, wanted);
        if (uri.Scheme is not "https") return (null, "has another scheme than https; write HOST:PORT, the connection is always mutual TLS");
        // What is configured is printed by `config show`: it must hold no secret.
        return uri.UserInfo.Length > 0 ? (null, "holds a user or a password; write HOST:PORT, certificates say who this is") : (uri, null);
    }

    public static string WriteEndpoint(Uri uri) => uri.Authority.Contains(':', StringComparison.Ordinal) ? uri.Authority : $"{uri.Authority}:{uri.Port}";

    public static (IPEndPoint?, string?) Address(ScalarNode node) =>
        node.Text.LastIndexOf(':') > 0 && IPEndPoint.TryParse(node.Text, out var address)
            ? (address, null)
            : (null, "is no address: write IP:PORT, for example 127.0.0.1:9000 or [::1]:9000");

    /// <summary>One of a few words, written with dashes.</summary>
    public static Func<ScalarNode, (T, string?)> Word<T>()
        where T : struct, Enum => node =>
    {
        foreach (var value in Enum.GetValues<T>())
        {
            if (string.Equals(WriteWord(value), node.Text, StringComparison.OrdinalIgnoreCase)) return (value, null);
        }

        return (default, $"is not one of {string.Join(", ", Words<T>())}");
    };

    /// <summary>All that <see cref="Word{T}"/> takes.</summary>
    public static IReadOnlyList<string> Words<T>()
        where T : struct, Enum => [.. Enum.GetValues<T>().Select(WriteWord)];

    /// <summary><c>VsockListener</c> as <c>vsock-listener</c>.</summary>
    public static string WriteWord<T>(T value)
        where T : struct, Enum =>
        // StackRox is one word.
        string.Concat(value.ToString().Replace("StackRox", "Stackrox", StringComparison.Ordinal)
            .Select((c, i) => char.IsUpper(c) ? (i > 0 ? "-" : "") + char.ToLowerInvariant(c) : c.ToString()));

    /// <summary><c>NAME=SOCKET[,uid=UID][,cid=CID][,netns=INODE][,boot-epoch=TEXT][,weight=N][,pull=PORT]</c>, or the same as a mapping.</summary>
    public static GuestOptions? Guest(ConfigurationNode node, ICollection<ConfigurationProblem> problems)
    {
        var parts = new Parts(node, problems, "guest", ["name", "uid", "socket", "cid", "netns", "boot-epoch", "weight", "pull"]);
        if (node is ScalarNode scalar)
        {
            var fields = scalar.Text.Split(',');
            var equals = fields[0].IndexOf('=');
            parts.Set("name", equals < 0 ? fields[0] : fields[0][..equals]);
            if (equals >= 0) parts.Set("socket", fields[0][(equals + 1)..]);
            parts.SetFields(fields.Skip(1));
        }

        if (!parts.AreKnown) return null;
        if (parts.Text("name") is not { Length: > 0 } name) return parts.Refuse("has no name: write NAME=SOCKET, NAME=SOCKET,uid=UID or NAME,cid=CID");
        if (!NodeOptions.IsName(name)) return parts.Refuse($"'{name}': a name has 1 to 63 letters, digits, '-', '_' or '.'");
        var cid = parts.Read("cid", Number("vsock context id of a guest", 3u, uint.MaxValue - 1));
        var socket = parts.Path("socket");
        if (socket is null && cid is null) return parts.Refuse($"'{name}': give it a socket, or a cid, by which the node knows it");
        var guest = new GuestOptions
        {
            Name = name,
            // Made from cluster, node and name when these are known.
            Uid = parts.Text("uid") ?? "",
            SocketBase = socket,
            Cid = cid,
            NetworkNamespace = parts.Read("netns", Number("inode", 1ul, ulong.MaxValue)),
            BootEpoch = parts.Text("boot-epoch"),
            Weight = parts.Read("weight", Number("weight", 1, 100)) ?? 1,
            PullPort = parts.Read("pull", Port),
        };
        if (guest.Uid.Length > 128) return parts.Refuse($"'{name}': its uid has {guest.Uid.Length} characters, at most 128 are taken");
        return parts.AreGood ? guest : null;
    }

    public static string WriteGuest(GuestOptions guest) => string.Join(',', new[]
    {
        guest.SocketBase is null ? guest.Name : $"{guest.Name}={guest.SocketBase}",
        guest.Uid.Length > 0 ? $"uid={guest.Uid}" : "",
        guest.Cid is { } cid ? $"cid={cid}" : "",
        guest.NetworkNamespace is { } netns ? $"netns={netns}" : "",
        guest.BootEpoch is { } epoch ? $"boot-epoch={epoch}" : "",
        guest.Weight != 1 ? $"weight={guest.Weight}" : "",
        guest.PullPort is { } port ? $"pull={port}" : "",
    }.Where(part => part.Length > 0));

    /// <summary><c>PORT[,protocol=push|stackrox-push|stackrox-index-push][,privileged-source-port=true]</c>, or the same as a mapping.</summary>
    public static VsockListenerOptions? Listener(ConfigurationNode node, ICollection<ConfigurationProblem> problems)
    {
        var parts = new Parts(node, problems, "listener", ["port", "protocol", "privileged-source-port"]);
        if (node is ScalarNode scalar)
        {
            var fields = scalar.Text.Split(',');
            parts.Set("port", fields[0]);
            parts.SetFields(fields.Skip(1));
        }

        if (!parts.AreKnown) return null;
        var port = parts.Read("port", Port);
        var listener = new VsockListenerOptions
        {
            Port = port ?? 0,
            Protocol = parts.Read("protocol", Word<GuestProtocol>()) ?? GuestProtocol.Push,
            PrivilegedSourcePort = parts.Read("privileged-source-port", Switch) ?? false,
        };
        if (port is null && parts.AreGood) return parts.Refuse<VsockListenerOptions>("has no port: write PORT or PORT,protocol=push");
        return parts.AreGood ? listener : null;
    }

    public static string WriteListener(VsockListenerOptions listener) =>
        $"{listener.Port},protocol={WriteWord(listener.Protocol)}{(listener.PrivilegedSourcePort ? ",privileged-source-port=true" : "")}";

    /// <summary><c>PORT[=push|stackrox-push|stackrox-index-push|cells]</c>, or a mapping with <c>port</c> and <c>protocol</c>.</summary>
    public static UnixListenerOptions? UnixListener(ConfigurationNode node, ICollection<ConfigurationProblem> problems)
    {
        var parts = new Parts(node, problems, "unix listener", ["port", "protocol"]);
        if (node is ScalarNode scalar)
        {
            var equals = scalar.Text.IndexOf('=');
            parts.Set("port", equals < 0 ? scalar.Text : scalar.Text[..equals]);
            if (equals >= 0) parts.Set("protocol", scalar.Text[(equals + 1)..]);
        }

        if (!parts.AreKnown) return null;
        var port = parts.Read("port", Port);
        var protocol = parts.Read("protocol", Word<GuestProtocol>());
        if (port is null && parts.AreGood) return parts.Refuse<UnixListenerOptions>("has no port: write PORT or PORT=push");
        return parts.AreGood ? new UnixListenerOptions { Port = port!.Value, Protocol = protocol ?? GuestProtocol.Push } : null;
    }

    public static string WriteUnixListener(UnixListenerOptions listener) => $"{listener.Port}={WriteWord(listener.Protocol)}";

    /// <summary>A text of a list.</summary>
    public static string? Item(ConfigurationNode node, ICollection<ConfigurationProblem> problems)
    {
        if (node is ScalarNode scalar) return scalar.Text;
        problems.Add(new(node.Origin, "write a list of words, one a line"));
        return null;
    }

    /// <summary>Three or four octal digits, as chmod takes them.</summary>
    public static (UnixFileMode, string?) FileMode(ScalarNode node)
    {
        const string wanted = "is no mode: write octal digits, for example 0660";
        if (node.Text.Length is < 3 or > 4 || node.Text.Any(c => c is < '0' or > '7')) return (UnixFileMode.None, wanted);
        var mode = Convert.ToInt32(node.Text, 8);
        return mode <= 0x1ff ? ((UnixFileMode)mode, null) : (UnixFileMode.None, wanted);
    }

    public static string WriteFileMode(UnixFileMode mode) => "0" + Convert.ToString((int)mode, 8);

    /// <summary>The named values of one element of a list.</summary>
    sealed class Parts
    {
        readonly Dictionary<string, ScalarNode> _values = [];
        readonly ConfigurationNode _node;
        readonly ICollection<ConfigurationProblem> _problems;
        readonly string _what;
        readonly string[] _names;

        public Parts(ConfigurationNode node, ICollection<ConfigurationProblem> problems, string what, string[] names)
        {
            (_node, _problems, _what, _names) = (node, problems, what, names);
            if (node is SequenceNode) Refuse("is a list of lists; write one line or one mapping for each");
            if (node is not MappingNode mapping) return;
            foreach (var entry in mapping.Entries)
            {
                if (!names.Contains(entry.Name)) Unknown(entry.Origin, entry.Name);
                else if (entry.Value is ScalarNode { Text: not "" } value) _values[entry.Name] = value;
                else if (entry.Value is not ScalarNode) Refuse($"'{entry.Name}' takes one value");
            }
        }

        /// <summary>Whether all names are known, so that the values can be looked at.</summary>
        public bool AreKnown => AreGood;

        public bool AreGood { get; private set; } = true;

        public void Set(string name, string text)
        {
            if (text.Length > 0) _values[name] = new ScalarNode(_node.Origin, text);
        }

        /// <summary><c>name=value</c> each.</summary>
        public void SetFields(IEnumerable<string> fields)
        {
            foreach (var field in fields)
            {
                var equals = field.IndexOf('=');
                var name = equals < 0 ? field : field[..equals];
                if (!_names.Contains(name)) Unknown(_node.Origin, name);
                else if (equals < 0 || equals == field.Length - 1) Refuse($"'{field}' has no value: write {name}=VALUE");
                else Set(name, field[(equals + 1)..]);
            }
        }

        public string? Text(string name) => _values.GetValueOrDefault(name)?.Text;

        public string? Path(string name) => _values.TryGetValue(name, out var node) ? FilePath(node).Item1 : null;

        public T? Read<T>(string name, Func<ScalarNode, (T, string?)> parse)
            where T : struct
        {
            if (!_values.TryGetValue(name, out var node)) return null;
            var (value, problem) = parse(node);
            if (problem is null) return value;
            AreGood = false;
            _problems.Add(new(node.Origin, $"{_what}: {name} '{node.Text}' {problem}"));
            return null;
        }

        public GuestOptions? Refuse(string message) => Refuse<GuestOptions>(message);

        public T? Refuse<T>(string message)
            where T : class
        {
            AreGood = false;
            _problems.Add(new(_node.Origin, $"{_what} {message}"));
            return null;
        }

        void Unknown(Origin origin, string name)
        {
            AreGood = false;
            // Far from every name: a word of the registry's JSON, for instance.
            var hint = NearestWord.Hint(name, _names) is { Length: > 0 } near ? near : $"; write {Guestmark.Words.List(_names)}";
            _problems.Add(new(origin, $"{_what}: '{name}' is not known{hint}"));
        }
    }
}
