using System.Net;
using System.Net.Sockets;

namespace Guestmark.Node.Listening;

/// <summary>A path to bind a Unix socket to, whose file stays when the socket is closed.</summary>
/// <remarks>
/// A socket that was bound to a <see cref="UnixDomainSocketEndPoint"/> deletes, when it is disposed, whatever has its path by then: also the socket that
/// somebody else put there.
/// </remarks>
sealed class UnixSocketPath(string path) : EndPoint
{
    readonly UnixDomainSocketEndPoint _path = new(path);

    public override AddressFamily AddressFamily => AddressFamily.Unix;

    public override SocketAddress Serialize() => _path.Serialize();

    public override EndPoint Create(SocketAddress socketAddress) => _path.Create(socketAddress);

    public override string ToString() => path;
}
