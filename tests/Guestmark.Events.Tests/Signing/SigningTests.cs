using System.Formats.Asn1;
using System.Security.Cryptography;
using System.Text;
using Google.Protobuf;
using Guestmark.Events.CloudEvents;
using Guestmark.Events.Signing;
using Guestmark.Events.Verification;
using Guestmark.TestKit;
using AttributeValue = Guestmark.Events.CloudEvents.CloudEvent.Types.CloudEventAttributeValue;

namespace Guestmark.Events.Tests.Signing;

/// <summary>Establishes what a signature covers: every attribute and every byte of the data, in one way that others can compute.</summary>
public sealed class SigningTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string> Algorithms => [.. SigningAlgorithms.Names];

    [Theory]
    [MemberData(nameof(Algorithms))]
    public void A_signed_event_is_verified_and_says_which_key(string algorithm)
    {
        var (signer, verifier) = Sample.Key(algorithm, _folder);
        foreach (var size in (int[])[0, 1, 512, 100_000])
        {
            var stamped = Sample.Stamp(7, signer, new byte[size]);
            Assert.Equal(SignatureStatus.Verified, verifier.Verify(stamped));
            Assert.Equal(signer.KeyId, stamped.KeyId);
            Assert.Equal(stamped.Encoded.ToArray(), CloudEvent.Parser.ParseFrom(stamped.Encoded.Span).ToByteArray());
        }

        Assert.Equal(SignatureStatus.Unsigned, verifier.Verify(Sample.Stamp(7)));
        signer.Dispose();
    }

    [Theory]
    [MemberData(nameof(Algorithms))]
    public void Another_key_with_the_same_name_verifies_nothing(string algorithm)
    {
        using var others = new TemporaryFolder();
        var made = SigningKeyFile.Create(SigningAlgorithms.Find(algorithm)!.Value, _folder.Path, "node1");
        SigningKeyFile.Create(SigningAlgorithms.Find(algorithm)!.Value, others.Path, "node1");
        using var signer = EventSigningKeys.Open(algorithm, made.SecretFile, "node1");
        var stamped = Sample.Stamp(1, signer);

        Assert.Equal(SignatureStatus.Verified, new EventVerifier(VerificationKeys.Load(_folder.Path)).Verify(stamped));
        Assert.Equal(SignatureStatus.BadSignature, new EventVerifier(VerificationKeys.Load(others.Path)).Verify(stamped));
    }

    /// <summary>
    /// Every attribute changed, removed, renamed, doubled under a new name, exchanged with every other; bytes moved between neighbours in every order
    /// that the digest could have them in; the data changed: nothing of it is read and verified.
    /// </summary>
    [Theory]
    [MemberData(nameof(Algorithms))]
    public void No_altered_event_is_verified(string algorithm)
    {
        var (signer, verifier) = Sample.Key(algorithm, _folder);
        var original = CloudEvent.Parser.ParseFrom(Sample.Stamp(7, signer).Encoded.Span);
        var tried = 0;
        Refused(e => e.Id += "0");
        Refused(e => e.Id = Guid.CreateVersion7(Sample.Now).ToString());
        Refused(e => e.Source = "//lab/node2/web1");
        Refused(e => e.Type = EventTypes.VmLifecycle);
        Refused(e => e.ProtoData.TypeUrl += "2");
        Refused(e => e.ProtoData.Value = ByteString.CopyFrom([.. e.ProtoData.Value, 0]));
        Refused(e => e.ProtoData.Value = ByteString.Empty);
        Refused(e => (e.Id, e.Source) = (e.Id[..^1], e.Id[^1] + e.Source));
        Refused(e => (e.Source, e.Type) = (e.Source + e.Type[0], e.Type[1..]));
        Refused(e => (e.Source, e.Type) = (e.Type, e.Source));
        Refused(e => e.Attributes["time"].CeTimestamp.Nanos += 1);
        Refused(e => e.Attributes["time"].CeTimestamp.Seconds += 1);
        Refused(e => e.Attributes["extra"] = new AttributeValue { CeString = "" });
        Refused(e => e.Attributes["a"] = new AttributeValue { CeBoolean = true });
        var names = original.Attributes.Keys.Where(name => name is not ("time" or "signature")).Order(StringComparer.Ordinal).ToArray();
        foreach (var name in names)
        {
            Refused(e => e.Attributes[name].CeString += "0");
            Refused(e => e.Attributes[name].CeString = e.Attributes[name].CeString[1..]);
            Refused(e => e.Attributes.Remove(name));
            Refused(e => Rename(e, name, name + "x"));
            Refused(e => Rename(e, name, name[..^1]));
            // Bytes of the name become bytes of the value and the other way round.
            Refused(e => Rename(e, name, name[..^1], name[^1] + e.Attributes[name].CeString));
            Refused(e => Rename(e, name, name + "0", e.Attributes[name].CeString[1..]));
            Refused(e => e.Attributes[name + "2"] = e.Attributes[name].Clone());
            foreach (var other in names.Where(other => other != name && original.Attributes[other].CeString != original.Attributes[name].CeString))
            {
                Refused(e => (e.Attributes[name], e.Attributes[other]) = (e.Attributes[other], e.Attributes[name]));
                Refused(e =>
                {
                    var text = e.Attributes[name].CeString;
                    e.Attributes[name].CeString = text[..^1];
                    e.Attributes[other].CeString = text[^1] + e.Attributes[other].CeString;
                });
            }
        }

        Refused(e => e.Attributes.Remove("signature"));
        Refused(e => e.Attributes["signature"].CeBytes = ByteString.CopyFrom(e.Attributes["signature"].CeBytes.Span[..^1]));
        Refused(e => e.Attributes["signature"].CeBytes = ByteString.CopyFrom([.. e.Attributes["signature"].CeBytes, 0]));
        Refused(e => e.Attributes["signature"].CeBytes = ByteString.CopyFrom(new byte[e.Attributes["signature"].CeBytes.Length]));
        Assert.True(tried > 300, $"{tried}");
        signer.Dispose();

        void Refused(Action<CloudEvent> alter)
        {
            var altered = original.Clone();
            alter(altered);
            tried++;
            if (StampedEvent.TryRead(altered.ToByteArray(), out var read) is null) Assert.NotEqual(SignatureStatus.Verified, verifier.Verify(read!));
        }

        static void Rename(CloudEvent cloudEvent, string from, string to, string? value = null)
        {
            var text = value ?? cloudEvent.Attributes[from].CeString;
            cloudEvent.Attributes.Remove(from);
            cloudEvent.Attributes[to] = new AttributeValue { CeString = text };
        }
    }

    [Fact]
    public void No_event_with_one_flipped_bit_is_verified()
    {
        var (signer, verifier) = Sample.Key("hmac-sha256", _folder);
        var encoded = Sample.Stamp(7, signer).Encoded.ToArray();
        for (var bit = 0; bit < encoded.Length * 8; bit++)
        {
            var flipped = (byte[])encoded.Clone();
            flipped[bit / 8] ^= (byte)(1 << bit % 8);
            if (StampedEvent.TryRead(flipped, out var read) is null) Assert.NotEqual(SignatureStatus.Verified, verifier.Verify(read!));
        }

        signer.Dispose();
    }

    [Fact]
    public void Stripping_the_signature_alone_or_the_key_alone_makes_no_unsigned_event()
    {
        var (signer, verifier) = Sample.Key("ed25519", _folder);
        foreach (var name in (string[])["signature", "keyid"])
        {
            var cloudEvent = CloudEvent.Parser.ParseFrom(Sample.Stamp(7, signer).Encoded.Span);
            cloudEvent.Attributes.Remove(name);
            Assert.Equal(SignatureStatus.BadSignature, verifier.Verify(Sample.Read(cloudEvent.ToByteArray())));
        }

        signer.Dispose();
    }

    /// <summary>Digest and HMAC were computed by Python's hashlib and hmac from the rules in docs/reference/signing.md.</summary>
    [Fact]
    public void The_event_of_the_reference_has_the_signature_of_the_reference()
    {
        const string Json = """
            {
              "specversion": "1.0", "id": "0197e0c5-2f5a-7000-8000-0000000000ab", "source": "//lab/node1/web1",
              "type": "dev.guestmark.inventory.report.v1", "subject": "uid-1", "time": "2026-03-04T06:06:07.890+01:00",
              "datacontenttype": "application/protobuf", "dataschema": "type.googleapis.com/virtualmachine.v1.VMReport", "data_base64": "CgMxMjMSAP8=",
              "bootepoch": "b1", "guestcid": "3000000000", "guestport": "818", "netns": "4026531840",
              "stream": "0197e0c5-0000-7000-8000-000000000001-keep", "sequence": "00000000000000000007",
              "keyid": "k1", "signature": "GXzldbRIylv4FNmX7Pfl5ZZcdzlP8qx30ZM9VyME4zM="
            }
            """;
        Assert.Null(CloudEventJson.TryRead(Encoding.UTF8.GetBytes(Json), out var stamped));
        var digest = new byte[32];
        EventDigest.Compute(stamped!, digest);
        Assert.Equal("4a368cc7a21e04ba4c5151e2e5afc9e6fde0b3e806a82b4e1f4bab896874122b", Convert.ToHexStringLower(digest));

        var file = _folder.File("k1.hmac");
        File.WriteAllText(file, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
        File.SetUnixFileMode(file, UnixFileMode.UserRead);
        var keys = VerificationKeys.Load(_folder.Path);
        Assert.Equal(["a267ad6a7cf5649b", "k1"], keys.Ids.Order());
        Assert.Equal(SignatureStatus.Verified, new EventVerifier(keys).Verify(stamped!));
    }

    [Theory]
    [MemberData(nameof(Algorithms))]
    public void What_is_signed_can_be_computed_from_what_another_reader_sees(string algorithm)
    {
        var (signer, _) = Sample.Key(algorithm, _folder);
        var signed = new MessageKeeper(signer.Current);
        var stamped = Sample.Stamp(7, signed);
        Assert.Equal(Sample.SignedMessage(CloudEvent.Parser.ParseFrom(stamped.Encoded.Span)), signed.Message);
        signer.Dispose();
    }

    [ToolFact("openssl")]
    public void Openssl_verifies_an_ecdsa_signature()
    {
        OpenSsl.Run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", _folder.File("p256.key"));
        OpenSsl.Run("pkey", "-in", _folder.File("p256.key"), "-pubout", "-out", _folder.File("p256.pub"));
        var (message, signature) = SignWith("ecdsa-p256", "p256");
        var der = new AsnWriter(AsnEncodingRules.DER);
        using (der.PushSequence())
        {
            der.WriteIntegerUnsigned(TrimZeros(signature.AsSpan(0, 32)));
            der.WriteIntegerUnsigned(TrimZeros(signature.AsSpan(32)));
        }

        File.WriteAllBytes(_folder.File("message"), message);
        File.WriteAllBytes(_folder.File("signature"), der.Encode());
        Assert.Contains("Verified OK", OpenSsl.Run("dgst", "-sha256", "-verify", _folder.File("p256.pub"), "-signature", _folder.File("signature"), _folder.File("message")), StringComparison.Ordinal);

        static ReadOnlySpan<byte> TrimZeros(ReadOnlySpan<byte> number) => number.TrimStart((byte)0);
    }

    [ToolFact("openssl")]
    public void Openssl_verifies_an_ed25519_signature()
    {
        OpenSsl.Run("genpkey", "-algorithm", "ED25519", "-out", _folder.File("ed.key"));
        OpenSsl.Run("pkey", "-in", _folder.File("ed.key"), "-pubout", "-out", _folder.File("ed.pub"));
        var (message, signature) = SignWith("ed25519", "ed");
        File.WriteAllBytes(_folder.File("message"), message);
        File.WriteAllBytes(_folder.File("signature"), signature);
        Assert.Contains(
            "Signature Verified Successfully",
            OpenSsl.Run("pkeyutl", "-verify", "-pubin", "-inkey", _folder.File("ed.pub"), "-rawin", "-in", _folder.File("message"), "-sigfile", _folder.File("signature")),
            StringComparison.Ordinal);
    }

    [ToolFact("openssl")]
    public void Openssl_makes_the_same_hmac()
    {
        var made = SigningKeyFile.Create(SigningAlgorithm.HmacSha256, _folder.Path, "secret");
        var (message, signature) = SignWith("hmac-sha256", "secret", made.SecretFile);
        File.WriteAllBytes(_folder.File("message"), message);
        var key = Convert.ToHexStringLower(Convert.FromBase64String(File.ReadAllText(made.SecretFile).Trim()));
        Assert.Contains(
            Convert.ToHexStringLower(signature), OpenSsl.Run("dgst", "-sha256", "-mac", "HMAC", "-macopt", $"hexkey:{key}", _folder.File("message")), StringComparison.Ordinal);
    }

    [ToolFact("openssl")]
    public void Openssl_derives_the_same_public_keys_and_ids()
    {
        foreach (var algorithm in (string[])["ecdsa-p256", "ed25519"])
        {
            var made = SigningKeyFile.Create(SigningAlgorithms.Find(algorithm)!.Value, _folder.Path);
            Assert.Equal(OpenSsl.Run("pkey", "-in", made.SecretFile, "-pubout").Trim(), File.ReadAllText(made.PublicFile!).Trim());
            OpenSsl.Run("pkey", "-pubin", "-in", made.PublicFile!, "-outform", "DER", "-out", _folder.File("spki"));
            Assert.Equal(made.KeyId, Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(_folder.File("spki")))[..8]));
        }
    }

    [Theory]
    [MemberData(nameof(Algorithms))]
    public async Task Threads_share_a_key(string algorithm)
    {
        var (signer, verifier) = Sample.Key(algorithm, _folder);
        var events = await Task.WhenAll(Enumerable.Range(0, 4).Select(thread => Task.Run(
            () => Enumerable.Range(0, 200).Select(n => Sample.Stamp((ulong)n + 1, signer, stream: $"stream-{thread}")).ToList())));
        Assert.All(events.SelectMany(list => list), stamped => Assert.Equal(SignatureStatus.Verified, verifier.Verify(stamped)));
        signer.Dispose();
    }

    (byte[] Message, byte[] Signature) SignWith(string algorithm, string name, string? file = null)
    {
        file ??= _folder.File(name + ".key");
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        using var signer = EventSigningKeys.Open(algorithm, file);
        var cloudEvent = CloudEvent.Parser.ParseFrom(Sample.Stamp(7, signer).Encoded.Span);
        return (Sample.SignedMessage(cloudEvent), cloudEvent.Attributes["signature"].CeBytes.ToByteArray());
    }

    sealed class MessageKeeper(EventSigner inner) : EventSigner
    {
        public byte[]? Message { get; private set; }

        public override string KeyId => inner.KeyId;

        public override int SignatureBytesMax => inner.SignatureBytesMax;

        public override int Sign(ReadOnlySpan<byte> message, Span<byte> destination)
        {
            Message = message.ToArray();
            return inner.Sign(message, destination);
        }

        protected override void Dispose(bool disposing)
        {
        }
    }
}
