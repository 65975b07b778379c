using System.Buffers.Binary;
using System.Text;
using Guestmark.Inventory.Rpm;
using Guestmark.TestKit;
using Xunit.Abstractions;

namespace Guestmark.Inventory.Tests.Rpm;

public sealed class RpmHeaderTests(ITestOutputHelper output)
{
    static HeaderBuilder Bash() => new HeaderBuilder().AddText(1000, "bash").AddText(1001, "5.2").AddText(1002, "1.el9").AddNumber(1003, 7);

    static string? Read(byte[] blob, out Package package, FileSelector? files = null, bool dependencies = false)
    {
        var bytes = new ChainedBytes();
        bytes.Begin(blob.Length, blob);
        var error = new RpmHeader(new PackageRequest("var/lib/rpm", files, dependencies), "bdb:var/lib/rpm").TryRead(bytes, 1, new TextPool(), out var read);
        Assert.Equal(error is null, read is not null);
        package = read!;
        return error;
    }

    static (string Name, uint? Epoch, string Version, string Release, string Architecture, string? SourceRpm) Identity(Package package) =>
        (package.Name, package.Epoch, package.Version, package.Release, package.Architecture, package.SourceRpm);

    [TestDataFact]
    public void A_real_header_is_decoded()
    {
        var error = Read(File.ReadAllBytes(Repository.TestDataPath("rpmdb/claircore-package.header")), out var header);

        Assert.Null(error);
        Assert.NotEqual("", header.Name);
        Assert.Contains(header.Version, header.SourceRpm!);
    }

    [Fact]
    public void A_header_without_region_is_accepted()
    {
        Assert.Null(Read(Bash().Build(), out var header));
        Assert.Equal(("bash", 7u, "5.2", "1.el9", "", null), Identity(header));
    }

    [Fact]
    public void Entries_behind_the_region_override_those_inside()
    {
        Assert.Null(Read(Bash().CloseRegion().AddText(1002, "2.el9").AddNumber(1003, 0).AddText(1044, "bash-5.2-2.el9.src.rpm").Build(), out var header));
        Assert.Equal(("bash", 0u, "5.2", "2.el9", "", "bash-5.2-2.el9.src.rpm"), Identity(header));
    }

    /// <summary>The expected names are those that rpm 4.18 gives.</summary>
    [Theory]
    [InlineData("a", 2, 0)]
    [InlineData("c", 3, 0)]
    [InlineData("b", 2, 5)]
    public void Of_a_tag_that_a_region_repeats_the_entry_that_rpm_finds_counts(string expected, int names, int others)
    {
        var builder = new HeaderBuilder();
        for (var i = 0; i < names; i++) builder.AddText(1000, "abc"[i].ToString());
        builder.AddText(1001, "1").AddText(1002, "1").AddText(1022, "noarch");
        for (var i = 0; i < others; i++) builder.AddText(1100 + (uint)i, "x");

        Assert.Null(Read(builder.CloseRegion().Build(), out var header));
        Assert.Equal(expected, header!.Name);

        Assert.Null(Read(builder.AddText(1000, "added").Build(), out header));
        Assert.Equal("added", header!.Name);
    }

    [Fact]
    public void Of_an_epoch_that_is_an_array_the_first_counts()
    {
        Assert.Null(Read(new HeaderBuilder().AddText(1000, "n").AddText(1001, "1").AddText(1002, "1").AddNumbers(1003, 7, 8).CloseRegion().Build(), out var header));
        Assert.Equal(7u, header!.Epoch);
    }

    [Fact]
    public void Text_that_is_not_UTF8_becomes_replacement_characters()
    {
        var blob = Bash().Build();
        blob[8 + (4 * 16)] = 0xff;
        Assert.Null(Read(blob, out var header));
        Assert.Equal("\ufffdash", header.Name);
    }

