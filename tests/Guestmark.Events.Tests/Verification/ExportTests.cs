using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Google.Protobuf;
using Guestmark.Events.CloudEvents;
using Guestmark.Events.Verification;
using Guestmark.TestKit;
using AttributeValue = Guestmark.Events.CloudEvents.CloudEvent.Types.CloudEventAttributeValue;

namespace Guestmark.Events.Tests.Verification;

/// <summary>Establishes that a signature holds through every form of an export, and that no bytes make the reader fail.</summary>
public sealed class ExportTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("ecdsa-p256")]
    [InlineData("ed25519")]
    [InlineData("hmac-sha256")]
    public void Events_are_verified_after_every_form_of_export(string algorithm)
    {
        var (signer, verifier) = Sample.Key(algorithm, _folder);
        StampedEvent[] events = [.. Enumerable.Range(1, 5).Select(n => Sample.Stamp((ulong)n, signer, new byte[n * 1000]))];
        var lines = Sample.ToJson(events);
        var batch = $"[{string.Join(",", lines.Trim().Split('\n'))}]";
        var pretty = JsonNode.Parse(batch)!.ToJsonString(new JsonSerializerOptions { WriteIndented = true });
        using var delimited = new MemoryStream();
        foreach (var stamped in events) CloudEvent.Parser.ParseFrom(stamped.Encoded.Span).WriteDelimitedTo(delimited);
        byte[][] exports = [Encoding.UTF8.GetBytes(lines), Encoding.UTF8.GetBytes(batch), Encoding.UTF8.GetBytes(pretty), Encoding.UTF8.GetBytes("\r\n " + batch + lines), Encoding.UTF8.GetBytes("\ufeff" + lines), Encoding.UTF8.GetBytes("\ufeff\n" + batch), delimited.ToArray()];
        foreach (var (export, portion) in exports.SelectMany(export => ((int[])[1, 7, 100_000]).Select(portion => (export, portion))))
        {
            var read = ReadAll(new PortionedStream(export, portion));
            Assert.All(read, one => Assert.Null(one.Problem));
            Assert.All(read, one => Assert.Equal(SignatureStatus.Verified, verifier.Verify(one.Event!)));
            Assert.Equal(events.Select(e => e.Id), read.Take(5).Select(one => one.Event!.Id));
        }

        signer.Dispose();
    }

    [Fact]
    public void A_signature_holds_when_another_program_writes_the_json_its_own_way()
    {
        var (signer, verifier) = Sample.Key("ed25519", _folder);
        var json = JsonNode.Parse(Sample.ToJson(Sample.Stamp(7, signer)))!.AsObject();

        Check(Write(json.Reverse()));
        Check(Write(json).Replace("2026-03-04T05:06:07.89Z", "2026-03-04T07:36:07.890000000+02:30", StringComparison.Ordinal));
        // Non-ASCII as itself, and ASCII as escapes.
        Assert.Contains("\\u00FC", Write(json), StringComparison.Ordinal);
        Check(Write(json).Replace("\\u00FC", "ü", StringComparison.Ordinal));
        Check(Write(json).Replace("cell-1", "\\u0063ell\\u002d1", StringComparison.Ordinal).Replace("application/protobuf", "application\\/protobuf", StringComparison.Ordinal));
        // What is not set may be null.
        Check(Write(json.Append(new("traceparent", null))));
        json.Remove("datacontenttype");
        Check(Write(json));
        signer.Dispose();

        void Check(string text)
        {
            Assert.Null(CloudEventJson.TryRead(Encoding.UTF8.GetBytes(text), out var read));
            Assert.Equal(SignatureStatus.Verified, verifier.Verify(read!));
        }

        static string Write(IEnumerable<KeyValuePair<string, JsonNode?>> properties) =>
            $"{{{string.Join(", ", properties.Select(p => $"{JsonSerializer.Serialize(p.Key)}: {p.Value?.ToJsonString() ?? "null"}"))}}}";
    }

    [Fact]
    public void Nanoseconds_and_every_type_of_attribute_survive_json()
    {
        var cloudEvent = CloudEvent.Parser.ParseFrom(Sample.Stamp(7).Encoded.Span);
        cloudEvent.Attributes["time"].CeTimestamp.Nanos = 123_456_789;
        cloudEvent.Attributes["flag"] = new AttributeValue { CeBoolean = true };
        cloudEvent.Attributes["number"] = new AttributeValue { CeInteger = int.MinValue };
        cloudEvent.Attributes["bytes"] = new AttributeValue { CeBytes = ByteString.CopyFrom(0, 255) };
        cloudEvent.Attributes["moment"] = new AttributeValue { CeTimestamp = new() { Seconds = 1, Nanos = 500_000_000 } };
        var stamped = Sample.Read(cloudEvent.ToByteArray());
        var json = Sample.ToJson(stamped);
        Assert.Contains("\"time\":\"2026-03-04T05:06:07.123456789Z\"", json, StringComparison.Ordinal);
        Assert.Contains("\"flag\":true,\"number\":-2147483648,\"bytes\":\"AP8=\",\"moment\":\"1970-01-01T00:00:01.5Z\"", json, StringComparison.Ordinal);

        Assert.Null(CloudEventJson.TryRead(Encoding.UTF8.GetBytes(json), out var read));
        var (before, after) = (new byte[32], new byte[32]);
        Events.Signing.EventDigest.Compute(stamped, before);
        Events.Signing.EventDigest.Compute(read!, after);
        Assert.Equal(before, after);
    }

    [Theory]
    [InlineData("\"id\":", "\"id\": \"x\", \"id\":", "attribute id is there twice")]
    [InlineData("\"id\":", "\"Id\": \"x\", \"id\":", "is no name of an attribute")]
    [InlineData("\"id\":", "\"data\": {}, \"id\":", "must be in data_base64")]
    [InlineData("\"id\":", "\"other\": {}, \"id\":", "attribute other is not a text")]
    [InlineData("\"id\":", "\"other\": 1.5, \"id\":", "attribute other is not a text")]
    [InlineData("\"id\":", "\"other\": 2147483648, \"id\":", "attribute other is not a text")]
    [InlineData("\"id\":", "\"other\": \"\\ud800\", \"id\":", "not Unicode")]
    [InlineData("data_base64", "data64", "data_base64 is missing")]
    [InlineData("dataschema", "schema", "dataschema is missing")]
    [InlineData("\"1.0\"", "\"0.3\"", "specversion is '0.3'")]
    [InlineData("2026-03-04T", "2026-03-04 ", "is not an RFC 3339 time")]
    [InlineData("AQIA/w==", "AQIA/w", "data_base64 is not base64")]
    [InlineData("}", "} {}", "not JSON")]
    [InlineData("{", "[", "not a JSON object")]
    public void An_event_in_json_that_is_none_is_refused_with_the_reason(string replace, string by, string problem)
    {
        var json = Sample.ToJson(Sample.Stamp());
        var at = json.IndexOf(replace, StringComparison.Ordinal);
        var wrong = json[..at] + by + json[(at + replace.Length)..];
        Assert.Contains(problem, CloudEventJson.TryRead(Encoding.UTF8.GetBytes(wrong), out _), StringComparison.Ordinal);
    }

    [Fact]
    public void After_an_object_that_is_no_event_the_others_are_read()
    {
        var read = ReadAll(new MemoryStream(Encoding.UTF8.GetBytes($"{Sample.ToJson(Sample.Stamp(1))}{{\"id\": \"}}\\\"\"}}\n{Sample.ToJson(Sample.Stamp(2))}")));
        Assert.Equal([false, true, false], read.Select(one => one.Problem is not null));
    }

    [Theory]
    [InlineData("[", "ends inside an array")]
    [InlineData("[{}", "ends inside an array")]
    [InlineData("{\"a\": \"}", "ends inside an event")]
    [InlineData("{} x", "found byte 0x78")]
    [InlineData("[{} {}]", "found byte 0x7b")]
    [InlineData("[,{}]", "found byte 0x2c")]
    [InlineData("[[{}]]", "found byte 0x5b")]
    [InlineData("hello", "found byte 0x68")]
    public void Where_an_export_cannot_be_read_on_it_ends_with_the_reason(string text, string problem) =>
        Assert.Contains(problem, ReadAll(new MemoryStream(Encoding.UTF8.GetBytes(text)))[^1].Problem, StringComparison.Ordinal);

    [Fact]
    public void Lengths_are_refused_before_there_is_memory_for_them()
    {
        // 2^32 - 1 and 2^28 - 1 as varints, and 16 MiB of which two bytes are there.
        foreach (var bytes in (byte[][])[[0xff, 0xff, 0xff, 0xff, 0x0f, 1], [0xff, 0xff, 0xff, 0x7f, 1], [0x80, 0x80, 0x80, 0x08, 1, 2], [0x80, 0x00], [0xff, 0xff, 0xff, 0xff, 0xff, 0x01]])
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            Assert.NotNull(Assert.Single(ReadAll(new MemoryStream(bytes))).Problem);
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
        }
    }

    [Fact]
    public void An_object_without_an_end_is_given_up_at_the_limit()
    {
        using var endless = new PortionedStream(new byte[1 << 16], 1 << 16) { First = "{\"a\": \""u8.ToArray(), Repeats = true };
        Assert.Contains("more than", Assert.Single(ReadAll(endless)).Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void An_empty_export_has_no_event() => Assert.Empty(ReadAll(new MemoryStream([10, 32])));

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Damaged_exports_are_read_to_an_end()
    {
        StampedEvent[] events = [Sample.Stamp(1), Sample.Stamp(2)];
        using var delimited = new MemoryStream();
        foreach (var stamped in events) CloudEvent.Parser.ParseFrom(stamped.Encoded.Span).WriteDelimitedTo(delimited);
        byte[][] seeds = [Encoding.UTF8.GetBytes(Sample.ToJson(events)), Encoding.UTF8.GetBytes($"[{Sample.ToJson(events[0])},{Sample.ToJson(events[1])}]"), delimited.ToArray()];
        var whole = 0;
        for (var i = 0; i < Damage.Inputs(6_000); i++)
        {
            var read = ReadAll(new MemoryStream(Damage.Mutate(seeds[i % seeds.Length], new Random(i))));
            Assert.All(read, one => Assert.True((one.Event is null) == (one.Problem is not null)));
            whole += read.Count(one => one.Event is not null);
        }

        Assert.True(whole > 1000, $"only {whole} events were read: the test shows nothing");
    }

    static List<(StampedEvent? Event, string? Problem)> ReadAll(Stream input)
    {
        var reader = new EventExportReader(input);
        var all = new List<(StampedEvent?, string?)>();
        while (reader.TryRead(out var stamped, out var problem)) all.Add((stamped, problem));
        Assert.Equal(all.Count, reader.Count);
        return all;
    }

    /// <summary>Gives at most so many bytes at once, as pipes do.</summary>
    sealed class PortionedStream(byte[] bytes, int portion) : Stream
    {
        int _position;

        public byte[] First { get; set; } = [];

        public bool Repeats { get; init; }

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count)
        {
            if (First.Length > 0)
            {
                First.CopyTo(buffer, offset);
                var length = First.Length;
                First = [];
                return length;
            }

            if (Repeats && _position == bytes.Length) _position = 0;
            var read = Math.Min(Math.Min(count, portion), bytes.Length - _position);
            bytes.AsSpan(_position, read).CopyTo(buffer.AsSpan(offset));
            _position += read;
            return read;
        }

        public override void Flush() => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
