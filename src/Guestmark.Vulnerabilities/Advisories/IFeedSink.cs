namespace Guestmark.Vulnerabilities;

/// <summary>What an importer gives its documents to: the database that is being made, or a test.</summary>
public interface IFeedSink
{
    /// <summary>Stores a document. Of two with the same feed, id and part the one that was modified last stays, whichever comes first.</summary>
    void Add(Advisory advisory);

    /// <summary>Takes back every document of this feed and id, whether it comes before or after, unless that one was modified later.</summary>
    void Withdraw(string feed, string id, DateTimeOffset? modified);

    void Add(ExploitPrediction prediction);

    void Add(KnownExploited entry);

    void Add(VexDecision decision);

    /// <summary>When the feed as a whole was made, as it says itself. For feeds whose documents have no times of their own.</summary>
    void Made(DateTimeOffset time)
    {
    }

    /// <summary>Counts and names something that could not be read.</summary>
    /// <param name="document">File, archive member or URL.</param>
    /// <param name="path">Where in it, as JSON path or XPath (<c>$.vulnerabilities[0].product_status</c>); empty when the document as a whole is meant.</param>
    /// <param name="reason">What is wrong with it, naming the value.</param>
    void Skip(string document, string path, string reason);

    /// <summary>Counts something that was understood and left out on purpose: <c>ecosystem Hackage</c>, <c>withdrawn</c>, <c>no vulnerability</c>.</summary>
    void LeaveOut(string what);
}

/// <summary>EPSS: how likely a CVE is exploited in the next 30 days (https://www.first.org/epss/). Both 0 to 1.</summary>
public readonly record struct ExploitPrediction(string Cve, float Score, float Percentile);

/// <summary>An entry of CISA's catalogue of known exploited vulnerabilities (https://www.cisa.gov/known-exploited-vulnerabilities-catalog).</summary>
public sealed record KnownExploited(string Cve, DateOnly Added, DateOnly? Due, bool Ransomware, string RequiredAction);

/// <summary>The names of feeds, which are in findings, files and URLs.</summary>
public static class FeedName
{
    public const string Osv = "osv";

    /// <summary>Red Hat's VEX, old and new feed: both have one document for each CVE, and of two the newer one counts.</summary>
    public const string RedHatVex = "redhat-vex";

    public const string Csaf = "csaf";
    public const string Oval = "oval";
    public const string DebianTracker = "debian-tracker";
    public const string AlpineSecdb = "alpine-secdb";
    public const string UpdateInfo = "updateinfo";
    public const string Epss = "epss";
    public const string Kev = "kev";

    /// <summary>Decisions of the operator, in OpenVEX, CSAF or CycloneDX.</summary>
    public const string Vex = "vex";
}
