using System.Reflection;
using System.Runtime.InteropServices;
using SQLitePCL;

namespace Guestmark.Central.Storage;

/// <summary>
/// Lets Microsoft.Data.Sqlite use the system's SQLite, which the distribution maintains. The provider asks for a library
/// "e_sqlite3", the name of a bundled build that is not part of this product.
/// </summary>
static class SqliteLibrary
{
    static readonly Lock Gate = new();
    static bool _loaded;

    public static void Load()
    {
        lock (Gate)
        {
            if (_loaded) return;
            NativeLibrary.SetDllImportResolver(typeof(SQLite3Provider_e_sqlite3).Assembly, Resolve);
            raw.SetProvider(new SQLite3Provider_e_sqlite3());
            _loaded = true;
        }
    }

    static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path)
    {
        if (name != "e_sqlite3") return 0;
        foreach (var candidate in (ReadOnlySpan<string>)["libsqlite3.so.0", "libsqlite3.dylib", "winsqlite3"])
        {
            if (NativeLibrary.TryLoad(candidate, out var handle)) return handle;
        }

        throw new CentralStoreException("SQLite is not installed: install the system's library (package libsqlite3-0 or sqlite-libs)");
    }
}
