using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;

namespace Guestmark.Node.Listening;

/// <summary>The file of a Unix socket, which outlives the process that made it and then stands in the way of the next.</summary>
static class UnixSocketFile
{
    /// <summary>Makes the folder and removes a socket that nobody listens on.</summary>
    /// <exception cref="AddressInUseException">Somebody listens on it.</exception>
    /// <exception cref="IOException">Something that is not a socket is in the way.</exception>
    public static void Prepare(string path)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        if (!File.Exists(path)) return;

        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
        {
            // Left over from a process that ended: nobody listens. ECONNREFUSED is also what a plain file answers.
            if (new FileInfo(path) is { Length: > 0 }) throw new IOException($"{path} is not a socket; move it away", e);
            File.Delete(path);
            return;
        }

        throw new AddressInUseException($"another process listens on {path}; stop it or give this guest another socket");
    }
}
