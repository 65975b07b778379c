namespace Guestmark.Diagnosis;

/// <summary>Where <c>guestmark doctor</c> looks at this machine. Tests put other folders and clocks in their places.</summary>
sealed record HostView
{
    /// <summary>The folders /dev, /proc, /sys, and files of container runtimes are below it.</summary>
    public string Root { get; init; } = "/";

    /// <summary>
    /// Opens and closes a socket of AF_VSOCK; null when that works, else what the kernel said. Null unless the user asks: opening one loads a kernel
    /// module.
    /// </summary>
    public Func<string?>? ProbeVsock { get; init; }

    /// <summary>The clock as the kernel knows it.</summary>
    public Func<ClockState> Clock { get; init; } = ClockState.OfThisMachine;

    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Bytes that are free for us on a folder's disk.</summary>
    public Func<string, long> FreeBytes { get; init; } = folder => new DriveInfo(folder).AvailableFreeSpace;

    public bool Exists(string path) => Path.Exists(At(path));

    public string? Read(string path)
    {
        try
        {
            return File.ReadAllText(At(path)).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    string At(string path) => Path.Join(Root, path);
}

/// <summary>What adjtimex(2) tells.</summary>
/// <param name="Synchronised">Whether somebody disciplines the clock (no STA_UNSYNC).</param>
/// <param name="Problem">What the kernel said, when it cannot be asked.</param>
readonly record struct ClockState(bool Synchronised, string? Problem = null)
{
    // <sys/timex.h>: the status bit, and the state that the call returns for the same.
    const int Unsynchronised = 0x40;
    const int TimeError = 5;

    public static ClockState OfThisMachine()
    {
        var timex = new LibC.Timex();
        var state = LibC.adjtimex(ref timex);
        return state < 0
            ? new ClockState(false, System.Runtime.InteropServices.Marshal.GetLastPInvokeErrorMessage())
            : new ClockState((timex.Status & Unsynchronised) == 0 && state != TimeError);
    }
}
