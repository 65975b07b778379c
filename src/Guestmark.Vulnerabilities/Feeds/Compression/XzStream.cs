using System.Runtime.InteropServices;

namespace Guestmark.Vulnerabilities;

/// <summary>Unpacks .xz with the system's liblzma: any number of streams, integrity checks verified.</summary>
sealed unsafe partial class XzStream : NativeDecompressionStream
{
    // xz -9 needs 65 MiB.
    const ulong MemoryMax = 128 << 20;
    const uint TellUnsupportedCheck = 0x02;
    const uint Concatenated = 0x08;
    const int Run = 0;
    const int Finish = 3;

    readonly NativeState _memory;
    bool _ended;

    public XzStream(Stream input)
        : base(input)
    {
        _memory = new NativeState(
            (nint)NativeMemory.AllocZeroed((nuint)sizeof(State)),
            memory =>
            {
                lzma_end((State*)memory);
                NativeMemory.Free((void*)memory);
            });
        Check(lzma_stream_decoder(Native, MemoryMax, TellUnsupportedCheck | Concatenated));
    }

    protected override bool IsComplete => _ended;

    State* Native => (State*)_memory.Pointer;

    protected override int Decode(ReadOnlySpan<byte> source, Span<byte> destination, out int consumed)
    {
        consumed = 0;
        if (_ended) return 0;
        fixed (byte* from = source)
        fixed (byte* to = destination)
        {
            Native->NextIn = from;
            Native->AvailableIn = (nuint)source.Length;
            Native->NextOut = to;
            Native->AvailableOut = (nuint)destination.Length;
            // Only an end that was announced ends the decoder, which else waits for another stream.
            Check(lzma_code(Native, source.IsEmpty ? Finish : Run));
            consumed = source.Length - (int)Native->AvailableIn;
            return destination.Length - (int)Native->AvailableOut;
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) _memory.Dispose();
        base.Dispose(disposing);
    }

    void Check(int code)
    {
        switch (code)
        {
            case 0: // LZMA_OK
            case 10: // LZMA_BUF_ERROR: no progress was possible; the end of the input is looked at by the caller.
                return;
            case 1: // LZMA_STREAM_END
                _ended = true;
                return;
            case 6:
                throw new InvalidDataException($"xz: it needs more than {MemoryMax >> 20} MiB of memory: pack it again with xz -9 or less");
            default:
                throw new InvalidDataException(code switch
                {
                    3 => "xz: its integrity check is not supported by this liblzma",
                    5 => "xz: out of memory",
                    7 => "xz: what follows is no xz stream: download it again",
                    8 => "xz: it uses options that this liblzma does not know",
                    9 => "xz: data error (an integrity check does not match): download it again",
                    _ => $"xz: error {code}",
                });
        }
    }

    // What is used of lzma_stream of lzma/base.h, where pointers have 64 bits.
    [StructLayout(LayoutKind.Explicit, Size = 136)]
    struct State
    {
        [FieldOffset(0)]
        public byte* NextIn;

        [FieldOffset(8)]
        public nuint AvailableIn;

        [FieldOffset(24)]
        public byte* NextOut;

        [FieldOffset(32)]
        public nuint AvailableOut;
    }

    const string Library = "liblzma.so.5";

    [LibraryImport(Library)]
    private static partial int lzma_stream_decoder(State* state, ulong memoryMax, uint flags);

    [LibraryImport(Library)]
    private static partial int lzma_code(State* state, int action);

    [LibraryImport(Library)]
    private static partial void lzma_end(State* state);
}
