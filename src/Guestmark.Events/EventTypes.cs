namespace Guestmark.Events;

/// <summary>Values of a CloudEvent's <c>type</c>. They are persisted: add, never change.</summary>
public static class EventTypes
{
    /// <summary>Data: a <c>virtualmachine.v1.VMReport</c>, byte for byte as the guest sent it.</summary>
    public const string InventoryReport = "dev.guestmark.inventory.report.v1";

    /// <summary>Data: a <see cref="VmLifecycle"/>.</summary>
    public const string VmLifecycle = "dev.guestmark.vm.lifecycle.v1";
}