    [Theory]
    [InlineData(1000u, "NAME")]
    [InlineData(1001u, "VERSION")]
    [InlineData(1002u, "RELEASE")]
    public void A_header_without_its_identity_is_refused(uint tag, string name)
    {
        var blob = Bash().Build();
        for (var entry = 8; entry < 8 + (4 * 16); entry += 16)
        {
            if (BinaryPrimitives.ReadUInt32BigEndian(blob.AsSpan(entry)) == tag) BinaryPrimitives.WriteUInt32BigEndian(blob.AsSpan(entry), 1100);
        }

        Assert.Contains($"has no {name}", Read(blob, out _));
    }

    public static TheoryData<string, byte[]> Lies => new()
    {
        { "has 3 bytes", [0, 0, 0] },
        { "has 0 index entries", new byte[8] },
        { "has 65536 index entries", [0, 1, 0, 0, 0, 0, 0, 0] },
        { "has 268435456 bytes of data", [0, 0, 0, 1, 0x10, 0, 0, 0] },
        { "says 92 bytes and has 93", [.. Bash().Build(), 0] },
        { "has tag 99", Bash().AddRaw(99, 6, 0, 1).Build() },
        { "has type 10", Bash().AddRaw(1100, 10, 0, 1).Build() },
        { "puts tag 1100 at 4000", Bash().AddRaw(1100, 7, 4000, 1).Build() },
        { "puts tag 1100 at 0 × 4294967295", Bash().AddRaw(1100, 7, 0, uint.MaxValue).Build() },
        { "puts tag 1100 at 2 × 1", Bash().AddRaw(1100, 4, 2, 1).Build() },
        { "puts tag 1100 at 8 × 9", Bash().AddRaw(1100, 5, 8, 9).Build() },
        { "puts tag 1100 at 0, inside the data of the tag before it", Bash().AddRaw(1100, 4, 0, 1).Build() },
        { "puts tag 1100 at 20 × 0", Bash().AddRaw(1100, 7, 20, 0).Build() },
        { "puts tag 1100 at 20 × 1", Bash().AddRaw(1100, 0, 20, 1).Build() },
        { "has a RELEASE that is not one string", Bash().CloseRegion().AddStrings(1002, "2", "3").Build() },
        { "has an EPOCH that is not a number", Bash().AddText(1003, "7").Build() },
        { "has a NAME of more than 1024 bytes", new HeaderBuilder().AddText(1000, new string('a', 1025)).Build() },
        { "has a NAME without an end", new HeaderBuilder().AddData(1000, 6, 1, "bash"u8.ToArray()).Build() },
        { "has a bad region: its trailer does not fit", Patched(Bash().CloseRegion().Build(), ^16, 62) },
        { "has a bad region: its trailer does not fit", Patched(Bash().CloseRegion().Build(), ^5, 1) },
        { "has a bad region: its trailer does not fit", Patched(Bash().CloseRegion().Build(), ^9, 0x40) },
        { "has a bad region", new HeaderBuilder().AddRaw(63, 7, 0, 16).Build() },
        { "has a bad region", new HeaderBuilder().AddRaw(63, 6, 0, 16).AddBinary(1100, new byte[16]).Build() },
    };

    static byte[] Patched(byte[] blob, Index at, byte change)
    {
        blob[at] ^= change;
        return blob;
    }

    [Theory]
    [MemberData(nameof(Lies))]
    public void A_header_that_lies_is_refused(string expected, byte[] blob) => Assert.Contains(expected, Read(blob, out _));

    [Theory]
    [InlineData(61u)]
    [InlineData(62u)]
    [InlineData(63u)]
    public void Every_kind_of_region_is_accepted(uint region)
    {
        Assert.Null(Read(Bash().CloseRegion(region).AddNumber(1008, 5).Build(), out var package));
        Assert.Equal(5u, package.Rpm!.InstallTime);
    }

    [Fact]
    public void The_entries_of_a_region_need_not_lie_in_the_order_of_their_tags()
    {
        var blob = new HeaderBuilder().AddText(1044, "s-1-2.src.rpm").AddNumber(1003, 3).AddText(1002, "2").AddText(1001, "1").AddText(1000, "n").CloseRegion().Build();
        Assert.Null(Read(blob, out var package));
        Assert.Equal(("n", 3u, "1", "2", "", "s-1-2.src.rpm"), Identity(package));
    }

