using System.Security.Cryptography;
using Guestmark.Events.Signing;
using Guestmark.Events.Verification;
using Guestmark.TestKit;
using Microsoft.Extensions.Logging;

namespace Guestmark.Events.Tests.Signing;

/// <summary>Establishes that a key that cannot be used stops the start with its remedy, and that a replaced one is used at once.</summary>
public sealed class SigningKeyTests : IDisposable
{
    readonly TemporaryFolder _folder = new();
    readonly ManualTimeProvider _time = new();
    readonly LogList _log = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("ecdsa-p256", ".key")]
    [InlineData("ed25519", ".key")]
    [InlineData("hmac-sha256", ".hmac")]
    public void A_key_that_was_made_is_its_owners_alone_and_signs(string algorithm, string ending)
    {
        var folder = _folder.File("keys");
        var made = SigningKeyFile.Create(SigningAlgorithms.Find(algorithm)!.Value, folder);

        Assert.Equal(Path.Combine(folder, made.KeyId + ending), made.SecretFile);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(made.SecretFile));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(folder));
        if (made.PublicFile is not null) Assert.True(File.GetUnixFileMode(made.PublicFile).HasFlag(UnixFileMode.OtherRead));
        using var signer = EventSigningKeys.Open(algorithm, made.SecretFile);
        Assert.Equal(made.KeyId, signer.KeyId);
        Assert.Matches("^[0-9a-f]{16}$", made.KeyId);
    }

    [Fact]
    public void Nothing_is_overwritten()
    {
        SigningKeyFile.Create(SigningAlgorithm.Ed25519, _folder.Path, "node1");
        var before = File.ReadAllText(_folder.File("node1.key"));
        Assert.Contains("is not overwritten", Assert.Throws<SigningKeyException>(() => SigningKeyFile.Create(SigningAlgorithm.Ed25519, _folder.Path, "node1")).Message, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllText(_folder.File("node1.key")));
    }

    [Theory]
    [InlineData("../x")]
    [InlineData("")]
    [InlineData("a b")]
    public void An_id_that_is_no_id_makes_no_key(string id) =>
        Assert.Throws<SigningKeyException>(() => SigningKeyFile.Create(SigningAlgorithm.Ed25519, _folder.Path, id));

    [Theory]
    [InlineData(UnixFileMode.GroupRead)]
    [InlineData(UnixFileMode.OtherRead)]
    [InlineData(UnixFileMode.GroupWrite)]
    [InlineData(UnixFileMode.OtherExecute)]
    public void A_key_that_others_can_use_is_refused_with_the_remedy(UnixFileMode more)
    {
        var made = SigningKeyFile.Create(SigningAlgorithm.EcdsaP256, _folder.Path);
        File.SetUnixFileMode(made.SecretFile, UnixFileMode.UserRead | UnixFileMode.UserWrite | more);
        Assert.Contains($"chmod 0600 '{made.SecretFile}'", Refusal("ecdsa-p256", made.SecretFile), StringComparison.Ordinal);

        File.SetUnixFileMode(made.SecretFile, UnixFileMode.UserRead);
        using var signer = EventSigningKeys.Open("ecdsa-p256", made.SecretFile);
    }

    [Fact]
    public void An_unknown_algorithm_is_no_reason_to_sign_nothing()
    {
        var made = SigningKeyFile.Create(SigningAlgorithm.EcdsaP256, _folder.Path);
        foreach (var name in (string[])["off", "", "ECDSA-P256", "rsa"])
            Assert.Contains("use one of ecdsa-p256, ed25519, hmac-sha256", Refusal(name, made.SecretFile), StringComparison.Ordinal);
    }

    [Fact]
    public void Files_that_hold_no_key_of_the_algorithm_are_refused_by_name_and_without_their_content()
    {
        var ecdsa = SigningKeyFile.Create(SigningAlgorithm.EcdsaP256, _folder.Path);
        var ed25519 = SigningKeyFile.Create(SigningAlgorithm.Ed25519, _folder.Path);
        var p384 = Write("p384", ECDsa.Create(ECCurve.NamedCurves.nistP384).ExportPkcs8PrivateKeyPem());
        var encrypted = Write("encrypted", ECDsa.Create(ECCurve.NamedCurves.nistP256).ExportEncryptedPkcs8PrivateKeyPem("x", new PbeParameters(PbeEncryptionAlgorithm.Aes128Cbc, HashAlgorithmName.SHA256, 1000)));
        var empty = Write("empty", "");
        var text = Write("text", "a secret word");

        Assert.Contains("is not there; make one with 'guestmark keys create'", Refusal("ecdsa-p256", _folder.File("absent")), StringComparison.Ordinal);
        Assert.Contains("another curve than P-256", Refusal("ecdsa-p256", p384), StringComparison.Ordinal);
        Assert.Contains("encrypted", Refusal("ecdsa-p256", encrypted), StringComparison.Ordinal);
        Assert.Contains("holds no key for ecdsa-p256", Refusal("ecdsa-p256", ed25519.SecretFile), StringComparison.Ordinal);
        Assert.Contains("another algorithm than ed25519", Refusal("ed25519", ecdsa.SecretFile), StringComparison.Ordinal);
        Assert.Contains("configure the algorithm of the key", Refusal("hmac-sha256", ecdsa.SecretFile), StringComparison.Ordinal);
        Assert.Contains("holds 13 bytes, and hmac-sha256 needs 32", Refusal("hmac-sha256", text), StringComparison.Ordinal);
        Refusal("ecdsa-p256", Public(ecdsa.PublicFile!));
        foreach (var algorithm in SigningAlgorithms.Names)
        {
            Refusal(algorithm, empty);
            Refusal(algorithm, _folder.Path);
            Assert.DoesNotContain("a secret word", Refusal(algorithm, text), StringComparison.Ordinal);
        }

        string Public(string file) => Write("public", File.ReadAllText(file));
    }

    [Fact]
    public void A_secret_may_be_base64_base64url_or_bytes()
    {
        var secret = Enumerable.Range(0xe0, 32).Select(i => (byte)i).ToArray();
        string[] files = [Write("a", Convert.ToBase64String(secret) + "\n"), Write("b", System.Buffers.Text.Base64Url.EncodeToString(secret)), _folder.File("c")];
        File.WriteAllBytes(files[2], secret);
        File.SetUnixFileMode(files[2], UnixFileMode.UserRead);
        Assert.Single(files.Select(file =>
        {
            using var signer = EventSigningKeys.Open("hmac-sha256", file);
            return signer.KeyId;
        }).Distinct());
    }

    [Theory]
    [InlineData("ecdsa-p256")]
    [InlineData("ed25519")]
    [InlineData("hmac-sha256")]
    public void A_key_that_was_replaced_signs_and_both_keys_verify_what_they_signed(string algorithm)
    {
        var kind = SigningAlgorithms.Find(algorithm)!.Value;
        var (first, second) = (SigningKeyFile.Create(kind, _folder.Path), SigningKeyFile.Create(kind, _folder.Path));
        var file = _folder.File("signing");
        File.Copy(first.SecretFile, file);
        using var signer = EventSigningKeys.Open(algorithm, file, time: _time, logger: _log);
        var before = Sample.Stamp(1, signer);

        File.Copy(second.SecretFile, file + ".new");
        File.Move(file + ".new", file, overwrite: true);
        var within = Sample.Stamp(2, signer);
        _time.Advance(TimeSpan.FromSeconds(1));
        var after = Sample.Stamp(3, signer);

        Assert.Equal([first.KeyId, first.KeyId, second.KeyId], [before.KeyId!, within.KeyId!, after.KeyId!]);
        var verifier = new EventVerifier(VerificationKeys.Load(_folder.Path));
        Assert.All((StampedEvent[])[before, within, after], stamped => Assert.Equal(SignatureStatus.Verified, verifier.Verify(stamped)));
        Assert.Equal([2201], _log.Ids);
    }

    [Fact]
    public void While_the_new_key_cannot_be_used_the_old_one_signs_and_the_log_says_why_once()
    {
        var made = SigningKeyFile.Create(SigningAlgorithm.Ed25519, _folder.Path);
        var next = SigningKeyFile.Create(SigningAlgorithm.Ed25519, _folder.File("next"));
        using var signer = EventSigningKeys.Open("ed25519", made.SecretFile, time: _time, logger: _log);

        File.WriteAllText(made.SecretFile, "half");
        for (var i = 0; i < 5; i++) Stamp(made.KeyId);
        Assert.Equal([2202], _log.Ids);
        Assert.Contains(made.SecretFile, _log.Messages[0], StringComparison.Ordinal);

        File.Delete(made.SecretFile);
        for (var i = 0; i < 5; i++) Stamp(made.KeyId);
        Assert.Equal([2202, 2202], _log.Ids);

        File.Move(next.SecretFile, made.SecretFile);
        Stamp(next.KeyId);
        Assert.Equal([2202, 2202, 2201], _log.Ids);

        void Stamp(string keyId)
        {
            _time.Advance(TimeSpan.FromSeconds(2));
            Assert.Equal(keyId, Sample.Stamp(1, signer).KeyId);
        }
    }

    [Theory]
    [InlineData("ecdsa-p256")]
    [InlineData("ed25519")]
    [InlineData("hmac-sha256")]
    public void Under_an_id_that_is_configured_another_key_is_refused_so_that_all_events_can_be_verified(string algorithm)
    {
        var kind = SigningAlgorithms.Find(algorithm)!.Value;
        var (first, second) = (SigningKeyFile.Create(kind, _folder.File("keys"), "node1"), SigningKeyFile.Create(kind, _folder.File("next")));
        var file = _folder.File("signing");
        File.Copy(first.SecretFile, file);
        using var signer = EventSigningKeys.Open(algorithm, file, "node1", _time, _log);
        var verifier = new EventVerifier(VerificationKeys.Load(_folder.File("keys")));

        File.Copy(second.SecretFile, file, overwrite: true);
        for (var i = 0; i < 3; i++) Stamp();
        Assert.Equal([2202], _log.Ids);
        Assert.Contains("signing.key-id gives both the id 'node1'", _log.Messages[0], StringComparison.Ordinal);

        // The same key with other bytes around it is the same key.
        File.WriteAllText(file, File.ReadAllText(first.SecretFile) + "\n\n");
        Stamp();
        Assert.Equal([2202, 2201], _log.Ids);

        void Stamp()
        {
            _time.Advance(TimeSpan.FromSeconds(2));
            Assert.Equal(SignatureStatus.Verified, verifier.Verify(Sample.Stamp(1, signer)));
        }
    }

    string Refusal(string algorithm, string file)
    {
        var e = Assert.Throws<SigningKeyException>(() => EventSigningKeys.Open(algorithm, file));
        Assert.StartsWith(file + ": ", e.Message, StringComparison.Ordinal);
        return e.Message;
    }

    string Write(string name, string text)
    {
        var file = _folder.File(name);
        File.WriteAllText(file, text);
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return file;
    }

    sealed class LogList : ILogger
    {
        public List<int> Ids { get; } = [];

        public List<string> Messages { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            Ids.Add(eventId.Id);
            Messages.Add(formatter(state, exception));
        }
    }
}
