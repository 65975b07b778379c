using System.Net.Sockets;
using Guestmark.Wire.Framing;

namespace Guestmark.Agent.Tests.Reporting;

/// <summary>The host's side of the push protocol, by script.</summary>
static class PushHost
{
    /// <summary>A host that answers each connection's message with the next status, or closes without an answer where there is none.</summary>
    /// <returns>The bodies that came.</returns>
    public static Task<List<byte[]>> RunAsync(string socketPath, params PushStatus?[] answers)
    {
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(socketPath));
        listener.Listen();
        return Task.Run(async () =>
        {
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
            var bodies = new List<byte[]>();
            foreach (var answer in answers)
            {
                using var connection = await listener.AcceptAsync(limit.Token);
                await using var stream = new NetworkStream(connection);
                var header = new byte[PushFrame.HeaderBytes];
                await stream.ReadExactlyAsync(header, limit.Token);
                var body = new byte[BitConverter.ToUInt32(header)];
                await stream.ReadExactlyAsync(body, limit.Token);
                bodies.Add(body);
                if (answer is not { } status) continue;
                PushFrame.WriteStatus(header, status);
                await stream.WriteAsync(header, limit.Token);
            }

            listener.Dispose();
            return bodies;
        });
    }
}
