using System.Runtime.InteropServices;

namespace Guestmark.Vulnerabilities;

/// <summary>Reads what a library of the system unpacks: the loop around its "some bytes in, some bytes out" call.</summary>
abstract class NativeDecompressionStream(Stream input) : ReadOnlyStream
{
    readonly byte[] _in = GC.AllocateUninitializedArray<byte>(128 << 10);
    int _start;
    int _end;
    bool _inputEnded;
    bool _ended;

    /// <summary>Unpacks some.</summary>
    /// <param name="source">Empty: there is no more.</param>
    /// <param name="consumed">Bytes of <paramref name="source"/> that need not be given again.</param>
    /// <returns>Bytes written.</returns>
    /// <exception cref="InvalidDataException">The data is damaged, or needs more memory than is allowed.</exception>
    protected abstract int Decode(ReadOnlySpan<byte> source, Span<byte> destination, out int consumed);

    /// <summary>Whether the input could end here: every part that was begun was finished, and its checksum was right.</summary>
    protected abstract bool IsComplete { get; }

    public override int Read(Span<byte> buffer)
    {
        while (!_ended && buffer.Length > 0)
        {
            if (_start == _end && !_inputEnded)
            {
                (_start, _end) = (0, input.Read(_in));
                _inputEnded = _end == 0;
            }

            var written = Decode(_in.AsSpan(_start, _end - _start), buffer, out var consumed);
            _start += consumed;
            if (written > 0) return written;
            if (!_inputEnded) continue;
            _ended = true;
            if (!IsComplete) throw new InvalidDataException("the compressed data is cut: download it again");
        }

        return 0;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) input.Dispose();
        base.Dispose(disposing);
    }
}

/// <summary>Memory of a library's state that is given back also when its owner was forgotten.</summary>
sealed class NativeState : SafeHandle
{
    readonly Action<nint> _release;

    public NativeState(nint state, Action<nint> release)
        : base(0, ownsHandle: true)
    {
        _release = release;
        SetHandle(state);
    }

    public override bool IsInvalid => handle == 0;

    public nint Pointer => handle;

    protected override bool ReleaseHandle()
    {
        _release(handle);
        return true;
    }
}
