namespace Guestmark.VhostUserVsock;

/// <summary>The virtual machine monitor broke the vhost-user protocol. Its connection is closed.</summary>
public sealed class VhostUserException(string message) : Exception(message);

/// <summary>A driver broke the rules of its ring. The device of its machine stops, as a real one does; no other machine notices.</summary>
public sealed class VirtqueueException(string message) : Exception(message);
