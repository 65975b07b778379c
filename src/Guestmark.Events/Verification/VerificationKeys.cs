using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Guestmark.Events.Signing;

namespace Guestmark.Events.Verification;

/// <summary>The keys that a verifier trusts, by the id that events name.</summary>
/// <remarks>
/// <list type="bullet">
/// <item>A folder: every <c>*.pub</c> and <c>*.pem</c> (PEM of a public key) and <c>*.hmac</c> (a secret). A key is found by its own id and by the
/// file's name without its ending. Other files are left alone, so it may be the folder that <c>guestmark keys create</c> filled. Keys in
/// <c>CLUSTER/NODE</c> below it are good for events of <c>//CLUSTER/NODE</c> only.</item>
/// <item>A file of one of these kinds.</item>
/// <item>A JSON file: <c>{"ID": KEY}</c>, where KEY is PEM, base64 of a SubjectPublicKeyInfo, base64 or base64url of the 32 bytes of an Ed25519 key (as
/// CellOS has them), or a JSON Web Key; or a JSON Web Key Set, <c>{"keys": [...]}</c> (RFC 7517; EC P-256, OKP Ed25519, oct).
/// <c>{"ID": {"key": KEY, "source": "//CLUSTER/NODE"}}</c> and a member <c>source</c> of a JSON Web Key make it good for that node only.</item>
/// </list>
/// Files with secrets must be their owner's alone.
/// </remarks>
public sealed class VerificationKeys
{
    const int FileBytesMax = 1 << 20;
    const int KeysMax = 10_000;

    /// <summary>Of keys that are good for events of every node.</summary>
    const string EveryNode = "";

    readonly Dictionary<(string Id, string Node), VerificationKey> _keys = [];

    readonly HashSet<string> _ids = new(StringComparer.Ordinal);

    VerificationKeys()
    {
    }

    /// <summary>Ids by which a key is found; a key may have two.</summary>
    public IReadOnlyCollection<string> Ids => _ids;

    /// <summary>Reads keys.</summary>
    /// <exception cref="SigningKeyException">Something cannot be used, two keys have one id, or there is no key.</exception>
    public static VerificationKeys Load(string path)
    {
        var keys = new VerificationKeys();
        if (Directory.Exists(path))
        {
            try
            {
                keys.AddFolder(path, EveryNode);
                foreach (var cluster in Directory.EnumerateDirectories(path).Order(StringComparer.Ordinal))
                {
                    foreach (var node in Directory.EnumerateDirectories(cluster).Order(StringComparer.Ordinal))
                        keys.AddFolder(node, $"//{Path.GetFileName(cluster)}/{Path.GetFileName(node)}");
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new SigningKeyException(path, $"cannot be read: {e.Message}", e);
            }

            if (keys._keys.Count == 0) throw new SigningKeyException(path, "holds no file that ends with .pub, .pem or .hmac; copy the public keys of your nodes there");
        }
        else
        {
            keys.AddFile(path, EveryNode);
            if (keys._keys.Count == 0) throw new SigningKeyException(path, "holds no key");
        }

        return keys;
    }

    /// <summary>The key of an id that is good for events of a source: one of its node before one of every node.</summary>
    internal VerificationKey? Find(string id, string source) => _keys.GetValueOrDefault((id, SourceNode.Of(source))) ?? _keys.GetValueOrDefault((id, EveryNode));

    /// <summary>Of an id that <see cref="Find"/> does not find: whether it finds it for another source.</summary>
    internal bool IsOfAnotherNode(string id) => _ids.Contains(id);

    void AddFolder(string folder, string node)
    {
        foreach (var file in Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal))
        {
            if (Path.GetExtension(file) is ".pub" or ".pem" or ".hmac") AddFile(file, node);
        }
    }

    void AddFile(string file, string node)
    {
        var content = Path.GetExtension(file) == ".hmac" ? SigningKeyFile.ReadSecret(file) : ReadFile(file);
        if (Path.GetExtension(file) == ".hmac")
        {
            AddNamed(file, node, VerificationKey.OfSecret(SigningKeyFile.ParseSecret(file, content)));
        }
        else if (content.AsSpan().TrimStart(" \t\r\n"u8) is [(byte)'{', ..])
        {
            AddJson(file, node, content);
        }
        else if (content.AsSpan().IndexOf("PRIVATE KEY-----"u8) >= 0)
        {
            throw new SigningKeyException(file, "holds a private key; give the public one: 'openssl pkey -pubout' makes it, and keep this one on its node alone");
        }
        else
        {
            AddNamed(file, node, VerificationKey.OfSpki(file, ReadPem(file, content)));
        }
    }

    static byte[] ReadFile(string file)
    {
        try
        {
            using var stream = File.OpenRead(file);
            if (stream.Length > FileBytesMax) throw new SigningKeyException(file, $"has {stream.Length} bytes, the limit is {FileBytesMax}");
            var content = new byte[stream.Length];
            stream.ReadExactly(content);
            return content;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new SigningKeyException(file, $"cannot be read: {e.Message}", e);
        }
    }

