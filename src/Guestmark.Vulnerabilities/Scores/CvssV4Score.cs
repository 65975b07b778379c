namespace Guestmark.Vulnerabilities;

/// <summary>CVSS 4.0 (https://www.first.org/cvss/v4.0/specification-document, section 8): macrovectors and the interpolation between them.</summary>
/// <remarks>
/// Vectors are grouped by six equivalence sets (EQ1 to EQ6) into 270 macrovectors, each with a score. A vector's score is that of its
/// macrovector less the mean, over the sets, of the way to the next lower macrovector times how far the vector is from the worst one of
/// its macrovector. All in integers: scores in tenths, distances as steps of metrics.
/// </remarks>
static class CvssV4Score
{
    public const string Metrics =
        "AV:N,A,L,P AC:L,H AT:N,P PR:N,L,H UI:N,P,A VC:H,L,N VI:H,L,N VA:H,L,N SC:H,L,N SI:H,L,N SA:H,L,N " +
        "E:X,A,P,U " +
        "CR:X,H,M,L IR:X,H,M,L AR:X,H,M,L " +
        "MAV:X,N,A,L,P MAC:X,L,H MAT:X,N,P MPR:X,N,L,H MUI:X,N,P,A MVC:X,H,L,N MVI:X,H,L,N MVA:X,H,L,N MSC:X,H,L,N MSI:X,S,H,L,N MSA:X,S,H,L,N " +
        "S:X,N,P AU:X,N,Y R:X,A,U,I V:X,D,C RE:X,L,M,H U:X,Clear,Green,Amber,Red";

    const int BaseMetrics = 11;
    const int Threat = 11;
    const int Requirement = 12;
    const int Modified = 15;

    // The severities of a vector: steps from the worst value of each metric, in this order.
    const int Av = 0;
    const int Ac = 1;
    const int At = 2;
    const int Pr = 3;
    const int Ui = 4;
    const int Vc = 5;
    const int Vi = 6;
    const int Va = 7;
    const int Sc = 8;
    const int Si = 9;
    const int Sa = 10;
    const int Cr = 11;
    const int Ir = 12;
    const int Ar = 13;
    const int Count = 14;

    // Of the subsequent system, 0 is Safety.
    const int SubsequentHigh = 1;
    const int SubsequentNone = 3;
    const int VulnerableNone = 2;

    /// <summary>
    /// Score in tenths by EQ1, EQ2, EQ3, EQ4, EQ5 and EQ6, which have 3, 2, 3, 3, 3 and 2 levels: the table of macrovectors that FIRST publishes
    /// with the specification. 0 where there is no such macrovector.
    /// </summary>
    static ReadOnlySpan<byte> Scores =>
    [
        100, 99, 98, 95, 95, 92, 100, 96, 93, 87, 91, 81, 93, 90, 89, 80, 81, 68,
        98, 95, 95, 92, 90, 84, 93, 92, 89, 81, 81, 65, 88, 80, 78, 70, 69, 48,
        0, 92, 0, 82, 0, 72, 0, 79, 0, 69, 0, 50, 0, 69, 0, 55, 0, 27,
        99, 97, 95, 92, 92, 85, 95, 91, 90, 83, 84, 71, 92, 81, 82, 71, 72, 53,
        95, 93, 92, 85, 85, 73, 92, 82, 80, 72, 70, 59, 84, 70, 71, 52, 50, 30,
        0, 86, 0, 75, 0, 52, 0, 71, 0, 52, 0, 29, 0, 63, 0, 29, 0, 17,
        98, 95, 94, 87, 91, 81, 94, 89, 86, 74, 77, 64, 87, 75, 74, 63, 63, 49,
        94, 89, 88, 77, 76, 67, 86, 76, 74, 58, 59, 50, 72, 57, 57, 52, 52, 25,
        0, 83, 0, 70, 0, 54, 0, 65, 0, 58, 0, 26, 0, 53, 0, 21, 0, 13,
        95, 90, 88, 76, 76, 70, 90, 77, 75, 62, 61, 53, 77, 66, 68, 59, 52, 30,
        89, 78, 76, 67, 62, 58, 74, 59, 57, 57, 47, 23, 61, 52, 57, 29, 24, 16,
        0, 71, 0, 59, 0, 30, 0, 58, 0, 26, 0, 15, 0, 23, 0, 13, 0, 6,
        93, 87, 86, 72, 75, 58, 86, 74, 74, 61, 56, 34, 70, 54, 52, 40, 40, 22,
        85, 75, 74, 55, 62, 51, 72, 57, 55, 41, 46, 19, 53, 36, 34, 19, 19, 8,
        0, 64, 0, 51, 0, 20, 0, 47, 0, 21, 0, 11, 0, 24, 0, 9, 0, 4,
        88, 75, 73, 53, 60, 50, 73, 55, 59, 40, 41, 20, 54, 43, 45, 22, 20, 11,
        75, 55, 58, 45, 40, 21, 61, 51, 48, 18, 20, 9, 46, 18, 17, 7, 8, 2,
        0, 53, 0, 24, 0, 14, 0, 24, 0, 12, 0, 5, 0, 10, 0, 3, 0, 1,
    ];

