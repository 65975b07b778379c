namespace Guestmark.Rpc.Http2;

/// <summary>Decodes the Huffman code of RFC 7541, appendix B.</summary>
/// <remarks>
/// The code is canonical: shorter codes come first and codes of one length follow each other in the order of their symbols,
/// so the lengths alone define it.
/// </remarks>
static class Huffman
{
    const int LengthMin = 5;
    const int LengthMax = 30;
    const int EndOfString = 256;

    /// <summary>Bits of the code of each byte, and of EOS at the end.</summary>
    static ReadOnlySpan<byte> Lengths =>
    [
        13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
        6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
        13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
        15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
        20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
        22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
        26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
        20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
        30,
    ];

    /// <summary>Symbols in the order of their codes.</summary>
    static readonly short[] Symbols = SymbolsInOrder();

    /// <summary>For each length, the first code of that length and where its symbols begin.</summary>
    static readonly (int FirstCode, int Count, int FirstSymbol)[] ByLength = Ranges();

    /// <summary>Bytes that the longest result of <paramref name="encodedBytes"/> needs: the shortest code has 5 bits.</summary>
    public static int DecodedBytesMax(int encodedBytes) => encodedBytes * 8 / LengthMin;

    /// <returns>The number of bytes written; -1 when the code is invalid.</returns>
    public static int Decode(ReadOnlySpan<byte> encoded, Span<byte> decoded)
    {
        var written = 0;
        var code = 0;
        var length = 0;
        var onlyOnes = true;
        foreach (var b in encoded)
        {
            for (var bit = 7; bit >= 0; bit--)
            {
                var value = b >> bit & 1;
                code = code << 1 | value;
                onlyOnes &= value == 1;
                length++;
                if (length < LengthMin) continue;
                if (length > LengthMax) return -1;
                var range = ByLength[length];
                var index = code - range.FirstCode;
                if ((uint)index >= (uint)range.Count) continue;
                var symbol = Symbols[range.FirstSymbol + index];
                if (symbol == EndOfString) return -1;
                decoded[written++] = (byte)symbol;
                code = 0;
                length = 0;
                onlyOnes = true;
            }
        }

        // Padding: fewer than 8 bits, the most significant of EOS, which are ones.
        return length < 8 && onlyOnes ? written : -1;
    }

    static short[] SymbolsInOrder()
    {
        var lengths = Lengths.ToArray();
        return [.. Enumerable.Range(0, lengths.Length).OrderBy(symbol => lengths[symbol]).ThenBy(symbol => symbol).Select(symbol => (short)symbol)];
    }

    static (int, int, int)[] Ranges()
    {
        var ranges = new (int FirstCode, int Count, int FirstSymbol)[LengthMax + 1];
        var code = 0;
        var symbol = 0;
        for (var length = LengthMin; length <= LengthMax; length++)
        {
            var count = Lengths.Count((byte)length);
            ranges[length] = (code, count, symbol);
            code = (code + count) << 1;
            symbol += count;
        }

        return ranges;
    }
}
