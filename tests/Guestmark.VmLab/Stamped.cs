using Guestmark.Events;

namespace Guestmark.VmLab;

/// <summary>What tests look for in events.</summary>
static class Stamped
{
    public static bool IsReport(this StampedEvent e, string mark) => e.Mark() == mark;

    /// <summary>The mark of <see cref="Reports.Small"/>; empty where it is none.</summary>
    public static string Mark(this StampedEvent e) =>
        e.Type != EventTypes.InventoryReport ? "" : Reports.Read(e.Data).IndexReport.IndexV4?.HashId ?? "";

    /// <summary>Whether it is an agent's report with this package.</summary>
    public static bool HasPackage(this StampedEvent e, string package) =>
        e.Type == EventTypes.InventoryReport && (Reports.Read(e.Data).IndexReport.IndexV4?.Contents?.Packages.Values.Any(p => p.Name == package) ?? false);

    public static GuestRefused? Refusal(this StampedEvent e) => e.Type == EventTypes.GuestRefused ? GuestRefused.Parser.ParseFrom(e.Data.Span) : null;

    /// <summary>What a cell's agent declared; empty where it is something else.</summary>
    public static IEnumerable<Declaration> Declarations(this StampedEvent e) =>
        e.Type == EventTypes.GuestDeclaration ? DeclarationBatch.Parser.ParseFrom(e.Data.Span).Declarations : [];
}
