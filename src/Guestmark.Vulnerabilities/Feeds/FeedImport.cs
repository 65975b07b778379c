namespace Guestmark.Vulnerabilities;

/// <summary>What is imported, and how.</summary>
public sealed record FeedImportOptions
{
    /// <summary>File, folder or archive.</summary>
    public required string Path { get; init; }

    /// <summary>Where it came from, when <see cref="Path"/> is a copy of that. Default: the path itself.</summary>
    public string? Uri { get; init; }

    /// <summary>What tells whether there is something newer, as the server said it. See <see cref="AdvisorySource.Version"/>.</summary>
    public string Version { get; init; } = "";

    /// <summary>When the server says that it last changed: the age of a feed that does not tell it itself.</summary>
    public DateTimeOffset? Served { get; init; }

    /// <summary>The other imports of the same command. Null: it is one by itself.</summary>
    public FeedBatch? Batch { get; init; }

    /// <summary>The source that everything belongs to. Null: each document's own (see docs/operating/vulnerability-data.md).</summary>
    public string? Source { get; init; }

    /// <summary>Adds to what a source has. Default: a single document does, all else replaces it.</summary>
    public bool Add { get; init; }

    /// <summary>Takes a feed with half as many documents as before, or fewer.</summary>
    public bool AllowShrink { get; init; }

    /// <summary>Takes CSAF documents for the operator's decisions. Default: those of publishers of category <c>user</c>.</summary>
    public bool CsafDecisions { get; init; }

    /// <summary>What the operator's decisions have that their documents do not say.</summary>
    public DecisionDefaults? Decisions { get; init; }

    /// <summary>What the packages of an updateinfo.xml are part of, which it does not say: <c>AlmaLinux:9</c>.</summary>
    public string? Product { get; init; }

    public FeedLimits Limits { get; init; } = new();
}

/// <summary>What an import did.</summary>
/// <param name="Sources">What came to each source, in the order in which documents of it were found.</param>
/// <param name="Skipped">Files and members that were no readable document of any source.</param>
/// <param name="SkippedParts">The first 1,000 of those, by name.</param>
/// <param name="LeftOut">What belongs to no source and was left out on purpose, with how often.</param>
public sealed record FeedImportResult(
    IReadOnlyList<FeedSourceResult> Sources, int Skipped, IReadOnlyList<SkippedPart> SkippedParts, IReadOnlyDictionary<string, int> LeftOut);

/// <summary>What came to one source.</summary>
/// <param name="Source">As it is now.</param>
/// <param name="DocumentsBefore">How many documents it had. 0: it is new.</param>
/// <param name="Added">Documents, entries and decisions that were read, also those that it had.</param>
/// <param name="Withdrawn">Documents that were taken back.</param>
/// <param name="SkippedParts">The first 1,000 of what could not be read, by name.</param>
/// <param name="LeftOut">What was understood and left out on purpose, with how often.</param>
public sealed record FeedSourceResult(
    AdvisorySource Source, ImportMode Mode, int DocumentsBefore, int Added, int Withdrawn, IReadOnlyList<SkippedPart> SkippedParts,
    IReadOnlyDictionary<string, int> LeftOut);

/// <summary>Brings a path's documents into the sources of a database.</summary>
public static class FeedImport
{
    /// <summary>Reads everything, and then makes it the content of its sources: of all or, when it throws, of none.</summary>
    /// <exception cref="FeedException">The path cannot be read, is damaged, has no document, or has far fewer than before.</exception>
    public static FeedImportResult Run(
        FeedImportOptions options, AdvisoryDatabaseBuilder builder, TimeProvider time, IProgress<FeedProgress>? progress,
        CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(builder);
        var run = new FeedImportRun(options, builder, time, cancellationToken);
        var input = new FeedInput(run, options.Limits, new FeedMeter(progress, time, options.Uri ?? options.Path), cancellationToken);
        if (Directory.Exists(options.Path)) input.Deleted = run.ReadListings(options.Path);
        input.Read(options.Path);
        return run.Complete(options.Version);
    }
}

