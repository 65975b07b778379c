using Google.Protobuf;
using Guestmark.Events.CloudEvents;
using Guestmark.Events.Format;
using Guestmark.TestKit;
using AttributeValue = Guestmark.Events.CloudEvents.CloudEvent.Types.CloudEventAttributeValue;

namespace Guestmark.Events.Tests.Format;

/// <summary>Establishes that the hand-written encoder and reader and Google.Protobuf's see the same event in the same bytes.</summary>
public sealed class EncodingTests
{
    [Fact]
    public void Google_reads_what_is_stamped_and_would_write_the_same_bytes()
    {
        foreach (var size in (int[])[0, 1, 127, 128, 16_383, 16_384, 300_000])
        {
            var data = new byte[size];
            new Random(size).NextBytes(data);
            var stamped = Sample.Stamp(ulong.MaxValue, data: data);
            var cloudEvent = CloudEvent.Parser.ParseFrom(stamped.Encoded.Span);

            Assert.Equal(stamped.Encoded.ToArray(), cloudEvent.ToByteArray());
            Assert.Equal(
                [
                    "subject=cell-1", "guestcid=3000000000", "guestport=9001", "netns=18446744073709551615", "bootepoch=7f1c", "cellid=cell-1", "runid=run-1",
                    "specsignaturehash=00ff", "stream=0197e0c5-0000-7000-8000-000000000001-keep", "sequence=18446744073709551615", "time=",
                ],
                cloudEvent.Attributes.Select(a => $"{a.Key}={a.Value.CeString}"));
            Assert.Equal(Sample.Now, cloudEvent.Attributes["time"].CeTimestamp.ToDateTimeOffset());
            Assert.Equal((stamped.Id, "//lab/node1/cell-ü", "1.0", EventTypes.InventoryReport), (cloudEvent.Id, cloudEvent.Source, cloudEvent.SpecVersion, cloudEvent.Type));
            Assert.Equal("type.googleapis.com/virtualmachine.v1.VMReport", cloudEvent.ProtoData.TypeUrl);
            Assert.Equal(data, cloudEvent.ProtoData.Value.ToByteArray());
        }
    }

    [Fact]
    public void What_Google_writes_is_read_whatever_the_order_of_attributes()
    {
        var stamped = Sample.Stamp(7);
        var original = CloudEvent.Parser.ParseFrom(stamped.Encoded.Span);
        for (var seed = 0; seed < 200; seed++)
        {
            var shuffled = original.Clone();
            shuffled.Attributes.Clear();
            var attributes = original.Attributes.ToArray();
            new Random(seed).Shuffle(attributes);
            foreach (var (name, value) in attributes) shuffled.Attributes[name] = value;
            shuffled.Attributes["other"] = new AttributeValue { CeInteger = -seed };
            shuffled.Attributes["flag"] = new AttributeValue { CeBoolean = seed % 2 == 0 };
            shuffled.Attributes["link"] = new AttributeValue { CeUri = "https://example.org/" };

            var read = Sample.Read(shuffled.ToByteArray());
            Assert.Equal(
                (stamped.Id, stamped.Source, stamped.Subject, stamped.Type, stamped.Time, stamped.Position, stamped.DataSchema),
                (read.Id, read.Source, read.Subject, read.Type, read.Time, read.Position, read.DataSchema));
            Assert.Equal(stamped.Data.ToArray(), read.Data.ToArray());
            Assert.Equal(
                ("3000000000", (-seed).ToString(), seed % 2 == 0 ? "true" : "false", "https://example.org/"),
                (read.Attribute("guestcid"), read.Attribute("other"), read.Attribute("flag"), read.Attribute("link")));
            Assert.Null(read.Attribute("guest"));
        }
    }

    [Fact]
    public void A_copied_identity_does_not_bring_the_attributes_of_the_first_along()
    {
        var first = new ChannelIdentity("//lab/node1/web1", "uid-1") { GuestCid = 3 };
        StampedEvent.Encode(first, "t", "d", [], new EventPosition("s", 1), Sample.Now);
        var second = first with { GuestCid = 4 };

        Assert.Equal("4", Sample.Read(StampedEvent.Encode(second, "t", "d", [], new EventPosition("s", 2), Sample.Now)).Attribute("guestcid"));
        Assert.Equal(("t2", "3"), TypeAndCid(StampedEvent.Encode(first, "t2", "d", [], new EventPosition("s", 3), Sample.Now)));
        Assert.Equal(first, first with { });
        Assert.NotEqual(first, second);

        static (string, string?) TypeAndCid(byte[] encoded) => (Sample.Read(encoded).Type, Sample.Read(encoded).Attribute("guestcid"));
    }

