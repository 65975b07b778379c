using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Guestmark.Node.Admission;
using Microsoft.AspNetCore.Connections;

namespace Guestmark.Node.Listening;

/// <summary>What a guest sends, read from its socket straight into one array.</summary>
/// <remarks>
/// Kestrel's transport reads 4 KiB at a time into a pipe that a second task fills. Here the reader itself asks for up to
/// <see cref="ReadBytesMax"/> with one system call, and what it returns is always one segment, so that no message is ever put together.
/// <para>Memory: the array is rented when bytes are there and given back when none wait, so that a silent connection holds none. It begins
/// with <see cref="BytesFirst"/> and doubles only when it is full of bytes that the caller has not consumed: who checks lengths bounds it. All
/// above the first size comes out of <see cref="Memory"/>.</para>
/// <para>When more arrives, the protocol goes on in a thread of <see cref="ReadinessLoop"/>, which it shares with other connections: it may not block.</para>
/// <para>One caller at a time, except <see cref="CancelPendingRead"/> and <see cref="Abort"/>, which may come from any thread.</para>
/// </remarks>
sealed class SocketInput(Socket socket) : PipeReader
{
    /// <summary>Enough for the header of any message and all of a small one; 16,384 connections hold at most 64 MiB of these.</summary>
    const int BytesFirst = 4096;

    /// <summary>More than a Unix socket holds by default (net.core.wmem_default, 208 KiB).</summary>
    const int ReadBytesMax = 256 * 1024;

    /// <summary>Reads that may follow each other without a wait before other connections of the thread get their turn.</summary>
    const int ReadsPerTurn = 4;

    readonly SocketReadiness _readiness = new(socket);
    byte[]? _buffer;
    int _start;
    int _end;
    int _examined;
    int _sizeWanted = BytesFirst;
    int _reads;
    ReadOnlySequence<byte> _returned;
    bool _ended;
    volatile bool _cancelled;
    volatile bool _aborted;

    /// <summary>Pays for what unfinished messages hold. Null: nobody counts, and the caller's own limit is the bound.</summary>
    public MessageMemory? Memory { get; set; }

    /// <summary>Bytes that have arrived and were not consumed.</summary>
    public int Unread => _end - _start;

    /// <summary>Whether the other side has closed and nothing that it sent waits in the socket. May be asked from any thread.</summary>
    public bool HasEnded
    {
        get
        {
            try
            {
                return socket.Poll(0, SelectMode.SelectRead) && socket.Available == 0;
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return true;
            }
        }
    }

    /// <summary>Has a pending read look again, in the thread pool. May be called from any thread.</summary>
    public void Wake() => _readiness.Wake();

    public override bool TryRead(out ReadResult result)
    {
        if (_aborted) throw new ConnectionAbortedException();
        if (_cancelled)
        {
            _cancelled = false;
            result = Result(cancelled: true);
            return true;
        }

        result = default;
        if (_examined == _end && !_ended && !Receive()) return false;
        result = Result(cancelled: false);
        return true;
    }

