using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Guestmark.Vulnerabilities;

/// <summary>How feeds are fetched.</summary>
public sealed record FeedUpdateOptions
{
    /// <summary>Folder for downloads while they are read, and for lists of what a provider had. Made when it is missing.</summary>
    public required string WorkFolder { get; init; }

    /// <summary>Takes http from other machines too. Default: https only, but on loopback.</summary>
    public bool InsecureHttp { get; init; }

    /// <summary>See <see cref="FeedImportOptions.AllowShrink"/>.</summary>
    public bool AllowShrink { get; init; }

    /// <summary>Fetches everything, whatever was fetched before.</summary>
    public bool Full { get; init; }

    public FeedLimits Limits { get; init; } = new();

    /// <summary>Of one file as it is sent.</summary>
    public long DownloadBytes { get; init; } = 16L << 30;

    /// <summary>For one file, attempts included.</summary>
    public TimeSpan TotalTimeout { get; init; } = TimeSpan.FromHours(6);

    /// <summary>Without a single byte.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>For one file: 5 wait 1, 2, 4 and 8 seconds in between, or what the server asks for.</summary>
    public int Attempts { get; init; } = 5;

    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>A server that asks for more is left alone until the next update.</summary>
    public TimeSpan RetryAfterMax { get; init; } = TimeSpan.FromMinutes(10);
}

/// <summary>What an update of a source did.</summary>
/// <param name="Import">What came in. Null: the server has nothing new, or it failed.</param>
/// <param name="Error">Why it failed, and what helps; what was imported before stays. Null: it did not.</param>
/// <param name="Remarks">Lines of lists and documents of the server that were not taken, with the reason; the first 100.</param>
public sealed record FeedUpdateResult(FeedSource Source, FeedImportResult? Import, string? Error, IReadOnlyList<string> Remarks)
{
    public bool IsUnchanged => Import is null && Error is null;
}

/// <summary>Fetches what is new from vendors. Incremental updates give the database that a full import of the same state gives.</summary>
public sealed class FeedUpdate : IDisposable
{
    const int ListBytesMax = 256 << 20;
    const int RemarksMax = 100;
    // Rather the archive than so many documents one by one.
    const int ChangesMax = 20_000;
    const int Parallel = 8;

    readonly FeedUpdateOptions _options;
    readonly TimeProvider _time;
    readonly FeedHttp _http;

    public FeedUpdate(FeedUpdateOptions options, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(options);
        (_options, _time, _http) = (options, time, new FeedHttp(options, time));
    }

    public void Dispose() => _http.Dispose();

    /// <summary>Updates one source after another. One that fails does not keep the others from being updated.</summary>
    /// <param name="sources">See <see cref="FeedSource.ReadList"/> and <see cref="FeedSource.Find"/>.</param>
    /// <param name="builder">Made of the present database; to be written when anything has changed.</param>
    public async Task<IReadOnlyList<FeedUpdateResult>> RunAsync(
        IReadOnlyList<FeedSource> sources, AdvisoryDatabaseBuilder builder, IProgress<FeedProgress>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(sources);
        var results = new List<FeedUpdateResult>();
        foreach (var source in sources) results.Add(await RunAsync(source, builder, progress, cancellationToken));
        return results;
    }

    /// <inheritdoc cref="RunAsync(IReadOnlyList{FeedSource}, AdvisoryDatabaseBuilder, IProgress{FeedProgress}?, CancellationToken)"/>
    public Task<FeedUpdateResult> RunAsync(
        FeedSource source, AdvisoryDatabaseBuilder builder, IProgress<FeedProgress>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(builder);
        // A URL without a name goes on with the source that was fetched from there before; where there are several, each document tells its own.
        var known = source.Name is null ? builder.Sources.Where(other => other.Uri == source.Url.ToString()).Take(2).ToList() : [];
        var import = new FeedImportOptions
        {
            Path = source.Url.ToString(),
            Source = known.Count == 1 ? known[0].Name : source.Name,
            Product = source.Product ?? ProductOf(known),
            AllowShrink = _options.AllowShrink,
            Limits = _options.Limits,
        };
        return RunAsync(source, import, _options.Full, builder, progress, cancellationToken);
    }

