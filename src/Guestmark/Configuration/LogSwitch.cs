using Microsoft.Extensions.Logging;

namespace Guestmark.Configuration;

/// <summary>How much is logged, which may change while a process runs.</summary>
sealed class LogSwitch(LogLevel level)
{
    public LogLevel Level { get; set; } = level;

    /// <summary>Whether an entry is logged. ASP.NET's own are, from warnings on: a request a second of a probe is no news.</summary>
    public bool Lets(string? category, LogLevel level)
    {
        if (level < Level) return false;
        if (category is null || !category.StartsWith("Microsoft.", StringComparison.Ordinal)) return true;
        // That a host could not start is told by RoleHosts.StartAsync, without a stack trace.
        if (category.StartsWith("Microsoft.Extensions.Hosting", StringComparison.Ordinal)) return level >= LogLevel.Critical;
        // It warns at every start that the keys of sessions are not encrypted: their folder has mode 0700.
        if (category.StartsWith("Microsoft.AspNetCore.DataProtection", StringComparison.Ordinal)) return level >= LogLevel.Error;
        return level >= LogLevel.Warning;
    }
}
