using System.Buffers.Text;
using System.Security.Cryptography;
using Guestmark.Events.Signing;
using Guestmark.Events.Verification;
using Guestmark.TestKit;

namespace Guestmark.Events.Tests.Verification;

/// <summary>Establishes which forms of keys are read, and that a name never stands for two of them.</summary>
public sealed class VerificationKeysTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void A_folder_a_file_a_map_and_a_key_set_verify_the_same_event()
    {
        foreach (var algorithm in SigningAlgorithms.Names)
        {
            var kind = SigningAlgorithms.Find(algorithm)!.Value;
            var folder = _folder.File(algorithm);
            var made = SigningKeyFile.Create(kind, folder, "node1");
            using var signer = EventSigningKeys.Open(algorithm, made.SecretFile, "node1");
            var stamped = Sample.Stamp(1, signer);

            var forms = new List<string> { folder, made.PublicFile ?? made.SecretFile };
            if (made.PublicFile is null)
            {
                var secret = Base64Url.EncodeToString(Convert.FromBase64String(File.ReadAllText(made.SecretFile).Trim()));
                forms.Add(Write("set", $$"""{"keys": [{"kty": "oct", "kid": "node1", "alg": "HS256", "k": "{{secret}}"}]}"""));
                forms.Add(Write("map", $$"""{"node1": {"kty": "oct", "k": "{{secret}}"} }"""));
            }
            else
            {
                var pem = File.ReadAllText(made.PublicFile);
                PemEncoding.TryFind(pem, out var fields);
                var spki = Convert.FromBase64String(pem[fields.Base64Data]);
                forms.Add(Write("pem", $$"""{"other": "{{Convert.ToBase64String(spki)}}", "node1": "{{pem.ReplaceLineEndings("\\n")}}"}"""));
                forms.Add(Write("spki", $$"""{"node1": "{{Convert.ToBase64String(spki)}}"}"""));
                if (kind == SigningAlgorithm.Ed25519)
                {
                    forms.Add(Write("raw", $$"""{"node1": "{{Base64Url.EncodeToString(spki.AsSpan(^32..))}}"}"""));
                    forms.Add(Write("jwk", $$"""{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "node1", "x": "{{Base64Url.EncodeToString(spki.AsSpan(^32..))}}"}]}"""));
                }
                else
                {
                    forms.Add(Write("jwk", $$"""{"keys": [{"kty": "EC", "crv": "P-256", "kid": "node1", "x": "{{Base64Url.EncodeToString(spki.AsSpan(^64..^32))}}", "y": "{{Base64Url.EncodeToString(spki.AsSpan(^32..))}}"}]}"""));
                }
            }

            Assert.All(forms, form => Assert.Equal(SignatureStatus.Verified, new EventVerifier(VerificationKeys.Load(form)).Verify(stamped)));
        }
    }

    [Fact]
    public void An_event_of_a_key_that_is_not_there_is_not_called_bad()
    {
        var made = SigningKeyFile.Create(SigningAlgorithm.Ed25519, _folder.File("a"));
        SigningKeyFile.Create(SigningAlgorithm.Ed25519, _folder.File("b"));
        using var signer = EventSigningKeys.Open("ed25519", made.SecretFile);
        Assert.Equal(SignatureStatus.UnknownKey, new EventVerifier(VerificationKeys.Load(_folder.File("b"))).Verify(Sample.Stamp(1, signer)));
    }

    [Fact]
    public void A_key_of_a_node_verifies_no_event_of_another()
    {
        var made = SigningKeyFile.Create(SigningAlgorithm.EcdsaP256, _folder.File("k"), "signing");
        var other = SigningKeyFile.Create(SigningAlgorithm.EcdsaP256, _folder.File("o"), "signing");
        using var signer = EventSigningKeys.Open("ecdsa-p256", made.SecretFile, "signing");
        var (own, foreign) = (Sample.Loss(1, 2, 3, signer), Sample.Loss(1, 2, 3, signer, "node2"));

        // The same name is another key on another node.
        Put(made.PublicFile!, "keys", "lab", "node1");
        Put(other.PublicFile!, "keys", "lab", "node3");
        var key = File.ReadAllText(made.PublicFile!).ReplaceLineEndings("\\n");
        PemEncoding.TryFind(File.ReadAllText(made.PublicFile!), out var fields);
        var spki = Convert.FromBase64String(File.ReadAllText(made.PublicFile!)[fields.Base64Data]);
        var jwk = $"\"kty\": \"EC\", \"crv\": \"P-256\", \"kid\": \"signing\", \"x\": \"{Base64Url.EncodeToString(spki.AsSpan(^64..^32))}\", \"y\": \"{Base64Url.EncodeToString(spki.AsSpan(^32..))}\"";
        foreach (var path in (string[])
            [
                _folder.File("keys"),
                Write("map", $$"""{"signing": {"key": "{{key}}", "source": "//lab/node1"} }"""),
                Write("nested", $$"""{"signing": {"key": { {{jwk}} }, "source": "//lab/node1"} }"""),
                Write("set", $$"""{"keys": [{ {{jwk}}, "source": "//lab/node1" }]}"""),
            ])
        {
            var verifier = new EventVerifier(VerificationKeys.Load(path));
            Assert.Equal((SignatureStatus.Verified, SignatureStatus.OtherNode), (verifier.Verify(own), verifier.Verify(foreign)));
        }

        Put(other.PublicFile!, "keys", "lab", "node2");
        Assert.Equal(SignatureStatus.BadSignature, new EventVerifier(VerificationKeys.Load(_folder.File("keys"))).Verify(foreign));
        Assert.Contains("//CLUSTER/NODE", Problem(Write("wrong", $$"""{"signing": {"key": "{{key}}", "source": "node1"} }""")), StringComparison.Ordinal);

        void Put(string file, params string[] folders) =>
            File.Copy(file, Path.Combine(Directory.CreateDirectory(Path.Combine([_folder.Path, .. folders])).FullName, Path.GetFileName(file)));
    }

    [Fact]
    public void Two_keys_of_one_name_are_refused()
    {
        SigningKeyFile.Create(SigningAlgorithm.Ed25519, _folder.Path, "node1");
        File.Copy(SigningKeyFile.Create(SigningAlgorithm.Ed25519, _folder.File("other")).PublicFile!, _folder.File("node1.pem"));
        Assert.Contains("belongs to another key already", Problem(_folder.Path), StringComparison.Ordinal);

        // The same key twice is one key.
        File.Copy(_folder.File("node1.pub"), _folder.File("node1.pem"), overwrite: true);
        Assert.Equal(2, VerificationKeys.Load(_folder.Path).Ids.Count);
    }

    [Fact]
    public void What_holds_no_public_key_is_refused_with_its_name()
    {
        var made = SigningKeyFile.Create(SigningAlgorithm.EcdsaP256, _folder.File("k"));
        Assert.Contains("holds a private key", Problem(made.SecretFile), StringComparison.Ordinal);
        Assert.Contains("cannot be read", Problem(_folder.File("absent")), StringComparison.Ordinal);
        Assert.Contains("no file that ends with .pub", Problem(Directory.CreateDirectory(_folder.File("empty")).FullName), StringComparison.Ordinal);
        Assert.Contains("another curve", Problem(Write("p384.pub", ECDsa.Create(ECCurve.NamedCurves.nistP384).ExportSubjectPublicKeyInfoPem())), StringComparison.Ordinal);
        Assert.Contains("no public key", Problem(Write("rsa.pub", RSA.Create(2048).ExportSubjectPublicKeyInfoPem())), StringComparison.Ordinal);
        foreach (var text in (string[])
            [
                "", "{", "{}", "[]", "{\"a\": 1}", "{\"a\": \"AAAA\"}", "{\"a\": \"*\"}", "{\"keys\": [1]}", "{\"keys\": [{\"kty\": \"RSA\"}]}", "{\"keys\": []}",
                "{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"AA\", \"y\": \"AA\"}]}", "{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\"}]}",
                "{\"keys\": [{\"kty\": \"oct\", \"k\": \"AAAA\"}]}", "-----BEGIN PUBLIC KEY-----\n*\n-----END PUBLIC KEY-----",
            ])
        {
            Problem(Write("wrong", text));
        }

        var secret = SigningKeyFile.Create(SigningAlgorithm.HmacSha256, _folder.File("h"));
        File.SetUnixFileMode(secret.SecretFile, UnixFileMode.UserRead | UnixFileMode.GroupRead);
        Assert.Contains("chmod 0600", Problem(secret.SecretFile), StringComparison.Ordinal);
    }

    static string Problem(string path)
    {
        var e = Assert.Throws<SigningKeyException>(() => VerificationKeys.Load(path));
        Assert.StartsWith(path, e.Message, StringComparison.Ordinal);
        return e.Message;
    }

    string Write(string name, string text)
    {
        var file = _folder.File(name);
        File.WriteAllText(file, text);
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return file;
    }
}