    /// <summary>What an updateinfo.xml that was fetched before is for.</summary>
    static string? ProductOf(List<AdvisorySource> known)
    {
        const string prefix = "updateinfo/";
        return known is [{ Format: FeedName.UpdateInfo } source] && source.Name.StartsWith(prefix, StringComparison.Ordinal)
            ? source.Name[prefix.Length..]
            : null;
    }

    /// <summary>Fetches and imports what is at a URL that the operator names, whatever was fetched before.</summary>
    /// <param name="url">See <see cref="FeedSource.OfUrl"/>.</param>
    /// <param name="import">How; <see cref="FeedImportOptions.Path"/> is not looked at.</param>
    /// <param name="builder">Made of the present database.</param>
    public Task<FeedUpdateResult> ImportAsync(
        Uri url, FeedImportOptions import, AdvisoryDatabaseBuilder builder, IProgress<FeedProgress>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(import);
        return RunAsync(FeedSource.OfUrl(url, import.Source, import.Product), import, isFull: true, builder, progress, cancellationToken);
    }

    async Task<FeedUpdateResult> RunAsync(
        FeedSource source, FeedImportOptions import, bool isFull, AdvisoryDatabaseBuilder builder, IProgress<FeedProgress>? progress,
        CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(builder);
        var update = new SourceUpdate(this, source, import with { Uri = source.Url.ToString() }, isFull, builder, progress, cancellationToken);
        try
        {
            Directory.CreateDirectory(_options.WorkFolder);
            Download.RemoveLeft(_options.WorkFolder, _time.GetUtcNow());
            var result = source.Kind switch
            {
                FeedSourceKind.CsafDirectory => await update.DirectoryAsync(),
                FeedSourceKind.CsafProvider => await update.ProviderAsync(),
                _ => await update.FileAsync(),
            };
            return new FeedUpdateResult(source, result, null, update.Remarks);
        }
        catch (FeedException e)
        {
            return new FeedUpdateResult(source, null, e.Message, update.Remarks);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return new FeedUpdateResult(source, null, $"{_options.WorkFolder}: {e.Message}", update.Remarks);
        }
    }

