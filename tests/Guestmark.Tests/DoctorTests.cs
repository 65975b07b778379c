using System.Collections;
using Guestmark.Configuration;
using Guestmark.Diagnosis;
using Guestmark.Telemetry;
using Guestmark.TestKit;

namespace Guestmark.Tests;

/// <summary>Establishes what the doctor finds on machines that were prepared to be ill.</summary>
public sealed class DoctorTests : IDisposable
{
    readonly TemporaryFolder _folder = new();
    readonly HostView _host;

    public DoctorTests()
    {
        Certificates.Create(_folder.File("certs"), ["node"], TimeProvider.System);
        Put("dev/vsock", "");
        Put("dev/vhost-vsock", "");
        Put("proc/self/status", "Name:\tguestmark\nCapEff:\t0000000000000400\nSeccomp:\t0\n");
        _host = new HostView { Root = _folder.File("root"), Clock = () => new ClockState(true), FreeBytes = _ => 1L << 40 };
    }

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_healthy_machine_has_nothing_but_the_sensor_that_is_not_there()
    {
        var findings = await ExamineAsync(_host, []);
        Assert.All(findings.Where(f => f.Check != "sensor"), finding => Assert.Equal(HealthState.Ok, finding.State));
        var sensor = findings.Single(f => f.Check == "sensor");
        Assert.Equal(HealthState.Failed, sensor.State);
        Assert.Contains("127.0.0.1:1", sensor.Message, StringComparison.Ordinal);
        Assert.All(findings.Where(f => f.State != HealthState.Ok), finding => Assert.NotEmpty(finding.Remedy!));
    }

