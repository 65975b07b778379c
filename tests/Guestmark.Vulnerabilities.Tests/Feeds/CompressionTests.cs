using System.Formats.Tar;
using System.Text;
using Guestmark.TestKit;

namespace Guestmark.Vulnerabilities.Tests;

public sealed class CompressionTests
{
    public static TheoryData<string> Formats => [.. Packed.Samples.Keys];

    [Theory]
    [MemberData(nameof(Formats))]
    public void What_a_tool_packed_is_unpacked(string format) =>
        Assert.Equal(Packed.Sample, Encoding.ASCII.GetString(Unpack(Packed.Samples[format])));

    [Theory]
    [InlineData("zstd")]
    [InlineData("xz")]
    [InlineData("bzip2")]
    public void Parts_one_after_another_are_all_unpacked(string format) =>
        Assert.Equal(Packed.Sample + Packed.Sample, Encoding.ASCII.GetString(Unpack([.. Packed.Samples[format], .. Packed.Samples[format]])));

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_cut_file_is_refused_wherever_it_is_cut(string format)
    {
        var packed = Packed.Samples[format];
        for (var length = Compression.MagicBytes; length < packed.Length; length++)
        {
            // What is left of gzip's header alone says no more than that.
            var error = Assert.ThrowsAny<InvalidDataException>(() => Unpack(packed[..length]));
            Assert.NotEmpty(error.Message);
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void An_inverted_byte_is_refused_or_changes_nothing(string format)
    {
        var refused = 0;
        for (var i = Compression.MagicBytes; i < Packed.Samples[format].Length; i++)
        {
            var packed = (byte[])Packed.Samples[format].Clone();
            packed[i] ^= 0xff;
            try
            {
                Assert.Equal(Packed.Sample, Encoding.ASCII.GetString(Unpack(packed)));
            }
            catch (InvalidDataException)
            {
                refused++;
            }
        }

        Assert.True(refused >= Packed.Samples[format].Length * 3 / 4, $"{refused} refused of {Packed.Samples[format].Length}");
    }

    [Theory]
    // zstd --long=31, and xz --lzma2=dict=1536MiB of the sample.
    [InlineData("KLUv/QSoNQEA8Ed1ZXN0bWFyayByZWFkcyB2ZW5kb3JzIGRhdGEuIAEAjg2VcgJoHSvN", "128 MiB")]
    [InlineData(
        "/Td6WFoAAATm1rRGAgAhASUAAAA7eHtB4AODACpdACOdSKdnLoflVtfjFZa3U5IHC3aCrWZ3Xu2RRJq6O/YDs5HtOVRNLIMiAAAAACNsQMVkON6aAAFGhAcAAABHE+XDscRn+wIAAAAABFla",
        "128 MiB")]
    public void What_needs_too_much_memory_is_refused_with_the_remedy(string packed, string limit)
    {
        var error = Assert.Throws<InvalidDataException>(() => Unpack(Convert.FromBase64String(packed)));
        Assert.Contains(limit, error.Message);
        Assert.Contains("pack it again", error.Message);
    }

    [Theory]
    [InlineData("zstd", "libzstd1", "libzstd")]
    [InlineData("xz", "liblzma5", "xz-libs")]
    [InlineData("bzip2", "libbz2-1.0", "bzip2-libs")]
    public void Each_library_has_the_packages_that_bring_it(string format, string debian, string redHat)
    {
        var library = Compression.LibraryOf(Compression.Of(Packed.Samples[format]));
        Assert.Equal((debian, redHat), (library.Debian, library.RedHat));
    }

    [Fact]
    public void Crc32_has_the_check_value_of_its_definition_in_whatever_pieces_it_comes()
    {
        Assert.Equal(0xCBF43926u, Crc32.Of("123456789"u8));
        Assert.Equal(0xCBF43926u, Crc32.Append(Crc32.Append(0, "1"u8), "23456789"u8));
        Assert.Equal(0x414FA339u, Crc32.Of("The quick brown fox jumps over the lazy dog"u8));
    }

    [Theory]
    [InlineData(TarEntryFormat.V7)]
    [InlineData(TarEntryFormat.Ustar)]
    [InlineData(TarEntryFormat.Gnu)]
    [InlineData(TarEntryFormat.Pax)]
    public void Members_of_an_archive_are_read_with_names_and_content(TarEntryFormat format)
    {
        var name = format is TarEntryFormat.V7 ? "2024/a.json" : format is TarEntryFormat.Ustar
            ? $"{new string('d', 100)}/{new string('f', 80)}.json"
            : $"{new string('d', 200)}/{new string('f', 300)}.json";
        var large = Enumerable.Range(0, 5000).Select(i => (byte)i).ToArray();
        Assert.Equal(
            [(name, 0), ("b", 512), ("c", 5000)],
            Members(Packed.Tar(format, (name, []), ("b", large[..512]), ("c", large))).Select(member => (member.Name, member.Content.Length)));
        Assert.Equal(large, Members(Packed.Tar(format, ("c", large))).Single().Content);
    }

    [Fact]
    public void Links_and_devices_are_left_out_and_counted()
    {
        using var output = new MemoryStream();
        using (var tar = new TarWriter(output, leaveOpen: true))
        {
            tar.WriteEntry(new PaxTarEntry(TarEntryType.SymbolicLink, "link") { LinkName = "/etc/passwd" });
            tar.WriteEntry(new PaxTarEntry(TarEntryType.HardLink, "hard") { LinkName = "/etc/passwd" });
            tar.WriteEntry(new PaxTarEntry(TarEntryType.Directory, "folder"));
            tar.WriteEntry(new PaxTarEntry(TarEntryType.Fifo, "fifo"));
            tar.WriteEntry(new PaxTarEntry(TarEntryType.RegularFile, "file") { DataStream = new MemoryStream("x"u8.ToArray()) });
        }

        var leftOut = new List<string>();
        Assert.Equal("file", Assert.Single(Members(output.ToArray(), leftOut)).Name);
        Assert.Equal(["link in an archive", "link in an archive", "member of an archive that is no regular file (type 6)"], leftOut);
    }

    [Fact]
    public void A_cut_archive_is_refused_wherever_it_is_cut()
    {
        var tar = Packed.Tar(TarEntryFormat.Pax, ("a.json", Packed.Utf8("{}")), ("b.json", Packed.Utf8("{}")));
        // Two blocks of zeros end it; with one of them everything was there.
        var end = tar.AsSpan().LastIndexOfAnyExcept((byte)0) + 1;
        end = (end + TarArchive.BlockBytes - 1) / TarArchive.BlockBytes * TarArchive.BlockBytes;
        for (var length = 0; length < end + TarArchive.BlockBytes; length += 64) Assert.Throws<InvalidDataException>(() => Members(tar[..length]));
        Assert.Equal(2, Members(tar[..(end + TarArchive.BlockBytes)]).Count);
    }

    [Fact]
    public void An_extended_header_of_a_gigabyte_is_refused_before_memory_is_taken()
    {
        var tar = Packed.Tar(TarEntryFormat.Gnu, (new string('x', 200), []));
        Encoding.ASCII.GetBytes("10000000000\0").CopyTo(tar, 124);
        tar.AsSpan(148, 8).Fill((byte)' ');
        var sum = tar.AsSpan(0, 512).ToArray().Sum(b => b);
        Encoding.ASCII.GetBytes(Convert.ToString(sum, 8).PadLeft(6, '0') + "\0 ").CopyTo(tar, 148);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var error = Assert.Throws<InvalidDataException>(() => Members(tar));
        Assert.Contains("1073741824 bytes", error.Message);
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 1 << 20);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Damaged_archives_and_compressed_data_are_read_or_refused()
    {
        byte[][] seeds =
        [
            .. Packed.Samples.Values,
            Packed.Tar(TarEntryFormat.Pax, (new string('p', 150), Packed.Utf8("{}")), ("b", new byte[700])),
            Packed.Tar(TarEntryFormat.Gnu, (new string('g', 150), Packed.Utf8("{}")), ("b", new byte[700])),
        ];
        var random = new Random(7);
        for (var i = FeedDamage.Inputs(2000); i > 0; i--)
        {
            var seed = seeds[random.Next(seeds.Length)];
            var bytes = FeedDamage.Mutate(seed, random);
            // Names are where headers have them: half of the archives are given a right checksum again.
            if (seed.Length > 1000 && random.Next(2) == 0 && bytes.Length >= 512) FeedDamage.MendTar(bytes);
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                if (seed.Length > 1000)
                {
                    Members(bytes);
                }
                else
                {
                    // Damaged bzip2 may become megabytes before its checksum is reached.
                    using var unpacked = Compression.Open(Compression.Of(bytes), new MemoryStream(bytes));
                    ReadOnlyStream.Drain(unpacked);
                }
            }
            catch (InvalidDataException)
            {
                continue;
            }
            finally
            {
                var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
                Assert.True(allocated < 4 << 20, $"{allocated} bytes for {Convert.ToBase64String(bytes)}");
            }
        }
    }

    static byte[] Unpack(byte[] packed) => Packed.ReadAll(Compression.Open(Compression.Of(packed), new MemoryStream(packed)));

    static List<(string Name, byte[] Content)> Members(byte[] tar, List<string>? leftOut = null)
    {
        var archive = new TarArchive(new MemoryStream(tar));
        var members = new List<(string, byte[])>();
        while (archive.Next(what => leftOut?.Add(what))) members.Add((archive.Name, Packed.ReadAll(archive.Content)));
        return members;
    }
}
