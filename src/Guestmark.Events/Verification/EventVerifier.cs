using Guestmark.Events.Signing;

namespace Guestmark.Events.Verification;

/// <summary>What a signature says.</summary>
public enum SignatureStatus
{
    /// <summary>Attributes and data are as the holder of the key signed them.</summary>
    Verified,

    /// <summary>There is neither a signature nor the name of a key. Not a lesser kind of right: whoever can change an event can strip it.</summary>
    Unsigned,

    /// <summary>It may be right: the verifier does not have the key.</summary>
    UnknownKey,

    /// <summary>The key is there, but good for events of another node only.</summary>
    OtherNode,

    /// <summary>The event is not what was signed, or half of its signature is missing.</summary>
    BadSignature,
}

/// <summary>Checks signatures of events with the keys that its owner trusts. Not for concurrent use.</summary>
public sealed class EventVerifier(VerificationKeys keys)
{
    public SignatureStatus Verify(StampedEvent stamped)
    {
        var signature = stamped.Signature.Span;
        if (signature.IsEmpty && stamped.KeyId is null) return SignatureStatus.Unsigned;
        if (signature.IsEmpty || stamped.KeyId is null) return SignatureStatus.BadSignature;
        if (keys.Find(stamped.KeyId, stamped.Source) is not { } key)
            return keys.IsOfAnotherNode(stamped.KeyId) ? SignatureStatus.OtherNode : SignatureStatus.UnknownKey;
        Span<byte> message = stackalloc byte[EventDigest.MessageBytes];
        EventDigest.Compute(stamped, EventDigest.BeginMessage(message));
        return key.Verify(message, signature) ? SignatureStatus.Verified : SignatureStatus.BadSignature;
    }
}
