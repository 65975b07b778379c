using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using Guestmark.TestKit;

namespace Guestmark.Spool.Tests;

/// <summary>Establishes that what was acknowledged is there, whatever becomes of the process, the disk or the bytes on it.</summary>
public sealed class SpoolFaultTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_process_that_is_killed_again_and_again_loses_nothing_that_it_acknowledged()
    {
        // 20 times; tests/faults asks for 200.
        var kills = int.Parse(Environment.GetEnvironmentVariable("GUESTMARK_KILLS") ?? "20", CultureInfo.InvariantCulture);
        var random = new Random(1);
        var acknowledged = new HashSet<long>();
        var delivered = new HashSet<long>();
        long next = 1;
        for (var kill = 0; kill < kills; kill++)
        {
            next = await RunAndKillAsync(next, TimeSpan.FromMilliseconds(random.Next(2, 60)), acknowledged);
            await using var spool = EventSpool.Open(Child.Options(_folder.File("spool")));
            Assert.Equal(0, spool.LostCount(SpoolLossReason.Damage));
            using var cursor = spool.OpenCursor();
            var last = spool.AcknowledgedIndex;
            while (last < spool.LastIndex)
            {
                foreach (var record in await cursor.ReadAsync(10_000, 1 << 24, CancellationToken.None))
                {
                    Assert.Equal(last + 1, record.Index);
                    last = record.Index;
                    Assert.True(delivered.Add(Child.NumberOf(record.Data.Span)), "a record came twice");
                }
            }

            if (last > 0) spool.Acknowledge(last);
        }

        Assert.True(acknowledged.Count > kills, $"only {acknowledged.Count} records were acknowledged");
        Assert.Empty(acknowledged.Except(delivered));
    }

    [ToolFact("gcc")]
    public async Task A_call_to_the_disk_that_fails_costs_only_what_was_not_acknowledged()
    {
        var library = _folder.File("faults.so");
        using (var compiler = Start("gcc", ["-O1", "-shared", "-fPIC", Path.Combine(Repository.Root, "tests", "Guestmark.Spool.Tests", "faults.c"), "-o", library, "-ldl"]))
        {
            var problems = await compiler.StandardError.ReadToEndAsync();
            await compiler.WaitForExitAsync();
            Assert.True(compiler.ExitCode == 0, problems);
        }

        // tests/faults asks for more.
        var records = Environment.GetEnvironmentVariable("GUESTMARK_FAULT_RECORDS") ?? "24";
        using var child = StartChild(["faults", records], start => start.Environment["LD_PRELOAD"] = library);
        var errors = child.StandardError.ReadToEndAsync();
        var output = await child.StandardOutput.ReadToEndAsync();
        await child.WaitForExitAsync();
        Assert.True(child.ExitCode == 0, await errors);
        Assert.StartsWith("points ", output, StringComparison.Ordinal);
        Assert.InRange(int.Parse(output["points ".Length..], CultureInfo.InvariantCulture), 100, int.MaxValue);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public async Task A_spool_damaged_at_any_place_gives_every_other_record_as_it_was_and_tells_what_is_missing()
    {
        var cuts = int.Parse(Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS") ?? "10000", CultureInfo.InvariantCulture);
        using var memory = new TemporaryFolder(TemporaryFolder.Memory);
        var options = new SpoolOptions { Directory = memory.File("whole"), SegmentBytesMax = 8 << 10, RecordBytesMax = 4 << 10, BytesMax = 1 << 20 };
        const int records = 40;
        await using (var spool = EventSpool.Open(options))
        {
            for (var n = 1; n <= records; n++)
            {
                Assert.True(spool.TryAppend(Child.Record(n), out var durable));
                await durable;
            }
        }

        var whole = Directory.GetFiles(options.Directory).Where(file => Path.GetFileName(file) != "lock").Order(StringComparer.Ordinal).ToDictionary(file => Path.GetFileName(file), File.ReadAllBytes);
        var segments = whole.Keys.Where(name => name.EndsWith(".spool", StringComparison.Ordinal)).ToList();
        Assert.InRange(segments.Count, 3, 10);
        var places = Places(whole, segments);
        var damaged = memory.File("damaged");
        for (var seed = 0; seed < cuts; seed++)
        {
            var random = new Random(seed);
            var name = segments[random.Next(segments.Count)];
            var bytes = (byte[])whole[name].Clone();
            var kind = random.Next(4);
            var (from, to) = Damage(ref bytes, kind, random);
            Directory.CreateDirectory(damaged);
            foreach (var file in Directory.GetFiles(damaged)) File.Delete(file);
            foreach (var (other, content) in whole) await File.WriteAllBytesAsync(Path.Combine(damaged, other), other == name ? bytes : content);

            var expected = places.Where(place => place.Segment != name || place.End <= from || (place.Start >= to && kind != 0)).Select(place => place.Number).ToHashSet();
            var (found, lost) = await ReadAsync(options with { Directory = damaged });
            Assert.True(expected.IsSubsetOf(found), $"seed {seed}: {string.Join(' ', expected.Except(found))} of {name} are gone with bytes {from} to {to}");
            // Also what is behind the last whole record of the newest segment: the spool has noted that it was stored.
            var told = Enumerable.Range(1, records).Where(n => !found.Contains(n)).ToList();
            Assert.True(told.SequenceEqual(lost.Order()), $"seed {seed}: missing {string.Join(' ', told)}, told {string.Join(' ', lost)}");
        }
    }

    static (int From, int To) Damage(ref byte[] bytes, int kind, Random random)
    {
        switch (kind)
        {
            case 0:
                var cut = random.Next(bytes.Length);
                bytes = bytes[..cut];
                return (cut, int.MaxValue);
            case 1:
                // Not the version: another version's file is left alone.
                var place = random.Next(bytes.Length);
                if (place == 7) place = 8;
                bytes[place] ^= (byte)(1 << random.Next(8));
                return (place, place + 1);
            case 2:
                var zeroed = random.Next((bytes.Length + 511) / 512) * 512;
                var end = Math.Min(zeroed + 512, bytes.Length);
                bytes.AsSpan(zeroed, end - zeroed).Clear();
                return (zeroed, end);
            default:
                // Two blocks of the disk in each other's place.
                var (first, second) = (random.Next(bytes.Length / 512) * 512, random.Next(bytes.Length / 512) * 512);
                var (low, high) = (Math.Min(first, second), Math.Max(first, second));
                var kept = bytes.AsSpan(low, 512).ToArray();
                bytes.AsSpan(high, 512).CopyTo(bytes.AsSpan(low));
                kept.CopyTo(bytes, high);
                return low == high ? (int.MaxValue, int.MaxValue) : (low, high + 512);
        }
    }

    /// <summary>Where each record lies, walked by hand: u32 length, u32 checksum, u64 index with the secret, data; behind a header of 32 bytes.</summary>
    static List<(string Segment, int Start, int End, int Number)> Places(Dictionary<string, byte[]> files, List<string> segments)
    {
        var places = new List<(string, int, int, int)>();
        foreach (var name in segments)
        {
            var bytes = files[name];
            for (var start = 32; start < bytes.Length;)
            {
                var end = start + 16 + BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(start));
                places.Add((name, start, end, (int)Child.NumberOf(bytes.AsSpan((start + 16)..end))));
                start = end;
            }
        }

        return places;
    }

    static async Task<(HashSet<int> Found, List<int> Lost)> ReadAsync(SpoolOptions options)
    {
        await using var spool = EventSpool.Open(options);
        var found = new HashSet<int>();
        using var cursor = spool.OpenCursor();
        for (ulong last = 0; last < spool.LastIndex && (ulong)found.Count < spool.Depth;)
        {
            foreach (var record in await cursor.ReadAsync(1000, 1 << 20, CancellationToken.None))
            {
                Assert.True(record.Index > last);
                last = record.Index;
                // A record's index is its number here.
                Assert.Equal((long)record.Index, Child.NumberOf(record.Data.Span));
                found.Add((int)record.Index);
            }
        }

        var lost = new List<int>();
        if (spool.LostCount(SpoolLossReason.Damage) > 0)
        {
            foreach (var loss in await spool.TakeLossesAsync(CancellationToken.None))
                lost.AddRange(Enumerable.Range((int)loss.First, (int)loss.Count));
        }

        return (found, lost);
    }

    /// <summary>Runs the appending child for a while after its first record. Returns a number that it has not used.</summary>
    async Task<long> RunAndKillAsync(long first, TimeSpan after, HashSet<long> acknowledged)
    {
        using var child = StartChild(["append", _folder.File("spool"), first.ToString(CultureInfo.InvariantCulture)]);
        var output = child.StandardOutput.BaseStream;
        var number = new byte[8];
        var last = first;
        long started = 0;
        while (await output.ReadAtLeastAsync(number, 8, throwOnEndOfStream: false) == 8)
        {
            var n = BinaryPrimitives.ReadInt64LittleEndian(number);
            acknowledged.Add(n);
            last = Math.Max(last, n);
            if (started == 0) started = Stopwatch.GetTimestamp();
            if (!child.HasExited && Stopwatch.GetElapsedTime(started) > after) child.Kill();
        }

        await child.WaitForExitAsync();
        Assert.True(started != 0, await child.StandardError.ReadToEndAsync());
        return last + 10;
    }

    static Process StartChild(IEnumerable<string> arguments, Action<ProcessStartInfo>? configure = null) =>
        Start(Environment.ProcessPath is { } host && Path.GetFileName(host) == "dotnet" ? host : "dotnet", ["exec", typeof(Child).Assembly.Location, .. arguments], configure);

    static Process Start(string program, IEnumerable<string> arguments, Action<ProcessStartInfo>? configure = null)
    {
        var start = new ProcessStartInfo(program, arguments) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
        configure?.Invoke(start);
        return Process.Start(start)!;
    }
}
