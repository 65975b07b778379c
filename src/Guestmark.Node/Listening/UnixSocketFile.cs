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

        // A connect would wait while the queue of whoever listens there is full.
        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { Blocking = false };
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
        {
            // Nobody listens: left over from a process that ended. A plain file is refused like that too.
            if (CanBeOpened(path)) throw new IOException($"{path} is not a socket; move it away", e);
            File.Delete(path);
            return;
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.WouldBlock or SocketError.InProgress)
        {
            // The queue is full: somebody listens.
        }

        throw new AddressInUseException($"another process listens on {path}; stop it or give this guest another socket");
    }

    /// <summary>open(2) of a socket fails with ENXIO.</summary>
    static bool CanBeOpened(string path)
    {
        try
        {
            using var file = File.OpenHandle(path);
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }
}
