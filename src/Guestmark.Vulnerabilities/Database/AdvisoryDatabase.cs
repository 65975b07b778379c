using System.Runtime.InteropServices;
using System.Text;
using Guestmark.Inventory;

namespace Guestmark.Vulnerabilities;

/// <summary>Advisories, indexed by ecosystem and package name. Immutable, safe for any number of threads.</summary>
/// <remarks>
/// The whole database is in memory: all text is one string that the tables point into, so its cost is near the file's size and it
/// adds few objects for the garbage collector to follow.
/// </remarks>
public sealed class AdvisoryDatabase
{
    /// <summary>Longest <c>ecosystem:release</c> of a machine; os-release comes from guests and may hold anything.</summary>
    internal const int EcosystemNameMax = 64;

    readonly string _text;
    readonly int[] _textStarts;
    readonly int[] _cves;
    readonly int[] _streams;
    readonly AdvisoryRow[] _advisories;
    readonly CandidateRow[] _candidates;
    readonly IntervalRow[] _intervals;
    readonly Dictionary<string, EcosystemIndex> _ecosystems = new(StringComparer.Ordinal);

    AdvisoryDatabase(ReadOnlySpan<byte> body)
    {
        var reader = new AdvisoryDatabaseReader(body);
        Revision = Convert.ToHexStringLower(reader.Bytes(AdvisoryDatabaseFormat.HashBytes));
        var sources = new List<AdvisorySource>();
        for (var count = reader.Count(); count > 0; count--)
            sources.Add(new AdvisorySource(reader.Text(), reader.Text(), reader.Number(), reader.Time()));
        Sources = sources;

        (_text, _textStarts) = ReadStrings(ref reader);
        _cves = ReadIndexes(ref reader, _textStarts.Length - 1);
        _streams = ReadIndexes(ref reader, _textStarts.Length - 1);
        _advisories = ReadAdvisories(ref reader);
        (_candidates, _intervals) = ReadPackages(ref reader);
        if (!reader.AtEnd) throw new AdvisoryDatabaseException("is malformed: bytes follow its end");
        AdvisoryCount = _advisories.Select(row => (row.Feed, row.Id)).Distinct().Count();
    }

    /// <summary>A database without advisories, which covers no machine.</summary>
    public static AdvisoryDatabase Empty { get; } = new AdvisoryDatabaseBuilder().Build();

    /// <summary>Changes exactly when the content does: 64 hexadecimal digits. Where it was imported from is not content.</summary>
    public string Revision { get; }

    /// <summary>The imports that the database was built from.</summary>
    public IReadOnlyList<AdvisorySource> Sources { get; }

    /// <summary>Distinct advisory ids.</summary>
    public int AdvisoryCount { get; }

    /// <summary>Ecosystems (<c>AlmaLinux:8</c>) of which there is an advisory, in ascending order.</summary>
    public IReadOnlyList<string> Ecosystems => [.. _ecosystems.Keys.Order(StringComparer.Ordinal)];

    /// <summary>Whether there is any advisory for machines with this system. Without, no finding says nothing about a machine.</summary>
    public bool Covers(OsRelease os) => FindEcosystem(os) is not null;

