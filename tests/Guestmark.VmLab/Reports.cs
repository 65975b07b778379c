using Google.Protobuf;
using Guestmark.Wire.Reports;

namespace Guestmark.VmLab;

/// <summary>Reports that say what a test wants said.</summary>
static class Reports
{
    /// <param name="mark">By which the test knows the report again.</param>
    /// <param name="cid">The context id that the report claims.</param>
    public static byte[] Small(string mark, string cid = "") =>
        new VMReport { IndexReport = new IndexReport { VsockCid = cid, IndexV4 = new() { HashId = mark, Success = true } } }.ToByteArray();

    public static VMReport Read(ReadOnlyMemory<byte> bytes) => VMReport.Parser.ParseFrom(bytes.Span);
}