/// <summary>One import while it runs. Documents come one after another; nothing counts before <see cref="Complete"/>.</summary>
sealed class FeedImportRun(
    FeedImportOptions options, AdvisoryDatabaseBuilder builder, TimeProvider time, CancellationToken cancellationToken) : IFeedReader
{
    const int SkippedNamedMax = 1000;
    const string NoSource = "";

    readonly Dictionary<string, SourceImport> _imports = new(StringComparer.Ordinal);
    readonly List<SourceImport> _order = [];
    readonly HashSet<string> _joined = new(StringComparer.Ordinal);
    readonly List<SkippedPart> _skippedParts = [];
    readonly SortedDictionary<string, int> _leftOut = new(StringComparer.Ordinal);
    readonly CsafOrigin _csaf = new();
    readonly IReadOnlyDictionary<string, DateTimeOffset> _none = new Dictionary<string, DateTimeOffset>();
    IReadOnlyDictionary<string, DateTimeOffset>? _deleted;
    (string Host, string Engine, string Category, string Name) _lastCsaf = ("", "", "", NoSource);
    int _skipped;
    bool _isKnown;
    int _unreadable;
    bool _isContinued;

    /// <summary>The operator's word for where documents come from.</summary>
    string Uri => options.Uri ?? options.Path;

    /// <summary>deletions.csv and changes.csv of a folder.</summary>
    /// <returns>The paths of documents that are not to be read, because their provider deleted them.</returns>
    public IReadOnlySet<string> ReadListings(string folder)
    {
        var deletions = Listing(CsafListing.DeletionsName);
        _deleted = deletions.Count == 0 ? _none : CsafListing.Deleted(deletions, Listing(CsafListing.ChangesName));
        return _deleted.Keys.ToHashSet(StringComparer.Ordinal);

        IReadOnlyDictionary<string, DateTimeOffset> Listing(string name)
        {
            var path = System.IO.Path.Combine(folder, name);
            if (!File.Exists(path)) return _none;
            try
            {
                using var stream = File.OpenRead(path);
                // A line of a list is no document that may be what is missing: it is only named.
                return CsafListing.Read(stream, options.Limits.Documents, (line, reason) => Name(path, $"{line}: {reason}"));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new FeedException($"{path}: {e.Message}", e);
            }
        }
    }

    /// <summary>Goes on with the source that was imported before, also when no document of it is new.</summary>
    public void Continue()
    {
        if (options.Source is not { } name || builder.Source(name) is not { } source) return;
        var import = builder.Import(name, source.Format, Uri, ImportMode.Add);
        _imports.Add(name, import);
        _order.Add(import);
        _isContinued = true;
    }

    /// <summary>Documents that their provider deleted, by path, which also go where they were imported before.</summary>
    public void Delete(IReadOnlyDictionary<string, DateTimeOffset> deleted) => _deleted = deleted;

    public void Read(FeedDocument document)
    {
        cancellationToken.ThrowIfCancellationRequested();
        _isKnown |= document.Kind.Format is not FeedFormat.Unknown;
        switch (document.Kind.Format)
        {
            case FeedFormat.Csaf:
                _csaf.Read(document.Content.Span);
                if (!options.CsafDecisions && _csaf.PublisherCategory is "user" && !document.IsSingle)
                {
                    // Whoever writes into a vendor's archive could silence findings with it.
                    Name(document.Name, "a CSAF document of a publisher of category user decides about findings: name the file itself to import it");
                }
                else if (options.CsafDecisions || _csaf.PublisherCategory is "user")
                {
                    CsafDecisions.Read(
                        document.Name, document.Content, Import(document, Named("vex", document.Name), FeedName.Vex), options.Decisions);
                }
                else
                {
                    var name = options.Source ?? CsafSource(document);
                    CsafDocument.Read(document.Name, document.Content, Import(document, name, CsafFormat(name)));
                }

                break;
            case FeedFormat.Osv:
                OsvDocument.Read(document.Name, document.Content, Import(document, Named("osv", document.Origin), FeedName.Osv));
                break;
            case FeedFormat.OpenVex:
                OpenVexDocument.Read(document.Name, document.Content, Import(document, Named("vex", document.Name), FeedName.Vex), options.Decisions);
                break;
            case FeedFormat.CycloneDx:
                CycloneDxVex.Read(document.Name, document.Content, Import(document, Named("vex", document.Name), FeedName.Vex), options.Decisions);
                break;
            case FeedFormat.Kev:
                KevCatalog.Read(document.Name, document.Stream!, Import(document, "kev", FeedName.Kev), cancellationToken);
                break;
            case FeedFormat.Epss:
                EpssScores.Read(document.Name, document.Stream!, Import(document, "epss", FeedName.Epss), cancellationToken);
                break;
            case FeedFormat.DebianTracker:
                DebianTracker.Read(document.Name, document.Stream!, Import(document, "debian-tracker", FeedName.DebianTracker), cancellationToken);
                break;
            case FeedFormat.AlpineSecdb:
                var secdb = document.Kind.Detail.Length > 0 ? $"alpine-secdb/{document.Kind.Detail}" : Named("alpine-secdb", document.Name);
                AlpineSecdb.Read(document.Name, document.Stream!, Import(document, secdb, FeedName.AlpineSecdb), cancellationToken);
                break;
            case FeedFormat.Oval:
                OvalDefinitions.Read(
                    document.Name, document.Stream!, Import(document, Named("oval", document.Name), FeedName.Oval), cancellationToken);
                break;
            case FeedFormat.UpdateInfo when options.Product is { } product:
                if (WrongProduct(product) is { } wrong) throw new FeedException($"{document.Name}: {wrong}");
                UpdateInfo.Read(
                    document.Name, document.Stream!, product, Import(document, $"updateinfo/{product}", FeedName.UpdateInfo), cancellationToken);
                break;
            case FeedFormat.UpdateInfo:
                Name(document.Name, "an updateinfo.xml does not say which product it is for: import it with --product, as in --product AlmaLinux:9");
                break;
            default:
                Name(document.Name, document.Kind.Detail);
                break;
        }
    }

    public void Skip(string document, string reason)
    {
        _unreadable++;
        Name(document, reason);
    }

    /// <summary>Names a document that belongs to no source.</summary>
    void Name(string document, string reason)
    {
        _skipped++;
        if (_skippedParts.Count < SkippedNamedMax) _skippedParts.Add(new SkippedPart(document, "", reason));
    }

    public void LeaveOut(string what) => _leftOut[what] = _leftOut.GetValueOrDefault(what) + 1;

    /// <summary>Makes what was read the content of its sources.</summary>
    /// <exception cref="FeedException">There was nothing, or too little. No source changes then.</exception>
    public FeedImportResult Complete(string version)
    {
        foreach (var import in _order.Where(import => import.Format is FeedName.Csaf or FeedName.RedHatVex))
        {
            foreach (var (path, at) in _deleted ?? _none) import.Withdraw(import.Format, CsafListing.IdOf(path), at);
        }

        if (!_isContinued && _order.Sum(import => import.Added + import.Withdrawn + import.LeftOut.Count) == 0) throw new FeedException(WhyNothing());
        foreach (var import in _order) Check(import);
        cancellationToken.ThrowIfCancellationRequested();
        var results = new List<FeedSourceResult>();
        foreach (var import in _order)
        {
            var before = builder.Source(import.Name)?.Documents ?? 0;
            // A source that another path adds to is not what the server has any more: what is newer is not known by its word.
            var isPart = options.Batch is not null && _joined.Contains(import.Name);
            var source = import.Complete(isPart ? "" : version, time.GetUtcNow(), options.Served);
            results.Add(new FeedSourceResult(source, import.Mode, before, import.Added, import.Withdrawn, import.SkippedParts, import.LeftOut));
        }

        return new FeedImportResult(results, _skipped, _skippedParts, _leftOut);
    }

    void Check(SourceImport import)
    {
        var batch = options.Batch;
        var before = builder.Source(import.Name)?.Documents ?? 0;
        if (batch is not null) before = batch.Begin(import.Name, import.Mode, before);
        // What the operator decided is theirs to take back.
        var mayShrink = (batch?.ModeOf(import.Name) ?? import.Mode) is ImportMode.Add || import.Format is FeedName.Vex || options.AllowShrink;
        var documents = import.Count;
        FeedException? Refusal(int now) =>
            now >= before ? null
            : _unreadable + import.Skipped > 0 ? Unreadable(import, before, now)
            : now <= before / 2.0 ? Shrinks(import, before, now)
            : null;
        if (import.Mode is ImportMode.Replace && !mayShrink && before == 0 && documents == 0 && import.LeftOut.Count == 0)
            throw new FeedException($"{Uri}: no document for {import.Name} in it{Skipped(import)}");
        if (mayShrink) return;
        // The rest of it may be in another path of the same command.
        if (batch is not null) batch.Add(import.Name, Refusal);
        else if (Refusal(documents) is { } refusal) throw refusal;
    }

    /// <summary>What cannot be read may be what is missing: without it the machines that it is about would look well.</summary>
    FeedException Unreadable(SourceImport import, int before, int documents) => new(
        $"{Uri}: {import.Name} would have {documents} documents and has {before} now, and {_unreadable + import.Skipped} could not be read, "
        + $"the first: {Words(import.SkippedParts.Concat(_skippedParts).First())}. What was imported before stays. Fetch the feed again, "
        + "add what can be read with --add, or import it with --allow-shrink");

    FeedException Shrinks(SourceImport import, int before, int documents) => new(
            $"{Uri}: {import.Name} would have {documents} documents and has {before} now: "
            + "a feed that loses half or more of them is likely cut or damaged. "
            + $"What was imported before stays. If the feed is right, import it with --allow-shrink{Skipped(import)}");

    /// <summary>Why nothing on a machine would ever be in a product. Null: it is one.</summary>
    static string? WrongProduct(string product)
    {
        var ecosystem = Ecosystem.Find(product);
        var isRpm = ecosystem?.Scheme == VersionScheme.Rpm;
        var colon = product.IndexOf(':');
        if (isRpm && colon > 0 && !string.IsNullOrWhiteSpace(product[(colon + 1)..]) && product.Length <= Ecosystem.NameMax) return null;
        var shown = product.Length > Ecosystem.NameMax ? $"{product[..Ecosystem.NameMax]}…" : product;
        if (isRpm) return $"--product {shown} has no release: write --product {ecosystem!.Family}:RELEASE, as in AlmaLinux:9";
        var known = Ecosystem.Known.Where(other => other.Scheme == VersionScheme.Rpm).Select(other => other.Family);
        return $"--product {shown} is no known product of rpm packages: write a name and a release, as in AlmaLinux:9. Names are {string.Join(", ", known)}";
    }

    string WhyNothing()
    {
        var parts = _order.SelectMany(import => import.SkippedParts).Concat(_skippedParts).ToList();
        var why = parts.Count == 0 ? "" : $" (skipped {_skipped + _order.Sum(import => import.Skipped)}, the first: {Words(parts[0])})";
        return _isKnown ? $"{Uri}: nothing that could be taken in it{why}" : $"{Uri}: no document of a known format in it{why}";
    }

    static string Skipped(SourceImport import) =>
        import.Skipped == 0 ? "" : $" (skipped {import.Skipped}, the first: {Words(import.SkippedParts[0])})";

    static string Words(SkippedPart part) => $"{part.Document}: {(part.Path.Length > 0 ? $"{part.Path}: " : "")}{part.Reason}";

    SourceImport Import(FeedDocument document, string name, string format)
    {
        name = options.Source ?? name;
        if (_imports.TryGetValue(name, out var import))
        {
            if (import.Format == format) return import;
            throw new FeedException(
                $"{Uri}: {document.Name} is {format} and others are {import.Format}: give them without --source {name}, or one by one");
        }

        if (builder.Source(name) is { } known && known.Format != format)
            throw new FeedException($"{Uri}: {document.Name} is {format}, the source {name} holds {known.Format}: choose another name with --source");
        // A document that is a whole feed, or everything that a file of the operator's decides, replaces what it was before.
        var isWhole = !document.IsSingle || document.Stream is not null || (format is FeedName.Vex && options.Source is null);
        var mode = isWhole && !options.Add ? ImportMode.Replace : ImportMode.Add;
        if (options.Batch?.ModeOf(name) is { } first)
        {
            if (mode is ImportMode.Replace && first is ImportMode.Add)
            {
                throw new FeedException(
                    $"{Uri}: it replaces the source {name}, with what was added to that just now: name it before the others, or use --add");
            }

            mode = ImportMode.Add;
            _joined.Add(name);
        }

        import = builder.Import(name, format, Uri, mode);
        _imports.Add(name, import);
        _order.Add(import);
        return import;
    }

    /// <summary>The source of the CSAF document that <see cref="_csaf"/> was read from.</summary>
    string CsafSource(FeedDocument document)
    {
        // Red Hat's deleted documents have nothing but an id and a status.
        if (_csaf.Host.Length == 0 && _lastCsaf.Name.Length > 0) return _lastCsaf.Name;
        if (_csaf.Host.Length == 0) return builder.Source(RedHatVex) is null ? "csaf/unknown" : RedHatVex;
        if (_lastCsaf.Name.Length == 0 || _lastCsaf.Host != _csaf.Host || _lastCsaf.Engine != _csaf.Engine || _lastCsaf.Category != _csaf.Category)
        {
            var name = !_csaf.IsRedHatVex ? $"csaf/{_csaf.Host}"
                : _csaf.Engine is "CSAF Generator" || Uri.Contains("vex-feed", StringComparison.Ordinal)
                    || document.Origin.Contains("vex-feed", StringComparison.Ordinal) ? RedHatVexFeed
                : RedHatVex;
            _lastCsaf = (_csaf.Host, _csaf.Engine, _csaf.Category, name);
        }

        return _lastCsaf.Name;
    }

    string CsafFormat(string source)
    {
        // A document that does not say whose it is, because it was deleted, is of the kind of those around it.
        if (_csaf.Host.Length == 0 && (_imports.GetValueOrDefault(source)?.Format ?? builder.Source(source)?.Format) is { } format) return format;
        return source is RedHatVex or RedHatVexFeed || _csaf.IsRedHatVex ? FeedName.RedHatVex : FeedName.Csaf;
    }

    /// <summary>The name of a source that is named after a file or folder.</summary>
    string Named(string family, string path)
    {
        // A copy that was fetched is called after where it came from.
        var name = FeedSourceName.Of(path == options.Path ? Uri : path);
        return name.Length > 0 ? $"{family}/{name}" : family;
    }

    const string RedHatVex = "redhat-vex";
    const string RedHatVexFeed = "redhat-vex-feed";
}

