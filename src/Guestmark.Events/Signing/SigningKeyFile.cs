using System.Buffers.Text;
using System.Formats.Asn1;
using System.Security.Cryptography;
using System.Text;

namespace Guestmark.Events.Signing;

/// <summary>Files of keys that sign.</summary>
/// <remarks>
/// ECDSA P-256 and Ed25519: PEM of PKCS#8 (<c>BEGIN PRIVATE KEY</c>; for ECDSA also <c>BEGIN EC PRIVATE KEY</c>), not encrypted. HMAC-SHA256: base64 or
/// base64url of 32 bytes or more, or those bytes themselves. Nobody but the owner may read the file.
/// </remarks>
public static class SigningKeyFile
{
    /// <summary>Room for comments around a key of 200 bytes.</summary>
    const int BytesMax = 64 * 1024;

    const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    const UnixFileMode Everybody = OwnerOnly | UnixFileMode.GroupRead | UnixFileMode.OtherRead;
    const string P256Oid = "1.2.840.10045.3.1.7";

    /// <summary>Makes a key and writes it.</summary>
    /// <param name="folder">Made with mode 0700 when it is absent.</param>
    /// <param name="keyId">Null: the key's own.</param>
    /// <returns>
    /// The id and the files: <c>ID.key</c>, mode 0600, signs; <c>ID.pub</c>, mode 0644, verifies. Of HMAC there is only <c>ID.hmac</c>, mode 0600.
    /// </returns>
    /// <exception cref="SigningKeyException">A file is there already, or cannot be written. Nothing is overwritten.</exception>
    public static (string KeyId, string SecretFile, string? PublicFile) Create(SigningAlgorithm algorithm, string folder, string? keyId = null)
    {
        var (derived, secret, publicPem) = Make(algorithm);
        var id = keyId ?? derived;
        if (!KeyId.IsValid(id)) throw new SigningKeyException(folder, $"key id '{id}': use 1 to {KeyId.LengthMax} letters, digits, '-', '_', '.', ':' or '@'");
        var secretFile = Path.Combine(folder, $"{id}.{(publicPem is null ? "hmac" : "key")}");
        var publicFile = publicPem is null ? null : Path.Combine(folder, $"{id}.pub");
        try
        {
            if (!Directory.Exists(folder)) Directory.CreateDirectory(folder, OwnerOnly | UnixFileMode.UserExecute);
            WriteNew(secretFile, secret, OwnerOnly);
            if (publicFile is not null) WriteNew(publicFile, publicPem!, Everybody);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            var problem = File.Exists(secretFile) && e is IOException ? "exists already and is not overwritten; move it away or choose another folder" : e.Message;
            throw new SigningKeyException(secretFile, problem, e);
        }

        return (id, secretFile, publicFile);
    }

    /// <summary>Reads the key of a file.</summary>
    /// <exception cref="SigningKeyException">It cannot be used.</exception>
    public static EventSigner Read(SigningAlgorithm algorithm, string file, string? keyId = null) => Parse(algorithm, file, ReadSecret(file), keyId);

