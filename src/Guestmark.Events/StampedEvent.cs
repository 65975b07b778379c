using System.Globalization;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Guestmark.Events.CloudEvents;
using Guestmark.Events.Signing;
using AttributeValue = Guestmark.Events.CloudEvents.CloudEvent.Types.CloudEventAttributeValue;

namespace Guestmark.Events;

/// <summary>
/// One CloudEvent whose attribution the host has set. It is the same bytes from the moment of stamping to the row in
/// Central: hops pass <see cref="Encoded"/> on, they do not build the event again.
/// </summary>
/// <remarks>
/// Encoded as <c>io.cloudevents.v1.CloudEvent</c> (proto/cloudevents/cloudevents.proto). Beside the required attributes
/// it carries <c>subject</c>, <c>time</c>, <c>stream</c>, <c>sequence</c> (20 digits, so that text order is number order, as
/// the sequence extension asks) and, on vsock, <c>guestcid</c> and <c>guestport</c>, which are unsigned 32-bit numbers and
/// therefore text: a CloudEvents integer is signed and would turn half of all CIDs negative.
/// </remarks>
public sealed class StampedEvent
{
    const string SpecVersion = "1.0";
    const string TypeUrlPrefix = "type.googleapis.com/";

    readonly CloudEvent _event;

    StampedEvent(CloudEvent cloudEvent, ReadOnlyMemory<byte> encoded, EventPosition position, DateTimeOffset time)
    {
        _event = cloudEvent;
        Encoded = encoded;
        Position = position;
        Time = time;
    }

    /// <summary>UUIDv7 that the host chose.</summary>
    public string Id => _event.Id;

    public string Source => _event.Source;

    public string Subject => _event.Attributes["subject"].CeString;

    public string Type => _event.Type;

    /// <summary>When the host received the data.</summary>
    public DateTimeOffset Time { get; }

    public EventPosition Position { get; }

    /// <summary>What the guest sent. Its type is decided by <see cref="Type"/>.</summary>
    public ReadOnlyMemory<byte> Data => _event.ProtoData.Value.Memory;

    /// <summary>The event in the CloudEvents protobuf format.</summary>
    public ReadOnlyMemory<byte> Encoded { get; }

    /// <summary>Makes an event of what arrived on a channel. Internal: only the node stamps.</summary>
    /// <param name="dataType">Full name of the protobuf message in <paramref name="data"/>.</param>
    internal static StampedEvent Stamp(
        ChannelIdentity channel, string type, string dataType, ReadOnlySpan<byte> data, EventPosition position, DateTimeOffset receivedAt,
        EventSigner? signer = null)
    {
        _ = signer;
        var cloudEvent = new CloudEvent
        {
            Id = Guid.CreateVersion7(receivedAt).ToString(),
            Source = channel.Source,
            SpecVersion = SpecVersion,
            Type = type,
            ProtoData = new Any { TypeUrl = TypeUrlPrefix + dataType, Value = ByteString.CopyFrom(data) },
            Attributes =
            {
                ["subject"] = new AttributeValue { CeString = channel.Subject },
                ["time"] = new AttributeValue { CeTimestamp = Timestamp.FromDateTimeOffset(receivedAt) },
                ["stream"] = new AttributeValue { CeString = position.Stream },
                ["sequence"] = new AttributeValue { CeString = position.Sequence.ToString("D20", CultureInfo.InvariantCulture) },
            },
        };
        if (channel.GuestCid is { } cid) cloudEvent.Attributes["guestcid"] = Text(cid);
        if (channel.GuestPort is { } port) cloudEvent.Attributes["guestport"] = Text(port);
        return new StampedEvent(cloudEvent, cloudEvent.ToByteArray(), position, receivedAt);

        static AttributeValue Text(uint value) => new() { CeString = value.ToString(CultureInfo.InvariantCulture) };
    }

    /// <summary>Reads an event that another hop, whose certificate was checked, passed on.</summary>
    /// <returns>Null on success; otherwise what is wrong with the bytes.</returns>
    public static string? TryRead(ReadOnlyMemory<byte> encoded, out StampedEvent? stamped)
    {
        stamped = null;
        CloudEvent cloudEvent;
        try
        {
            cloudEvent = CloudEvent.Parser.ParseFrom(encoded.Span);
        }
        catch (InvalidProtocolBufferException e)
        {
            return $"not a CloudEvent: {e.Message}";
        }

        if (cloudEvent.SpecVersion != SpecVersion) return $"specversion is '{Excerpt(cloudEvent.SpecVersion)}', expected '{SpecVersion}'";
        if (cloudEvent.Id.Length == 0) return "attribute id is missing";
        if (cloudEvent.Source.Length == 0) return "attribute source is missing";
        if (cloudEvent.Type.Length == 0) return "attribute type is missing";
        if (cloudEvent.DataCase != CloudEvent.DataOneofCase.ProtoData) return "data is missing or is not protobuf";
        if (TextAttribute(cloudEvent, "subject") is not { Length: > 0 }) return "attribute subject is missing";
        if (TextAttribute(cloudEvent, "stream") is not { Length: > 0 } stream) return "attribute stream is missing";
        if (!ulong.TryParse(TextAttribute(cloudEvent, "sequence"), NumberStyles.None, CultureInfo.InvariantCulture, out var sequence))
            return "attribute sequence is missing or is not a number";
        if (!cloudEvent.Attributes.TryGetValue("time", out var time) || time.CeTimestamp is null) return "attribute time is missing";

        DateTimeOffset receivedAt;
        try
        {
            receivedAt = time.CeTimestamp.ToDateTimeOffset();
        }
        catch (InvalidOperationException)
        {
            return "attribute time is out of range";
        }

        stamped = new StampedEvent(cloudEvent, encoded, new EventPosition(stream, sequence), receivedAt);
        return null;
    }

    static string? TextAttribute(CloudEvent cloudEvent, string name) =>
        cloudEvent.Attributes.TryGetValue(name, out var value) ? value.CeString : null;

    static string Excerpt(string text) => text.Length <= 32 ? text : text[..32] + "…";
}
