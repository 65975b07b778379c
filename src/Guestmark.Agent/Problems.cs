using Guestmark.CommandLine;
using Guestmark.Inventory;

namespace Guestmark.Agent;

/// <summary>What could not be read, told on standard error and in the exit code.</summary>
static class Problems
{
    public static int Report(GuestInventory inventory)
    {
        foreach (var problem in inventory.Problems) Console.Error.WriteLine($"error: {problem.Path}: {problem.Message}");
        return inventory.Problems.Count == 0 ? ExitCode.Done : ExitCode.Failed;
    }
}
