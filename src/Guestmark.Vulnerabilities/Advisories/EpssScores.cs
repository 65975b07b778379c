using System.Buffers.Text;
using System.Globalization;
using System.Text;

namespace Guestmark.Vulnerabilities;

/// <summary>Reads a day's scores of EPSS (https://www.first.org/epss/data_stats), of which there are about 300,000.</summary>
/// <remarks>
/// <code>
/// #model_version:v2023.03.01,score_date:2024-10-25T00:00:00+0000
/// cve,epss,percentile
/// CVE-1999-0005,0.91963,0.99030
/// </code>
/// The scores are of the day of <c>score_date</c>. Files of 2021 have no first line; one whose lines of text are all absent is read, too.
/// </remarks>
static class EpssScores
{
    const int BufferBytes = 64 << 10;

    // A row has 45 bytes at most.
    const int LineBytesMax = 4096;

    /// <summary>Gives every row to <paramref name="sink"/>. The path of one that cannot be read is its line: <c>line 17</c>.</summary>
    /// <exception cref="IOException">The stream cannot be read.</exception>
    public static void Read(string document, Stream stream, IFeedSink sink, CancellationToken cancellationToken)
    {
        var buffer = new byte[BufferBytes];
        var length = 0;
        var line = 0L;
        var rows = 0;
        // The rest of a line that is longer than a line may be is passed over.
        var isPassing = false;
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var read = stream.Read(buffer, length, buffer.Length - length);
            length += read;
            var rest = buffer.AsSpan(0, length);
            while (!rest.IsEmpty)
            {
                var end = rest.IndexOf((byte)'\n');
                if (end < 0 && read > 0 && rest.Length <= LineBytesMax) break;
                var text = end < 0 ? rest : rest[..end];
                rest = rest[(end < 0 ? rest.Length : end + 1)..];
                if (!isPassing)
                {
                    line++;
                    if (text.Length > LineBytesMax) sink.Skip(document, $"line {line}", $"has more than {LineBytesMax} bytes");
                    else if (line == 1 && Comment(text) is { } comment) Made(document, comment, sink);
                    else if (Row(text, line, out var prediction) is { } problem) sink.Skip(document, $"line {line}", problem);
                    else if (prediction.Cve is not null)
                    {
                        rows++;
                        sink.Add(prediction);
                    }
                }

                isPassing = end < 0;
            }

            if (read == 0) break;
            rest.CopyTo(buffer);
            length = rest.Length;
        }

        if (rows == 0) sink.Skip(document, "", "has no row of EPSS (cve,epss,percentile)");
    }

    // Of #model_version:v2023.03.01,score_date:2024-10-25T00:00:00+0000 what follows the #; null when it is another line.
    static string? Comment(ReadOnlySpan<byte> line)
    {
        if (line.StartsWith("\uFEFF"u8)) line = line[3..];
        return line.StartsWith("#"u8) ? Encoding.UTF8.GetString(line[1..]).TrimEnd('\r') : null;
    }

    static void Made(string document, string comment, IFeedSink sink)
    {
        const string name = "score_date:";
        foreach (var part in comment.Split(','))
        {
            var field = part.AsSpan().Trim();
            if (!field.StartsWith(name, StringComparison.Ordinal)) continue;
            var text = field[name.Length..].Trim();
            // A time without its day would be taken for one of today.
            if (text is [_, _, _, _, '-', _, _, '-', _, _, ..] && DateTimeOffset.TryParse(
                text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time))
                sink.Made(time);
            else sink.Skip(document, "line 1", $"score_date is '{Shown(Encoding.UTF8.GetBytes(text.ToString()))}', no time");
            return;
        }
    }

    // Null when it is a row, or none that should be.
    static string? Row(ReadOnlySpan<byte> line, long number, out ExploitPrediction prediction)
    {
        prediction = default;
        if (number == 1 && line.StartsWith("\uFEFF"u8)) line = line[3..];
        line = line.TrimEnd((byte)'\r');
        if (line.IsEmpty || line[0] == '#') return null;
        var first = line.IndexOf((byte)',');
        var second = first < 0 ? -1 : line[(first + 1)..].IndexOf((byte)',');
        if (second < 0) return $"'{Shown(line)}' has fewer than three columns";
        var cve = Unquoted(line[..first]);
        var score = Unquoted(line.Slice(first + 1, second));
        var percentile = Unquoted(line[(first + second + 2)..]);
        // The header, which is the first line or follows the comment.
        if (number <= 2 && cve.SequenceEqual("cve"u8))
        {
            return score.SequenceEqual("epss"u8) && percentile.SequenceEqual("percentile"u8) ? null : $"'{Shown(line)}' is not cve,epss,percentile";
        }

        if (!JsonText.IsCve(cve)) return $"'{Shown(cve)}' is no CVE id";
        if (!Fraction(score, out var probability)) return $"epss is '{Shown(score)}', not a number from 0 to 1";
        if (!Fraction(percentile, out var rank)) return $"percentile is '{Shown(percentile)}', not a number from 0 to 1";
        prediction = new ExploitPrediction(Encoding.ASCII.GetString(cve), probability, rank);
        return null;
    }

    static bool Fraction(ReadOnlySpan<byte> text, out float value) =>
        Utf8Parser.TryParse(text, out value, out var used) && used == text.Length && value is >= 0 and <= 1;

    static ReadOnlySpan<byte> Unquoted(ReadOnlySpan<byte> field) => field is [(byte)'"', .., (byte)'"'] ? field[1..^1] : field;

    static string Shown(ReadOnlySpan<byte> text)
    {
        const int shown = 40;
        return text.Length <= shown ? Encoding.UTF8.GetString(text) : $"{Encoding.UTF8.GetString(text[..shown])}…";
    }
}
