using System.Text;
using Guestmark.Inventory.Sqlite;

namespace Guestmark.Inventory.Repositories;

/// <summary>Reads from the transaction history of dnf 4 or dnf 5 which repository each installed package came from.</summary>
/// <remarks>
/// Tables of dnf 4 (libdnf/transaction/sql/create.sql):
/// <code>
/// rpm(item_id, name, epoch, version, release, arch)   trans_item(id, trans_id, item_id, repo_id, action, reason, state)   repo(id, repoid)
/// action: 1 Install, 2 Downgrade, 3 Downgraded, 4 Obsolete, 5 Obsoleted, 6 Upgrade, 7 Upgraded, 8 Remove, 9 Reinstall, 10 Reinstalled,
///         11 Reason Change
/// state:  0 unknown, 1 done, 2 error
/// </code>
/// and of dnf 5 (libdnf5/transaction/db):
/// <code>
/// rpm(item_id, name_id, epoch, version, release, arch_id)   pkg_name(id, name)   arch(id, name)   repo(id, repoid)
/// trans_item(id, trans_id, item_id, repo_id, action_id, reason_id, state_id)   trans_item_action(id, name)   trans_item_state(id, name)
/// action: Install, Upgrade, Downgrade, Reinstall, Remove, Replaced, Reason Change   state: Started, Ok, Error
/// </code>
/// Both have trans(id, dt_begin, dt_end, …), in seconds since 1970; dt_end is NULL of a transaction that did not come to its end.
/// The newest item that installed a package decides; an item with an error only where no other did, because rpm also counts a failed
/// scriptlet as an error. Items are numbered in the order of time, so one pass over them is enough however long the history is.
/// A package that a later transaction removed, and whose INSTALLTIME is after the end of that one, was installed again by something else, as
/// <c>rpm -i</c>: where from nobody knows. (That a package is still there may also be a removal that failed, or another clock.)
/// </remarks>
sealed class DnfHistory
{
    // What a damaged history can be wrong in, in every row; more than this helps nobody.
    const int ProblemsMax = 20;
    const int RowBytesMax = 16 * 1024;
    internal const int IdCharsMax = 512;
    // Names of actions and states: 10 in dnf 5.
    const int NamesMax = 100;
    const int ArchitecturesMax = 1000;
    const long NoRepository = -1;
    const long Foreign = -2;
    const long NoTransaction = -1;
    const long ErrorState = 2;

    readonly InstalledPackages _packages;
    readonly Dictionary<long, int> _items = [];
    readonly long[] _repositories;
    // The transactions that installed each package, and that removed it later; NoTransaction for none.
    readonly long[] _installations;
    readonly long[] _removals;
    readonly List<string> _problems = [];
    int _unlisted;

    DnfHistory(InstalledPackages packages)
    {
        _packages = packages;
        _repositories = new long[packages.Count];
        Array.Fill(_repositories, NoRepository);
        _installations = new long[packages.Count];
        _removals = new long[packages.Count];
        Array.Fill(_installations, NoTransaction);
        Array.Fill(_removals, NoTransaction);
    }

    /// <summary>Finds the repositories of packages that have none yet. Absent is no problem.</summary>
    public static void Read(InventoryScan scan, string path, InstalledPackages packages)
    {
        if (!scan.TryOpen(path, out var opened)) return;
        using var file = opened!;
        DnfHistory? history = null;
        Dictionary<long, string>? ids = null;
        var isRead = DatabaseSnapshot.TryRead(
            scan.Root,
            file,
            snapshot =>
            {
                history = new DnfHistory(packages);
                ids = history.ReadTables(snapshot, scan.Cancellation);
            },
            problem => scan.AddProblem(path, problem));
        if (!isRead) return;
        foreach (var problem in history!._problems) scan.AddProblem(path, problem + ". Packages may lack their repository");
        if (history._unlisted > 0) scan.AddProblem(path, $"has {history._unlisted} more problems");
        if (ids is null) return;
        for (var number = 0; number < packages.Count; number++)
        {
            if (history._repositories[number] == Foreign) packages.FoundForeign(number);
            else if (ids.TryGetValue(history._repositories[number], out var id)) packages.Found(number, id, RepositoryEvidence.DnfHistory);
        }
    }

