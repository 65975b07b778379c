namespace Guestmark.Events;

/// <summary>What becomes of an event when there is no room for it.</summary>
public enum EventClass
{
    /// <summary>It is not taken: the sender is told and keeps it. Reports, declarations, lifecycle, refusals, silences.</summary>
    Keep,

    /// <summary>The oldest of its class give way and are counted, and a loss event says which. Activity.</summary>
    Shed,
}
