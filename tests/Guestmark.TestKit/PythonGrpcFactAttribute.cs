using System.Diagnostics;
using Xunit;

namespace Guestmark.TestKit;

/// <summary>A test that needs Debian's python3-grpcio and python3-protobuf. Skipped, by name, where they are absent.</summary>
public sealed class PythonGrpcFactAttribute : FactAttribute
{
    public const string Python = "/usr/bin/python3";

    static readonly Lazy<string?> Missing = new(Probe);

    public PythonGrpcFactAttribute() => Skip = Missing.Value;

    static string? Probe()
    {
        const string Needs = "needs python3-grpcio and python3-protobuf";
        if (!File.Exists(Python)) return Needs;
        using var process = Process.Start(
            new ProcessStartInfo(Python, ["-c", "import grpc, google.protobuf"]) { UseShellExecute = false, RedirectStandardError = true })!;
        process.WaitForExit();
        return process.ExitCode == 0 ? null : Needs;
    }
}
