using System.Diagnostics;

namespace Guestmark.Inventory.Tests;

/// <summary>Runs a program of the system to its end.</summary>
static class Tool
{
    public static string Run(string program, IEnumerable<string> arguments, string input = "")
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments)
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        var writer = new Thread(() =>
        {
            using var standardInput = process.StandardInput;
            standardInput.Write(input);
        });
        writer.Start();
        var output = process.StandardOutput.ReadToEnd();
        writer.Join();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program} ended with {process.ExitCode}");
        return output;
    }
}
