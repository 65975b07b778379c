using System.Globalization;

namespace Guestmark.Node.Identity;

/// <summary>
/// The network namespace in which context ids hold. Since Linux 7.0 two namespaces in mode <c>local</c> (<c>/proc/sys/net/vsock/ns_mode</c>) may each
/// have a machine with context id 3.
/// </summary>
/// <param name="Inode">Of the namespace, as <c>/proc/self/ns/net</c> shows it; 0 where it cannot be read.</param>
public sealed record NetworkNamespace(ulong Inode)
{
    /// <summary>That of this process: <c>/proc/self/ns/net</c> is a link to <c>net:[4026531840]</c>.</summary>
    public static NetworkNamespace OfThisProcess()
    {
        string? target;
        try
        {
            target = new FileInfo("/proc/self/ns/net").LinkTarget;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            target = null;
        }

        return new NetworkNamespace(Read(target));
    }

    internal static ulong Read(string? target) =>
        target is ['n', 'e', 't', ':', '[', .. var digits, ']']
        && ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var inode) ? inode : 0;
}
