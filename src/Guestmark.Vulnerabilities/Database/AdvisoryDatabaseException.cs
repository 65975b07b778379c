namespace Guestmark.Vulnerabilities;

/// <summary>A database file that cannot be used. The message names the file and what is wrong with it.</summary>
public sealed class AdvisoryDatabaseException : Exception
{
    public AdvisoryDatabaseException(string message)
        : base(message)
    {
    }

    public AdvisoryDatabaseException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