    /// <summary>The bytes of a file that only its owner may read.</summary>
    internal static byte[] ReadSecret(string file)
    {
        try
        {
            using var stream = new FileStream(file, new FileStreamOptions { Mode = FileMode.Open, Access = FileAccess.Read, BufferSize = 0 });
            var mode = File.GetUnixFileMode(stream.SafeFileHandle);
            if ((mode & ~(OwnerOnly | UnixFileMode.UserExecute)) != UnixFileMode.None)
            {
                throw new SigningKeyException(
                    file, $"has mode 0{Convert.ToString((int)mode, 8)}: others than its owner may use the key. chmod 0600 '{file}', and make a new key if somebody could have read it");
            }

            if (stream.Length > BytesMax) throw new SigningKeyException(file, $"has {stream.Length} bytes, the limit is {BytesMax}; this is no file of a key");
            var bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            return bytes;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new SigningKeyException(file, "is not there; make one with 'guestmark keys create', or name the right file", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new SigningKeyException(file, "may not be read by this user; make that user its owner", e);
        }
        catch (IOException e)
        {
            throw new SigningKeyException(file, $"cannot be read: {e.Message}", e);
        }
    }

    internal static EventSigner Parse(SigningAlgorithm algorithm, string file, byte[] content, string? keyId)
    {
        if (keyId is not null && !KeyId.IsValid(keyId))
            throw new SigningKeyException(file, $"key id '{keyId}': use 1 to {KeyId.LengthMax} letters, digits, '-', '_', '.', ':' or '@'");
        try
        {
            switch (algorithm)
            {
                case SigningAlgorithm.EcdsaP256:
                    var ecdsa = ReadP256(file, content);
                    return new EcdsaP256Signer(ecdsa, keyId ?? KeyId.OfPublicKey(ecdsa.ExportSubjectPublicKeyInfo()));
                case SigningAlgorithm.Ed25519:
                    var seed = Ed25519Key.SeedOfPkcs8(Pem(file, content, "PRIVATE KEY"))
                        ?? throw new SigningKeyException(file, "holds a key of another algorithm than ed25519; configure the algorithm of the key or make another key");
                    var ed25519 = Ed25519Key.FromSeed(seed);
                    CryptographicOperations.ZeroMemory(seed);
                    return new Ed25519Signer(ed25519, keyId ?? KeyId.OfPublicKey(Ed25519Key.Spki(ed25519.PublicKey)));
                default:
                    var secret = ParseSecret(file, content);
                    return new HmacSha256Signer(secret, keyId ?? KeyId.OfSecret(secret));
            }
        }
        catch (Exception e) when (e is CryptographicException or AsnContentException or ArgumentException)
        {
            throw new SigningKeyException(file, $"holds no key for {algorithm.Name()}; it must be PEM of PKCS#8, not encrypted, as 'guestmark keys create' makes it", e);
        }
        catch (DllNotFoundException e)
        {
            throw new SigningKeyException(file, "Ed25519 needs libcrypto.so.3; install OpenSSL 3 (libssl3 or openssl-libs) or use ecdsa-p256", e);
        }
    }

    /// <summary>A key of HMAC: base64 where the file is that, its bytes otherwise. 32 random bytes are no base64 but by a chance of 2^-64.</summary>
    internal static byte[] ParseSecret(string file, ReadOnlySpan<byte> content)
    {
        if (content.IndexOf("-----BEGIN"u8) >= 0) throw new SigningKeyException(file, "holds PEM, and hmac-sha256 needs base64 or raw bytes; configure the algorithm of the key");
        var text = content.Trim(" \t\r\n"u8);
        var key = TryDecodeBase64(text, out var decoded) && decoded.Length >= HmacSha256Signer.KeyBytesMin ? decoded : content.ToArray();
        return key.Length >= HmacSha256Signer.KeyBytesMin
            ? key : throw new SigningKeyException(file, $"holds {key.Length} bytes, and hmac-sha256 needs {HmacSha256Signer.KeyBytesMin} or more; make a key with 'guestmark keys create'");
    }

    internal static bool TryDecodeBase64(ReadOnlySpan<byte> text, out byte[] decoded)
    {
        decoded = [];
        if (text.IsEmpty || !Ascii.IsValid(text)) return false;
        var characters = Encoding.ASCII.GetString(text);
        try
        {
            decoded = characters.AsSpan().IndexOfAny('-', '_') >= 0 || characters.Length % 4 != 0
                ? Base64Url.DecodeFromChars(characters) : Convert.FromBase64String(characters);
            return true;
        }
        catch (FormatException)
        {
            return false;
        }
    }

    internal static bool IsP256(ECDsa key) => key.ExportParameters(includePrivateParameters: false).Curve.Oid.Value == P256Oid;

    /// <summary>The bytes of the first PEM block with a label.</summary>
    internal static byte[] Pem(string file, ReadOnlySpan<byte> content, string label)
    {
        var text = Encoding.UTF8.GetString(content).AsSpan();
        while (PemEncoding.TryFind(text, out var fields))
        {
            if (text[fields.Label].SequenceEqual(label)) return Convert.FromBase64String(text[fields.Base64Data].ToString());
            text = text[fields.Location.End..];
        }

        throw new SigningKeyException(file, $"holds no PEM block '{label}'");
    }

    static ECDsa ReadP256(string file, byte[] content)
    {
        var text = Encoding.UTF8.GetString(content);
        if (text.Contains("BEGIN ENCRYPTED", StringComparison.Ordinal))
            throw new SigningKeyException(file, "holds an encrypted key, whose password nobody can type at the start of a daemon; 'openssl pkcs8 -topk8 -nocrypt' decrypts it");
        var key = ECDsa.Create();
        try
        {
            key.ImportFromPem(text);
            if (!IsP256(key)) throw new SigningKeyException(file, "holds a key on another curve than P-256; make one with 'guestmark keys create'");
            // A public key imports as well, and fails only when it is to sign.
            Span<byte> signature = stackalloc byte[EcdsaP256Signer.SignatureBytes];
            key.SignData([], signature, HashAlgorithmName.SHA256, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
            return key;
        }
        catch
        {
            key.Dispose();
            throw;
        }
    }

    static (string KeyId, string Secret, string? Public) Make(SigningAlgorithm algorithm)
    {
        switch (algorithm)
        {
            case SigningAlgorithm.EcdsaP256:
                using (var key = ECDsa.Create(ECCurve.NamedCurves.nistP256))
                    return (KeyId.OfPublicKey(key.ExportSubjectPublicKeyInfo()), key.ExportPkcs8PrivateKeyPem(), key.ExportSubjectPublicKeyInfoPem());
            case SigningAlgorithm.Ed25519:
                var seed = RandomNumberGenerator.GetBytes(Ed25519Key.KeyBytes);
                using (var key = Ed25519Key.FromSeed(seed))
                {
                    var spki = Ed25519Key.Spki(key.PublicKey);
                    return (KeyId.OfPublicKey(spki), PemEncoding.WriteString("PRIVATE KEY", Ed25519Key.Pkcs8(seed)), PemEncoding.WriteString("PUBLIC KEY", spki));
                }

            default:
                var secret = RandomNumberGenerator.GetBytes(HmacSha256Signer.KeyBytesMin);
                return (KeyId.OfSecret(secret), Convert.ToBase64String(secret), null);
        }
    }

    static void WriteNew(string path, string text, UnixFileMode mode)
    {
        using var file = new FileStream(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = mode });
        // The umask may have taken more away than it should.
        File.SetUnixFileMode(file.SafeFileHandle, mode);
        using var writer = new StreamWriter(file);
        writer.WriteLine(text);
    }
}
