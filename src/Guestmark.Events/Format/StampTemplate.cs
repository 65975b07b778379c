using System.Globalization;
using System.Text;
using Guestmark.Events.Signing;

namespace Guestmark.Events.Format;

/// <summary>What all events of one type on one channel have in common, encoded once.</summary>
sealed class StampTemplate
{
    public const string SpecVersion = "1.0";
    public const string TypeUrlPrefix = "type.googleapis.com/";

    readonly ChannelIdentity _channel;
    readonly string _type;
    readonly string _dataType;
    DigestTemplate? _digest;

    StampTemplate(ChannelIdentity channel, string type, string dataType)
    {
        _channel = channel;
        _type = type;
        _dataType = dataType;
        TypeUrl = TypeUrlPrefix + dataType;
        Head = EncodeHead();
        TypeUrlBytes = Encoding.UTF8.GetBytes(TypeUrl);
    }

    /// <summary>Fields 2 to 4 and the attributes that do not change.</summary>
    public byte[] Head { get; }

    public string TypeUrl { get; }

    public byte[] TypeUrlBytes { get; }

    public DigestTemplate Digest => _digest ??= new DigestTemplate(_channel.Source, SpecVersion, _type, TypeUrl, _channel.Subject, Extensions(_channel));

    /// <summary>The channel's template for events of a type. Mostly the one of the event before: a channel seldom has two types.</summary>
    public static StampTemplate For(ChannelIdentity channel, string type, string dataType)
    {
        // A copy of an identity with another value brings the template of the first along, so it is compared by reference.
        if (channel.Template.Value is { } template && ReferenceEquals(template._channel, channel)
            && string.Equals(template._type, type, StringComparison.Ordinal) && string.Equals(template._dataType, dataType, StringComparison.Ordinal))
        {
            return template;
        }

        template = new StampTemplate(channel, type, dataType);
        channel.Template.Value = template;
        return template;
    }

    /// <summary>Extension attributes of a channel, by name. The order is that of the event's bytes.</summary>
    static List<(string Name, string Value)> Extensions(ChannelIdentity channel)
    {
        var attributes = new List<(string, string)>(8);
        if (channel.GuestCid is { } cid) attributes.Add(("guestcid", cid.ToString(CultureInfo.InvariantCulture)));
        if (channel.GuestPort is { } port) attributes.Add(("guestport", port.ToString(CultureInfo.InvariantCulture)));
        if (channel.NetworkNamespace is { } inode) attributes.Add(("netns", inode.ToString(CultureInfo.InvariantCulture)));
        if (channel.BootEpoch is { Length: > 0 } epoch) attributes.Add(("bootepoch", epoch));
        if (channel.Cell is { } cell)
        {
            attributes.Add(("cellid", cell.CellId));
            attributes.Add(("runid", cell.RunId));
            if (cell.SpecSignatureHash is { Length: > 0 } hash) attributes.Add(("specsignaturehash", hash));
        }

        return attributes;
    }

    byte[] EncodeHead()
    {
        var source = Encoding.UTF8.GetBytes(_channel.Source);
        var type = Encoding.UTF8.GetBytes(_type);
        List<(byte[] Name, byte[] Value)> attributes = [("subject"u8.ToArray(), Encoding.UTF8.GetBytes(_channel.Subject))];
        foreach (var (name, value) in Extensions(_channel)) attributes.Add((Encoding.ASCII.GetBytes(name), Encoding.UTF8.GetBytes(value)));

        var head = new byte[EventWriter.FieldSize(source.Length) + EventWriter.FieldSize(SpecVersion.Length) + EventWriter.FieldSize(type.Length)
            + attributes.Sum(attribute => EventWriter.AttributeSize(attribute.Name.Length, attribute.Value.Length))];
        var writer = new EventWriter(head);
        writer.Field(EventWriter.SourceTag, source);
        writer.Field(EventWriter.SpecVersionTag, SpecVersion, SpecVersion.Length);
        writer.Field(EventWriter.TypeTag, type);
        foreach (var (name, value) in attributes) writer.Attribute(name, value);
        return head;
    }

    /// <summary>Where a channel keeps its template. No part of what the channel is: all slots are equal.</summary>
    internal struct Slot : IEquatable<Slot>
    {
        volatile StampTemplate? _value;

        public StampTemplate? Value
        {
            readonly get => _value;
            set => _value = value;
        }

        public readonly bool Equals(Slot other) => true;

        public override readonly bool Equals(object? obj) => obj is Slot;

        public override readonly int GetHashCode() => 0;
    }
}
