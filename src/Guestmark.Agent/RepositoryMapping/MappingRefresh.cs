namespace Guestmark.Agent.RepositoryMapping;

/// <summary>Keeps the mapping current from a URL: at the start and once a day. Failures are noted and never stop a scan.</summary>
/// <param name="note">Is told what came of it.</param>
sealed class MappingRefresh(MappingStore store, DownloadRequest request, TimeProvider time, Action<string> note)
{
    /// <summary>Where Red Hat publishes the mapping.</summary>
    public const string DefaultUrl = "https://security.access.redhat.com/data/metrics/repository-to-cpe.json";

    public static readonly TimeSpan Interval = TimeSpan.FromDays(1);

    /// <summary>After all tries of a round have failed.</summary>
    public static readonly TimeSpan IntervalAfterFailure = TimeSpan.FromHours(1);

    public static readonly TimeSpan RetryMin = TimeSpan.FromSeconds(5);
    public static readonly TimeSpan RetryMax = TimeSpan.FromSeconds(30);

    /// <summary>The first, and three more.</summary>
    public const int TriesMax = 4;

    readonly TaskCompletionSource _first = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Done after the first try, whether it brought a mapping or not.</summary>
    public Task FirstTry => _first.Task;

    /// <summary>One try, for a program that does not stay: not when the mapping is of the last day, and no longer than <see cref="MappingOptions.FirstTryMax"/>.</summary>
    public async Task TryOnceAsync(CancellationToken cancellationToken)
    {
        if (store.Current is { } current && time.GetUtcNow().UtcDateTime - File.GetLastWriteTimeUtc(current.Path) < Interval) return;
        using var over = new CancellationTokenSource(MappingOptions.FirstTryMax, time);
        using var trying = CancellationTokenSource.CreateLinkedTokenSource(over.Token, cancellationToken);
        try
        {
            var (problem, _) = await TryAsync(trying.Token);
            if (problem is not null) note($"the repository-to-cpe mapping is not refreshed: {problem}");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            note($"the repository-to-cpe mapping is not refreshed: {request.PublicUrl} did not answer within {Duration.Format(MappingOptions.FirstTryMax)}");
        }
    }

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            var problem = await RefreshAsync(cancellationToken);
            await Task.Delay(problem is null ? Interval : IntervalAfterFailure, time, cancellationToken);
        }
    }

    /// <summary>One round: up to four tries, with 5 to 30 seconds between them.</summary>
    /// <returns>Null when the mapping is current; otherwise why not.</returns>
    public async Task<string?> RefreshAsync(CancellationToken cancellationToken)
    {
        for (var tries = 1; ; tries++)
        {
            var (problem, isPermanent) = await TryAsync(cancellationToken);
            _first.TrySetResult();
            if (problem is null) return null;
            var isLast = isPermanent || tries == TriesMax;
            if (isLast)
            {
                var instead = store.Current is { } current ? $"the mapping in {current.Path} is used" : "packages have no CPEs";
                note($"the repository-to-cpe mapping is not refreshed: {problem}; {instead}");
                return problem;
            }

            // Many machines start together when their host does: they should not ask together as well.
            await Task.Delay(RetryMin + ((RetryMax - RetryMin) * Random.Shared.NextDouble()), time, cancellationToken);
        }
    }

    async Task<(string? Problem, bool IsPermanent)> TryAsync(CancellationToken cancellationToken)
    {
        var asked = request;
        if (store.Origin() is { } origin && origin.Url == request.Url)
            asked = request with { EntityTag = origin.EntityTag, LastModified = origin.LastModified };
        var result = await Task.Run(() => Download.Run(asked, cancellationToken), cancellationToken);
        if (result.Problem is not null) return (result.Problem, result.IsPermanent);
        // Not modified.
        if (result.Body is not { } body) return (null, false);
        var (stored, problem) = store.Store(body, new MappingOrigin(request.Url, result.EntityTag, result.LastModified));
        if (stored == MappingStoreResult.Stored) note($"new repository-to-cpe mapping from {request.PublicUrl}: {body.Length} bytes");
        return stored switch
        {
            MappingStoreResult.Invalid => ($"{request.PublicUrl}: {problem}", true),
            MappingStoreResult.Failed => (problem, true),
            _ => (null, false),
        };
    }
}