    [Fact]
    public void What_is_absent_stays_absent()
    {
        Assert.Null(Read(new HeaderBuilder().AddText(1000, "n").AddText(1001, "1").AddText(1002, "2").Build(), out var package));

        Assert.Null(package.Epoch);
        Assert.Null(package.License);
        Assert.Null(package.Vendor);
        Assert.Null(package.Files);
        Assert.Equal(new RpmDetails { Number = 1 }, package.Rpm);
    }

    [Fact]
    public void Sizes_and_times_and_digests_are_read()
    {
        byte[] longSize = [0, 0, 0, 2, 0, 0, 0, 1];
        var blob = Bash().AddI18N(1004, "The shell", "Die Muschel").AddNumber(1006, 11).AddNumber(1009, 12).AddText(1011, "Vendor").AddText(1014, "GPL").AddI18N(1016, "Shells")
            .AddLong(5009, longSize).AddNumber(5011, 8).AddStrings(5092, "abcd", "ef").AddNumber(5093, 10).AddText(5101, "up").CloseRegion()
            .AddBinary(261, [0xab, 1]).AddText(269, "sha1").AddText(273, "sha256").AddNumber(1008, 13).AddNumber(1128, 14).Build();

        Assert.Null(Read(blob, out var package));

        Assert.Equal(("Vendor", "GPL"), (package.Vendor, package.License));
        Assert.Equal(
            new RpmDetails
            {
                Number = 1,
                Summary = "The shell",
                Group = "Shells",
                BuildTime = 11,
                InstallTime = 13,
                InstallTransaction = 14,
                Size = 0x2_0000_0001,
                SigMd5 = "ab01",
                Sha1Header = "sha1",
                Sha256Header = "sha256",
                PayloadDigest = "abcd",
                PayloadDigestAlgorithm = 10,
                FileDigestAlgorithm = 8,
                UpstreamReleases = "up",
            },
            package.Rpm);
    }

    [Theory]
    [InlineData(null, "bash-5.2-1.el9.src.rpm", "bash", "5.2-1.el9")]
    [InlineData("bash-3:5.2-1.el9", "bash-5.2-1.el9.src.rpm", "bash", "3:5.2-1.el9")]
    [InlineData("bash-3:5.2-1.el9", null, "bash", "3:5.2-1.el9")]
    [InlineData("nonsense", "bash-5.2-1.el9.src.rpm", "bash", "5.2-1.el9")]
    [InlineData(null, null, null, null)]
    public void The_source_has_the_epoch_that_only_rpm_6_tells(string? nevr, string? sourceRpm, string? name, string? version)
    {
        var header = Bash();
        if (sourceRpm is not null) header.AddText(1044, sourceRpm);
        if (nevr is not null) header.AddText(5120, nevr);
        Assert.Null(Read(header.Build(), out var package));
        Assert.Equal((name, version), (package.SourceName, package.SourceVersion));
    }

    [Fact]
    public void A_long_text_is_cut_between_characters()
    {
        var long1 = new string('x', RpmHeader.TextBytesMax - 1) + "€€";
        Assert.Null(Read(Bash().AddText(1014, long1).Build(), out var package));
        Assert.Equal(new string('x', RpmHeader.TextBytesMax - 1), package.License);
    }

    static HeaderBuilder WithFiles() => Bash().AddStrings(1035, "aa", "", "bb").AddNumbers(1037, 1, 0, 64).AddNumbers(1116, 1, 0, 1).AddStrings(1117, "bash", "bin", "sh")
        .AddStrings(1118, "/", "/bin/");

