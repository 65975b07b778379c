namespace Guestmark.Events.Signing;

/// <summary>Signs what the host stamps. One key at a time; safe for concurrent use.</summary>
public abstract class EventSigner : IDisposable
{
    /// <summary>Attribute <c>keyid</c>: tells a verifier which key to use.</summary>
    public abstract string KeyId { get; }

    /// <summary>Most bytes that <see cref="Sign"/> writes.</summary>
    public abstract int SignatureBytesMax { get; }

    /// <summary>Signs a message (not a digest of it).</summary>
    /// <param name="destination">At least <see cref="SignatureBytesMax"/> bytes.</param>
    /// <returns>Bytes of the signature.</returns>
    public abstract int Sign(ReadOnlySpan<byte> message, Span<byte> destination);

    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    protected abstract void Dispose(bool disposing);
}
