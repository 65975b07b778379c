using System.Buffers.Binary;
using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using Guestmark.Spool;

namespace Guestmark.Benchmarks;

/// <summary>Records that a disk has taken for good, per second.</summary>
static class SpoolRate
{
    const int RecordBytes = 512;

    /// <summary>
    /// Producers that each append records and wait, a window behind, until they are durable. Prints records per second, when a spool that is opened
    /// on the folder afterwards gives back every record.
    /// </summary>
    /// <param name="window">Records that a producer has under way.</param>
    public static async Task<int> RunAsync(string folder, int producers, int window, int recordsEach)
    {
        var options = new SpoolOptions { Directory = folder, BytesMax = 16L << 30 };
        TimeSpan elapsed;
        long commits;
        await using (var spool = EventSpool.Open(options))
        {
            var start = Stopwatch.GetTimestamp();
            await Task.WhenAll(Enumerable.Range(0, producers).Select(producer => Task.Run(() => ProduceAsync(spool, producer, window, recordsEach))));
            elapsed = Stopwatch.GetElapsedTime(start);
            commits = spool.Commits;
        }

        var seen = new int[producers];
        await using (EventSpool.Open(options, visit: (_, data) =>
        {
            var (producer, number) = (BinaryPrimitives.ReadInt32LittleEndian(data.Span), BinaryPrimitives.ReadInt32LittleEndian(data.Span[4..]));
            if (data.Length != RecordBytes || seen[producer]++ != number) throw new InvalidDataException($"record {number} of producer {producer} is out of order");
        }))
        {
        }

        if (Array.Exists(seen, count => count != recordsEach)) throw new InvalidDataException("records are missing");
        Console.Error.WriteLine($"  {producers * (long)recordsEach} records in {commits} commits");
        Console.WriteLine($"{producers * (double)recordsEach / elapsed.TotalSeconds:F0}");
        return 0;
    }

    static async Task ProduceAsync(EventSpool spool, int producer, int window, int records)
    {
        // Few distinct tasks: records that were appended together become durable together.
        var underWay = new Queue<(int Last, Task Durable)>();
        var record = new byte[RecordBytes];
        new Random(producer).NextBytes(record);
        BinaryPrimitives.WriteInt32LittleEndian(record, producer);
        for (var i = 0; i < records; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(record.AsSpan(4), i);
            Task durable;
            while (!spool.TryAppend(record, out durable)) await underWay.Dequeue().Durable;
            if (underWay.Count == 0 || underWay.Last().Durable != durable) underWay.Enqueue((i, durable));
            while (underWay.Count > 0 && i - underWay.Peek().Last >= window) await underWay.Dequeue().Durable;
        }

        foreach (var (_, durable) in underWay) await durable;
    }

    /// <summary>The disk itself: writes of one size to the end of a file, each followed by fdatasync. Prints bytes per second.</summary>
    public static int Raw(string file, int chunkBytes, long bytes)
    {
        using var handle = File.OpenHandle(file, FileMode.Create, FileAccess.Write, preallocationSize: 0);
        var chunk = new byte[chunkBytes];
        new Random(1).NextBytes(chunk);
        var start = Stopwatch.GetTimestamp();
        long written = 0;
        for (; written < bytes; written += chunkBytes)
        {
            RandomAccess.Write(handle, chunk, written);
            if (fdatasync(handle) != 0) throw new IOException("fdatasync failed");
        }

        Console.WriteLine($"{written / Stopwatch.GetElapsedTime(start).TotalSeconds:F0}");
        return 0;
    }

    /// <summary>
    /// Lines of 512 bytes over TCP, until the receiver has written as many to a file, each once. Prints lines per second.
    /// </summary>
    public static async Task<int> LinesAsync(int port, string output, int connections, int linesEach)
    {
        var start = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, connections).Select(connection => Task.Run(async () =>
        {
            using var client = new TcpClient();
            await client.ConnectAsync("127.0.0.1", port);
            await using var stream = client.GetStream();
            var lines = new MemoryStream();
            var filler = new string('x', RecordBytes);
            for (var i = 0; i < linesEach; i++)
            {
                var head = $"<134>Jan  1 00:00:00 host app: {connection:D4} {i:D8} ";
                lines.Write(Encoding.ASCII.GetBytes(head + filler[..(RecordBytes - head.Length - 1)] + '\n'));
                if (lines.Length < 64 * 1024 && i < linesEach - 1) continue;
                await stream.WriteAsync(lines.GetBuffer().AsMemory(0, (int)lines.Length));
                lines.SetLength(0);
            }
        })));

        var expected = connections * (long)linesEach;
        using var waiting = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        long length = 0;
        for (var quiet = 0; length < expected && quiet < 6000; quiet++)
        {
            await waiting.WaitForNextTickAsync();
            length = File.Exists(output) ? new FileInfo(output).Length / RecordBytes : 0;
        }

        var elapsed = Stopwatch.GetElapsedTime(start);
        var seen = new HashSet<string>();
        foreach (var line in File.ReadLines(output))
        {
            if (line.Length > 40) seen.Add(line[^(RecordBytes - 1)..][..45]);
        }

        if (seen.Count != expected) throw new InvalidDataException($"{seen.Count} of {expected} lines arrived");
        Console.WriteLine($"{expected / elapsed.TotalSeconds:F0}");
        return 0;
    }

    [System.Runtime.InteropServices.DllImport("libc")]
    static extern int fdatasync(Microsoft.Win32.SafeHandles.SafeFileHandle file);
}