    /// <exception cref="ConnectionResetException">The guest, or its hypervisor, is gone.</exception>
    /// <exception cref="ConnectionAbortedException">This side gave the connection up.</exception>
    /// <exception cref="MessageMemoryException">There is no memory for the rest of the message.</exception>
    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        // A guest that always has more to say must not keep the thread for itself.
        if (++_reads < ReadsPerTurn && TryRead(out var result)) return new ValueTask<ReadResult>(result);
        return WaitAsync(cancellationToken);
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        // The offset of a position counts from the beginning of the array, not of the sequence.
        var origin = _start - (int)_returned.GetOffset(_returned.Start);
        _start = origin + (int)_returned.GetOffset(consumed);
        _examined = Math.Max(origin + (int)_returned.GetOffset(examined), _start);
        _returned = default;
        if (_start != _end) return;
        _start = _end = _examined = 0;
        if (_buffer is not null && _buffer.Length > ReadBytesMax) Release();
    }

    public override void CancelPendingRead()
    {
        _cancelled = true;
        _readiness.Wake();
    }

    public override void Complete(Exception? exception = null)
    {
        Release();
        _readiness.Forget();
    }

    /// <summary>Ends a pending read, and all that follow, with <see cref="ConnectionAbortedException"/>.</summary>
    public void Abort()
    {
        _aborted = true;
        CancelPendingRead();
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    async ValueTask<ReadResult> WaitAsync(CancellationToken cancellationToken)
    {
        if (_reads >= ReadsPerTurn)
        {
            _reads = 0;
            // Behind all others that can be read now.
            if (_examined == _end && !_ended) await ReadableAsync(cancellationToken);
            else await Task.Yield();
        }

        while (true)
        {
            if (TryRead(out var result)) return result;
            _reads = 0;
            await ReadableAsync(cancellationToken);
        }
    }

    /// <summary>Waits until the socket can be read, or <see cref="CancelPendingRead"/>.</summary>
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    async ValueTask ReadableAsync(CancellationToken cancellationToken)
    {
        if (Unread == 0) Release();
        cancellationToken.ThrowIfCancellationRequested();
        try
        {
            // Who is cancelled before the wait began is not heard by it, and is asked for. Of an abort the cancellation may have been taken already.
            await using var registration = cancellationToken.UnsafeRegister(static readiness => ((SocketReadiness)readiness!).Wake(), _readiness);
            await _readiness.WaitAsync(
                (Input: this, cancellationToken),
                static state => !state.Input._cancelled && !state.Input._aborted && !state.cancellationToken.IsCancellationRequested);
        }
        catch (SocketException e)
        {
            throw Gone(e.SocketErrorCode);
        }
        catch (ObjectDisposedException)
        {
            throw new ConnectionAbortedException();
        }

        cancellationToken.ThrowIfCancellationRequested();
    }

    /// <summary>Takes what is there. False when there is nothing yet.</summary>
    bool Receive()
    {
        MakeRoom();
        int count;
        SocketError error;
        try
        {
            count = socket.Receive(_buffer.AsSpan(_end), SocketFlags.None, out error);
        }
        catch (ObjectDisposedException)
        {
            throw new ConnectionAbortedException();
        }

        if (error is SocketError.WouldBlock or SocketError.IOPending) return false;
        if (error != SocketError.Success) throw Gone(error);
        if (count == 0) _ended = true;
        if (_end + count == _buffer!.Length && _sizeWanted < ReadBytesMax) _sizeWanted = Math.Min(_sizeWanted * 4, ReadBytesMax);
        _end += count;
        return true;
    }

    /// <summary>Finds place for at least one byte, and for much where much came before.</summary>
    /// <remarks>Sizes are powers of two, which is what the pool gives.</remarks>
    void MakeRoom()
    {
        if (_buffer is null)
        {
            if (_sizeWanted > BytesFirst && Memory?.TryTake(_sizeWanted) == false) _sizeWanted = BytesFirst;
            _buffer = ArrayPool<byte>.Shared.Rent(_sizeWanted);
            _start = _end = _examined = 0;
            return;
        }

        var unread = Unread;
        var full = unread == _buffer.Length;
        // Twice what has arrived: a guest makes this side hold at most twice what it has sent.
        var wanted = full ? checked(_buffer.Length * 2) : _sizeWanted;
        if (wanted > _buffer.Length && Memory?.TryTake(wanted) != false)
        {
            var former = _buffer;
            _buffer = ArrayPool<byte>.Shared.Rent(wanted);
            former.AsSpan(_start, unread).CopyTo(_buffer);
            GiveBack(former);
        }
        else if (full)
        {
            throw new MessageMemoryException();
        }
        else if (_start > 0 && _buffer.Length - _end < _buffer.Length / 4)
        {
            _buffer.AsSpan(_start, unread).CopyTo(_buffer);
        }
        else
        {
            return;
        }

        _examined -= _start;
        _start = 0;
        _end = unread;
    }

    void GiveBack(byte[] array)
    {
        if (array.Length > BytesFirst) Memory?.Return(array.Length);
        ArrayPool<byte>.Shared.Return(array);
    }

    void Release()
    {
        if (_buffer is null) return;
        GiveBack(_buffer);
        _buffer = null;
        _start = _end = _examined = 0;
        _sizeWanted = Math.Max(BytesFirst, _sizeWanted / 2);
    }

    ReadResult Result(bool cancelled)
    {
        _returned = _buffer is null ? ReadOnlySequence<byte>.Empty : new ReadOnlySequence<byte>(_buffer, _start, Unread);
        return new ReadResult(_returned, cancelled, _ended);
    }

    Exception Gone(SocketError error) => _aborted ? new ConnectionAbortedException() : new ConnectionResetException($"the connection ended: {error}");
}
