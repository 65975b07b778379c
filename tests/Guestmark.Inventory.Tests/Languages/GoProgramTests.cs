using Guestmark.Inventory.Languages;

namespace Guestmark.Inventory.Tests.Languages;

public sealed class GoProgramTests
{
    static readonly (string, string)[] Expected =
        [("stdlib", "go1.21.3"), ("example.com/tool", "v1.2.3"), ("golang.org/x/net", "v0.17.0"), ("github.com/new/name", "v1.1.0"), ("../local", "(devel)")];

    static (string? Error, List<Package> Packages) Read(byte[] program)
    {
        using var tree = new GuestTree().File("program", program);
        Assert.Null(GuestRoot.TryOpen(tree.Root, out var opened));
        using var root = opened!;
        Assert.Null(root.TryOpenFile("program", out var file));
        using (file) return Read(file!, program);
    }

    static (string? Error, List<Package> Packages) Read(GuestFile file, ReadOnlySpan<byte> program)
    {
        var packages = new List<Package>();
        if (program.Length < ElfFile.HeaderBytes || !ElfFile.TryRead(program[..ElfFile.HeaderBytes], out var elf)) return ("is not ELF", packages);
        return (GoProgram.Read(elf, new FileWindow(file.Handle, program.Length, GoProgram.ReadAheadBytes), "go:program", new TextPool(), packages), packages);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    [InlineData(false, true)]
    public void Modules_and_the_version_of_Go_are_read(bool hasSections, bool bigEndian)
    {
        var (error, packages) = Read(GoPrograms.Build(hasSections: hasSections, bigEndian: bigEndian));

        Assert.Null(error);
        Assert.Equal(Expected, packages.Select(package => (package.Name, package.Version)));
        Assert.All(packages, package => Assert.Equal((PackageManager.Go, "go:program"), (package.Manager, package.Database)));
    }

    [Fact]
    public void Experiments_are_no_part_of_the_version()
    {
        var (error, packages) = Read(GoPrograms.Build(GoPrograms.Information("go1.22.1 X:boringcrypto", "")));

        Assert.Null(error);
        Assert.Equal(("stdlib", "go1.22.1"), (Assert.Single(packages).Name, packages[0].Version));
    }

    [Fact]
    public void A_program_of_another_language_has_no_modules()
    {
        Assert.Equal((null, 0), (Read(File.ReadAllBytes("/bin/sh")).Error, Read(File.ReadAllBytes("/bin/sh")).Packages.Count));
        Assert.Equal((null, 0), (Read(GoPrograms.Build(new byte[64])).Error, Read(GoPrograms.Build(new byte[64], hasSections: false)).Packages.Count));
    }

    [Fact]
    public void A_program_of_an_old_Go_says_that_it_is_not_read()
    {
        var (error, packages) = Read(GoPrograms.Build(GoPrograms.Information(flags: 0)));

        Assert.StartsWith("was built by a Go before 1.18", error);
        Assert.Empty(packages);
    }

    [Fact]
    public void A_length_beyond_the_file_is_damage()
    {
        var information = GoPrograms.Information();
        // Behind the header, the version and its length: the length of the modules.
        information.AsSpan(32 + 1 + "go1.21.3".Length, 2).Fill(0xff);

        var (error, packages) = Read(GoPrograms.Build(information));

        Assert.Equal("has build information of Go whose modules are damaged", error);
        Assert.Equal("stdlib", Assert.Single(packages).Name);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_bytes_give_modules_or_an_error()
    {
        var random = new Random(20260112);
        byte[][] seeds = [GoPrograms.Build(size: 8192), GoPrograms.Build(hasSections: false, bigEndian: true, size: 8192)];
        using var tree = new GuestTree().File("program", "");
        Assert.Null(GuestRoot.TryOpen(tree.Root, out var opened));
        using var root = opened!;
        for (var i = 0; i < Damage.Inputs(2_000); i++)
        {
            var program = Damage.Mutate(seeds[i % 2], random, focus: i % 3 == 0 ? 5000 : 200);
            // Of the rest of the program nothing is read: half of the damage shall fall where something is.
            if (program.Length > 4300) Damage.Mutate(program[4096..4300], random, 100).CopyTo(program, 4096);
            tree.File("program", program);
            Assert.Null(root.TryOpenFile("program", out var file));
            using (file) Damage.AssertBounded(() => Read(file!, program), program.Length, $"case {i}");
        }
    }
}