    sealed class SourceUpdate(
        FeedUpdate owner, FeedSource source, FeedImportOptions import, bool isFull, AdvisoryDatabaseBuilder builder,
        IProgress<FeedProgress>? progress, CancellationToken cancellationToken)
    {
        readonly FeedUpdateOptions _options = owner._options;
        readonly FeedHttp _http = owner._http;
        readonly List<string> _remarks = [];

        public IReadOnlyList<string> Remarks => _remarks;

        /// <summary>What was fetched of the source before, from the same place. Empty: everything is to be fetched.</summary>
        string Version => !isFull && import.Source is { } name && builder.Source(name) is { } known && known.Uri == source.Url.ToString()
            ? known.Version
            : "";

        public async Task<FeedImportResult?> FileAsync()
        {
            using var file = new Download(_options.WorkFolder);
            var response = await FetchAsync(source.Url, Version, file);
            if (!response.Changed) return null;
            if (!response.Found) throw new FeedException($"{source.Url}: not found");
            return FeedImport.Run(
                import with { Path = file.Path, Version = response.Validator, Served = response.LastModified },
                builder, owner._time, progress, cancellationToken);
        }

        /// <summary>A folder with changes.csv; Red Hat's also have an archive of everything and deletions.csv.</summary>
        public async Task<FeedImportResult?> DirectoryAsync()
        {
            var folder = source.Url.AbsolutePath.EndsWith('/') ? source.Url : new Uri($"{source.Url}/");
            var state = ListState.Parse(Version);
            var (changed, changes) = await ListAsync(new Uri(folder, CsafListing.ChangesName), state.Changes.Validator);
            // A document may be deleted without any change of the others.
            var (deleted, deletions) = await ListAsync(new Uri(folder, CsafListing.DeletionsName), state.Deletions.Validator);
            if (!changed.Changed && (!deleted.Changed || !deleted.Found)) return null;
            if (!changed.Found) throw new FeedException($"{folder}: has no {CsafListing.ChangesName}: it is no folder of a CSAF provider");
            // One of the two is as it was. Which of its documents the other concerns is known only with both.
            if (!changed.Changed) (changed, changes) = await ListAsync(new Uri(folder, CsafListing.ChangesName), "");
            if (!deleted.Changed) (deleted, deletions) = await ListAsync(new Uri(folder, CsafListing.DeletionsName), "");

            var next = new ListState(new ListMark(Newest(changes), changed.Validator), new ListMark(Newest(deletions), deleted.Validator), "");
            var gone = CsafListing.Deleted(deletions, changes);
            var documents = changes.Where(entry => !gone.ContainsKey(entry.Key)).ToDictionary(StringComparer.Ordinal);
            Uri? Address(string path) => new(folder, path);
            // Without a list of deletions what is gone is what is no longer listed.
            return deleted.Found
                ? await ArchiveAndChangesAsync(folder, state, next, documents, gone, deletions)
                : await ListedAsync(state, next, documents, Address);
        }

        /// <summary>What is listed in provider-metadata.json (CSAF 2.0, 7.1.7 to 7.1.16): ROLIE feeds, else folders.</summary>
        public async Task<FeedImportResult?> ProviderAsync()
        {
            const int metadataBytesMax = 1 << 20;
            var url = source.Url.AbsolutePath is "/" ? new Uri(source.Url, "/.well-known/csaf/provider-metadata.json") : source.Url;
            var (response, bytes) = await _http.GetBytesAsync(url, "", metadataBytesMax, cancellationToken);
            if (!response.Found) throw new FeedException($"{url}: not found");
            var (feeds, folders) = Distributions(url, bytes);
            var documents = new Dictionary<string, DateTimeOffset>(StringComparer.Ordinal);
            foreach (var feed in feeds)
            {
                (response, bytes) = await _http.GetBytesAsync(feed, "", ListBytesMax, cancellationToken);
                if (!response.Found) throw new FeedException($"{feed}: not found");
                ReadRolie(feed, bytes, documents);
            }

            foreach (var folder in feeds.Count > 0 ? [] : folders)
            {
                var (found, changes) = await ListAsync(new Uri(folder, CsafListing.ChangesName), "");
                if (!found.Found) throw new FeedException($"{folder}: has no {CsafListing.ChangesName}");
                foreach (var (path, time) in changes) documents[new Uri(folder, path).ToString()] = time;
            }

            var next = new ListState(new ListMark(Newest(documents), ""), default, "");
            var state = ListState.Parse(Version);
            return state.Listed.Length > 0 && state.Listed == Digest(documents) && state.Changes.Time == next.Changes.Time
                ? null
                : await ListedAsync(state, next, documents, path => new Uri(path));
        }

        /// <summary>The archive when nothing is known of before, and then what changed since.</summary>
        async Task<FeedImportResult?> ArchiveAndChangesAsync(
            Uri folder, ListState state, ListState next, Dictionary<string, DateTimeOffset> documents, Dictionary<string, DateTimeOffset> gone,
            Dictionary<string, DateTimeOffset> deletions)
        {
            var version = next.ToString();
            // Also those of the very moment: there may have been more of them than were listed then.
            var recent = documents.Where(entry => entry.Value >= state.Changes.Time).ToDictionary();
            // What was deleted and is back, perhaps with its old time, is still withdrawn here.
            var isBack = recent.Any(entry => entry.Value > state.Changes.Time && deletions.TryGetValue(entry.Key, out var at) && entry.Value >= at);
            if (state.Changes.Time is not null && !isBack && recent.Count <= ChangesMax)
            {
                var run = Run(add: true);
                run.Continue();
                run.Delete(gone.Where(entry => state.Deletions.Time is not { } read || entry.Value >= read).ToDictionary());
                await FetchDocumentsAsync(run, recent, path => new Uri(folder, path));
                return run.Complete(version);
            }

            var whole = Run(add: false);
            whole.Delete(gone);
            if (await ArchiveAsync(folder) is var (archive, since))
            {
                using (archive)
                {
                    var meter = new FeedMeter(progress, owner._time, folder.ToString());
                    var input = new FeedInput(whole, _options.Limits, meter, cancellationToken) { Deleted = gone.Keys.ToHashSet() };
                    input.Read(archive.Path);
                }

                documents = documents.Where(entry => since is null || entry.Value >= since).ToDictionary();
            }

            await FetchDocumentsAsync(whole, documents, path => new Uri(folder, path));
            return whole.Complete(version);
        }

        /// <summary>Every document that is listed, or those that changed when none is gone since.</summary>
        async Task<FeedImportResult?> ListedAsync(
            ListState state, ListState next, Dictionary<string, DateTimeOffset> documents, Func<string, Uri?> address)
        {
            var before = ReadListed(state.Listed);
            var isIncrement = before is not null && state.Changes.Time is not null && before.All(documents.ContainsKey);
            var run = Run(add: isIncrement);
            if (isIncrement) run.Continue();
            await FetchDocumentsAsync(
                run,
                isIncrement ? documents.Where(entry => entry.Value >= state.Changes.Time || !before!.Contains(entry.Key)).ToDictionary() : documents,
                address);
            var result = run.Complete((next with { Listed = Digest(documents) }).ToString());
            WriteListed(documents);
            return result;
        }

        /// <summary>Fetches the archive that archive_latest.txt names, and compares it with its checksum.</summary>
        /// <returns>The file, and from when on changes are not in it. Null: there is no archive.</returns>
        async Task<(Download File, DateTimeOffset? Since)?> ArchiveAsync(Uri folder)
        {
            const int nameBytesMax = 1000;
            var latest = new Uri(folder, "archive_latest.txt");
            var (response, bytes) = await _http.GetBytesAsync(latest, "", nameBytesMax, cancellationToken);
            if (!response.Found) return null;
            var name = Encoding.ASCII.GetString(bytes).Trim();
            if (name.Length is 0 or > 200 || name[0] == '.' || name.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('.' or '-' or '_')))
                throw new FeedException($"{latest}: names no archive in its folder");
            var url = new Uri(folder, name);
            var (sumResponse, sum) = await _http.GetBytesAsync(new Uri(folder, $"{name}.sha256"), "", nameBytesMax, cancellationToken);
            if (!sumResponse.Found) throw new FeedException($"{url}: no {name}.sha256 beside it, without which it cannot be verified");
            var expected = FeedChecksum.Parse(Encoding.ASCII.GetString(sum), name, FeedChecksum.Sha256Digits);
            var file = new Download(_options.WorkFolder);
            try
            {
                var archive = await FetchAsync(url, "", file);
                if (!archive.Found) throw new FeedException($"{url}: not found, though {latest} names it");
                if (archive.Sha256 != expected)
                {
                    throw new FeedException(
                        $"{url}: its SHA-256 is {archive.Sha256}, {name}.sha256 says {expected ?? "something else"}: "
                        + "it is damaged or was replaced meanwhile; update again later");
                }

                return (file, Since(name));
            }
            catch
            {
                file.Dispose();
                throw;
            }
        }

