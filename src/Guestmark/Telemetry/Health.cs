using System.Text.Json;

namespace Guestmark.Telemetry;

enum HealthState
{
    /// <summary>As it should be.</summary>
    Ok,

    /// <summary>It works, and somebody should look at it.</summary>
    Warning,

    /// <summary>It does not work.</summary>
    Failed,
}

/// <summary>What one check found.</summary>
/// <param name="Check">Its name, of a fixed set: <c>spool</c>.</param>
/// <param name="Message">What is, with figures.</param>
/// <param name="Remedy">What to do; null when nothing is to be done.</param>
sealed record HealthFinding(string Check, HealthState State, string Message, string? Remedy = null)
{
    public static HealthFinding Ok(string check, string message) => new(check, HealthState.Ok, message);

    public static HealthFinding Warn(string check, string message, string remedy) => new(check, HealthState.Warning, message, remedy);

    public static HealthFinding Fail(string check, string message, string remedy) => new(check, HealthState.Failed, message, remedy);
}

/// <summary>Something to check, again and again.</summary>
/// <param name="Liveness">Whether a failure means that the process should be started again: only what a restart can mend.</param>
/// <param name="Run">Looks now. Quick: it is called every few seconds.</param>
sealed record HealthCheck(bool Liveness, Func<HealthFinding> Run);

/// <summary>The checks of one role, run at most once a second however many ask.</summary>
sealed class Health(IEnumerable<HealthCheck> checks, TimeProvider time)
{
    static readonly TimeSpan KeepFor = TimeSpan.FromSeconds(1);

    readonly Lock _lock = new();
    readonly HealthCheck[] _checks = [.. checks];
    (HealthCheck Check, HealthFinding Finding)[]? _found;
    long _foundAt;

    /// <param name="livenessOnly">Only what a restart can mend.</param>
    public IReadOnlyList<HealthFinding> Look(bool livenessOnly)
    {
        lock (_lock)
        {
            if (_found is null || time.GetElapsedTime(_foundAt) >= KeepFor)
            {
                _found = [.. _checks.Select(check => (check, Run(check)))];
                _foundAt = time.GetTimestamp();
            }

            return [.. _found.Where(found => found.Check.Liveness || !livenessOnly).Select(found => found.Finding)];
        }
    }

    public static bool IsGood(IReadOnlyList<HealthFinding> findings) => findings.All(finding => finding.State != HealthState.Failed);

    /// <summary><c>{"status": "ok"|"failed", "checks": [{"check", "state", "message", "remedy"}]}</c>.</summary>
    public static byte[] Json(IReadOnlyList<HealthFinding> findings)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            writer.WriteString("status", IsGood(findings) ? "ok" : "failed");
            WriteChecks(writer, findings);
            writer.WriteEndObject();
        }

        buffer.WriteByte((byte)'\n');
        return buffer.ToArray();
    }

    public static void WriteChecks(Utf8JsonWriter writer, IEnumerable<HealthFinding> findings)
    {
        writer.WriteStartArray("checks");
        foreach (var finding in findings)
        {
            writer.WriteStartObject();
            writer.WriteString("check", finding.Check);
            writer.WriteString("state", finding.State.ToString().ToLowerInvariant());
            writer.WriteString("message", finding.Message);
            if (finding.Remedy is not null) writer.WriteString("remedy", finding.Remedy);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    static HealthFinding Run(HealthCheck check)
    {
        try
        {
            return check.Run();
        }
        catch (Exception e)
        {
            // A check that cannot look has not found that all is well.
            return HealthFinding.Fail("check", $"a check could not look: {e.Message} ({e.GetType().Name})", "report this");
        }
    }
}
