using System.Diagnostics;
using System.Formats.Cbor;
using System.Text;
using Guestmark.TestKit;
using Guestmark.Wire.Declarations;

namespace Guestmark.Wire.Tests.Declarations;

/// <summary>Establishes which frames of the declaration channel are taken, and that all others are refused for the right reason.</summary>
public sealed class DeclarationFrameTests
{
    static readonly (string Key, object? Value)[] Whole =
        [("content_version", 1UL), ("probe_source", "process.spawned"), ("guest_pid", 7UL), ("guest_comm", "workload"), ("guest_monotonic_ns", 42UL)];

    [Theory]
    [InlineData(0x0000)]
    [InlineData(0x0001)]
    [InlineData(0x0002)]
    [InlineData(0x00fe)]
    [InlineData(0x00ff)]
    public void Versions_0x0000_to_0x00FF_are_accepted(int version) => Assert.Equal(DeclarationFault.None, Fault(Map(With("content_version", (ulong)version))));

    [Theory]
    [InlineData(0x0100)] // document 3: decode_rejects_unknown_major
    [InlineData(0x0101)]
    [InlineData(0x01ff)]
    [InlineData(0x8000)]
    [InlineData(0xffff)]
    public void Decode_rejects_unknown_major_of_versions_0x0100_to_0xFFFF(int version)
    {
        var body = Map(With("content_version", (ulong)version));
        Assert.Equal(DeclarationFault.UnsupportedVersion, DeclarationFrame.TryDecode(body, out var declaration));
        Assert.Equal(version, declaration.ContentVersion);
    }

    [Theory]
    [MemberData(nameof(NoVersions))]
    public void A_version_that_is_no_number_of_16_bits_is_a_wire_error(object? version, DeclarationFault expected)
    {
        Assert.Equal(expected, Fault(Map(With("content_version", version))));
        Assert.Equal(expected, Fault(Map([.. With("content_version", version).Reverse()])));
    }

    public static TheoryData<object?, DeclarationFault> NoVersions => new()
    {
        { 65536UL, DeclarationFault.OutOfRange },
        { ulong.MaxValue, DeclarationFault.OutOfRange },
        { -1L, DeclarationFault.WrongType },
        { 1.0, DeclarationFault.WrongType },
        { "1", DeclarationFault.WrongType },
        { null, DeclarationFault.WrongType },
    };

