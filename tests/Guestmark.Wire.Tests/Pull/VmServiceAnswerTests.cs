using Google.Protobuf;
using Guestmark.TestKit;
using Guestmark.Wire.Protobuf;
using Guestmark.Wire.Pull;
using Guestmark.Wire.Pull.Messages;
using Guestmark.Wire.Reports;
using Scanner = Guestmark.Wire.Reports.Scanner;

namespace Guestmark.Wire.Tests.Pull;

/// <summary>Answers as generated code writes them, read by the node, and the report that becomes of them.</summary>
public sealed class VmServiceAnswerTests
{
    static VMServiceResponse Full => new()
    {
        Meta = new ResponseMeta
        {
            AgentVersion = "1",
            ReportGeneration = 3,
            Epoch = 1_760_000_000,
            SupportedMethods = { "get_report" },
            Facts =
            {
                ["detected_os"] = "RHEL", ["os_version"] = "9.4", ["activation_status"] = "INACTIVE", ["dnf_metadata_status"] = "AVAILABLE", ["boot_id"] = "b", ["architecture"] = "x86_64",
            },
        },
        GetReport = new GetReportResponse { IndexReport = new Scanner.IndexReport { HashId = "h", Contents = new() { Packages = { ["1"] = new Scanner.Package { Name = "bash" } } } } },
    };

    [Fact]
    public void A_report_becomes_what_the_guest_would_have_pushed()
    {
        var writer = new ProtoWriter();
        Assert.Equal(new VmServiceAnswer(VmServiceAnswerKind.Report, 3, 1_760_000_000, default), VmServiceAnswer.Read(Full.ToByteArray(), "7", writer));
        Assert.Null(ReportValidator.Validate(writer.Written.Span, out var summary));
        Assert.Equal(("7", 1), (summary.ClaimedCid, summary.PackageCount));
        var report = VMReport.Parser.ParseFrom(writer.Written.Span);
        Assert.Equal(Full.GetReport.IndexReport, report.IndexReport.IndexV4);
        Assert.Equal(
            new DiscoveredData { DetectedOs = DetectedOS.Rhel, OsVersion = "9.4", ActivationStatus = ActivationStatus.Inactive, DnfMetadataStatus = DnfMetadataStatus.Available },
            report.DiscoveredData);
        Assert.Equal(["architecture", "boot_id"], report.Facts.Keys.Order());
    }

    [Fact]
    public void What_the_agent_has_nothing_new_of_or_cannot_do_is_told_apart()
    {
        var unchanged = Full;
        unchanged.GetReport = new GetReportResponse { Unchanged = true };
        Assert.Equal(VmServiceAnswerKind.Unchanged, Read(unchanged).Kind);
        unchanged.GetReport = new GetReportResponse();
        Assert.Equal(VmServiceAnswerKind.Malformed, Read(unchanged).Kind);
        var refused = new VMServiceResponse { Error = new ErrorResponse { Code = ErrorCode.MappingRequired, Message = "m" } };
        Assert.Equal((VmServiceAnswerKind.Refused, VmServiceError.MappingRequired), (Read(refused).Kind, Read(refused).Error));
        Assert.Equal(VmServiceAnswerKind.Malformed, Read(new VMServiceResponse()).Kind);

        static VmServiceAnswer Read(VMServiceResponse response) => VmServiceAnswer.Read(response.ToByteArray(), null, new ProtoWriter());
    }

    [Fact]
    public void The_question_names_what_the_caller_has()
    {
        var writer = new ProtoWriter();
        VmServiceAnswer.WriteQuestion(writer, "id", 3, 9);
        var request = VMServiceRequest.Parser.ParseFrom(writer.Written.Span);
        Assert.Equal(new RequestMeta { RequestId = "id", Capabilities = { "report_v1" } }, request.Meta);
        Assert.Equal(new GetReportRequest { LastKnownGeneration = 3, KnownEpoch = 9 }, request.GetReport);
        writer.Reset();
        VmServiceAnswer.WriteQuestion(writer, "", 0, 0);
        Assert.NotNull(VMServiceRequest.Parser.ParseFrom(writer.Written.Span).GetReport);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_bytes_give_an_answer_whose_report_is_no_longer_than_they_are()
    {
        var random = new Random(20261125);
        var seed = Full.ToByteArray();
        var writer = new ProtoWriter();
        for (var i = 0; i < Damage.Inputs(20_000); i++)
        {
            var bytes = Damage.Mutate(seed, random);
            writer.Reset();
            var answer = VmServiceAnswer.Read(bytes, "4294967294", writer);
            Assert.InRange(writer.Length, answer.Kind == VmServiceAnswerKind.Report ? 1 : 0, bytes.Length + VmServiceAnswer.ReportBytesMore);
            if (answer.Kind == VmServiceAnswerKind.Report && ReportValidator.Validate(writer.Written.Span, out _) is null) VMReport.Parser.ParseFrom(writer.Written.Span);
            if (answer.Kind != VmServiceAnswerKind.Report) Assert.Equal(0, writer.Length);
        }
    }
}
