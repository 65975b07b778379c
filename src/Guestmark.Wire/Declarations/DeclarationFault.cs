namespace Guestmark.Wire.Declarations;

/// <summary>
/// Why a frame of the declaration channel is refused. CellOS knows two kinds: <see cref="UnsupportedVersion"/>, and all others, which it calls
/// Wire. The names are labels of a metric: add, never change.
/// </summary>
public enum DeclarationFault
{
    None,

    /// <summary><c>content_version</c> is 0x0100 to 0xFFFF: of a later major version. Nothing else of the frame was looked at.</summary>
    UnsupportedVersion,

    /// <summary>Not CBOR, or it ends inside an item.</summary>
    Malformed,

    /// <summary>Not a map.</summary>
    NotAMap,

    /// <summary>An indefinite length, or a number that is longer than it needs to be: two spellings of one frame.</summary>
    NotDeterministic,

    /// <summary>A tag, a floating-point number, or a simple value that nobody has assigned.</summary>
    ForbiddenItem,

    KeyNotText,

    /// <summary>A key that comes twice, known or not.</summary>
    DuplicateKey,

    /// <summary>One of the five required keys is absent.</summary>
    MissingKey,

    /// <summary>The value of a known key is of another kind than it must be.</summary>
    WrongType,

    /// <summary>A number beyond its field.</summary>
    OutOfRange,

    /// <summary>A text over its limit.</summary>
    TooLong,

    /// <summary>Over <see cref="DeclarationFrame.EntriesMax"/> entries, over so many items in all, or nested too deep.</summary>
    TooComplex,

    /// <summary>A text that is not UTF-8.</summary>
    InvalidUtf8,

    /// <summary>Bytes after the map.</summary>
    TrailingBytes,
}