    [Fact]
    public void An_absent_version_is_a_wire_error() => Assert.Equal(DeclarationFault.MissingKey, Fault(Map(Whole[1..])));

    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 2)]
    [InlineData(1, 0x0100)]
    public void A_version_that_comes_twice_is_a_wire_error(int first, int second) =>
        Assert.Equal(DeclarationFault.DuplicateKey, Fault(Map([.. With("content_version", (ulong)first), ("content_version", (ulong)second)])));

    [Fact]
    public void Of_a_later_major_version_nothing_else_is_looked_at()
    {
        (string, object?)[] later = [("content_version", 0x0100UL)];
        Assert.Equal(DeclarationFault.UnsupportedVersion, Fault(Map(later)));
        Assert.Equal(DeclarationFault.UnsupportedVersion, Fault(Map([.. later, ("guest_pid", "no number"), ("x", 1.5)])));
        Assert.Equal(DeclarationFault.UnsupportedVersion, Fault([.. Map(later), 0xff, 0xff]));
        Assert.Equal(DeclarationFault.UnsupportedVersion, Fault([0xb8, 40, .. Map(later)[1..]]));
        Assert.Equal(DeclarationFault.UnsupportedVersion, Fault(Map([.. later, ("content_version", 1UL)])));
    }

    [Fact]
    public void The_gate_finds_the_version_wherever_it_stands()
    {
        Assert.Equal(DeclarationFault.UnsupportedVersion, Fault(Map([("guest_pid", "no number"), ("probe_source", 1UL), ("x", 1.5), ("content_version", 0x0200UL)])));
        Assert.Equal(DeclarationFault.UnsupportedVersion, Fault(Map([.. With("content_version", 0x0200UL).Reverse()])));
    }

    [Fact]
    public void Decode_accepts_known_major_and_drops_unknown_fields()
    {
        var body = Map([.. Whole, ("cell_id", "FORGED-CELL-ID"), ("run_id", "FORGED-RUN-ID"), ("spec_signature_hash", new byte[] { 1 }), ("host_received_at", -5L), ("x", null)]);
        Assert.Equal(DeclarationFault.None, DeclarationFrame.TryDecode(body, out var declaration));
        Assert.Equal("process.spawned", Encoding.UTF8.GetString(declaration.ProbeSource));
        Assert.Equal(7u, declaration.GuestPid);
        Assert.Equal("workload", Encoding.UTF8.GetString(declaration.GuestComm));
        Assert.Equal(42UL, declaration.GuestMonotonicNs);
        Assert.Equal(5, declaration.UnknownKeys);

        // The type has no place for them.
        Assert.Equal(
            ["ContentVersion", "Dropped", "GuestComm", "GuestMonotonicNs", "GuestPid", "ProbeSource", "Sequence", "UnknownKeys"],
            typeof(GuestDeclaration).GetProperties().Select(property => property.Name).Order());
    }

    [Fact]
    public void Decode_rejects_garbage()
    {
        Assert.Equal(DeclarationFault.NotAMap, Fault([0x18, 0xff]));
        Assert.Equal(DeclarationFault.Malformed, Fault([0xff, 0xff, 0xff]));
        Assert.Equal(DeclarationFault.Malformed, Fault([]));
    }

    [Fact]
    public void What_is_ambiguous_or_forbidden_is_refused()
    {
        var whole = Map(Whole);
        Assert.Equal(DeclarationFault.TrailingBytes, Fault([.. whole, 0]));
        Assert.Equal(DeclarationFault.NotDeterministic, Fault([0xbf, .. whole[1..], 0xff]));
        Assert.Equal(DeclarationFault.NotDeterministic, Fault([0xb8, 5, .. whole[1..]]));
        Assert.Equal(DeclarationFault.NotDeterministic, Fault(Replace(whole, [0x07], [0x18, 0x07])));
        Assert.Equal(DeclarationFault.NotDeterministic, Fault(Replace(whole, [0x18, 0x2a], [0x1b, 0, 0, 0, 0, 0, 0, 0, 0x2a])));
        Assert.Equal(DeclarationFault.NotDeterministic, Fault(Replace(whole, [0x68, .. "workload"u8], [0x7f, 0x68, .. "workload"u8, 0xff])));
        Assert.Equal(DeclarationFault.ForbiddenItem, Fault(Map([.. Whole, ("x", 1.5)])));
        Assert.Equal(DeclarationFault.ForbiddenItem, Fault(Unknown(0xc1, 0x01)));
        Assert.Equal(DeclarationFault.ForbiddenItem, Fault(Unknown(0xe0)));
        Assert.Equal(DeclarationFault.ForbiddenItem, Fault(Unknown(0xf8, 0x20)));
        Assert.Equal(DeclarationFault.Malformed, Fault(Unknown(0x1c)));
        Assert.Equal(DeclarationFault.Malformed, Fault(Unknown(0xff)));
        Assert.Equal(DeclarationFault.KeyNotText, Fault([0xa6, .. whole[1..], 0x01, 0x01]));
        Assert.Equal(DeclarationFault.KeyNotText, Fault([0xa6, .. whole[1..], 0x41, (byte)'x', 0x01]));
        Assert.Equal(DeclarationFault.InvalidUtf8, Fault([0xa6, .. whole[1..], 0x61, 0xff, 0x01]));
        Assert.Equal(DeclarationFault.InvalidUtf8, Fault(Unknown(0x61, 0xff)));
        Assert.Equal(DeclarationFault.InvalidUtf8, Fault(Replace(whole, "workload"u8, [0xc0, 0x80, .. "rkload"u8])));
        for (var cut = 0; cut < whole.Length; cut++) Assert.NotEqual(DeclarationFault.None, Fault(whole[..cut]));
    }

    [Fact]
    public void A_key_that_comes_twice_is_refused_known_or_not()
    {
        foreach (var entry in Whole) Assert.Equal(DeclarationFault.DuplicateKey, Fault(Map([.. Whole, entry])));
        Assert.Equal(DeclarationFault.DuplicateKey, Fault(Map([.. Whole, ("sequence", 1UL), ("sequence", 2UL)])));
        Assert.Equal(DeclarationFault.DuplicateKey, Fault(Map([("cell_id", "a"), .. Whole, ("run_id", "b"), ("cell_id", "c")])));
    }

    [Fact]
    public void Every_required_key_must_be_there_and_of_its_kind()
    {
        foreach (var (key, value) in Whole)
        {
            Assert.Equal(DeclarationFault.MissingKey, Fault(Map([.. Whole.Where(entry => entry.Key != key)])));
            Assert.Equal(DeclarationFault.WrongType, Fault(Map(With(key, value is string ? 1UL : "1"))));
        }

        Assert.Equal(DeclarationFault.OutOfRange, Fault(Map(With("guest_pid", 1UL << 32))));
        Assert.Equal(DeclarationFault.None, Fault(Map(With("guest_pid", (1UL << 32) - 1))));
        Assert.Equal(DeclarationFault.None, Fault(Map(With("guest_monotonic_ns", ulong.MaxValue))));
    }

    [Theory]
    [InlineData("probe_source")]
    [InlineData("guest_comm")]
    public void Texts_are_bounded(string key)
    {
        Assert.Equal(DeclarationFault.None, Fault(Map(With(key, new string('x', 64)))));
        Assert.Equal(DeclarationFault.TooLong, Fault(Map(With(key, new string('x', 65)))));
    }

    [Fact]
    public void What_is_skipped_is_bounded()
    {
        Assert.Equal(DeclarationFault.None, Fault(Unknown([.. Enumerable.Repeat((byte)0x81, 8), 0x00])));
        Assert.Equal(DeclarationFault.TooComplex, Fault(Unknown([.. Enumerable.Repeat((byte)0x81, 9), 0x00])));
        Assert.Equal(DeclarationFault.TooComplex, Fault(Unknown([.. Enumerable.Repeat((byte)0x81, 60_000), 0x00])));
        Assert.Equal(DeclarationFault.None, Fault(Unknown([0x99, 0x0f, 0xff, .. new byte[4095]])));
        Assert.Equal(DeclarationFault.TooComplex, Fault(Unknown([0x99, 0x10, 0x00, .. new byte[4096]])));
        Assert.Equal(DeclarationFault.Malformed, Fault(Unknown(0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)));
        Assert.Equal(DeclarationFault.Malformed, Fault(Unknown(0xbb, 0x80, 0, 0, 0, 0, 0, 0, 0)));
        Assert.Equal(DeclarationFault.Malformed, Fault(Unknown(0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)));
        Assert.Equal(DeclarationFault.None, Fault(Map([.. Whole, .. Enumerable.Range(0, 59).Select(i => ($"k{i}", (object?)null))])));
        Assert.Equal(DeclarationFault.TooComplex, Fault(Map([.. Whole, .. Enumerable.Range(0, 60).Select(i => ($"k{i}", (object?)null))])));
    }

    [Theory]
    [InlineData(0u, false)]
    [InlineData(1u, true)]
    [InlineData(65536u, true)]
    [InlineData(65537u, false)]
    [InlineData(0x80000000u, false)]
    [InlineData(0xffffffffu, false)]
    public void Lengths_are_1_to_65536(uint length, bool expected)
    {
        Assert.Equal(expected, DeclarationFrame.TryReadLength(BitConverter.GetBytes(length), out var read));
        if (expected) Assert.Equal((int)length, read);
    }

    [Fact]
    public void What_the_agent_writes_is_CellOS_s_frame_with_the_version_first()
    {
        var frame = new byte[DeclarationFrame.WrittenBytesMax];
        var bytes = DeclarationFrame.Write(frame, "process.spawned"u8, 7, "workload"u8, 42);
        Assert.Equal([.. BitConverter.GetBytes(bytes - 4), .. Map(Whole)], frame[..bytes]);
    }

    [Fact]
    public void What_the_agent_writes_is_read_back()
    {
        var frame = new byte[DeclarationFrame.WrittenBytesMax];
        foreach (var number in new ulong[] { 0, 1, 23, 24, 255, 256, 65535, 65536, uint.MaxValue, 1UL << 32, ulong.MaxValue })
        {
            var text = new string('é', 32);
            var bytes = DeclarationFrame.Write(frame, Encoding.UTF8.GetBytes(text), (uint)Math.Min(number, uint.MaxValue), Encoding.UTF8.GetBytes(text), number, number, number);
            Assert.True(DeclarationFrame.TryReadLength(frame, out var length));
            Assert.Equal(bytes - 4, length);
            var body = frame[4..bytes];
            Assert.Equal(DeclarationFault.None, DeclarationFrame.TryDecode(body, out var declaration));
            Assert.Equal(number, declaration.GuestMonotonicNs);
            Assert.Equal(number, declaration.Sequence);
            Assert.Equal(number == 0 ? 0 : number, declaration.Dropped);
            Assert.Equal((1UL, text, (ulong)declaration.GuestPid, text, number, number, number, 0), DeclarationOracle.Decode(body));
        }
    }

    /// <summary>Whatever the bytes are: the same verdict and the same values as .NET's reader, without an allocation and in bounded time.</summary>
    [Fact]
    [Trait("Category", "Fuzz")]
    public void Damaged_frames_are_taken_exactly_when_an_independent_reader_takes_them()
    {
        byte[][] seeds =
        [
            Map(Whole),
            Map([.. Whole, ("sequence", 70_000UL), ("dropped", 3UL)]),
            Map([.. Whole.Reverse(), ("cell_id", "FORGED"), ("run_id", -7L), ("n", null), ("b", new byte[] { 1, 2, 3 })]),
            Unknown(0x83, 0xa1, 0x61, 0x61, 0xf5, 0x82, 0x20, 0x39, 0x01, 0x00, 0x43, 1, 2, 3),
            Map(With("guest_comm", new string('é', 32))),
        ];
        var accepted = 0;
        DeclarationFrame.TryDecode(seeds[0], out _);
        for (var seed = 0; seed < Damage.Inputs(20_000); seed++)
        {
            var body = Damage.Mutate(seeds[seed % seeds.Length], new Random(seed));
            var before = GC.GetAllocatedBytesForCurrentThread();
            var fault = DeclarationFrame.TryDecode(body, out var declaration);
            Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
            var expected = DeclarationOracle.Decode(body);
            Assert.True((fault == DeclarationFault.None) == expected.HasValue, $"seed {seed}: {fault}, the oracle says {expected}: {Convert.ToHexString(body)}");
            if (expected is null) continue;
            accepted++;
            var read = (
                (ulong)declaration.ContentVersion, Encoding.UTF8.GetString(declaration.ProbeSource), (ulong)declaration.GuestPid,
                Encoding.UTF8.GetString(declaration.GuestComm), declaration.GuestMonotonicNs, declaration.Sequence, declaration.Dropped, declaration.UnknownKeys);
            Assert.Equal(expected, read);
        }

        Assert.True(accepted > 0);
    }

    [Fact]
    public void The_worst_frame_takes_no_longer_than_a_moment()
    {
        // The longest keys that are compared with each other, and as many items as may be skipped.
        (string, object?)[] worst = [.. Whole, .. Enumerable.Range(0, 58).Select(i => (new string('k', 1000) + i.ToString("D2"), (object?)1UL))];
        var body = Map(worst);
        var start = Stopwatch.GetTimestamp();
        for (var i = 0; i < 100; i++) Assert.Equal(DeclarationFault.None, Fault(body));
        Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(1));
    }

    static DeclarationFault Fault(byte[] body) => DeclarationFrame.TryDecode(body, out _);

    static (string, object?)[] With(string key, object? value) => [.. Whole.Select(entry => entry.Key == key ? (key, value) : (entry.Key, entry.Value))];

    static byte[] Map((string Key, object? Value)[] entries)
    {
        var writer = new CborWriter(CborConformanceMode.Lax);
        writer.WriteStartMap(entries.Length);
        foreach (var (key, value) in entries)
        {
            writer.WriteTextString(key);
            switch (value)
            {
                case ulong number:
                    writer.WriteUInt64(number);
                    break;
                case long number:
                    writer.WriteInt64(number);
                    break;
                case double number:
                    writer.WriteDouble(number);
                    break;
                case string text:
                    writer.WriteTextString(text);
                    break;
                case byte[] bytes:
                    writer.WriteByteString(bytes);
                    break;
                default:
                    writer.WriteNull();
                    break;
            }
        }

        writer.WriteEndMap();
        return writer.Encode();
    }

    /// <summary>A whole frame with one more key, <c>x</c>, and these bytes as its value.</summary>
    static byte[] Unknown(params byte[] value) => [0xa6, .. Map(Whole)[1..], 0x61, (byte)'x', .. value];

    static byte[] Replace(byte[] body, ReadOnlySpan<byte> what, ReadOnlySpan<byte> with)
    {
        var at = body.AsSpan().IndexOf(what);
        return [.. body[..at], .. with, .. body[(at + what.Length)..]];
    }
}
