using System.Net;
using System.Net.Sockets;
using Guestmark.Wire.Sockets;

namespace Guestmark.Agent.Reporting;

/// <summary>Where the host listens for this machine.</summary>
/// <param name="Address">An <see cref="VsockEndPoint"/> or an <see cref="UnixDomainSocketEndPoint"/>.</param>
/// <param name="Name">For people and, without slashes, for the lock: <c>vsock:2:818</c>, a path.</param>
sealed record HostChannel(EndPoint Address, string Name)
{
    public static HostChannel Vsock(uint port)
    {
        var address = new VsockEndPoint(VsockEndPoint.CidHost, port);
        return new HostChannel(address, address.ToString());
    }

    /// <summary>A Unix socket that leads to the host: in a container of the host, or where the guest is only a folder.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The path is longer than a socket's address.</exception>
    public static HostChannel Unix(string path) => new(new UnixDomainSocketEndPoint(path), path);

    /// <exception cref="SocketException">The kernel has no such sockets.</exception>
    public Socket CreateSocket() =>
        Address is VsockEndPoint ? VsockEndPoint.CreateSocket() : new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    /// <summary>A failure to connect, in words that say what to do.</summary>
    public string Describe(SocketException error) => (Address, error.SocketErrorCode) switch
    {
        (VsockEndPoint, SocketError.AddressFamilyNotSupported) =>
            "this kernel has no AF_VSOCK; give the machine a vsock device (KubeVirt: autoattachVSOCK: true) or another channel with --socket PATH",
        (VsockEndPoint, SocketError.AccessDenied) =>
            "this process may not use AF_VSOCK; in a container allow it in the seccomp profile and the SELinux label",
        // ENODEV, which is what connect(2) says without a device, is none of the errors that .NET knows.
        (VsockEndPoint, SocketError.SocketError or SocketError.NetworkUnreachable or SocketError.HostUnreachable or SocketError.AddressNotAvailable) =>
            "this machine has no vsock device; attach one (KubeVirt: autoattachVSOCK: true) or name another channel with --socket PATH",
        (VsockEndPoint vsock, SocketError.ConnectionReset or SocketError.ConnectionRefused) => $"nobody listens on the host's port {vsock.Port}; is the node running?",
        (_, SocketError.ConnectionRefused) => "nobody listens there; is the node running?",
        (_, SocketError.AddressNotAvailable) => "there is no such socket; is the node running, and is this the socket of this machine?",
        (_, SocketError.AccessDenied) => "no permission to connect; run as the socket's owner",
        _ => error.Message,
    };
}
