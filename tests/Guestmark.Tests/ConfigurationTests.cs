using System.Collections;
using System.Net;
using System.Reflection;
using System.Text;
using Guestmark.Configuration;
using Guestmark.Node;
using Guestmark.TestKit;
using Microsoft.Extensions.Logging;

namespace Guestmark.Tests;

/// <summary>Establishes which value of a setting wins, that every one can be set by every way, and what is said of what is wrong.</summary>
public sealed class ConfigurationTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Keys => [.. NodeSettings.All.Select(setting => setting.Key)];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Keys))]
    public void A_flag_wins_over_its_variable_that_over_the_file_and_that_over_the_default(string key)
    {
        var setting = NodeSettings.All.Single(s => s.Key == key);
        var file = _folder.File("node.yaml");
        File.WriteAllText(file, "# a comment\n" + Layers.Yaml(setting, setting.Example));
        var environment = new Hashtable { [setting.Variable] = setting.Example };
        var flags = new Dictionary<Setting, string> { [setting] = setting.Example };

        Assert.Equal(Origin.Default, Layers.Read().OriginOf(setting));
        Assert.Equal(new Origin(Source.File, file, key.Contains('.') ? 3 : 2), Layers.Read(file: file).OriginOf(setting));
        Assert.Equal(new Origin(Source.Environment, setting.Variable), Layers.Read(environment: environment, file: file).OriginOf(setting));
        var values = Layers.Read(flags, environment, file);
        Assert.Equal(new Origin(Source.Flag, setting.Flag), values.OriginOf(setting));
        Assert.Empty(values.Problems);
        Assert.NotEqual(Layers.Read().All.Single(value => value.Setting == setting).Text, values.All.Single(value => value.Setting == setting).Text);
    }

    [Theory]
    [InlineData("--mode", null, "FACT_MODE", "vsock-listener")]
    [InlineData("--paths", "-p", "FACT_PATHS", "")]
    [InlineData("--url", null, "FACT_URL", "")]
    [InlineData("--certs", "-c", "FACT_CERTS", "")]
    [InlineData("--skip-http", null, "FACT_SKIP_HTTP", "false")]
    [InlineData("--use-vsock", null, "FACT_USE_VSOCK", "false")]
    [InlineData("--rpmdb", null, "FACT_RPMDB", "/var/lib/rpm")]
    [InlineData("--interval", null, "FACT_INTERVAL", "3600")]
    [InlineData("--vsock-port", null, "FACT_VSOCK_PORT", "818")]
    [InlineData("--sensor-endpoint", null, "FACT_SENSOR_ENDPOINT", "sensor:443")]
    [InlineData("--enable-vsock-server", null, "FACT_ENABLE_VSOCK_SERVER", "false")]
    [InlineData("--enable-vm-agent", null, "FACT_ENABLE_VM_AGENT", "false")]
    [InlineData("--host-mount", null, "FACT_HOST_MOUNT", "/")]
    [InlineData("--json", "-j", "FACT_JSON", "false")]
    [InlineData("--address", "-a", "FACT_ENDPOINT_ADDRESS", "")]
    [InlineData("--expose-metrics", null, "FACT_ENDPOINT_EXPOSE_METRICS", "")]
    [InlineData("--health-check", null, "FACT_ENDPOINT_HEALTH_CHECK", "")]
    [InlineData("--hotreload", null, "FACT_HOTRELOAD", "true")]
    [InlineData("--log-level", null, "FACT_LOGLEVEL", "info")]
    public void The_flags_of_the_original_keep_their_names_variables_and_defaults(string flag, string? shortFlag, string variable, string preset)
    {
        var setting = NodeSettings.All.Single(s => s.Flag == flag);
        Assert.Equal((shortFlag, variable, preset), (setting.ShortFlag, setting.Variable, setting.Default));
    }

    [Fact]
    public void No_two_settings_share_a_flag_a_variable_or_a_key()
    {
        Assert.Equal(NodeSettings.All.Count, NodeSettings.All.Select(s => s.Key).Distinct().Count());
        Assert.Equal(NodeSettings.All.Count, NodeSettings.All.Select(s => s.Variable).Distinct().Count());
        var flags = NodeSettings.All.SelectMany(s => new[] { s.Flag, s.ShortFlag }).OfType<string>().Concat(["--config", "--output", "-o", "--probe-vsock"]).ToList();
        Assert.Equal(flags.Count, flags.Distinct().Count());
    }

    [Fact]
    public void Every_value_of_the_nodes_options_can_be_configured()
    {
        var certificates = new Dictionary<Setting, string> { [NodeSettings.Certs] = "/certs", [NodeSettings.SigningKeyFile] = "/key", [NodeSettings.StackRoxEndpoint] = "stackrox:443" };
        var before = Values(Layers.Setup(Layers.Read(certificates)).Options);
        var reached = new HashSet<string>();
        foreach (var setting in NodeSettings.All.Where(s => s != NodeSettings.Paths))
        {
            var flags = new Dictionary<Setting, string>(certificates) { [setting] = setting.Example };
            foreach (var (name, value) in Values(Layers.Setup(Layers.Read(flags)).Options))
            {
                if (!before.TryGetValue(name, out var was) || !Equals(was, value)) reached.Add(name);
            }
        }

        Assert.Empty(before.Keys.Except(reached));
    }

    [Fact]
    public void The_defaults_are_those_of_the_options()
    {
        var setup = Layers.Setup([]);
        var preset = new NodeOptions { DataDirectory = setup.Options.DataDirectory, SensorEndpoint = new Uri("https://sensor:443"), Certificates = "/certs" };
        // Document 0 listens on AF_VSOCK when nobody says otherwise.
        Assert.Equal(818u, Assert.Single(setup.Options.VsockListeners).Port);
        var wanted = Values(preset with { Node = setup.Options.Node, VsockListeners = setup.Options.VsockListeners });
        Assert.Equal(wanted.OrderBy(value => value.Key), Values(setup.Options).OrderBy(value => value.Key));
    }

    [Fact]
    public void Reload_is_said_of_exactly_what_a_running_node_takes()
    {
        var certificates = new Dictionary<Setting, string> { [NodeSettings.Certs] = "/certs", [NodeSettings.SigningKeyFile] = "/key", [NodeSettings.StackRoxEndpoint] = "stackrox:443" };
        var started = Layers.Setup(Layers.Read(certificates));
        var running = started.Options;
        foreach (var setting in NodeSettings.All.Where(s => s != NodeSettings.Paths && s != NodeSettings.Level))
        {
            var values = Layers.Read(new Dictionary<Setting, string>(certificates) { [setting] = setting.Example });
            var merged = NodeConfiguration.Merge(running, NodeSetup.Create(values, started)!.Options);
            Assert.True(setting.Reloads == !Values(merged).OrderBy(value => value.Key).SequenceEqual(Values(running).OrderBy(value => value.Key)), setting.Key);
        }
    }

    [Fact]
    public void A_file_is_yaml_or_json()
    {
        var yaml = Layers.ReadFile(_folder, """
            certs: certs
            vsock-port: 1024
            guests:
              - web1=/run/web1.sock,weight=2
              - name: web2
                cid: 7
                uid: 6f1c
            listeners: [818, {port: 819, protocol: stackrox-push, privileged-source-port: true}]
            limits: {messages-per-second: 12.5, bytes-burst: 128MiB}
            """);
        var json = Layers.ReadFile(_folder, """
            {"certs": "certs", "vsock-port": 1024,
             "guests": ["web1=/run/web1.sock,weight=2", {"name": "web2", "cid": 7, "uid": "6f1c"}],
             "listeners": [818, {"port": 819, "protocol": "stackrox-push", "privileged-source-port": true}],
             "limits": {"messages-per-second": 12.5, "bytes-burst": "128MiB"}}
            """);
        foreach (var values in new[] { yaml, json })
        {
            var options = Layers.Setup(values).Options;
            Assert.Equal(_folder.File("certs"), options.Certificates);
            Assert.Equal(1024u, options.PushPort);
            Assert.Equal(("web1", "/run/web1.sock", 2), (options.Guests[0].Name, options.Guests[0].SocketBase, options.Guests[0].Weight));
            Assert.Equal(GuestOptions.UidOf("local", options.Node, "web1"), options.Guests[0].Uid);
            Assert.Equal(("web2", 7u, "6f1c"), (options.Guests[1].Name, options.Guests[1].Cid!.Value, options.Guests[1].Uid));
            Assert.Equal([818u, 819u], options.VsockListeners.Select(listener => listener.Port));
            Assert.Equal((GuestProtocol.StackRoxPush, true), (options.VsockListeners[1].Protocol, options.VsockListeners[1].PrivilegedSourcePort));
            Assert.Equal((12.5, 128L << 20), (options.Limits.MessagesPerSecond, options.Limits.BytesBurst));
        }
    }

    [Theory]
    [InlineData("limts: {}", 1, "'limts' is not known; did you mean 'limits'?")]
    [InlineData("# one\nlimits:\n  conections-max: 3", 3, "did you mean 'limits.connections-max'?")]
    [InlineData("vsock-port: 0", 1, "vsock-port: '0' is no port: write a number from 1 to 4294967294")]
    [InlineData("vsock-port: [818]", 1, "write one value")]
    [InlineData("limits: 7", 1, "'limits' holds other keys")]
    [InlineData("idle-timeout: soon", 1, "'soon' is no time")]
    [InlineData("message-bytes-max: 1TiB", 1, "is no size")]
    [InlineData("unknown-guests: maybe", 1, "is not one of refuse, accept")]
    [InlineData("hotreload: perhaps", 1, "is neither true nor false")]
    [InlineData("endpoint: {address: localhost}", 1, "is no address: write IP:PORT")]
    [InlineData("sensor-endpoint: https://user:secret@sensor", 1, "holds a user or a password")]
    [InlineData("sensor-endpoint: http://sensor", 1, "another scheme than https")]
    [InlineData("guests:\n  - nmae: x", 2, "'nmae' is not known; did you mean 'name'?")]
    [InlineData("guests:\n  - name: x\n    socketBase: /x", 3, "'socketBase' is not known; write name, uid, socket, cid, netns, boot-epoch, weight and pull")]
    [InlineData("guests:\n  - web1", 2, "give it a socket, or a cid")]
    [InlineData("guests:\n  - web1,cid=2", 2, "is no vsock context id of a guest")]
    [InlineData("guests:\n  - we/b=/x", 2, "a name has 1 to 63 letters")]
    [InlineData("guests:\n  - web1=/x,weight=101", 2, "is no weight")]
    [InlineData("listeners:\n  - protocol: push", 2, "has no port")]
    [InlineData("certs: a\ncerts: b", 2, "'certs' is given twice")]
    [InlineData("certs: &a b", 1, "anchors and aliases are not taken")]
    [InlineData("certs: *a", 1, "anchors and aliases are not taken")]
    [InlineData("certs: !!binary aGk=", 1, "tags are not taken")]
    [InlineData("--- \na: 1\n---\nb: 2", 3, "a second document begins")]
    [InlineData("- certs", 1, "write 'key: value' lines")]
    [InlineData("just words", 1, "write 'key: value' lines")]
    [InlineData("certs: [[[[[[[[[1]]]]]]]]]", 1, "is nested more than 8 deep")]
    [InlineData("certs: \"unclosed", 1, "is not YAML")]
    [InlineData("listeners: [{]\nhotreload: false", 1, "is not YAML")]
    [InlineData("cells: {keep-alive-window: 10s, probe-s{ources: [a, b]}", 1, "is not YAML")]
    [InlineData("limits:\n  messages-per-second: [\n, 5]", 3, "is not YAML")]
    [InlineData("signing:\n  algorithm: ed25519", 2, "give signing.key-file as well")]
    public void A_mistake_in_the_file_is_told_with_its_line_and_what_to_write(string text, int line, string message)
    {
        var values = Layers.ReadFile(_folder, text, Layers.Certificates);
        NodeSetup.Create(values);
        var problem = Assert.Single(values.Problems, problem => problem.Message.Contains(message, StringComparison.Ordinal));
        Assert.Equal(new Origin(Source.File, _folder.File("node.yaml"), line), problem.Origin);
    }

    [Fact]
    public void A_file_over_its_limit_is_not_read()
    {
        var values = Layers.ReadFile(_folder, new string('#', ConfigurationFile.BytesMax + 1));
        Assert.Contains("a configuration has at most", Assert.Single(values.Problems).Message, StringComparison.Ordinal);
        values = Layers.Read(file: _folder.File("absent.yaml"));
        Assert.Contains("cannot be read", Assert.Single(values.Problems).Message, StringComparison.Ordinal);
        // Nobody knows whether it has certs.
        Assert.Null(NodeSetup.Create(values));
        Assert.Single(values.Problems);
    }

    [Fact]
    public void Nothing_but_comments_is_a_configuration()
    {
        Assert.Empty(Layers.ReadFile(_folder, "# nothing yet\n").Problems);
        Assert.Empty(Layers.ReadFile(_folder, "").Problems);
        Assert.Empty(Layers.ReadFile(_folder, "certs:\nlimits:\nguests: []\n").Problems);
    }

    [Fact]
    public void A_mistake_in_a_layer_that_does_not_win_is_told_all_the_same()
    {
        var values = Layers.Read(new() { [NodeSettings.VsockPort] = "1024" }, new Hashtable { ["FACT_VSOCK_PORT"] = "many" });
        Assert.Equal(1024u, values.Of(NodeSettings.VsockPort));
        Assert.Equal("FACT_VSOCK_PORT", Assert.Single(values.Problems).Origin!.Name);
    }

    [Fact]
    public void A_variable_that_nobody_knows_is_an_error_when_it_is_ours_and_a_warning_when_it_is_facts()
    {
        var values = Layers.Read(environment: new Hashtable { ["GUESTMARK_NODE_CLUSTR"] = "x", ["FACT_SCAN_INTERVAL"] = "30", ["PATH"] = "/bin", ["FACT_CERTS"] = "" });
        Assert.Contains("did you mean 'GUESTMARK_NODE_CLUSTER'?", Assert.Single(values.Problems).Message, StringComparison.Ordinal);
        Assert.Equal("FACT_SCAN_INTERVAL", Assert.Single(values.Warnings).Origin!.Name);
        Assert.False(values.IsGiven(NodeSettings.Certs));

        values = Layers.Read(environment: new Hashtable { ["GUESTMARK_NODE_VSOCK_PORT"] = "1024" });
        Assert.Contains("did you mean 'FACT_VSOCK_PORT'?", Assert.Single(values.Problems).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_config_show_prints_as_yaml_gives_the_same_values_again()
    {
        var flags = NodeSettings.All.ToDictionary(setting => setting, setting => setting.Example);
        foreach (var values in new[] { Layers.Read(flags), Layers.Read() })
        {
            var again = Layers.ReadFile(_folder, ConfigCommand.Yaml(values));
            Assert.Empty(again.Problems);
            Assert.Equal(values.All.Select(value => (value.Setting.Key, value.Text)), again.All.Select(value => (value.Setting.Key, value.Text)));
        }
    }

    [Theory]
    [MemberData(nameof(Keys))]
    public void What_config_show_prints_of_one_value_gives_that_value_again_also_of_an_empty_list(string key)
    {
        var setting = NodeSettings.All.Single(s => s.Key == key);
        foreach (var text in setting.IsList ? new[] { setting.Example, "" } : [setting.Example])
        {
            var values = Layers.Read(new() { [setting] = text });
            var again = Layers.ReadFile(_folder, ConfigCommand.Yaml(values));
            Assert.Empty(again.Problems);
            Assert.True(again.IsGiven(setting), ConfigCommand.Yaml(values));
            Assert.Equal(values.All.Select(value => (value.Setting.Key, value.Text)), again.All.Select(value => (value.Setting.Key, value.Text)));
        }
    }

    [Fact]
    public void An_element_of_a_list_that_holds_its_separator_stays_one()
    {
        var values = Layers.ReadFile(_folder, "guests:\n  - {name: web1, socket: /run/a;b.sock}\nlisteners: []\n");
        var again = Layers.ReadFile(_folder, ConfigCommand.Yaml(values));
        Assert.Equal("/run/a;b.sock", Assert.Single(again.Of(NodeSettings.Guests)).SocketBase);
        Assert.True(again.IsGiven(NodeSettings.Listeners));
        Assert.Empty(again.Of(NodeSettings.Listeners));
    }

    [Fact]
    public void A_mode_runs_the_parts_that_document_0_says()
    {
        var listener = Layers.Setup([]);
        Assert.True(listener.Delivers && listener.Agent is null);

        // Neither flag: both.
        var both = Layers.Setup(new Hashtable { ["FACT_MODE"] = "hybrid" });
        Assert.True(both.Delivers);
        Assert.NotEmpty(both.Options.VsockListeners);
        Assert.Equal(both.Agent!.Socket, Assert.Single(both.Options.Guests).SocketPath(818));

        var server = Layers.Setup(new Hashtable { ["FACT_MODE"] = "hybrid", ["FACT_ENABLE_VSOCK_SERVER"] = "true" });
        Assert.True(server.Agent is null && server.Options.VsockListeners.Count == 1);

        var agent = Layers.Setup(new Hashtable { ["FACT_MODE"] = "hybrid", ["FACT_ENABLE_VM_AGENT"] = "true", ["GUESTMARK_NODE_GUESTS"] = "web1=/run/web1.sock" });
        Assert.Empty(agent.Options.VsockListeners);
        Assert.Equal(agent.Options.Node, Assert.Single(agent.Options.Guests).Name);

        // A guest that reports to its own host needs no sensor and no certificates.
        var guest = Layers.Setup(Layers.Read(environment: new Hashtable { ["FACT_MODE"] = "vm-agent", ["FACT_USE_VSOCK"] = "true", ["FACT_VSOCK_PORT"] = "1024" }));
        Assert.False(guest.Delivers);
        Assert.Equal((null, 1024u), (guest.Agent!.Socket, guest.Agent.VsockPort));

        var values = Layers.Read(environment: new Hashtable { ["FACT_CERTS"] = "/c", ["FACT_ENABLE_VM_AGENT"] = "true" });
        Layers.Setup(values);
        Assert.Contains("hybrid mode only", Assert.Single(values.Warnings).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("FACT_MODE", "file-monitor")]
    [InlineData("FACT_PATHS", "/etc:/var/log")]
    public void The_file_monitor_says_that_it_is_not_built(string variable, string value)
    {
        var values = Layers.Read(environment: new Hashtable { ["FACT_CERTS"] = "/c", [variable] = value });
        Assert.Null(NodeSetup.Create(values));
        Assert.Contains("the file monitor is not built yet", Assert.Single(values.Problems).Message, StringComparison.Ordinal);
        Assert.Equal("UsageException", NodeFlags.Refuse(values.Problems).GetType().Name);
    }

    [Fact]
    public void Agents_of_guests_with_sockets_need_no_vsock()
    {
        Assert.Empty(Layers.Setup(new Hashtable { ["GUESTMARK_NODE_GUESTS"] = "web1=/run/web1.sock" }).Options.VsockListeners);
        Assert.Empty(Layers.Setup(new Hashtable { ["GUESTMARK_NODE_REGISTRY_FILE"] = "/run/guests.json" }).Options.VsockListeners);
        Assert.NotEmpty(Layers.Setup(new Hashtable { ["GUESTMARK_NODE_GUESTS"] = "web1=/run/web1.sock;web2,cid=9" }).Options.VsockListeners);
        Assert.NotEmpty(Layers.Setup(new Hashtable { ["GUESTMARK_NODE_GUESTS"] = "web1=/run/web1.sock", ["GUESTMARK_NODE_UNKNOWN_GUESTS"] = "accept" }).Options.VsockListeners);
    }

    [Fact]
    public void Following_the_sensors_list_opens_vsock_only_when_somebody_asks_or_the_list_alone_can_say()
    {
        var alone = Layers.Setup(new Hashtable { ["GUESTMARK_NODE_REGISTRY_SENSOR"] = "true", ["FACT_VSOCK_PORT"] = "1024" }).Options;
        Assert.True(alone.RegistryFromSensor);
        Assert.Empty(alone.VsockListeners);
        Assert.Equal(1024u, alone.VsockOnDemand);

        // Who names guests, or listeners, has said what is needed.
        foreach (var (variable, value) in new[] { ("GUESTMARK_NODE_GUESTS", "web1=/run/web1.sock"), ("GUESTMARK_NODE_REGISTRY_FILE", "/run/guests.json") })
        {
            var named = Layers.Setup(new Hashtable { ["GUESTMARK_NODE_REGISTRY_SENSOR"] = "true", [variable] = value }).Options;
            Assert.Empty(named.VsockListeners);
            Assert.Null(named.VsockOnDemand);
        }

        var none = Layers.Setup(Layers.ReadFile(_folder, "certs: certs\nregistry-sensor: true\nlisteners: []\n")).Options;
        Assert.Empty(none.VsockListeners);
        Assert.Null(none.VsockOnDemand);
        var asked = Layers.Setup(new Hashtable { ["GUESTMARK_NODE_REGISTRY_SENSOR"] = "true", ["GUESTMARK_NODE_LISTENERS"] = "819" }).Options;
        Assert.Equal(819u, Assert.Single(asked.VsockListeners).Port);
        Assert.Null(asked.VsockOnDemand);
        Assert.False(Layers.Setup(new Hashtable { ["FACT_MODE"] = "vm-agent", ["GUESTMARK_NODE_REGISTRY_SENSOR"] = "true" }).Options.RegistryFromSensor);
    }

    [Fact]
    public void The_ports_of_guests_sockets_are_named_with_what_is_spoken_there()
    {
        var values = Layers.ReadFile(_folder, "certs: certs\nguests: [web1=/run/web1.sock]\nunix-listeners: [1024, 9001=cells, {port: 10818, protocol: stackrox-push}]\n");
        var options = Layers.Setup(values).Options;
        Assert.Equal([(1024u, GuestProtocol.Push), (9001u, GuestProtocol.Cells), (10818u, GuestProtocol.StackRoxPush)], options.SocketListeners().Select(listener => (listener.Port, listener.Protocol)));
        Assert.Equal("1024=push;9001=cells;10818=stackrox-push", values.All.Single(value => value.Setting == NodeSettings.UnixListeners).Text);
        Assert.Equal((818u, GuestProtocol.Push), (Assert.Single(Layers.Setup([]).Options.SocketListeners()).Port, Layers.Setup([]).Options.SocketListeners()[0].Protocol));

        // This machine's own agent needs one that answers.
        var hybrid = Layers.Setup(new Hashtable { ["FACT_MODE"] = "hybrid", ["GUESTMARK_NODE_UNIX_LISTENERS"] = "10818=stackrox-push;1024=push" });
        Assert.EndsWith("self.sock_1024", hybrid.Agent!.Socket, StringComparison.Ordinal);
        var none = Layers.Read(environment: new Hashtable { ["FACT_CERTS"] = "/c", ["FACT_MODE"] = "hybrid", ["GUESTMARK_NODE_UNIX_LISTENERS"] = "10818=stackrox-push" });
        Assert.Null(NodeSetup.Create(none));
        Assert.Contains("own agent needs a port with protocol push", Assert.Single(none.Problems).Message, StringComparison.Ordinal);
        foreach (var (text, problem) in new[] { ("0=push", "is no port"), ("818=pull", "is not one of push"), ("=push", "has no port"), ("{prot: push}", "'prot' is not known") })
        {
            values = Layers.ReadFile(_folder, $"unix-listeners:\n  - {text}\n", Layers.Certificates);
            Assert.Contains(problem, Assert.Single(values.Problems).Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("/host/var/lib/rpm", null, "/host")]
    [InlineData("/var/lib/rpm", "/host", "/host")]
    [InlineData("/mnt/usr/lib/sysimage/rpm/", null, "/mnt")]
    [InlineData(null, "/host", "/host")]
    [InlineData(null, null, "/")]
    public void The_agent_looks_below_the_root_that_the_original_was_given(string? rpmdb, string? mount, string root)
    {
        var environment = new Hashtable { ["FACT_MODE"] = "vm-agent" };
        if (rpmdb is not null) environment["FACT_RPMDB"] = rpmdb;
        if (mount is not null) environment["FACT_HOST_MOUNT"] = mount;
        Assert.Equal(root, Layers.Setup(environment).Agent!.HostPath);
    }

    [Fact]
    public void An_endpoint_is_served_when_somebody_asks_for_it()
    {
        Assert.Null(Layers.Setup([]).Options.Endpoint);
        var all = Layers.Setup(new Hashtable { ["FACT_ENDPOINT_ADDRESS"] = "127.0.0.1:9100" });
        Assert.Equal((IPEndPoint.Parse("127.0.0.1:9100"), true, true), (all.Options.Endpoint, all.ExposeMetrics, all.HealthCheck));

        // As fact: the flag alone opens the port that it has by default.
        var fact = Layers.Setup(new Hashtable { ["FACT_ENDPOINT_HEALTH_CHECK"] = "true", ["FACT_ENDPOINT_EXPOSE_METRICS"] = "false" });
        Assert.Equal((IPEndPoint.Parse("0.0.0.0:9000"), false, true), (fact.Options.Endpoint, fact.ExposeMetrics, fact.HealthCheck));
    }

    [Fact]
    public void What_is_delivered_goes_to_the_endpoint_that_was_named()
    {
        Assert.Equal("https://sensor/", Layers.Setup([]).Options.SensorEndpoint!.ToString());
        Assert.Equal("other", Layers.Setup(new Hashtable { ["FACT_URL"] = "other:443" }).Options.SensorEndpoint!.Host);
        Assert.Equal("mine", Layers.Setup(new Hashtable { ["FACT_URL"] = "other:443", ["FACT_SENSOR_ENDPOINT"] = "mine:443" }).Options.SensorEndpoint!.Host);
        var instead = Layers.Setup(new Hashtable { ["GUESTMARK_NODE_STACKROX_SENSOR_ENDPOINT"] = "stackrox:443" });
        Assert.Null(instead.Options.SensorEndpoint);
        Assert.Equal("/certs", instead.Options.StackRoxSensor!.Certificates);
        var without = Layers.Read();
        Assert.Null(NodeSetup.Create(without));
        Assert.Contains("FACT_CERTS", Assert.Single(without.Problems).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_guest_that_is_asked_needs_the_socket_of_its_hypervisor_and_the_node_a_certificate()
    {
        var guest = Assert.Single(Layers.Setup(new Hashtable { ["GUESTMARK_NODE_GUESTS"] = "web1=/run/web1.sock,pull=1818" }).Options.Guests);
        Assert.Equal(1818u, guest.PullPort);
        Assert.Equal("web1=/run/web1.sock,pull=1818", SettingForms.WriteGuest(guest with { Uid = "" }));

        var refused = Layers.Read(environment: new Hashtable { ["FACT_CERTS"] = "/certs", ["GUESTMARK_NODE_GUESTS"] = "web1,cid=9,pull=1818" });
        Assert.Null(NodeSetup.Create(refused));
        Assert.Contains("the socket of its hypervisor", Assert.Single(refused.Problems).Message, StringComparison.Ordinal);

        var options = new NodeOptions { DataDirectory = "/data", StackRoxSensor = new StackRoxSensorOptions { Endpoint = new Uri("https://sensor"), Certificates = "/certs" }, Certificates = "", Guests = [guest] };
        Assert.Contains("certs", Assert.Single(options.Validate()), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("warn", LogLevel.Warning)]
    [InlineData("WARNING", LogLevel.Warning)]
    [InlineData("trace", LogLevel.Trace)]
    public void Levels_have_the_names_that_people_use(string text, LogLevel level) =>
        Assert.Equal(level, Layers.Setup(new Hashtable { ["FACT_LOGLEVEL"] = text }).LogLevel);

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_text_gives_values_or_named_problems()
    {
        using var memory = new TemporaryFolder(TemporaryFolder.Memory);
        var random = new Random(20261121);
        // Every setting, and one that a node starts with.
        string[] seeds =
        [
            ConfigCommand.Yaml(Layers.Read(NodeSettings.All.ToDictionary(setting => setting, setting => setting.Example))),
            """
            node: host-7
            certs: /etc/guestmark/certs
            guests: ["web1=/run/vm/web1.sock,uid=6f1c,weight=2", {name: web2, socket: /run/vm/web2.sock, cid: 9, boot-epoch: b1}]
            listeners: []
            limits: {messages-burst: 5, bytes-burst: 64MiB, reactive-per-minute: 0.5}
            cells: {port: 9002, keep-alive-window: 20s, probe-sources: [process.spawned]}
            endpoint: {address: "127.0.0.1:9100"}
            log: {level: debug, format: json}
            """,
        ];
        Assert.NotNull(NodeSetup.Create(Layers.ReadFile(memory, seeds[1])));
        string[] bits = ["- ", "{", "}", "[", "]", ": ", "\"", "'", "&a ", "*a", "!!int ", "\n", "\t", "|\n", ">-\n", "%YAML 9\n", "---\n", "...\n", "? ", "\u0000", "\ud800", "\ufeff", "999999999999999999999", "-1", "NaN", "1e400", ";", ","];
        for (var i = 0; i < Damage.Inputs(2000); i++)
        {
            var text = new StringBuilder(seeds[i % 2]);
            for (var damage = random.Next(1, 6); damage > 0; damage--)
            {
                var at = random.Next(text.Length);
                switch (random.Next(3))
                {
                    case 0:
                        text.Insert(at, bits[random.Next(bits.Length)]);
                        break;
                    case 1:
                        text.Remove(at, random.Next(Math.Min(40, text.Length - at)));
                        break;
                    default:
                        text[at] = (char)random.Next(0x180);
                        break;
                }
            }

            var problems = new List<ConfigurationProblem>();
            if (ConfigurationFile.Parse("fuzz", text.ToString(), problems) is null)
            {
                Assert.True(problems.Count == 1 && problems[0].Origin!.Line > 0, text.ToString());
                continue;
            }

            // Half a pair of surrogates is no UTF-8 and becomes a question mark in the file.
            File.WriteAllBytes(memory.File("node.yaml"), Encoding.UTF8.GetBytes(text.ToString()));
            var values = Layers.Read(file: memory.File("node.yaml"));
            Assert.Equal(NodeSetup.Create(values) is null, values.Problems.Count > 0);
            Assert.All(values.Problems, problem => Assert.True(problem.Message.Length is > 0 and < 2000, text.ToString()));
        }
    }

    /// <summary>The leaves of the options with their values.</summary>
    static Dictionary<string, object?> Values(object options, string prefix = "")
    {
        var values = new Dictionary<string, object?>();
        foreach (var property in options.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(p => p.GetIndexParameters().Length == 0))
        {
            if (property.Name == "EqualityContract") continue;
            var value = property.GetValue(options);
            if (value is not (null or IEnumerable) && value.GetType().Namespace == typeof(NodeOptions).Namespace && !value.GetType().IsEnum)
            {
                foreach (var (name, inner) in Values(value, $"{prefix}{property.Name}.")) values[name] = inner;
            }
            else
            {
                values[prefix + property.Name] = value is IEnumerable items and not string ? string.Join(';', items.Cast<object>()) : value?.ToString();
            }
        }

        return values;
    }
}
