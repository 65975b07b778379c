using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Guestmark.CommandLine;

/// <summary>What the executables end with. Scripts rely on the numbers: they are documented in each <c>--help</c>.</summary>
static class ExitCode
{
    public const int Done = 0;
    public const int Failed = 1;
    public const int Usage = 2;

    /// <summary>Only of commands that look for something bad when they are asked to: they found it.</summary>
    public const int Found = 3;
}

/// <summary>A failure that is told to the user as it is: what failed, the value, and what to do. Ends with <see cref="ExitCode.Failed"/>.</summary>
sealed class CommandException(string message, Exception? cause = null) : Exception(message, cause);

/// <summary>A wrong call that only the command itself can notice. Ends with <see cref="ExitCode.Usage"/>.</summary>
sealed class UsageException(string message) : Exception(message);

/// <summary>What both executables share: help with examples, exit codes, errors on standard error.</summary>
/// <remarks>Compiled into each executable, because the agent shares no library with the host's program but those of the wire.</remarks>
static class CommandLineProgram
{
    static readonly Dictionary<Command, string> Examples = [];
    static readonly Dictionary<Command, string> FoundWords = [];

    /// <summary>Adds examples, a command a line, to the command's help.</summary>
    public static TCommand WithExamples<TCommand>(this TCommand command, string examples)
        where TCommand : Command
    {
        Examples[command] = examples;
        return command;
    }

    /// <summary>Says in the command's help when it ends with <see cref="ExitCode.Found"/>.</summary>
    public static TCommand WithFound<TCommand>(this TCommand command, string what)
        where TCommand : Command
    {
        FoundWords[command] = what;
        return command;
    }

    public static async Task<int> RunAsync(RootCommand root, string[] arguments)
    {
        foreach (var option in root.Options)
        {
            if (option is not HelpOption help) continue;
            help.Action = new HelpWithExamples((HelpAction)help.Action!);
            // Habits of another system, where they cannot be paths.
            help.Aliases.Remove("/h");
            help.Aliases.Remove("/?");
        }

        var parsed = root.Parse(arguments);
        // Who asks for help has not given everything that is required.
        if (parsed.Errors.Count > 0 && parsed.Action is not HelpWithExamples)
        {
            // With a wrong word in its place, that a command is missing as well says nothing.
            var errors = parsed.UnmatchedTokens.Count > 0
                ? parsed.UnmatchedTokens.Select(token => $"'{token}' is not known here")
                : parsed.Errors.Select(error => error.Message);
            return Fail(errors, parsed, ExitCode.Usage);
        }

        try
        {
            // Every command ends by itself when it is cancelled: how long that takes is the command's decision.
            return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = TimeSpan.FromSeconds(30) });
        }
        catch (UsageException e)
        {
            return Fail([e.Message], parsed, ExitCode.Usage);
        }
        catch (CommandException e)
        {
            return Fail([e.Message], parsed, ExitCode.Failed);
        }
        catch (OperationCanceledException)
        {
            await Console.Error.WriteLineAsync("cancelled");
            return ExitCode.Failed;
        }
        catch (Exception e) when (Environment.GetEnvironmentVariable("GUESTMARK_TRACE") is null)
        {
            // Nothing that a user did should get here; who reports it can say where it happened.
            return Fail([$"{e.Message} ({e.GetType().Name}; GUESTMARK_TRACE=1 shows where)"], parsed, ExitCode.Failed);
        }
    }

    static int Fail(IEnumerable<string> errors, ParseResult parsed, int exitCode)
    {
        foreach (var error in errors) Console.Error.WriteLine($"error: {string.Join('\n', error.Split('\n').Select(line => TerminalText.Printable(line.Replace("\t", "  ", StringComparison.Ordinal))))}");
        if (exitCode == ExitCode.Usage) Console.Error.WriteLine($"Try '{CommandPath(parsed.CommandResult)} --help'.");
        return exitCode;
    }

    static string CommandPath(System.CommandLine.Parsing.CommandResult result) =>
        result.Parent is System.CommandLine.Parsing.CommandResult parent ? $"{CommandPath(parent)} {result.Command.Name}" : result.Command.Name;

    sealed class HelpWithExamples(HelpAction inner) : SynchronousCommandLineAction
    {
        public override int Invoke(ParseResult parseResult)
        {
            inner.Invoke(parseResult);
            var output = parseResult.InvocationConfiguration.Output;
            if (Examples.TryGetValue(parseResult.CommandResult.Command, out var examples))
            {
                output.WriteLine("Examples:");
                foreach (var line in examples.Split('\n')) output.WriteLine($"  {line}");
                output.WriteLine();
            }

            var found = FoundWords.TryGetValue(parseResult.CommandResult.Command, out var what) ? $" {ExitCode.Found} {what}." : "";
            output.WriteLine($"Exit codes: {ExitCode.Done} done, {ExitCode.Failed} failed, {ExitCode.Usage} usage.{found}");
            return ExitCode.Done;
        }
    }
}
