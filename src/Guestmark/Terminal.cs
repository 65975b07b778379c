using Spectre.Console;

namespace Guestmark;

/// <summary>Standard output for tables.</summary>
static class Terminal
{
    const int RedirectedColumns = 500;

    /// <summary>Into a file or a pipe go no escape sequences, and a table is as wide as it needs to be.</summary>
    public static IAnsiConsole Output()
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(Console.Out),
            Ansi = Console.IsOutputRedirected ? AnsiSupport.No : AnsiSupport.Detect,
        });
        if (Console.IsOutputRedirected) console.Profile.Width = RedirectedColumns;
        return console;
    }
}
