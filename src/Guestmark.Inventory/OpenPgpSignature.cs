namespace Guestmark.Inventory;

/// <summary>What an OpenPGP signature packet says of itself (RFC 4880, section 5.2). It is not verified here.</summary>
/// <param name="PublicKeyAlgorithm">1 RSA, 17 DSA, 19 ECDSA, 22 EdDSA.</param>
/// <param name="HashAlgorithm">1 MD5, 2 SHA1, 8 SHA256, 9 SHA384, 10 SHA512.</param>
/// <param name="Created">Seconds since 1970. Null when the packet does not say.</param>
/// <param name="KeyId">The issuer's key id, 16 lower-case hex digits. Empty when the packet does not say.</param>
public sealed record OpenPgpSignature(byte PublicKeyAlgorithm, byte HashAlgorithm, uint? Created, string KeyId);