    // The worst vectors of each level (Tables 24 to 28), as severities of the metrics of the set.
    static readonly int[][][] Eq1Worst = [[[0, 0, 0]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[3, 0, 0], [1, 1, 1]]];
    static readonly int[][][] Eq2Worst = [[[0, 0]], [[1, 0], [0, 1]]];

    // By EQ3 and EQ6, of VC, VI, VA, CR, IR, AR.
    static readonly int[][][][] Eq3Eq6Worst =
    [
        [[[0, 0, 0, 0, 0, 0]], [[0, 0, 1, 1, 1, 0], [0, 0, 0, 1, 1, 1]]],
        [
            [[1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]],
            [[1, 0, 1, 0, 1, 0], [1, 0, 0, 0, 1, 1], [0, 1, 0, 1, 0, 1], [0, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 1]],
        ],
        [[], [[1, 1, 1, 0, 0, 0]]],
    ];

    static readonly int[][][] Eq4Worst = [[[1, 0, 0]], [[1, 1, 1]], [[2, 2, 2]]];

    // How many steps a level has (Table 29 and the following).
    static readonly int[] Eq1Depth = [1, 4, 5];
    static readonly int[] Eq2Depth = [1, 2];
    static readonly int[][] Eq3Eq6Depth = [[7, 6], [8, 8], [0, 10]];
    static readonly int[] Eq4Depth = [6, 5, 4];

    static readonly int[] Eq1Metrics = [Av, Pr, Ui];
    static readonly int[] Eq2Metrics = [Ac, At];
    static readonly int[] Eq3Eq6Metrics = [Vc, Vi, Va, Cr, Ir, Ar];
    static readonly int[] Eq4Metrics = [Sc, Si, Sa];

