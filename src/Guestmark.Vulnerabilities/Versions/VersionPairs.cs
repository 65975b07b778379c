using System.Buffers;
using System.Text;

namespace Guestmark.Vulnerabilities;

/// <summary>Compares a stream of pairs of versions: a line <c>A TAB B</c> gives a line <c>-1</c>, <c>0</c> or <c>1</c>.</summary>
public static class VersionPairs
{
    /// <summary>The longest line that is read.</summary>
    public const int LineBytesMax = 1 << 20;

    /// <summary>Reads until the end of <paramref name="input"/>. A '\r' at the end of a line does not count.</summary>
    /// <param name="input">UTF-8, with a line for each pair.</param>
    /// <param name="output">Takes the results. What was compared before a wrong line is written all the same.</param>
    /// <param name="scheme">How the versions compare.</param>
    /// <param name="strict">A text that is no version of the scheme is wrong too.</param>
    /// <param name="cancellationToken">Ends it between two reads.</param>
    /// <returns>What is wrong with the first wrong line, and its number. Null when every line was a pair.</returns>
    public static string? Compare(Stream input, Stream output, VersionScheme scheme, bool strict, CancellationToken cancellationToken)
    {
        var read = ArrayPool<byte>.Shared.Rent(LineBytesMax);
        var results = ArrayPool<byte>.Shared.Rent(LineBytesMax);
        try
        {
            var filled = 0;
            var lines = 0L;
            while (true)
            {
                cancellationToken.ThrowIfCancellationRequested();
                var count = input.Read(read, filled, LineBytesMax - filled);
                filled += count;
                var rest = read.AsSpan(0, filled);
                var written = 0;
                string? problem = null;
                while (problem is null)
                {
                    var end = rest.IndexOf((byte)'\n');
                    if (end < 0 && (count > 0 || rest.IsEmpty)) break;
                    var line = end < 0 ? rest : rest[..end];
                    rest = end < 0 ? default : rest[(end + 1)..];
                    lines++;
                    // A result is shorter than the shortest line, "A TAB B" with its end, so that the results of one buffer fit in the other.
                    problem = Compare(line, scheme, strict, results.AsSpan(written), out var length);
                    written += length;
                }

                output.Write(results, 0, written);
                if (problem is not null) return $"line {lines}: {problem}";
                if (count == 0) return null;
                if (rest.Length == LineBytesMax) return $"line {lines + 1}: longer than {LineBytesMax} bytes; give one pair of versions in each line";
                rest.CopyTo(read);
                filled = rest.Length;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(read);
            ArrayPool<byte>.Shared.Return(results);
        }
    }

    static string? Compare(ReadOnlySpan<byte> line, VersionScheme scheme, bool strict, Span<byte> result, out int length)
    {
        length = 0;
        if (line.EndsWith("\r"u8)) line = line[..^1];
        var tab = line.IndexOf((byte)'\t');
        if (tab < 0) return "has no tab; write two versions with a tab between them";
        var a = line[..tab];
        var b = line[(tab + 1)..];
        if (b.Contains((byte)'\t')) return "has more than one tab; give the two columns with the versions only (cut -f1,2)";
        if (a.IsEmpty || b.IsEmpty) return $"the {(a.IsEmpty ? "first" : "second")} version is missing; write two versions with a tab between them";
        if (strict && (!scheme.IsValid(a) || !scheme.IsValid(b)))
        {
            const int shownMax = 100;
            var wrong = scheme.IsValid(a) ? b : a;
            var shown = Encoding.UTF8.GetString(wrong[..Math.Min(wrong.Length, shownMax)]);
            return $"'{shown}' is no {scheme.Name} version; without --strict it is compared all the same";
        }

        var order = scheme.Compare(a, b);
        var text = order < 0 ? "-1\n"u8 : order > 0 ? "1\n"u8 : "0\n"u8;
        text.CopyTo(result);
        length = text.Length;
        return null;
    }
}
