using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Events.Signing;
using Guestmark.TestKit;

namespace Guestmark.EndToEnd;

/// <summary>Establishes what <c>guestmark keys create</c> makes and what <c>guestmark verify</c> says of exports, by output and exit code.</summary>
public sealed class VerifyCommandTests : IDisposable
{
    static readonly DateTimeOffset Now = new(2026, 3, 4, 5, 6, 7, 890, TimeSpan.Zero);

    readonly TemporaryFolder _folder = new();

    string Keys => _folder.File("keys");

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("ecdsa-p256")]
    [InlineData("ed25519")]
    [InlineData("hmac-sha256")]
    public async Task An_export_is_verified_with_the_keys_that_were_made(string algorithm)
    {
        var events = await EventsAsync(algorithm, 20);
        var (exitCode, output, error) = await VerifyAsync(Export(events));
        Assert.True(exitCode == 0, output + error);
        Assert.EndsWith("verified\n", output, StringComparison.Ordinal);
        Assert.Matches("verified +20", output);
    }

    [Fact]
    public async Task What_is_missing_altered_stripped_or_broken_is_named_and_ends_with_3()
    {
        var events = await EventsAsync("ed25519", 9);
        var lines = Encoding.UTF8.GetString(Export(events)).Split('\n');
        lines[1] = lines[1].Replace("\"uid-1\"", "\"uid-2\"", StringComparison.Ordinal);
        var stripped = JsonNode.Parse(lines[4])!.AsObject();
        Assert.True(stripped.Remove("keyid") && stripped.Remove("signature"));
        lines[4] = stripped.ToJsonString();
        lines[6] = "{}";
        lines[8] = lines[7];
        var export = Encoding.UTF8.GetBytes(string.Join('\n', lines));

        var (exitCode, output, _) = await VerifyAsync(export, "-o", "json");
        Assert.Equal(3, exitCode);
        var json = JsonNode.Parse(output)!;
        Assert.Equal("failed", (string)json["result"]!);
        Assert.Equal([9, 6, 1, 0, 0, 1, 1], ((string[])["events", "verified", "unsigned", "unknownKey", "otherNode", "badSignature", "unreadable"]).Select(name => (int)json[name]!));
        Assert.Equal([2, 5, 7], json["problems"]!.AsArray().Select(problem => (int)problem!["event"]!));
        var stream = Assert.Single(json["streams"]!.AsArray())!;
        Assert.Equal("""[{"first":2,"last":2,"reason":null},{"first":5,"last":5,"reason":null},{"first":7,"last":7,"reason":null}]""", stream["gaps"]!.ToJsonString());
        Assert.Equal("[8]", stream["firstDuplicates"]!.ToJsonString());

        (exitCode, output, _) = await VerifyAsync(export);
        Assert.Equal(3, exitCode);
        Assert.Contains("event 2 (byte ", output, StringComparison.Ordinal);
        Assert.Contains("event 7 is missing, and nothing says why", output, StringComparison.Ordinal);
        Assert.EndsWith("NOT verified: 1 unsigned, 1 bad signature, 1 unreadable, 3 missing without a reason\n", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Unsigned_events_pass_only_where_that_was_asked_for()
    {
        await EventsAsync("ed25519", 0);
        var nodes = new NodeEvents();
        var export = Export([nodes.Lifecycle("uid-1", "web1", Now), nodes.Lifecycle("uid-1", "web1", Now)]);
        Assert.Equal(3, (await VerifyAsync(export)).ExitCode);
        Assert.Equal(0, (await VerifyAsync(export, "--allow-unsigned")).ExitCode);
    }

    [Fact]
    public async Task A_gap_that_a_loss_event_explains_is_named_and_is_no_failure()
    {
        var signer = await SignerAsync("ecdsa-p256");
        var nodes = new NodeEvents(signer: signer);
        var events = Enumerable.Range(0, 5).Select(_ => nodes.Lifecycle("uid-1", "web1", Now)).ToList();
        events.RemoveRange(1, 3);
        var loss = new EventLoss { First = 2, Last = 4, Reason = LossReason.SpoolFull };
        events.Add(nodes.Stamp("node1", EventTypes.Loss, "guestmark.v1.EventLoss", loss.ToByteArray(), Now));

        var (exitCode, output, error) = await VerifyAsync(Export(events));
        Assert.True(exitCode == 0, output + error);
        Assert.Contains("events 2 to 4 are missing; the host says why: spool-full", output, StringComparison.Ordinal);
        signer.Dispose();
    }

    [Fact]
    public async Task The_beginning_is_demanded_from_a_complete_export()
    {
        var export = Export((await EventsAsync("ed25519", 4)).Skip(2));
        Assert.Equal(0, (await VerifyAsync(export)).ExitCode);
        var (exitCode, output, _) = await VerifyAsync(export, "--complete");
        Assert.Equal(3, exitCode);
        Assert.Contains("events 1 to 2 are missing", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Calls_that_cannot_verify_say_why()
    {
        var export = Export(await EventsAsync("ed25519", 1));
        Check(await GuestmarkProcess.RunAsync("guestmark", "verify", _folder.File("absent"), "--keys", Keys), 1, "cannot be read");
        Check(await VerifyAsync([]), 1, "holds no event");
        File.WriteAllBytes(_folder.File("export"), export);
        Check(await GuestmarkProcess.RunAsync("guestmark", "verify", _folder.File("export"), "--keys", _folder.File("absent")), 1, "--keys: ");
        Check(await GuestmarkProcess.RunAsync("guestmark", "verify", _folder.File("export")), 2, "--keys");
        Check(await GuestmarkProcess.RunAsync("guestmark", "keys", "create", "--out", Keys, "--algorithm", "rsa"), 2, "ecdsa-p256");
        Check(await GuestmarkProcess.RunAsync("guestmark", "keys", "create", "--out", Keys, "--key-id", "../x"), 2, "--key-id ../x");

        static void Check((int ExitCode, string Output, string Error) result, int exitCode, string error)
        {
            Assert.Equal(exitCode, result.ExitCode);
            Assert.Contains(error, result.Error, StringComparison.Ordinal);
        }
    }

    async Task<EventSigner> SignerAsync(string algorithm)
    {
        var (exitCode, output, error) = await GuestmarkProcess.RunAsync("guestmark", "keys", "create", "--algorithm", algorithm, "--out", Keys);
        Assert.True(exitCode == 0, error);
        return EventSigningKeys.Open(algorithm, output.Split('\n')[0]);
    }

    async Task<List<StampedEvent>> EventsAsync(string algorithm, int count)
    {
        using var signer = await SignerAsync(algorithm);
        var nodes = new NodeEvents(signer: signer);
        return [.. Enumerable.Range(0, count).Select(_ => nodes.Lifecycle("uid-1", "web1", Now))];
    }

    Task<(int ExitCode, string Output, string Error)> VerifyAsync(byte[] export, params IEnumerable<string> arguments)
    {
        File.WriteAllBytes(_folder.File("export"), export);
        return GuestmarkProcess.RunAsync("guestmark", ["verify", _folder.File("export"), "--keys", Keys, .. arguments]);
    }

    static byte[] Export(IEnumerable<StampedEvent> events)
    {
        using var stream = new MemoryStream();
        foreach (var stamped in events)
        {
            if (stream.Length > 0) stream.WriteByte((byte)'\n');
            using var json = new Utf8JsonWriter(stream);
            CloudEventJson.Write(json, stamped);
        }

        return stream.ToArray();
    }
}
