using System.Globalization;
using System.Reflection;
using Dapper;
using Microsoft.Data.Sqlite;

namespace Guestmark.Central.Storage;

/// <summary>
/// Central's SQLite database: one writer, whose transactions follow one another, and as many readers as are asked for, which see
/// the last committed state and never wait for the writer (write-ahead log).
/// </summary>
/// <remarks>
/// <c>synchronous=FULL</c> makes a commit wait for the disk: what was committed survives a power failure, which is what the
/// acknowledgement of an event promises.
/// </remarks>
public sealed class CentralStore : IDisposable
{
    const string MigrationPrefix = "migrations/";

    readonly SemaphoreSlim _writing = new(1, 1);
    readonly string _writerConnectionString;
    readonly string _path;
    readonly string _readerConnectionString;
    SqliteConnection? _writer;
    bool _disposed;

    CentralStore(string path, SqliteConnection writer, string writerConnectionString, string readerConnectionString)
    {
        _path = path;
        _writer = writer;
        _writerConnectionString = writerConnectionString;
        _readerConnectionString = readerConnectionString;
    }

    /// <summary>Opens the database at <paramref name="path"/>, makes it when it is absent, and brings its schema up to date.</summary>
    /// <exception cref="CentralStoreException">The file cannot be opened, is damaged, or is of a newer version.</exception>
    public static CentralStore Open(string path)
    {
        SqliteLibrary.Load();
        var text = new SqliteConnectionStringBuilder { DataSource = path, ForeignKeys = true, Pooling = false };
        var writer = new SqliteConnection(text.ToString());
        try
        {
            OpenWriter(writer);
            Migrate(writer, path);
            ReadEveryTable(writer);
        }
        catch (SqliteException e)
        {
            writer.Dispose();
            throw IsDamage(e) ? Damaged(path, e) : new CentralStoreException(
                $"cannot open the database '{path}': {e.Message}. Check that the file and its folder belong to this user, and that the disk is " +
                "neither full nor read-only", e);
        }
        catch
        {
            writer.Dispose();
            throw;
        }

        // A file that was removed meanwhile is not made anew, without tables, by opening it again.
        text.Mode = SqliteOpenMode.ReadWrite;
        var reopened = text.ToString();
        text.Mode = SqliteOpenMode.ReadOnly;
        text.Pooling = true;
        return new CentralStore(path, writer, reopened, text.ToString());
    }

    /// <summary>Runs <paramref name="body"/> in a transaction of its own and commits it. When it throws nothing is changed.</summary>
    /// <exception cref="CentralStoreException">The file is damaged.</exception>
    public async ValueTask<T> WriteAsync<T>(Func<SqliteConnection, T> body, CancellationToken cancellationToken)
    {
        await _writing.WaitAsync(cancellationToken);
        var committed = false;
        try
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            _writer ??= OpenWriter(new SqliteConnection(_writerConnectionString));
            // Not deferred: the lock is taken at the start, so that a read cannot be overtaken before the write that depends on it.
            _writer.Execute("BEGIN IMMEDIATE");
            var result = body(_writer);
            _writer.Execute("COMMIT");
            committed = true;
            return result;
        }
        catch (SqliteException e) when (IsDamage(e))
        {
            throw Damaged(_path, e);
        }
        finally
        {
            // SQLite may have rolled back by itself, as it does on a full disk (https://www.sqlite.org/lang_transaction.html, "Response To
            // Errors Within A Transaction"), or not. A closed connection has no transaction in either case.
            if (!committed) DiscardWriter();
            _writing.Release();
        }
    }

    /// <summary>A pooled read-only connection. The caller disposes of it.</summary>
    public SqliteConnection OpenReader()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        var connection = new SqliteConnection(_readerConnectionString);
        try
        {
            connection.Open();
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Throws when the database cannot be read.</summary>
    internal async Task CheckAsync(CancellationToken cancellationToken) =>
        await QueryAsync<long>("SELECT count(*) FROM (SELECT 1 FROM machines LIMIT 1)", new { }, cancellationToken);

    /// <summary>The rows of one query, each of which maps column names to the properties of <typeparamref name="T"/>.</summary>
    /// <exception cref="CentralStoreException">The file is damaged.</exception>
    internal async Task<List<T>> QueryAsync<T>(string sql, object parameters, CancellationToken cancellationToken)
    {
        try
        {
            await using var connection = OpenReader();
            return [.. await connection.QueryAsync<T>(new CommandDefinition(sql, parameters, cancellationToken: cancellationToken))];
        }
        catch (SqliteException e) when (IsDamage(e))
        {
            throw Damaged(_path, e);
        }
    }

    public void Dispose()
    {
        if (_disposed) return;
        _writing.Wait();
        _disposed = true;
        DiscardWriter();
        using (var pooled = new SqliteConnection(_readerConnectionString)) SqliteConnection.ClearPool(pooled);
        _writing.Release();
    }

    static SqliteConnection OpenWriter(SqliteConnection connection)
    {
        try
        {
            connection.Open();
            connection.Execute("PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    void DiscardWriter()
    {
        try
        {
            _writer?.Dispose();
        }
        catch (SqliteException)
        {
            // Nothing is lost: what was committed is in the log beside the file, which the next connection reads.
        }

        _writer = null;
    }

    /// <summary>SQLITE_CORRUPT and SQLITE_NOTADB (https://www.sqlite.org/rescode.html).</summary>
    static bool IsDamage(SqliteException e) => e.SqliteErrorCode is 11 or 26;

    static CentralStoreException Damaged(string path, SqliteException e) => new(
        $"the database '{path}' is damaged: {e.Message}. Stop Central and restore the file from a backup without the files '-wal' and '-shm' " +
        "beside it, or move all three away to start with an empty one", e);

    /// <summary>
    /// Finds a file that is cut short or overwritten at the start, instead of at the first request. A check of every page would take
    /// minutes in a large database; what damage it would find is found when the page is read.
    /// </summary>
    static void ReadEveryTable(SqliteConnection connection)
    {
        foreach (var table in connection.Query<string>("SELECT name FROM sqlite_schema WHERE type = 'table'").ToList())
            connection.ExecuteScalar<long>($"SELECT count(*) FROM (SELECT 1 FROM \"{table.Replace("\"", "\"\"")}\" LIMIT 1)");
    }

    static void Migrate(SqliteConnection connection, string path)
    {
        var migrations = Migrations();
        var version = connection.ExecuteScalar<int>("PRAGMA user_version");
        if (version > migrations.Count)
        {
            throw new CentralStoreException(
                $"the database '{path}' has schema version {version}, this program knows up to {migrations.Count}: " +
                "run the version of Guestmark that wrote it, or restore the backup from before the upgrade");
        }

        for (; version < migrations.Count; version++)
        {
            using var transaction = connection.BeginTransaction(deferred: false);
            connection.Execute(migrations[version]);
            connection.Execute($"PRAGMA user_version = {(version + 1).ToString(CultureInfo.InvariantCulture)}");
            transaction.Commit();
        }
    }

    /// <summary>The SQL of Migrations/NNN.sql in order; number n brings version n-1 to n.</summary>
    static List<string> Migrations()
    {
        var assembly = Assembly.GetExecutingAssembly();
        return [.. assembly.GetManifestResourceNames()
            .Where(name => name.StartsWith(MigrationPrefix, StringComparison.Ordinal))
            .Order(StringComparer.Ordinal)
            .Select(name =>
            {
                using var reader = new StreamReader(assembly.GetManifestResourceStream(name)!);
                return reader.ReadToEnd();
            })];
    }
}
