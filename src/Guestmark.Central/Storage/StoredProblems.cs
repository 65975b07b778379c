using Guestmark.Inventory;

namespace Guestmark.Central.Storage;

/// <summary>What a report could not read, as it is stored: a line for each problem, bounded and without other control characters.</summary>
static class StoredProblems
{
    /// <summary>In UTF-16 units, with the line that counts those that are left out.</summary>
    public const int LengthMax = 4_096;

    /// <summary>Enough for the longest path of ours and a sentence.</summary>
    const int LineLengthMax = 1_024;

    /// <summary>"2147483647 more problems" and its line break have fewer.</summary>
    const int CountLength = 32;

    public static string Of(IReadOnlyList<InventoryProblem> problems)
    {
        var lines = new List<string>();
        var length = 0;
        foreach (var problem in problems)
        {
            var line = StoredText.Bound(problem.Path.Length > 0 ? $"{problem.Path}: {problem.Message}" : problem.Message, LineLengthMax);
            if (length + line.Length + 1 > LengthMax - CountLength)
            {
                lines.Add($"{problems.Count - lines.Count} more problems");
                break;
            }

            lines.Add(line);
            length += line.Length + 1;
        }

        return string.Join('\n', lines);
    }
}
