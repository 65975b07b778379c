namespace Guestmark.Vulnerabilities;

/// <summary>What a feed may cost at most, however it was made. Sizes are in bytes, after decompression.</summary>
public sealed record FeedLimits
{
    /// <summary>Of a document that is read in memory. CVE-2022-38752 of Red Hat's old feed, among the largest, has 3 MB.</summary>
    public int DocumentBytes { get; init; } = 64 << 20;

    /// <summary>Of a single file that is read as a stream: Debian's tracker has more than 60 MB, OVAL files up to 150.</summary>
    public long StreamBytes { get; init; } = 8L << 30;

    /// <summary>Of everything in one archive: 100,000 documents of the largest kind. A bomb is known by its ratio earlier.</summary>
    public long ArchiveBytes { get; init; } = 256L << 30;

    /// <summary>
    /// How many bytes one compressed byte may become. AlmaLinux' zip and Red Hat's .tar.zst reach 10; gzip makes 1,032 zeros of one, bzip2 45,000.
    /// </summary>
    public int Ratio { get; init; } = 1000;

    /// <summary>The ratio is looked at from so many bytes on: less does no harm, and a short text of one letter is no bomb.</summary>
    public long RatioFreeBytes { get; init; } = 256L << 20;

    /// <summary>Members of an archive, files of a folder, documents that a provider lists.</summary>
    public int Documents { get; init; } = 4_000_000;
}
