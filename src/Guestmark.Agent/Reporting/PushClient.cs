using System.Net.Sockets;
using Guestmark.Wire.Framing;

namespace Guestmark.Agent.Reporting;

/// <summary>What came of one attempt: the host's answer, or why there is none.</summary>
readonly record struct PushOutcome(PushStatus? Status, string? Problem);

/// <summary>The guest's side of the push protocol.</summary>
static class PushClient
{
    /// <summary>Sends one report on a connection of its own and waits for the answer. Failures of the channel are returned, not thrown.</summary>
    public static async Task<PushOutcome> SendAsync(HostChannel channel, byte[] report, CancellationToken cancellationToken)
    {
        Socket socket;
        try
        {
            socket = channel.CreateSocket();
        }
        catch (SocketException e)
        {
            return new(null, channel.Describe(e));
        }

        using (socket) return await SendAsync(socket, channel, report, cancellationToken);
    }

    static async Task<PushOutcome> SendAsync(Socket socket, HostChannel channel, byte[] report, CancellationToken cancellationToken)
    {
        try
        {
            await socket.ConnectAsync(channel.Address, cancellationToken);
        }
        catch (SocketException e)
        {
            return new(null, channel.Describe(e));
        }

        // The answer is awaited while the report is sent: a host that refuses a message answers before it has read it all and closes, and a
        // vsock whose peer is gone never becomes writable again, while what it answered stays readable.
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var sending = SendReportAsync(socket, report, over.Token);
        var answer = new byte[PushFrame.StatusBytes];
        try
        {
            var received = 0;
            while (received < answer.Length)
            {
                var count = await socket.ReceiveAsync(answer.AsMemory(received), cancellationToken);
                if (count == 0) return new(null, "the host closed the connection without an answer");
                received += count;
            }

            return new(PushFrame.ReadStatus(answer), null);
        }
        catch (SocketException e)
        {
            return new(null, e.Message);
        }
        finally
        {
            await over.CancelAsync();
            await sending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    static async Task SendReportAsync(Socket socket, byte[] report, CancellationToken cancellationToken)
    {
        var header = new byte[PushFrame.HeaderBytes];
        PushFrame.WriteHeader(header, report.Length);
        await SendAllAsync(socket, header, cancellationToken);
        await SendAllAsync(socket, report, cancellationToken);
    }

    static async ValueTask SendAllAsync(Socket socket, ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        while (bytes.Length > 0) bytes = bytes[await socket.SendAsync(bytes, cancellationToken)..];
    }
}
