namespace Guestmark.Vulnerabilities;

/// <summary>CVSS 3.0 and 3.1 (https://www.first.org/cvss/v3.1/specification-document, sections 7.1 to 7.4).</summary>
static class CvssV3Score
{
    public const string Metrics =
        "AV:N,A,L,P AC:L,H PR:N,L,H UI:N,R S:U,C C:H,L,N I:H,L,N A:H,L,N " +
        "E:X,U,P,F,H RL:X,O,T,W,U RC:X,U,R,C " +
        "CR:X,L,M,H IR:X,L,M,H AR:X,L,M,H MAV:X,N,A,L,P MAC:X,L,H MPR:X,N,L,H MUI:X,N,R MS:X,U,C MC:X,H,L,N MI:X,H,L,N MA:X,H,L,N";

    const int Confidentiality = 5;
    const int Exploit = 8;
    const int Requirement = 11;
    const int Modified = 14;
    const int Count = 22;

    static readonly double[] AttackVector = [0.85, 0.62, 0.55, 0.2];
    static readonly double[] AttackComplexity = [0.77, 0.44];
    static readonly double[] Privileges = [0.85, 0.62, 0.27];
    static readonly double[] PrivilegesChangedScope = [0.85, 0.68, 0.5];
    static readonly double[] Interaction = [0.85, 0.62];
    static readonly double[] Loss = [0.56, 0.22, 0];
    static readonly double[] ExploitMaturity = [1, 0.91, 0.94, 0.97, 1];
    static readonly double[] Remediation = [1, 0.95, 0.96, 0.97, 1];
    static readonly double[] Confidence = [1, 0.92, 0.96, 1];
    static readonly double[] Requirements = [1, 0.5, 1, 1.5];

    public static double Compute(in CvssValues values, CvssVersion version, bool baseOnly)
    {
        var isEnvironmental = false;
        for (var i = Requirement; i < Count; i++) isEnvironmental |= values[i] > 1;
        isEnvironmental &= !baseOnly;

        // Without environmental metrics, the equations of the environmental score are those of the base score.
        Span<int> metrics = stackalloc int[8];
        for (var i = 0; i < metrics.Length; i++)
            metrics[i] = isEnvironmental && values[Modified + i] > 1 ? values[Modified + i] - 2 : values[i] - 1;

        var rest = 1.0;
        for (var i = 0; i < 3; i++)
            rest *= 1 - (Loss[metrics[Confidentiality + i]] * (isEnvironmental ? Weight(Requirements, values[Requirement + i]) : 1));
        var loss = 1 - rest;
        if (isEnvironmental) loss = Math.Min(loss, 0.915);

        var changed = metrics[4] == 1;
        var impact = !changed ? 6.42 * loss
            : isEnvironmental && version == CvssVersion.V31 ? (7.52 * (loss - 0.029)) - (3.25 * Math.Pow((loss * 0.9731) - 0.02, 13))
            : (7.52 * (loss - 0.029)) - (3.25 * Math.Pow(loss - 0.02, 15));
        if (impact <= 0) return 0;

        var exploitability = 8.22 * AttackVector[metrics[0]] * AttackComplexity[metrics[1]]
            * (changed ? PrivilegesChangedScope : Privileges)[metrics[2]] * Interaction[metrics[3]];
        var score = RoundUp(Math.Min(changed ? 1.08 * (impact + exploitability) : impact + exploitability, 10));
        if (baseOnly) return score;
        score *= Weight(ExploitMaturity, values[Exploit]) * Weight(Remediation, values[Exploit + 1]) * Weight(Confidence, values[Exploit + 2]);
        return RoundUp(score);
    }

    // A metric that is not there is as if not defined (X).
    static double Weight(double[] weights, byte value) => weights[Math.Max(0, value - 1)];

    // Appendix A of 3.1: up to one decimal, in integers so that 4.000002 does not become 4.1. For 3.0, which says "round up"
    // only, it gives what 3.0 meant.
    static double RoundUp(double score)
    {
        var scaled = (int)Math.Round(score * 100_000);
        return scaled % 10_000 == 0 ? scaled / 100_000.0 : ((scaled / 10_000) + 1) / 10.0;
    }
}
