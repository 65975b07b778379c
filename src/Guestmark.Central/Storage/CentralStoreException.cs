namespace Guestmark.Central.Storage;

/// <summary>Central's store cannot be used. The message names the file, what is wrong with it, and what to do.</summary>
public sealed class CentralStoreException(string message, Exception? inner = null) : Exception(message, inner);
