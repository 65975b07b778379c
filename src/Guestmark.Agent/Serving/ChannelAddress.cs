using System.Runtime.InteropServices;
using System.Text;

namespace Guestmark.Agent.Serving;

/// <summary>Where a stream socket of the kernel listens: a port of AF_VSOCK, or a path of AF_UNIX.</summary>
/// <remarks>.NET's own addresses do not know AF_VSOCK, so this holds the <c>sockaddr</c> as the kernel takes it.</remarks>
sealed class ChannelAddress
{
    /// <summary>The host, seen from a guest (VMADDR_CID_HOST of vsock(7)).</summary>
    public const uint HostCid = 2;

    /// <summary>Any context of this machine (VMADDR_CID_ANY of vsock(7)).</summary>
    public const uint AnyCid = uint.MaxValue;

    const int UnixFamily = 1;
    const int VsockFamily = 40;

    // sun_path of unix(7) has 108 bytes, the last of which ends the text.
    const int UnixPathBytesMax = 107;

    readonly byte[] _bytes;
    readonly string _text;

    ChannelAddress(int family, byte[] bytes, string text)
    {
        Family = family;
        _bytes = bytes;
        _text = text;
        MemoryMarshal.Write(_bytes, (ushort)family);
    }

    public int Family { get; }

    /// <summary>The path of a Unix socket. Null for vsock.</summary>
    public string? Path => Family == UnixFamily ? _text : null;

    /// <summary>The <c>sockaddr</c>.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes;

    /// <remarks>
    /// <code>
    /// struct sockaddr_vm { u16 family; u16 reserved; u32 port; u32 cid; u8 flags; u8 zero[3]; }   all in the order of the machine
    /// </code>
    /// </remarks>
    public static ChannelAddress Vsock(uint cid, uint port)
    {
        var bytes = new byte[16];
        MemoryMarshal.Write(bytes.AsSpan(4), port);
        MemoryMarshal.Write(bytes.AsSpan(8), cid);
        return new ChannelAddress(VsockFamily, bytes, cid == AnyCid ? $"vsock port {port}" : $"vsock {cid}:{port}");
    }

    /// <returns>Null when the path is empty or too long for a Unix socket, which has at most 107 bytes.</returns>
    public static ChannelAddress? TryUnix(string path)
    {
        var length = Encoding.UTF8.GetByteCount(path);
        if (length is 0 or > UnixPathBytesMax || path.Contains('\0')) return null;
        var bytes = new byte[2 + length + 1];
        Encoding.UTF8.GetBytes(path, bytes.AsSpan(2));
        return new ChannelAddress(UnixFamily, bytes, path);
    }

    /// <summary>Who connected, as accept(2) tells it.</summary>
    public static string DescribePeer(ReadOnlySpan<byte> address)
    {
        if (address.Length < 16 || MemoryMarshal.Read<ushort>(address) != VsockFamily) return "a process of this machine";
        var (port, cid) = (MemoryMarshal.Read<uint>(address[4..]), MemoryMarshal.Read<uint>(address[8..]));
        return cid == HostCid ? $"the host, port {port}" : $"context {cid}, port {port}";
    }

    public override string ToString() => _text;
}