    [Fact]
    public void Files_that_are_wanted_are_read()
    {
        Assert.Null(Read(WithFiles().CloseRegion().Build(), out var all, (_, _) => true));
        Assert.Equal([new PackageFile("/bin/bash", "aa", 1), new PackageFile("/bin", null, 0), new PackageFile("/bin/sh", "bb", 64)], all.Files);

        var asked = new List<string>();
        Assert.Null(Read(WithFiles().CloseRegion().Build(), out var some, (folder, name) =>
        {
            asked.Add($"{Encoding.UTF8.GetString(folder)} {Encoding.UTF8.GetString(name)}");
            return name.SequenceEqual("sh"u8);
        }));
        Assert.Equal([new PackageFile("/bin/sh", "bb", 64)], some.Files);
        Assert.Equal(["/bin/ bash", "/ bin", "/bin/ sh"], asked);

        Assert.Null(Read(WithFiles().CloseRegion().Build(), out var none));
        Assert.Null(none.Files);
        Assert.Null(Read(Bash().Build(), out var empty, (_, _) => true));
        Assert.Empty(empty.Files!);
    }

    [Fact]
    public void Files_of_old_packages_are_whole_paths()
    {
        var blob = Bash().AddStrings(1027, "/bin/bash", "/bin").AddStrings(1035, "aa", "").AddNumbers(1037, 1, 0).Build();
        var folders = new List<string>();
        Assert.Null(Read(blob, out var package, (folder, _) =>
        {
            folders.Add(Encoding.UTF8.GetString(folder));
            return true;
        }));
        Assert.Equal([new PackageFile("/bin/bash", "aa", 1), new PackageFile("/bin", null, 0)], package.Files);
        Assert.Equal(["/bin/", "/"], folders);
    }

    [Fact]
    public void Details_of_files_that_do_not_fit_are_left_out()
    {
        var blob = Bash().AddStrings(1035, "aa").AddNumbers(1037, 1, 2, 3).AddNumbers(1116, 0, 0).AddStrings(1117, "a", "b").AddStrings(1118, "/").Build();
        Assert.Null(Read(blob, out var package, (_, _) => true));
        Assert.Equal([new PackageFile("/a", null, 0), new PackageFile("/b", null, 0)], package.Files);
    }

    public static TheoryData<string, byte[]> BadFiles => new()
    {
        { "has names of files without folders that fit", Bash().AddNumbers(1116, 0).AddStrings(1117, "a", "b").AddStrings(1118, "/").Build() },
        { "has names of files without folders that fit", Bash().AddStrings(1117, "a", "b").Build() },
        { "has no name or no folder for its file 1", Bash().AddNumbers(1116, 0, 1).AddStrings(1117, "a", "b").AddStrings(1118, "/").Build() },
        { "has no name or no folder for its file 1", Bash().AddNumbers(1116, 0, 0).AddStrings(1118, "/").AddData(1117, 8, 2, "a\0b"u8.ToArray()).Build() },
        { "has paths that are longer", Bash().AddNumbers(1116, 0).AddStrings(1117, "a").AddStrings(1118, new string('/', 5000)).Build() },
        { "has paths that are longer", Bash().AddNumbers(1116, new uint[3000]).AddStrings(1117, [.. Enumerable.Repeat("a", 3000)]).AddStrings(1118, new string('/', 4000)).Build() },
    };

    [Theory]
    [MemberData(nameof(BadFiles))]
    public void A_bad_list_of_files_leaves_the_package(string expected, byte[] blob)
    {
        using var folder = new TemporaryFolder();
        var contents = Databases.Read(NdbBuilder.Write(folder.File("Packages.db"), [blob]), (_, _) => true);

        Assert.Equal(["bash"], contents.Packages.Select(package => package.Name));
        Assert.StartsWith($"header 1 {expected}", Assert.Single(contents.Problems));
        Assert.True(contents.Packages[0].Files!.Count < 3000);
    }

    [Fact]
    public void Dependencies_are_read_when_they_are_wanted()
    {
        var blob = Bash().AddStrings(1047, "bash", "sh", "libc(x)").AddStrings(1049, "glibc", "ncurses").AddStrings(1113, "5.2-1", "").CloseRegion().Build();

        Assert.Null(Read(blob, out var package, dependencies: true));
        Assert.Equal([new RpmDependency("bash", "5.2-1"), new RpmDependency("sh", null), new RpmDependency("libc(x)", null)], package.Rpm!.Provides);
        Assert.Equal(["glibc", "ncurses"], package.Rpm.Requires);

        Assert.Null(Read(blob, out package));
        Assert.Null(package.Rpm!.Provides);
        Assert.Null(package.Rpm.Requires);
    }

