using System.Buffers.Text;
using System.Text;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// Reads the regular files of a tar archive (POSIX.1-2017 ustar and pax, GNU long names), one after another. Links, devices and sparse files
/// are passed over; nothing is written to disk.
/// </summary>
/// <remarks>
/// System.Formats.Tar allocates what the header of an extended one promises, up to 2 GiB; here names have a limit. A header is a block of 512
/// bytes: name at 0 (100 bytes), size at 124 (12, octal, or binary when the first bit is set), checksum at 148 (8), type at 156, magic
/// "ustar" at 257, prefix at 345 (155). The content follows, filled up to whole blocks. Two blocks of zeros end the archive.
/// </remarks>
sealed class TarArchive(Stream stream)
{
    public const int BlockBytes = 512;
    const int ExtendedBytesMax = 64 << 10;

    readonly byte[] _block = new byte[BlockBytes];
    string? _longName;
    long? _longSize;
    SectionStream? _content;
    long _padding;

    public string Name { get; private set; } = "";

    public long Length { get; private set; }

    /// <summary>The content of the current member. What is not read of it is passed over.</summary>
    public Stream Content => _content!;

    /// <summary>Whether the block is a header: its checksum is right.</summary>
    public static bool IsHeader(ReadOnlySpan<byte> block)
    {
        if (block.Length < BlockBytes || block[0] == 0) return false;
        var sum = 8 * (long)' ';
        for (var i = 0; i < BlockBytes; i++)
        {
            if (i is < 148 or >= 156) sum += block[i];
        }

        return Number(block.Slice(148, 8)) == sum;
    }

    /// <returns>False at the end of the archive.</returns>
    /// <exception cref="InvalidDataException">The archive is cut or damaged.</exception>
    public bool Next(Action<string> leaveOut)
    {
        while (true)
        {
            if (_content is { } content)
            {
                ReadOnlyStream.Drain(content);
                Skip(_padding);
                _content = null;
            }

            var read = stream.ReadAtLeast(_block, BlockBytes, throwOnEndOfStream: false);
            if (read == 0) throw new InvalidDataException("the archive is cut, its end is missing: download it again");
            if (read < BlockBytes) throw Damaged("a header is cut");
            if (!_block.AsSpan().ContainsAnyExcept((byte)0))
            {
                // What follows the end is padding, but the checksums of the compression come after it.
                ReadOnlyStream.Drain(stream);
                return false;
            }

            if (!IsHeader(_block)) throw Damaged("the checksum of a header does not match");
            var size = Number(_block.AsSpan(124, 12));
            if (size < 0) throw Damaged("a size is no number");
            var type = _block[156];
            if (type is (byte)'x' or (byte)'L')
            {
                Extended(type, size);
                continue;
            }

            if (type is not (byte)'g' && _longSize is { } longSize) size = longSize;
            _content = new SectionStream(stream, size);
            _padding = (BlockBytes - (size % BlockBytes)) % BlockBytes;
            if (type is (byte)'g') continue;
            (Name, Length) = (_longName ?? ShortName(), size);
            (_longName, _longSize) = (null, null);
            switch (type)
            {
                case (byte)'0' or 0 when !Name.EndsWith('/'):
                    return true;
                case (byte)'1' or (byte)'2':
                    // Their size says nothing about what follows.
                    (_content, _padding) = (null, 0);
                    leaveOut("link in an archive");
                    break;
                case (byte)'5' or (byte)'0' or 0:
                    break;
                default:
                    leaveOut($"member of an archive that is no regular file (type {(char)type})");
                    break;
            }
        }
    }

    void Extended(byte type, long size)
    {
        if (size > ExtendedBytesMax) throw Damaged($"an extended header has {size} bytes, at most {ExtendedBytesMax} are read");
        var bytes = new byte[(int)size];
        if (stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false) < bytes.Length) throw Damaged("an extended header is cut");
        Skip((BlockBytes - (size % BlockBytes)) % BlockBytes);
        if (type is (byte)'L')
        {
            _longName = Encoding.UTF8.GetString(bytes).TrimEnd('\0');
            return;
        }

        // Records "length key=value\n" where the length is that of the whole record.
        for (var rest = bytes.AsSpan(); !rest.IsEmpty;)
        {
            if (!Utf8Parser.TryParse(rest, out int length, out var digits) || length <= digits + 1 || length > rest.Length || rest[digits] != ' ')
                throw Damaged("a record of an extended header has no length");
            var record = rest[(digits + 1)..(length - 1)];
            rest = rest[length..];
            var equals = record.IndexOf((byte)'=');
            if (equals < 0) continue;
            var value = record[(equals + 1)..];
            if (record[..equals].SequenceEqual("path"u8)) _longName = Encoding.UTF8.GetString(value);
            if (!record[..equals].SequenceEqual("size"u8)) continue;
            if (!Utf8Parser.TryParse(value, out long number, out var used) || used != value.Length || number < 0)
                throw Damaged("a size is no number");
            _longSize = number;
        }
    }

    void Skip(long count)
    {
        while (count > 0)
        {
            var read = stream.Read(_block, 0, (int)Math.Min(count, _block.Length));
            if (read == 0) throw Damaged("it ends within a member");
            count -= read;
        }
    }

    string ShortName()
    {
        var name = Text(_block.AsSpan(0, 100));
        var prefix = _block.AsSpan(257, 6).SequenceEqual("ustar\0"u8) ? Text(_block.AsSpan(345, 155)) : "";
        return prefix.Length > 0 ? $"{prefix}/{name}" : name;
    }

    static string Text(ReadOnlySpan<byte> field)
    {
        var end = field.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? field : field[..end]);
    }

    /// <returns>-1 when it is none.</returns>
    static long Number(ReadOnlySpan<byte> field)
    {
        long value = 0;
        if ((field[0] & 0x80) != 0)
        {
            // GNU's form of sizes of 8 GiB and more: big-endian, the first bit set.
            if (field.Length < 12 || field[0] != 0x80 || field[1..^8].ContainsAnyExcept((byte)0)) return -1;
            foreach (var b in field[^8..]) value = (value << 8) | b;
            return value;
        }

        var digits = field.Trim(" \0"u8);
        foreach (var digit in digits)
        {
            if (digit is < (byte)'0' or > (byte)'7') return -1;
            value = (value << 3) | (uint)(digit - '0');
        }

        return value;
    }

    static InvalidDataException Damaged(string what) => new($"the archive is damaged ({what}): download it again");
}
