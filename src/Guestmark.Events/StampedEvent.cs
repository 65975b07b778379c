using System.Globalization;
using System.Text;
using System.Text.Unicode;
using Guestmark.Events.Format;
using Guestmark.Events.Signing;

namespace Guestmark.Events;

/// <summary>
/// One CloudEvent whose attribution the host has set. It is the same bytes from the moment of stamping to the row in
/// Central: hops pass <see cref="Encoded"/> on, they do not build the event again.
/// </summary>
/// <remarks>
/// Encoded as <c>io.cloudevents.v1.CloudEvent</c> (proto/cloudevents/cloudevents.proto). Beside the required attributes
/// it carries <c>subject</c>, <c>time</c>, <c>stream</c>, <c>sequence</c> (20 digits, so that text order is number order, as
/// the sequence extension asks), what the channel is (<c>guestcid</c>, <c>guestport</c>, <c>netns</c>, <c>bootepoch</c>; unsigned numbers, and
/// therefore text: a CloudEvents integer is signed and would turn half of all CIDs negative), <c>cellid</c>, <c>runid</c> and
/// <c>specsignaturehash</c> of a cell, and <c>keyid</c> and <c>signature</c> where the node signs.
/// <para>
/// Reading is stricter than protobuf asks: a field, an attribute or a name that is there twice, a field that is not known, and a number in more
/// bytes than it needs are refused. Otherwise two readers could see two events in the same bytes, of which one was signed.
/// </para>
/// </remarks>
public sealed class StampedEvent
{
    /// <summary>Attributes of one event; ours have up to thirteen.</summary>
    internal const int AttributesMax = 64;

    const int SequenceDigits = 20;

    readonly Part _id;
    readonly Part _source;
    readonly Part _type;
    readonly Part _subject;
    readonly Part _typeUrl;
    readonly Part _data;
    readonly Part _keyId;
    readonly Part _signature;

    StampedEvent(ReadOnlyMemory<byte> encoded, in Reading reading)
    {
        Encoded = encoded;
        Position = new EventPosition(StreamNames.Get(reading.Stream.Of(encoded.Span)), reading.Sequence);
        ExactTime = reading.Time;
        (_id, _source, _type, _subject) = (reading.Id, reading.Source, reading.Type, reading.Subject);
        (_typeUrl, _data, _keyId, _signature) = (reading.TypeUrl, reading.Data, reading.KeyId, reading.Signature);
    }

    /// <summary>UUIDv7 that the host chose.</summary>
    public string Id => field ??= Text(_id);

    public string Source => field ??= Text(_source);

    public string Subject => field ??= Text(_subject);

    public string Type => field ??= Text(_type);

    /// <summary>When the host received the data, to the tenth of a microsecond.</summary>
    public DateTimeOffset Time => ExactTime.ToDateTimeOffset();

    public EventPosition Position { get; }

    /// <summary>What the guest sent. Its type is decided by <see cref="Type"/>.</summary>
    public ReadOnlyMemory<byte> Data => _data.Of(Encoded);

    /// <summary>The type URL of <see cref="Data"/>: <c>type.googleapis.com/</c> and the full name of its protobuf message.</summary>
    public string DataSchema => field ??= Text(_typeUrl);

    /// <summary>Which key the event says it is signed with. Null when it says nothing.</summary>
    public string? KeyId => _keyId.Length == 0 ? null : field ??= Text(_keyId);

    /// <summary>Empty when the event is not signed. Whether it is right only an verifier can say.</summary>
    public ReadOnlyMemory<byte> Signature => _signature.Of(Encoded);

    /// <summary>The event in the CloudEvents protobuf format.</summary>
    public ReadOnlyMemory<byte> Encoded { get; }

    internal EventTime ExactTime { get; }

    /// <summary>Makes an event of what arrived on a channel. Internal: only the node stamps.</summary>
    /// <param name="dataType">Full name of the protobuf message in <paramref name="data"/>.</param>
    internal static StampedEvent Stamp(
        ChannelIdentity channel, string type, string dataType, ReadOnlySpan<byte> data, EventPosition position, DateTimeOffset receivedAt,
        EventSigner? signer = null)
    {
        var encoded = Encode(channel, type, dataType, data, position, receivedAt, signer);
        return TryRead(encoded, out var stamped) is { } problem ? throw new ArgumentException($"the channel and type make no event: {problem}") : stamped!;
    }

