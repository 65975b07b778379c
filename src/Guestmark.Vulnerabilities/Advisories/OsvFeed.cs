using System.IO.Compression;

namespace Guestmark.Vulnerabilities;

/// <summary>Imports advisories in the OSV format from a folder, a zip archive or one document.</summary>
public static class OsvFeed
{
    /// <summary>Size in bytes of the largest document that is read. AlmaLinux' largest has 191 KiB.</summary>
    public const int DocumentBytesMax = 64 << 20;

    const int SkippedNamedMax = 1000;
    const int EcosystemsNamedMax = 100;
    const string Accepted = "give a folder, a .zip or a .json file in OSV format";

    /// <summary>Reads every document at <paramref name="path"/>, one in memory at a time.</summary>
    /// <param name="path">A folder (its <c>*.json</c>, with subfolders), a <c>.zip</c> of documents, or one <c>.json</c>.</param>
    /// <returns>What was read, and what was left out and why. A document that cannot be read is never fatal.</returns>
    /// <exception cref="OsvFeedException">The path does not exist, cannot be read, is no zip archive, or holds no OSV document.</exception>
    public static OsvImportResult Import(
        string path, AdvisoryDatabaseBuilder builder, IProgress<OsvImportProgress>? progress, CancellationToken cancellationToken)
    {
        var source = builder.Import($"osv/{path}", FeedName.Osv, path, ImportMode.Replace);
        var import = new Run(source, progress, cancellationToken);
        try
        {
            if (Directory.Exists(path)) import.Folder(path);
            else if (!File.Exists(path)) throw new OsvFeedException($"{path}: no such file or folder; {Accepted}");
            else if (path.EndsWith(".zip", StringComparison.OrdinalIgnoreCase)) import.Zip(path);
            else import.File(path);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new OsvFeedException($"{path}: {e.Message} Give this user the right to read it", e);
        }
        catch (IOException e)
        {
            throw new OsvFeedException($"{path}: {e.Message}", e);
        }

        var result = import.Result();
        if (result.Documents == 0)
        {
            var why = result.Skipped.Count > 0
                ? $" (skipped {result.SkippedDocuments}, the first: {result.Skipped[0].Path}: {result.Skipped[0].Reason})"
                : "";
            throw new OsvFeedException($"{path}: no OSV document in it; {Accepted}{why}");
        }

        source.Complete("", TimeProvider.System.GetUtcNow());
        return result;
    }

    sealed class Run(SourceImport builder, IProgress<OsvImportProgress>? progress, CancellationToken cancellationToken)
    {
        const int ProgressEvery = 256;
        const string Damaged = "the archive is damaged; download it again";

        readonly List<OsvSkippedDocument> _skipped = [];
        readonly SortedDictionary<string, int> _skippedEcosystems = new(StringComparer.Ordinal);
        readonly HashSet<string> _ecosystems = [];
        byte[] _buffer = new byte[64 << 10];
        int _documents;
        int _advisories;
        int _withdrawn;
        int _notVulnerabilities;
        int _skippedDocuments;
        int? _total;

        public DateTimeOffset? NewestModified { get; private set; }

        public void Folder(string path)
        {
            var options = new EnumerationOptions
            {
                RecurseSubdirectories = true,
                // Ends a loop of symbolic links; feeds are two or three folders deep.
                MaxRecursionDepth = 16,
                IgnoreInaccessible = false,
                MatchCasing = MatchCasing.CaseInsensitive,
            };
            foreach (var file in Directory.EnumerateFiles(path, "*.json", options))
            {
                try
                {
                    File(file);
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    Skip(file, e.Message);
                }
            }
        }

        public void File(string path)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            if (Read(stream, out var length) is { } problem) Skip(path, problem);
            else Document(path, _buffer.AsMemory(0, length));
        }

