using System.Text;
using Guestmark.CommandLine;

namespace Guestmark;

/// <summary>A column of a <see cref="TextTable"/>.</summary>
sealed record TextColumn(string Title)
{
    /// <summary>A number.</summary>
    public bool IsRight { get; init; }

    /// <summary>Whether its texts may be shortened in the middle where a terminal is narrow: ids, whose ends tell them apart.</summary>
    public bool MayShorten { get; init; }

    /// <summary>Whether it may be left out where a terminal is narrower still. The last goes first.</summary>
    public bool MayLeave { get; init; }
}

/// <summary>Rows of text, each on one line however narrow the terminal is: a row that wraps cannot be read down.</summary>
/// <remarks>Into a file or a pipe goes everything, as wide as it is.</remarks>
sealed class TextTable(params TextColumn[] columns)
{
    const string Between = "  ";

    /// <summary>What is left of a text that is shortened: enough for both ends.</summary>
    const int ShortestText = 12;

    readonly List<string[]> _rows = [];

    /// <summary>What is not printable ASCII, or Unicode that stays where it is, is made so: guests wrote some of it.</summary>
    public void Add(params string?[] cells) => _rows.Add(Array.ConvertAll(cells, cell => TerminalText.Printable(cell ?? "")));

    /// <summary>Prints it, and on standard error what had to be left out.</summary>
    public void Write()
    {
        var lines = Lines(Console.IsOutputRedirected ? int.MaxValue : Terminal.Output().Profile.Width, out var left);
        foreach (var line in lines) Console.WriteLine(line);
        if (left.Count > 0) Console.Error.WriteLine($"(without {Words.List(left)}: a wider terminal, a pipe or -o json has everything)");
    }

    /// <param name="left">Titles of columns that did not fit.</param>
    internal IReadOnlyList<string> Lines(int width, out IReadOnlyList<string> left)
    {
        var shown = Enumerable.Range(0, columns.Length).ToList();
        var widths = columns.Select((column, i) => Math.Max(column.Title.Length, _rows.Count > 0 ? _rows.Max(row => row[i].Length) : 0)).ToArray();
        var least = columns.Select((column, i) => column.MayShorten ? Math.Min(widths[i], Math.Max(column.Title.Length, ShortestText)) : widths[i]).ToArray();
        while (Total(least) > width && shown.FindLastIndex(i => columns[i].MayLeave) is var last and >= 0) shown.RemoveAt(last);
        while (Total(widths) > width && shown.Where(i => widths[i] > least[i]).OrderByDescending(i => widths[i]).Select(i => (int?)i).FirstOrDefault() is { } widest) widths[widest]--;
        left = [.. columns.Where((_, i) => !shown.Contains(i)).Select(column => column.Title)];
        return [Line([.. columns.Select(column => column.Title)]), .. _rows.Select(Line)];

        long Total(int[] each) => shown.Sum(i => (long)each[i]) + (Between.Length * (shown.Count - 1));

        string Line(string[] cells)
        {
            var line = new StringBuilder();
            foreach (var i in shown)
            {
                if (i != shown[0]) line.Append(Between);
                var text = Shorten(cells[i], widths[i]);
                line.Append(columns[i].IsRight ? text.PadLeft(widths[i]) : text.PadRight(widths[i]));
            }

            return line.ToString().TrimEnd();
        }
    }

    static string Shorten(string text, int width)
    {
        if (text.Length <= width) return text;
        var end = (width - 1) / 2;
        return $"{text[..(width - 1 - end)]}…{text[^end..]}";
    }
}
