using System.Diagnostics;

namespace Guestmark.TestKit;

/// <summary>A file system in memory that is soon full.</summary>
public static class SmallDisk
{
    public static Task MountAsync(string path, string size)
    {
        Directory.CreateDirectory(path);
        return RunAsync("mount", "-t", "tmpfs", "-o", $"size={size}", "guestmark-test", path);
    }

    public static Task UnmountAsync(string path) => RunAsync("umount", path);

    static async Task RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { UseShellExecute = false, RedirectStandardError = true })!;
        var error = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        if (process.ExitCode != 0) throw new InvalidOperationException($"{program} {string.Join(' ', arguments)}: {error}");
    }
}
