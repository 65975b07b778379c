namespace Guestmark.Events.Format;

/// <summary>The protobuf wire format of events: <code>tag varint = field number &lt;&lt; 3 | wire type; 0 varint, 2 length varint + bytes</code></summary>
/// <remarks>
/// Of <c>io.cloudevents.v1.CloudEvent</c> no field has another wire type, so the reader knows only these two. It is a reader of its own, and
/// not that of Guestmark.Wire, because this project must not be reachable from what goes into a guest, nor the other way round.
/// </remarks>
ref struct EventFields(ReadOnlySpan<byte> message)
{
    readonly ReadOnlySpan<byte> _message = message;
    int _position;

    /// <summary>Number of the field that was taken; 0 where the message is malformed.</summary>
    public int Field { get; private set; }

    public bool IsVarint { get; private set; }

    public ulong Varint { get; private set; }

    /// <summary>Where the bytes of a length-delimited field begin in the message.</summary>
    public int Start { get; private set; }

    public int Length { get; private set; }

    public bool IsMalformed { get; private set; }

    public readonly ReadOnlySpan<byte> Bytes => _message.Slice(Start, Length);

    /// <summary>Takes the next field. False at the end, and where <see cref="IsMalformed"/> says so.</summary>
    public bool TryNext()
    {
        if (_position == _message.Length || IsMalformed) return false;
        if (!TryReadVarint(out var tag) || tag > uint.MaxValue || tag >> 3 == 0 || (tag & 7) is not (0 or 2)) return Malformed();
        Field = (int)(tag >> 3);
        IsVarint = (tag & 7) == 0;
        if (!TryReadVarint(out var value)) return Malformed();
        if (IsVarint)
        {
            Varint = value;
            Length = 0;
            return true;
        }

        if (value > (ulong)(_message.Length - _position)) return Malformed();
        Start = _position;
        Length = (int)value;
        _position += Length;
        return true;
    }

    bool Malformed()
    {
        Field = 0;
        IsMalformed = true;
        return false;
    }

    // At most ten bytes, and none beyond 64 bits: two encodings of one number would be two events with one signature.
    bool TryReadVarint(out ulong value)
    {
        value = 0;
        for (var shift = 0; shift < 64; shift += 7)
        {
            if (_position >= _message.Length) return false;
            var next = _message[_position++];
            if (shift == 63 && next > 1) return false;
            value |= (ulong)(next & 0x7f) << shift;
            if (next < 0x80) return next != 0 || shift == 0;
        }

        return false;
    }
}
