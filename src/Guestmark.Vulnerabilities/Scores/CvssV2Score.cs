namespace Guestmark.Vulnerabilities;

/// <summary>CVSS 2.0 (https://www.first.org/cvss/v2/guide, section 3.2).</summary>
static class CvssV2Score
{
    public const string Metrics =
        "AV:L,A,N AC:H,M,L Au:M,S,N C:N,P,C I:N,P,C A:N,P,C " +
        "E:U,POC,F,H,ND RL:OF,TF,W,U,ND RC:UC,UR,C,ND " +
        "CDP:N,L,LM,MH,H,ND TD:N,L,M,H,ND CR:L,M,H,ND IR:L,M,H,ND AR:L,M,H,ND";

    const int Temporal = 6;
    const int Environmental = 9;
    const int Count = 14;

    // In the order of Metrics and their values.
    static readonly double[][] Weights =
    [
        [0.395, 0.646, 1.0],
        [0.35, 0.61, 0.71],
        [0.45, 0.56, 0.704],
        [0, 0.275, 0.660],
        [0, 0.275, 0.660],
        [0, 0.275, 0.660],
        [0.85, 0.9, 0.95, 1, 1],
        [0.87, 0.90, 0.95, 1, 1],
        [0.90, 0.95, 1, 1],
        [0, 0.1, 0.3, 0.4, 0.5, 0],
        [0, 0.25, 0.75, 1, 1],
        [0.5, 1, 1.51, 1],
        [0.5, 1, 1.51, 1],
        [0.5, 1, 1.51, 1],
    ];

    /// <summary>Temporal metrics are there all or none, and so are environmental ones.</summary>
    public static bool HasWholeGroups(in CvssValues values)
    {
        for (var i = Temporal + 1; i < Count; i++)
        {
            if (i != Environmental && values[i] == 0 != (values[i - 1] == 0)) return false;
        }

        return true;
    }

    public static double Compute(in CvssValues values, bool baseOnly)
    {
        var impact = Impact(Weight(values, 3), Weight(values, 4), Weight(values, 5));
        var score = Base(values, impact);
        if (baseOnly) return score;
        if (values[Environmental] == 0) return values[Temporal] == 0 ? score : Round(score * TemporalFactor(values));

        var adjusted = Impact(
            Weight(values, 3) * Weight(values, 11), Weight(values, 4) * Weight(values, 12), Weight(values, 5) * Weight(values, 13));
        var temporal = Base(values, Math.Min(10, adjusted));
        if (values[Temporal] != 0) temporal = Round(temporal * TemporalFactor(values));
        return Round((temporal + ((10 - temporal) * Weight(values, 9))) * Weight(values, 10));
    }

    static double Base(in CvssValues values, double impact)
    {
        var exploitability = 20 * Weight(values, 0) * Weight(values, 1) * Weight(values, 2);
        return impact == 0 ? 0 : Round(((0.6 * impact) + (0.4 * exploitability) - 1.5) * 1.176);
    }

    static double Impact(double confidentiality, double integrity, double availability) =>
        10.41 * (1 - ((1 - confidentiality) * (1 - integrity) * (1 - availability)));

    static double TemporalFactor(in CvssValues values) => Weight(values, 6) * Weight(values, 7) * Weight(values, 8);

    static double Weight(in CvssValues values, int metric) => Weights[metric][values[metric] - 1];

    static double Round(double score) => Math.Round(score * 10, MidpointRounding.AwayFromZero) / 10;
}