    /// <summary>The rules are rpm's: each damaged header lies in a row of its own, and rpm says which rows it takes.</summary>
    [ToolFact("rpm", "rpmdb", "sqlite3")]
    public void What_rpm_accepts_is_accepted_and_what_it_rejects_is_a_problem()
    {
        using var folder = new TemporaryFolder();
        Tool.Run("rpmdb", ["--dbpath", folder.Path, "--define", "_db_backend sqlite", "--initdb"]);
        var path = folder.File("rpmdb.sqlite");
        var random = new Random(20260110);
        byte[][] seeds = [Bash().Build(), Bash().CloseRegion().AddNumber(1008, 5).AddText(1002, "2").Build(), WithFiles().CloseRegion(61).AddNumber(1008, 5).Build()];
        var sql = new StringBuilder("BEGIN;\n");
        for (var number = 1; number <= 3000; number++)
        {
            var seed = seeds[number % seeds.Length];
            var blob = (number % 2, number > seeds.Length) switch
            {
                (_, false) => seed,
                (0, _) => Damage.Mutate(seed, random, focus: 8 + (16 * seed[3])),
                _ => Patched((byte[])seed.Clone(), random.Next(seed.Length), (byte)(1 << random.Next(8))),
            };
            // At an empty row rpm ends its list.
            if (blob.Length == 0) continue;
            sql.Append($"INSERT INTO Packages VALUES({number}, x'{Convert.ToHexString(blob)}');\n");
        }

        Tool.Run("sqlite3", [path], sql.Append("COMMIT;\n").ToString());
        var accepted = RpmTool.Query(path, "%{DBINSTANCE}\t%{NAME}\t%{EPOCH}\t%{VERSION}\t%{RELEASE}\n").Split('\n', StringSplitOptions.RemoveEmptyEntries);
        // Texts that are no UTF-8 come out of rpm as they are, and a package without its name or version is none to us.
        var expected = accepted.Where(row => row.All(char.IsAscii) && !row.Split('\t').Where((_, column) => column is 1 or 3 or 4).Any(text => text is "(none)" or "")).ToList();

        var read = Databases.Read(path).Packages
            .Select(package => string.Join('\t', package.Rpm!.Number, package.Name, package.Epoch?.ToString() ?? "(none)", package.Version, package.Release)).ToList();

        var missing = expected.Except(read).ToList();
        var beyond = read.Except(accepted).ToList();
        output.WriteLine($"rpm accepts {accepted.Length}, {expected.Count} with a name; read are {read.Count}; missing: {string.Join("; ", missing)}; beyond rpm: {string.Join("; ", beyond)}");
        Assert.InRange(expected.Count, 300, 2000);
        // A name that is a number, which rpm prints; and an entry behind a damaged region, which rpm counts to it.
        Assert.InRange(missing.Count, 0, 2);
        // What the index leaves out: strings of tags that nobody wants, and whether all lengths add up.
        Assert.InRange(beyond.Count, 0, 40);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_bytes_give_a_header_or_an_error()
    {
        var original = WithFiles().AddStrings(1047, "bash", "sh").AddStrings(1049, "glibc").AddStrings(1113, "5.2-1", "").AddText(5120, "bash-3:5.2-1").CloseRegion()
            .AddBinary(259, OpenPgpPacketTests.Version4).AddStrings(278, Convert.ToBase64String(OpenPgpPacketTests.Version4)).AddNumber(1008, 5).Build();
        Assert.Null(Read(original, out var whole, (_, _) => true, dependencies: true));
        Assert.Equal(3, whole.Files!.Count);
        var random = new Random(20260101);
        for (var i = Damage.Inputs(20_000); i > 0; i--)
        {
            var blob = Damage.Mutate(original, random, focus: 8 + (18 * 16));
            Damage.AssertBounded(() => Read(blob, out _, (_, _) => true, dependencies: true), blob.Length, $"case {i}");
        }
    }
}
