using System.Buffers.Binary;
using System.Numerics;
using Guestmark.TestKit;

namespace Guestmark.Spool.Tests;

/// <summary>Establishes that a spool whose files are gone, or do not belong together, says so and delivers what it has.</summary>
public sealed class GoneSegmentTests : IDisposable
{
    const int Records = 40;

    readonly TemporaryFolder _folder = new(TemporaryFolder.Memory);

    SpoolOptions Options => new() { Directory = _folder.Path, SegmentBytesMax = 8 << 10, RecordBytesMax = 4 << 10, BytesMax = 1 << 20 };

    List<string> Segments => [.. Directory.GetFiles(_folder.Path, "*.spool").Order(StringComparer.Ordinal)];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("first")]
    [InlineData("middle")]
    [InlineData("newest")]
    [InlineData("two newest")]
    [InlineData("all")]
    [InlineData("all of the newest but its header")]
    [InlineData("end of the newest")]
    public async Task Records_whose_segment_is_gone_are_told_counted_and_their_indexes_not_given_again(string what)
    {
        await FillAsync(acknowledge: 2);
        var segments = Segments;
        Assert.InRange(segments.Count, 4, 10);
        ulong FirstOf(int i) => i < segments.Count ? ulong.Parse(Path.GetFileNameWithoutExtension(segments[i])) : Records + 1;
        List<int> deleted = what switch
        {
            "first" => [0],
            "middle" => [1],
            "newest" => [segments.Count - 1],
            "two newest" => [segments.Count - 2, segments.Count - 1],
            "all" => [.. Enumerable.Range(0, segments.Count)],
            _ => [],
        };
        foreach (var i in deleted) File.Delete(segments[i]);
        var gone = deleted.SelectMany(i => Range(FirstOf(i), FirstOf(i + 1) - 1)).ToList();
        if (what.EndsWith("of the newest", StringComparison.Ordinal) || what.StartsWith("all of", StringComparison.Ordinal))
        {
            using var file = File.Open(segments[^1], FileMode.Open);
            file.SetLength(what.StartsWith("all of", StringComparison.Ordinal) ? 32 : file.Length - 10);
            gone = [.. Range(what.StartsWith("all of", StringComparison.Ordinal) ? FirstOf(segments.Count - 1) : Records, Records)];
        }

        gone.RemoveAll(index => index <= 2);
        var inspected = SpoolInspection.Read(_folder.Path);
        Assert.Equal(gone, inspected.Missing.SelectMany(missing => Range(missing.First, missing.Last)));
        Assert.Equal((ulong)Records, inspected.Stored);

        // A second start finds it again, until what lies behind is acknowledged.
        for (var start = 0; start < 2; start++)
        {
            await using var spool = EventSpool.Open(Options);
            Assert.Equal(gone.Count, spool.LostCount(SpoolLossReason.Damage));
            Assert.Equal(gone, (await spool.TakeLossesAsync(default)).SelectMany(loss => Range(loss.First, loss.Last)));
            Assert.Equal((ulong)(Records - 2 - gone.Count), spool.Depth);
        }

        await using (var spool = EventSpool.Open(Options))
        {
            spool.Append(Child.Record(Records + 1), spool.Breaks, out var durable, out var index);
            await durable;
            Assert.Equal((ulong)Records + 1, index);
            Assert.Equal([.. Range(3, Records + 1).Except(gone)], await ReadAsync(spool, Records - 1 - gone.Count));
            spool.Acknowledge(Records + 1);
            Assert.Equal(0UL, spool.Depth);
        }

        await using var done = EventSpool.Open(Options);
        Assert.Equal(0, done.LostCount(SpoolLossReason.Damage));
        Assert.Empty(SpoolInspection.Read(_folder.Path).Missing);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_position_behind_the_newest_record_is_not_believed_and_all_is_delivered_again(bool noted)
    {
        await FillAsync(acknowledge: 2);
        WritePosition("acknowledged", 1000);
        // Of a spool of before there was such a note.
        if (!noted) File.Delete(_folder.File("stored"));
        Assert.Equal(1000UL, Assert.Single(SpoolInspection.Read(_folder.Path).Ahead).Acknowledged);

        await using (var spool = EventSpool.Open(Options))
        {
            Assert.Equal(1, spool.PositionsMended);
            Assert.Equal((ulong)Records, spool.Depth);
            await AppendAsync(spool, Records + 1);
            Assert.Equal([.. Range(1, Records + 1)], await ReadAsync(spool, Records + 1));
            Assert.Equal(0, spool.LostCount(SpoolLossReason.Damage));
        }

        await using var again = EventSpool.Open(Options);
        Assert.Equal(0, again.PositionsMended);
        Assert.Equal(Records + 1UL, again.Depth);
        Assert.Empty(SpoolInspection.Read(_folder.Path).Ahead);
    }

    [Fact]
    public async Task One_reader_that_is_ahead_costs_the_others_nothing()
    {
        var options = Options with { Readers = ["a", "b"] };
        await using (var spool = EventSpool.Open(options))
        {
            for (var n = 1; n <= Records; n++) await AppendAsync(spool, n);
            spool.Acknowledge(30, "a");
            spool.Acknowledge(5, "b");
        }

        WritePosition("acknowledged-a", ulong.MaxValue);
        await using var again = EventSpool.Open(options);
        Assert.Equal((1, 5UL, 5UL), (again.PositionsMended, again.AcknowledgedIndexOf("a"), again.AcknowledgedIndexOf("b")));
    }

    [Fact]
    public async Task A_note_of_the_newest_record_that_is_damaged_or_gone_costs_nothing()
    {
        await FillAsync(acknowledge: 2);
        foreach (var damaged in (byte[]?[])[null, [], [1, 2, 3], new byte[12]])
        {
            if (damaged is null) File.Delete(_folder.File("stored"));
            else await File.WriteAllBytesAsync(_folder.File("stored"), damaged);
            await using var spool = EventSpool.Open(Options);
            Assert.Equal((Records - 2UL, 0L, 0), (spool.Depth, spool.LostCount(SpoolLossReason.Damage), spool.PositionsMended));
            Assert.Equal((ulong)Records, SpoolInspection.Read(_folder.Path).Stored);
        }
    }

    [Fact]
    public async Task Whole_records_are_found_behind_more_false_headers_than_any_bound_on_the_search_would_allow()
    {
        await using (var spool = EventSpool.Open(Options with { SegmentBytesMax = 64 << 20, RecordBytesMax = 20 << 20, BytesMax = 256 << 20 }))
        {
            await AppendAsync(spool, 1);
            Assert.True(spool.TryAppend(new byte[20 << 20], out var durable));
            await durable;
            Assert.True(spool.TryAppend(new byte[64 << 10], out durable));
            await durable;
            await AppendAsync(spool, 4);
        }

        // The header of the second record again and again, as a disk leaves it that returns one block for many: each promises 20 MiB whose checksum is wrong,
        // together over 4 GiB.
        var file = Segments.Single();
        var bytes = await File.ReadAllBytesAsync(file);
        var second = 32 + 16 + Child.Record(1).Length;
        var header = bytes.AsSpan(second, 16).ToArray();
        header[4] ^= 1;
        for (var i = 0; i < 220; i++) header.CopyTo(bytes, second + (16 * i));
        await File.WriteAllBytesAsync(file, bytes);
        await using var again = EventSpool.Open(Options with { SegmentBytesMax = 64 << 20, RecordBytesMax = 20 << 20, BytesMax = 256 << 20 });
        Assert.Equal(3UL, again.Depth);
        Assert.Equal(1, again.LostCount(SpoolLossReason.Damage));
    }

    static IEnumerable<ulong> Range(ulong first, ulong last)
    {
        for (var i = first; i <= last; i++) yield return i;
    }

    async Task FillAsync(ulong acknowledge)
    {
        await using var spool = EventSpool.Open(Options);
        for (var n = 1; n <= Records; n++) await AppendAsync(spool, n);
        spool.Acknowledge(acknowledge);
    }

    static async Task AppendAsync(EventSpool spool, int n)
    {
        Assert.True(spool.TryAppend(Child.Record(n), out var durable));
        await durable;
    }

    static async Task<List<ulong>> ReadAsync(EventSpool spool, int count)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        using var cursor = spool.OpenCursor();
        var indexes = new List<ulong>();
        while (indexes.Count < count) indexes.AddRange((await cursor.ReadAsync(100, 1 << 20, limit.Token)).Select(record => record.Index));
        return indexes;
    }

    void WritePosition(string file, ulong index)
    {
        var bytes = new byte[12];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, index);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), ~BitOperations.Crc32C(BitOperations.Crc32C(uint.MaxValue, 0u), index));
        File.WriteAllBytes(_folder.File(file), bytes);
    }
}
