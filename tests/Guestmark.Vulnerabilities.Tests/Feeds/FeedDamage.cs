using System.Text;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>Damages feeds in ways that readers stumble over, by seed.</summary>
static class FeedDamage
{
    /// <summary>How many damaged inputs a test tries: few in every run, and as many as GUESTMARK_FUZZ_INPUTS says when that is set.</summary>
    public static int Inputs(int usual) => int.TryParse(Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS"), out var inputs) ? inputs : usual;

    /// <summary>A copy with some bytes changed, taken out, doubled, or cut off.</summary>
    public static byte[] Mutate(byte[] original, Random random)
    {
        var bytes = original.ToList();
        for (var changes = random.Next(1, 4); changes > 0 && bytes.Count > 0; changes--)
        {
            var at = random.Next(bytes.Count);
            var count = Math.Min(random.Next(1, 16), bytes.Count - at);
            switch (random.Next(5))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    for (var i = 0; i < count; i++) bytes[at + i] = (byte)(random.Next(2) == 0 ? 0xff : random.Next(256));
                    break;
                case 2:
                    bytes.RemoveRange(at, count);
                    break;
                case 3:
                    bytes.InsertRange(at, bytes.GetRange(at, count));
                    break;
                default:
                    if (random.Next(3) == 0) bytes.RemoveRange(at, bytes.Count - at);
                    break;
            }
        }

        return [.. bytes];
    }

    /// <summary>Gives the first header its right checksum.</summary>
    public static void MendTar(byte[] tar)
    {
        tar.AsSpan(148, 8).Fill((byte)' ');
        var sum = 0;
        foreach (var b in tar.AsSpan(0, 512)) sum += b;
        Encoding.ASCII.GetBytes(Convert.ToString(sum, 8).PadLeft(6, '0') + "\0 ").CopyTo(tar, 148);
    }
}
