using System.Buffers;

namespace Guestmark.Events.Verification;

/// <summary>Reads an export of events, one at a time, with the memory of one.</summary>
/// <remarks>
/// Two forms, told apart by the first byte that is no white space:
/// <list type="bullet">
/// <item><c>{</c> or <c>[</c>: CloudEvents in JSON: one event, events one after the other (JSON lines), or arrays of them (the batch format).</item>
/// <item>128 or more: <code>length varint | CloudEvent</code> in the protobuf format, one after the other. No event of ours is shorter than 128
/// bytes, so its length takes two bytes at least, the first of which has its highest bit set.</item>
/// </list>
/// </remarks>
public sealed class EventExportReader(Stream input)
{
    const int BufferBytes = 64 * 1024;

    /// <summary>Bytes of an event in protobuf: 16 MiB of data, and room for attributes.</summary>
    public const int EventBytesMax = (16 << 20) + (1 << 20);

    static readonly SearchValues<byte> Structure = SearchValues.Create("\"{}[]"u8);

    byte[] _buffer = new byte[BufferBytes];
    int _start;
    int _end;
    long _bufferOffset;
    bool _ended;
    bool _isProtobuf;
    bool _inArray;
    bool _afterValue;
    bool _begun;

    /// <summary>Events that were read, those with a problem included.</summary>
    public long Count { get; private set; }

    /// <summary>Where the event that was read last begins, in bytes.</summary>
    public long Offset { get; private set; }

    /// <summary>Reads the next event.</summary>
    /// <param name="stamped">Null when what is there is no event.</param>
    /// <param name="problem">Why it is none. When it is the export that cannot be read on, this was the last.</param>
    /// <returns>False at the end.</returns>
    /// <exception cref="IOException">The input cannot be read.</exception>
    public bool TryRead(out StampedEvent? stamped, out string? problem)
    {
        (stamped, problem) = (null, null);
        if (_ended) return false;
        if (!_begun) SkipByteOrderMark();
        if (Count == 0 && !_inArray && Peek() is { } first && first >= 0x80) _isProtobuf = true;
        return _isProtobuf ? TryReadProtobuf(out stamped, out problem) : TryReadJson(out stamped, out problem);
    }

    bool TryReadProtobuf(out StampedEvent? stamped, out string? problem)
    {
        (stamped, problem) = (null, null);
        if (_start == _end && !Fill()) return End();
        Begin();
        var length = 0UL;
        for (var shift = 0; ; shift += 7)
        {
            if (shift > 28) return Stop(out problem, "the length of an event is malformed");
            if (_start == _end && !Fill()) return Stop(out problem, "the export ends inside an event");
            var next = _buffer[_start++];
            length |= (ulong)(next & 0x7f) << shift;
            if (next < 0x80) break;
        }

        if (length is 0 or > EventBytesMax) return Stop(out problem, $"an event has {length} bytes, the limit is {EventBytesMax}");
        // The buffer grows with what comes, not with what the length claims.
        while (_end - _start < (int)length)
        {
            if (!Fill()) return Stop(out problem, "the export ends inside an event");
        }

        problem = StampedEvent.TryRead(_buffer.AsMemory(_start, (int)length).ToArray(), out stamped);
        _start += (int)length;
        return true;
    }

    bool TryReadJson(out StampedEvent? stamped, out string? problem)
    {
        (stamped, problem) = (null, null);
        while (true)
        {
            if (Peek() is not { } next)
            {
                if (!_inArray) return End();
                Begin();
                return Stop(out problem, "the export ends inside an array");
            }

            if (next == '{' && !(_inArray && _afterValue)) break;
            if (next == '[' && !_inArray) (_inArray, _afterValue) = (true, false);
            else if (next == ']' && _inArray) _inArray = false;
            else if (next == ',' && _inArray && _afterValue) _afterValue = false;
            else
            {
                Begin();
                return Stop(out problem, $"expected an event in JSON, found byte 0x{next:x2}");
            }

            _start++;
        }

        Begin();
        _afterValue = true;
        if (MeasureObject() is not { } length)
            return Stop(out problem, _end - _start > CloudEventJson.BytesMax ? $"an event has more than {CloudEventJson.BytesMax} bytes" : "the export ends inside an event");
        problem = CloudEventJson.TryRead(_buffer.AsSpan(_start, length), out stamped);
        _start += length;
        return true;
    }

    /// <summary>Length of the object that begins here, by its brackets outside of texts. Null when its end does not come.</summary>
    int? MeasureObject()
    {
        var (at, depth, inText) = (0, 0, false);
        while (true)
        {
            var rest = _buffer.AsSpan(_start + at, _end - _start - at);
            var found = inText ? rest.IndexOfAny((byte)'"', (byte)'\\') : rest.IndexOfAny(Structure);
            if (found < 0 || (rest[found] == '\\' && found + 1 == rest.Length))
            {
                at += found < 0 ? rest.Length : found;
                if (_end - _start > CloudEventJson.BytesMax || !Fill()) return null;
                continue;
            }

            at += found + 1;
            switch (rest[found])
            {
                case (byte)'\\': at++; break;
                case (byte)'"': inText = !inText; break;
                case (byte)'{' or (byte)'[': depth++; break;
                default:
                    if (--depth == 0) return at;
                    break;
            }
        }
    }

    /// <summary>The next byte that is no white space. Null at the end.</summary>
    byte? Peek()
    {
        while (true)
        {
            var found = _buffer.AsSpan(_start, _end - _start).IndexOfAnyExcept(" \t\r\n"u8);
            if (found >= 0)
            {
                _start += found;
                return _buffer[_start];
            }

            _start = _end;
            if (!Fill()) return null;
        }
    }

    /// <summary>
    /// Programs of Windows begin a text with EF BB BF. So may the length of an event in protobuf, whose fourth byte is then 8 or less: with a 9, a
    /// tabulator, it would be 19 MB, over <see cref="EventBytesMax"/>.
    /// </summary>
    void SkipByteOrderMark()
    {
        _begun = true;
        while (_end < 4 && Fill())
        {
        }

        if (_end >= 3 && _buffer.AsSpan(0, 3).SequenceEqual((ReadOnlySpan<byte>)[0xef, 0xbb, 0xbf]) && (_end == 3 || _buffer[3] is >= (byte)'\t' and < 0x80)) _start = 3;
    }

    /// <summary>Reads more behind what is there. False at the end of the input.</summary>
    bool Fill()
    {
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            _bufferOffset += _start;
            _end -= _start;
            _start = 0;
        }

        if (_end == _buffer.Length) Array.Resize(ref _buffer, _buffer.Length * 2);
        var read = input.Read(_buffer, _end, _buffer.Length - _end);
        _end += read;
        return read > 0;
    }

    void Begin()
    {
        Count++;
        Offset = _bufferOffset + _start;
    }

    bool End()
    {
        _ended = true;
        return false;
    }

    bool Stop(out string? problem, string what)
    {
        _ended = true;
        problem = what;
        return true;
    }
}
