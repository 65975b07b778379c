using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// Reports what cannot be read of one CSAF document, with its JSON path, and steps over it. Knows where in the document the reader is.
/// </summary>
sealed class CsafFaults
{
    // A document that is wrong throughout says so a hundred times, then once more with the number of the rest: finding a path reads the
    // document from its beginning.
    const int NamedMax = 100;

    string _document = "";
    ReadOnlyMemory<byte> _json;
    IFeedSink _sink = null!;
    int _count;

    // Where the reader's bytes begin in the document.
    int _base;

    public void Start(string document, ReadOnlyMemory<byte> json, IFeedSink sink)
    {
        _document = document;
        _json = json;
        _sink = sink;
        _count = 0;
        _base = 0;
    }

    /// <summary>How many were reported of parts of the document.</summary>
    public int Count => _count;

    public ReadOnlySpan<byte> Bytes => _json.Span;

    /// <summary>Where in the document the token begins that the reader is at.</summary>
    public int At(ref readonly Utf8JsonReader json) => _base + (int)json.TokenStartIndex;

    /// <summary>Where in the document that token ends.</summary>
    public int After(ref readonly Utf8JsonReader json) => _base + (int)json.BytesConsumed;

    /// <summary>Begins to read the document once more.</summary>
    public Utf8JsonReader FromStart()
    {
        _base = 0;
        return new Utf8JsonReader(_json.Span);
    }

    /// <summary>Lets the reader go on behind elements of a list that were read without it.</summary>
    /// <param name="position">The end of such an element, at which the reader's state is that behind the element it is at.</param>
    public void GoOn(ref Utf8JsonReader json, int position)
    {
        if (position == After(in json)) return;
        json = new Utf8JsonReader(_json.Span[position..], isFinalBlock: true, json.CurrentState);
        _base = position;
    }

    /// <summary>What is wrong with the document's syntax: a reader that went on does not know the line and position any more.</summary>
    public string SyntaxFault(JsonException e)
    {
        if (_base == 0) return e.Message;
        try
        {
            var json = FromStart();
            while (json.Read())
            {
                // To the fault.
            }

            return e.Message;
        }
        catch (JsonException first)
        {
            return first.Message;
        }
    }

    /// <summary>Reports what is wrong with the value at an offset.</summary>
    public void Add(long offset, string reason)
    {
        if (_count++ < NamedMax) _sink.Skip(_document, PathAt(offset), reason);
    }

    /// <summary>Reports what is wrong with the whole document.</summary>
    public void Refuse(string reason) => _sink.Skip(_document, "", reason);

    public void End()
    {
        if (_count > NamedMax) _sink.Skip(_document, "", $"{_count - NamedMax} more faults of this document");
    }

    /// <summary>Steps to the value of a property. False, reported and stepped over, when it is of another type; null is an absent property.</summary>
    public bool Enter(ref Utf8JsonReader json, JsonTokenType type, string what)
    {
        json.Read();
        return Is(ref json, type, what);
    }

    /// <summary>Whether the value that the reader is at has a type; else it is reported and stepped over.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Is(ref Utf8JsonReader json, JsonTokenType type, string what) => json.TokenType == type || Other(ref json, type, what);

    bool Other(ref Utf8JsonReader json, JsonTokenType type, string what)
    {
        if (json.TokenType != JsonTokenType.Null)
        {
            Add(At(in json), $"{what} is {Word(json.TokenType)}, not {Word(type)}");
            json.Skip();
        }

        return false;
    }

    /// <summary>Steps over the value of a property that nothing is read of.</summary>
    public void Pass(ref Utf8JsonReader json)
    {
        json.Read();
        json.Skip();
    }

    static string Word(JsonTokenType type) => type switch
    {
        JsonTokenType.StartObject => "an object",
        JsonTokenType.StartArray => "an array",
        JsonTokenType.String => "a string",
        JsonTokenType.Number => "a number",
        JsonTokenType.Null => "null",
        _ => "a truth value",
    };

    // $.vulnerabilities[0].product_status.fixed[3]
    string PathAt(long offset)
    {
        var path = new StringBuilder("$");
        // Of each level: the length of the path to it, and the index of the next element when it is an array, else -1.
        var levels = new Stack<(int Length, int Index)>();
        var json = new Utf8JsonReader(_json.Span);
        while (json.Read())
        {
            if (json.TokenType is JsonTokenType.EndObject or JsonTokenType.EndArray)
            {
                levels.Pop();
                continue;
            }

            if (levels.TryPop(out var level))
            {
                path.Length = level.Length;
                if (json.TokenType == JsonTokenType.PropertyName)
                {
                    path.Append('.').Append(Encoding.UTF8.GetString(json.ValueSpan));
                    // The next token is its value, whose level ends where this path does.
                    levels.Push(level);
                    if (json.TokenStartIndex >= offset) break;
                    json.Read();
                    if (json.TokenStartIndex >= offset) break;
                    if (json.TokenType is JsonTokenType.StartObject) levels.Push((path.Length, -1));
                    else if (json.TokenType is JsonTokenType.StartArray) levels.Push((path.Length, 0));
                    continue;
                }

                path.Append('[').Append(level.Index).Append(']');
                levels.Push((level.Length, level.Index + 1));
            }

            if (json.TokenStartIndex >= offset) break;
            if (json.TokenType is JsonTokenType.StartObject) levels.Push((path.Length, -1));
            else if (json.TokenType is JsonTokenType.StartArray) levels.Push((path.Length, 0));
        }

        return path.ToString();
    }
}

static class CsafJson
{
    /// <summary>Whether the reader is at a name or string with this text. What is wanted mostly differs in its length.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Is(this ref Utf8JsonReader json, ReadOnlySpan<byte> text) =>
        (json.ValueSpan.Length == text.Length && json.ValueSpan.SequenceEqual(text)) || (json.ValueIsEscaped && json.ValueTextEquals(text));
}