    void AddProblem(string problem)
    {
        if (_problems.Count < ProblemsMax) _problems.Add(problem);
        else _unlisted++;
    }

    /// <summary>Reads everything; the repositories by their numbers.</summary>
    Dictionary<long, string>? ReadTables(DatabaseSnapshot snapshot, CancellationToken cancellation)
    {
        if (SqliteFile.TryOpen(snapshot, AddProblem, cancellation) is not { } database) return null;
        var tables = database.FindTables("rpm", "trans_item", "repo", "pkg_name", "arch", "trans_item_action", "trans_item_state", "trans");
        if (Table(tables, "rpm") is not { } rpm || Table(tables, "trans_item") is not { } items || Table(tables, "repo") is not { } repo) return null;

        // By its tables and not by its path: dnf 5 keeps names apart.
        if (tables.TryGetValue("trans_item_action", out var actions))
        {
            if (Table(tables, "pkg_name") is not { } names || Table(tables, "arch") is not { } architectures) return null;
            ReadPackages(
                database,
                rpm,
                ReadTexts(database, names, "name", int.MaxValue, only: _packages.Names),
                ReadTexts(database, architectures, "name", ArchitecturesMax, only: null));
            var actionNames = ReadTexts(database, actions, "name", NamesMax, only: null);
            var stateNames = tables.TryGetValue("trans_item_state", out var states) ? ReadTexts(database, states, "name", NamesMax, only: null) : [];
            ReadItems(
                database,
                items,
                "action_id",
                "state_id",
                action => actionNames.GetValueOrDefault(action) is "Install" or "Upgrade" or "Downgrade" or "Reinstall",
                action => actionNames.GetValueOrDefault(action) is "Remove" or "Replaced",
                state => stateNames.GetValueOrDefault(state) is "Error");
        }
        else
        {
            ReadPackages(database, rpm, names: null, architectures: null);
            ReadItems(
                database, items, "action", "state", action => action is 1 or 2 or 4 or 6 or 9, action => action is 3 or 5 or 7 or 8, state => state == ErrorState);
        }

        if (tables.TryGetValue("trans", out var transactions)) ReadRemovals(database, transactions);

        return ReadRepositories(database, repo);
    }

    SqliteTable? Table(Dictionary<string, SqliteTable> tables, string name)
    {
        if (tables.TryGetValue(name, out var table)) return table;
        AddProblem($"has no table {name}");
        return null;
    }

    /// <summary>The rows of a table of texts by their numbers: of those in <paramref name="only"/>, or of all up to a limit.</summary>
    Dictionary<long, string> ReadTexts(SqliteFile database, SqliteTable table, string column, int rowsMax, HashSet<string>? only)
    {
        var texts = new Dictionary<long, string>();
        var lookup = only?.GetAlternateLookup<ReadOnlySpan<char>>();
        var chars = new char[IdCharsMax];
        Read(database, table, ["id", column], (row, columns) =>
        {
            if (row.Integer(columns[0]) is not { } id || row.Bytes(columns[1]) is var bytes && bytes.Length > IdCharsMax) return true;
            var text = chars.AsSpan(0, Encoding.UTF8.GetChars(bytes, chars));
            if (lookup is not { } wanted) texts[id] = text.ToString();
            else if (wanted.TryGetValue(text, out var name)) texts[id] = name;
            return texts.Count < rowsMax;
        });
        return texts;
    }

