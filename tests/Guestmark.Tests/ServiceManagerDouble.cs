using System.Net.Sockets;
using System.Text;

namespace Guestmark.Tests;

/// <summary>The socket on which a service manager hears its services.</summary>
sealed class ServiceManagerDouble : IDisposable
{
    readonly Socket _socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);

    /// <param name="address">A path, or <c>@name</c> for an abstract one.</param>
    public ServiceManagerDouble(string address)
    {
        _socket.Bind(new UnixDomainSocketEndPoint(address[0] == '@' ? '\0' + address[1..] : address));
        Address = address;
    }

    public string Address { get; }

    public async Task<List<string>> ReceiveAsync(int count)
    {
        var messages = new List<string>();
        while (messages.Count < count) messages.Add(await ReceiveAsync());
        return messages;
    }

    /// <summary>Messages up to one that begins like this.</summary>
    public async Task<List<string>> ReceiveUntilAsync(string beginning)
    {
        var messages = new List<string>();
        do messages.Add(await ReceiveAsync());
        while (!messages[^1].StartsWith(beginning, StringComparison.Ordinal));
        return messages;
    }

    public void Dispose() => _socket.Dispose();

    async Task<string> ReceiveAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        var buffer = new byte[4096];
        return Encoding.UTF8.GetString(buffer, 0, await _socket.ReceiveAsync(buffer, limit.Token));
    }
}
