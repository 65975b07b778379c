using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Connections;

namespace Guestmark.Node.Listening;

/// <summary>What the host answers, written straight to the socket. Holds no memory between answers.</summary>
/// <remarks>One caller at a time, except <see cref="CancelPendingFlush"/> and <see cref="Abort"/>, which may come from any thread.</remarks>
sealed class SocketOutput(Socket socket) : PipeWriter
{
    const int BytesFirst = 1024;

    readonly Lock _lock = new();
    byte[]? _buffer;
    int _end;
    bool _cancelled;
    bool _waits;
    volatile bool _aborted;
    CancellationTokenSource? _wake;

    public override bool CanGetUnflushedBytes => true;

    public override long UnflushedBytes => _end;

    public override void Advance(int bytes) => _end += bytes;

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        MakeRoom(Math.Max(sizeHint, 1));
        return _buffer.AsMemory(_end);
    }

    public override Span<byte> GetSpan(int sizeHint = 0)
    {
        MakeRoom(Math.Max(sizeHint, 1));
        return _buffer.AsSpan(_end);
    }

    /// <exception cref="ConnectionResetException">The guest, or its hypervisor, is gone.</exception>
    /// <exception cref="ConnectionAbortedException">This side gave the connection up.</exception>
    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        var sent = Send(0);
        if (sent < _end) return WaitAsync(sent, cancellationToken);
        Release();
        return new ValueTask<FlushResult>(new FlushResult(isCanceled: false, isCompleted: false));
    }

    public override void CancelPendingFlush()
    {
        CancellationTokenSource? wake = null;
        lock (_lock)
        {
            _cancelled = true;
            if (_waits) wake = _wake;
        }

        try
        {
            wake?.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The wait ended, and with it the connection, since the lock was left.
        }
    }

    public override void Complete(Exception? exception = null)
    {
        Release();
        _wake?.Dispose();
    }

    /// <summary>Ends a pending flush, and all that follow, with <see cref="ConnectionAbortedException"/>.</summary>
    public void Abort()
    {
        _aborted = true;
        CancelPendingFlush();
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    async ValueTask<FlushResult> WaitAsync(int sent, CancellationToken cancellationToken)
    {
        while (sent < _end)
        {
            lock (_lock)
            {
                if (_aborted) throw new ConnectionAbortedException();
                if (_cancelled)
                {
                    _cancelled = false;
                    return new FlushResult(isCanceled: true, isCompleted: false);
                }

                if (_wake is null || _wake.IsCancellationRequested)
                {
                    _wake?.Dispose();
                    _wake = new CancellationTokenSource();
                }

                _waits = true;
            }

            try
            {
                using var either = CancellationTokenSource.CreateLinkedTokenSource(_wake.Token, cancellationToken);
                sent += await socket.SendAsync(_buffer.AsMemory(sent, _end - sent), SocketFlags.None, either.Token);
            }
            catch (OperationCanceledException)
            {
                cancellationToken.ThrowIfCancellationRequested();
            }
            catch (SocketException e)
            {
                throw Gone(e.SocketErrorCode);
            }
            catch (ObjectDisposedException)
            {
                throw new ConnectionAbortedException();
            }
            finally
            {
                lock (_lock) _waits = false;
            }
        }

        Release();
        return default;
    }

    int Send(int from)
    {
        while (from < _end)
        {
            if (_aborted) throw new ConnectionAbortedException();
            int count;
            SocketError error;
            try
            {
                count = socket.Send(_buffer.AsSpan(from, _end - from), SocketFlags.None, out error);
            }
            catch (ObjectDisposedException)
            {
                throw new ConnectionAbortedException();
            }

            if (error is SocketError.WouldBlock or SocketError.IOPending) return from;
            if (error != SocketError.Success) throw Gone(error);
            from += count;
        }

        return from;
    }

    void MakeRoom(int bytes)
    {
        if (_buffer is null)
        {
            _buffer = ArrayPool<byte>.Shared.Rent(Math.Max(bytes, BytesFirst));
        }
        else if (_buffer.Length - _end < bytes)
        {
            var former = _buffer;
            _buffer = ArrayPool<byte>.Shared.Rent(checked(Math.Max(former.Length * 2, _end + bytes)));
            former.AsSpan(0, _end).CopyTo(_buffer);
            ArrayPool<byte>.Shared.Return(former);
        }
    }

    void Release()
    {
        if (_buffer is null) return;
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = null;
        _end = 0;
    }

    Exception Gone(SocketError error) => _aborted ? new ConnectionAbortedException() : new ConnectionResetException($"the connection ended: {error}");
}
