using System.Runtime.InteropServices;

namespace Guestmark.Node.Listening;

/// <summary>How many files and sockets this process may have open: RLIMIT_NOFILE of getrlimit(2).</summary>
static partial class DescriptorLimit
{
    /// <summary>Listeners, spool, connections to the sensor, what the runtime opens.</summary>
    public const int BesideConnections = 1024;

    const int ResourceFiles = 7;

    /// <summary>
    /// Raises the limit to <paramref name="wanted"/> if it is lower and the process may: up to the hard limit everybody, beyond it root
    /// (CAP_SYS_RESOURCE).
    /// </summary>
    /// <returns>The limit now; null where it cannot be asked.</returns>
    public static long? Raise(long wanted)
    {
        if (getrlimit(ResourceFiles, out var limit) != 0) return null;
        if (limit.Current >= (ulong)wanted) return Bounded(limit.Current);
        var raised = new ResourceLimit { Current = (ulong)wanted, Most = Math.Max(limit.Most, (ulong)wanted) };
        if (setrlimit(ResourceFiles, in raised) == 0) return wanted;
        raised = limit with { Current = limit.Most };
        return Bounded(setrlimit(ResourceFiles, in raised) == 0 ? limit.Most : limit.Current);
    }

    /// <summary>RLIM_INFINITY is all ones.</summary>
    static long Bounded(ulong limit) => (long)Math.Min(limit, long.MaxValue);

    [LibraryImport("libc")]
    private static partial int getrlimit(int resource, out ResourceLimit limit);

    [LibraryImport("libc")]
    private static partial int setrlimit(int resource, in ResourceLimit limit);

    /// <summary>struct rlimit: two rlim_t, 8 bytes each on 64-bit Linux.</summary>
    [StructLayout(LayoutKind.Sequential)]
    record struct ResourceLimit
    {
        public ulong Current;
        public ulong Most;
    }
}