    void ReadPackages(SqliteFile database, SqliteTable table, Dictionary<long, string>? names, Dictionary<long, string>? architectures)
    {
        var isNormalised = names is not null;
        string[] wanted = ["item_id", isNormalised ? "name_id" : "name", "epoch", "version", "release", isNormalised ? "arch_id" : "arch"];
        Read(database, table, wanted, (row, columns) =>
        {
            if (row.Integer(columns[0]) is not { } item) return true;
            int number;
            if (isNormalised)
            {
                if (!names!.TryGetValue(row.Integer(columns[1]) ?? 0, out var name)) return true;
                if (!architectures!.TryGetValue(row.Integer(columns[5]) ?? 0, out var architecture)) return true;
                number = _packages.Find(name, row.Integer(columns[2]) ?? 0, row.Bytes(columns[3]), row.Bytes(columns[4]), architecture);
            }
            else
            {
                number = _packages.Find(
                    row.Bytes(columns[1]), row.Integer(columns[2]) ?? 0, row.Bytes(columns[3]), row.Bytes(columns[4]), row.Bytes(columns[5]));
            }

            if (number >= 0) _items[item] = number;
            return true;
        });
    }

    void ReadItems(
        SqliteFile database, SqliteTable table, string action, string state, Func<long, bool> isInstalling, Func<long, bool> isRemoving, Func<long, bool> isError)
    {
        // Histories of the first versions of dnf 4 have no state.
        var stateColumn = table.Column(state);
        Read(database, table, ["item_id", "repo_id", action, "trans_id"], (row, columns) =>
        {
            if (row.Integer(columns[0]) is not { } item || !_items.TryGetValue(item, out var number)) return true;
            if (row.Integer(columns[2]) is not { } done) return true;
            var transaction = row.Integer(columns[3]) ?? NoTransaction;
            var hasError = row.Integer(stateColumn) is { } reached && isError(reached);
            ref var newest = ref _repositories[number];
            if (isInstalling(done) && row.Integer(columns[1]) is { } repository)
            {
                if (newest != NoRepository && _removals[number] == NoTransaction && hasError) return true;
                newest = repository;
                _installations[number] = transaction;
                _removals[number] = NoTransaction;
            }
            else if (isRemoving(done) && !hasError && transaction != _installations[number])
            {
                // dnf 5 names the package that it reinstalls twice in one transaction: that is no removal.
                _removals[number] = transaction;
            }

            return true;
        });
    }

    /// <summary>Takes the repository from packages that came back after they were removed.</summary>
    void ReadRemovals(SqliteFile database, SqliteTable table)
    {
        var wanted = new HashSet<long>(_removals);
        wanted.Remove(NoTransaction);
        if (wanted.Count == 0) return;
        var ends = new Dictionary<long, long>();
        Read(database, table, ["id", "dt_end"], (row, columns) =>
        {
            if (row.Integer(columns[0]) is { } id && wanted.Contains(id) && row.Integer(columns[1]) is { } end) ends[id] = end;
            return true;
        });
        for (var number = 0; number < _removals.Length; number++)
        {
            if (!ends.TryGetValue(_removals[number], out var end) || _packages.InstallTimeOf(number) is not { } installed || installed <= end) continue;
            _repositories[number] = Foreign;
        }
    }

    Dictionary<long, string> ReadRepositories(SqliteFile database, SqliteTable table)
    {
        var wanted = new HashSet<long>(_repositories);
        var ids = new Dictionary<long, string>();
        Read(database, table, ["id", "repoid"], (row, columns) =>
        {
            if (row.Integer(columns[0]) is { } id && wanted.Contains(id) && row.Bytes(columns[1]) is { Length: > 0 and <= IdCharsMax } text)
                ids[id] = Encoding.UTF8.GetString(text);
            return true;
        });
        return ids;
    }

    /// <summary>Reads a table whose rows have the columns.</summary>
    void Read(SqliteFile database, SqliteTable table, string[] names, Func<SqliteRow, int[], bool> onRow)
    {
        var columns = new int[names.Length];
        for (var i = 0; i < names.Length; i++)
        {
            columns[i] = table.Column(names[i]);
            if (columns[i] >= 0) continue;
            AddProblem($"has a table {table.Name} without the column {names[i]}");
            return;
        }

        database.Read(table, row =>
        {
            if ((row.Decode(table.ColumnCount) ?? row.Join(RowBytesMax)) is not { } error) return onRow(row, columns);
            AddProblem($"row {row.Rowid} of the table {table.Name} {error}");
            return true;
        });
    }
}
