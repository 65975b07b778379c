namespace Guestmark.Inventory.Rpm;

/// <summary>What was read of one rpm database: all headers that are whole, and what is wrong with the others.</summary>
/// <param name="backend">As in a report: <c>bdb</c>, <c>sqlite</c>. Null when the file is none that can be read.</param>
sealed class DatabaseContents(string? backend)
{
    /// <summary>A damaged database can be wrong in every row; more than this helps nobody.</summary>
    const int ProblemsMax = 20;

    readonly List<string> _problems = [];
    int _unlisted;

    public string? Backend => backend;

    /// <summary>A database of a backend that is not read here: what it holds is unknown, not nothing.</summary>
    public bool IsUnread { get; init; }

    public List<RpmHeader> Headers { get; } = [];

    /// <summary>No more headers are taken.</summary>
    public bool IsFull { get; private set; }

    public IReadOnlyList<string> Problems => _unlisted == 0 ? _problems : [.. _problems, $"has {_unlisted} more problems"];

    public void AddProblem(string problem)
    {
        if (_problems.Count < ProblemsMax) _problems.Add(problem);
        else _unlisted++;
    }

    /// <summary>Decodes one header and takes it, or what is wrong with it.</summary>
    public void Add(ChainedBytes blob, uint number, TextPool pool)
    {
        if (Headers.Count == InventoryScanner.PackagesMax)
        {
            IsFull = true;
            AddProblem($"has more than {InventoryScanner.PackagesMax} packages; the others are left out");
        }
        else if (RpmHeader.TryRead(blob, number, pool, out var header) is { } error) AddProblem($"header {number} {error}");
        else Headers.Add(header);
    }
}
