using Google.Protobuf;
using Guestmark.Central.Storage;
using Guestmark.Events;
using Guestmark.Inventory;
using Guestmark.Wire.Reports;

namespace Guestmark.Central.Ingest;

/// <summary>An event with its data read and bounded, or with why it will never be accepted.</summary>
/// <remarks>
/// Decided from the event alone, so that an event that comes again after a broken connection is refused again, and the sender's
/// accounts stay right whether or not the first answer reached it.
/// </remarks>
sealed record DecodedEvent
{
    /// <summary>A uid in Kubernetes has 36 characters; a cell's id up to 64.</summary>
    const int SubjectLengthMax = 256;

    const int StreamLengthMax = 256;

    // Unknown fields are not kept: a body full of them would take many times its size in memory, and nothing reads them.
    static readonly MessageParser<VMReport> Reports = VMReport.Parser.WithDiscardUnknownFields(true);
    static readonly MessageParser<DeclarationBatch> Declarations = DeclarationBatch.Parser.WithDiscardUnknownFields(true);

    public required StampedEvent Event { get; init; }

    public (RefusalReason Code, string Text)? Refusal { get; private init; }

    public string Cluster { get; private init; } = "";

    public string Node { get; private init; } = "";

    /// <summary>Set for an inventory report. An event that has neither this nor <see cref="Lifecycle"/> is one of <see cref="StoredEvents.Types"/>.</summary>
    public PackageSet? Packages { get; private init; }

    /// <summary>What the report could not read, as <see cref="StoredProblems"/> writes it.</summary>
    public string Problems { get; private init; } = "";

    /// <summary>Set for a lifecycle event.</summary>
    public VmLifecycle? Lifecycle { get; private init; }

    public long TimeMilliseconds => Event.Time.ToUnixTimeMilliseconds();

    public static DecodedEvent Decode(StampedEvent stamped)
    {
        if (stamped.Position.Stream.Length > StreamLengthMax)
            return Refuse(RefusalReason.BadPosition, $"stream has {stamped.Position.Stream.Length} characters, the limit is {StreamLengthMax}");
        if (stamped.Position.Sequence is 0 or > long.MaxValue)
            return Refuse(RefusalReason.BadPosition, $"sequence {stamped.Position.Sequence} is not from 1 to {long.MaxValue}");
        if (stamped.Subject.Length > SubjectLengthMax)
            return Refuse(RefusalReason.BadAttribute, $"subject has {stamped.Subject.Length} characters, the limit is {SubjectLengthMax}");
        // source: "//" cluster "/" node "/" listener
        if (!stamped.Source.StartsWith("//", StringComparison.Ordinal) || stamped.Source[2..].Split('/', 3) is not [var cluster, var node, _])
            return Refuse(RefusalReason.BadAttribute, "source is not //cluster/node/listener");

        var decoded = new DecodedEvent { Event = stamped, Cluster = StoredText.Bound(cluster), Node = StoredText.Bound(node) };
        if (StoredEvents.Types.Contains(stamped.Type) && stamped.Data.Length > StoredEvents.DataBytesMax)
        {
            return Refuse(RefusalReason.TooLarge, $"the data of {stamped.Type} has {stamped.Data.Length} bytes, the limit is {StoredEvents.DataBytesMax}");
        }

        try
        {
            switch (stamped.Type)
            {
                case EventTypes.InventoryReport:
                    var report = Reports.ParseFrom(stamped.Data.Span);
                    var count = report.IndexReport?.IndexV4?.Contents?.Packages.Count ?? 0;
                    if (count > ReportValidator.PackagesMax)
                    {
                        return Refuse(RefusalReason.TooLarge, $"the report has {count} packages, the limit is {ReportValidator.PackagesMax}");
                    }

                    var inventory = InventoryReports.Read(report);
                    return decoded with { Packages = PackageSet.Of(inventory), Problems = StoredProblems.Of(inventory.Problems) };
                case EventTypes.VmLifecycle:
                    return decoded with { Lifecycle = VmLifecycle.Parser.ParseFrom(stamped.Data.Span) };
                case EventTypes.GuestDeclaration:
                    Declarations.ParseFrom(stamped.Data.Span);
                    break;
                case EventTypes.GuestSilenced:
                    GuestSilenced.Parser.ParseFrom(stamped.Data.Span);
                    break;
                case EventTypes.GuestRefused:
                    GuestRefused.Parser.ParseFrom(stamped.Data.Span);
                    break;
                case EventTypes.Loss:
                    EventLoss.Parser.ParseFrom(stamped.Data.Span);
                    break;
                // No message is fixed for what they carry.
                case EventTypes.FileActivity or EventTypes.SocketCalls: break;
                default:
                    return Refuse(RefusalReason.UnknownType, $"type '{StoredText.Bound(stamped.Type)}' is not known to this version of Central");
            }

            return decoded;
        }
        catch (InvalidProtocolBufferException e)
        {
            return Refuse(RefusalReason.Unreadable, $"the data of {stamped.Type} cannot be read: {e.Message}");
        }

        DecodedEvent Refuse(RefusalReason code, string text) => new() { Event = stamped, Refusal = (code, text) };
    }
}
