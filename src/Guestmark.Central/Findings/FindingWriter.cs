using Dapper;
using Guestmark.Vulnerabilities;
using Microsoft.Data.Sqlite;

namespace Guestmark.Central.Findings;

/// <summary>Writes findings within one transaction, by commands that are prepared once for its hundreds of rows.</summary>
sealed class FindingWriter : IDisposable
{
    const string Columns =
        "feed, status, severity, cvss_score, cvss_vector, cves, summary, installed_version, fixed_version, erratum, erratum_url, remark, justification, evidence";

    static readonly string[] Parameters = [.. Columns.Split(", ").Select(column => "@" + column)];

    readonly AdvisoryDatabase _database;
    readonly SqliteConnection _connection;
    readonly SqliteCommand _find;
    readonly SqliteCommand _insert;
    readonly SqliteCommand _update;
    readonly SqliteCommand _link;
    readonly Dictionary<string, long> _cves = new(StringComparer.OrdinalIgnoreCase);

    /// <param name="database">Has EPSS and KEV of CVEs that come up for the first time.</param>
    public FindingWriter(SqliteConnection connection, AdvisoryDatabase database)
    {
        _connection = connection;
        _database = database;
        _find = Command("SELECT id, cves FROM findings WHERE package_id = @package AND advisory = @advisory AND ordinal = @ordinal", "@package", "@advisory", "@ordinal");
        _insert = Command(
            $"INSERT INTO findings (package_id, advisory, ordinal, {Columns}) VALUES (@package, @advisory, @ordinal, {string.Join(", ", Parameters)}) RETURNING id",
            ["@package", "@advisory", "@ordinal", .. Parameters]);
        _update = Command($"UPDATE findings SET ({Columns}) = ({string.Join(", ", Parameters)}) WHERE id = @id", ["@id", .. Parameters]);
        _link = Command("INSERT INTO finding_cves (finding_id, cve_id) VALUES (@finding, @cve) ON CONFLICT DO NOTHING", "@finding", "@cve");
    }

    /// <summary>Adds a finding, or brings the one that is stored up to date, which keeps its id.</summary>
    public void Write(long package, MatchedFinding matched)
    {
        Set(_find, package, matched);
        long? known = null;
        var cves = "";
        using (var reader = _find.ExecuteReader())
        {
            if (reader.Read()) (known, cves) = (reader.GetInt64(0), reader.GetString(1));
        }

        if (known is { } id)
        {
            _update.Parameters["@id"].Value = id;
            SetColumns(_update, matched);
            _update.ExecuteNonQuery();
            if (cves == matched.CvesJson) return;
            _connection.Execute("DELETE FROM finding_cves WHERE finding_id = @id", new { id });
        }
        else
        {
            Set(_insert, package, matched);
            SetColumns(_insert, matched);
            id = (long)_insert.ExecuteScalar()!;
        }

        _link.Parameters["@finding"].Value = id;
        foreach (var cve in matched.Cves)
        {
            _link.Parameters["@cve"].Value = CveId(cve);
            _link.ExecuteNonQuery();
        }
    }

    public void Dispose()
    {
        _find.Dispose();
        _insert.Dispose();
        _update.Dispose();
        _link.Dispose();
    }

    long CveId(string name)
    {
        if (_cves.TryGetValue(name, out var id)) return id;
        id = _connection.ExecuteScalar<long?>("SELECT id FROM cves WHERE name = @name", new { name })
            ?? _connection.ExecuteScalar<long>(
                "INSERT INTO cves (name, epss, percentile, kev) VALUES (@Name, @Epss, @Percentile, @Kev) RETURNING id", CveRow.Of(0, name, _database));
        _cves.Add(name, id);
        return id;
    }

    static void Set(SqliteCommand command, long package, MatchedFinding matched)
    {
        command.Parameters["@package"].Value = package;
        command.Parameters["@advisory"].Value = matched.AdvisoryId;
        command.Parameters["@ordinal"].Value = matched.Ordinal;
    }

    static void SetColumns(SqliteCommand command, MatchedFinding matched)
    {
        var finding = matched.Finding;
        Set("@feed", finding.Feed);
        Set("@status", (long)finding.Status);
        Set("@severity", (long)finding.Severity);
        Set("@cvss_score", finding.CvssScore);
        Set("@cvss_vector", finding.CvssVector);
        Set("@cves", matched.CvesJson);
        Set("@summary", finding.Summary);
        Set("@installed_version", finding.InstalledVersion);
        Set("@fixed_version", finding.FixedVersion);
        Set("@erratum", finding.Erratum);
        Set("@erratum_url", finding.ErratumUrl);
        Set("@remark", finding.Remark);
        Set("@justification", finding.Justification);
        Set("@evidence", matched.EvidenceJsonText);

        void Set(string name, object? value) => command.Parameters[name].Value = value ?? DBNull.Value;
    }

    SqliteCommand Command(string sql, params string[] parameters)
    {
        var command = _connection.CreateCommand();
        command.CommandText = sql;
        foreach (var parameter in parameters) command.Parameters.Add(new SqliteParameter(parameter, null));
        return command;
    }
}

/// <summary>A CVE of findings, with what the database in use knows of it.</summary>
sealed class CveRow
{
    public long Id { get; init; }

    public string Name { get; init; } = "";

    public double? Epss { get; init; }

    public double? Percentile { get; init; }

    public long Kev { get; init; }

    public static CveRow Of(long id, string name, AdvisoryDatabase database)
    {
        var prediction = database.PredictionOf(name);
        return new CveRow
        {
            Id = id,
            Name = name,
            // Of the float's decimal digits: 0.1f as a double is 0.10000000149011612.
            Epss = prediction is { } known ? (double)(decimal)known.Score : null,
            Percentile = prediction is { } other ? (double)(decimal)other.Percentile : null,
            Kev = database.KnownExploitedOf(name) is null ? 0 : 1,
        };
    }

    public bool HasSameScores(CveRow other) => Epss == other.Epss && Percentile == other.Percentile && Kev == other.Kev;
}
