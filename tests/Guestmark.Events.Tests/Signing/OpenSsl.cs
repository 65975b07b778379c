using System.Diagnostics;

namespace Guestmark.Events.Tests.Signing;

/// <summary>The openssl program.</summary>
static class OpenSsl
{
    /// <summary>Its standard output. Fails the test when it ends with another code than 0.</summary>
    public static string Run(params string[] arguments)
    {
        var start = new ProcessStartInfo("openssl") { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"openssl {string.Join(' ', arguments)}: {output} {errors.GetAwaiter().GetResult()}");
        return output;
    }
}
