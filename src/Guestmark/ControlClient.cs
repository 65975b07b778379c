using System.CommandLine;
using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Guestmark.CommandLine;
using Guestmark.Configuration;

namespace Guestmark;

/// <summary>Speaks with the node of this host over its control socket: HTTP over a Unix socket whose folder is the node's alone.</summary>
sealed class ControlClient(string socket)
{
    /// <summary>The flag that names the socket.</summary>
    public static Option<string?> Flag() => new("--control")
    {
        Description = $"The node's control socket [default: as the node finds it, by {NodeSettings.ControlSocket.Variable}, {NodeSettings.Data.Variable} and its configuration file]",
        HelpName = "SOCKET",
        CustomParser = result => Path.GetFullPath(result.Tokens[0].Value),
    };

    public Task<JsonNode?> GetAsync(string path, CancellationToken cancellationToken) => SendAsync(HttpMethod.Get, path, null, cancellationToken);

    /// <returns>What was answered; null when it was nothing.</returns>
    /// <exception cref="UsageException">The node calls a value wrong.</exception>
    /// <exception cref="CommandException">Nobody listens, or the node refuses.</exception>
    public async Task<JsonNode?> SendAsync(HttpMethod method, string path, JsonNode? body, CancellationToken cancellationToken)
    {
        using var http = new HttpClient(new SocketsHttpHandler { ConnectCallback = (_, cancellation) => ConnectAsync(cancellation) });
        using var request = new HttpRequestMessage(method, new Uri("http://control/" + path));
        if (body is not null) request.Content = JsonContent.Create(body);
        HttpResponseMessage response;
        try
        {
            response = await http.SendAsync(request, cancellationToken);
        }
        catch (HttpRequestException e) when (e.InnerException is CommandException inner)
        {
            throw new CommandException(inner.Message, e);
        }
        catch (HttpRequestException e)
        {
            throw new CommandException($"--control {socket}: what listens there does not answer as a node does: {e.Message}", e);
        }

        using (response)
        {
            var text = await response.Content.ReadAsStringAsync(cancellationToken);
            if (response.IsSuccessStatusCode) return text.Length > 0 ? JsonNode.Parse(text) : null;
            var problem = Detail(text) ?? (response.StatusCode == HttpStatusCode.NotFound
                ? $"the node on {socket} does not know /{path}; it is of another version than this command" : $"the node answered {(int)response.StatusCode}");
            throw response.StatusCode == HttpStatusCode.BadRequest ? new UsageException(problem) : new CommandException(problem);
        }
    }

    static string? Detail(string problem)
    {
        try
        {
            return JsonNode.Parse(problem)?["detail"]?.GetValue<string>();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null;
        }
    }

    async ValueTask<Stream> ConnectAsync(CancellationToken cancellationToken)
    {
        if (Encoding.UTF8.GetByteCount(socket) is 0 or > 107) throw new CommandException($"--control {socket}: the path of a Unix socket has 1 to 107 bytes");
        var connection = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await connection.ConnectAsync(new UnixDomainSocketEndPoint(socket), cancellationToken);
            return new NetworkStream(connection, ownsSocket: true);
        }
        catch (SocketException e)
        {
            connection.Dispose();
            throw new CommandException(
                e.SocketErrorCode switch
                {
                    SocketError.AccessDenied => $"--control {socket}: no permission; run as the node's user",
                    SocketError.ConnectionRefused => $"--control {socket}: no node listens there any more; start it, or name the socket of another",
                    _ => $"--control {socket}: there is no such socket; start the node, or name its socket: control.sock in its data folder",
                },
                e);
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }
}
