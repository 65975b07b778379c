using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Guestmark.Wire.Protobuf;
using Guestmark.Wire.Pull;
using Guestmark.Wire.Pull.Messages;
using Scanner = Guestmark.Wire.Reports.Scanner;

namespace Guestmark.Wire.Tests.Pull;

/// <summary>Responses as the agent writes them, read by generated code.</summary>
public sealed class VmServiceResponseTests
{
    static readonly VmServiceMeta Meta = new()
    {
        AgentVersion = "0.1.0",
        ReportGeneratedAt = new DateTimeOffset(2026, 1, 2, 3, 4, 5, 678, TimeSpan.FromHours(2)),
        ReportGeneration = 7,
        SupportedMethods = [VmServiceResponse.GetReportMethod, VmServiceResponse.SyncRepoCpeMappingMethod],
        Facts = new Dictionary<string, string> { ["a"] = "1", ["b"] = "" },
        Epoch = 1_790_000_000,
        RepoCpeMappingHash = "",
        RepoCpeMappingUpdatePath = MappingUpdatePath.Unspecified,
    };

    static ResponseMeta ExpectedMeta => new()
    {
        AgentVersion = "0.1.0",
        ReportGeneratedAt = Timestamp.FromDateTimeOffset(new DateTimeOffset(2026, 1, 2, 3, 4, 5, 678, TimeSpan.FromHours(2))),
        ReportGeneration = 7,
        SupportedMethods = { "get_report", "sync_repo_cpe_mapping" },
        Facts = { ["a"] = "1", ["b"] = "" },
        Epoch = 1_790_000_000,
        RepoCpeMappingHash = "",
        RepoCpeMappingUpdatePath = RepoCPEMappingUpdatePath.Unspecified,
    };

    static VMServiceResponse Read(Action<ProtoWriter> write)
    {
        var writer = new ProtoWriter();
        write(writer);
        return VMServiceResponse.Parser.ParseFrom(writer.Written.Span);
    }

    [Fact]
    public void A_report_is_put_into_the_response_as_it_is()
    {
        var report = new Scanner.IndexReport { HashId = "h", Success = true, Contents = new Scanner.Contents() };

        var response = Read(writer => VmServiceResponse.WriteReport(writer, Meta, report.ToByteArray()));

        Assert.Equal(new VMServiceResponse { Meta = ExpectedMeta, GetReport = new GetReportResponse { IndexReport = report } }, response);
    }

    [Fact]
    public void A_report_without_fields_is_a_report() =>
        Assert.NotNull(Read(writer => VmServiceResponse.WriteReport(writer, Meta, [])).GetReport.IndexReport);

    [Fact]
    public void An_unchanged_report_is_left_out() => Assert.Equal(
        new VMServiceResponse { Meta = ExpectedMeta, GetReport = new GetReportResponse { Unchanged = true } },
        Read(writer => VmServiceResponse.WriteUnchanged(writer, Meta)));

    [Fact]
    public void An_error_has_its_code_and_its_details() => Assert.Equal(
        new VMServiceResponse
        {
            Meta = ExpectedMeta,
            Error = new ErrorResponse { Code = ErrorCode.Busy, Message = "busy", Details = { ["retry"] = "1 s" } },
        },
        Read(writer => VmServiceResponse.WriteError(
            writer, Meta, VmServiceError.Busy, "busy", new Dictionary<string, string> { ["retry"] = "1 s" })));

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_mapping_was_new_or_not(bool updated) => Assert.Equal(
        new VMServiceResponse { Meta = ExpectedMeta, SyncRepoCpeMapping = new SyncRepoCPEMappingResponse { Updated = updated } },
        Read(writer => VmServiceResponse.WriteMappingSynced(writer, Meta, updated)));

    [Fact]
    public void What_an_agent_does_not_know_of_itself_is_absent()
    {
        var meta = Read(writer => VmServiceResponse.WriteUnchanged(writer, new VmServiceMeta { AgentVersion = "" })).Meta;

        Assert.Equal(new ResponseMeta(), meta);
        Assert.False(meta.HasRepoCpeMappingHash);
        Assert.False(meta.HasRepoCpeMappingUpdatePath);
    }

    [Fact]
    public void A_time_before_1970_has_positive_nanoseconds()
    {
        var time = DateTimeOffset.UnixEpoch.AddMilliseconds(-1);
        var meta = Read(writer => VmServiceResponse.WriteUnchanged(writer, Meta with { ReportGeneratedAt = time })).Meta;
        Assert.Equal(Timestamp.FromDateTimeOffset(time), meta.ReportGeneratedAt);
    }

    [Fact]
    public void The_numbers_are_those_of_the_protocol()
    {
        foreach (var code in System.Enum.GetValues<VmServiceError>()) Assert.Equal($"{code}", $"{(ErrorCode)code}");
        foreach (var path in System.Enum.GetValues<MappingUpdatePath>()) Assert.Equal($"{path}", $"{(RepoCPEMappingUpdatePath)path}");
        Assert.Equal(System.Enum.GetValues<ErrorCode>().Length, System.Enum.GetValues<VmServiceError>().Length);
    }
}
