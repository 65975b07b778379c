using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;

namespace Guestmark.Rpc;

/// <summary>
/// A request whose bytes are sent as they are, whatever message they encode. Parsing them would cost objects, and could change their order.
/// </summary>
public sealed class RawMessage : IMessage<RawMessage>
{
    public RawMessage()
    {
    }

    public RawMessage(ReadOnlyMemory<byte> bytes) => Bytes = bytes;

    public ReadOnlyMemory<byte> Bytes { get; }

    // Only errors of reading ask for it; this is never read.
    MessageDescriptor IMessage.Descriptor => Empty.Descriptor;

    public int CalculateSize() => Bytes.Length;

    public RawMessage Clone() => new(Bytes);

    public bool Equals(RawMessage? other) => other is not null && other.Bytes.Span.SequenceEqual(Bytes.Span);

    public override bool Equals(object? obj) => Equals(obj as RawMessage);

    public override int GetHashCode() => Bytes.Length;

    void IMessage<RawMessage>.MergeFrom(RawMessage message) => throw new NotSupportedException("it is only written");

    void IMessage.MergeFrom(CodedInputStream input) => throw new NotSupportedException("it is only written");

    void IMessage.WriteTo(CodedOutputStream output) => throw new NotSupportedException("its bytes are copied");
}