    /// <summary>The bytes of such an event alone: one allocation.</summary>
    /// <inheritdoc cref="Stamp"/>
    internal static byte[] Encode(
        ChannelIdentity channel, string type, string dataType, ReadOnlySpan<byte> data, EventPosition position, DateTimeOffset receivedAt,
        EventSigner? signer = null)
    {
        var template = StampTemplate.For(channel, type, dataType);
        var time = EventTime.Of(receivedAt);
        Span<byte> id = stackalloc byte[EventId.Bytes];
        EventId.Write(receivedAt, id);
        Span<byte> sequence = stackalloc byte[SequenceDigits];
        position.Sequence.TryFormat(sequence, out _, "D20", CultureInfo.InvariantCulture);

        // One key for the whole event, whatever is rotated meanwhile.
        var key = signer?.Current;
        Span<byte> signature = key is null ? default : stackalloc byte[key.SignatureBytesMax];
        var keyId = key is null ? default : key.KeyIdBytes;
        if (key is not null) signature = signature[..Sign(template, key, id, time, data, position.Stream, sequence, signature)];

        var streamBytes = Encoding.UTF8.GetByteCount(position.Stream);
        var any = EventWriter.FieldSize(template.TypeUrlBytes.Length) + (data.IsEmpty ? 0 : EventWriter.FieldSize(data.Length));
        var size = EventWriter.FieldSize(id.Length) + template.Head.Length
            + EventWriter.AttributeSize("stream".Length, streamBytes)
            + EventWriter.AttributeSize("sequence".Length, SequenceDigits)
            + EventWriter.AttributeSize("time".Length, EventWriter.TimestampSize(time.Seconds, time.Nanos))
            + (key is null ? 0 : EventWriter.AttributeSize("keyid".Length, keyId.Length) + EventWriter.AttributeSize("signature".Length, signature.Length))
            + EventWriter.FieldSize(any);

        var encoded = GC.AllocateUninitializedArray<byte>(size);
        var writer = new EventWriter(encoded);
        writer.Field(EventWriter.IdTag, id);
        writer.Raw(template.Head);
        writer.BeginAttribute("stream"u8, EventWriter.TextTag, streamBytes);
        writer.Text(position.Stream);
        writer.Attribute("sequence"u8, sequence);
        writer.Timestamp("time"u8, time.Seconds, time.Nanos);
        if (key is not null)
        {
            writer.Attribute("keyid"u8, keyId);
            writer.BeginAttribute("signature"u8, EventWriter.BytesTag, signature.Length);
            writer.Raw(signature);
        }

        writer.Begin(EventWriter.ProtoDataTag, any);
        writer.Field(EventWriter.TypeUrlTag, template.TypeUrlBytes);
        if (!data.IsEmpty) writer.Field(EventWriter.AnyValueTag, data);
        return encoded;
    }

    static int Sign(
        StampTemplate template, EventSigner key, ReadOnlySpan<byte> id, EventTime time, ReadOnlySpan<byte> data, string stream, ReadOnlySpan<byte> sequence,
        Span<byte> signature)
    {
        Span<byte> timeText = stackalloc byte[EventTime.TextBytesMax];
        Span<byte> message = stackalloc byte[EventDigest.MessageBytes];
        template.Digest.Compute(id, timeText[..time.Write(timeText)], data, key.KeyIdDigest, stream, sequence, EventDigest.BeginMessage(message));
        return key.Sign(message, signature);
    }

    /// <summary>Reads an event that another hop, whose certificate was checked, passed on.</summary>
    /// <param name="encoded">Kept by the event: it must not change.</param>
    /// <returns>Null on success; otherwise what is wrong with the bytes.</returns>
    public static string? TryRead(ReadOnlyMemory<byte> encoded, out StampedEvent? stamped)
    {
        stamped = null;
        var reading = default(Reading);
        if (reading.Read(encoded.Span) is { } problem) return problem;
        stamped = new StampedEvent(encoded, reading);
        return null;
    }