/// <summary>Names sources after files.</summary>
static class FeedSourceName
{
    static readonly string[] Extensions =
        [".json", ".xml", ".csv", ".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".tgz", ".oval", ".openvex", ".vex", ".cdx"];

    /// <summary>Names that say nothing, so that their folder's is taken: the bucket of OSV has AlmaLinux/all.zip.</summary>
    static readonly string[] Unspecific = ["all", "data", "osv", "main", "master", "latest", "feed", "advisories"];

    /// <summary>File name without date and extensions, in lower case: <c>almalinux-osv-database</c>.</summary>
    public static string Of(string pathOrUri)
    {
        var query = pathOrUri.Contains("://", StringComparison.Ordinal) ? pathOrUri.IndexOfAny(['?', '#']) : -1;
        var path = (query < 0 ? pathOrUri : pathOrUri[..query]).TrimEnd('/');
        if (path is "" or "." or ".." || path.EndsWith("/.", StringComparison.Ordinal) || path.EndsWith("/..", StringComparison.Ordinal))
            path = System.IO.Path.GetFullPath(path.Length == 0 ? "/" : path).TrimEnd('/');
        var slash = path.LastIndexOf('/');
        var name = WithoutDate(WithoutExtensions(path[(slash + 1)..])).ToLowerInvariant();
        if (slash <= 0 || (name.Length > 0 && !Unspecific.Contains(name))) return name;
        var folder = path[..slash];
        var parent = WithoutExtensions(folder[(folder.LastIndexOf('/') + 1)..]).ToLowerInvariant();
        return parent.Length > 0 && !parent.Contains(':') ? parent : name;
    }

    static string WithoutExtensions(string name)
    {
        while (System.IO.Path.GetExtension(name) is { Length: > 0 } extension && name.Length > extension.Length
            && Extensions.Contains(extension, StringComparer.OrdinalIgnoreCase))
        {
            name = name[..^extension.Length];
        }

        return name;
    }

    /// <summary>Without a date at the end, <c>-2023-10-31</c> or <c>_20231031</c>.</summary>
    static string WithoutDate(string name)
    {
        foreach (var format in (ReadOnlySpan<string>)["yyyy-MM-dd", "yyyyMMdd"])
        {
            var start = name.Length - format.Length;
            if (start > 1 && name[start - 1] is '-' or '_' or '.' && DateOnly.TryParseExact(name.AsSpan(start), format, out _))
                return name[..(start - 1)];
        }

        return name;
    }
}
