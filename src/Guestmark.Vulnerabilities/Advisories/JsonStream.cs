using System.Text.Json;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// Reads a JSON text of any length token by token with bounded memory: Debian's tracker is one object of more than 60 MB.
/// </summary>
/// <remarks>
/// The buffer holds what the current token needs and grows to <see cref="TokenBytesMax"/>. A string that is longer does not end the
/// document: it is read as empty, with <see cref="IsCut"/> set, and the reading goes on after it.
/// </remarks>
ref struct JsonStream
{
    /// <summary>Longest token in bytes. The descriptions of advisories have some KiB.</summary>
    public const int TokenBytesMax = 1 << 20;

    const int FirstBufferBytes = 64 << 10;

    readonly Stream _stream;
    readonly CancellationToken _cancellationToken;
    byte[] _buffer = new byte[FirstBufferBytes];
    int _length;
    bool _final;
    bool _cutNext;

    public JsonStream(Stream stream, CancellationToken cancellationToken)
    {
        _stream = stream;
        _cancellationToken = cancellationToken;
        Fill();
        // A byte order mark is no JSON, and still written by some.
        if (_length >= 3 && _buffer.AsSpan(0, 3).SequenceEqual("\uFEFF"u8)) Discard(3);
        Json = new Utf8JsonReader(_buffer.AsSpan(0, _length), _final, new JsonReaderState());
    }

    /// <summary>Its token is valid until the next <see cref="Read"/>. Only for looking at it.</summary>
    public Utf8JsonReader Json;

    /// <summary>The current token is a string or name of more than <see cref="TokenBytesMax"/> bytes, of which nothing was kept.</summary>
    public bool IsCut { get; private set; }

    /// <summary>Moves to the next token.</summary>
    /// <returns>False at the end.</returns>
    /// <exception cref="JsonException">It is not JSON, or cut.</exception>
    /// <exception cref="IOException">The stream cannot be read.</exception>
    public bool Read()
    {
        IsCut = false;
        while (!Json.Read())
        {
            if (_final) return false;
            Refill();
        }

        IsCut = _cutNext;
        _cutNext = false;
        return true;
    }

    /// <summary>Moves to the next property of the object whose beginning, or the value of whose former property, is the current token.</summary>
    /// <returns>False at the object's end.</returns>
    public bool ReadProperty() => Read() && Json.TokenType == JsonTokenType.PropertyName;

    /// <summary>Whether the current token is the string or name <paramref name="text"/>.</summary>
    public readonly bool Is(ReadOnlySpan<byte> text) => JsonText.Is(in Json, text);

    /// <summary>Moves to the end of the current value, or of the current property's value.</summary>
    public void Skip()
    {
        if (Json.TokenType == JsonTokenType.PropertyName) Read();
        if (Json.TokenType is not (JsonTokenType.StartObject or JsonTokenType.StartArray)) return;
        var depth = Json.CurrentDepth;
        while (Read() && Json.CurrentDepth > depth)
        {
            // Depth is that of the container's beginning again at its end.
        }
    }

    void Refill()
    {
        Discard((int)Json.BytesConsumed);
        if (_length == TokenBytesMax) CutString();
        else if (_length == _buffer.Length) Array.Resize(ref _buffer, Math.Min(_buffer.Length * 2, TokenBytesMax));
        Fill();
        Json = new Utf8JsonReader(_buffer.AsSpan(0, _length), _final, Json.CurrentState);
    }

    void Discard(int bytes)
    {
        _buffer.AsSpan(bytes, _length - bytes).CopyTo(_buffer);
        _length -= bytes;
    }

    void Fill()
    {
        _cancellationToken.ThrowIfCancellationRequested();
        var read = _stream.Read(_buffer, _length, _buffer.Length - _length);
        _length += read;
        _final = read == 0;
    }

    // The buffer holds TokenBytesMax bytes that are no whole token. What may come before a token (", " or " : " or only spaces) is kept
    // without its spaces; of a string the quotation marks are kept.
    void CutString()
    {
        var kept = 0;
        var position = 0;
        while (position < _length && _buffer[position] is (byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n' or (byte)',' or (byte)':')
        {
            if (_buffer[position] is (byte)',' or (byte)':') _buffer[kept++] = _buffer[position];
            position++;
            // More than one of them is an error of syntax, which the reader tells.
            if (kept > 1) break;
        }

        if (position == _length || kept > 1)
        {
            _buffer.AsSpan(position, _length - position).CopyTo(_buffer.AsSpan(kept));
            _length = kept + _length - position;
            return;
        }

        if (_buffer[position] != '"') throw new JsonException($"a value has more than {TokenBytesMax} bytes");
        _buffer[kept++] = (byte)'"';
        position++;
        while (true)
        {
            var index = _buffer.AsSpan(position, _length - position).IndexOfAny((byte)'"', (byte)'\\');
            if (index >= 0 && _buffer[position + index] == '"')
            {
                position += index;
                break;
            }

            // An escape is two bytes here; \u's digits are no quotation marks.
            position = index < 0 ? _length : position + index + 2;
            if (position < _length) continue;
            var beyond = position - _length;
            _length = kept;
            Fill();
            if (_final) return;
            position = kept + beyond;
        }

        _cutNext = true;
        _buffer.AsSpan(position, _length - position).CopyTo(_buffer.AsSpan(kept));
        _length = kept + _length - position;
    }
}