    public static double Compute(in CvssValues values, bool baseOnly)
    {
        Span<int> severities = stackalloc int[Count];
        ReadSeverities(values, baseOnly, severities);
        if (severities[Vc] == VulnerableNone && severities[Vi] == VulnerableNone && severities[Va] == VulnerableNone
            && severities[Sc] == SubsequentNone && severities[Si] == SubsequentNone && severities[Sa] == SubsequentNone)
            return 0;

        var eq1 = severities[Av] == 0 && severities[Pr] == 0 && severities[Ui] == 0 ? 0
            : severities[Av] != 3 && (severities[Av] == 0 || severities[Pr] == 0 || severities[Ui] == 0) ? 1
            : 2;
        var eq2 = severities[Ac] == 0 && severities[At] == 0 ? 0 : 1;
        var eq3 = severities[Vc] == 0 && severities[Vi] == 0 ? 0 : severities[Vc] == 0 || severities[Vi] == 0 || severities[Va] == 0 ? 1 : 2;
        var eq4 = severities[Si] == 0 || severities[Sa] == 0 ? 0
            : severities[Sc] == SubsequentHigh || severities[Si] == SubsequentHigh || severities[Sa] == SubsequentHigh ? 1
            : 2;
        // Exploit maturity that is not given counts as the worst.
        var eq5 = baseOnly ? 0 : Math.Max(0, values[Threat] - 2);
        var eq6 = severities[Cr] + severities[Vc] == 0 || severities[Ir] + severities[Vi] == 0 || severities[Ar] + severities[Va] == 0 ? 0 : 1;

        var score = ScoreOf(eq1, eq2, eq3, eq4, eq5, eq6);
        var way = new Way(score);
        way.Add(ScoreOf(eq1 + 1, eq2, eq3, eq4, eq5, eq6), Distance(severities, Eq1Metrics, Eq1Worst[eq1]), Eq1Depth[eq1]);
        way.Add(ScoreOf(eq1, eq2 + 1, eq3, eq4, eq5, eq6), Distance(severities, Eq2Metrics, Eq2Worst[eq2]), Eq2Depth[eq2]);
        // EQ3 and EQ6 depend on each other: of 00 the higher of 01 and 10 is next, 01 and 10 go to 11, 11 goes to 21.
        var next = (eq3, eq6) switch
        {
            (0, 0) => Math.Max(ScoreOf(eq1, eq2, 0, eq4, eq5, 1), ScoreOf(eq1, eq2, 1, eq4, eq5, 0)),
            (1, 0) => ScoreOf(eq1, eq2, 1, eq4, eq5, 1),
            _ => ScoreOf(eq1, eq2, eq3 + 1, eq4, eq5, eq6),
        };
        way.Add(next, Distance(severities, Eq3Eq6Metrics, Eq3Eq6Worst[eq3][eq6]), Eq3Eq6Depth[eq3][eq6]);
        way.Add(ScoreOf(eq1, eq2, eq3, eq4 + 1, eq5, eq6), Distance(severities, Eq4Metrics, Eq4Worst[eq4]), Eq4Depth[eq4]);
        way.Add(ScoreOf(eq1, eq2, eq3, eq4, eq5 + 1, eq6), distance: 0, depth: 1);
        return way.ScoreAtItsEnd / 10.0;
    }

    static void ReadSeverities(in CvssValues values, bool baseOnly, Span<int> severities)
    {
        for (var i = 0; i < BaseMetrics; i++)
        {
            // A modified value counts instead of the base value. Its first value is "not defined", and that of MSI and MSA after it Safety.
            var modified = baseOnly ? 0 : values[Modified + i];
            severities[i] = (i >= Sc, modified > 1) switch
            {
                (false, true) => modified - 2,
                (false, false) => values[i] - 1,
                (true, true) => i == Sc ? modified - 1 : modified - 2,
                (true, false) => values[i],
            };
        }

        // Requirements that are not given count as the highest.
        for (var i = 0; i < 3; i++) severities[Cr + i] = baseOnly ? 0 : Math.Max(0, values[Requirement + i] - 2);
    }

    // Steps from the first of the worst vectors that is at least as bad in every metric.
    static int Distance(ReadOnlySpan<int> severities, int[] metrics, int[][] worst)
    {
        foreach (var vector in worst)
        {
            var distance = 0;
            var isReached = true;
            for (var i = 0; i < metrics.Length; i++)
            {
                var steps = severities[metrics[i]] - vector[i];
                isReached &= steps >= 0;
                distance += steps;
            }

            if (isReached) return distance;
        }

        return 0;
    }

    static int ScoreOf(int eq1, int eq2, int eq3, int eq4, int eq5, int eq6) =>
        eq1 > 2 || eq2 > 1 || eq3 > 2 || eq4 > 2 || eq5 > 2 || eq6 > 1
            ? 0
            : Scores[(((((((((eq1 * 2) + eq2) * 3) + eq3) * 3) + eq4) * 3) + eq5) * 2) + eq6];

    /// <summary>The mean of the ways to the next lower macrovectors, in tenths times the least common multiple of all depths.</summary>
    struct Way(int score)
    {
        const int Multiple = 840;

        int _sum;
        int _count;

        public void Add(int next, int distance, int depth)
        {
            if (next == 0) return;
            _count++;
            _sum += (score - next) * distance * (Multiple / depth);
        }

        /// <summary>In tenths, rounded half up.</summary>
        public readonly int ScoreAtItsEnd
        {
            get
            {
                if (_count == 0) return score;
                var unit = Multiple * _count;
                return Math.Max(0, ((2 * ((score * unit) - _sum)) + unit) / (2 * unit));
            }
        }
    }
}
