using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using Guestmark.Inventory;
using Guestmark.TestKit;

namespace Guestmark.Vulnerabilities.Tests;

public sealed class AdvisoryDatabaseTests : IDisposable
{
    static readonly OsRelease Debian = new("debian", "12", "Debian 12");

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Empty_covers_nothing_and_has_a_revision()
    {
        Assert.Equal(0, AdvisoryDatabase.Empty.AdvisoryCount);
        Assert.False(AdvisoryDatabase.Empty.Covers(Debian));
        Assert.True(Databases.Of(Databases.Document("A-1", 1, "p")).Covers(Debian));
        // SHA-256 of nothing.
        Assert.Equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", AdvisoryDatabase.Empty.Revision);
    }

    [Fact]
    public void Damage_to_any_byte_is_refused()
    {
        var path = WriteSmall(out var good);
        for (var i = 0; i < good.Length; i++)
        {
            var bytes = (byte[])good.Clone();
            bytes[i] ^= 0x10;
            File.WriteAllBytes(path, bytes);
            var error = Assert.Throws<AdvisoryDatabaseException>(() => AdvisoryDatabase.Open(path));
            Assert.StartsWith(path, error.Message);
        }
    }

    [Fact]
    public void A_cut_or_longer_file_is_refused()
    {
        var path = WriteSmall(out var good);
        for (var length = 0; length < good.Length; length++)
        {
            File.WriteAllBytes(path, good[..length]);
            Assert.Throws<AdvisoryDatabaseException>(() => AdvisoryDatabase.Open(path));
        }

        File.WriteAllBytes(path, [.. good, 0]);
        Assert.Contains("is cut or has grown", Assert.Throws<AdvisoryDatabaseException>(() => AdvisoryDatabase.Open(path)).Message);
    }

    [Fact]
    public void Another_version_is_refused_with_what_to_do()
    {
        var path = WriteSmall(out var bytes);
        bytes[8] = 3;
        File.WriteAllBytes(path, bytes);
        var error = Assert.Throws<AdvisoryDatabaseException>(() => AdvisoryDatabase.Open(path));
        Assert.Equal($"{path}: has format version 3, this program reads version 2: remove it and import the feeds again", error.Message);
    }

    [Fact]
    public void A_missing_file_or_another_one_is_refused_by_name()
    {
        var absent = _folder.File("absent.db");
        Assert.Equal($"{absent}: is not there: import the feeds", Assert.Throws<AdvisoryDatabaseException>(() => AdvisoryDatabase.Open(absent)).Message);
        Assert.Throws<AdvisoryDatabaseException>(() => AdvisoryDatabase.Open(_folder.Path));
        var other = _folder.File("other.db");
        File.WriteAllText(other, new string('x', 5000));
        Assert.Equal($"{other}: not an advisory database", Assert.Throws<AdvisoryDatabaseException>(() => AdvisoryDatabase.Open(other)).Message);
    }

