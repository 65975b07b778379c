using Guestmark.Node;

namespace Guestmark;

/// <summary>A folder that an agent of <c>guestmark up</c> scans as if it were inside that machine.</summary>
/// <param name="Name">For people; unique.</param>
/// <param name="Folder">The root of the machine's files.</param>
/// <param name="Distro"><c>ID:VERSION_ID</c>, or null to take what os-release says.</param>
sealed record ScannedGuest(string Name, string Folder, string? Distro)
{
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
        var options = text.Split(',');
        string? distro = null;
        foreach (var option in options.Skip(1))
        {
            if (option.StartsWith("distro=", StringComparison.Ordinal)) distro = option["distro=".Length..];
            else problem = $"'{option}' is not known; after the folder only distro=ID:VERSION can be given";
        }

        if (problem is not null) return null;
        if (options[0].Split('=', 2) is not [{ Length: > 0 } name, { Length: > 0 } folder]) problem = "write NAME=DIR or NAME=DIR,distro=ID:VERSION";
        else if (!NodeOptions.IsName(name)) problem = "a name has 1 to 63 letters, digits, '-', '_' or '.'";
        else if (!Directory.Exists(folder)) problem = $"there is no folder {folder}";
        else if (distro is not null && distro.Split(':') is not [{ Length: > 0 }, { Length: > 0 }]) problem = "write distro=ID:VERSION_ID, for example distro=almalinux:8";
        else return new ScannedGuest(name, Path.GetFullPath(folder), distro);
        return null;
    }

    public string Uid(string cluster) => GuestOptions.UidOf(cluster, NameOfThisMachine(), Name);

    public GuestOptions Channel(string sockets, string cluster) => new() { Uid = Uid(cluster), Name = Name, SocketBase = SocketBase(sockets) };

    /// <summary>Short, because a Unix socket's path has at most 107 bytes and names may have 63.</summary>
    public string SocketBase(string sockets) => Path.Combine(sockets, Name + ".sock");
}
