using Google.Protobuf;
using Guestmark.Events;
using Guestmark.Events.Signing;
using Guestmark.Events.Verification;
using Guestmark.TestKit;
using Guestmark.Wire.Framing;
using Guestmark.Wire.Reports;

namespace Guestmark.Node.Tests;

/// <summary>Establishes that a node that is told to sign signs everything or does not start.</summary>
public sealed class SigningTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task What_a_guest_reports_is_in_the_spool_with_the_signature_of_the_configured_key()
    {
        var key = SigningKeyFile.Create(SigningAlgorithm.Ed25519, _folder.Path);
        await using var node = await RunningNode.StartAsync(options => options with { Signing = new SigningOptions { Algorithm = "ed25519", KeyFile = key.SecretFile } });
        Assert.Equal(PushStatus.Stored, await node.SendAsync("web1", RunningNode.Frame(new VMReport { IndexReport = new IndexReport { VmId = "x" } }.ToByteArray())));

        var verifier = new EventVerifier(VerificationKeys.Load(_folder.Path));
        var cursor = node.Spool.OpenCursor();
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var reported = false;
        while (!reported)
        {
            foreach (var record in await cursor.ReadAsync(100, 1 << 20, limit.Token))
            {
                Assert.Null(StampedEvent.TryRead(record.Data, out var stamped));
                Assert.Equal((SignatureStatus.Verified, key.KeyId), (verifier.Verify(stamped!), stamped!.KeyId));
                reported |= stamped.Type == EventTypes.InventoryReport;
            }
        }
    }

    [Fact]
    public async Task A_key_that_cannot_be_read_stops_the_start_and_is_named()
    {
        var file = _folder.File("absent.key");
        var e = await Assert.ThrowsAsync<SigningKeyException>(() => RunningNode.StartAsync(options => options with { Signing = new SigningOptions { KeyFile = file } }));
        Assert.StartsWith($"{file}: is not there", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_algorithm_that_is_none_stops_the_start()
    {
        var key = SigningKeyFile.Create(SigningAlgorithm.Ed25519, _folder.Path);
        var e = await Assert.ThrowsAsync<SigningKeyException>(
            () => RunningNode.StartAsync(options => options with { Signing = new SigningOptions { Algorithm = "off", KeyFile = key.SecretFile } }));
        Assert.Contains("use one of ecdsa-p256", e.Message, StringComparison.Ordinal);
    }
}
