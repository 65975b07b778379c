namespace Guestmark.Vulnerabilities;

/// <summary>What became of a package. The order is that of the rules: the first that applies is said.</summary>
public enum MatchOutcome
{
    /// <summary>It was compared with the statements about its name, if there are any.</summary>
    Matched = 0,

    /// <summary>A key (<c>gpg-pubkey</c>) or a source package, which is not installed software.</summary>
    NotSoftware = 1,

    /// <summary>Nothing says which system the machine has, or no feed is about it: another word for "nobody knows".</summary>
    SystemNotCovered = 2,

    /// <summary>A language package, and the database has nothing about its ecosystem.</summary>
    LanguageNotCovered = 3,

    /// <summary>Its manager is not the system's: an rpm on Debian.</summary>
    OtherManager = 4,

    /// <summary>It did not come from the distribution: its vendor, signature, repository or version says so.</summary>
    ThirdParty = 5,

    /// <summary>Its repository is of a product that the database has nothing about.</summary>
    ProductNotCovered = 6,
}

/// <summary>How many packages of a machine were matched, and why the others were not.</summary>
public sealed class MatchSummary
{
    readonly int[] _counts = new int[(int)MatchOutcome.ProductNotCovered + 1];

    public int Packages { get; private set; }

    public int Matched => Count(MatchOutcome.Matched);

    public int Count(MatchOutcome outcome) => _counts[(int)outcome];

    internal void Add(MatchOutcome outcome)
    {
        Packages++;
        _counts[(int)outcome]++;
    }
}