        public void Zip(string path)
        {
            try
            {
                using var archive = ZipFile.OpenRead(path);
                // The central directory is read here, not by OpenRead.
                _total = archive.Entries.Count(IsDocument);
                foreach (var entry in archive.Entries)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    if (IsDocument(entry)) Entry(entry);
                }
            }
            catch (InvalidDataException e)
            {
                throw new OsvFeedException($"{path}: is no zip archive or is cut: download it again ({e.Message})", e);
            }

            static bool IsDocument(ZipArchiveEntry entry) => entry.FullName.EndsWith(".json", StringComparison.OrdinalIgnoreCase);
        }

        public OsvImportResult Result()
        {
            // By family, then shorter first: 8, 9, 10.
            string[] ecosystems =
            [
                .. _ecosystems.OrderBy(name => name.Split(':')[0], StringComparer.Ordinal)
                    .ThenBy(name => name.Length).ThenBy(name => name, StringComparer.Ordinal),
            ];
            return new OsvImportResult(
                _documents, _advisories, _withdrawn, _notVulnerabilities, _skippedEcosystems, _skippedDocuments, _skipped, ecosystems);
        }

        void Entry(ZipArchiveEntry entry)
        {
            if (entry.Length > DocumentBytesMax)
            {
                Skip(entry.FullName, TooLong(entry.Length));
                return;
            }

            try
            {
                using var stream = entry.Open();
                if (Read(stream, out var length) is { } problem) Skip(entry.FullName, problem);
                else if (length != entry.Length)
                    Skip(entry.FullName, $"the archive says that it has {entry.Length} bytes, it has {length}: {Damaged}");
                // ZipArchiveEntry leaves this to its reader.
                else if (Crc32.Of(_buffer.AsSpan(0, length)) != entry.Crc32)
                    Skip(entry.FullName, $"CRC-32 of {entry.FullName} does not match: {Damaged}");
                else Document(entry.FullName, _buffer.AsMemory(0, length));
            }
            catch (Exception e) when (e is InvalidDataException or NotSupportedException or EndOfStreamException)
            {
                // A damaged entry leaves the others readable: the central directory says where they are.
                Skip(entry.FullName, $"cannot be unpacked: {e.Message} If the archive is damaged, download it again");
            }
        }

        // Grows with what arrives, not with what a header promises.
        string? Read(Stream stream, out int length)
        {
            length = 0;
            while (true)
            {
                if (length == _buffer.Length)
                {
                    if (length > DocumentBytesMax) return TooLong(length);
                    Array.Resize(ref _buffer, Math.Min(_buffer.Length * 2, DocumentBytesMax + 1));
                }

                var read = stream.Read(_buffer, length, _buffer.Length - length);
                if (read == 0) return length > DocumentBytesMax ? TooLong(length) : null;
                length += read;
            }
        }

        static string TooLong(long length) => $"{length} bytes or more, limit {DocumentBytesMax}";

        void Document(string path, ReadOnlyMemory<byte> json)
        {
            var outcome = new Outcome(builder);
            OsvDocument.Read(path, json, outcome);
            if (outcome.Problem is { } problem)
            {
                Skip(path, problem);
                return;
            }

            _documents++;
            if (_documents % ProgressEvery == 0) progress?.Report(new OsvImportProgress(_documents, _total));
            foreach (var what in outcome.LeftOut)
            {
                if (what == "withdrawn") _withdrawn++;
                else if (what == "no vulnerability") _notVulnerabilities++;
                else if (what.StartsWith("ecosystem ", StringComparison.Ordinal))
                    _skippedEcosystems[what["ecosystem ".Length..]] = _skippedEcosystems.GetValueOrDefault(what["ecosystem ".Length..]) + 1;
            }

            if (outcome.Advisory is not { } advisory) return;
            if (NewestModified is null || advisory.Modified > NewestModified) NewestModified = advisory.Modified;
            _advisories++;
            foreach (var package in advisory.Statements)
            {
                if (_ecosystems.Count < EcosystemsNamedMax) _ecosystems.Add(package.Product);
            }
        }

        void Skip(string path, string reason)
        {
            _skippedDocuments++;
            if (_skipped.Count < SkippedNamedMax) _skipped.Add(new OsvSkippedDocument(path, reason));
        }
    }

    /// <summary>What one document came to, passed on to the database.</summary>
    sealed class Outcome(SourceImport builder) : IFeedSink
    {
        public Advisory? Advisory { get; private set; }

        public string? Problem { get; private set; }

        public List<string> LeftOut { get; } = [];

        public void Add(Advisory advisory)
        {
            Advisory = advisory;
            builder.Add(advisory);
        }

        public void Withdraw(string feed, string id, DateTimeOffset? modified) => builder.Withdraw(feed, id, modified);

        public void Add(ExploitPrediction prediction) => builder.Add(prediction);

        public void Add(KnownExploited entry) => builder.Add(entry);

        public void Add(VexDecision decision) => builder.Add(decision);

        public void Skip(string document, string path, string reason) => Problem ??= $"{path} {reason}".TrimStart();

        public void LeaveOut(string what) => LeftOut.Add(what);
    }
}

