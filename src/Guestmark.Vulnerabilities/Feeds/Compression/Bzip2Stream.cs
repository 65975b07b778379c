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
            (Native->NextIn, Native->AvailableIn) = (from, (uint)source.Length);
            (Native->NextOut, Native->AvailableOut) = (to, (uint)destination.Length);
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

    // bz_stream of bzlib.h.
    struct State
    {
        public byte* NextIn;
        public uint AvailableIn;
        public uint TotalInLow;
        public uint TotalInHigh;
        public byte* NextOut;
        public uint AvailableOut;
        public uint TotalOutLow;
        public uint TotalOutHigh;
        public nint Internal;
        public nint Allocate;
        public nint Free;
        public nint Opaque;
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
