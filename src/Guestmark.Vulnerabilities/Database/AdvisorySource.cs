namespace Guestmark.Vulnerabilities;

/// <summary>One import that a database was built from.</summary>
/// <param name="Name">The format: <c>osv</c>.</param>
/// <param name="Path">The file or folder that was imported, as the operator named it.</param>
/// <param name="Advisories">How many documents of it were given to the database.</param>
/// <param name="NewestModified">The newest modification time of its documents: how old the feed is.</param>
public sealed record AdvisorySource(string Name, string Path, int Advisories, DateTimeOffset? NewestModified);