    /// <summary>The text of an attribute beside those that have properties, as JSON and HTTP would show it. Null when the event has none of the name.</summary>
    public string? Attribute(string name)
    {
        foreach (var attribute in new EventAttributes(Encoded.Span))
        {
            if (attribute.Name.Length == name.Length && Ascii.Equals(attribute.Name, name)) return attribute.ToText();
        }

        return null;
    }

    string Text(Part part) => Encoding.UTF8.GetString(part.Of(Encoded.Span));

    /// <summary>Where something lies in the event's bytes. Length 0: it is not there, or empty.</summary>
    readonly record struct Part(int Start, int Length)
    {
        public ReadOnlySpan<byte> Of(ReadOnlySpan<byte> encoded) => encoded.Slice(Start, Length);

        public ReadOnlyMemory<byte> Of(ReadOnlyMemory<byte> encoded) => encoded.Slice(Start, Length);
    }

    /// <summary>One walk over an event's bytes.</summary>
    struct Reading
    {
        public Part Id;
        public Part Source;
        public Part Type;
        public Part Subject;
        public Part TypeUrl;
        public Part Data;
        public Part Stream;
        public Part KeyId;
        public Part Signature;
        public ulong Sequence;
        public EventTime Time;
        Part _specVersion;
        Part _contentType;
        Part _dataSchema;
        Part _sequence;
        bool _hasTime;
        bool _hasData;
        int _attributes;

        public string? Read(ReadOnlySpan<byte> encoded)
        {
            var fields = new EventFields(encoded);
            Span<Part> names = stackalloc Part[AttributesMax];
            while (fields.TryNext())
            {
                if (fields.IsVarint) return "not a CloudEvent: a field has another type";
                var at = new Part(fields.Start, fields.Length);
                var problem = fields.Field switch
                {
                    1 => Required(ref Id, at, "id", encoded),
                    2 => Required(ref Source, at, "source", encoded),
                    3 => Required(ref _specVersion, at, "specversion", encoded),
                    4 => Required(ref Type, at, "type", encoded),
                    5 => ReadAttribute(at, names, encoded),
                    8 => ReadData(at, encoded),
                    6 or 7 => "data is not protobuf",
                    _ => $"not a CloudEvent: field {fields.Field} is not known",
                };
                if (problem is not null) return problem;
            }

            if (fields.IsMalformed) return "not a CloudEvent: the bytes are no protobuf message";
            return Check(encoded);
        }

        readonly string? Check(ReadOnlySpan<byte> encoded)
        {
            if (!_specVersion.Of(encoded).SequenceEqual("1.0"u8))
                return $"specversion is '{Excerpt(Encoding.UTF8.GetString(_specVersion.Of(encoded)))}', expected '{StampTemplate.SpecVersion}'";
            if (Id.Length == 0) return "attribute id is missing";
            if (Source.Length == 0) return "attribute source is missing";
            if (Type.Length == 0) return "attribute type is missing";
            if (!_hasData) return "data is missing or is not protobuf";
            if (Subject.Length == 0) return "attribute subject is missing";
            if (Stream.Length == 0) return "attribute stream is missing";
            if (_sequence.Length == 0) return "attribute sequence is missing or is not a number";
            if (!_hasTime) return "attribute time is missing";
            // What the data is, is said by the data itself; an attribute may repeat it.
            if (_contentType.Length > 0 && !_contentType.Of(encoded).SequenceEqual("application/protobuf"u8)) return "attribute datacontenttype is not application/protobuf";
            if (_dataSchema.Length > 0 && !_dataSchema.Of(encoded).SequenceEqual(TypeUrl.Of(encoded))) return "attribute dataschema is not the type of the data";
            return null;
        }

        static string? Required(ref Part part, Part at, string name, ReadOnlySpan<byte> encoded)
        {
            if (part.Length > 0) return $"attribute {name} is there twice";
            if (!Utf8.IsValid(at.Of(encoded))) return $"attribute {name} is not UTF-8";
            part = at;
            return null;
        }

