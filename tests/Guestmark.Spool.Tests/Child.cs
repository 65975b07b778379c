using System.Buffers.Binary;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using Guestmark.TestKit;

namespace Guestmark.Spool.Tests;

/// <summary>This assembly as a program: a process that uses a spool and is killed, or whose system calls fail.</summary>
static class Child
{
    /// <summary>Small, so that a run goes through several of them.</summary>
    public static SpoolOptions Options(string folder) => new() { Directory = folder, SegmentBytesMax = 64 << 10, RecordBytesMax = 16 << 10, BytesMax = 64L << 20 };

    public static async Task<int> Main(string[] args)
    {
        switch (args)
        {
            case ["append", var folder, var first]:
                await AppendAsync(folder, long.Parse(first, CultureInfo.InvariantCulture));
                return 0;
            case ["faults", var records]:
                Console.WriteLine($"points {await Faults.SweepAsync(int.Parse(records, CultureInfo.InvariantCulture))}");
                return 0;
            default:
                return 64;
        }
    }

    /// <summary>Record n has its own length and bytes, so that no other can be taken for it.</summary>
    public static byte[] Record(long n)
    {
        var bytes = new byte[12 + (n * 37 % 1500)];
        new Random((int)n).NextBytes(bytes);
        BinaryPrimitives.WriteInt64LittleEndian(bytes, n);
        return bytes;
    }

    /// <summary>The number of a record; fails when its bytes are not those that were appended.</summary>
    public static long NumberOf(ReadOnlySpan<byte> record)
    {
        var n = BinaryPrimitives.ReadInt64LittleEndian(record);
        return record.SequenceEqual(Record(n)) ? n : throw new InvalidDataException($"record {n} is not as it was appended");
    }

    /// <summary>Four producers append until the process is killed. Each number that is durable is written to standard output.</summary>
    static async Task AppendAsync(string folder, long first)
    {
        await using var spool = EventSpool.Open(Options(folder));
        var output = Console.OpenStandardOutput();
        var next = first - 1;
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            var line = new byte[8];
            while (true)
            {
                var n = Interlocked.Increment(ref next);
                if (!spool.TryAppend(Record(n), out var durable)) return;
                await durable;
                BinaryPrimitives.WriteInt64LittleEndian(line, n);
                lock (output) output.Write(line);
            }
        })));
    }

    /// <summary>Fails every n-th call of each kind and looks whether what was acknowledged is there.</summary>
    static class Faults
    {
        const int Eio = 5;
        const int Enospc = 28;
        const int Kinds = 5;

        delegate void Arm(int kind, int at, int error, int sticky, int how);

        delegate int Seen(int kind);

        /// <param name="records">As many are appended in each run; the more, the more calls there are to fail.</param>
        public static async Task<int> SweepAsync(int records)
        {
            // A call into "libc" is looked up in that library alone, past what was loaded before it; in the program's own scope it is not.
            NativeLibrary.SetDllImportResolver(
                typeof(EventSpool).Assembly,
                (name, _, _) => name == "libc" ? NativeLibrary.GetMainProgramHandle() : IntPtr.Zero);
            var library = NativeLibrary.GetMainProgramHandle();
            var arm = Marshal.GetDelegateForFunctionPointer<Arm>(NativeLibrary.GetExport(library, "faults_arm"));
            var seen = Marshal.GetDelegateForFunctionPointer<Seen>(NativeLibrary.GetExport(library, "faults_seen"));
            var points = 0;
            for (var kind = 0; kind < Kinds; kind++)
            {
                foreach (var (error, sticky, how) in new[] { (Eio, 0, 0), (Enospc, 0, 0), (Eio, 1, 0), (Enospc, 1, 1) })
                {
                    for (var at = 1; ; at++)
                    {
                        arm(kind, at, error, sticky, how);
                        using var folder = new TemporaryFolder(TemporaryFolder.Memory);
                        var durable = new HashSet<int>();
                        var appended = new HashSet<int>();
                        var failed = false;
                        try
                        {
                            await RunAsync(folder.File("spool"), records, appended, durable);
                        }
                        catch (IOException)
                        {
                            failed = true;
                        }

                        var reached = seen(kind) >= at;
                        arm(-1, 0, 0, 0, 0);
                        await CheckAsync(folder.File("spool"), appended, durable, $"kind {kind} call {at} error {error} sticky {sticky} how {how}");
                        if (!reached)
                        {
                            if (failed || durable.Count < records) throw new InvalidOperationException("it failed although no call did");
                            break;
                        }

                        points++;
                    }
                }
            }

            return points;
        }

        static async Task RunAsync(string folder, int records, HashSet<int> appended, HashSet<int> durable)
        {
            await using var spool = EventSpool.Open(Options(folder) with { SegmentBytesMax = 4096 });
            for (var n = 1; n <= records; n += 4)
            {
                var hadFailed = spool.Failure is not null;
                var tasks = new List<(int Number, Task Durable)>();
                for (var i = n; i < n + 4; i++)
                {
                    try
                    {
                        if (!spool.TryAppend(Record(i), out var done)) throw new InvalidOperationException("full");
                        tasks.Add((i, done));
                        appended.Add(i);
                    }
                    catch (IOException) when (spool.Failure is not null)
                    {
                        // Refused for good: nothing was taken.
                    }
                }

                if (hadFailed && tasks.Count > 0) throw new InvalidOperationException("taken after a failed flush");
                foreach (var (number, done) in tasks)
                {
                    try
                    {
                        await done;
                        durable.Add(number);
                    }
                    catch (IOException)
                    {
                        // Not acknowledged: it may be there or not, as nobody was told.
                    }
                }
            }
        }

        static async Task CheckAsync(string folder, HashSet<int> appended, HashSet<int> durable, string where)
        {
            try
            {
                await using var spool = EventSpool.Open(Options(folder) with { SegmentBytesMax = 4096 });
                var found = new List<long>();
                var indexes = new List<ulong>();
                var cursor = spool.OpenCursor();
                while (spool.LastIndex > 0 && indexes.LastOrDefault() < spool.LastIndex)
                {
                    foreach (var record in await cursor.ReadAsync(1000, 1 << 20, CancellationToken.None))
                    {
                        found.Add(NumberOf(record.Data.Span));
                        indexes.Add(record.Index);
                    }
                }

                if (durable.Except(found.Select(n => (int)n)).Any()) throw new InvalidOperationException("an acknowledged record is gone");
                if (found.Distinct().Count() != found.Count) throw new InvalidOperationException("a record is there twice");
                if (found.Exists(n => !appended.Contains((int)n))) throw new InvalidOperationException("a record is there that was not appended");
                if (!indexes.SequenceEqual(Enumerable.Range(1, indexes.Count).Select(i => (ulong)i))) throw new InvalidOperationException("indexes have a gap");
                if (spool.LostCount(SpoolLossReason.Damage) > 0) throw new InvalidOperationException("a loss was told although nothing was lost");
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"{where}: {e.Message}", e);
            }
        }
    }
}
