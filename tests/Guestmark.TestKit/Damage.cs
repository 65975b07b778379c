namespace Guestmark.TestKit;

/// <summary>Damages small messages by seed.</summary>
public static class Damage
{
    /// <summary>How many damaged inputs a test tries: few in every run, and as many as GUESTMARK_FUZZ_INPUTS says when that is set.</summary>
    public static int Inputs(int usual) => int.TryParse(Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS"), out var inputs) ? inputs : usual;

    /// <summary>A copy with one to four bytes changed, removed, inserted or doubled; one in eight is cut.</summary>
    public static byte[] Mutate(ReadOnlySpan<byte> seed, Random random)
    {
        var bytes = new List<byte>(seed.Length + 64);
        bytes.AddRange(seed);
        for (var changes = random.Next(1, 5); changes > 0 && bytes.Count > 0; changes--)
        {
            var at = random.Next(bytes.Count);
            switch (random.Next(5))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes[at] = (byte)(random.Next(2) == 0 ? 0xff : random.Next(256));
                    break;
                case 2:
                    bytes.RemoveAt(at);
                    break;
                case 3:
                    bytes.Insert(at, (byte)random.Next(256));
                    break;
                default:
                    bytes.AddRange(bytes.GetRange(at, Math.Min(16, bytes.Count - at)));
                    break;
            }
        }

        if (random.Next(8) == 0) bytes.RemoveRange(0, random.Next(bytes.Count + 1));
        return [.. bytes];
    }
}