    /// <summary>Reads a database that <see cref="AdvisoryDatabaseBuilder.Write"/> wrote.</summary>
    /// <exception cref="AdvisoryDatabaseException">The file cannot be read, is of another version, cut or damaged.</exception>
    public static AdvisoryDatabase Open(string path)
    {
        try
        {
            var length = new FileInfo(path).Length;
            if (length > AdvisoryDatabaseFormat.HeaderBytes + (long)AdvisoryDatabaseFormat.BodyBytesMax)
                throw new AdvisoryDatabaseException($"has {length} bytes, limit {AdvisoryDatabaseFormat.BodyBytesMax}");
            return Read(AdvisoryDatabaseFormat.Unseal(File.ReadAllBytes(path)).Span);
        }
        catch (AdvisoryDatabaseException e)
        {
            throw new AdvisoryDatabaseException($"{path}: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new AdvisoryDatabaseException($"{path}: {e.Message}", e);
        }
    }

    internal static AdvisoryDatabase Read(ReadOnlySpan<byte> body) => new(body);

    internal EcosystemIndex? FindEcosystem(OsRelease os)
    {
        Span<char> name = stackalloc char[EcosystemNameMax];
        var length = Ecosystem.NameOf(os, name);
        return length > 0 && _ecosystems.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(name[..length], out var index) ? index : null;
    }

    internal ReadOnlySpan<CandidateRow> Candidates(EcosystemIndex ecosystem, string package) =>
        ecosystem.Packages.TryGetValue(package, out var range) ? _candidates.AsSpan(range.Start, range.Count) : default;

    internal ReadOnlySpan<IntervalRow> Intervals(in CandidateRow candidate) => _intervals.AsSpan(candidate.IntervalStart, candidate.IntervalCount);

    internal ref readonly AdvisoryRow Advisory(in CandidateRow candidate) => ref _advisories[candidate.Advisory];

    internal ReadOnlySpan<int> Cves(in AdvisoryRow advisory) => _cves.AsSpan(advisory.CveStart, advisory.CveCount);

    internal ReadOnlySpan<int> Streams(in AdvisoryRow advisory) => _streams.AsSpan(advisory.StreamStart, advisory.StreamCount);

    internal ReadOnlySpan<char> Text(int index) => _text.AsSpan(_textStarts[index].._textStarts[index + 1]);

    static (string Text, int[] Starts) ReadStrings(ref AdvisoryDatabaseReader reader)
    {
        var count = reader.Count();
        var starts = new int[count + 1];
        var text = new StringBuilder();
        for (var i = 0; i < count; i++)
        {
            text.Append(reader.Text());
            starts[i + 1] = text.Length;
        }

        if (count == 0 || starts[1] != 0) throw new AdvisoryDatabaseException("is malformed: string 0 is not empty");
        return (text.ToString(), starts);
    }

    static int[] ReadIndexes(ref AdvisoryDatabaseReader reader, int limit)
    {
        var indexes = new int[reader.Count()];
        for (var i = 0; i < indexes.Length; i++) indexes[i] = reader.IndexBelow(limit);
        return indexes;
    }

    AdvisoryRow[] ReadAdvisories(ref AdvisoryDatabaseReader reader)
    {
        var strings = _textStarts.Length - 1;
        var rows = new AdvisoryRow[reader.Count()];
        var cves = 0;
        var streams = 0;
        for (var i = 0; i < rows.Length; i++)
        {
            rows[i] = new AdvisoryRow
            {
                Feed = reader.IndexBelow(strings),
                Id = reader.IndexBelow(strings),
                Summary = reader.IndexBelow(strings),
                Severity = reader.Byte() is <= (byte)Severity.Critical and var severity
                    ? (Severity)severity
                    : throw AdvisoryDatabaseReader.Malformed("a severity"),
                ScoreTenths = reader.Byte(),
                Vector = reader.IndexBelow(strings),
                Url = reader.IndexBelow(strings),
                Published = reader.Time(),
                Modified = reader.Time(),
                CveStart = cves,
                CveCount = reader.IndexBelow(_cves.Length - cves + 1),
                StreamStart = streams,
                StreamCount = reader.IndexBelow(_streams.Length - streams + 1),
            };
            cves += rows[i].CveCount;
            streams += rows[i].StreamCount;
        }

        return rows;
    }

    (CandidateRow[] Candidates, IntervalRow[] Intervals) ReadPackages(ref AdvisoryDatabaseReader reader)
    {
        var strings = _textStarts.Length - 1;
        var candidates = new List<CandidateRow>();
        var intervals = new List<IntervalRow>();
        EcosystemIndex? ecosystem = null;
        for (var packages = reader.Count(); packages > 0; packages--)
        {
            var ecosystemName = Text(reader.IndexBelow(strings));
            var name = Text(reader.IndexBelow(strings)).ToString();
            if (ecosystem is null || !ecosystemName.SequenceEqual(ecosystem.Name))
            {
                var family = Ecosystem.Find(ecosystemName)
                    ?? throw new AdvisoryDatabaseException($"is malformed: unknown ecosystem '{ecosystemName}'");
                ecosystem = new EcosystemIndex(ecosystemName.ToString(), family);
                if (!_ecosystems.TryAdd(ecosystem.Name, ecosystem))
                    throw new AdvisoryDatabaseException("is malformed: its packages are not sorted");
            }

            var start = candidates.Count;
            var count = reader.Count();
            if (!ecosystem.Packages.TryAdd(name, (start, count))) throw new AdvisoryDatabaseException("is malformed: a package occurs twice");
            for (var i = 0; i < count; i++)
            {
                var advisory = reader.IndexBelow(_advisories.Length);
                var modular = reader.Byte() != 0;
                var intervalCount = reader.Count();
                candidates.Add(new CandidateRow(advisory, modular, intervals.Count, intervalCount));
                for (; intervalCount > 0; intervalCount--)
                {
                    intervals.Add(new IntervalRow(
                        reader.IndexBelow(strings),
                        reader.IndexBelow(strings),
                        reader.Byte() is <= (byte)IntervalEnd.LastAffected and var kind
                            ? (IntervalEnd)kind
                            : throw AdvisoryDatabaseReader.Malformed("an interval")));
                }
            }
        }

        return ([.. candidates], [.. intervals]);
    }
}

/// <summary>Packages of one ecosystem that have advisories, with where their candidates are.</summary>
sealed class EcosystemIndex(string name, Ecosystem family)
{
    public string Name { get; } = name;

    public Ecosystem Family { get; } = family;

    public Dictionary<string, (int Start, int Count)> Packages { get; } = new(StringComparer.Ordinal);
}

/// <summary>One advisory in one ecosystem. Numbers without another meaning are indexes of strings, 0 when absent.</summary>
readonly record struct AdvisoryRow
{
    public required int Feed { get; init; }

    public required int Id { get; init; }

    public required int Summary { get; init; }

    public required Severity Severity { get; init; }

    /// <summary>255: none.</summary>
    public required byte ScoreTenths { get; init; }

    public required int Vector { get; init; }

    public required int Url { get; init; }

    public required DateTimeOffset? Published { get; init; }

    public required DateTimeOffset? Modified { get; init; }

    public required int CveStart { get; init; }

    public required int CveCount { get; init; }

    public required int StreamStart { get; init; }

    public required int StreamCount { get; init; }
}

/// <summary>An advisory that may apply to a package: the builds of modules among its fixes, or the others.</summary>
[StructLayout(LayoutKind.Auto)]
readonly record struct CandidateRow(int Advisory, bool Modular, int IntervalStart, int IntervalCount);

[StructLayout(LayoutKind.Auto)]
readonly record struct IntervalRow(int Introduced, int End, IntervalEnd Kind);