/// <summary>What an import did. <paramref name="Documents"/> is the sum of <paramref name="Advisories"/>,
/// <paramref name="Withdrawn"/>, <paramref name="NotVulnerabilities"/> and those that affect nothing that can be matched.</summary>
/// <param name="Documents">OSV documents read.</param>
/// <param name="Advisories">Documents given to the database.</param>
/// <param name="Withdrawn">Documents that their vendor withdrew.</param>
/// <param name="NotVulnerabilities">Bug fix and enhancement advisories that name no CVE.</param>
/// <param name="SkippedEcosystems">Affected packages left out because versions of their ecosystem cannot be compared here, by ecosystem.</param>
/// <param name="SkippedDocuments">Files that could not be read as OSV.</param>
/// <param name="Skipped">The first 1,000 of those, by name.</param>
/// <param name="Ecosystems">Ecosystems that the advisories are for, such as <c>AlmaLinux:8</c>: at most 100 of them, each family in the order of its releases.</param>
public sealed record OsvImportResult(
    int Documents,
    int Advisories,
    int Withdrawn,
    int NotVulnerabilities,
    IReadOnlyDictionary<string, int> SkippedEcosystems,
    int SkippedDocuments,
    IReadOnlyList<OsvSkippedDocument> Skipped,
    IReadOnlyCollection<string> Ecosystems)
{
    /// <summary>Why documents were read and yet no advisory came of them, in words. Null when there are advisories.</summary>
    public string? WhyNoAdvisory
    {
        get
        {
            if (Advisories > 0) return null;
            var unmatched = Documents - Withdrawn - NotVulnerabilities;
            List<string> reasons = [];
            if (Withdrawn > 0) reasons.Add($"{Withdrawn} withdrawn");
            if (NotVulnerabilities > 0) reasons.Add($"{NotVulnerabilities} about bug fixes or enhancements only");
            if (unmatched > 0)
            {
                var named = SkippedEcosystems.Count > 0 ? $" (but {string.Join(", ", SkippedEcosystems.Keys.Take(5))})" : "";
                reasons.Add($"{unmatched} that name no package of a supported ecosystem{named}");
            }

            return $"of {Documents} documents: {string.Join(", ", reasons)}";
        }
    }
}

/// <summary>A file or zip entry that was left out, and why.</summary>
public sealed record OsvSkippedDocument(string Path, string Reason);

/// <param name="Documents">Read until now.</param>
/// <param name="Total">In the archive. Null for a folder.</param>
public sealed record OsvImportProgress(int Documents, int? Total);

/// <summary>Nothing could be imported. The message names the path and what is wrong with it.</summary>
public sealed class OsvFeedException : Exception
{
    public OsvFeedException(string message)
        : base(message)
    {
    }

    public OsvFeedException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
