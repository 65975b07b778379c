using System.Diagnostics;
using Google.Protobuf;
using Guestmark.TestKit;
using Guestmark.Wire.Pull;
using Guestmark.Wire.Pull.Messages;

namespace Guestmark.Wire.Tests.Pull;

/// <summary>Requests as generated code writes them, read by the agent's own reader.</summary>
public sealed class VmServiceRequestTests
{
    static VMServiceRequest Full => new()
    {
        Meta = new RequestMeta
        {
            RequestId = "0f0b2a52-8b5c-4d43-9d0c-1d8f6e8b2a11",
            Capabilities = { "report_v1", "" },
            Facts = { ["sensor"] = "5.0", ["empty"] = "" },
        },
        GetReport = new GetReportRequest { LastKnownGeneration = uint.MaxValue, KnownEpoch = 1_790_000_000 },
    };

    static VmServiceRequest Parse(IMessage message)
    {
        Assert.True(VmServiceRequest.TryParse(message.ToByteArray(), out var request, out var error), error);
        Assert.Null(error);
        return request!;
    }

    static string ErrorOf(byte[] message)
    {
        Assert.False(VmServiceRequest.TryParse(message, out var request, out var error));
        Assert.Null(request);
        return error!;
    }

    [Fact]
    public void A_request_for_a_report_is_read()
    {
        var request = Parse(Full);

        Assert.Equal("0f0b2a52-8b5c-4d43-9d0c-1d8f6e8b2a11", request.RequestId);
        Assert.Equal(["report_v1", ""], request.Capabilities);
        Assert.Equal(new Dictionary<string, string> { ["sensor"] = "5.0", ["empty"] = "" }, request.Facts);
        Assert.Equal((VmServiceMethod.GetReport, uint.MaxValue, 1_790_000_000u), (request.Method, request.LastKnownGeneration, request.KnownEpoch));
        Assert.True(request.Mapping.IsEmpty);
    }

    [Fact]
    public void A_mapping_is_read()
    {
        var mapping = new byte[3_000_000];
        Random.Shared.NextBytes(mapping);

        var request = Parse(new VMServiceRequest { SyncRepoCpeMapping = new SyncRepoCPEMappingRequest { Mapping = ByteString.CopyFrom(mapping) } });

        Assert.Equal(VmServiceMethod.SyncRepoCpeMapping, request.Method);
        Assert.True(request.Mapping.Span.SequenceEqual(mapping));
    }

    [Fact]
    public void Without_a_known_method_it_is_unknown()
    {
        Assert.Equal(VmServiceMethod.Unknown, Parse(new VMServiceRequest()).Method);
        // Field 4, a message, which a later Sensor may ask.
        Assert.True(VmServiceRequest.TryParse([0x22, 0x00], out var later, out _));
        Assert.Equal(VmServiceMethod.Unknown, later!.Method);
    }

    [Fact]
    public void Of_two_methods_the_last_counts()
    {
        byte[] both =
        [
            .. new VMServiceRequest { SyncRepoCpeMapping = new SyncRepoCPEMappingRequest { Mapping = ByteString.CopyFromUtf8("{}") } }.ToByteArray(),
            .. new VMServiceRequest { GetReport = new GetReportRequest { KnownEpoch = 7 } }.ToByteArray(),
        ];

        Assert.True(VmServiceRequest.TryParse(both, out var request, out _));

        Assert.Equal((VmServiceMethod.GetReport, 7u, 0), (request!.Method, request.KnownEpoch, request.Mapping.Length));
    }

    [Theory]
    [InlineData(3u, 50u, true)]
    [InlineData(3u, 0u, true)]
    [InlineData(2u, 50u, false)]
    [InlineData(4u, 50u, false)]
    [InlineData(3u, 49u, false)]
    [InlineData(0u, 0u, false)]
    public void A_Sensor_knows_a_report_by_generation_and_run(uint knownGeneration, uint knownEpoch, bool expected) =>
        Assert.Equal(expected, new VmServiceRequest { LastKnownGeneration = knownGeneration, KnownEpoch = knownEpoch }.Knows(3, 50));

    [Fact]
    public void A_Sensor_without_a_report_knows_none_before_the_first() => Assert.False(new VmServiceRequest().Knows(0, 50));