    [Fact]
    public async Task A_sensor_that_answers_is_found_to_work()
    {
        Certificates.Create(_folder.File("certs"), ["central", "sensor"], TimeProvider.System);
        var options = new Sensor.SensorOptions
        {
            DataDirectory = _folder.File("sensor"),
            CentralEndpoint = new Uri("https://127.0.0.1:1"),
            Certificates = _folder.File("certs/sensor"),
        };
        await using var sensor = RoleHosts.Sensor(options, new(System.Net.IPAddress.Loopback, 0), HostSettings.Part(Microsoft.Extensions.Logging.LogLevel.Warning));
        await sensor.StartAsync();
        var findings = await ExamineAsync(_host, new Hashtable { ["FACT_SENSOR_ENDPOINT"] = $"127.0.0.1:{RoleHosts.Port(sensor, 0)}", ["GUESTMARK_NODE_SENSOR_NAME"] = "sensor" });
        var found = findings.Single(f => f.Check == "sensor");
        Assert.True(found.State == HealthState.Ok, found.Message);

        // Another authority's certificate is not taken, and the finding says whose it is.
        Certificates.Create(_folder.File("others"), ["node"], TimeProvider.System);
        findings = await ExamineAsync(_host, new Hashtable
        {
            ["FACT_SENSOR_ENDPOINT"] = $"127.0.0.1:{RoleHosts.Port(sensor, 0)}",
            ["GUESTMARK_NODE_SENSOR_NAME"] = "sensor",
            ["FACT_CERTS"] = _folder.File("others/node"),
        });
        Assert.Contains("of another authority", findings.Single(f => f.Check == "sensor").Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Missing_devices_are_found_without_opening_a_socket()
    {
        File.Delete(_folder.File("root/dev/vsock"));
        File.Delete(_folder.File("root/dev/vhost-vsock"));
        var findings = await ExamineAsync(_host, new Hashtable { ["GUESTMARK_NODE_GUESTS"] = "" });
        Assert.Contains("modprobe vsock", Find(findings, "vsock", HealthState.Failed).Remedy, StringComparison.Ordinal);
        Assert.Contains("modprobe vhost_vsock", Find(findings, "vhost-vsock", HealthState.Warning).Remedy, StringComparison.Ordinal);
        Assert.DoesNotContain(findings, f => f.Check == "vsock-socket");
        // With sockets only, none of it matters.
        Assert.Equal(HealthState.Ok, Find(await ExamineAsync(_host, []), "vsock").State);
    }

    [Fact]
    public async Task Namespaces_and_filters_that_keep_guests_away_are_found()
    {
        Put("proc/sys/net/vsock/ns_mode", "local\n");
        Put("proc/sys/net/vsock/child_ns_mode", "local\n");
        Put("run/.containerenv", "");
        Put("proc/self/status", "CapEff:\t0000000000000000\nSeccomp:\t2\n");
        var findings = await ExamineAsync(_host with { ProbeVsock = () => "Operation not permitted" }, new Hashtable { ["GUESTMARK_NODE_GUESTS"] = "" });
        Assert.Contains("hostNetwork", Find(findings, "vsock-namespace", HealthState.Failed).Remedy, StringComparison.Ordinal);
        Find(findings, "vsock-children", HealthState.Warning);
        Assert.Contains("containerd from 1.7", Find(findings, "vsock-seccomp", HealthState.Warning).Message, StringComparison.Ordinal);
        Assert.Contains("Operation not permitted", Find(findings, "vsock-socket", HealthState.Failed).Message, StringComparison.Ordinal);
        // Port 818 is reserved, and this user has no capability.
        Assert.Contains("CAP_NET_BIND_SERVICE", Find(findings, "permissions", HealthState.Failed).Remedy, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ca.pem", "is missing")]
    [InlineData("key.pem", "is missing")]
    public async Task A_missing_certificate_file_is_named(string file, string words)
    {
        File.Delete(_folder.File($"certs/node/{file}"));
        var finding = Find(await ExamineAsync(_host, []), "certificates", HealthState.Failed);
        Assert.Contains(file, finding.Message, StringComparison.Ordinal);
        Assert.Contains(words, finding.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Foreign_expired_and_open_keys_are_found()
    {
        File.SetUnixFileMode(_folder.File("certs/node/key.pem"), UnixFileMode.UserRead | UnixFileMode.OtherRead);
        Assert.Contains("chmod 0600", Find(await ExamineAsync(_host, []), "certificates-key", HealthState.Warning).Remedy, StringComparison.Ordinal);

        var time = new ManualTimeProvider(TimeProvider.System.GetUtcNow());
        time.Advance(TimeSpan.FromDays(360));
        Find(await ExamineAsync(_host with { Time = time }, []), "certificates", HealthState.Warning);
        time.Advance(TimeSpan.FromDays(30));
        Assert.Contains("expired", Find(await ExamineAsync(_host with { Time = time }, []), "certificates", HealthState.Failed).Message, StringComparison.Ordinal);

        // A clock that is behind is told as what it looks like.
        var behind = new ManualTimeProvider(TimeProvider.System.GetUtcNow() - TimeSpan.FromDays(3000));
        Assert.Contains("not valid before", Find(await ExamineAsync(_host with { Time = behind }, []), "certificates", HealthState.Failed).Message, StringComparison.Ordinal);

        Certificates.Create(_folder.File("others"), ["node"], TimeProvider.System);
        File.Copy(_folder.File("others/node/key.pem"), _folder.File("certs/node/key.pem"), overwrite: true);
        Assert.Contains("does not belong to the certificate", Find(await ExamineAsync(_host, []), "certificates", HealthState.Failed).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_clock_that_nobody_keeps_is_found()
    {
        Find(await ExamineAsync(_host with { Clock = () => new ClockState(false) }, []), "clock", HealthState.Warning);
        Find(await ExamineAsync(_host with { Clock = () => new ClockState(false, "Operation not permitted") }, []), "clock", HealthState.Warning);
        // The call works on this machine, whatever it says.
        Assert.Null(ClockState.OfThisMachine().Problem);
    }

    [Fact]
    public async Task A_disk_that_is_smaller_than_the_spool_may_grow_is_found()
    {
        var finding = Find(await ExamineAsync(_host with { FreeBytes = _ => 1 << 20 }, []), "disk", HealthState.Warning);
        Assert.Contains("1.0 MB free", finding.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Folders_that_others_may_write_are_found()
    {
        const UnixFileMode everybody = (UnixFileMode)0x1ff;
        Directory.CreateDirectory(_folder.File("data"));
        File.SetUnixFileMode(_folder.File("data"), everybody);
        Find(await ExamineAsync(_host, []), "spool", HealthState.Failed);
        Directory.CreateDirectory(_folder.File("sockets"));
        File.SetUnixFileMode(_folder.File("sockets"), everybody);
        var findings = await ExamineAsync(_host, new Hashtable { ["GUESTMARK_NODE_GUESTS"] = $"web1={_folder.File("sockets/web1.sock")}", ["GUESTMARK_NODE_CONTROL_SOCKET"] = _folder.File("sockets/c.sock") });
        Assert.Equal(2, findings.Count(f => f is { Check: "permissions", State: HealthState.Failed }));
    }

    [Fact]
    public async Task What_would_stop_the_start_is_found_by_the_doctor_and_by_config_check()
    {
        File.WriteAllText(_folder.File("file"), "");
        Directory.CreateDirectory(_folder.File("data"));
        File.WriteAllText(_folder.File("data/cells.json"), """{"version": 1, "cells": [null]}""");
        var environment = new Hashtable
        {
            ["GUESTMARK_NODE_SIGNING_KEY_FILE"] = _folder.File("absent.key"),
            ["GUESTMARK_NODE_REGISTRY_FILE"] = _folder.File("absent.json"),
            // Also as root no folder can be made in a file.
            ["GUESTMARK_NODE_GUESTS"] = $"web1={_folder.File("file/run/web1.sock")}",
        };
        var findings = await ExamineAsync(_host, environment);
        Assert.Contains("absent.key", Find(findings, "signing", HealthState.Failed).Message, StringComparison.Ordinal);
        Assert.Contains("absent.json", Find(findings, "registry", HealthState.Failed).Message, StringComparison.Ordinal);
        Assert.Contains("entry 1 of cells is null", Find(findings, "cells", HealthState.Failed).Message, StringComparison.Ordinal);
        Assert.Contains("'web1'", Find(findings, "permissions", HealthState.Failed).Message, StringComparison.Ordinal);
        environment["FACT_CERTS"] = _folder.File("absent");
        Assert.Contains(_folder.File("absent"), Find(await ExamineAsync(_host, environment), "certificates", HealthState.Failed).Message, StringComparison.Ordinal);

        var (code, _, error) = await GuestmarkProcess.RunAsync(
            "guestmark", "config", "check", "--certs", _folder.File("absent"), "--data", _folder.File("data"), "--signing-key-file", _folder.File("absent.key"),
            "--registry-file", _folder.File("absent.json"), "--guest", $"web1={_folder.File("file/run/web1.sock")}");
        Assert.Equal(1, code);
        foreach (var words in new[] { _folder.File("absent"), "absent.key", "absent.json", "entry 1 of cells is null", "'web1'" }) Assert.Contains(words, error, StringComparison.Ordinal);
        string output;
        (code, output, error) = await GuestmarkProcess.RunAsync(
            "guestmark", "config", "check", "--certs", _folder.File("certs/node"), "--data", _folder.File("data2"), "--guest", $"web1={_folder.File("run/web1.sock")}");
        Assert.True(code == 0, error);
        Assert.StartsWith("good", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_that_all_share_is_not_to_be_closed()
    {
        Directory.CreateDirectory(_folder.File("tmp"));
        File.SetUnixFileMode(_folder.File("tmp"), (UnixFileMode)0x3ff);
        var findings = await ExamineAsync(_host, new Hashtable { ["GUESTMARK_NODE_GUESTS"] = $"web1={_folder.File("tmp/web1.sock")}", ["GUESTMARK_NODE_CONTROL_SOCKET"] = _folder.File("tmp/c.sock") });
        var permissions = findings.Where(f => f is { Check: "permissions", State: HealthState.Failed }).ToList();
        Assert.Equal(2, permissions.Count);
        Assert.All(permissions, finding => Assert.DoesNotContain("chmod", finding.Remedy, StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_only_the_running_node_knows_is_asked_of_it()
    {
        Assert.Equal(HealthState.Ok, Find(await ExamineAsync(_host, []), "node").State);
        var text = $"certs: {_folder.File("certs/node")}\ndata: {_folder.File("data")}\nsensor-endpoint: 127.0.0.1:1\nguests: [web1={_folder.File("web1.sock")}]\n";
        File.WriteAllText(_folder.File("node.yaml"), text);
        await using var node = GuestmarkProcess.Start("guestmark", "node", "--config", _folder.File("node.yaml"));
        await node.WaitForLineAsync("listening for web1");
        File.WriteAllText(_folder.File("node.yaml"), text + "limits: {messages-burst: lots}\n");
        await node.WaitForLineAsync("[8102]");
        var found = Find(await ExamineAsync(_host, []), "node-configuration", HealthState.Warning);
        Assert.Contains("'lots' is no number", found.Message, StringComparison.Ordinal);

        await node.KillAsync();
        Assert.Contains("start it", Find(await ExamineAsync(_host, []), "node", HealthState.Warning).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_sensor_closes_its_folder_to_others()
    {
        const UnixFileMode everybody = (UnixFileMode)0x1ed;
        Directory.CreateDirectory(_folder.File("sensor"));
        File.SetUnixFileMode(_folder.File("sensor"), everybody);
        var options = new Sensor.SensorOptions { DataDirectory = _folder.File("sensor"), CentralEndpoint = new Uri("https://127.0.0.1:1"), Certificates = _folder.File("certs/node") };
        await using var sensor = RoleHosts.Sensor(options, new(System.Net.IPAddress.Loopback, 0), HostSettings.Part(Microsoft.Extensions.Logging.LogLevel.Warning));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(_folder.File("sensor")));
    }

    [Fact]
    public async Task Defaults_are_spelled_as_they_are_written()
    {
        var (_, help, _) = await GuestmarkProcess.RunAsync("guestmark", "sensor", "--help");
        Assert.Contains("[default: info]", help, StringComparison.Ordinal);
        Assert.DoesNotContain("Information", help, StringComparison.Ordinal);
        var (_, shown, _) = await GuestmarkProcess.RunAsync("guestmark", "config", "show", "--certs", "x");
        Assert.Contains(shown.Split('\n'), line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries) is ["log.level", "info", ..]);
    }

    [Fact]
    public async Task The_real_doctor_ends_with_3_when_something_must_be_mended_and_prints_json()
    {
        var (code, output, _) = await GuestmarkProcess.RunAsync(
            "guestmark", "doctor", "-o", "json", "--certs", _folder.File("certs/node"), "--data", _folder.File("data"), "--guest", $"web1={_folder.File("web1.sock")}",
            "--sensor-endpoint", "127.0.0.1:1");
        Assert.Equal(3, code);
        var checks = System.Text.Json.Nodes.JsonNode.Parse(output)!["checks"]!.AsArray();
        Assert.Contains(checks, check => check!["check"]!.GetValue<string>() == "sensor" && check["state"]!.GetValue<string>() == "failed");

        (code, output, _) = await GuestmarkProcess.RunAsync("guestmark", "doctor", "--vsock-port", "none", "--certs", "x");
        Assert.Equal(3, code);
        Assert.Contains("vsock-port: 'none' is no port", output, StringComparison.Ordinal);
    }

    static HealthFinding Find(IEnumerable<HealthFinding> findings, string check, HealthState? state = null)
    {
        var finding = findings.FirstOrDefault(f => f.Check == check && (state is null || f.State == state));
        Assert.True(finding is not null, $"no {state} of {check}: {string.Join("\n", findings)}");
        return finding;
    }

    async Task<IReadOnlyList<HealthFinding>> ExamineAsync(HostView host, Hashtable environment)
    {
        var all = new Hashtable
        {
            ["FACT_CERTS"] = _folder.File("certs/node"),
            ["GUESTMARK_NODE_DATA"] = _folder.File("data"),
            ["FACT_SENSOR_ENDPOINT"] = "127.0.0.1:1",
            ["GUESTMARK_NODE_GUESTS"] = $"web1={_folder.File("web1.sock")}",
        };
        foreach (DictionaryEntry entry in environment) all[entry.Key] = entry.Value;
        return await new NodeDoctor(Layers.Setup(Layers.Read(environment: all)), host).ExamineAsync(CancellationToken.None);
    }

    void Put(string path, string text)
    {
        var file = _folder.File(Path.Combine("root", path));
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, text);
    }
}
