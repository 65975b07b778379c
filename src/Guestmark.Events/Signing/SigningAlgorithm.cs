namespace Guestmark.Events.Signing;

/// <summary>How events are signed.</summary>
public enum SigningAlgorithm
{
    /// <summary>ECDSA over NIST P-256 with SHA-256; signatures are r and s, 32 bytes each (IEEE P1363), as in the vectors of the CloudEvents extension.</summary>
    EcdsaP256,

    /// <summary>RFC 8032, without a context; 64 bytes.</summary>
    Ed25519,

    /// <summary>RFC 2104 with a key of 32 bytes or more; 32 bytes. Whoever can verify can sign.</summary>
    HmacSha256,
}

/// <summary>Names of algorithms in configurations and on the command line.</summary>
public static class SigningAlgorithms
{
    /// <summary>Every name, the default first.</summary>
    public static IReadOnlyList<string> Names { get; } = ["ecdsa-p256", "ed25519", "hmac-sha256"];

    /// <summary>The name of an algorithm.</summary>
    public static string Name(this SigningAlgorithm algorithm) => Names[(int)algorithm];

    /// <summary>The algorithm of a name. Null when there is none: never a default in its place.</summary>
    public static SigningAlgorithm? Find(string name)
    {
        for (var i = 0; i < Names.Count; i++)
        {
            if (string.Equals(Names[i], name, StringComparison.Ordinal)) return (SigningAlgorithm)i;
        }

        return null;
    }
}
