using Microsoft.AspNetCore.Connections;

namespace Guestmark.Telemetry;

/// <summary>
/// The open connections of one telemetry endpoint. One more than are allowed closes the one that has been without a request for longest, so that
/// connections which say nothing, or begin a request and never end it, keep no probe away.
/// </summary>
/// <remarks>
/// Refusing the newest would be the wrong way round: a probe is always the newest. A probe sends its request at once and is answered within
/// milliseconds; to lose its place before that, as many others as there are places must connect meanwhile. Where all others are being answered, which takes
/// long only for who does not read, the first of them goes.
/// </remarks>
sealed class TelemetryConnections(int most)
{
    readonly Lock _lock = new();
    readonly LinkedList<TelemetryConnection> _idle = [];
    readonly LinkedList<TelemetryConnection> _answered = [];

    /// <summary>Serves a connection to its end.</summary>
    public async Task ServeAsync(ConnectionContext context, ConnectionDelegate next)
    {
        var connection = new TelemetryConnection(this, context);
        context.Features.Set(connection);
        TelemetryConnection? leaving = null;
        lock (_lock)
        {
            if (_idle.Count + _answered.Count >= most)
            {
                leaving = (_idle.First ?? _answered.First)!.Value;
                leaving.Leave();
            }

            connection.Enter(_idle);
        }

        leaving?.Abort();
        try
        {
            await next(context);
        }
        finally
        {
            lock (_lock) connection.Leave();
        }
    }

    /// <summary>One of them.</summary>
    internal sealed class TelemetryConnection
    {
        readonly TelemetryConnections _all;
        readonly ConnectionContext _context;
        readonly LinkedListNode<TelemetryConnection> _place;

        public TelemetryConnection(TelemetryConnections all, ConnectionContext context)
        {
            (_all, _context) = (all, context);
            _place = new(this);
        }

        public void Enter(LinkedList<TelemetryConnection> list) => list.AddLast(_place);

        public void Leave() => _place.List?.Remove(_place);

        public void Abort() => _context.Abort(new ConnectionAbortedException("another connection needs its place"));

        /// <summary>Answers a request, during which the connection is not without one.</summary>
        public async Task AnswerAsync(Func<Task> answer)
        {
            Move(_all._idle, _all._answered);
            try
            {
                await answer();
            }
            finally
            {
                Move(_all._answered, _all._idle);
            }
        }

        /// <summary>One that has lost its place meanwhile gets none again.</summary>
        void Move(LinkedList<TelemetryConnection> from, LinkedList<TelemetryConnection> to)
        {
            lock (_all._lock)
            {
                if (_place.List != from) return;
                Leave();
                Enter(to);
            }
        }
    }
}
