using System.Net.Sockets;
using System.Threading.Tasks.Sources;

namespace Guestmark.Node.Listening;

/// <summary>Waits until one socket can be read, without memory for each wait.</summary>
/// <remarks>One caller at a time, except <see cref="Wake"/>, which may come from any thread.</remarks>
sealed class SocketReadiness(Socket socket) : IValueTaskSource
{
    readonly ReadinessLoop _loop = ReadinessLoop.Next();
    ManualResetValueTaskSourceCore<bool> _source;
    ulong _id;

    /// <summary>1: somebody waits, and whoever makes it 0 completes the wait.</summary>
    int _waits;

    /// <summary>Waits until the socket can be read, or is closed by the other side, or <see cref="Wake"/>. May come back without reason.</summary>
    /// <param name="isWanted">Asked once it is certain that a later <see cref="Wake"/> is heard.</param>
    /// <exception cref="ObjectDisposedException">The socket is closed.</exception>
    public ValueTask WaitAsync<T>(T state, Func<T, bool> isWanted)
    {
        _source.Reset();
        _source.RunContinuationsAsynchronously = false;
        Interlocked.Exchange(ref _waits, 1);
        if (!isWanted(state))
        {
            if (Interlocked.Exchange(ref _waits, 0) == 1) return default;
            return new ValueTask(this, _source.Version);
        }

        var isFirst = _id == 0;
        if (isFirst) _id = _loop.Add(this);
        _loop.Arm(socket.SafeHandle, _id, isFirst);
        return new ValueTask(this, _source.Version);
    }

    /// <summary>Ends a wait, if there is one. Who waited goes on in the thread pool.</summary>
    public void Wake() => Complete(isInline: false);

    /// <summary>Ends a wait, if there is one.</summary>
    /// <param name="isInline">Who waited goes on before this returns.</param>
    public void Complete(bool isInline)
    {
        if (Interlocked.CompareExchange(ref _waits, 0, 1) != 1) return;
        _source.RunContinuationsAsynchronously = !isInline;
        _source.SetResult(true);
    }

    /// <summary>The socket is closed, or will be: nobody waits any more.</summary>
    public void Forget()
    {
        if (_id != 0) _loop.Remove(_id);
    }

    void IValueTaskSource.GetResult(short token) => _source.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _source.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _source.OnCompleted(continuation, state, token, flags);
}
