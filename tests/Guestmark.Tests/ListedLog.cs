using Microsoft.Extensions.Logging;

namespace Guestmark.Tests;

/// <summary>A log that a test can read.</summary>
sealed class ListedLog
{
    public List<(int Id, LogLevel Level, string Text)> Entries { get; } = [];

    public ILogger<T> For<T>() => new Logger<T>(this);

    sealed class Logger<T>(ListedLog log) : ILogger<T>
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (log.Entries) log.Entries.Add((eventId.Id, logLevel, formatter(state, exception)));
        }
    }
}
