using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Rpm;

/// <summary>
/// Databases that are written while they are read. The reader asks for each file of each package whether it is wanted: that is
/// where these tests write, in the middle of reading and without a race.
/// </summary>
public sealed class ChangingDatabaseTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    static List<byte[]> Headers(string version) =>
    [
        .. Enumerable.Range(1, 200).Select(number => new HeaderBuilder().AddText(1000, $"package{number}").AddText(1001, version).AddText(1002, "1")
            .AddNumbers(1116, 0).AddStrings(1117, "file").AddStrings(1118, "/").CloseRegion().Build()),
    ];

    static byte[] Ndb(string version, uint generation) => NdbBuilder.Build(Headers(version), generation);

    byte[] BerkeleyDb(string version)
    {
        var path = _folder.File(version);
        BerkeleyHashTests.Load(path, 4096, BerkeleyHashTests.LittleEndian, Headers(version));
        return File.ReadAllBytes(path);
    }

    /// <summary>Reads a database, and runs the writes in turn, each as soon as the hundredth package of an attempt is there.</summary>
    static ReadDatabase ReadWhile(string path, params Action[] writes)
    {
        var (asked, written) = (0, 0);
        return Databases.Read(path, (_, _) =>
        {
            if (++asked % 200 == 100 && written < writes.Length) writes[written++]();
            return true;
        });
    }

    static void AssertState(string version, ReadDatabase contents)
    {
        Assert.Empty(contents.Problems);
        Assert.Equal(200, contents.Packages.Count);
        Assert.All(contents.Packages, package => Assert.Equal(version, package.Version));
    }

    /// <summary>Writes into the file in place, and puts its time back as two writes within one clock tick would leave it.</summary>
    static void WriteInPlace(string path, byte[] content)
    {
        var time = File.GetLastWriteTimeUtc(path);
        using (var file = File.OpenWrite(path)) file.Write(content);
        File.SetLastWriteTimeUtc(path, time);
    }

    [Fact]
    public void Of_an_ndb_database_that_is_written_within_a_clock_tick_the_state_after_is_read()
    {
        var path = _folder.File("Packages.db");
        File.WriteAllBytes(path, Ndb("1", generation: 1));

        AssertState("2", ReadWhile(path, () => WriteInPlace(path, Ndb("2", generation: 2))));
        AssertState("4", ReadWhile(path, () => WriteInPlace(path, Ndb("3", generation: 3)), () => WriteInPlace(path, Ndb("4", generation: 4))));
    }

    [ToolFact("db5.3_load")]
    public void Of_a_Berkeley_database_that_is_written_the_state_after_is_read()
    {
        var (before, after) = (BerkeleyDb("1"), BerkeleyDb("2"));
        var path = _folder.File("Packages");
        File.WriteAllBytes(path, before);

        AssertState("2", ReadWhile(path, () =>
        {
            File.WriteAllBytes(path, after);
            File.SetLastWriteTimeUtc(path, DateTime.UnixEpoch);
        }));
    }

    [Fact]
    public void Of_a_database_that_is_replaced_the_state_before_is_read()
    {
        var path = _folder.File("Packages.db");
        File.WriteAllBytes(path, Ndb("1", generation: 1));

        AssertState("1", ReadWhile(path, () =>
        {
            File.WriteAllBytes(path + ".new", Ndb("2", generation: 2));
            File.Move(path + ".new", path, overwrite: true);
        }));
        AssertState("2", Databases.Read(path));
    }

    [Fact]
    public void A_database_that_is_cut_off_and_then_written_again_is_read_as_it_is_after()
    {
        var path = _folder.File("Packages.db");
        File.WriteAllBytes(path, Ndb("1", generation: 1));

        AssertState("2", ReadWhile(path, () =>
        {
            using var file = File.OpenWrite(path);
            file.SetLength(1);
            file.Write(Ndb("2", generation: 2));
        }));
    }

    [Fact]
    public void A_database_that_changes_in_every_attempt_is_reported_as_such()
    {
        var path = _folder.File("Packages.db");
        File.WriteAllBytes(path, Ndb("0", generation: 1));
        var writes = Enumerable.Range(1, 3).Select(number => (Action)(() => WriteInPlace(path, Ndb($"{number}", (uint)number + 1)))).ToArray();

        var contents = ReadWhile(path, writes);

        Assert.Equal("changed while it was read, 3 times: parts of it may be missing or twice", Assert.Single(contents.Problems));
    }
}
