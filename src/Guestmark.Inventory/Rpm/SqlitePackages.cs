using Guestmark.Inventory.Sqlite;

namespace Guestmark.Inventory.Rpm;

/// <summary>Reads <c>rpmdb.sqlite</c> of rpm 4.16 and later.</summary>
/// <remarks>
/// <c>CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)</c>: the number of a header and the header.
/// The other tables are indexes of these headers.
/// </remarks>
static class SqlitePackages
{
    public const string Backend = "sqlite";

    const string TableName = "Packages";

    public static ReadOnlySpan<byte> Magic => SqliteFile.Magic;

    /// <summary>Reads all headers of a file that begins with <see cref="Magic"/>.</summary>
    /// <exception cref="IOException">The disk does not give a file.</exception>
    public static DatabaseContents Read(DatabaseSnapshot snapshot, PackageRequest request, CancellationToken cancellation)
    {
        var contents = new DatabaseContents(Backend, request);
        if (SqliteFile.TryOpen(snapshot, contents.AddProblem, cancellation) is not { } database) return contents;
        if (!database.FindTables(TableName).TryGetValue(TableName, out var table))
        {
            contents.AddProblem($"has no table {TableName}");
            return contents;
        }

        var column = table.Column("blob");
        if (column < 0)
        {
            contents.AddProblem($"has a table {TableName} without the column blob");
            return contents;
        }

        var pool = new TextPool();
        database.Read(table, row =>
        {
            var number = (uint)Math.Clamp(row.Rowid, 0, uint.MaxValue);
            if (row.Decode(column + 1) is { } error) contents.AddProblem($"header {number} {error}");
            else if (!row.IsBlob(column)) contents.AddProblem($"header {number} is not a blob");
            else if (row.SkipTo(column) is var length && length != row.Length)
                contents.AddProblem($"header {number} has a blob of {length} bytes before {row.Length - length} others");
            else contents.Add(row, number, pool);
            return !contents.IsFull;
        });
        return contents;
    }
}