        /// <summary>A day before the archive's date, which its name ends with: it was made some time on that day, wherever that was.</summary>
        static DateTimeOffset? Since(string archive)
        {
            for (var i = 0; i + 10 <= archive.Length; i++)
            {
                if (DateOnly.TryParseExact(archive.AsSpan(i, 10), "yyyy-MM-dd", out var date) && date > DateOnly.MinValue)
                    return new DateTimeOffset(date.AddDays(-1), default, TimeSpan.Zero);
            }

            return null;
        }

        FeedImportRun Run(bool add) => new(import with { Add = add || import.Add }, builder, owner._time, cancellationToken);

        async Task<FeedResponse> FetchAsync(Uri url, string validator, Download file) => await _http.GetAsync(
            url, validator, file.Open, _options.DownloadBytes, new FeedMeter(progress, owner._time, url.ToString()), cancellationToken);

        async Task<(FeedResponse Response, Dictionary<string, DateTimeOffset> Entries)> ListAsync(Uri url, string validator)
        {
            var (response, bytes) = await _http.GetBytesAsync(url, validator, ListBytesMax, cancellationToken);
            using var stream = new MemoryStream(bytes);
            return (response, CsafListing.Read(stream, _options.Limits.Documents, (line, reason) => Remark($"{url}: {line}: {reason}")));
        }

