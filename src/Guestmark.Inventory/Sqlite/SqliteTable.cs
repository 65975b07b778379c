namespace Guestmark.Inventory.Sqlite;

/// <summary>A table by its row of sqlite_schema.</summary>
sealed class SqliteTable
{
    // As many as a row can tell apart (SqliteRow). A table of ours has at most 10.
    const int ColumnsMax = 64;

    readonly List<string> _columns = [];

    SqliteTable(string name, uint root)
    {
        Name = name;
        Root = root;
    }

    public string Name { get; }

    /// <summary>The page on which its tree begins.</summary>
    public uint Root { get; }

    /// <summary>The column that stands for the rowid; -1 when there is none.</summary>
    public int RowidColumn { get; private set; } = -1;

    public int ColumnCount => _columns.Count;

    /// <summary>Index of a column, whose case does not matter; -1 when there is none.</summary>
    public int Column(string name) => _columns.FindIndex(column => column.Equals(name, StringComparison.OrdinalIgnoreCase));

    /// <summary>Takes the columns from the statement that made the table. One that is not understood gives those before the odd part.</summary>
    /// <remarks>
    /// <code>
    /// CREATE TABLE name ( definition , … )
    /// definition = column [type] [constraint…] | [CONSTRAINT name] PRIMARY KEY ( column , … ) | other constraint
    /// </code>
    /// A column of the type INTEGER, and of no other, that alone is the primary key stands for the rowid
    /// (https://www.sqlite.org/lang_createtable.html#rowid).
    /// </remarks>
    public static SqliteTable Parse(string name, uint root, string sql)
    {
        var table = new SqliteTable(name, root);
        var tokens = new Tokens(sql);
        while (tokens.Next())
        {
            if (tokens.IsSymbol('(')) break;
        }

        var integers = new List<bool>();
        var keyColumn = "";
        while (table._columns.Count < ColumnsMax && tokens.Next() && !tokens.IsSymbol(')'))
        {
            // A name in quotes is never a keyword.
            if (!tokens.IsQuoted && tokens.Is("CONSTRAINT"))
            {
                tokens.Next();
                tokens.Next();
            }

            if (!tokens.IsQuoted && (tokens.Is("PRIMARY") || tokens.Is("UNIQUE") || tokens.Is("CHECK") || tokens.Is("FOREIGN")))
            {
                if (KeyConstraint(ref tokens) is { } key) keyColumn = key;
            }
            else
            {
                table._columns.Add(tokens.Text.ToString());
                integers.Add(Definition(ref tokens, out var isKey));
                if (isKey) keyColumn = table._columns[^1];
            }

            if (!tokens.IsSymbol(',')) break;
        }

        var index = keyColumn.Length == 0 ? -1 : table.Column(keyColumn);
        if (index >= 0 && integers[index]) table.RowidColumn = index;
        return table;
    }

    /// <summary>Reads the rest of a column's definition. True when its type is INTEGER.</summary>
    static bool Definition(ref Tokens tokens, out bool isKey)
    {
        isKey = false;
        var isInteger = false;
        var position = 0;
        for (var depth = 0; tokens.Next(); position++)
        {
            if (tokens.IsSymbol('(')) depth++;
            else if (tokens.IsSymbol(')') && depth-- == 0) break;
            else if (tokens.IsSymbol(',') && depth == 0) break;
            else if (depth > 0) continue;
            else if (position == 0) isInteger = tokens.Is("INTEGER");
            else if (tokens.Is("PRIMARY")) isKey = true;
            // "INTEGER PRIMARY KEY DESC" is the exception that SQLite keeps for compatibility.
            else if (isKey && tokens.Is("DESC")) isKey = false;
        }

        return isInteger;
    }

    /// <summary>Reads the rest of a table's constraint. The one column of PRIMARY KEY; null for several columns and for other constraints.</summary>
    static string? KeyConstraint(ref Tokens tokens)
    {
        var isKey = tokens.Is("PRIMARY");
        string? column = null;
        var columns = 0;
        for (var depth = 0; tokens.Next();)
        {
            if (tokens.IsSymbol('('))
            {
                if (++depth == 1 && tokens.Next())
                {
                    column = tokens.Text.ToString();
                    columns++;
                }
            }
            else if (tokens.IsSymbol(')') && depth-- == 0) break;
            else if (tokens.IsSymbol(','))
            {
                if (depth == 0) break;
                columns++;
            }
        }

        return isKey && columns == 1 ? column : null;
    }

    /// <summary>Words, names in quotes, numbers and symbols of SQL, without comments.</summary>
    ref struct Tokens(string sql)
    {
        int _position;

        public ReadOnlySpan<char> Text { get; private set; }

        public bool IsQuoted { get; private set; }

        public readonly bool Is(string word) => Text.Equals(word, StringComparison.OrdinalIgnoreCase);

        public readonly bool IsSymbol(char symbol) => !IsQuoted && Text.Length == 1 && Text[0] == symbol;

        public bool Next()
        {
            Text = default;
            IsQuoted = false;
            while (_position < sql.Length)
            {
                var rest = sql.AsSpan(_position);
                if (char.IsWhiteSpace(rest[0])) _position++;
                else if (rest.StartsWith("--")) Skip(rest.IndexOf('\n'), 1);
                else if (rest.StartsWith("/*")) Skip(rest[2..].IndexOf("*/"), 4);
                else break;
            }

            if (_position == sql.Length) return false;
            var start = _position;
            var close = sql[start] switch { '"' => '"', '\'' => '\'', '`' => '`', '[' => ']', _ => '\0' };
            if (close != '\0')
            {
                // A doubled quote is one of the name; no column of ours has one, so the name simply ends there.
                var length = sql.AsSpan(start + 1).IndexOf(close);
                if (length < 0) length = sql.Length - start - 1;
                Text = sql.AsSpan(start + 1, length);
                IsQuoted = true;
                _position = Math.Min(start + length + 2, sql.Length);
                return true;
            }

            _position++;
            if (IsWord(sql[start]))
            {
                while (_position < sql.Length && IsWord(sql[_position])) _position++;
            }

            Text = sql.AsSpan(start, _position - start);
            return true;
        }

        static bool IsWord(char next) => char.IsAsciiLetterOrDigit(next) || next is '_' or '$' || next >= 0x80;

        void Skip(int length, int delimiters) => _position = length < 0 ? sql.Length : Math.Min(_position + length + delimiters, sql.Length);
    }
}
