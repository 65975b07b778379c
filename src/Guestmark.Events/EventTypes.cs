namespace Guestmark.Events;

/// <summary>Values of a CloudEvent's <c>type</c>. They are persisted: add, never change.</summary>
public static class EventTypes
{
    /// <summary>Data: a <c>virtualmachine.v1.VMReport</c>, byte for byte as the guest sent it.</summary>
    public const string InventoryReport = "dev.guestmark.inventory.report.v1";

    /// <summary>Data: a <see cref="DeclarationBatch"/>.</summary>
    public const string GuestDeclaration = "dev.guestmark.guest.declaration.v1";

    /// <summary>Data: a <see cref="Events.GuestSilenced"/>.</summary>
    public const string GuestSilenced = "dev.guestmark.guest.silenced.v1";

    /// <summary>Data: a <see cref="Events.GuestRefused"/>.</summary>
    public const string GuestRefused = "dev.guestmark.guest.refused.v1";

    /// <summary>Data: an <see cref="EventLoss"/>.</summary>
    public const string Loss = "dev.guestmark.loss.v1";

    /// <summary>Data: a <see cref="VmLifecycle"/>.</summary>
    public const string VmLifecycle = "dev.guestmark.vm.lifecycle.v1";

    /// <summary>Activity on files, in batches. Of <see cref="EventClass.Shed"/>.</summary>
    public const string FileActivity = "dev.guestmark.file.activity.v1";

    /// <summary>Calls over Unix sockets, counted. Of <see cref="EventClass.Shed"/>.</summary>
    public const string SocketCalls = "dev.guestmark.socket.calls.v1";

    /// <summary>What becomes of events of a type when there is no room for them.</summary>
    public static EventClass ClassOf(string type) => type is FileActivity or SocketCalls ? EventClass.Shed : EventClass.Keep;
}