        /// <summary>Gives each document to the import, in the order of their paths, some of them on their way at a time.</summary>
        async Task FetchDocumentsAsync(FeedImportRun run, Dictionary<string, DateTimeOffset> documents, Func<string, Uri?> address)
        {
            var meter = new FeedMeter(progress, owner._time, source.Url.ToString());
            using var abandon = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            var underway = new Queue<(Uri Url, Task<(FeedResponse Response, byte[] Bytes)> Fetch)>();
            try
            {
                foreach (var path in documents.Keys.Order(StringComparer.Ordinal))
                {
                    if (underway.Count == Parallel) Give(run, meter, underway.Peek().Url, await underway.Peek().Fetch, underway);
                    if (address(path) is { } url) underway.Enqueue((url, _http.GetBytesAsync(url, "", _options.Limits.DocumentBytes, abandon.Token)));
                }

                while (underway.Count > 0) Give(run, meter, underway.Peek().Url, await underway.Peek().Fetch, underway);
            }
            finally
            {
                await abandon.CancelAsync();
                foreach (var (_, fetch) in underway) await ((Task)fetch).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }

        void Give(
            FeedImportRun run, FeedMeter meter, Uri url, (FeedResponse Response, byte[] Bytes) fetched,
            Queue<(Uri Url, Task<(FeedResponse Response, byte[] Bytes)> Fetch)> underway)
        {
            underway.Dequeue();
            meter.Read(fetched.Bytes.Length);
            meter.Document();
            if (!fetched.Response.Found)
            {
                run.Skip(url.ToString(), "listed, but not there");
                return;
            }

            var kind = FeedDetection.Of(fetched.Bytes, isWhole: true, out _);
            if (kind.Format is FeedFormat.Csaf)
                run.Read(new FeedDocument(url.ToString(), source.Url.ToString(), IsSingle: false, kind, fetched.Bytes, null));
            else
                run.Skip(url.ToString(), kind.Format is FeedFormat.Unknown ? kind.Detail : $"no CSAF document but {kind.Format}");
        }

        (List<Uri> Feeds, List<Uri> Folders) Distributions(Uri url, byte[] json)
        {
            var feeds = new List<Uri>();
            var folders = new List<Uri>();
            try
            {
                using var document = JsonDocument.Parse(json);
                foreach (var distribution in Items(document.RootElement, "distributions"))
                {
                    if (Text(distribution, "directory_url") is { } folder && Allowed(url, $"{folder.TrimEnd('/')}/") is { } uri) folders.Add(uri);
                    if (distribution.ValueKind is not JsonValueKind.Object || !distribution.TryGetProperty("rolie", out var rolie)) continue;
                    foreach (var feed in Items(rolie, "feeds"))
                    {
                        // Others are for those who have an account.
                        if (Text(feed, "tlp_label") is not (null or "WHITE" or "CLEAR" or "UNLABELED"))
                            Remark($"{url}: a feed of TLP {Text(feed, "tlp_label")} is not fetched");
                        else if (Text(feed, "url") is { } address && Allowed(url, address) is { } feedUri)
                            feeds.Add(feedUri);
                    }
                }
            }
            catch (JsonException e)
            {
                throw new FeedException($"{url}: not valid JSON: {e.Message}", e);
            }

            if (feeds.Count + folders.Count == 0) throw new FeedException($"{url}: names no ROLIE feed and no directory_url that can be fetched");
            return (feeds, folders);
        }

        /// <summary>entry[].{updated, content.src or link[rel = self].href} of a ROLIE feed (RFC 8322; CSAF 2.0, 7.1.15).</summary>
        void ReadRolie(Uri feed, byte[] json, Dictionary<string, DateTimeOffset> documents)
        {
            try
            {
                using var document = JsonDocument.Parse(json);
                if (document.RootElement.ValueKind is not JsonValueKind.Object || !document.RootElement.TryGetProperty("feed", out var root))
                    throw new FeedException($"{feed}: no ROLIE feed: it has no \"feed\"");
                foreach (var entry in Items(root, "entry"))
                {
                    JsonElement content = default;
                    if (entry.ValueKind is JsonValueKind.Object) entry.TryGetProperty("content", out content);
                    var address = Text(content, "src");
                    foreach (var link in address is null ? Items(entry, "link") : [])
                    {
                        if (Text(link, "rel") is "self") address = Text(link, "href");
                    }

                    if (address is null || Allowed(feed, address) is not { } url)
                        Remark($"{feed}: an entry without the address of a document");
                    else if (url.Host != feed.Host)
                        Remark($"{feed}: {url} is on another server, which is not asked");
                    else if (!DateTimeOffset.TryParse(
                        Text(entry, "updated"), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var updated))
                        Remark($"{feed}: {url} has no time");
                    else if (documents.Count >= _options.Limits.Documents)
                        throw new FeedException($"{feed}: more than {_options.Limits.Documents} documents, the limit");
                    else
                        documents[url.ToString()] = updated;
                }
            }
            catch (JsonException e)
            {
                throw new FeedException($"{feed}: not valid JSON: {e.Message}", e);
            }
        }

        Uri? Allowed(Uri from, string address)
        {
            if (Uri.TryCreate(from, address, out var url) && url.Scheme is "https" or "http" && (!url.IsLoopback || from.IsLoopback)) return url;
            Remark($"{from}: '{(address.Length > 200 ? address[..200] : address)}' is no address that is fetched");
            return null;
        }

        void Remark(string remark)
        {
            if (_remarks.Count < RemarksMax) _remarks.Add(remark);
        }

        static JsonElement.ArrayEnumerator Items(JsonElement element, string name) =>
            element.ValueKind is JsonValueKind.Object && element.TryGetProperty(name, out var list) && list.ValueKind is JsonValueKind.Array
                ? list.EnumerateArray()
                : default;

        static string? Text(JsonElement element, string name) =>
            element.ValueKind is JsonValueKind.Object && element.TryGetProperty(name, out var text) && text.ValueKind is JsonValueKind.String
                ? text.GetString()
                : null;

        static DateTimeOffset? Newest(Dictionary<string, DateTimeOffset> entries) => entries.Count == 0 ? null : entries.Values.Max();

        /// <summary>Beside the database, because it is only needed to see what a provider no longer lists: the paths that it listed.</summary>
        string ListedFile
        {
            get
            {
                var hash = SHA256.HashData(Encoding.UTF8.GetBytes(source.Url.ToString()));
                return Path.Combine(_options.WorkFolder, $"listed-{Convert.ToHexStringLower(hash)[..16]}.txt");
            }
        }

        static string Digest(Dictionary<string, DateTimeOffset> documents) => Convert.ToHexStringLower(
            SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\n', documents.Keys.Order(StringComparer.Ordinal)))))[..32];

        /// <returns>Null when the list is not that of the database, so that everything is to be fetched.</returns>
        HashSet<string>? ReadListed(string digest)
        {
            if (digest.Length == 0 || !File.Exists(ListedFile)) return null;
            var paths = File.ReadAllLines(ListedFile).ToDictionary(line => line, _ => default(DateTimeOffset), StringComparer.Ordinal);
            return Digest(paths) == digest ? paths.Keys.ToHashSet(StringComparer.Ordinal) : null;
        }

        void WriteListed(Dictionary<string, DateTimeOffset> documents) =>
            File.WriteAllLines(ListedFile, documents.Keys.Order(StringComparer.Ordinal));
    }

    /// <summary>A file that goes when it was read.</summary>
    sealed class Download(string folder) : IDisposable
    {
        public string Path { get; } = System.IO.Path.Combine(folder, $"download-{Guid.NewGuid():N}.tmp");

        /// <summary>Removes what a process that was killed left a day ago or earlier.</summary>
        public static void RemoveLeft(string folder, DateTimeOffset now)
        {
            foreach (var file in Directory.EnumerateFiles(folder, "download-*.tmp"))
            {
                if (now - new DateTimeOffset(File.GetLastWriteTimeUtc(file), TimeSpan.Zero) > TimeSpan.FromDays(1)) File.Delete(file);
            }
        }

        public Stream Open() => new FileStream(Path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);

        public void Dispose() => File.Delete(Path);
    }

    readonly record struct ListMark(DateTimeOffset? Time, string Validator);

    /// <summary>How far a list was read: the newest time in it, what to ask the server with, and what was listed.</summary>
    readonly record struct ListState(ListMark Changes, ListMark Deletions, string Listed)
    {
        const char Separator = '|';

        public override string ToString() => string.Join(
            Separator,
            ((string?[])[$"{Changes.Time:O}", Changes.Validator, $"{Deletions.Time:O}", Deletions.Validator, Listed])
                .Select(text => Uri.EscapeDataString(text ?? "")));

        public static ListState Parse(string text)
        {
            var parts = text.Split(Separator);
            if (parts.Length != 5) return new ListState(new ListMark(null, ""), new ListMark(null, ""), "");
            for (var i = 0; i < parts.Length; i++) parts[i] = Uri.UnescapeDataString(parts[i]);
            return new ListState(new ListMark(Time(parts[0]), parts[1]), new ListMark(Time(parts[2]), parts[3]), parts[4]);
        }

        static DateTimeOffset? Time(string text) =>
            DateTimeOffset.TryParseExact(text, "O", CultureInfo.InvariantCulture, DateTimeStyles.None, out var time) ? time : null;
    }
}