    [Fact]
    public void What_is_too_much_is_refused()
    {
        var capabilities = new VMServiceRequest { Meta = new RequestMeta() };
        for (var i = 0; i <= VmServiceRequest.EntriesMax; i++) capabilities.Meta.Capabilities.Add("c");
        var facts = new VMServiceRequest { Meta = new RequestMeta() };
        for (var i = 0; i <= VmServiceRequest.EntriesMax; i++) facts.Meta.Facts[$"{i}"] = "";
        var id = new VMServiceRequest { Meta = new RequestMeta { RequestId = new string('x', VmServiceRequest.TextBytesMax + 1) } };
        var mapping = new VMServiceRequest
        {
            SyncRepoCpeMapping = new SyncRepoCPEMappingRequest { Mapping = ByteString.CopyFrom(new byte[VmServiceRequest.MappingBytesMax + 1]) },
        };

        Assert.Equal("there are more than 64 capabilities", ErrorOf(capabilities.ToByteArray()));
        Assert.Equal("there are more than 64 facts", ErrorOf(facts.ToByteArray()));
        Assert.Equal("request_id is not UTF-8 of at most 1024 bytes", ErrorOf(id.ToByteArray()));
        Assert.Equal("the mapping has 5242881 bytes, more than 5242880", ErrorOf(mapping.ToByteArray()));
    }

    [Theory]
    [InlineData("08", "the request is malformed at byte 1")]
    [InlineData("0801", "field 1 of the request has wire type 0")]
    [InlineData("0a0208", "the request is malformed at byte 2")]
    [InlineData("0a0108", "meta is malformed")]
    [InlineData("0a020801", "field 1 of meta has wire type 0")]
    [InlineData("0a030a01ff", "request_id is not UTF-8 of at most 1024 bytes")]
    [InlineData("0a031a0108", "a fact is malformed")]
    [InlineData("12020a00", "field 1 of get_report has wire type 2")]
    [InlineData("120108", "get_report is malformed")]
    [InlineData("1a020801", "the mapping has wire type 0")]
    [InlineData("1a010a", "sync_repo_cpe_mapping is malformed")]
    public void What_is_malformed_is_named(string hex, string expected) => Assert.Equal(expected, ErrorOf(Convert.FromHexString(hex)));

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_bytes_are_read_as_generated_code_reads_them_or_refused()
    {
        var seeds = new[]
        {
            Full.ToByteArray(),
            new VMServiceRequest { SyncRepoCpeMapping = new SyncRepoCPEMappingRequest { Mapping = ByteString.CopyFromUtf8("""{"data":{}}""") } }.ToByteArray(),
        };
        var random = new Random(20260123);
        var accepted = 0;
        for (var i = 0; i < Damage.Inputs(20_000); i++)
        {
            var bytes = Damage.Mutate(seeds[i % seeds.Length], random);
            var before = GC.GetAllocatedBytesForCurrentThread();
            var start = Stopwatch.GetTimestamp();
            var isRequest = VmServiceRequest.TryParse(bytes, out var request, out var error);
            Assert.True(Stopwatch.GetElapsedTime(start).TotalSeconds < 1, $"case {i} is slow");
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, (64 * bytes.Length) + (128 * 1024));
            Assert.Equal(isRequest, error is null);
            if (!isRequest) continue;

            accepted++;
            var expected = VMServiceRequest.Parser.ParseFrom(bytes);
            Assert.Equal((VmServiceMethod)expected.MethodCase, request!.Method);
            Assert.Equal(expected.Meta?.RequestId ?? "", request.RequestId);
            Assert.Equal(expected.Meta?.Capabilities.ToList() ?? [], request.Capabilities);
            Assert.Equal(expected.GetReport?.LastKnownGeneration ?? 0, request.LastKnownGeneration);
            Assert.Equal(expected.GetReport?.KnownEpoch ?? 0, request.KnownEpoch);
            Assert.Equal(expected.SyncRepoCpeMapping?.Mapping.ToByteArray() ?? [], request.Mapping.ToArray());
            Assert.Equal((expected.Meta ?? new RequestMeta()).Facts.OrderBy(fact => fact.Key, StringComparer.Ordinal), request.Facts.OrderBy(fact => fact.Key, StringComparer.Ordinal));
        }

        Assert.True(accepted > 1000, $"only {accepted} cases were requests");
    }
}
