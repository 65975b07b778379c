using System.Security.Cryptography;
using Guestmark.TestKit;
using static Guestmark.Vulnerabilities.Tests.AlmaLinuxFixture;

namespace Guestmark.Vulnerabilities.Tests;

public sealed class AdvisoryDatabaseTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Empty_covers_nothing_and_has_a_revision()
    {
        Assert.Equal(0, AdvisoryDatabase.Empty.AdvisoryCount);
        Assert.False(AdvisoryDatabase.Empty.Covers(AlmaLinux8));
        Assert.Equal(64, AdvisoryDatabase.Empty.Revision.Length);
        Assert.Empty(Match(AdvisoryDatabase.Empty, AlmaLinux8, Rpm("p", "1-1")));
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
        Assert.Equal($"{path}: has format version 3, this program reads version 2: import the feeds again", error.Message);
    }

    [Fact]
    public void A_missing_file_or_another_one_is_refused_by_name()
    {
        Assert.Throws<AdvisoryDatabaseException>(() => AdvisoryDatabase.Open(_folder.File("absent.db")));
        Assert.Throws<AdvisoryDatabaseException>(() => AdvisoryDatabase.Open(_folder.Path));
        var other = _folder.File("other.db");
        File.WriteAllText(other, new string('x', 500));
        Assert.Equal($"{other}: not an advisory database", Assert.Throws<AdvisoryDatabaseException>(() => AdvisoryDatabase.Open(other)).Message);
    }

    [Fact]
    public void A_malformed_body_with_a_good_checksum_is_refused_or_read_and_never_crashes()
    {
        WriteSmall(out var good);
        var random = new Random(5);
        var refused = 0;
        for (var i = 0; i < 20_000; i++)
        {
            var bytes = GC.AllocateArray<byte>(good.Length, pinned: true);
            good.CopyTo(bytes, 0);
            for (var edits = random.Next(1, 4); edits > 0; edits--)
                bytes[random.Next(DatabaseFile.TableStart, bytes.Length - SHA256.HashSizeInBytes)] = (byte)random.Next(256);
            SHA256.HashData(bytes.AsSpan(DatabaseFile.TableStart), bytes.AsSpan(DatabaseFile.HashStart, SHA256.HashSizeInBytes));
            try
            {
                var database = AdvisoryDatabase.Read(bytes);
                Match(database, AlmaLinux8, Rpm("p", "1-1"), Rpm("q", "1-1.module_el8+1+a"));
            }
            catch (AdvisoryDatabaseException)
            {
                refused++;
            }
        }

        Assert.InRange(refused, 1000, 19_999);
    }

    [Fact]
    public void A_failed_write_leaves_the_former_file_and_nothing_else()
    {
        var path = WriteSmall(out var good);
        var target = _folder.File("folder");
        Directory.CreateDirectory(target);
        Assert.ThrowsAny<Exception>(() => new AdvisoryDatabaseBuilder().Write(target));
        Assert.Equal([path], Directory.GetFiles(_folder.Path));
        Assert.Equal(good, File.ReadAllBytes(path));
    }

    [Fact]
    public void Writing_replaces_the_file()
    {
        var path = WriteSmall(out _);
        new AdvisoryDatabaseBuilder().Write(path);
        Assert.Equal(AdvisoryDatabase.Empty.Revision, AdvisoryDatabase.Open(path).Revision);
    }

    [Fact]
    public void Revision_is_the_hash_of_the_content_and_not_of_where_it_came_from()
    {
        var advisory = new Advisory { Feed = FeedName.Osv, Id = "TEST-1", Statements = [new PackageStatement { Product = "Debian:12", Name = "p" }] };
        Assert.NotEqual(AdvisoryDatabase.Empty.Revision, Databases.Of("here", advisory).Revision);
        Assert.Equal(Databases.Of("there", advisory).Revision, Databases.Of("here", advisory).Revision);
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

    string WriteSmall(out byte[] bytes)
    {
        var path = _folder.File("advisories.db");
        Osv.Builder(
            Osv.Document("TEST-1", "AlmaLinux:8", "p", ("introduced", "0"), ("fixed", "2-1")),
            Osv.Document("TEST-2", "AlmaLinux:8", "q", ("introduced", "0"), ("fixed", "2-1.module_el8.6.0+1+a")).With("summary", "Low: q:1 update"),
            Osv.Document("TEST-3", "Debian:12", "p", ("introduced", "1"), ("last_affected", "2-1"))).Write(path);
        bytes = File.ReadAllBytes(path);
        return path;
    }
}
