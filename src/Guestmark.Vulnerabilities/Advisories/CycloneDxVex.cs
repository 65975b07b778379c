using System.Globalization;
using System.Text.Json;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// The operator's decisions as CycloneDX 1.4 to 1.6 (https://cyclonedx.org/docs/1.6/json/): the analysis of vulnerabilities, alone or within a
/// bill of materials.
/// </summary>
/// <remarks>
/// <code>
/// bomFormat, specVersion, serialNumber
/// metadata: { timestamp, authors[].name, supplier.name, component: { bom-ref, purl, components[] } }
/// components[]: { bom-ref, purl, components[] }
/// vulnerabilities[]
///   bom-ref, id, references[].id, updated, properties[]: { name, value }
///   analysis: { state, justification, response[], detail, firstIssued, lastUpdated }
///   affects[]: { ref, versions[]: { version | range, status } }
/// </code>
/// A ref is a bom-ref of the document, a BOM-Link (<c>urn:cdx:serial/version#bom-ref</c>) whose bom-ref is a package URL, as most tools write
/// them, or a package URL itself. Scope and expiry are the vulnerability's properties <c>guestmark:scope</c> and <c>guestmark:expires</c>.
/// </remarks>
static class CycloneDxVex
{
    const int ComponentsMax = 1_000_000;
    const int ComponentDepthMax = 32;

    /// <param name="document">File, archive member or URL, for what is skipped.</param>
    /// <param name="json">The whole document.</param>
    /// <param name="sink">Gets the decisions.</param>
    /// <param name="defaults">What the importing command says for all of them.</param>
    public static void Read(string document, ReadOnlyMemory<byte> json, IFeedSink sink, DecisionDefaults? defaults = null) =>
        VexDocument.Read(document, json, sink, defaults, ReadRoot);

    static void ReadRoot(VexDocument vex, JsonElement root)
    {
        if (VexDocument.Text(root, "bomFormat") is not "CycloneDX" || VexDocument.Text(root, "specVersion") is not ("1.4" or "1.5" or "1.6"))
        {
            vex.Skip("$.specVersion", $"it is no CycloneDX of a known version (1.4, 1.5, 1.6): '{VexDocument.Text(root, "specVersion")}'");
            return;
        }

        var metadata = VexDocument.Object(root, "metadata");
        var whole = VexDocument.Object(metadata, "component");
        var components = new Dictionary<string, string?>(StringComparer.Ordinal);
        AddComponent(components, whole, 0);
        AddComponents(components, root, 0);
        var bom = new Bom(
            VexDocument.Text(root, "serialNumber") ?? "",
            VexDocument.Text(whole, "bom-ref"),
            components,
            AuthorOf(metadata),
            VexDocument.Time(metadata, "timestamp"));

        var index = 0;
        foreach (var item in VexDocument.Items(root, "vulnerabilities"))
        {
            // Vendors list vulnerabilities without an analysis, too. These decide nothing.
            var analysis = VexDocument.Object(item, "analysis");
            if (analysis.ValueKind == JsonValueKind.Object) ReadVulnerability(vex, item, analysis, bom, index);
            index++;
        }
    }

    static void ReadVulnerability(VexDocument vex, JsonElement item, JsonElement analysis, Bom bom, int index)
    {
        var number = index.ToString(CultureInfo.InvariantCulture);
        var path = $"$.vulnerabilities[{number}]";
        var state = VexDocument.Text(analysis, "state") ?? "";
        var detail = VexDocument.Text(analysis, "detail");
        var statement = new VexStatement
        {
            Path = path,
            Id = bom.Serial.Length is > 0 and <= 512 ? $"{bom.Serial}#{number}" : $"{VexDocument.Text(item, "bom-ref") ?? "urn:cdx:"}#{number}",
            StatusWord = state,
            Status = state switch
            {
                "not_affected" or "false_positive" => DecisionStatus.NotAffected,
                "exploitable" => DecisionStatus.Affected,
                "resolved" or "resolved_with_pedigree" => DecisionStatus.Fixed,
                "in_triage" => DecisionStatus.UnderInvestigation,
                _ => null,
            },
            Author = bom.Author,
            Decided = VexDocument.Time(analysis, "lastUpdated") ?? VexDocument.Time(analysis, "firstIssued")
                ?? VexDocument.Time(item, "updated") ?? bom.Time,
            // A false positive is its own reason: the vulnerability was found by mistake.
            HasImpact = !string.IsNullOrWhiteSpace(detail) || state is "false_positive",
        };

        if (VexDocument.Text(item, "id") is { } id) statement.AddName(id);
        foreach (var reference in VexDocument.Items(item, "references"))
        {
            if (VexDocument.Text(reference, "id") is { } alias) statement.AddName(alias);
        }

        var word = VexDocument.Text(analysis, "justification");
        if (!string.IsNullOrEmpty(word))
        {
            statement.Justification = JustificationOf(word);
            if (statement.Justification is null) statement.Problem = $"unknown justification '{word}'";
        }

        foreach (var property in VexDocument.Items(item, "properties"))
        {
            var name = VexDocument.Text(property, "name") ?? "";
            if (name.StartsWith("guestmark:", StringComparison.Ordinal)
                && !VexDocument.TryExtend(statement, name, VexDocument.Text(property, "value")))
            {
                statement.Problem = $"unknown property '{name}'";
            }
        }

        var affected = 0;
        foreach (var target in VexDocument.Items(item, "affects"))
        {
            AddTarget(vex, target, $"{path}.affects[{affected.ToString(CultureInfo.InvariantCulture)}]", bom, statement);
            affected++;
        }

        // The vocabulary of CycloneDX is finer than that of VEX: its own word stays readable.
        var response = VexDocument.Texts(analysis, "response");
        statement.Reason = VexDocument.Join(
            detail,
            string.IsNullOrEmpty(word) || word is "code_not_present" or "code_not_reachable" ? null : $"justification: {word}",
            response.Count > 0 ? $"response: {string.Join(", ", response)}" : null);
        vex.Decide(statement);
    }

