using System.Text.Json.Nodes;
using Guestmark.Events.Signing;
using Guestmark.TestKit;

namespace Guestmark.Tests;

/// <summary>Establishes what <c>guestmark keys show</c> tells of the key of a node: running, rotated, absent.</summary>
public sealed class KeysShowTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public KeysShowTests() => Certificates.Create(_folder.File("certs"), ["node"], TimeProvider.System);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task The_key_of_the_configuration_that_of_a_running_node_and_those_before_it_are_shown_without_secrets()
    {
        var first = SigningKeyFile.Create(SigningAlgorithm.EcdsaP256, _folder.File("keys"));
        var second = SigningKeyFile.Create(SigningAlgorithm.EcdsaP256, _folder.File("keys"));
        File.Copy(first.SecretFile, _folder.File("node.key"));
        File.WriteAllText(
            _folder.File("node.yaml"),
            $"certs: certs/node\ndata: data\nsensor-endpoint: 127.0.0.1:1\nguests: [web1={_folder.File("web1.sock")}]\nsigning: {{key-file: node.key}}\n");

        var state = await ShowAsync();
        Assert.False(state["running"]!.GetValue<bool>());
        Assert.Equal(first.KeyId, state["keys"]![0]!["keyId"]!.GetValue<string>());

        await using var node = GuestmarkProcess.Start("guestmark", "node", "--config", _folder.File("node.yaml"));
        await node.WaitForLineAsync("listening for web1");
        state = await ShowAsync();
        Assert.True(state["running"]!.GetValue<bool>());
        Assert.Equal(("ecdsa-p256", _folder.File("node.key")), (state["algorithm"]!.GetValue<string>(), state["file"]!.GetValue<string>()));
        var (_, pem, _) = await RunAsync("-o", "pem");
        Assert.Equal(File.ReadAllText(first.PublicFile!).Trim(), pem.Trim());

        // Rotated: the new one signs, the one before is named with its time.
        Replace(File.ReadAllBytes(second.SecretFile));
        await Eventually.TrueAsync(async () => (await ShowAsync())["keys"]!.AsArray().Count == 2);
        state = await ShowAsync();
        Assert.Equal([second.KeyId, first.KeyId], state["keys"]!.AsArray().Select(key => key!["keyId"]!.GetValue<string>()));
        Assert.Equal(state["keys"]![0]!["since"]!.GetValue<string>(), state["keys"]![1]!["until"]!.GetValue<string>());
        Assert.Null(state["problem"]);
        var (_, table, _) = await RunAsync();
        Assert.Contains(table.Split('\n'), line => line.StartsWith(second.KeyId, StringComparison.Ordinal) && line.Contains("signs", StringComparison.Ordinal));
        Assert.Contains(table.Split('\n'), line => line.StartsWith(first.KeyId, StringComparison.Ordinal) && line.Contains("former", StringComparison.Ordinal));
        Assert.DoesNotContain("PRIVATE", table, StringComparison.Ordinal);

        // What cannot be used is said, and the last good one signs on.
        Replace("nonsense"u8.ToArray());
        await Eventually.TrueAsync(async () => (await ShowAsync())["problem"] is not null);
        var (_, _, warning) = await RunAsync();
        Assert.Contains("warning: the file holds something else", warning, StringComparison.Ordinal);
        Assert.Equal(second.KeyId, (await ShowAsync())["keys"]![0]!["keyId"]!.GetValue<string>());
    }

    [Fact]
    public async Task Without_a_key_it_says_how_there_is_one()
    {
        File.WriteAllText(_folder.File("node.yaml"), "data: data\n");
        var (exitCode, output, error) = await RunAsync();
        Assert.Equal((0, ""), (exitCode, output));
        Assert.Contains("guestmark keys create", error, StringComparison.Ordinal);
        (exitCode, _, error) = await RunAsync("-o", "pem");
        Assert.Equal(1, exitCode);
        Assert.Contains("not signed", error, StringComparison.Ordinal);
        File.WriteAllText(_folder.File("node.yaml"), "data: data\nsigning: {key-file: absent.key}\n");
        (exitCode, _, error) = await RunAsync();
        Assert.Equal(1, exitCode);
        Assert.Contains("absent.key", error, StringComparison.Ordinal);
    }

    void Replace(byte[] content)
    {
        var next = _folder.File("node.key.new");
        File.WriteAllBytes(next, content);
        File.SetUnixFileMode(next, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        File.Move(next, _folder.File("node.key"), overwrite: true);
    }

    async Task<JsonNode> ShowAsync()
    {
        var (exitCode, output, error) = await RunAsync("-o", "json");
        Assert.True(exitCode == 0, error);
        return JsonNode.Parse(output)!;
    }

    Task<(int ExitCode, string Output, string Error)> RunAsync(params string[] more) =>
        GuestmarkProcess.RunAsync("guestmark", ["keys", "show", "--config", _folder.File("node.yaml"), .. more]);
}
