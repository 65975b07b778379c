using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Guestmark.Events.CloudEvents;
using Guestmark.Events.Signing;
using Guestmark.Events.Verification;
using Guestmark.TestKit;

namespace Guestmark.Events.Tests;

/// <summary>Events and keys of these tests, and what they are signed over, computed a second time from what Google.Protobuf reads.</summary>
static class Sample
{
    public static readonly DateTimeOffset Now = new(2026, 3, 4, 5, 6, 7, 890, TimeSpan.Zero);

    public static readonly ChannelIdentity Cell = new("//lab/node1/cell-ü", "cell-1")
    {
        GuestCid = 3_000_000_000,
        GuestPort = 9001,
        NetworkNamespace = ulong.MaxValue,
        BootEpoch = "7f1c",
        Cell = new CellAttribution("cell-1", "run-1", "00ff"),
    };

    public static StampedEvent Stamp(ulong sequence = 1, EventSigner? signer = null, byte[]? data = null, string stream = "0197e0c5-0000-7000-8000-000000000001-keep") =>
        StampedEvent.Stamp(Cell, EventTypes.InventoryReport, "virtualmachine.v1.VMReport", data ?? [1, 2, 0, 255], new EventPosition(stream, sequence), Now, signer);

    public static StampedEvent Loss(ulong sequence, ulong first, ulong last, EventSigner? signer = null, string node = "node1") =>
        StampedEvent.Stamp(
            new ChannelIdentity($"//lab/{node}/spool", $"node:{node}"), EventTypes.Loss, "guestmark.v1.EventLoss",
            Google.Protobuf.MessageExtensions.ToByteArray(new EventLoss { First = first, Last = last, Reason = LossReason.SpoolFull }),
            new EventPosition("0197e0c5-0000-7000-8000-000000000001-keep", sequence), Now, signer);

    /// <summary>A new key of an algorithm, and the folder that verifies it.</summary>
    public static (EventSigner Signer, EventVerifier Verifier) Key(string algorithm, TemporaryFolder folder)
    {
        var made = SigningKeyFile.Create(SigningAlgorithms.Find(algorithm)!.Value, folder.Path);
        return (EventSigningKeys.Open(algorithm, made.SecretFile), new EventVerifier(VerificationKeys.Load(folder.Path)));
    }

    /// <summary>The message that is signed, as docs/reference/signing.md says it.</summary>
    public static byte[] SignedMessage(CloudEvent cloudEvent)
    {
        var extensions = cloudEvent.Attributes.Where(a => a.Key is not ("subject" or "time" or "signature")).OrderBy(a => a.Key, StringComparer.Ordinal);
        byte[][] parts =
        [
            Utf8(cloudEvent.Id), Utf8(cloudEvent.Source), Utf8(cloudEvent.SpecVersion), Utf8(cloudEvent.Type), Utf8("application/protobuf"),
            Utf8(cloudEvent.ProtoData.TypeUrl), Utf8(cloudEvent.Attributes["subject"].CeString), Utf8("2026-03-04T05:06:07.89Z"),
            cloudEvent.ProtoData.Value.ToByteArray(),
            .. extensions.SelectMany(a => new[] { Utf8(a.Key), Utf8(a.Value.CeString) }),
        ];
        var digest = SHA256.HashData([.. parts.SelectMany(SHA256.HashData)]);
        return [.. Utf8("DSSEv1 46 application/vnd.guestmark.cloudevent-digest.v1 32 "), .. digest];
    }

    public static string ToJson(params StampedEvent[] events)
    {
        using var stream = new MemoryStream();
        foreach (var stamped in events)
        {
            using (var json = new Utf8JsonWriter(stream)) CloudEventJson.Write(json, stamped);
            stream.WriteByte((byte)'\n');
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }

    public static StampedEvent Read(ReadOnlyMemory<byte> encoded)
    {
        Assert.Null(StampedEvent.TryRead(encoded, out var read));
        return read!;
    }

    static byte[] Utf8(string text) => Encoding.UTF8.GetBytes(text);
}
