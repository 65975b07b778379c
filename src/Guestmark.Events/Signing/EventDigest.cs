using System.Security.Cryptography;
using System.Text;
using Guestmark.Events.Format;

namespace Guestmark.Events.Signing;

/// <summary>What a signature covers: the digest of all attributes and the data, and the message around it that is signed.</summary>
/// <remarks>
/// After the CloudEvents extension "Verifiable CloudEvents with DSSE" (cloudevents/extensions/verifiability.md):
/// <code>
/// digest = SHA256( SHA256(id) SHA256(source) SHA256(specversion) SHA256(type) SHA256(datacontenttype) SHA256(dataschema) SHA256(subject)
///                  SHA256(time) SHA256(data)
///                  and for each extension attribute but "signature", by name: SHA256(name) SHA256(value) )
/// signed = "DSSEv1" SP LEN(type) SP type SP "32" SP digest
/// </code>
/// Every part has 32 bytes whatever its length, so bytes cannot move from one part to its neighbour. Where it departs from the extension and why:
/// docs/decisions/0008-event-signatures.md.
/// </remarks>
static class EventDigest
{
    /// <summary>SHA-256.</summary>
    public const int Bytes = 32;

    public const int IdAt = 0;
    public const int TimeAt = 7 * Bytes;
    public const int DataAt = 8 * Bytes;
    public const int CoreBytes = 9 * Bytes;
    public const int ExtensionBytes = 2 * Bytes;

    /// <summary><c>datacontenttype</c> of every event: it is implied by data of protobuf, as the CloudEvents protobuf format says.</summary>
    public const string ProtobufContentType = "application/protobuf";

    /// <summary>DSSE's payload type. The number changes when what is digested changes.</summary>
    public const string PayloadType = "application/vnd.guestmark.cloudevent-digest.v1";

    static readonly byte[] Prefix = Encoding.ASCII.GetBytes($"DSSEv1 {PayloadType.Length} {PayloadType} {Bytes} ");

    /// <summary>Length of every signed message.</summary>
    public static int MessageBytes { get; } = Prefix.Length + Bytes;

    /// <summary>Writes DSSE's pre-authentication encoding up to the digest.</summary>
    /// <returns>Where the digest belongs.</returns>
    public static Span<byte> BeginMessage(Span<byte> message)
    {
        Prefix.CopyTo(message);
        return message[Prefix.Length..];
    }

    /// <summary>The digest of an event that came from somewhere.</summary>
    public static void Compute(StampedEvent stamped, Span<byte> destination)
    {
        var encoded = stamped.Encoded.Span;
        var names = new string[StampedEvent.AttributesMax];
        var values = new byte[StampedEvent.AttributesMax][];
        var count = 0;
        Span<byte> time = stackalloc byte[EventTime.TextBytesMax];
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Append(hash, Encoding.UTF8.GetBytes(stamped.Id));
        Append(hash, Encoding.UTF8.GetBytes(stamped.Source));
        Append(hash, "1.0"u8);
        Append(hash, Encoding.UTF8.GetBytes(stamped.Type));
        Append(hash, Encoding.ASCII.GetBytes(ProtobufContentType));
        Append(hash, Encoding.UTF8.GetBytes(stamped.DataSchema));
        Append(hash, Encoding.UTF8.GetBytes(stamped.Subject));
        Append(hash, time[..stamped.ExactTime.Write(time)]);
        Append(hash, stamped.Data.Span);
        foreach (var attribute in new EventAttributes(encoded))
        {
            var name = Encoding.ASCII.GetString(attribute.Name);
            if (name is "subject" or "time" or "datacontenttype" or "dataschema" or "signature") continue;
            names[count] = name;
            values[count++] = Encoding.UTF8.GetBytes(attribute.ToText());
        }

        Array.Sort(names, values, 0, count, StringComparer.Ordinal);
        for (var i = 0; i < count; i++)
        {
            Append(hash, Encoding.ASCII.GetBytes(names[i]));
            Append(hash, values[i]);
        }

        hash.GetHashAndReset(destination);

        static void Append(IncrementalHash hash, ReadOnlySpan<byte> part)
        {
            Span<byte> digest = stackalloc byte[Bytes];
            SHA256.HashData(part, digest);
            hash.AppendData(digest);
        }
    }
}
