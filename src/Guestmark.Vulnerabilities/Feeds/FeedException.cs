namespace Guestmark.Vulnerabilities;

/// <summary>A feed that is refused as a whole. The message names it, what is wrong with it and what helps. What was imported before stays.</summary>
public sealed class FeedException : Exception
{
    public FeedException(string message)
        : base(message)
    {
    }

    public FeedException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
