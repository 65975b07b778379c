using System.Buffers.Binary;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Rpm;

/// <summary>Files that Berkeley DB's own tools write: page sizes and byte orders that the real databases lack, and damage.</summary>
public sealed class BerkeleyHashTests : IDisposable
{
    internal const int LittleEndian = 1234;
    internal const int BigEndian = 4321;

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>A database with the given headers under the numbers from 1 on.</summary>
    string Load(int pageBytes, int byteOrder, IEnumerable<byte[]> headers)
    {
        var path = _folder.File($"Packages-{pageBytes}-{byteOrder}");
        Load(path, pageBytes, byteOrder, headers);
        return path;
    }

    internal static void Load(string path, int pageBytes, int byteOrder, IEnumerable<byte[]> headers)
    {
        var dump = new StringWriter();
        dump.Write("VERSION=3\nformat=bytevalue\ntype=hash\nHEADER=END\n");
        dump.Write($" {Key(0)}\n {Key(1000)}\n");
        uint number = 1;
        foreach (var header in headers) dump.Write($" {Key(number++)}\n {Convert.ToHexStringLower(header)}\n");
        dump.Write("DATA=END\n");
        Tool.Run("db5.3_load", ["-c", $"db_pagesize={pageBytes}", "-c", $"db_lorder={byteOrder}", "-t", "hash", path], dump.ToString());

        string Key(uint value)
        {
            var bytes = new byte[4];
            if (byteOrder == BigEndian) BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
            else BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
            return Convert.ToHexStringLower(bytes);
        }
    }

    string Patch(string path, long offset, byte[] bytes)
    {
        using var file = File.OpenWrite(path);
        file.Position = offset;
        file.Write(bytes);
        return path;
    }

    [ToolFact("db5.3_load")]
    public void Every_page_size_in_either_byte_order_is_read()
    {
        // From a few bytes, which lie in place, to 100 kB, which take 210 pages of 512 bytes.
        var headers = Enumerable.Range(0, 400).Select(i => HeaderBuilder.Package($"package{i}", padding: i % 100 == 99 ? 100_000 : i % 50 * 37)).ToList();
        foreach (var byteOrder in new[] { LittleEndian, BigEndian })
        {
            for (var pageBytes = 512; pageBytes <= 65536; pageBytes *= 2)
            {
                var contents = Databases.Read(Load(pageBytes, byteOrder, headers));

                Assert.Empty(contents.Problems);
                Assert.Equal(
                    Enumerable.Range(0, 400).Select(i => ((uint)i + 1, $"package{i}", $"package{i}:1:2:3")),
                    contents.Packages.Select(package => (package.Rpm!.Number, package.Name, package.ModularityLabel!)).OrderBy(header => header.Number));
            }
        }
    }

    [ToolFact("db5.3_load")]
    public void A_bad_header_costs_only_itself()
    {
        var contents = Databases.Read(Load(4096, LittleEndian, [HeaderBuilder.Package("first"), [1, 2, 3], HeaderBuilder.Package("third", padding: 9000)]));

        Assert.Equal(["first", "third"], contents.Headers.Select(header => header.Name).Order());
        Assert.Equal(["header 2 has 3 bytes"], contents.Problems);
    }

    [ToolFact("db5.3_load")]
    public void An_overflow_chain_in_a_circle_is_an_error()
    {
        var path = Load(4096, LittleEndian, [HeaderBuilder.Package("loop", padding: 100_000), HeaderBuilder.Package("other")]);
        var pages = File.ReadAllBytes(path).Chunk(4096).ToList();
        // The third page of the chain leads back to the first.
        var chain = Enumerable.Range(0, pages.Count).Where(i => pages[i][25] == 7).ToList();
        Patch(path, (chain[2] * 4096L) + 16, [(byte)chain[0], 0, 0, 0]);

        var contents = Databases.Read(path);

        Assert.Equal(["other"], contents.Headers.Select(header => header.Name));
        Assert.Equal([$"header 1 uses page {chain[0]} twice"], contents.Problems);
    }

    [ToolFact("db5.3_load")]
    public void A_page_in_the_place_of_another_is_an_error()
    {
        var path = Load(4096, LittleEndian, [HeaderBuilder.Package("torn", padding: 100_000)]);
        var pages = File.ReadAllBytes(path).Chunk(4096).ToList();
        var second = Enumerable.Range(0, pages.Count).Where(i => pages[i][25] == 7).Skip(1).First();
        Patch(path, (second * 4096L) + 8, [99]);

        Assert.Equal([$"header 1 has page 99 in place of page {second}"], Databases.Read(path).Problems);
    }

    [ToolFact("db5.3_load")]
    public void A_lying_first_page_is_named()
    {
        foreach (var (offset, value, expected) in new (long, byte[], string)[]
        {
            (16, [7], "has Berkeley DB hash version 7; 8 to 10 are known"),
            (20, [0, 1, 0, 0], "has pages of 256 bytes"),
            (20, [1, 16, 0, 0], "has pages of 4097 bytes"),
            (20, [0, 0, 2, 0], "has pages of 131072 bytes"),
            (24, [1], "is encrypted"),
            (25, [9], "begins with a page of type 9"),
            (32, [0xff, 0xff, 0xff, 0xff], "of 4294967296 pages are there"),
            (72, [0xff, 0xff, 0xff, 0xff], "has 4294967296 buckets"),
        })
        {
            var path = Patch(Load(4096, LittleEndian, [HeaderBuilder.Package("package")]), offset, value);
            Assert.Contains(Databases.Read(path).Problems, problem => problem.Contains(expected, StringComparison.Ordinal));
            File.Delete(path);
        }
    }

    [ToolFact("db5.3_load")]
    [Trait("Category", "Fuzz")]
    public void Any_pages_give_packages_or_problems()
    {
        var path = Load(512, BigEndian, [.. Enumerable.Range(0, 12).Select(i => HeaderBuilder.Package($"package{i}", padding: i % 4 * 700))]);
        var original = File.ReadAllBytes(path);
        var random = new Random(20260114);
        var packages = 0;
        for (var i = Damage.Inputs(2_000); i > 0; i--)
        {
            var database = Damage.Mutate(original, random, focus: 2048);
            File.WriteAllBytes(path, database);
            Damage.AssertBounded(() => packages += Databases.Read(path, (_, _) => true).Packages.Count, database.Length, $"case {i}");
        }

        Assert.True(packages > 1000, $"only {packages} packages were read");
    }
}
