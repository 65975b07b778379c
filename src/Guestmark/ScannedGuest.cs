using System.Security.Cryptography;
using System.Text;
using Guestmark.Node;

namespace Guestmark;

/// <summary>A folder that an agent of <c>guestmark up</c> scans as if it were inside that machine.</summary>
/// <param name="Name">For people; unique.</param>
/// <param name="Folder">The root of the machine's files.</param>
/// <param name="Distro"><c>ID:VERSION_ID</c>, or null to take what os-release says.</param>
sealed record ScannedGuest(string Name, string Folder, string? Distro)
{
    // RFC 9562, 6.5: the name space within which the names of local guests are unique. Chosen once; changing it renames every guest.
    static readonly Guid NameSpace = new("5e0ff6f5-8d0a-4b0e-9d0c-0f6c9c1b7a35");

    public static ScannedGuest ThisMachine() => new(NameOfThisMachine(), "/", null);

    /// <summary>The host's name with what a guest's name cannot hold replaced.</summary>
    public static string NameOfThisMachine()
    {
        var name = string.Concat(Environment.MachineName.Take(63).Select(c => NodeOptions.IsNameCharacter(c) ? c : '-'));
        return name.Length == 0 ? "localhost" : name;
    }

    public static ScannedGuest? Parse(string text, out string? problem)
    {
        problem = null;
        var comma = text.LastIndexOf(",distro=", StringComparison.Ordinal);
        var (place, distro) = comma < 0 ? (text, null) : (text[..comma], text[(comma + ",distro=".Length)..]);
        if (place.Split('=', 2) is not [{ Length: > 0 } name, { Length: > 0 } folder]) problem = "write NAME=DIR or NAME=DIR,distro=ID:VERSION";
        else if (!NodeOptions.IsName(name)) problem = "a name has 1 to 63 letters, digits, '-', '_' or '.'";
        else if (!Directory.Exists(folder)) problem = $"there is no folder {folder}";
        else if (distro is not null && distro.Split(':') is not [{ Length: > 0 }, { Length: > 0 }]) problem = "write distro=ID:VERSION_ID, for example distro=almalinux:8";
        else return new ScannedGuest(name, Path.GetFullPath(folder), distro);
        return null;
    }

    /// <summary>A UUID of version 5 made from cluster and name: the same guest has the same uid after every start.</summary>
    public string Uid(string cluster)
    {
        Span<byte> hash = stackalloc byte[SHA1.HashSizeInBytes];
        SHA1.HashData([.. NameSpace.ToByteArray(bigEndian: true), .. Encoding.UTF8.GetBytes($"{cluster}/{Name}")], hash);
        hash[6] = (byte)((hash[6] & 0x0f) | 0x50);
        hash[8] = (byte)((hash[8] & 0x3f) | 0x80);
        return new Guid(hash[..16], bigEndian: true).ToString();
    }

    public GuestOptions Channel(string data, string cluster) => new() { Uid = Uid(cluster), Name = Name, SocketBase = SocketBase(data) };

    /// <summary>Short, because a Unix socket's path has at most 107 bytes and names may have 63.</summary>
    public string SocketBase(string data) => Path.Combine(data, "guests", Name + ".sock");
}
