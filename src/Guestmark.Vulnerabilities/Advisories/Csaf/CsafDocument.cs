namespace Guestmark.Vulnerabilities;

/// <summary>
/// Documents of CSAF 2.0 (https://docs.oasis-open.org/csaf/csaf/v2.0/csaf-v2.0.html), and of 2.1 where it is the same: Red Hat's VEX in both of its
/// feeds, advisories of Red Hat, SUSE and any other provider. What is made of them, and why, is in docs/reference/csaf.md.
/// </summary>
public static class CsafDocument
{
    // A reader keeps its tables from one document to the next: a feed has 50,000 documents, many of them with thousands of products.
    // One is enough, because feeds are read one document after the other; a second thread makes its own.
    static CsafReader? _idle;

    /// <summary>Gives <paramref name="sink"/> one advisory, or a withdrawal when the document is deleted.</summary>
    /// <param name="document">File, archive member or URL, for messages.</param>
    /// <remarks>
    /// A document that is no JSON, has no id or is of an unknown version is skipped as a whole; of any other, what cannot be read is skipped with its
    /// JSON path, and the rest counts.
    /// </remarks>
    public static void Read(string document, ReadOnlyMemory<byte> json, IFeedSink sink)
    {
        ArgumentNullException.ThrowIfNull(sink);
        var reader = Interlocked.Exchange(ref _idle, null) ?? new CsafReader();
        reader.Read(document, json, sink);
        if (reader.Reusable) _idle = reader;
    }
}
