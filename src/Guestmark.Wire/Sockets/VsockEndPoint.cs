using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Guestmark.Wire.Sockets;

/// <summary>An address of AF_VSOCK (vsock(7)): a machine by its context id, and a port of it.</summary>
/// <remarks>
/// System.Net.Sockets does not know the family, but passes an address on that an end point wrote itself.
/// <code>struct sockaddr_vm: u16 family = 40 @0, u16 reserved @2, u32 port @4, u32 cid @8, u8 flags @12, 3 bytes of padding; host byte order</code>
/// </remarks>
public sealed partial class VsockEndPoint(uint cid, uint port) : EndPoint
{
    /// <summary>The host of a guest (VMADDR_CID_HOST).</summary>
    public const uint CidHost = 2;

    /// <summary>Any context id of this machine (VMADDR_CID_ANY), to listen on.</summary>
    public const uint CidAny = uint.MaxValue;

    /// <summary>Any free port from 1024 on (VMADDR_PORT_ANY), to bind.</summary>
    public const uint PortAny = uint.MaxValue;

    /// <summary>The port on which hosts and agents of StackRox listen. Its early documents say 1024, which was never true.</summary>
    public const uint PortDefault = 818;

    const ushort Family = 40;
    const int AddressBytes = 16;
    const int StreamCloseOnExec = 1 | 0x8_0000;

    const int NotPermitted = 1;
    const int NoAccess = 13;
    const int FamilyNotSupported = 97;

    public uint Cid => cid;

    public uint Port => port;

    /// <summary>
    /// Unknown and not 40: a socket made of a foreign handle says Unknown and wants the same of its end points, and a
    /// <see cref="SocketAddress"/> cannot be made with 40. The kernel only sees the bytes.
    /// </summary>
    public override AddressFamily AddressFamily => AddressFamily.Unknown;

    /// <summary>A stream socket of the family.</summary>
    /// <exception cref="SocketException">The kernel has none: the machine has no vsock device, or a sandbox hides it.</exception>
    public static Socket CreateSocket()
    {
        var descriptor = socket(Family, StreamCloseOnExec, 0);
        if (descriptor < 0) throw new SocketException((int)ErrorOf(Marshal.GetLastPInvokeError()), Marshal.GetLastPInvokeErrorMessage());
        return new Socket(new SafeSocketHandle(descriptor, ownsHandle: true));
    }

    /// <summary>A <see cref="SocketException"/> counts in Winsock's numbers, not in those of errno(3).</summary>
    static SocketError ErrorOf(int errno) => errno switch
    {
        NotPermitted or NoAccess => SocketError.AccessDenied,
        FamilyNotSupported => SocketError.AddressFamilyNotSupported,
        _ => SocketError.SocketError,
    };

    public override SocketAddress Serialize()
    {
        var address = new SocketAddress(AddressFamily.Unknown, AddressBytes);
        var bytes = address.Buffer.Span;
        bytes.Clear();
        MemoryMarshal.Write(bytes, Family);
        MemoryMarshal.Write(bytes[4..], port);
        MemoryMarshal.Write(bytes[8..], cid);
        return address;
    }

    /// <summary>The end point of an address that the kernel gave.</summary>
    /// <exception cref="ArgumentException">The address is of another family.</exception>
    public override EndPoint Create(SocketAddress socketAddress) =>
        Read(socketAddress.Buffer.Span[..Math.Min(socketAddress.Size, socketAddress.Buffer.Length)])
        ?? throw new ArgumentException("not an address of AF_VSOCK", nameof(socketAddress));

    /// <summary>The end point in a <c>struct sockaddr</c>. Null: it is of another family, or too short for one.</summary>
    public static VsockEndPoint? Read(ReadOnlySpan<byte> address) => address.Length >= 12 && MemoryMarshal.Read<ushort>(address) == Family
        ? new VsockEndPoint(MemoryMarshal.Read<uint>(address[8..]), MemoryMarshal.Read<uint>(address[4..]))
        : null;

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"vsock:{(cid == CidAny ? "any" : cid.ToString(CultureInfo.InvariantCulture))}:{port}");

    public override bool Equals(object? comparand) => comparand is VsockEndPoint other && other.Cid == cid && other.Port == port;

    public override int GetHashCode() => HashCode.Combine(cid, port);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int socket(int family, int type, int protocol);
}
