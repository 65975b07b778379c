namespace Guestmark.Vulnerabilities;

/// <summary>What a feed may cost at most, however it was made. Sizes are in bytes, after decompression.</summary>
public sealed record FeedLimits
{
    /// <summary>Of a document that is read in memory. Red Hat's largest has 40 MB.</summary>
    public int DocumentBytes { get; init; } = 64 << 20;

    /// <summary>Of a single file that is read as a stream: Debian's tracker has 70 MB, Red Hat's largest OVAL file 150 MB.</summary>
    public long StreamBytes { get; init; } = 8L << 30;

    /// <summary>Of everything in one archive. Red Hat's VEX archive has about 30 GB.</summary>
    public long ArchiveBytes { get; init; } = 256L << 30;

    /// <summary>How many bytes one compressed byte may become. Feeds reach 10 to 150; what gzip makes of zeros reaches 1,032, bzip2 45,000.</summary>
    public int Ratio { get; init; } = 1000;

    /// <summary>The ratio is looked at from so many bytes on: less does no harm, and a short text of one letter is no bomb.</summary>
    public long RatioFreeBytes { get; init; } = 256L << 20;

    /// <summary>Members of an archive, files of a folder, documents that a provider lists.</summary>
    public int Documents { get; init; } = 4_000_000;
}
