using System.Runtime.InteropServices;

namespace Guestmark;

/// <summary>Calls of the C library that .NET has no words for.</summary>
static partial class LibC
{
    public const int SigTerm = 15;

    // access(2): W_OK and X_OK.
    public const int MayWrite = 2;
    public const int MayEnter = 1;

    [LibraryImport("libc", SetLastError = true)]
    public static partial int kill(int process, int signal);

    /// <summary>0 when this process may do that with the file.</summary>
    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int access(string path, int mode);

    /// <summary>adjtimex(2) with <c>modes</c> 0 only reads.</summary>
    [LibraryImport("libc", SetLastError = true)]
    public static partial int adjtimex(ref Timex timex);

    /// <summary>struct timex of Linux on 64-bit machines; 208 bytes, of which the first fields are named here.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 208)]
    public struct Timex
    {
        public uint Modes;
        public long Offset;
        public long Frequency;
        public long MaxError;
        public long EstimatedError;
        public int Status;
    }
}