    // Some change a byte anywhere, some an index of a row to what lies at the edges of its range. Everything is then read, as a fault in
    // unmanaged memory would end the process.
    [Fact]
    [Trait("Category", "Fuzz")]
    public void A_malformed_body_with_a_good_checksum_is_refused_or_read_and_never_crashes()
    {
        var content = new RandomContent(1);
        using var builder = Databases.BuilderOf("a", [.. Enumerable.Range(0, 30).Select(_ => content.Advisory())]);
        var import = builder.Import("b", "osv", "b", ImportMode.Add);
        for (var i = 0; i < 10; i++)
        {
            import.Add(content.Prediction());
            import.Add(content.KnownExploited());
            import.Add(content.Decision());
            import.Add(content.Advisory());
            import.Withdraw(content.Feed(), content.Id(), content.Time());
        }

        import.Complete("", DateTimeOffset.UnixEpoch);
        var good = builder.Build();
        var inputs = int.TryParse(Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS"), out var said) ? said : 20_000;
        var refused = 0;
        for (var i = 0; i < inputs; i++)
        {
            var bytes = GC.AllocateArray<byte>(good.Content.Length, pinned: true);
            good.Content.CopyTo(bytes);
            for (var edits = content.Next(3); edits >= 0; edits--)
            {
                if (content.Next(2) == 0) bytes[DatabaseFile.TableStart + content.Next(bytes.Length - DatabaseFile.TableStart)] = (byte)content.Next(256);
                else ChangeNumber(bytes, content);
            }

            SHA256.HashData(bytes.AsSpan(DatabaseFile.TableStart), bytes.AsSpan(DatabaseFile.HashStart, SHA256.HashSizeInBytes));
            try
            {
                ReadAll(AdvisoryDatabase.Read(bytes), good, buildsOnIt: i % 8 == 0);
            }
            catch (AdvisoryDatabaseException e)
            {
                Assert.EndsWith("remove it and import the feeds again", e.Message);
                refused++;
            }
        }

        Assert.InRange(refused, inputs / 3, inputs - 1);
    }

    [Fact]
    public void A_full_table_of_names_is_refused_as_a_search_in_it_would_not_end()
    {
        var good = Databases.Of(Databases.Document("A-1", 1, "p", "q"));
        var bytes = GC.AllocateArray<byte>(good.Content.Length, pinned: true);
        good.Content.CopyTo(bytes);
        var (offset, length) = DatabaseFile.Section(good.Content, DatabaseSection.NameTable);
        for (var at = offset; at < offset + length; at += 4) bytes[at] = 1;
        SHA256.HashData(bytes.AsSpan(DatabaseFile.TableStart), bytes.AsSpan(DatabaseFile.HashStart, SHA256.HashSizeInBytes));
        Assert.Contains("the table of names is wrong", Assert.Throws<AdvisoryDatabaseException>(() => AdvisoryDatabase.Read(bytes)).Message);
    }

    [Fact]
    public void Revision_is_the_hash_of_the_content_and_not_of_where_it_came_from()
    {
        var advisory = Databases.Document("A-1", 1, "p");
        Assert.NotEqual(AdvisoryDatabase.Empty.Revision, Databases.Of("here", advisory).Revision);
        Assert.Equal(Databases.Of("there", advisory).Revision, Databases.Of("here", advisory).Revision);
    }

    [Fact]
    public void A_source_says_where_it_came_from_and_how_old_it_is()
    {
        using var builder = new AdvisoryDatabaseBuilder();
        var import = builder.Import("osv/debian", FeedName.Osv, "https://example.com/all.zip", ImportMode.Replace);
        import.Add(Databases.Document("A-1", 3, "p"));
        import.Add(Databases.Document("A-2", 9, "p"));
        import.Skip("bad.json", "$.id", "is missing");
        import.Complete("\"etag\"", DateTimeOffset.UnixEpoch.AddDays(20));
        var expected = new AdvisorySource(
            "osv/debian", "osv", "https://example.com/all.zip", "\"etag\"", 2, 1, DateTimeOffset.UnixEpoch.AddDays(20), DateTimeOffset.UnixEpoch.AddDays(9));
        using var next = new AdvisoryDatabaseBuilder(builder.Build());
        Assert.Equal([expected], next.Build().Sources);
        Assert.Equal(expected, next.Source("osv/debian"));
    }

    [Fact]
    public void A_document_is_shadowed_by_a_newer_one_of_another_source_until_that_goes()
    {
        using var builder = Databases.BuilderOf("a", Databases.Document("A-1", 1, "old"));
        Databases.Import(builder, "b", Databases.Document("A-1", 2, "new"));
        var both = builder.Build();
        Assert.Equal(["new"], both.Names.ToArray().Select(row => both.TextOf(row.Name)));
        Assert.Equal(1, both.AdvisoryCount);

        using var next = new AdvisoryDatabaseBuilder(both);
        Assert.True(next.Remove("b"));
        var alone = next.Build();
        Assert.Equal(["old"], alone.Names.ToArray().Select(row => alone.TextOf(row.Name)));
    }

    [Theory]
    [InlineData(1, 2, 0)]
    [InlineData(2, 2, 0)]
    [InlineData(3, 2, 1)]
    [InlineData(null, null, 0)]
    [InlineData(1, null, 1)]
    public void A_withdrawal_takes_back_what_is_not_newer_whichever_comes_first(int? modified, int? withdrawn, int expected)
    {
        DateTimeOffset? time = withdrawn is { } days ? DateTimeOffset.UnixEpoch.AddDays(days) : null;
        foreach (var isFirst in (bool[])[false, true])
        {
            using var builder = new AdvisoryDatabaseBuilder();
            var import = builder.Import("a", FeedName.Osv, "a", ImportMode.Add);
            if (isFirst) import.Withdraw(FeedName.Osv, "A-1", time);
            import.Add(Databases.Document("A-1", modified, "p"));
            import.Add(Databases.Document("A-1", modified, "p") with { Part = "8" });
            if (!isFirst) import.Withdraw(FeedName.Osv, "A-1", time);
            Assert.Equal(2 * expected, import.Count);
            import.Complete("", DateTimeOffset.UnixEpoch);
            Assert.Equal(2 * expected, builder.Build().AdvisoryCount);

            // And the one that comes with a later import.
            using var next = new AdvisoryDatabaseBuilder(builder.Build());
            var later = next.Import("a", FeedName.Osv, "a", ImportMode.Add);
            later.Add(Databases.Document("A-1", modified, "p"));
            later.Complete("", DateTimeOffset.UnixEpoch);
            Assert.Equal(2 * expected, next.Build().AdvisoryCount);
        }
    }

    [Fact]
    public void What_cannot_be_stored_is_skipped_by_name()
    {
        using var builder = new AdvisoryDatabaseBuilder();
        var import = builder.Import("a", FeedName.Osv, "a", ImportMode.Replace);
        import.Add(Databases.Document("A-1", 1, "p") with { Summary = new string('x', TextTable.BytesMax + 1) });
        var many = Enumerable.Range(0, ushort.MaxValue + 1).Select(i => VersionInterval.FixedIn($"{i}")).ToList();
        import.Add(new Advisory { Feed = "osv", Id = "A-2", Statements = [new PackageStatement { Product = "p", Name = "n", Intervals = many }] });
        import.Add(Databases.Document("A-3", 1, "p") with { Summary = new string('x', TextTable.BytesMax) });
        Assert.Equal(
            [new SkippedPart("A-1", "", "has a text of more than 1048576 bytes"), new SkippedPart("A-2", "", "has more than 65535 version intervals for one package")],
            import.SkippedParts);
        import.Complete("", DateTimeOffset.UnixEpoch);
        Assert.Equal(["A-3"], Databases.Live(builder.Build()).Select(document => document.Id));
    }

    [Fact]
    public void Changed_names_are_those_about_which_something_else_is_said()
    {
        var compared = 0;
        for (var seed = 0; seed < 500; seed++)
        {
            var content = new RandomContent(seed);
            var documents = Enumerable.Range(0, content.Next(8)).Select(_ => content.Advisory()).ToList();
            var before = Databases.Of([.. documents]);
            // Some stay, some go, some come.
            documents.RemoveAll(_ => content.Next(4) == 0);
            for (var more = content.Next(3); more > 0; more--) documents.Add(content.Advisory());
            var after = Databases.Of([.. documents]);

            var (was, now) = (Databases.Findable(before), Databases.Findable(after));
            var expected = was.Keys.Union(now.Keys).Where(name => was.GetValueOrDefault(name) != now.GetValueOrDefault(name));
            Assert.Equal(expected.OrderBy(name => name.Product, StringComparer.Ordinal).ThenBy(name => name.Name, StringComparer.Ordinal), after.ChangedNames(before));
            compared += was.Keys.Union(now.Keys).Count() - after.ChangedNames(before).Count;
        }

        Assert.True(compared > 100, "no name ever stays the same");
    }

    [Fact]
    public void A_replaced_database_is_read_as_long_as_someone_refers_to_it_and_is_unmapped_after_that()
    {
        var path = WriteSmall(out var bytes);
        AdvisoryDatabase? old = OpenAndReplace(path, bytes);
        Assert.Equal(1, MappingsOf(path));
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Assert.Equal(["p", "q"], old!.Names.ToArray().Select(row => old.TextOf(row.Name)));
        GC.KeepAlive(old);
        old = null;
        for (var i = 0; i < 5 && MappingsOf(path) > 0; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        Assert.Equal(0, MappingsOf(path));

        static int MappingsOf(string path) => File.ReadLines("/proc/self/maps").Count(line => line.Contains(path, StringComparison.Ordinal));
    }

    [Fact]
    public void Texts_are_sorted_by_their_bytes_however_alike_they_are()
    {
        var random = new Random(7);
        var texts = new TextTable();
        var expected = new List<byte[]> { Array.Empty<byte>() };
        for (var i = 0; i < 20_000; i++)
        {
            // Long common beginnings, zeros at the end, and few different bytes.
            var text = new byte[random.Next(random.Next(10) == 0 ? 400 : 30)];
            for (var at = random.Next(text.Length + 1); at < text.Length; at++) text[at] = (byte)(random.Next(4) * 85);
            var known = texts.Count;
            if (texts.Intern(text) == known) expected.Add(text);
        }

        expected.Sort((a, b) => a.AsSpan().SequenceCompareTo(b));
        Assert.Equal(expected, texts.InOrder().Select(number => texts[number].ToArray()));
    }

    [Fact]
    public void The_layout_of_the_file_does_not_change_without_a_new_version()
    {
        Assert.Equal(2u, DatabaseFile.Version);
        Assert.Equal(
            (68, 36, 28, 12, 24, 16, 24, 52, 40),
            (Unsafe.SizeOf<DocumentRow>(), Unsafe.SizeOf<StatementRow>(), Unsafe.SizeOf<DetailRow>(), Unsafe.SizeOf<IntervalRow>(), Unsafe.SizeOf<NameRow>(),
                Unsafe.SizeOf<PredictionRow>(), Unsafe.SizeOf<KnownExploitedRow>(), Unsafe.SizeOf<DecisionRow>(), Unsafe.SizeOf<SourceRow>()));
        Assert.Equal(
            [
                "TextStarts", "TextBytes", "Lists", "Sources", "Documents", "Statements", "DocumentStatements", "Details", "Intervals", "Names", "NameTable",
                "Products", "Predictions", "KnownExploited", "Decisions", "Revision",
            ],
            Enum.GetNames<DatabaseSection>());
        Assert.Equal([0, 1, 2], Enum.GetValues<DocumentState>().Select(value => (int)value));
    }

    [Fact]
    public void Persisted_numbers_do_not_change()
    {
        Assert.Equal([0, 1, 2, 3, 4], Enum.GetValues<Severity>().Select(value => (int)value));
        Assert.Equal(["Unknown", "Low", "Moderate", "Important", "Critical"], Enum.GetNames<Severity>());
        Assert.Equal([0, 1, 2], Enum.GetValues<IntervalEnd>().Select(value => (int)value));
        Assert.Equal(["None", "Fixed", "LastAffected"], Enum.GetNames<IntervalEnd>());
        Assert.Equal([0, 1, 2, 3], Enum.GetValues<PackageNaming>().Select(value => (int)value));
        Assert.Equal(["Binary", "Source", "Either", "Module"], Enum.GetNames<PackageNaming>());
        Assert.Equal([1, 2, 3, 4, 5, 6, 7], Enum.GetValues<ProductStatus>().Select(value => (int)value));
        Assert.Equal(
            ["Fixed", "Affected", "FixDeferred", "WillNotFix", "OutOfSupport", "UnderInvestigation", "NotAffected"], Enum.GetNames<ProductStatus>());
        Assert.Equal([1, 2, 3, 4], Enum.GetValues<DecisionStatus>().Select(value => (int)value));
        Assert.Equal(["NotAffected", "Affected", "Fixed", "UnderInvestigation"], Enum.GetNames<DecisionStatus>());
    }

    // In a method of its own, so that nothing on the stack refers to the database.
    [MethodImpl(MethodImplOptions.NoInlining)]
    static AdvisoryDatabase OpenAndReplace(string path, byte[] bytes)
    {
        var database = AdvisoryDatabase.Open(path);
        File.WriteAllBytes(path + ".new", bytes);
        File.Move(path + ".new", path, overwrite: true);
        return database;
    }

    static void ChangeNumber(byte[] bytes, RandomContent content)
    {
        var (offset, length) = DatabaseFile.Section(bytes, (DatabaseSection)content.Next(DatabaseFile.SectionCount));
        if (offset < 0 || length < 4 || offset > bytes.Length - length) return;
        var at = (int)offset + (4 * content.Next((int)length / 4));
        var value = BitConverter.ToInt32(bytes, at);
        BitConverter.TryWriteBytes(bytes.AsSpan(at), content.Pick(value + 1, value - 1, value + content.Next(100), content.Next(1000), -1, int.MaxValue, int.MinValue, 0));
    }

    static void ReadAll(AdvisoryDatabase database, AdvisoryDatabase other, bool buildsOnIt)
    {
        foreach (var document in Databases.Live(database)) Databases.Text(document);
        Databases.Findable(database);
        foreach (ref readonly var row in database.Names) database.FindName(row.Product, database.Text(row.Name));
        database.FindName(0, "none"u8);
        foreach (var product in database.Products) database.FindProduct(product);
        _ = (database.Sources, database.Decisions, database.PredictionOf("CVE-2024-1"), database.KnownExploitedOf("CVE-2024-1"), database.Revision);
        database.ChangedNames(other);
        other.ChangedNames(database);
        if (!buildsOnIt) return;
        using var builder = new AdvisoryDatabaseBuilder(database);
        builder.Import("a", "osv", "a", ImportMode.Add).Complete("", DateTimeOffset.UnixEpoch);
        builder.Build();
    }

    string WriteSmall(out byte[] bytes)
    {
        var path = _folder.File("advisories.db");
        using var builder = Databases.BuilderOf("a", Databases.Document("A-1", 1, "p", "q"), Databases.Document("A-2", null, "q") with { Summary = "two" });
        builder.Write(path);
        bytes = File.ReadAllBytes(path);
        return path;
    }
}
