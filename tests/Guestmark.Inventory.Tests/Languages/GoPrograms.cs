using System.Buffers.Binary;
using System.Text;

namespace Guestmark.Inventory.Tests.Languages;

/// <summary>Builds ELF files with Go's build information, as the linker of Go lays it out.</summary>
static class GoPrograms
{
    const int HeaderBytes = 64;
    const int SectionBytes = 64;
    const int SegmentBytes = 56;
    const int InfoAt = 4096;

    public const string Modules =
        "path\texample.com/tool\nmod\texample.com/tool\tv1.2.3\th1:x=\ndep\tgolang.org/x/net\tv0.17.0\th1:y=\n"
        + "dep\tgithub.com/old/name\tv1.0.0\n=>\tgithub.com/new/name\tv1.1.0\th1:z=\ndep\texample.com/local\tv0.0.0\n=>\t../local\t\nbuild\t-compiler=gc\n";

    /// <summary>Build information by itself: magic, flags, version and modules.</summary>
    public static byte[] Information(string version = "go1.21.3", string modules = Modules, byte flags = 2)
    {
        using var stream = new MemoryStream();
        stream.Write([0xff]);
        stream.Write(" Go buildinf:"u8);
        stream.Write([8, flags]);
        stream.Write(new byte[16]);
        WriteText(stream, Encoding.UTF8.GetBytes(version));
        // Two marks of 16 bytes, which Go chose at random.
        byte[] marked = [.. "0123456789abcdef"u8, .. Encoding.UTF8.GetBytes(modules), .. "fedcba9876543210"u8];
        WriteText(stream, modules.Length == 0 ? [] : marked);
        return stream.ToArray();

        static void WriteText(MemoryStream stream, byte[] text)
        {
            var length = text.Length;
            for (; length >= 0x80; length >>= 7) stream.WriteByte((byte)(length | 0x80));
            stream.WriteByte((byte)length);
            stream.Write(text);
        }
    }

    /// <summary>A program of 64 bits.</summary>
    /// <param name="hasSections">False for a stripped one, where the data segment is searched.</param>
    public static byte[] Build(byte[]? information = null, bool hasSections = true, bool bigEndian = false, int size = 128 * 1024)
    {
        information ??= Information();
        var file = new byte[size];
        "\u007fELF"u8.CopyTo(file);
        file[4] = 2;
        file[5] = bigEndian ? (byte)2 : (byte)1;
        U16(16, 2);
        U16(18, bigEndian ? 22 : 62);
        U64(32, HeaderBytes);
        U16(54, SegmentBytes);
        U16(56, 2);
        // Text, then data.
        Segment(HeaderBytes, flags: 5, 0, InfoAt / 2);
        Segment(HeaderBytes + SegmentBytes, flags: 6, hasSections ? InfoAt / 2 : InfoAt - 48, size - InfoAt);
        information.CopyTo(file, InfoAt);
        if (hasSections)
        {
            const int Sections = 512;
            const int Names = 1024;
            "\0.shstrtab\0.go.buildinfo\0"u8.CopyTo(file.AsSpan(Names));
            U64(40, Sections);
            U16(58, SectionBytes);
            U16(60, 3);
            U16(62, 1);
            Section(Sections + SectionBytes, name: 1, Names, 26);
            Section(Sections + (2 * SectionBytes), name: 11, InfoAt, information.Length);
        }

        return file;

        void Segment(int at, int flags, int offset, int length)
        {
            U32(at, 1);
            U32(at + 4, flags);
            U64(at + 8, offset);
            U64(at + 32, length);
        }

        void Section(int at, int name, int offset, int length)
        {
            U32(at, name);
            U32(at + 4, 1);
            U64(at + 24, offset);
            U64(at + 32, length);
        }

        void U16(int at, int value)
        {
            if (bigEndian) BinaryPrimitives.WriteUInt16BigEndian(file.AsSpan(at), (ushort)value);
            else BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(at), (ushort)value);
        }

        void U32(int at, int value)
        {
            if (bigEndian) BinaryPrimitives.WriteInt32BigEndian(file.AsSpan(at), value);
            else BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(at), value);
        }

        void U64(int at, long value)
        {
            if (bigEndian) BinaryPrimitives.WriteInt64BigEndian(file.AsSpan(at), value);
            else BinaryPrimitives.WriteInt64LittleEndian(file.AsSpan(at), value);
        }
    }
}