    static byte[] ReadPem(string file, ReadOnlySpan<byte> content)
    {
        try
        {
            return SigningKeyFile.Pem(file, content, "PUBLIC KEY");
        }
        catch (FormatException e)
        {
            throw new SigningKeyException(file, "is no PEM", e);
        }
    }

    void AddNamed(string file, string node, VerificationKey key)
    {
        Add(file, node, key.DerivedId, key);
        Add(file, node, Path.GetFileNameWithoutExtension(file), key);
    }

    void Add(string file, string node, string id, VerificationKey key)
    {
        if (_keys.TryGetValue((id, node), out var other) && !other.Identity.AsSpan().SequenceEqual(key.Identity))
            throw new SigningKeyException(file, $"key id '{id}' belongs to another key already: which one an event was signed with could not be told");
        if (_keys.Count >= KeysMax) throw new SigningKeyException(file, $"there are more than {KeysMax} keys");
        _keys[(id, node)] = key;
        _ids.Add(id);
    }

    void AddJson(string file, string node, byte[] content)
    {
        try
        {
            using var document = JsonDocument.Parse(content, new JsonDocumentOptions { MaxDepth = 8 });
            var root = document.RootElement;
            if (root.TryGetProperty("keys", out var set) && set.ValueKind == JsonValueKind.Array)
            {
                foreach (var jwk in set.EnumerateArray())
                {
                    var key = ReadJwk(file, jwk);
                    Add(file, ReadSource(file, jwk) ?? node, Text(jwk, "kid") ?? key.DerivedId, key);
                }

                return;
            }

            foreach (var property in root.EnumerateObject())
            {
                var source = property.Value.ValueKind == JsonValueKind.Object ? ReadSource(file, property.Value) : null;
                var value = property.Value.ValueKind == JsonValueKind.Object && property.Value.TryGetProperty("key", out var inner) ? inner : property.Value;
                var key = value.ValueKind switch
                {
                    JsonValueKind.Object => ReadJwk(file, value),
                    JsonValueKind.String => ReadText(file, property.Name, value.GetString()!),
                    _ => throw Wrong(file, property.Name),
                };
                Add(file, source ?? node, property.Name, key);
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or CryptographicException)
        {
            throw new SigningKeyException(file, "holds no keys in JSON: {\"ID\": \"PEM or base64\"} or {\"keys\": [JSON Web Keys]}", e);
        }
    }

    static VerificationKey ReadText(string file, string id, string text)
    {
        if (text.Contains("-----BEGIN PUBLIC KEY-----", StringComparison.Ordinal)) return VerificationKey.OfSpki(file, ReadPem(file, Encoding.UTF8.GetBytes(text)));
        if (!SigningKeyFile.TryDecodeBase64(Encoding.UTF8.GetBytes(text), out var bytes)) throw Wrong(file, id);
        return bytes.Length == Ed25519Key.KeyBytes ? VerificationKey.OfEd25519(bytes) : VerificationKey.OfSpki(file, bytes);
    }

    // RFC 7517, 7518 6.2 and 6.4, 8037.
    static VerificationKey ReadJwk(string file, JsonElement jwk)
    {
        switch (Text(jwk, "kty"), Text(jwk, "crv"))
        {
            case ("EC", "P-256"): return VerificationKey.OfP256Point(file, Bytes("x"), Bytes("y"));
            case ("OKP", "Ed25519"): return VerificationKey.OfEd25519(Bytes("x"));
            case ("oct", _):
                // A secret among public keys: the whole file is one.
                SigningKeyFile.ReadSecret(file);
                var secret = Bytes("k");
                return secret.Length >= HmacSha256Signer.KeyBytesMin
                    ? VerificationKey.OfSecret(secret) : throw new SigningKeyException(file, $"holds a secret of {secret.Length} bytes; hmac-sha256 needs {HmacSha256Signer.KeyBytesMin}");
            default: throw new SigningKeyException(file, "holds a JSON Web Key that is not EC P-256, OKP Ed25519 or oct");
        }

        byte[] Bytes(string name) => Base64Url.DecodeFromChars(Text(jwk, name) ?? "");
    }

    static string? ReadSource(string file, JsonElement key)
    {
        if (Text(key, "source") is not { } source) return null;
        var parts = source.Split('/');
        return parts is ["", "", { Length: > 0 }, { Length: > 0 }]
            ? source : throw new SigningKeyException(file, "names a source that is not of the form //CLUSTER/NODE");
    }

    static string? Text(JsonElement element, string name) => element.TryGetProperty(name, out var value) ? value.GetString() : null;

    static SigningKeyException Wrong(string file, string id) =>
        new(file, $"key '{(id.Length <= KeyId.LengthMax ? id : id[..KeyId.LengthMax])}' is neither PEM of a public key nor its base64");
}
