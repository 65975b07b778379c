using System.Text;
using System.Text.Json;
using Guestmark.Inventory.Os;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Os;

public sealed class OsReleaseFileTests
{
    static OsRelease Read(string file) => OsReleaseFile.Read(Encoding.UTF8.GetBytes(file));

    [TestDataFact]
    public void Real_files_are_read_as_claircore_reads_them()
    {
        var read = 0;
        foreach (var path in Directory.GetFiles(Repository.TestDataPath("osrelease"), "*.txtar"))
        {
            var files = Archive.Read(path);
            if (!files.TryGetValue("Parsed", out var parsed)) continue;
            using var expected = JsonDocument.Parse(parsed);
            Assert.Equal(new OsRelease(Value("ID"), Value("VERSION_ID"), Value("PRETTY_NAME")), Read(files["os-release"]));
            read++;

            string Value(string name) => expected.RootElement.TryGetProperty(name, out var value) ? value.GetString()! : "";
        }

        Assert.True(read >= 9, $"only {read} samples");
    }

    [TestDataTheory]
    [InlineData("8", "rhel", "8.1")]
    [InlineData("7", "rhel", "7.7")]
    public void Real_trees_of_the_red_hat_family_are_read(string name, string id, string versionId)
    {
        var os = InventoryScanner.Scan(new InventoryScanOptions { HostPath = Repository.TestDataPath($"osrelease/rhel-releasefiles/{name}") }, CancellationToken.None).Os;
        Assert.Equal((id, versionId), (os.Id, os.VersionId));
    }

    [Theory]
    [InlineData("ID=debian", "debian")]
    [InlineData("ID=\"rhel\"", "rhel")]
    [InlineData("ID='opensuse-leap'", "opensuse-leap")]
    [InlineData("  ID=vyos\r\n", "vyos")]
    [InlineData("ID=Debian", "debian")]
    [InlineData("#ID=no\nID=yes", "yes")]
    [InlineData("ID=first\nID=second", "second")]
    [InlineData("XID=no", "")]
    [InlineData("ID", "")]
    [InlineData("ID=", "")]
    [InlineData("ID=fedora # comment", "fedora")]
    public void Id_is_read(string file, string id) => Assert.Equal(id, Read(file).Id);

    [Theory]
    [InlineData("\"a \\\"b\\\" \\$c \\\\ \\`d\\`\"", "a \"b\" $c \\ `d`")]
    [InlineData("\"a\\nb\"", "a\\nb")]
    [InlineData("'a \\ \"b\"'", "a \\ \"b\"")]
    [InlineData("a\\ b", "a b")]
    [InlineData("\"a\"'b'c", "abc")]
    [InlineData("\"without end", "without end")]
    [InlineData("\"ends with \\", "ends with \\")]
    public void Values_are_unquoted_as_a_shell_does(string quoted, string value) => Assert.Equal(value, Read($"PRETTY_NAME={quoted}").PrettyName);

    [Fact]
    public void Long_values_are_cut() => Assert.Equal(256, Read($"PRETTY_NAME=\"{new string('x', 60_000)}\"").PrettyName.Length);

    [Fact]
    public void Etc_wins_over_usr_lib()
    {
        using var tree = new GuestTree().File("etc/os-release", "ID=local\n").File("usr/lib/os-release", "ID=vendor\n");
        Assert.Equal("local", tree.ScanWithOs().Os.Id);

        File.Delete(tree.Path("etc/os-release"));
        Assert.Equal("vendor", tree.ScanWithOs().Os.Id);
    }

    [Fact]
    public void What_the_caller_says_wins_over_the_files()
    {
        using var tree = new GuestTree().File("etc/os-release", "ID=debian\n");
        var os = new OsRelease("rhel", "9", "");
        Assert.Equal(os, tree.Scan(os).Os);
    }

    [Fact]
    public void Without_the_file_the_system_is_unknown_and_nothing_else_is_wrong()
    {
        using var tree = new GuestTree();
        var inventory = tree.ScanWithOs();

        Assert.True(inventory.Os.IsUnknown);
        Assert.DoesNotContain(inventory.Problems, problem => problem.Path.Contains("os-release", StringComparison.Ordinal));
    }

    [TestDataFact]
    [Trait("Category", "Fuzz")]
    public void Any_bytes_give_a_system()
    {
        var random = new Random(20260107);
        var originals = Directory.GetFiles(Repository.TestDataPath("osrelease"), "*.txtar").SelectMany(path => Archive.Read(path).Values).Select(Encoding.UTF8.GetBytes).ToList();
        for (var i = 0; i < Damage.Inputs(2_000); i++)
        {
            var file = Damage.Mutate(originals[i % originals.Count], random, focus: 200);
            Damage.AssertBounded(() => OsReleaseFile.Read(file), file.Length, $"case {i}");
        }
    }
}
