using Spectre.Console;

namespace Guestmark;

/// <summary>
/// Tells on standard error what is being done: a line with a spinner on a terminal, plain lines elsewhere. Work that takes less
/// than a second leaves one line.
/// </summary>
/// <param name="isQuietWithoutTerminal">Elsewhere tell nothing: for commands that run by a timer and print what came of it themselves.</param>
sealed class Progress(TimeProvider time, bool isQuietWithoutTerminal = false)
{
    static readonly TimeSpan LineInterval = TimeSpan.FromSeconds(2);

    readonly IAnsiConsole _console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });

    /// <param name="what">What is done, as in "Importing advisories".</param>
    /// <param name="work">Is given a way to tell how far it is, and returns what came of it.</param>
    public async Task<T> RunAsync<T>(string what, Func<Action<string>, Task<(T Result, string Outcome)>> work)
    {
        var started = time.GetTimestamp();
        T result;
        string outcome;
        var isTerminal = _console.Profile.Capabilities.Interactive && _console.Profile.Out.IsTerminal;
        if (!isTerminal && isQuietWithoutTerminal) return (await work(_ => { })).Result;
        if (isTerminal)
        {
            (result, outcome) = await _console.Status().StartAsync(
                Markup.Escape(what), status => work(text => status.Status($"{Markup.Escape(what)}: {Markup.Escape(text)}")));
        }
        else
        {
            var printed = time.GetTimestamp();
            (result, outcome) = await work(text =>
            {
                var now = time.GetTimestamp();
                if (time.GetElapsedTime(printed, now) < LineInterval) return;
                printed = now;
                Console.Error.WriteLine($"{what}: {text}");
            });
        }

        await Console.Error.WriteLineAsync($"{what}: {outcome} ({time.GetElapsedTime(started).TotalSeconds:0.0} s)");
        return result;
    }
}
