namespace Guestmark.Vulnerabilities;

/// <summary>Base score of a CVSS v3.0 or v3.1 vector (https://www.first.org/cvss/v3.1/specification-document, sections 7.1 and 7.4).</summary>
public static class CvssV3
{
    // Base metrics in the order of the vector's slots below, with the values that each may have.
    static readonly string[] BaseMetrics = ["AV", "AC", "PR", "UI", "S", "C", "I", "A"];
    static readonly string[] BaseValues = ["NALP", "LH", "NLH", "NR", "UC", "HLN", "HLN", "HLN"];

    // Temporal and environmental metrics: they must be well-formed and do not change the base score.
    static readonly string[] OtherMetrics = ["E", "RL", "RC", "CR", "IR", "AR", "MAV", "MAC", "MPR", "MUI", "MS", "MC", "MI", "MA"];
    static readonly string[] OtherValues =
        ["XUPFH", "XOTWU", "XURC", "XLMH", "XLMH", "XLMH", "XNALP", "XLH", "XNLH", "XNR", "XUC", "XNLH", "XNLH", "XNLH"];

    /// <summary>0.0 to 10.0 with one decimal. Null when the vector is not well-formed.</summary>
    public static double? BaseScore(ReadOnlySpan<char> vector)
    {
        if (!vector.StartsWith("CVSS:3.0/") && !vector.StartsWith("CVSS:3.1/")) return null;
        vector = vector["CVSS:3.x/".Length..];

        Span<char> values = stackalloc char[BaseMetrics.Length];
        values.Clear();
        var othersSeen = 0;
        foreach (var range in vector.Split('/'))
        {
            // metric ":" value, where each value is one letter
            var metric = vector[range];
            if (metric.Length < 3 || metric[^2] != ':') return null;
            var name = metric[..^2];
            var slot = IndexOf(BaseMetrics, name);
            if (slot >= 0)
            {
                if (values[slot] != 0 || !BaseValues[slot].Contains(metric[^1])) return null;
                values[slot] = metric[^1];
                continue;
            }

            slot = IndexOf(OtherMetrics, name);
            if (slot < 0 || (othersSeen & (1 << slot)) != 0 || !OtherValues[slot].Contains(metric[^1])) return null;
            othersSeen |= 1 << slot;
        }

        return values.Contains('\0') ? null : Score(values);
    }

    static double Score(ReadOnlySpan<char> values)
    {
        var changed = values[4] == 'C';
        var attackVector = values[0] switch { 'N' => 0.85, 'A' => 0.62, 'L' => 0.55, _ => 0.2 };
        var attackComplexity = values[1] == 'L' ? 0.77 : 0.44;
        var privileges = (values[2], changed) switch { ('N', _) => 0.85, ('L', false) => 0.62, ('L', true) => 0.68, (_, false) => 0.27, _ => 0.5 };
        var interaction = values[3] == 'N' ? 0.85 : 0.62;

        var subScore = 1 - ((1 - Loss(values[5])) * (1 - Loss(values[6])) * (1 - Loss(values[7])));
        var impact = changed ? (7.52 * (subScore - 0.029)) - (3.25 * Math.Pow(subScore - 0.02, 15)) : 6.42 * subScore;
        if (impact <= 0) return 0;
        var exploitability = 8.22 * attackVector * attackComplexity * privileges * interaction;
        return RoundUp(Math.Min(changed ? 1.08 * (impact + exploitability) : impact + exploitability, 10));

        static double Loss(char value) => value switch { 'H' => 0.56, 'L' => 0.22, _ => 0 };
    }

    // Appendix A of 3.1: up to one decimal, in integers so that 4.000002 does not become 4.1. For 3.0, which says "round up"
    // only, it gives what 3.0 meant.
    static double RoundUp(double score)
    {
        var scaled = (int)Math.Round(score * 100_000);
        return scaled % 10_000 == 0 ? scaled / 100_000.0 : ((scaled / 10_000) + 1) / 10.0;
    }

    static int IndexOf(string[] names, ReadOnlySpan<char> name)
    {
        for (var i = 0; i < names.Length; i++)
        {
            if (name.SequenceEqual(names[i])) return i;
        }

        return -1;
    }
}
