using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using Guestmark.TestKit;

namespace Guestmark.Spool.Tests;

/// <summary>A guest knows the format and chooses most of a record's data.</summary>
public sealed class ForgedRecordTests : IDisposable
{
    const int HeaderBytes = 32;

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("torn")]
    [InlineData("damaged")]
    [InlineData("damaged, file of the secret gone")]
    [InlineData("damaged while it is read")]
    public async Task What_a_guest_wrote_into_its_report_is_no_record(string kind)
    {
        byte[] forged = [.. new byte[200_000], .. Record(2, "an event of another machine"), .. Record(100_000, "one more"), .. new byte[1 << 20]];
        var options = new SpoolOptions { Directory = _folder.Path };
        await using (var spool = EventSpool.Open(options))
        {
            await AppendAsync(spool, [1], forged, [3]);
            if (kind == "damaged while it is read")
            {
                FlipBit();
                Assert.Equal([1UL, 3UL], await ReadAsync(spool, 2));
                return;
            }
        }

        // Torn: killed while it wrote the guest's report.
        if (kind == "torn")
        {
            using var file = File.Open(Segment, FileMode.Open);
            file.SetLength(HeaderBytes + 17 + 16 + forged.Length - 10_000);
            File.Delete(_folder.File("stored"));
        }
        else
        {
            FlipBit();
        }

        if (kind == "damaged, file of the secret gone") File.Delete(_folder.File("secret"));
        ulong[] expected = kind == "torn" ? [1] : [1, 3];
        Assert.Equal(expected.Length, SpoolInspection.Read(_folder.Path).Segments.Sum(segment => segment.Records));
        await using var again = EventSpool.Open(options);
        Assert.Equal(expected, await ReadAsync(again, expected.Length));
        Assert.Equal(kind == "torn" ? 0 : 1, again.LostCount(SpoolLossReason.Damage));

        void FlipBit()
        {
            using var file = File.Open(Segment, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
            file.Position = HeaderBytes + 17 + 4;
            var b = file.ReadByte();
            file.Position--;
            file.WriteByte((byte)(b ^ 1));
        }
    }

    [Fact]
    public async Task A_damaged_header_takes_no_record_with_it_and_lets_none_in()
    {
        var options = new SpoolOptions { Directory = _folder.Path };
        await using (var spool = EventSpool.Open(options)) await AppendAsync(spool, [1], [.. new byte[5000], .. Record(2, "an event of another machine")], [3]);
        var bytes = await File.ReadAllBytesAsync(Segment);
        bytes.AsSpan(0, HeaderBytes).Clear();
        await File.WriteAllBytesAsync(Segment, bytes);
        await using var again = EventSpool.Open(options);
        Assert.Equal([1UL, 2UL, 3UL], await ReadAsync(again, 3));
    }

    [Fact]
    public async Task A_spool_of_version_0_1_is_read_and_goes_on_but_behind_damage_nothing_is_searched_for_in_it()
    {
        byte[] first = [.. "GMSPOOL1"u8, 1, 0, 0, 0, 0, 0, 0, 0, .. Record(1, "a"), .. Record(2, "b"), .. Record(3, "c")];
        byte[] second = [.. "GMSPOOL1"u8, 4, 0, 0, 0, 0, 0, 0, 0, .. Record(4, "d"), .. Record(5, "e")];
        await File.WriteAllBytesAsync(Segment, first);
        await File.WriteAllBytesAsync(_folder.File("00000000000000000004.spool"), second);
        var options = new SpoolOptions { Directory = _folder.Path };
        await using (var spool = EventSpool.Open(options))
        {
            await AppendAsync(spool, [6]);
            Assert.Equal([1UL, 2, 3, 4, 5, 6], await ReadAsync(spool, 6));
        }

        await using (var spool = EventSpool.Open(options)) Assert.Equal([1UL, 2, 3, 4, 5, 6], await ReadAsync(spool, 6));

        first[16 + 17 + 4] ^= 1;
        await File.WriteAllBytesAsync(Segment, first);
        await using var damaged = EventSpool.Open(options);
        Assert.Equal([1UL, 4, 5, 6], await ReadAsync(damaged, 4));
        Assert.Equal(2, damaged.LostCount(SpoolLossReason.Damage));
    }

    [Fact]
    public async Task Each_spool_has_a_secret_of_its_own_that_only_its_owner_can_read()
    {
        var secrets = new HashSet<ulong>();
        for (var i = 0; i < 20; i++)
        {
            var folder = _folder.File($"{i}");
            await using var spool = EventSpool.Open(new SpoolOptions { Directory = folder });
            await AppendAsync(spool, [1]);
            var file = Path.Combine(folder, "secret");
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
            secrets.Add(BinaryPrimitives.ReadUInt64LittleEndian(await File.ReadAllBytesAsync(file)));
        }

        Assert.Equal(20, secrets.Count);
        Assert.DoesNotContain(0UL, secrets);
    }

    string Segment => _folder.File("00000000000000000001.spool");

    static async Task AppendAsync(EventSpool spool, params byte[][] records)
    {
        foreach (var record in records)
        {
            Assert.True(spool.TryAppend(record, out var durable));
            await durable;
        }
    }

    static async Task<List<ulong>> ReadAsync(EventSpool spool, int count)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        using var cursor = spool.OpenCursor();
        var indexes = new List<ulong>();
        while (indexes.Count < count) indexes.AddRange((await cursor.ReadAsync(10, 1 << 20, limit.Token)).Select(record => record.Index));
        return indexes;
    }

    /// <summary>A record of a spool without a secret.</summary>
    static byte[] Record(ulong index, string text)
    {
        var data = Encoding.ASCII.GetBytes(text);
        var record = new byte[16 + data.Length];
        var register = BitOperations.Crc32C(uint.MaxValue, (uint)data.Length);
        register = BitOperations.Crc32C(register, index);
        foreach (var b in data) register = BitOperations.Crc32C(register, b);
        BinaryPrimitives.WriteUInt32LittleEndian(record, (uint)data.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(4), ~register);
        BinaryPrimitives.WriteUInt64LittleEndian(record.AsSpan(8), index);
        data.CopyTo(record, 16);
        return record;
    }
}
