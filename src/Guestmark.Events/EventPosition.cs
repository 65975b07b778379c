namespace Guestmark.Events;

/// <summary>
/// Where an event stands: <paramref name="Sequence"/> counts up from 1 without a gap within <paramref name="Stream"/>,
/// which is one start of one node and one class of events. A receiver that has stored n of a stream has stored all up to n.
/// </summary>
public readonly record struct EventPosition(string Stream, ulong Sequence);
