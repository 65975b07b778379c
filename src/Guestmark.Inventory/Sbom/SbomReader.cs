using System.Text.Json;
using Guestmark.Inventory.Repositories;

namespace Guestmark.Inventory.Sbom;

/// <summary>Reads software bills of materials that any program wrote: CycloneDX and SPDX, both in JSON.</summary>
/// <remarks>docs/reference/sbom.md says what is taken from where.</remarks>
public static class SbomReader
{
    /// <summary>Documents are read as a whole; one of 20,000 packages with all that tools say of them has 60 MB.</summary>
    public const int BytesMax = 256 << 20;

    /// <summary>Nothing of these formats is nested deeper than a few components within components.</summary>
    const int DepthMax = 64;

    /// <param name="mapping">Red Hat's list of repositories, for packages whose URL names one. Null: the CPEs of the operating system are used.</param>
    /// <param name="error">What is wrong, for a person, without the document's name; null on success. It may hold text of the document.</param>
    /// <returns>Null when there is an error.</returns>
    public static SbomDocument? TryRead(ReadOnlySpan<byte> document, RepositoryToCpe? mapping, out string? error)
    {
        if (document.StartsWith("\uFEFF"u8)) document = document[3..];
        error = Foreign(document);
        if (error is not null) return null;
        try
        {
            var options = new JsonReaderOptions { MaxDepth = DepthMax };
            var format = FormatOf(new Utf8JsonReader(document, options), out error);
            if (format is null) return null;
            var packages = new SbomPackages();
            var json = new Utf8JsonReader(document, options);
            json.Read();
            error = format.StartsWith("SPDX", StringComparison.Ordinal) ? SpdxReader.Read(ref json, packages) : CycloneDxReader.Read(ref json, packages);
            if (error is not null) return null;
            // What follows the document makes it none.
            json.Read();
            return packages.ToDocument(format, mapping, out error);
        }
        catch (JsonException e)
        {
            error = $"is no JSON: {e.Message}";
            return null;
        }
        catch (InvalidOperationException)
        {
            // Utf8JsonReader's word for text that is no UTF-8, or half of a surrogate pair.
            error = "has text that is no Unicode";
            return null;
        }
    }

    /// <summary>What a document that is not JSON seems to be.</summary>
    static string? Foreign(ReadOnlySpan<byte> document)
    {
        var start = document.TrimStart(" \t\r\n"u8);
        if (start.IsEmpty) return "is empty";
        if (start[0] == '{') return null;
        return start[0] == '<' ? "is XML: write it as JSON, which every tool for SBOMs can"
            : start.StartsWith("SPDXVersion:"u8) ? "is SPDX as tags and values: write it as JSON"
            : "is no JSON object: expected CycloneDX or SPDX in JSON";
    }

    static string? FormatOf(Utf8JsonReader json, out string? error)
    {
        string? bomFormat = null;
        string? specVersion = null;
        string? spdxVersion = null;
        var isLinkedData = false;
        json.Read();
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (json.ValueTextEquals("bomFormat"u8)) bomFormat = json.ReadText();
            else if (json.ValueTextEquals("specVersion"u8)) specVersion = json.ReadText();
            else if (json.ValueTextEquals("spdxVersion"u8)) spdxVersion = json.ReadText();
            else
            {
                isLinkedData |= json.ValueTextEquals("@context"u8);
                json.SkipValue();
            }
        }

        error = (bomFormat, spdxVersion) switch
        {
            (null, null) when isLinkedData => "looks like SPDX 3: write it as SPDX 2.3 or CycloneDX",
            (null, null) => "has neither bomFormat nor spdxVersion: it is no CycloneDX and no SPDX document",
            (null, "SPDX-2.2" or "SPDX-2.3") => null,
            (null, _) => $"$.spdxVersion is '{GuestText.Quote(spdxVersion)}': this program reads SPDX-2.2 and SPDX-2.3",
            ("CycloneDX", _) when specVersion is "1.2" or "1.3" or "1.4" or "1.5" or "1.6" or "1.7" => null,
            ("CycloneDX", _) => $"$.specVersion is '{GuestText.Quote(specVersion ?? "")}': this program reads CycloneDX 1.2 to 1.7",
            _ => $"$.bomFormat is '{GuestText.Quote(bomFormat)}' and not CycloneDX",
        };
        return error is not null ? null : bomFormat is null ? spdxVersion!.Replace('-', ' ') : $"CycloneDX {specVersion}";
    }
}

/// <summary>What a software bill of materials says is installed.</summary>
/// <param name="Format">With its version: <c>CycloneDX 1.6</c>, <c>SPDX 2.3</c>.</param>
/// <param name="Inventory">Its packages. The operating system is <see cref="OsRelease.Unknown"/> when the document does not tell.</param>
/// <param name="LeftOut">What of the document is no package that advisories could be about, by reason.</param>
public sealed record SbomDocument(string Format, GuestInventory Inventory, IReadOnlyList<SbomLeftOut> LeftOut);

/// <summary>Components that are no package of the inventory.</summary>
/// <param name="Reason">For a person: <c>without a package URL</c>, <c>packages of type cargo</c>.</param>
/// <param name="Names">The first of them, as the document names them: not escaped for a terminal.</param>
public sealed record SbomLeftOut(string Reason, int Count, IReadOnlyList<string> Names);
