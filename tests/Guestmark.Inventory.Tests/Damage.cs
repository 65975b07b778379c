using System.Buffers.Binary;
using System.Diagnostics;

namespace Guestmark.Inventory.Tests;

/// <summary>Damages inputs in ways that parsers stumble over, by seed, and checks that a parser keeps its bounds.</summary>
static class Damage
{
    static readonly uint[] Extremes = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

    /// <summary>How many damaged inputs a test tries: few in every run, and as many as GUESTMARK_FUZZ_INPUTS says when that is set.</summary>
    public static int Inputs(int usual) => int.TryParse(Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS"), out var inputs) ? inputs : usual;

    /// <summary>A damaged copy.</summary>
    /// <param name="focus">Half of the damage falls into so many bytes at the front.</param>
    public static byte[] Mutate(byte[] original, Random random, int focus)
    {
        var copy = (byte[])original.Clone();
        for (var changes = random.Next(1, 5); changes > 0; changes--)
        {
            var offset = random.Next(random.Next(2) == 0 ? Math.Min(focus, copy.Length) : copy.Length);
            var (at, bytes) = Change(copy.AsSpan(offset), random);
            bytes.CopyTo(copy.AsSpan(offset + at));
        }

        return random.Next(8) == 0 ? copy[..random.Next(copy.Length + 1)] : copy;
    }

    /// <summary>One change of what lies at the start of <paramref name="bytes"/>: where, and the new bytes.</summary>
    public static (int At, byte[] Bytes) Change(ReadOnlySpan<byte> bytes, Random random)
    {
        byte[] changed;
        switch (random.Next(4))
        {
            case 0:
                return (0, [(byte)(bytes[0] ^ (1 << random.Next(8)))]);
            case 1 when bytes.Length >= 4:
                changed = new byte[4];
                var value = Extremes[random.Next(Extremes.Length)];
                if (random.Next(2) == 0) BinaryPrimitives.WriteUInt32BigEndian(changed, value);
                else BinaryPrimitives.WriteUInt32LittleEndian(changed, value);
                return (0, changed);
            case 2 when bytes.Length >= 64:
                // Two neighbouring blocks change places.
                var block = random.Next(1, Math.Min(bytes.Length / 2, 4096));
                return (0, [.. bytes.Slice(block, block), .. bytes[..block]]);
            default:
                changed = new byte[Math.Min(bytes.Length, random.Next(1, 16))];
                random.NextBytes(changed);
                return (0, changed);
        }
    }

    // One buffer to read a file through, and the objects of an empty result.
    const int FixedBytes = 128 * 1024;

    /// <summary>No hang, and at most 64 bytes of memory for each byte of input.</summary>
    public static void AssertBounded(Action read, long inputBytes, string what)
    {
        var (seconds, allocated) = Measure(read);
        // A machine with other work may let a thread wait for seconds. What hangs does so each time.
        for (var again = 0; seconds >= 1 && again < 2; again++) seconds = Math.Min(seconds, Measure(read).Seconds);
        Assert.True(seconds < 1, $"{what} took {seconds} s");
        Assert.True(allocated <= (64 * inputBytes) + FixedBytes, $"{what} allocated {allocated} bytes for {inputBytes}");
    }

    static (double Seconds, long Allocated) Measure(Action read)
    {
        var allocatedBefore = GC.GetAllocatedBytesForCurrentThread();
        var start = Stopwatch.GetTimestamp();
        read();
        return (Stopwatch.GetElapsedTime(start).TotalSeconds, GC.GetAllocatedBytesForCurrentThread() - allocatedBefore);
    }
}
