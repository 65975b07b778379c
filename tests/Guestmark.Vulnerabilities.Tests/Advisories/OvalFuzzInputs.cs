namespace Guestmark.Vulnerabilities.Tests;

/// <summary>Damaged copies of a document, by seed.</summary>
static class FuzzInputs
{
    /// <summary>As many as GUESTMARK_FUZZ_INPUTS says, where it is set.</summary>
    public static int Count(int usual) => int.TryParse(Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS"), out var inputs) ? inputs : usual;

    /// <summary>One to four changes: a bit, some bytes, a piece twice, a piece gone, two pieces exchanged, the end cut off.</summary>
    public static byte[] Mutate(byte[] original, Random random)
    {
        var bytes = original.ToList();
        for (var changes = random.Next(1, 5); changes > 0 && bytes.Count > 2; changes--)
        {
            var at = random.Next(bytes.Count);
            var length = Math.Min(random.Next(1, 40), bytes.Count - at);
            switch (random.Next(12))
            {
                case 0:
                    bytes.RemoveRange(at, bytes.Count - at);
                    break;
                case 1 or 2:
                    bytes.InsertRange(at, bytes.GetRange(at, length));
                    break;
                case 3 or 4:
                    bytes.RemoveRange(at, length);
                    break;
                case 5 or 6:
                    var other = random.Next(bytes.Count - length + 1);
                    var piece = bytes.GetRange(at, length);
                    for (var i = 0; i < length; i++) bytes[at + i] = bytes[other + i];
                    for (var i = 0; i < length; i++) bytes[other + i] = piece[i];
                    break;
                case 7:
                    for (var i = 0; i < length; i++) bytes[at + i] = (byte)random.Next(256);
                    break;
                default:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
            }
        }

        return [.. bytes];
    }
}
