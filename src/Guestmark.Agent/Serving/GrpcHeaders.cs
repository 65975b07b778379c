namespace Guestmark.Agent.Serving;

/// <summary>The two headers of a gRPC answer that decide it: <c>:status</c> and <c>grpc-status</c>.</summary>
/// <remarks>
/// Reads header blocks of RFC 7541 without a dynamic table, which the other side was told not to use (SETTINGS_HEADER_TABLE_SIZE 0); a
/// field that refers to one all the same is passed over. Of the Huffman code only what these two headers may hold is known: the
/// code of the name, and of digits.
/// </remarks>
struct GrpcHeaders
{
    // RFC 7541, appendix A: 8 is ":status: 200", 9 to 14 are 204, 206, 304, 400, 404 and 500.
    const int StatusFirst = 8;
    const int StatusLast = 14;

    static ReadOnlySpan<short> StaticStatus => [200, 204, 206, 304, 400, 404, 500];

    static ReadOnlySpan<byte> GrpcStatusName => "grpc-status"u8;

    static ReadOnlySpan<byte> GrpcStatusCoded => [0x9a, 0xca, 0xc8, 0xb2, 0x12, 0x34, 0xda, 0x8f];

    /// <summary>Null when there was none.</summary>
    public int? HttpStatus { get; private set; }

    /// <summary>Null when there was none.</summary>
    public int? GrpcStatus { get; private set; }

    /// <summary>Reads one block. Later blocks add to earlier ones.</summary>
    /// <returns>False when the block is malformed.</returns>
    public bool TryRead(ReadOnlySpan<byte> block)
    {
        while (!block.IsEmpty)
        {
            var first = block[0];
            if ((first & 0x80) != 0)
            {
                // 6.1, indexed: 1 index(7)
                if (!TryReadInteger(ref block, 7, out var index) || index == 0) return false;
                if (index is >= StatusFirst and <= StatusLast) HttpStatus = StaticStatus[index - StatusFirst];
                continue;
            }

            if ((first & 0xe0) == 0x20)
            {
                // 6.3, size of the dynamic table: 001 size(5)
                if (!TryReadInteger(ref block, 5, out _)) return false;
                continue;
            }

            // 6.2.1, literal that is to be indexed: 01 name(6); 6.2.2 and 6.2.3, not to be: 0000 name(4), 0001 name(4)
            if (!TryReadInteger(ref block, (first & 0x40) != 0 ? 6 : 4, out var name)) return false;
            var isHttpStatus = name is >= StatusFirst and <= StatusLast;
            var isGrpcStatus = false;
            if (name == 0)
            {
                if (!TryReadText(ref block, out var text, out var isCoded)) return false;
                isGrpcStatus = text.SequenceEqual(isCoded ? GrpcStatusCoded : GrpcStatusName);
                isHttpStatus = !isCoded && text.SequenceEqual(":status"u8);
            }

            if (!TryReadText(ref block, out var value, out var isValueCoded)) return false;
            if (!isHttpStatus && !isGrpcStatus) continue;
            if (ReadNumber(value, isValueCoded) is not { } number) return false;
            if (isHttpStatus) HttpStatus = number;
            else GrpcStatus = number;
        }

        return true;
    }

    /// <summary>5.1: N bits, and if they are all ones, more in bytes of 7 bits, the least significant first.</summary>
    static bool TryReadInteger(ref ReadOnlySpan<byte> block, int bits, out int value)
    {
        var max = (1 << bits) - 1;
        value = block[0] & max;
        block = block[1..];
        if (value < max) return true;
        // Four more bytes are more than any length or index that a block of 16 KiB can have.
        for (var shift = 0; shift < 28; shift += 7)
        {
            if (block.IsEmpty) return false;
            var next = block[0];
            block = block[1..];
            value += (next & 0x7f) << shift;
            if ((next & 0x80) == 0) return true;
        }

        return false;
    }

    /// <summary>5.2: H length(7), and the text, in Huffman's code when H is set.</summary>
    static bool TryReadText(ref ReadOnlySpan<byte> block, out ReadOnlySpan<byte> text, out bool isCoded)
    {
        text = default;
        isCoded = !block.IsEmpty && (block[0] & 0x80) != 0;
        if (block.IsEmpty || !TryReadInteger(ref block, 7, out var length) || length > block.Length) return false;
        text = block[..length];
        block = block[length..];
        return true;
    }

    /// <summary>A number of one to four digits. Null for any other text.</summary>
    static int? ReadNumber(ReadOnlySpan<byte> text, bool isCoded)
    {
        const int digitsMax = 4;
        var (number, digits) = (0, 0);
        if (!isCoded)
        {
            if (text.Length is 0 or > digitsMax) return null;
            foreach (var c in text)
            {
                if (c is < (byte)'0' or > (byte)'9') return null;
                number = (number * 10) + (c - '0');
            }

            return number;
        }

        // RFC 7541, appendix B: 0 to 2 are the 5 bits 00000 to 00010, 3 to 9 the 6 bits 011001 to 011111. Ones fill the last byte.
        if (text.Length is 0 or > digitsMax) return null;
        ulong bits = 0;
        foreach (var b in text) bits = (bits << 8) | b;
        var left = text.Length * 8;
        while (left >= 5)
        {
            var five = (int)(bits >> (left - 5)) & 0x1f;
            if (five <= 2)
            {
                (number, left) = ((number * 10) + five, left - 5);
            }
            else
            {
                if (left < 6) break;
                var six = (int)(bits >> (left - 6)) & 0x3f;
                if (six is < 0b011001 or > 0b011111) break;
                (number, left) = ((number * 10) + six - 0b011001 + 3, left - 6);
            }

            if (++digits > digitsMax) return null;
        }

        var filling = (1UL << left) - 1;
        return digits > 0 && left < 8 && (bits & filling) == filling ? number : null;
    }
}