    [Fact]
    public void A_stamp_allocates_the_bytes_of_the_event_and_nothing_else()
    {
        var data = new byte[512];
        var size = StampedEvent.Encode(Sample.Cell, "t", "d", data, new EventPosition("s", 1), Sample.Now).Length;
        // The pool of random bytes for ids is the thread's and is made by the first stamp.
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1000; i++) StampedEvent.Encode(Sample.Cell, "t", "d", data, new EventPosition("s", 1), Sample.Now);
        var each = (GC.GetAllocatedBytesForCurrentThread() - before) / 1000.0;

        // An array has 24 bytes before its bytes, and its size is rounded up to 8.
        Assert.InRange(each, size, size + 32);
    }

    public static TheoryData<string, byte[]> Ambiguous()
    {
        var encoded = Sample.Stamp().Encoded.ToArray();
        var subject = Entry("subject", "other");
        return new TheoryData<string, byte[]>
        {
            { "attribute id is there twice", [.. encoded, 0x0a, 1, (byte)'x'] },
            { "attribute source is there twice", [.. encoded, 0x12, 1, (byte)'x'] },
            { "attribute type is there twice", [.. encoded, 0x22, 1, (byte)'x'] },
            { "attribute subject is there twice", [.. encoded, .. subject] },
            { "attribute guestcid is there twice", [.. encoded, .. Entry("guestcid", "3")] },
            { "attribute id is there twice", [.. encoded, .. Entry("id", "other")] },
            { "attribute data is there twice", [.. encoded, .. Entry("data", "other")] },
            { "data is there twice", [.. encoded, 0x42, 3, 0x0a, 1, (byte)'x'] },
            { "data is not protobuf", [.. encoded, 0x32, 1, 0] },
            { "field 9 is not known", [.. encoded, 0x4a, 0] },
            { "are no protobuf message", [.. encoded, 0x0a, 0x81, 0x00, (byte)'x'] },
            { "lower-case letters and digits", [.. encoded, .. Entry("Guestcid", "3")] },
            { "is not of type Text", [.. CloudEventWith("subject", new AttributeValue { CeInteger = 3 })] },
            { "is no timestamp", [.. CloudEventWith("time", new AttributeValue { CeString = "2026-03-04T05:06:07Z" })] },
            { "no readable value", [.. CloudEventWith("other", new AttributeValue())] },
            { "datacontenttype is not application/protobuf", [.. CloudEventWith("datacontenttype", new AttributeValue { CeString = "text/plain" })] },
            { "dataschema is not the type", [.. CloudEventWith("dataschema", new AttributeValue { CeUri = "other" })] },
        };

        static byte[] CloudEventWith(string name, AttributeValue value)
        {
            var cloudEvent = CloudEvent.Parser.ParseFrom(Sample.Stamp().Encoded.Span);
            cloudEvent.Attributes[name] = value;
            return cloudEvent.ToByteArray();
        }

        // map entry: 0x2a length, key 0x0a, value 0x12 { ce_string 0x1a }.
        static byte[] Entry(string name, string value) => new CloudEvent { Attributes = { [name] = new AttributeValue { CeString = value } } }.ToByteArray();
    }

    [Theory]
    [MemberData(nameof(Ambiguous))]
    public void Bytes_in_which_two_readers_could_see_two_events_are_refused(string problem, byte[] encoded) =>
        Assert.Contains(problem, StampedEvent.TryRead(encoded, out _), StringComparison.Ordinal);

    [Fact]
    public void An_event_has_at_most_so_many_attributes()
    {
        var cloudEvent = CloudEvent.Parser.ParseFrom(Sample.Stamp().Encoded.Span);
        for (var i = 0; i < 60; i++) cloudEvent.Attributes[$"a{i}"] = new AttributeValue { CeString = "x" };
        Assert.Contains("attributes or more", StampedEvent.TryRead(cloudEvent.ToByteArray(), out _), StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Damaged_events_are_refused_or_are_what_Google_reads()
    {
        var original = CloudEvent.Parser.ParseFrom(Sample.Stamp().Encoded.Span);
        original.Attributes["flag"] = new AttributeValue { CeBoolean = true };
        original.Attributes["number"] = new AttributeValue { CeInteger = -1 };
        original.Attributes["signature"] = new AttributeValue { CeBytes = ByteString.CopyFrom(1, 2, 3) };
        var seed = original.ToByteArray();
        var read = 0;
        for (var i = 0; i < Damage.Inputs(20_000); i++)
        {
            var bytes = Damage.Mutate(seed, new Random(i));
            if (StampedEvent.TryRead(bytes, out var stamped) is not null) continue;
            read++;
            // Google's reader takes everything that ours takes, and sees the same.
            var cloudEvent = CloudEvent.Parser.ParseFrom(bytes);
            Assert.Equal((cloudEvent.Id, cloudEvent.Source, cloudEvent.Type), (stamped!.Id, stamped.Source, stamped.Type));
            Assert.Equal(cloudEvent.Attributes["subject"].CeString, stamped.Subject);
            Assert.Equal(cloudEvent.Attributes["stream"].CeString, stamped.Position.Stream);
            Assert.Equal(cloudEvent.ProtoData.Value.ToByteArray(), stamped.Data.ToArray());
            Assert.Equal(cloudEvent.ProtoData.TypeUrl, stamped.DataSchema);
            Assert.Equal(cloudEvent.Attributes["time"].CeTimestamp.Nanos, stamped.ExactTime.Nanos);
            var names = new List<string>();
            foreach (var attribute in new EventAttributes(bytes)) names.Add(System.Text.Encoding.ASCII.GetString(attribute.Name));
            Assert.Equal(cloudEvent.Attributes.Keys.Order(), names.Order());
        }

        Assert.True(read > 100, $"only {read} damaged events were readable: the test shows nothing");
    }

    [Theory]
    [InlineData("2026-03-04T05:06:07Z", "2026-03-04T05:06:07Z")]
    [InlineData("2026-03-04T05:06:07.000Z", "2026-03-04T05:06:07Z")]
    [InlineData("2026-03-04t05:06:07.890z", "2026-03-04T05:06:07.89Z")]
    [InlineData("2026-03-04T05:06:07.123456789+02:30", "2026-03-04T02:36:07.123456789Z")]
    [InlineData("2026-12-31T23:59:59.000000001-00:01", "2027-01-01T00:00:59.000000001Z")]
    [InlineData("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z")]
    [InlineData("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z")]
    [InlineData("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z")]
    [InlineData("2026-03-04T05:06:07.1234567890000Z", "2026-03-04T05:06:07.123456789Z")]
    [InlineData("2026-03-04T05:06:07.1234567891Z", null)]
    [InlineData("2026-03-04T05:06:60Z", null)]
    [InlineData("2026-02-29T05:06:07Z", null)]
    [InlineData("2026-03-04T05:06:07", null)]
    [InlineData("2026-03-04 05:06:07Z", null)]
    [InlineData("2026-03-04T05:06:07.Z", null)]
    [InlineData("2026-03-04T05:06:07+2:00", null)]
    [InlineData("2026-03-04T05:06:07+24:00", null)]
    [InlineData("2026-03-04T05:06:07Zx", null)]
    [InlineData("0001-01-01T00:00:00+00:01", null)]
    [InlineData("", null)]
    public void A_moment_has_one_text(string text, string? expected)
    {
        Assert.Equal(expected is not null, EventTime.TryParse(text, out var time));
        if (expected is not null) Assert.Equal(expected, time.ToString());
    }

    [Fact]
    public void Times_of_the_host_keep_their_tenths_of_microseconds()
    {
        foreach (var ticks in (long[])[0, 1, -1, 9_999_999, -10_000_001, Sample.Now.UtcTicks - DateTime.UnixEpoch.Ticks + 1234567])
        {
            var time = DateTimeOffset.UnixEpoch.AddTicks(ticks);
            Assert.Equal(time, EventTime.Of(time).ToDateTimeOffset());
            Assert.True(EventTime.Of(time).IsValid);
        }
    }
}
