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
    readonly SqliteConnection _writer;
    readonly string _readerConnectionString;
    bool _disposed;

    CentralStore(SqliteConnection writer, string readerConnectionString)
    {
        _writer = writer;
        _readerConnectionString = readerConnectionString;
    }

    /// <summary>Opens the database at <paramref name="path"/>, makes it when it is absent, and brings its schema up to date.</summary>
    /// <exception cref="CentralStoreException">The file cannot be opened, is no database, or is of a newer version.</exception>
    public static CentralStore Open(string path)
    {
        SqliteLibrary.Load();
        var text = new SqliteConnectionStringBuilder { DataSource = path, ForeignKeys = true, Pooling = false };
        var writer = new SqliteConnection(text.ToString());
        try
        {
            writer.Open();
            writer.Execute("PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
            Migrate(writer, path);
        }
        catch (SqliteException e)
        {
            writer.Dispose();
            throw new CentralStoreException(
                $"cannot open the database '{path}': {e.Message}. Check that the file is writable; if it is damaged, restore it from a backup, " +
                "or move it away to start with an empty one", e);
        }
        catch
        {
            writer.Dispose();
            throw;
        }

        text.Mode = SqliteOpenMode.ReadOnly;
        text.Pooling = true;
        return new CentralStore(writer, text.ToString());
    }

    /// <summary>Runs <paramref name="body"/> in a transaction of its own and commits it. When it throws nothing is changed.</summary>
    public async ValueTask<T> WriteAsync<T>(Func<SqliteConnection, T> body, CancellationToken cancellationToken)
    {
        await _writing.WaitAsync(cancellationToken);
        try
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            // Not deferred: the lock is taken at the start, so that a read cannot be overtaken before the write that depends on it.
            using var transaction = _writer.BeginTransaction(deferred: false);
            var result = body(_writer);
            transaction.Commit();
            return result;
        }
        finally
        {
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
    internal async Task<List<T>> QueryAsync<T>(string sql, object parameters, CancellationToken cancellationToken)
    {
        await using var connection = OpenReader();
        return [.. await connection.QueryAsync<T>(new CommandDefinition(sql, parameters, cancellationToken: cancellationToken))];
    }

    public void Dispose()
    {
        if (_disposed) return;
        _writing.Wait();
        _disposed = true;
        _writer.Dispose();
        using (var pooled = new SqliteConnection(_readerConnectionString)) SqliteConnection.ClearPool(pooled);
        _writing.Release();
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
