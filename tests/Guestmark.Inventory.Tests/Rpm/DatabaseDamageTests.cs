using Guestmark.TestKit;
using Microsoft.Win32.SafeHandles;

namespace Guestmark.Inventory.Tests.Rpm;

/// <summary>Every real database with damage, many times: headers or problems, never an exception, within time and memory.</summary>
[Collection(nameof(RealDatabases))]
public sealed class DatabaseDamageTests(RealDatabases databases)
{
    const int PageBytes = 4096;

    [TestDataTheory]
    [MemberData(nameof(RealDatabases.Names), MemberType = typeof(RealDatabases))]
    public void Any_damage_gives_headers_or_problems(string name)
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("database");
        File.Copy(databases.DatabaseFile(name), path);
        var original = File.ReadAllBytes(path);
        var roots = HashOrTreePages(original);
        var random = new Random(20260104);
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite);
        for (var i = Damage.Inputs(100); i > 0; i--)
        {
            // Writing 26 MB for each case would take all the time: only what is damaged is written, and put back.
            var changes = new List<(int Offset, int Length)>();
            for (var count = random.Next(1, 5); count > 0; count--) changes.Add(ChangeSomewhere(file, original, roots, random));
            if (random.Next(8) == 0) RandomAccess.SetLength(file, random.Next(original.Length));

            Damage.AssertBounded(() => Databases.Read(path, (_, name) => name.Length % 2 == 0, dependencies: true), original.Length, $"{name}, case {i}");

            if (RandomAccess.GetLength(file) != original.Length) RandomAccess.Write(file, original, 0);
            foreach (var (offset, length) in changes) RandomAccess.Write(file, original.AsSpan(offset, length), offset);
        }

        Assert.Equal(original, File.ReadAllBytes(path));
    }

    static (int Offset, int Length) ChangeSomewhere(SafeFileHandle file, byte[] original, List<int> roots, Random random)
    {
        // The first page, the pages that lead to all others, the heads of any pages, and anywhere.
        var offset = random.Next(4) switch
        {
            0 => random.Next(256),
            1 => (roots[random.Next(roots.Count)] * PageBytes) + random.Next(PageBytes),
            2 => (random.Next(original.Length / PageBytes) * PageBytes) + random.Next(64),
            _ => random.Next(original.Length),
        };
        var (at, bytes) = Damage.Change(original.AsSpan(offset), random);
        RandomAccess.Write(file, bytes, offset + at);
        return (offset + at, bytes.Length);
    }

    /// <summary>The pages that lead to the others: of ndb the first, which holds the slots.</summary>
    static List<int> HashOrTreePages(byte[] database) =>
    [
        0,
        .. Enumerable.Range(1, (database.Length / PageBytes) - 1)
            .Where(page => database[(page * PageBytes) + 25] is 2 or 13 || database[page * PageBytes] is 5 or 13),
    ];

    [Fact]
    public void Random_bytes_are_not_a_database()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("Packages");
        var random = new Random(20260105);
        for (var i = 0; i < 200; i++)
        {
            var bytes = new byte[random.Next(10_000)];
            random.NextBytes(bytes);
            File.WriteAllBytes(path, bytes);

            var contents = Databases.Read(path);

            Assert.Empty(contents.Packages);
            Assert.Single(contents.Problems);
        }
    }
}
