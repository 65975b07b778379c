using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Guestmark.Telemetry;

/// <summary>What every Prometheus client tells of its process, under the names they all use.</summary>
sealed class ProcessMetrics
{
    public ProcessMetrics(IMeterFactory meters)
    {
        using var process = Process.GetCurrentProcess();
        var started = new DateTimeOffset(process.StartTime.ToUniversalTime()).ToUnixTimeMilliseconds() / 1000.0;
        var meter = meters.Create("Guestmark.Process");
        meter.CreateObservableCounter("process.cpu", static () => Environment.CpuUsage.TotalTime.TotalSeconds, "s", "User and system time of this process.");
        meter.CreateObservableGauge("process.resident_memory", static () => Environment.WorkingSet, "By", "Resident memory.");
        meter.CreateObservableGauge("process.open_fds", static () => Directory.GetFileSystemEntries("/proc/self/fd").Length, "{file}", "Open descriptors.");
        meter.CreateObservableGauge("process.start_time", () => started, "s", "When the process started, as Unix time.");
        var version = typeof(ProcessMetrics).Assembly.GetName().Version!.ToString(3);
        meter.CreateObservableGauge("guestmark.build_info", () => new Measurement<int>(1, new KeyValuePair<string, object?>("version", version)), null, "Which Guestmark this is.");
    }
}
