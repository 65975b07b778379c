using System.Text;
using Guestmark.TestKit;
using Microsoft.Extensions.Logging;

namespace Guestmark.Spool.Tests;

/// <summary>Establishes what a spool promises: order, durability, limits, and what survives a crash.</summary>
public sealed class EventSpoolTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    SpoolOptions Options => new() { Directory = _folder.Path, SegmentBytesMax = 4096, RecordBytesMax = 2048, BytesMax = 64 * 1024 };

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Records_come_back_in_order_with_their_bytes()
    {
        await using var spool = EventSpool.Open(Options);
        var appends = new List<Task>();
        for (var i = 1; i <= 500; i++)
        {
            Assert.True(spool.TryAppend(Record(i), out var durable));
            appends.Add(durable);
        }

        await Task.WhenAll(appends);

        var cursor = spool.OpenCursor();
        for (var expected = 1; expected <= 500;)
        {
            foreach (var record in await cursor.ReadAsync(7, 1000, default))
            {
                Assert.Equal((ulong)expected, record.Index);
                Assert.Equal(Record(expected).ToArray(), record.Data.ToArray());
                expected++;
            }
        }
    }

    [Fact]
    public async Task A_new_process_goes_on_after_the_last_acknowledged_record()
    {
        await using (var spool = EventSpool.Open(Options))
        {
            await AppendAsync(spool, 1, 100);
            spool.Acknowledge(40);
        }

        await using var again = EventSpool.Open(Options);
        Assert.Equal(100UL, again.LastIndex);
        Assert.Equal(60UL, again.Depth);
        var records = await again.OpenCursor().ReadAsync(1000, int.MaxValue, default);
        Assert.Equal(Enumerable.Range(41, 60).Select(i => (ulong)i), records.Select(r => r.Index));
        await AppendAsync(again, 101, 1);
        Assert.Equal(101UL, again.LastIndex);
    }

    [Fact]
    public async Task A_reader_that_waits_gets_the_next_record_when_it_is_durable()
    {
        await using var spool = EventSpool.Open(Options);
        var reading = spool.OpenCursor().ReadAsync(10, 1000, default);
        Assert.False(reading.IsCompleted);
        await AppendAsync(spool, 1, 1);
        Assert.Equal(1UL, Assert.Single(await reading).Index);
    }

    [Fact]
    public async Task A_full_spool_refuses_and_takes_again_after_an_acknowledgement()
    {
        await using var spool = EventSpool.Open(Options);
        var taken = 0;
        while (spool.TryAppend(new byte[1000], out var durable))
        {
            await durable;
            taken++;
        }

        Assert.InRange(taken, 60, 65);
        Assert.InRange(_folder.Bytes(), 0, Options.BytesMax + 1024);
        Assert.False(spool.TryAppend(new byte[1000], out _));
        spool.Acknowledge(spool.LastIndex);
        Assert.True(spool.TryAppend(new byte[1000], out _));
    }

    [Fact]
    public async Task Records_that_belong_together_are_taken_all_or_none()
    {
        await using var spool = EventSpool.Open(Options);
        ReadOnlyMemory<byte>[] group = [.. Enumerable.Range(0, 10).Select(_ => (ReadOnlyMemory<byte>)new byte[1000])];
        var groups = 0UL;
        while (spool.TryAppend(group, out var durable))
        {
            await durable;
            groups++;
        }

        Assert.Equal(6UL, groups);
        Assert.Equal(60UL, spool.LastIndex);
        Assert.True(spool.TryAppend(new byte[1000], out _));
    }

    [Fact]
    public async Task Acknowledged_segments_are_deleted()
    {
        await using var spool = EventSpool.Open(Options);
        await AppendAsync(spool, 1, 400);
        var before = Directory.GetFiles(_folder.Path, "*.spool").Length;
        spool.Acknowledge(399);
        Assert.True(before > 3);
        Assert.Single(Directory.GetFiles(_folder.Path, "*.spool"));
    }

    [Fact]
    public async Task A_second_process_is_refused()
    {
        await using var spool = EventSpool.Open(Options);
        var error = Assert.Throws<IOException>(() => EventSpool.Open(Options));
        Assert.Contains("another process", error.Message, StringComparison.Ordinal);
        Assert.Contains(_folder.Path, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_record_over_the_limit_is_refused_before_it_is_queued()
    {
        await using var spool = EventSpool.Open(Options);
        Assert.Throws<ArgumentOutOfRangeException>(() => spool.TryAppend(new byte[2049], out _));
        Assert.Throws<ArgumentOutOfRangeException>(() => spool.TryAppend(ReadOnlyMemory<byte>.Empty, out _));
        Assert.Equal(0UL, spool.LastIndex);
    }

    [Fact]
    public async Task Whatever_point_a_crash_cuts_the_last_segment_at_the_whole_records_before_it_survive()
    {
        var ends = new List<long>();
        await using (var spool = EventSpool.Open(Options with { SegmentBytesMax = 1 << 20, BytesMax = 4 << 20 }))
        {
            for (var i = 1; i <= 40; i++)
            {
                await AppendAsync(spool, i, 1);
                ends.Add(new FileInfo(Directory.GetFiles(_folder.Path, "*.spool").Single()).Length);
            }
        }

        var file = Directory.GetFiles(_folder.Path, "*.spool").Single();
        var whole = await File.ReadAllBytesAsync(file);
        for (var cut = 0; cut <= whole.Length; cut++)
        {
            using var crashed = new TemporaryFolder(TemporaryFolder.Memory);
            await File.WriteAllBytesAsync(crashed.File(Path.GetFileName(file)), whole[..cut]);
            await using var spool = EventSpool.Open(Options with { Directory = crashed.Path });
            var survivors = ends.Count(end => end <= cut);
            Assert.Equal((ulong)survivors, spool.LastIndex);
            await AppendAsync(spool, survivors + 1, 1);
            var records = await spool.OpenCursor().ReadAsync(1000, int.MaxValue, default);
            Assert.Equal(survivors + 1, records.Count);
            for (var i = 0; i < records.Count; i++) Assert.Equal(Record(i + 1).ToArray(), records[i].Data.ToArray());
        }
    }

    [Fact]
    public async Task Any_flipped_bit_costs_at_most_its_record_and_never_gives_a_wrong_one()
    {
        await using (var spool = EventSpool.Open(Options)) await AppendAsync(spool, 1, 10);
        var file = Directory.GetFiles(_folder.Path, "*.spool").Single();
        var whole = await File.ReadAllBytesAsync(file);
        for (var bit = 0; bit < whole.Length * 8; bit += 3)
        {
            using var damaged = new TemporaryFolder(TemporaryFolder.Memory);
            var bytes = (byte[])whole.Clone();
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            File.Copy(_folder.File("secret"), damaged.File("secret"));
            await File.WriteAllBytesAsync(damaged.File(Path.GetFileName(file)), bytes);
            if (bit / 8 == 7)
            {
                // The number of the version: nothing is thrown away on the strength of one bit.
                Assert.Contains("does not begin", Assert.Throws<IOException>(() => EventSpool.Open(Options with { Directory = damaged.Path })).Message, StringComparison.Ordinal);
                continue;
            }

            await using var spool = EventSpool.Open(Options with { Directory = damaged.Path });
            await AppendAsync(spool, (int)spool.LastIndex + 1, 1);
            var records = await spool.OpenCursor().ReadAsync(100, int.MaxValue, default);
            Assert.InRange(records.Count, 10, 11);
            Assert.Equal(records.Select(r => r.Index).Order(), records.Select(r => r.Index));
            Assert.All(records, r => Assert.Equal(Record((int)r.Index).ToArray(), r.Data.ToArray()));
        }
    }

    [Fact]
    public async Task A_segment_of_another_version_stops_the_start_and_is_not_touched()
    {
        await using (var spool = EventSpool.Open(Options)) await AppendAsync(spool, 1, 10);
        var file = Directory.GetFiles(_folder.Path, "*.spool").Single();
        var bytes = await File.ReadAllBytesAsync(file);
        bytes[7] = (byte)'9';
        await File.WriteAllBytesAsync(file, bytes);
        var error = Assert.Throws<IOException>(() => EventSpool.Open(Options));
        Assert.Contains(file, error.Message, StringComparison.Ordinal);
        Assert.Equal(bytes, await File.ReadAllBytesAsync(file));
    }

    [Fact]
    public async Task Nobody_else_on_the_host_can_read_it()
    {
        await using var spool = EventSpool.Open(Options);
        await AppendAsync(spool, 1, 1);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(_folder.Path));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Directory.GetFiles(_folder.Path, "*.spool").Single()));
    }

    [RootFact]
    public async Task A_full_disk_refuses_records_leaves_no_trace_of_them_and_is_used_again_when_it_has_room()
    {
        await SmallDisk.MountAsync(_folder.File("disk"), "256k");
        try
        {
            await using var spool = EventSpool.Open(Options with { Directory = _folder.File("disk/spool"), SegmentBytesMax = 1 << 20, BytesMax = 64 << 20 });
            var stored = new List<int>();
            for (var i = 1; i <= 300; i++)
            {
                var breaks = spool.Breaks;
                Assert.Equal(AppendOutcome.Queued, spool.Append(Big(i), breaks, out var durable, out _));
                try
                {
                    await durable;
                    stored.Add(i);
                }
                catch (IOException)
                {
                    Assert.NotEqual(breaks, spool.Breaks);
                    Assert.Equal(AppendOutcome.Broken, spool.Append(Big(i), breaks, out _, out _));
                }
            }

            Assert.InRange(stored.Count, 50, 250);
            Assert.Single(Directory.GetFiles(_folder.File("disk/spool"), "*.spool"));
            Assert.Equal((ulong)stored.Count, spool.Depth);
            var records = await spool.OpenCursor().ReadAsync(1000, int.MaxValue, default);
            Assert.Equal(Enumerable.Range(1, stored.Count).Select(i => (ulong)i), records.Select(r => r.Index));
            Assert.Equal(stored.Select(Big).Select(r => r.ToArray()), records.Select(r => r.Data.ToArray()));
        }
        finally
        {
            await SmallDisk.UnmountAsync(_folder.File("disk"));
        }

        static ReadOnlyMemory<byte> Big(int n)
        {
            var bytes = new byte[2000];
            new Random(n).NextBytes(bytes);
            return bytes;
        }
    }

    [RootFact]
    public async Task A_disk_that_is_full_of_what_is_delivered_has_room_again()
    {
        // All in one segment, which never reaches its size: without more it would stay for ever.
        await SmallDisk.MountAsync(_folder.File("disk"), "256k");
        try
        {
            var options = Options with { Directory = _folder.File("disk/spool"), SegmentBytesMax = 1 << 20, BytesMax = 64 << 20 };
            ulong last;
            await using (var spool = EventSpool.Open(options))
            {
                while (await TryStoreAsync(spool))
                {
                }

                // Refused before all was delivered.
                Assert.InRange(spool.Depth, 10UL, 200UL);
                spool.Acknowledge(spool.LastIndex - 1);
                Assert.False(await TryStoreAsync(spool));
                spool.Acknowledge(spool.LastIndex);
                Assert.Equal(0, spool.Bytes);
                for (var i = 0; i < 20; i++) Assert.True(await TryStoreAsync(spool));

                // Refused after it was: by somebody else's files.
                spool.Acknowledge(spool.LastIndex);
                Assert.NotEqual(0, spool.Bytes);
                FillUp(_folder.File("disk/other"));
                last = spool.LastIndex;
                Assert.False(await TryStoreAsync(spool));
                Assert.True(await TryStoreAsync(spool));
                Assert.Equal((last + 1, 1UL), (spool.LastIndex, spool.Depth));
            }

            await using var again = EventSpool.Open(options);
            Assert.Equal((last + 1, 1UL, 0L, 0), (again.LastIndex, again.Depth, again.LostCount(SpoolLossReason.Damage), again.PositionsMended));
        }
        finally
        {
            await SmallDisk.UnmountAsync(_folder.File("disk"));
        }

        static void FillUp(string path)
        {
            using var file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
            try
            {
                while (true) file.Write(new byte[512]);
            }
            catch (IOException)
            {
                // Full.
            }
        }

        static async Task<bool> TryStoreAsync(EventSpool spool)
        {
            Assert.True(spool.TryAppend(new byte[2000], out var durable));
            try
            {
                await durable;
                return true;
            }
            catch (IOException)
            {
                return false;
            }
        }
    }

    [Fact]
    public async Task Damage_in_an_older_segment_loses_its_rest_but_not_the_segments_after_it()
    {
        await using (var spool = EventSpool.Open(Options)) await AppendAsync(spool, 1, 400);
        var files = Directory.GetFiles(_folder.Path, "*.spool").Order().ToList();
        var bytes = await File.ReadAllBytesAsync(files[1]);
        bytes[^1] ^= 1;
        await File.WriteAllBytesAsync(files[1], bytes);

        await using var damaged = EventSpool.Open(Options);
        var cursor = damaged.OpenCursor();
        var indexes = new List<ulong>();
        while (indexes.LastOrDefault() < 400) indexes.AddRange((await cursor.ReadAsync(1000, int.MaxValue, default)).Select(r => r.Index));
        Assert.Equal(399, indexes.Count);
        Assert.Equal(indexes.Order(), indexes);
        damaged.Acknowledge(400);
        Assert.Equal(0UL, damaged.Depth);
    }

    [Fact]
    public async Task An_acknowledgement_of_records_that_were_lost_does_not_cover_new_ones()
    {
        await using (var spool = EventSpool.Open(Options))
        {
            await AppendAsync(spool, 1, 10);
            spool.Acknowledge(10);
        }

        File.Delete(Directory.GetFiles(_folder.Path, "*.spool").Single());
        await using (var spool = EventSpool.Open(Options)) await AppendAsync(spool, 1, 20);
        await using var again = EventSpool.Open(Options);
        Assert.Equal(20, (await again.OpenCursor().ReadAsync(100, int.MaxValue, default)).Count);
    }

    [Fact]
    public async Task Random_operations_and_reopenings_agree_with_a_queue_in_memory()
    {
        // 30 seeds of 200 operations: append, acknowledge, close and open again.
        for (var seed = 0; seed < 30; seed++)
        {
            using var folder = new TemporaryFolder(TemporaryFolder.Memory);
            var random = new Random(seed);
            var options = Options with { Directory = folder.Path, SegmentBytesMax = 256 + random.Next(2000) };
            var spool = EventSpool.Open(options);
            ulong last = 0, acknowledged = 0;
            for (var step = 0; step < 200; step++)
            {
                switch (random.Next(10))
                {
                    case < 6:
                        if (spool.TryAppend(Record((int)last + 1), out var durable))
                        {
                            await durable;
                            last++;
                        }

                        break;
                    case < 9 when last > acknowledged:
                        acknowledged += (ulong)random.NextInt64(1, (long)(last - acknowledged) + 1);
                        spool.Acknowledge(acknowledged);
                        break;
                    default:
                        await spool.DisposeAsync();
                        spool = EventSpool.Open(options);
                        break;
                }

                Assert.Equal(last, spool.LastIndex);
                Assert.Equal(acknowledged, spool.AcknowledgedIndex);
            }

            if (last > acknowledged)
            {
                var left = await spool.OpenCursor().ReadAsync(1000, int.MaxValue, default);
                Assert.Equal(Enumerable.Range((int)acknowledged + 1, (int)(last - acknowledged)).Select(i => (ulong)i), left.Select(r => r.Index));
                Assert.All(left, r => Assert.Equal(Record((int)r.Index).ToArray(), r.Data.ToArray()));
            }

            await spool.DisposeAsync();
        }
    }

    [Fact]
    public async Task Many_that_append_at_once_and_wait_get_their_records_stored_once_and_in_their_order()
    {
        const int producers = 16;
        const int each = 1500;
        using var memory = new TemporaryFolder(TemporaryFolder.Memory);
        var options = Options with { Directory = memory.Path, SegmentBytesMax = 32 << 10, BytesMax = 256 << 20 };
        await using (var spool = EventSpool.Open(options))
        {
            await Task.WhenAll(Enumerable.Range(0, producers).Select(producer => Task.Run(async () =>
            {
                // Waiting for each lets the writer run dry again and again.
                for (var i = 0; i < each; i++)
                {
                    Assert.True(spool.TryAppend(new byte[] { (byte)producer, (byte)i, (byte)(i >> 8) }, out var durable));
                    await durable;
                }
            })));
        }

        var next = new int[producers];
        await using var again = EventSpool.Open(options, visit: (index, data) =>
        {
            var producer = data.Span[0];
            Assert.Equal(next[producer]++, data.Span[1] | (data.Span[2] << 8));
        });
        Assert.All(next, count => Assert.Equal(each, count));
        Assert.Equal((ulong)(producers * each), again.LastIndex);
    }

    [Fact]
    public async Task What_several_readers_have_not_all_acknowledged_stays_and_each_goes_on_where_it_was()
    {
        var options = Options with { Readers = ["sensor", "stackrox"] };
        await using (var spool = EventSpool.Open(options))
        {
            await AppendAsync(spool, 1, 300);
            spool.Acknowledge(300, "sensor");
            Assert.Equal((0UL, 300UL, 300UL, 0UL), (spool.DepthOf("sensor"), spool.DepthOf("stackrox"), spool.Depth, spool.AcknowledgedIndex));
            spool.Acknowledge(200, "stackrox");
            Assert.Equal(200UL, spool.AcknowledgedIndex);
            Assert.Throws<ArgumentException>(() => spool.Acknowledge(300));
        }

        await using (var spool = EventSpool.Open(options))
        {
            Assert.Equal((300UL, 200UL), (spool.AcknowledgedIndexOf("sensor"), spool.AcknowledgedIndexOf("stackrox")));
            Assert.Equal(201UL, (await spool.OpenCursor("stackrox").ReadAsync(1, 1, default))[0].Index);
        }

        // One reader leaves, the other acknowledges more, and the first comes back: what was done without it is done.
        await using (var spool = EventSpool.Open(Options))
        {
            Assert.Equal(200UL, spool.AcknowledgedIndex);
            spool.Acknowledge(250);
        }

        await using var again = EventSpool.Open(options);
        Assert.Equal((300UL, 250UL), (again.AcknowledgedIndexOf("sensor"), again.AcknowledgedIndexOf("stackrox")));
        Assert.Equal(0, again.LostCount(SpoolLossReason.Damage));
    }

    [Fact]
    public async Task A_disk_that_refuses_again_and_again_is_told_of_once_in_ten_seconds_with_a_count_and_without_a_stack()
    {
        var (time, log) = (new ManualTimeProvider(), new LogList());
        var folder = _folder.File("spool");
        await using var spool = EventSpool.Open(Options with { Directory = folder }, log, time: time);
        Assert.False(spool.IsRefusing);
        // No segment can be made.
        Directory.Delete(folder, recursive: true);
        for (var i = 0; i < 5; i++) await RefusedAsync();
        Assert.Contains("refused 1 records", Assert.Single(log.Lines), StringComparison.Ordinal);
        Assert.True(spool.IsRefusing);

        time.Advance(TimeSpan.FromSeconds(10));
        Assert.False(spool.IsRefusing);
        await RefusedAsync();
        Assert.Equal(2, log.Lines.Count);
        Assert.Contains("refused 5 records", log.Lines[1], StringComparison.Ordinal);
        Assert.All(log.Lines, line => Assert.DoesNotContain("   at ", line, StringComparison.Ordinal));

        Directory.CreateDirectory(folder);
        await AppendAsync(spool, 1, 1);

        async Task RefusedAsync()
        {
            Assert.True(spool.TryAppend(new byte[10], out var durable));
            await Assert.ThrowsAsync<IOException>(() => durable);
        }
    }

    [Fact]
    public async Task A_full_spool_says_for_ten_seconds_that_it_refused()
    {
        var time = new ManualTimeProvider();
        await using var spool = EventSpool.Open(Options, time: time);
        Task durable;
        while (spool.TryAppend(new byte[1000], out durable))
        {
            Assert.False(spool.IsRefusing);
            await durable;
        }

        Assert.True(spool.IsRefusing);
        time.Advance(TimeSpan.FromSeconds(10));
        Assert.False(spool.IsRefusing);
    }

    [Fact]
    public async Task A_full_spool_that_sheds_drops_its_oldest_counts_them_and_says_which()
    {
        await using var spool = EventSpool.Open(Options with { WhenFull = WhenFull.DropOldest });
        const ulong appended = 500;
        for (var i = 1UL; i <= appended; i++)
        {
            Assert.True(spool.TryAppend(new byte[1000], out var durable));
            await durable;
        }

        var loss = Assert.Single(await spool.TakeLossesAsync(default));
        Assert.Equal((1UL, SpoolLossReason.Full), (loss.First, loss.Reason));
        Assert.Equal(appended, spool.Depth + loss.Count);
        Assert.Equal((long)loss.Count, spool.LostCount(SpoolLossReason.Full));
        Assert.InRange(spool.Bytes, 0, Options.BytesMax);
        Assert.Equal(loss.Last + 1, (await spool.OpenCursor().ReadAsync(1, 1, default))[0].Index);
    }

    [Fact]
    public async Task What_a_reader_has_taken_and_not_acknowledged_is_not_shed()
    {
        await using var spool = EventSpool.Open(Options with { WhenFull = WhenFull.DropOldest });
        await AppendBigAsync(20);
        using (var cursor = spool.OpenCursor())
        {
            Assert.Equal(2, (await cursor.ReadAsync(2, int.MaxValue, default)).Count);
            await AppendBigAsync(200);
            // Records 1 and 2 are under way; the segment that holds them stays, and those behind it give way.
            spool.Acknowledge(2);
            Assert.Equal(3UL, (await cursor.ReadAsync(1, int.MaxValue, default))[0].Index);
        }

        Assert.True((await spool.TakeLossesAsync(default))[0].First > 3);
        await AppendBigAsync(200);
        Assert.True((await spool.OpenCursor().ReadAsync(1, 1, default))[0].Index > 3);
        Assert.Equal(420UL - 2, spool.Depth + (ulong)spool.LostCount(SpoolLossReason.Full));

        async Task AppendBigAsync(int count)
        {
            for (var i = 0; i < count; i++)
            {
                Assert.True(spool.TryAppend(new byte[1000], out var durable));
                await durable;
            }
        }
    }

    [Fact]
    public async Task More_than_may_wait_for_the_disk_is_refused_and_taken_when_it_is_written()
    {
        await using var spool = EventSpool.Open(Options with { QueueBytesMax = 3000, BytesMax = 64 << 20 });
        var durables = new List<Task>();
        var refused = 0;
        for (var i = 0; i < 2000; i++)
        {
            if (spool.TryAppend(new byte[1000], out var durable)) durables.Add(durable);
            else refused++;
        }

        Assert.True(refused > 0, "the disk took 2000 records as fast as they came");
        await Task.WhenAll(durables);
        Assert.Equal((ulong)durables.Count, spool.LastIndex);
        Assert.True(spool.TryAppend(new byte[2000], out _));
    }

    [Fact]
    public async Task Damage_while_it_is_read_is_told_once()
    {
        await using var spool = EventSpool.Open(Options with { SegmentBytesMax = 1 << 20, BytesMax = 4 << 20 });
        await AppendAsync(spool, 1, 100);
        var file = Directory.GetFiles(_folder.Path, "*.spool").Single();
        using (var handle = File.OpenHandle(file, FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) RandomAccess.Write(handle, new byte[1], 2000);
        for (var i = 0; i < 2; i++)
        {
            using var cursor = spool.OpenCursor();
            var read = 0;
            while (read < 99) read += (await cursor.ReadAsync(1000, 1 << 20, default)).Count;
        }

        var loss = Assert.Single(await spool.TakeLossesAsync(default));
        Assert.Equal((1UL, SpoolLossReason.Damage), (loss.Count, loss.Reason));
        Assert.Equal(99UL, spool.Depth);
        using var nothing = new CancellationTokenSource();
        var waiting = spool.TakeLossesAsync(nothing.Token);
        Assert.False(waiting.IsCompleted);
        await nothing.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await waiting);
    }

    [Fact]
    public async Task An_inspection_reads_a_spool_that_is_open_and_says_so()
    {
        await using (var spool = EventSpool.Open(Options with { Readers = ["a"] }))
        {
            await AppendAsync(spool, 1, 400);
            spool.Acknowledge(10, "a");
            var inspected = SpoolInspection.Read(_folder.Path);
            Assert.True(inspected.IsOpen);
            Assert.Equal([(null, 10UL), ("a", 10UL)], inspected.Readers);
            Assert.Equal(400, inspected.Segments.Sum(segment => segment.Records));
            Assert.All(inspected.Segments, segment => Assert.Equal((0L, 0), (segment.TailBytes, segment.Damage.Count)));
        }

        Assert.False(SpoolInspection.Read(_folder.Path).IsOpen);
        var files = Directory.GetFiles(_folder.Path, "*.spool").Order(StringComparer.Ordinal).ToList();
        var bytes = await File.ReadAllBytesAsync(files[1]);
        bytes[100] ^= 1;
        await File.WriteAllBytesAsync(files[1], bytes);
        var damage = Assert.Single(SpoolInspection.Read(_folder.Path).Segments, segment => segment.Damage.Count > 0);
        Assert.Equal(files[1], damage.Path);
    }

    [Fact]
    public void The_checksum_of_long_data_is_that_of_its_bytes_one_by_one()
    {
        var data = new byte[20_000];
        new Random(5).NextBytes(data);
        foreach (var length in new[] { 0, 1, 7, 8, 1023, 3071, 3072, 3073, 3080, 6143, 6144, 9999, 20_000 })
            Assert.Equal(ReferenceCrc32C(data.AsSpan(0, length)), ~Crc32C.Append(uint.MaxValue, data.AsSpan(0, length)));
    }

    [Fact]
    public void The_checksum_is_crc32c_as_the_format_says()
    {
        // The check value of CRC-32C shows that the slow reference below is right.
        var data = Encoding.ASCII.GetBytes("123456789");
        Assert.Equal(0xE3069283u, ReferenceCrc32C(data));

        // Length, index and data are covered, in this order and byte order.
        Assert.Equal(ReferenceCrc32C(new byte[12]), SegmentFormat.Checksum(0, []));
        byte[] covered = [9, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, .. data];
        Assert.Equal(ReferenceCrc32C(covered), SegmentFormat.Checksum(5, data));
    }

    static uint ReferenceCrc32C(ReadOnlySpan<byte> data)
    {
        var crc = uint.MaxValue;
        foreach (var b in data)
        {
            crc ^= b;
            for (var bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) * 0x82F63B78u);
        }

        return ~crc;
    }

    static async Task AppendAsync(EventSpool spool, int first, int count)
    {
        var appends = new List<Task>();
        for (var i = first; i < first + count; i++)
        {
            Assert.True(spool.TryAppend(Record(i), out var durable));
            appends.Add(durable);
        }

        await Task.WhenAll(appends);
    }

    /// <summary>Record n has its own length and bytes, so that no other can be taken for it.</summary>
    static ReadOnlyMemory<byte> Record(int n)
    {
        var bytes = new byte[1 + (n * 7 % 90)];
        new Random(n).NextBytes(bytes);
        return bytes;
    }

    /// <summary>Lines as a console shows them: with the exception.</summary>
    sealed class LogList : ILogger
    {
        public List<string> Lines { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Lines.Add(formatter(state, exception) + exception);
    }
}
