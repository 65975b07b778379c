using System.Buffers.Binary;

namespace Guestmark.Inventory.Tests.Rpm;

/// <summary>Writes ndb databases: rpm of Debian cannot.</summary>
static class NdbBuilder
{
    public const int PageBytes = 4096;
    const int BlockBytes = 16;
    const int SlotBytes = 16;
    const int HeaderBytes = 32;

    public static string Write(string path, IReadOnlyList<byte[]> headers)
    {
        File.WriteAllBytes(path, Build(headers));
        return path;
    }

    /// <summary>A database with the headers under the numbers from 1 on.</summary>
    /// <param name="slotStep">Uses every slot, every second one …</param>
    public static byte[] Build(IReadOnlyList<byte[]> headers, uint generation = 1, int slotStep = 1)
    {
        var slotPages = ((HeaderBytes + (headers.Count * slotStep * SlotBytes)) / PageBytes) + 1;
        var blocks = slotPages * PageBytes / BlockBytes;
        var file = new byte[(slotPages * PageBytes) + headers.Sum(header => BlocksOf(header) * BlockBytes)];
        "RpmP"u8.CopyTo(file);
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(8), generation);
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(12), slotPages);
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(16), headers.Count + 1);
        for (var offset = HeaderBytes; offset < slotPages * PageBytes; offset += SlotBytes) "Slot"u8.CopyTo(file.AsSpan(offset));
        for (var i = 0; i < headers.Count; i++)
        {
            var slot = file.AsSpan(HeaderBytes + (i * slotStep * SlotBytes));
            var count = BlocksOf(headers[i]);
            BinaryPrimitives.WriteInt32LittleEndian(slot[4..], i + 1);
            BinaryPrimitives.WriteInt32LittleEndian(slot[8..], blocks);
            BinaryPrimitives.WriteInt32LittleEndian(slot[12..], count);
            WriteBlob(file.AsSpan(blocks * BlockBytes, count * BlockBytes), i + 1, headers[i]);
            blocks += count;
        }

        return file;
    }

    static int BlocksOf(byte[] header) => (16 + header.Length + 12 + BlockBytes - 1) / BlockBytes;

    static void WriteBlob(Span<byte> blob, int number, byte[] header)
    {
        "BlbS"u8.CopyTo(blob);
        BinaryPrimitives.WriteInt32LittleEndian(blob[4..], number);
        BinaryPrimitives.WriteInt32LittleEndian(blob[8..], 1_600_000_000);
        BinaryPrimitives.WriteInt32LittleEndian(blob[12..], header.Length);
        header.CopyTo(blob[16..]);
        uint a = 1, b = 0;
        foreach (var next in blob[..^12])
        {
            a = (a + next) % 65521;
            b = (b + a) % 65521;
        }

        BinaryPrimitives.WriteUInt32LittleEndian(blob[^12..], (b << 16) | a);
        BinaryPrimitives.WriteInt32LittleEndian(blob[^8..], header.Length);
        "BlbE"u8.CopyTo(blob[^4..]);
    }
}
