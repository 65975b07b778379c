using Guestmark.CommandLine;
using Guestmark.Inventory;

namespace Guestmark.Agent;

/// <summary>What could not be read, told on standard error and in the exit code.</summary>
static class Problems
{
    public static string Count(int number, string thing) => number == 1 ? $"1 {thing}" : $"{number} {thing}s";

    public static int Report(GuestInventory inventory)
    {
        if (inventory.Os.IsUnknown)
            Console.Error.WriteLine("note: there is no os-release, so the operating system is unknown and nothing can be matched; name it with --distro ID:VERSION");
        foreach (var problem in inventory.Problems) Console.Error.WriteLine(TerminalText.Printable($"error: {problem.Path}: {problem.Message}"));
        return inventory.Problems.Count == 0 ? ExitCode.Done : ExitCode.Failed;
    }
}