        // google.protobuf.Any: 1 type_url, 2 value.
        string? ReadData(Part any, ReadOnlySpan<byte> encoded)
        {
            if (_hasData) return "data is there twice";
            _hasData = true;
            var fields = new EventFields(any.Of(encoded));
            var hasValue = false;
            while (fields.TryNext())
            {
                var at = new Part(any.Start + fields.Start, fields.Length);
                if (!fields.IsVarint && fields.Field == 1 && TypeUrl.Length == 0) TypeUrl = at;
                else if (!fields.IsVarint && fields.Field == 2 && !hasValue) (hasValue, Data) = (true, at);
                else return "data is malformed";
            }

            return fields.IsMalformed || TypeUrl.Length == 0 || !Utf8.IsValid(TypeUrl.Of(encoded)) ? "data is malformed or has no type" : null;
        }

        string? ReadAttribute(Part entry, Span<Part> names, ReadOnlySpan<byte> encoded)
        {
            if (EventAttribute.TryRead(entry.Of(encoded), out var attribute) is { } problem) return problem;
            var name = attribute.Name;
            var value = new Part(entry.Start + attribute.ValueStart, attribute.Value.Length);
            switch (name.Length)
            {
                case 2 when name.SequenceEqual("id"u8):
                case 6 when name.SequenceEqual("source"u8):
                case 11 when name.SequenceEqual("specversion"u8):
                case 4 when name.SequenceEqual("type"u8) || name.SequenceEqual("data"u8):
                    return $"attribute {Encoding.ASCII.GetString(name)} is there twice";
                case 4 when name.SequenceEqual("time"u8):
                    if (_hasTime || attribute.Kind != AttributeKind.Timestamp) return "attribute time is there twice or is no timestamp";
                    (_hasTime, Time) = (true, attribute.Time);
                    return Count();
                case 7 when name.SequenceEqual("subject"u8): return Known(ref Subject, attribute, value) ?? Count();
                case 6 when name.SequenceEqual("stream"u8): return Known(ref Stream, attribute, value) ?? Count();
                case 8 when name.SequenceEqual("sequence"u8):
                    if (Known(ref _sequence, attribute, value) is { } wrong) return wrong;
                    return ulong.TryParse(attribute.Value, NumberStyles.None, CultureInfo.InvariantCulture, out Sequence)
                        ? Count() : "attribute sequence is missing or is not a number";
                case 5 when name.SequenceEqual("keyid"u8): return Known(ref KeyId, attribute, value) ?? Count();
                case 9 when name.SequenceEqual("signature"u8): return Known(ref Signature, attribute, value, AttributeKind.Bytes) ?? Count();
                case 15 when name.SequenceEqual("datacontenttype"u8): return Known(ref _contentType, attribute, value) ?? Count();
                case 10 when name.SequenceEqual("dataschema"u8):
                    return Known(ref _dataSchema, attribute, value, attribute.Kind == AttributeKind.Uri ? AttributeKind.Uri : AttributeKind.Text) ?? Count();
            }

            foreach (var other in names[.._attributes])
            {
                if (other.Of(encoded).SequenceEqual(name)) return $"attribute {Encoding.ASCII.GetString(name)} is there twice";
            }

            names[_attributes] = new Part(entry.Start + attribute.NameStart, name.Length);
            return Count();
        }

        string? Count() => ++_attributes >= AttributesMax ? $"there are {AttributesMax} attributes or more" : null;

        static string? Known(ref Part part, in EventAttribute attribute, Part value, AttributeKind kind = AttributeKind.Text)
        {
            if (part.Length == 0 && attribute.Kind == kind && value.Length > 0)
            {
                part = value;
                return null;
            }

            var name = Encoding.ASCII.GetString(attribute.Name);
            return part.Length > 0 ? $"attribute {name} is there twice" : $"attribute {name} is empty or is not of type {kind}";
        }

        static string Excerpt(string text) => text.Length <= 32 ? text : text[..32] + "…";
    }
}
