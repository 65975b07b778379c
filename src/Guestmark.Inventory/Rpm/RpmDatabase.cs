using System.Buffers.Binary;

namespace Guestmark.Inventory.Rpm;

/// <summary>Reads one rpm database of any backend, while rpm may be writing it.</summary>
static class RpmDatabase
{
    const int MagicBytes = 16;

    /// <summary>Reads the packages of all headers.</summary>
    /// <param name="file">The database. Its backend is told from its first bytes, not from its name.</param>
    public static DatabaseContents Read(GuestRoot root, GuestFile file, PackageRequest request, CancellationToken cancellation)
    {
        DatabaseContents? contents = null;
        var problems = new List<string>();
        var isRead = DatabaseSnapshot.TryRead(root, file, snapshot => contents = ReadOnce(snapshot, request, cancellation), problems.Add);
        if (!isRead || contents is null) contents = new DatabaseContents(backend: null, request);
        foreach (var problem in problems) contents.AddProblem(problem);
        return contents;
    }

    static DatabaseContents ReadOnce(DatabaseSnapshot snapshot, PackageRequest request, CancellationToken cancellation)
    {
        var file = snapshot.File;
        var size = file.Status.Size;
        var magic = new FileWindow(file.Handle, size, MagicBytes).Read(0, MagicBytes);
        if (magic.SequenceEqual(SqlitePackages.Magic)) return SqlitePackages.Read(snapshot, request, cancellation);
        if (magic.StartsWith(NdbDatabase.Magic)) return NdbDatabase.Read(file, request, cancellation);
        if (magic.Length > 0
            && (BinaryPrimitives.ReadUInt32LittleEndian(magic[12..]) == BerkeleyHash.Magic
                || BinaryPrimitives.ReadUInt32BigEndian(magic[12..]) == BerkeleyHash.Magic))
            return BerkeleyHash.Read(file, request, cancellation);

        var unknown = new DatabaseContents(backend: null, request);
        unknown.AddProblem(size switch
        {
            0 => "is empty. If rpm -qa lists packages, another database is in use",
            < MagicBytes => $"has only {size} bytes. Restore it with rpm --rebuilddb",
            _ => "is not an rpm database: it begins neither as Berkeley DB hash nor as ndb nor as SQLite. "
                + "Check it with rpm -qa, and restore it with rpm --rebuilddb",
        });
        return unknown;
    }
}
