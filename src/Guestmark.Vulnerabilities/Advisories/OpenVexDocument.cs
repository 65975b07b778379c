using System.Globalization;
using System.Text.Json;

namespace Guestmark.Vulnerabilities;

/// <summary>The operator's decisions as OpenVEX 0.2.0 or 0.0.1 (https://github.com/openvex/spec/blob/main/OPENVEX-SPEC.md).</summary>
/// <remarks>
/// <code>
/// @context, @id, author, timestamp, last_updated, version
/// statements[]
///   @id, timestamp, last_updated
///   vulnerability: { name, aliases[] }           0.0.1: a text
///   products[]: { @id, identifiers.purl,         0.0.1: a text
///                 subcomponents[]: { @id, identifiers.purl } }
///   subcomponents[]                              0.0.1: texts
///   status: not_affected | affected | fixed | under_investigation
///   status_notes, justification, impact_statement, action_statement
/// </code>
/// The schema permits no members of others, so scope and expiry are lines of status_notes: <c>guestmark:scope prod/web-*</c>,
/// <c>guestmark:expires 2027-01-01</c>.
/// </remarks>
static class OpenVexDocument
{
    const string Context = "https://openvex.dev/ns";

    /// <param name="document">File, archive member or URL, for what is skipped.</param>
    /// <param name="json">The whole document.</param>
    /// <param name="sink">Gets the decisions.</param>
    /// <param name="defaults">What the importing command says for all of them.</param>
    public static void Read(string document, ReadOnlyMemory<byte> json, IFeedSink sink, DecisionDefaults? defaults = null) =>
        VexDocument.Read(document, json, sink, defaults, ReadRoot);

    static void ReadRoot(VexDocument vex, JsonElement root)
    {
        var context = VexDocument.Text(root, "@context") ?? "";
        if (context is not (Context or $"{Context}/v0.2.0" or $"{Context}/v0.0.1"))
        {
            vex.Skip("$['@context']", $"it is no OpenVEX of a known version (0.2.0, 0.0.1): '{context}'");
            return;
        }

        var id = VexDocument.Text(root, "@id") ?? "";
        if (id.Length is 0 or > 512)
        {
            vex.Skip("$['@id']", $"the document's id has {id.Length} characters, not 1 to 512");
            return;
        }

        var author = VexDocument.Text(root, "author") ?? "";
        // Not last_updated: then a change of one statement would make all the others later than what was decided since.
        var time = VexDocument.Time(root, "timestamp");
        var index = 0;
        foreach (var item in VexDocument.Items(root, "statements"))
        {
            var number = index.ToString(CultureInfo.InvariantCulture);
            vex.Decide(ReadStatement(item, $"$.statements[{number}]", $"{id}#{number}", author, time));
            index++;
        }

        if (index == 0) vex.Skip("$.statements", "there are none");
    }

    static VexStatement ReadStatement(JsonElement item, string path, string id, string author, DateTimeOffset? time)
    {
        var status = VexDocument.Text(item, "status") ?? "";
        var impact = VexDocument.Text(item, "impact_statement");
        var statement = new VexStatement
        {
            Path = path,
            Id = VexDocument.Text(item, "@id") is { Length: > 0 and <= 512 } own ? own : id,
            StatusWord = status,
            Status = status switch
            {
                "not_affected" => DecisionStatus.NotAffected,
                "affected" => DecisionStatus.Affected,
                "fixed" => DecisionStatus.Fixed,
                "under_investigation" => DecisionStatus.UnderInvestigation,
                _ => null,
            },
            Author = author,
            // A time of the statement overrides the document's.
            Decided = VexDocument.Time(item, "last_updated") ?? VexDocument.Time(item, "timestamp") ?? time,
            HasImpact = !string.IsNullOrWhiteSpace(impact),
        };

        var justification = VexDocument.Text(item, "justification");
        if (VexDocument.IsJustification(justification)) statement.Justification = justification;
        else if (!string.IsNullOrEmpty(justification)) statement.Problem = $"unknown justification '{justification}'";

        ReadVulnerability(item, statement);
        var parts = VexDocument.Texts(item, "subcomponents");
        foreach (var product in VexDocument.Items(item, "products"))
        {
            var components = 0;
            foreach (var component in VexDocument.Items(product, "subcomponents"))
            {
                statement.Products.Add(IdentifierOf(component));
                components++;
            }

            if (components > 0 || parts.Count > 0) statement.IsComponent = true;
            else statement.Products.Add(IdentifierOf(product));
        }

        if (statement.IsComponent) statement.Products.AddRange(parts);
        var notes = Notes(VexDocument.Text(item, "status_notes"), statement);
        statement.Reason = VexDocument.Join(impact, VexDocument.Text(item, "action_statement"), notes);
        return statement;
    }

    static void ReadVulnerability(JsonElement item, VexStatement statement)
    {
        if (VexDocument.Text(item, "vulnerability") is { } name)
        {
            statement.AddName(name);
            return;
        }

        var vulnerability = VexDocument.Object(item, "vulnerability");
        // The name is what 0.2.0 asks for; some writers have only the id.
        if ((VexDocument.Text(vulnerability, "name") ?? VexDocument.Text(vulnerability, "@id")) is { } named) statement.AddName(named);
        foreach (var alias in VexDocument.Texts(vulnerability, "aliases")) statement.AddName(alias);
    }

    static string IdentifierOf(JsonElement component)
    {
        if (component.ValueKind == JsonValueKind.String) return component.GetString()!;
        return VexDocument.Text(VexDocument.Object(component, "identifiers"), "purl") ?? VexDocument.Text(component, "@id") ?? "";
    }

    /// <summary>The notes without the lines that are for us.</summary>
    static string? Notes(string? notes, VexStatement statement)
    {
        if (notes is null || !notes.Contains(VexDocument.WordPrefix, StringComparison.OrdinalIgnoreCase)) return notes;
        var rest = new List<string>();
        foreach (var line in notes.Split('\n'))
        {
            var text = line.AsSpan().Trim();
            if (!text.StartsWith(VexDocument.WordPrefix, StringComparison.OrdinalIgnoreCase))
            {
                rest.Add(line);
                continue;
            }

            // "guestmark:scope prod/*", and what many write instead, "guestmark:scope: prod/*".
            var end = text[VexDocument.WordPrefix.Length..].IndexOfAny(' ', '\t', ':');
            var word = end < 0 ? text : text[..(VexDocument.WordPrefix.Length + end)];
            var value = text[word.Length..].Trim();
            if (value.StartsWith(':')) value = value[1..].Trim();
            // A misspelt word would leave out what it restricts.
            if (value.IsEmpty || !VexDocument.TryExtend(statement, word, value))
            {
                statement.Problem = $"unknown line in status_notes: '{(text.Length > 200 ? text[..200] : text)}': "
                    + $"write '{VexDocument.ScopeWord} PATTERN', as in '{VexDocument.ScopeWord} prod/web-*', or '{VexDocument.ExpiresWord} 2027-01-31'";
            }
        }

        return string.Join('\n', rest);
    }
}
