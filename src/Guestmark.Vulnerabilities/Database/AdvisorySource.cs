namespace Guestmark.Vulnerabilities;

/// <summary>Where documents of a database came from: what was imported under one name. A later import of that name replaces or adds to it.</summary>
/// <param name="Name">What the source is known by: <c>redhat-vex</c>, <c>osv/almalinux</c>.</param>
/// <param name="Format">The format of its documents, one of <see cref="FeedName"/>.</param>
/// <param name="Uri">The path or URL that was imported last, as the operator named it.</param>
/// <param name="Version">What tells whether there is something newer, as the server says it: an ETag, a date. Empty when nothing does.</param>
/// <param name="Documents">How many documents of it are in the database, those included that another source has in a newer version.</param>
/// <param name="Skipped">How many documents or parts of them the last import left out because they could not be read.</param>
/// <param name="Imported">When it was imported last.</param>
/// <param name="Newest">
/// How old the feed is: the newest modification time of its documents; when they have none, when the feed was made as it says itself (EPSS, KEV),
/// or last changed as its server says. Null when nothing says it.
/// </param>
public sealed record AdvisorySource(
    string Name, string Format, string Uri, string Version, int Documents, int Skipped, DateTimeOffset Imported, DateTimeOffset? Newest);
