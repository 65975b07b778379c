using System.Runtime.InteropServices;

namespace Guestmark.Vulnerabilities;

/// <summary>Unpacks bzip2 with the system's libbz2: any number of streams one after another, as pbzip2 writes them; checksums verified.</summary>
sealed unsafe class Bzip2Stream : NativeDecompressionStream
{
    const int Ok = 0;
    const int StreamEnd = 4;

    readonly NativeState _memory;
    bool _inStream;

    public Bzip2Stream(Stream input)
        : base(input)
    {
        _memory = new NativeState(
            (nint)NativeMemory.AllocZeroed((nuint)sizeof(State)),
            memory =>
            {
                _ = Library.End((State*)memory);
                NativeMemory.Free((void*)memory);
            });
        Begin();
    }

    protected override bool IsComplete => !_inStream;

    State* Native => (State*)_memory.Pointer;

    protected override int Decode(ReadOnlySpan<byte> source, Span<byte> destination, out int consumed)
    {
        consumed = 0;
        if (source.IsEmpty && !_inStream) return 0;
        if (!_inStream) Begin();
        fixed (byte* from = source)
        fixed (byte* to = destination)
        {
            Native->NextIn = from;
            Native->AvailableIn = (uint)source.Length;
            Native->NextOut = to;
            Native->AvailableOut = (uint)destination.Length;
            var code = Library.Decompress(Native);
            if (code is not (Ok or StreamEnd)) throw Error(code);
            consumed = source.Length - (int)Native->AvailableIn;
            var written = destination.Length - (int)Native->AvailableOut;
            if (code == StreamEnd)
            {
                _ = Library.End(Native);
                _inStream = false;
            }

            return written;
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) _memory.Dispose();
        base.Dispose(disposing);
    }

    void Begin()
    {
        *Native = default;
        var code = Library.Init(Native, 0, 0);
        if (code != Ok) throw Error(code);
        _inStream = true;
    }

    static InvalidDataException Error(int code) => new(code switch
    {
        -4 => "bzip2: data error (a checksum does not match): download it again",
        -5 => "bzip2: what follows is no bzip2 stream: download it again",
        -3 => "bzip2: out of memory",
        _ => $"bzip2: error {code}",
    });

    // What is used of bz_stream of bzlib.h, where longs and pointers have 64 bits.
    [StructLayout(LayoutKind.Explicit, Size = 80)]
    struct State
    {
        [FieldOffset(0)]
        public byte* NextIn;

        [FieldOffset(8)]
        public uint AvailableIn;

        [FieldOffset(24)]
        public byte* NextOut;

        [FieldOffset(32)]
        public uint AvailableOut;
    }

    /// <summary>Not by LibraryImport, which takes one name: Debian calls the library libbz2.so.1.0, Fedora and RHEL libbz2.so.1.</summary>
    static class Library
    {
        public static readonly delegate* unmanaged<State*, int, int, int> Init;
        public static readonly delegate* unmanaged<State*, int> Decompress;
        public static readonly delegate* unmanaged<State*, int> End;

        static Library()
        {
            var library = Compression.Load(CompressionFormat.Bzip2);
            Init = (delegate* unmanaged<State*, int, int, int>)NativeLibrary.GetExport(library, "BZ2_bzDecompressInit");
            Decompress = (delegate* unmanaged<State*, int>)NativeLibrary.GetExport(library, "BZ2_bzDecompress");
            End = (delegate* unmanaged<State*, int>)NativeLibrary.GetExport(library, "BZ2_bzDecompressEnd");
        }
    }
}
