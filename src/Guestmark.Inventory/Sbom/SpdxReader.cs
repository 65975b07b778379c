using System.Text.Json;

namespace Guestmark.Inventory.Sbom;

/// <summary>Reads the packages of an SPDX 2.3 document (https://spdx.github.io/spdx-spec/v2.3/).</summary>
/// <remarks>
/// <code>
/// {"comment":"…","packages":[{"name":"…","versionInfo":"…","supplier":"Organization: …","primaryPackagePurpose":"OPERATING-SYSTEM","summary":"…",
///   "licenseDeclared":"…","sourceInfo":"…","externalRefs":[{"referenceType":"purl|cpe22Type|cpe23Type","referenceLocator":"…"}]},…]}
/// </code>
/// </remarks>
static class SpdxReader
{
    /// <param name="json">At the start of the document's object; ends at its end.</param>
    /// <returns>What is wrong; null on success.</returns>
    public static string? Read(ref Utf8JsonReader json, SbomPackages packages)
    {
        while (json.NextProperty())
        {
            if (json.ValueTextEquals("packages"u8))
            {
                if (!json.EnterArray()) return "$.packages is no array";
                while (json.NextObject()) packages.Add(ReadPackage(ref json));
            }
            else if (json.ValueTextEquals("comment"u8))
            {
                // What Spdx writes.
                const string incomplete = "Incomplete: ";
                if (json.ReadText() is { } comment && comment.StartsWith(incomplete, StringComparison.Ordinal)) packages.AddFact("guestmark:problem", comment[incomplete.Length..]);
            }
            else
            {
                json.SkipValue();
            }
        }

        return null;
    }

    static SbomEntry ReadPackage(ref Utf8JsonReader json)
    {
        var entry = new SbomEntry { Type = "library" };
        while (json.NextProperty())
        {
            if (json.ValueTextEquals("name"u8)) entry.Name = json.ReadText() ?? "";
            else if (json.ValueTextEquals("versionInfo"u8)) entry.Version = Asserted(json.ReadText()) ?? "";
            else if (json.ValueTextEquals("summary"u8)) entry.Description = json.ReadText() ?? "";
            else if (json.ValueTextEquals("supplier"u8)) entry.Supplier = NameOf(json.ReadText());
            else if (json.ValueTextEquals("originator"u8)) entry.Publisher = NameOf(json.ReadText());
            else if (json.ValueTextEquals("licenseDeclared"u8)) entry.SetLicense(Asserted(json.ReadText()));
            else if (json.ValueTextEquals("sourceInfo"u8)) ReadSourceInfo(json.ReadText() ?? "", entry);
            else if (json.ValueTextEquals("primaryPackagePurpose"u8)) entry.Type = TypeOf(json.ReadText());
            else if (json.ValueTextEquals("externalRefs"u8)) ReadReferences(ref json, entry);
            else json.SkipValue();
        }

        return entry;
    }

    static void ReadReferences(ref Utf8JsonReader json, SbomEntry entry)
    {
        if (!json.EnterArray()) return;
        while (json.NextObject())
        {
            var (type, locator) = ("", "");
            while (json.NextProperty())
            {
                if (json.ValueTextEquals("referenceType"u8)) type = json.ReadText() ?? "";
                else if (json.ValueTextEquals("referenceLocator"u8)) locator = json.ReadText() ?? "";
                else json.SkipValue();
            }

            // Red Hat names one URL for each repository that has the package.
            if (type == "purl" && PackageUrl.TryParse(locator)?.Qualifier("repository_id") is { } repository) entry.RepositoryIds.Add(repository);
            if (type == "purl") entry.Purl ??= locator;
            // The same names once more as cpe23Type.
            else if (type == "cpe22Type") entry.Cpes.Add(locator);
        }
    }

    /// <summary><c>found in DATABASE; built from SOURCE; from repository ID by EVIDENCE</c>, as Spdx writes it; anybody else's text says nothing.</summary>
    static void ReadSourceInfo(string text, SbomEntry entry)
    {
        const string found = "found in ";
        const string repository = "from repository ";
        if (!text.StartsWith(found, StringComparison.Ordinal)) return;
        foreach (var range in text.AsSpan().Split("; "))
        {
            var part = text.AsSpan()[range];
            if (part.StartsWith(found, StringComparison.Ordinal))
            {
                entry.SetProperty("guestmark:database", part[found.Length..].ToString());
            }
            else if (part.StartsWith(repository, StringComparison.Ordinal))
            {
                part = part[repository.Length..];
                var by = part.LastIndexOf(" by ");
                entry.SetProperty("guestmark:repository:id", (by < 0 ? part : part[..by]).ToString());
                if (by >= 0) entry.SetProperty("guestmark:repository:evidence", part[(by + 4)..].ToString());
            }
        }
    }

    static string TypeOf(string? purpose) => purpose switch
    {
        "OPERATING-SYSTEM" => SbomEntry.OperatingSystem,
        "FILE" => SbomEntry.File,
        _ => "library",
    };

    static string? Asserted(string? text) => text is "NOASSERTION" or "NONE" ? null : text;

    /// <summary>The name in <c>Organization: NAME</c> and <c>Person: NAME (address)</c>.</summary>
    static string? NameOf(string? actor)
    {
        actor = Asserted(actor);
        var colon = actor?.IndexOf(": ", StringComparison.Ordinal) ?? -1;
        return colon < 0 ? actor : actor![(colon + 2)..];
    }
}
