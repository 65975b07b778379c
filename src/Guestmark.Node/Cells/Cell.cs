using System.Net.Sockets;
using System.Runtime.InteropServices;
using Guestmark.Events;
using Guestmark.Node.Admission;
using Guestmark.Node.Listening;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Cells;

/// <summary>How a cell is, for people and programs.</summary>
/// <param name="State"><c>waiting</c> for its first connection, <c>connected</c>, <c>silent</c>, <c>failed</c> or <c>unbound</c>.</param>
/// <param name="Reason">Of a silence, or why the socket could not be bound.</param>
/// <param name="Frames">Right frames since the node started.</param>
/// <param name="LastFrameAt">UTC.</param>
/// <param name="AgentDropped">Declarations that the agent says to have dropped since then.</param>
public sealed record CellStatus(
    CellDefinition Cell, string Socket, string State, string? Reason, bool IsConnected, ulong Frames, DateTime? LastFrameAt, long AgentDropped);

/// <summary>One cell and its socket.</summary>
sealed partial class Cell : IAsyncDisposable
{
    readonly string _socket;
    readonly CellChannel _channel;
    GuestListener? _listener;

    Cell(CellDefinition definition, string socket, CellChannel channel)
    {
        Definition = definition;
        _socket = socket;
        _channel = channel;
    }

    public CellDefinition Definition { get; private set; }

    /// <summary>Why the socket could not be bound, when it could not.</summary>
    public string? Problem { get; private set; }

    /// <summary>Makes the cell and binds its socket, so that it listens before its machine starts.</summary>
    /// <remarks>Unlike CellOS, which leaves a stale socket in the way to its supervisor, a socket that nobody listens on is replaced.</remarks>
    public static Cell Create(CellDefinition definition, CellChannel channel, uint port, ILogger logger, ConnectionSlots slots)
    {
        var cell = new Cell(definition, definition.SocketPath(port), channel);
        if (definition.FailedBy != SilenceReason.Unspecified) return cell;
        try
        {
            // The folder is the hypervisor's or the supervisor's to make, and to protect.
            var folder = Path.GetDirectoryName(cell._socket)!;
            if (!Directory.Exists(folder)) throw new IOException($"there is no folder {folder}; make it, for the hypervisor and this node only, and try again");
            cell._listener = GuestListener.Bind(new UnixDomainSocketEndPoint(cell._socket), channel.RunAsync, logger, cell.Protect, slots);
        }
        catch (Exception e) when (e is IOException or SocketException or AddressInUseException or UnauthorizedAccessException or InvalidOperationException)
        {
            cell.Problem = e is SocketException { SocketErrorCode: SocketError.AccessDenied } ? $"no permission to make {cell._socket}" : e.Message;
        }

        return cell;
    }

    /// <summary>Whether its agent is connected or can be. Of one that has failed, nobody shall.</summary>
    public bool IsBound => Definition.FailedBy != SilenceReason.Unspecified || _channel.State.IsConnected || Volatile.Read(ref _listener) is { IsReachable: true };

    public CellStatus Status
    {
        get
        {
            var (isConnected, silence, frames, lastFrameAt) = _channel.State;
            var problem = Problem ?? (IsBound ? null : "somebody removed the socket's file or put another in its place; add the cell again");
            var (state, reason) = (Definition.FailedBy, problem, silence) switch
            {
                (not SilenceReason.Unspecified, _, _) => ("failed", Definition.FailedBy.Word()),
                (_, not null, _) => ("unbound", problem),
                (_, _, not SilenceReason.Unspecified) => ("silent", silence.Word()),
                _ => (isConnected ? "connected" : "waiting", null),
            };
            return new CellStatus(Definition, _socket, state, reason, isConnected, frames, lastFrameAt?.UtcDateTime, _channel.AgentDropped);
        }
    }

    /// <summary>Closes the channel for good. The cell stays in the list, to say so.</summary>
    public ValueTask FailAsync(SilenceReason reason)
    {
        Definition = Definition with { FailedBy = reason };
        var listener = Interlocked.Exchange(ref _listener, null);
        return listener?.DisposeAsync() ?? default;
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _listener, null) is { } listener) await listener.DisposeAsync();
        _channel.Dispose();
    }

    /// <summary>Before the socket listens nobody can connect, so that it is never open to others.</summary>
    void Protect()
    {
        UnixSocketFile.SetMode(_socket, Definition.Mode);
        if (Definition.Owner is not { } owner || lchown(_socket, owner.Uid, owner.Gid) == 0) return;
        throw new IOException($"cannot give {_socket} to {Definition.SocketOwner}: {Marshal.GetLastPInvokeErrorMessage()}; it can be a group of the node's user, and another owner with CAP_CHOWN only");
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int lchown(string path, uint owner, uint group);
}
