namespace Guestmark.Wire.Protobuf;

/// <summary>How a field's value is encoded: the low three bits of its tag. Groups (3 and 4) are not used by proto3 and are malformed here.</summary>
public enum WireType : byte
{
    Varint = 0,
    Fixed64 = 1,
    LengthDelimited = 2,
    Fixed32 = 5,
}
