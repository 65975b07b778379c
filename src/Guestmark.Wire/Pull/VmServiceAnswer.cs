using Guestmark.Wire.Protobuf;
using Guestmark.Wire.Reports;

namespace Guestmark.Wire.Pull;

/// <summary>What an agent's answer to <c>get_report</c> is.</summary>
public enum VmServiceAnswerKind
{
    /// <summary>No answer to that question.</summary>
    Malformed,
    Report,

    /// <summary>The caller has the report already.</summary>
    Unchanged,

    /// <summary>The agent cannot: <see cref="VmServiceAnswer.Error"/>.</summary>
    Refused,
}

/// <summary>A <c>virtualmachine.v1.VMServiceResponse</c> (proto/stackrox) as the caller reads it, and the question.</summary>
/// <param name="Generation">Of the report, with <paramref name="Epoch"/>: what the next question names.</param>
/// <param name="Error">A number of the agent's, which may be none that is known.</param>
public readonly record struct VmServiceAnswer(VmServiceAnswerKind Kind, uint Generation, uint Epoch, VmServiceError Error)
{
    /// <summary>What a report has beside the bytes of the answer: the context id, and a byte for each fact, whose field number is longer there.</summary>
    public const int ReportBytesMore = 64 + ReportValidator.FactsMax;

    /// <summary>Writes a <c>VMServiceRequest</c> for the report.</summary>
    /// <param name="generation">The one that the caller has, of the run <paramref name="epoch"/>. 0: none.</param>
    public static void WriteQuestion(ProtoWriter writer, string requestId, uint generation, uint epoch)
    {
        var meta = writer.Begin(1);
        writer.Text(1, requestId);
        writer.Text(2, "report_v1");
        writer.End(meta);
        var method = writer.Begin(2);
        writer.Varint(1, generation);
        writer.Varint(2, epoch);
        writer.End(method);
    }

    /// <summary>Reads an answer, and makes of a report the <c>virtualmachine.v1.VMReport</c> that the guest would have pushed.</summary>
    /// <param name="response">The payload of a frame. What is in the report is not looked at: <see cref="ReportValidator"/> does.</param>
    /// <param name="vsockCid">The context id that the host knows, which the report is given. Null: none.</param>
    /// <param name="report">Gets the report. It is at most <see cref="ReportBytesMore"/> longer than the response.</param>
    public static VmServiceAnswer Read(ReadOnlySpan<byte> response, string? vsockCid, ProtoWriter report)
    {
        var (kind, generation, epoch, error) = (VmServiceAnswerKind.Malformed, 0u, 0u, VmServiceError.Unspecified);
        ReadOnlySpan<byte> meta = default;
        ReadOnlySpan<byte> index = default;
        var reader = new ProtoReader(response);
        while (reader.TryNext(out var field, out var type))
        {
            if (field > 3) continue;
            if (type != WireType.LengthDelimited) return default;
            var inner = new ProtoReader(reader.Bytes);
            switch (field)
            {
                case 1:
                    meta = reader.Bytes;
                    while (inner.TryNext(out var number, out _))
                    {
                        if (number == 3) generation = (uint)inner.Varint;
                        if (number == 6) epoch = (uint)inner.Varint;
                    }

                    break;
                case 2:
                    kind = VmServiceAnswerKind.Malformed;
                    while (inner.TryNext(out var number, out var innerType))
                    {
                        if (number == 1 && innerType != WireType.LengthDelimited) return default;
                        if (number == 1)
                        {
                            kind = VmServiceAnswerKind.Report;
                            index = inner.Bytes;
                        }

                        if (number == 2 && inner.Varint != 0 && kind != VmServiceAnswerKind.Report) kind = VmServiceAnswerKind.Unchanged;
                    }

                    break;
                default:
                    kind = VmServiceAnswerKind.Refused;
                    while (inner.TryNext(out var number, out _))
                    {
                        if (number == 1) error = (VmServiceError)(int)inner.Varint;
                    }

                    break;
            }

            if (inner.IsMalformed) return default;
        }

        if (reader.IsMalformed) return default;
        if (kind == VmServiceAnswerKind.Report) WriteReport(report, meta, index, vsockCid);
        return new VmServiceAnswer(kind, generation, epoch, error);
    }

    static void WriteReport(ProtoWriter report, ReadOnlySpan<byte> meta, ReadOnlySpan<byte> index, string? vsockCid)
    {
        var indexReport = report.Begin(1);
        if (vsockCid is not null) report.Text(1, vsockCid);
        report.Bytes(2, index, evenIfDefault: true);
        report.End(indexReport);

        // StackRox's own facts are fields of DiscoveredData in a push; all others have the same entries there.
        var discovered = report.Begin(2);
        for (var facts = new ProtoReader(meta); TryNextFact(ref facts);) WriteDiscovered(report, facts.Bytes);
        report.End(discovered);
        var written = 0;
        // One more than are allowed is enough to have the report refused.
        for (var facts = new ProtoReader(meta); written <= ReportValidator.FactsMax && TryNextFact(ref facts);)
        {
            if (IsDiscovered(NameOf(facts.Bytes, out _))) continue;
            report.Bytes(1000, facts.Bytes, evenIfDefault: true);
            written++;
        }
    }

    static bool TryNextFact(ref ProtoReader meta)
    {
        while (meta.TryNext(out var field, out var type))
        {
            if (field == 5 && type == WireType.LengthDelimited) return true;
        }

        return false;
    }

    static bool IsDiscovered(ReadOnlySpan<byte> name) =>
        name.SequenceEqual("detected_os"u8) || name.SequenceEqual("os_version"u8)
        || name.SequenceEqual("activation_status"u8) || name.SequenceEqual("dnf_metadata_status"u8);

    static void WriteDiscovered(ProtoWriter report, ReadOnlySpan<byte> fact)
    {
        var name = NameOf(fact, out var value);
        if (name.SequenceEqual("detected_os"u8) && value.SequenceEqual("RHEL"u8)) report.Varint(1, 1);
        if (name.SequenceEqual("os_version"u8)) report.Bytes(2, value);
        if (name.SequenceEqual("activation_status"u8)) report.Varint(3, value.SequenceEqual("ACTIVE"u8) ? 1u : value.SequenceEqual("INACTIVE"u8) ? 2u : 0);
        if (name.SequenceEqual("dnf_metadata_status"u8)) report.Varint(4, value.SequenceEqual("AVAILABLE"u8) ? 1u : value.SequenceEqual("UNAVAILABLE"u8) ? 2u : 0);
    }

    /// <summary>Of an entry of a map of texts.</summary>
    static ReadOnlySpan<byte> NameOf(ReadOnlySpan<byte> entry, out ReadOnlySpan<byte> value)
    {
        ReadOnlySpan<byte> name = default;
        value = default;
        var reader = new ProtoReader(entry);
        while (reader.TryNext(out var field, out _))
        {
            if (field == 1) name = reader.Bytes;
            if (field == 2) value = reader.Bytes;
        }

        return name;
    }
}