    static void AddTarget(VexDocument vex, JsonElement target, string path, Bom bom, VexStatement statement)
    {
        var reference = VexDocument.Text(target, "ref") ?? "";
        if (reference.Length > 0 && reference == bom.WholeReference && bom.Components.GetValueOrDefault(reference) is null)
        {
            // The subject of the whole document: an operating system, a machine, an application made of packages.
            statement.IsWhole = true;
            statement.IsComponent = true;
            return;
        }

        if (Resolve(reference, bom) is not { } purl)
        {
            vex.Skip(path, $"ref '{reference}' names no component with a package URL");
            return;
        }

        var versions = 0;
        foreach (var version in VexDocument.Items(target, "versions"))
        {
            versions++;
            // "affected" is the default. A statement that quiets is for the versions that are not.
            var status = VexDocument.Text(version, "status") ?? "affected";
            var unaffected = status is "unaffected";
            if (unaffected != statement.Status is DecisionStatus.NotAffected or DecisionStatus.Fixed) continue;
            if (VexDocument.Text(version, "version") is not { Length: > 0 } text)
            {
                vex.Skip(path, "a range of versions cannot be compared: list the versions");
                continue;
            }

            statement.Products.Add(WithVersion(purl, text));
        }

        if (versions == 0) statement.Products.Add(purl);
    }

    /// <summary>The package URL with a version, where it has none of its own.</summary>
    static string WithVersion(string purl, string version)
    {
        var end = purl.AsSpan().IndexOfAny('?', '#');
        if (end < 0) end = purl.Length;
        var path = purl.AsSpan(0, end);
        return path.LastIndexOf('@') > path.LastIndexOf('/') ? purl : $"{path}@{Uri.EscapeDataString(version)}{purl.AsSpan(end)}";
    }

    static string? Resolve(string reference, Bom bom)
    {
        if (bom.Components.TryGetValue(reference, out var purl)) return purl;
        if (reference.StartsWith("pkg:", StringComparison.Ordinal)) return reference;
        if (!reference.StartsWith("urn:cdx:", StringComparison.Ordinal)) return null;
        var hash = reference.IndexOf('#');
        if (hash < 0) return null;
        var inner = Uri.UnescapeDataString(reference.AsSpan(hash + 1));
        var target = reference.AsSpan("urn:cdx:".Length, hash - "urn:cdx:".Length);
        var isOwn = bom.Serial.StartsWith("urn:uuid:", StringComparison.Ordinal)
            && target.StartsWith(bom.Serial.AsSpan("urn:uuid:".Length), StringComparison.OrdinalIgnoreCase);
        return isOwn && bom.Components.TryGetValue(inner, out purl) ? purl : inner.StartsWith("pkg:", StringComparison.Ordinal) ? inner : null;
    }

    static void AddComponents(Dictionary<string, string?> components, JsonElement parent, int depth)
    {
        if (depth > ComponentDepthMax) return;
        foreach (var component in VexDocument.Items(parent, "components")) AddComponent(components, component, depth + 1);
    }

    static void AddComponent(Dictionary<string, string?> components, JsonElement component, int depth)
    {
        if (components.Count >= ComponentsMax) return;
        if (VexDocument.Text(component, "bom-ref") is { } reference) components.TryAdd(reference, VexDocument.Text(component, "purl"));
        AddComponents(components, component, depth);
    }

    static string AuthorOf(JsonElement metadata)
    {
        foreach (var author in VexDocument.Items(metadata, "authors"))
        {
            if ((VexDocument.Text(author, "name") ?? VexDocument.Text(author, "email")) is { Length: > 0 } name) return name;
        }

        return VexDocument.Text(VexDocument.Object(metadata, "manufacturer"), "name")
            ?? VexDocument.Text(VexDocument.Object(metadata, "supplier"), "name") ?? "";
    }

    /// <summary>The labels of VEX for those of CycloneDX.</summary>
    static string? JustificationOf(string word) => word switch
    {
        "code_not_present" => "vulnerable_code_not_present",
        "code_not_reachable" => "vulnerable_code_not_in_execute_path",
        "requires_configuration" or "requires_dependency" or "requires_environment" => "vulnerable_code_cannot_be_controlled_by_adversary",
        "protected_by_compiler" or "protected_at_runtime" or "protected_at_perimeter" or "protected_by_mitigating_control" =>
            "inline_mitigations_already_exist",
        _ => null,
    };

    /// <param name="Serial">The document's serial number, which its decisions are named after.</param>
    /// <param name="WholeReference">bom-ref of the document's subject.</param>
    /// <param name="Components">Package URLs by bom-ref.</param>
    /// <param name="Author"></param>
    /// <param name="Time">Of the document.</param>
    sealed record Bom(string Serial, string? WholeReference, Dictionary<string, string?> Components, string Author, DateTimeOffset? Time);
}
