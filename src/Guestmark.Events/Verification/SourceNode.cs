namespace Guestmark.Events.Verification;

/// <summary>Which node an event says it is of.</summary>
static class SourceNode
{
    /// <summary><c>//cluster/node</c> of a source <c>//cluster/node/guest</c>; all of a source of another form.</summary>
    public static string Of(string source)
    {
        if (!source.StartsWith("//", StringComparison.Ordinal)) return source;
        var node = source.IndexOf('/', 2) + 1;
        var end = node == 0 ? -1 : source.IndexOf('/', node);
        return end < 0 ? source : source[..end];
    }
}
