using System.Diagnostics;
using Guestmark.TestKit;

namespace Guestmark.VmLab;

/// <summary>What virtual machines boot from.</summary>
static class LabImages
{
    static readonly Lazy<Task> Images = new(() => RunAsync($"{Scripts}/images.sh"));

    /// <summary>Where programs are looked for: those of file systems are not on every user's path.</summary>
    public static string Path { get; } = $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin";

    /// <summary>tests/vmlab.</summary>
    public static string Scripts { get; } = System.IO.Path.Combine(Repository.Root, "tests", "vmlab");

    /// <summary>Makes the images of what is built now. Once per run of the tests.</summary>
    public static Task MakeAsync() => Images.Value;

    /// <summary>Makes a disk with the files of a folder. It takes no room for what is empty.</summary>
    public static async Task<string> MakeDiskAsync(string folder, string disk, string size = "512M")
    {
        await RunAsync("mke2fs", "-q", "-t", "ext4", "-m", "0", "-d", folder, disk, size);
        return disk;
    }

    /// <summary>Reads a folder out of a disk whose machine is off, after the file system was recovered as a kernel would.</summary>
    public static async Task ReadDiskAsync(string disk, string folder, string into)
    {
        Directory.CreateDirectory(into);
        // 0: clean. 1: the journal was replayed or something was corrected.
        await RunAsync("e2fsck", exitCodeMax: 1, "-f", "-p", disk);
        await RunAsync("debugfs", "-R", $"rdump {folder} {into}", disk);
    }

    /// <summary>Runs a program to its end, which must be good.</summary>
    public static Task RunAsync(string program, params string[] arguments) => RunAsync(program, exitCodeMax: 0, arguments);

    static async Task RunAsync(string program, int exitCodeMax, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { UseShellExecute = false, RedirectStandardError = true, RedirectStandardOutput = true };
        start.Environment["PATH"] = Path;
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        if (process.ExitCode > exitCodeMax)
            throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}:\n{await output}\n{await error}");
    }
}
