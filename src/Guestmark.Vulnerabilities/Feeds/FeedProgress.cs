namespace Guestmark.Vulnerabilities;

/// <summary>How far an import or a download is.</summary>
/// <param name="What">File or URL.</param>
/// <param name="Bytes">Read until now, as they lie in the file or come from the server.</param>
/// <param name="TotalBytes">Null when it is not known.</param>
/// <param name="Documents">Read until now.</param>
public sealed record FeedProgress(string What, long Bytes, long? TotalBytes, int Documents, TimeSpan Elapsed)
{
    /// <summary>Mean since the start.</summary>
    public double BytesPerSecond => Elapsed > TimeSpan.Zero ? Bytes / Elapsed.TotalSeconds : 0;

    /// <summary>Null when the total is not known, or there is no rate yet.</summary>
    public TimeSpan? Remaining => TotalBytes is { } total && Bytes > 0 && Elapsed > TimeSpan.Zero
        ? TimeSpan.FromSeconds(Math.Min(Math.Max(0, total - Bytes) / BytesPerSecond, TimeSpan.MaxValue.TotalSeconds / 2))
        : null;
}

/// <summary>Tells progress a few times a second, whoever counts.</summary>
sealed class FeedMeter(IProgress<FeedProgress>? progress, TimeProvider time, string what)
{
    static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(200);

    readonly long _started = time.GetTimestamp();
    long _told = time.GetTimestamp();
    long _bytes;
    int _documents;

    public long? TotalBytes { get; set; }

    public int Documents => _documents;

    public void Read(int bytes)
    {
        _bytes += bytes;
        Tell();
    }

    public void Document()
    {
        _documents++;
        Tell();
    }

    void Tell()
    {
        if (progress is null || time.GetElapsedTime(_told) < Interval) return;
        _told = time.GetTimestamp();
        progress.Report(new FeedProgress(what, _bytes, TotalBytes, _documents, time.GetElapsedTime(_started)));
    }
}
