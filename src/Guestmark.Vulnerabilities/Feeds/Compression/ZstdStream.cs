using System.Runtime.InteropServices;

namespace Guestmark.Vulnerabilities;

/// <summary>Unpacks Zstandard (RFC 8878) with the system's libzstd: any number of frames, checksums verified where a frame has one.</summary>
sealed unsafe partial class ZstdStream : NativeDecompressionStream
{
    // 128 MiB of memory, zstd's own default: archives made with --long=28 and more need up to 2 GiB.
    const int WindowLogMax = 27;
    const int WindowLogMaxParameter = 100; // ZSTD_d_windowLogMax

    readonly NativeState _context;
    bool _insideFrame;

    public ZstdStream(Stream input)
        : base(input)
    {
        _context = new NativeState(ZSTD_createDCtx(), context => ZSTD_freeDCtx(context));
        if (_context.IsInvalid) throw new InvalidDataException("zstd: out of memory");
        Check(ZSTD_DCtx_setParameter(_context.Pointer, WindowLogMaxParameter, WindowLogMax));
    }

    protected override bool IsComplete => !_insideFrame;

    protected override int Decode(ReadOnlySpan<byte> source, Span<byte> destination, out int consumed)
    {
        consumed = 0;
        // Nothing in the library waits to be written between frames.
        if (source.IsEmpty && !_insideFrame) return 0;
        fixed (byte* from = source)
        fixed (byte* to = destination)
        {
            var input = new Buffer { Start = from, Size = (nuint)source.Length };
            var output = new Buffer { Start = to, Size = (nuint)destination.Length };
            var left = ZSTD_decompressStream(_context.Pointer, ref output, ref input);
            Check(left);
            _insideFrame = left != 0;
            consumed = (int)input.Position;
            return (int)output.Position;
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) _context.Dispose();
        base.Dispose(disposing);
    }

    static void Check(nuint code)
    {
        if (ZSTD_isError(code) == 0) return;
        var name = Marshal.PtrToStringUTF8(ZSTD_getErrorName(code));
        throw new InvalidDataException(
            name?.Contains("too much memory", StringComparison.Ordinal) == true
                ? $"zstd: it needs a window of more than {1 << (WindowLogMax - 20)} MiB: pack it again without --long"
                : $"zstd: {name}: download it again");
    }

    // ZSTD_inBuffer and ZSTD_outBuffer of zstd.h.
    struct Buffer
    {
        public byte* Start;
        public nuint Size;
        public nuint Position;
    }

    const string Library = "libzstd.so.1";

    [LibraryImport(Library)]
    private static partial nint ZSTD_createDCtx();

    [LibraryImport(Library)]
    private static partial nuint ZSTD_freeDCtx(nint context);

    [LibraryImport(Library)]
    private static partial nuint ZSTD_DCtx_setParameter(nint context, int parameter, int value);

    [LibraryImport(Library)]
    private static partial nuint ZSTD_decompressStream(nint context, ref Buffer output, ref Buffer input);

    [LibraryImport(Library)]
    private static partial uint ZSTD_isError(nuint code);

    [LibraryImport(Library)]
    private static partial nint ZSTD_getErrorName(nuint code);
}
