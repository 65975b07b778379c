using System.Text.Json;

namespace Guestmark.Inventory.Sbom;

/// <summary>Reads the components of a CycloneDX document (https://cyclonedx.org/docs/1.6/json/).</summary>
/// <remarks>
/// <code>
/// {"metadata":{"component":COMPONENT,"properties":[…]},"components":[COMPONENT,…]}
/// COMPONENT = {"type":"library","group":"…","name":"…","version":"…","purl":"pkg:…","supplier":{"name":"…"},"publisher":"…","licenses":[…],
///              "properties":[{"name":"…","value":"…"}],"evidence":{"identity":[{"field":"purl|cpe","concludedValue":"…"}]},"components":[COMPONENT,…]}
/// </code>
/// </remarks>
static class CycloneDxReader
{
    /// <param name="json">At the start of the document's object; ends at its end.</param>
    /// <returns>What is wrong; null on success.</returns>
    public static string? Read(ref Utf8JsonReader json, SbomPackages packages)
    {
        while (json.NextProperty())
        {
            if (json.ValueTextEquals("metadata"u8))
            {
                ReadMetadata(ref json, packages);
            }
            else if (json.ValueTextEquals("components"u8))
            {
                if (!json.EnterArray()) return "$.components is no array";
                ReadComponents(ref json, packages);
            }
            else
            {
                json.SkipValue();
            }
        }

        return null;
    }

    static void ReadMetadata(ref Utf8JsonReader json, SbomPackages packages)
    {
        if (!json.EnterObject()) return;
        while (json.NextProperty())
        {
            if (json.ValueTextEquals("component"u8))
            {
                if (json.EnterObject()) packages.AddSubject(ReadComponent(ref json, packages));
            }
            else if (json.ValueTextEquals("properties"u8))
            {
                if (!json.EnterArray()) continue;
                while (json.NextObject())
                {
                    var (name, value) = ReadProperty(ref json);
                    packages.AddFact(name, value);
                }
            }
            else
            {
                json.SkipValue();
            }
        }
    }

    static void ReadComponents(ref Utf8JsonReader json, SbomPackages packages)
    {
        while (json.NextObject()) packages.Add(ReadComponent(ref json, packages));
    }

    // As deep as the reader lets documents be.
    static SbomEntry ReadComponent(ref Utf8JsonReader json, SbomPackages packages)
    {
        var entry = new SbomEntry();
        while (json.NextProperty())
        {
            if (json.ValueTextEquals("type"u8)) entry.Type = json.ReadText() ?? "";
            else if (json.ValueTextEquals("group"u8)) entry.Group = json.ReadText() ?? "";
            else if (json.ValueTextEquals("name"u8)) entry.Name = json.ReadText() ?? "";
            else if (json.ValueTextEquals("version"u8)) entry.Version = json.ReadText() ?? "";
            else if (json.ValueTextEquals("description"u8)) entry.Description = json.ReadText() ?? "";
            else if (json.ValueTextEquals("purl"u8)) entry.Purl = json.ReadText();
            else if (json.ValueTextEquals("cpe"u8)) entry.Cpes.Add(json.ReadText() ?? "");
            else if (json.ValueTextEquals("publisher"u8)) entry.Publisher = json.ReadText();
            else if (json.ValueTextEquals("supplier"u8)) ReadSupplier(ref json, entry);
            else if (json.ValueTextEquals("licenses"u8)) ReadLicenses(ref json, entry);
            else if (json.ValueTextEquals("evidence"u8)) ReadEvidence(ref json, entry);
            else if (json.ValueTextEquals("properties"u8)) ReadProperties(ref json, entry);
            else if (json.ValueTextEquals("components"u8)) ReadNested(ref json, packages);
            else json.SkipValue();
        }

        return entry;
    }

    static void ReadNested(ref Utf8JsonReader json, SbomPackages packages)
    {
        if (json.EnterArray()) ReadComponents(ref json, packages);
    }

    static void ReadSupplier(ref Utf8JsonReader json, SbomEntry entry)
    {
        if (!json.EnterObject()) return;
        while (json.NextProperty())
        {
            if (json.ValueTextEquals("name"u8)) entry.Supplier = json.ReadText();
            else json.SkipValue();
        }
    }

    static void ReadLicenses(ref Utf8JsonReader json, SbomEntry entry)
    {
        if (!json.EnterArray()) return;
        while (json.NextObject())
        {
            while (json.NextProperty())
            {
                if (json.ValueTextEquals("expression"u8))
                {
                    entry.SetLicense(json.ReadText());
                }
                else if (json.ValueTextEquals("license"u8))
                {
                    if (!json.EnterObject()) continue;
                    while (json.NextProperty())
                    {
                        if (json.ValueTextEquals("id"u8) || json.ValueTextEquals("name"u8)) entry.SetLicense(json.ReadText());
                        else json.SkipValue();
                    }
                }
                else
                {
                    json.SkipValue();
                }
            }
        }
    }

    static void ReadEvidence(ref Utf8JsonReader json, SbomEntry entry)
    {
        if (!json.EnterObject()) return;
        while (json.NextProperty())
        {
            if (!json.ValueTextEquals("identity"u8))
            {
                json.SkipValue();
                continue;
            }

            // A list since 1.6, one object in 1.5.
            json.Read();
            if (json.TokenType == JsonTokenType.StartObject) ReadIdentity(ref json, entry);
            else if (json.TokenType == JsonTokenType.StartArray) while (json.NextObject()) ReadIdentity(ref json, entry);
        }
    }

    static void ReadIdentity(ref Utf8JsonReader json, SbomEntry entry)
    {
        var (field, value) = ("", "");
        while (json.NextProperty())
        {
            if (json.ValueTextEquals("field"u8)) field = json.ReadText() ?? "";
            else if (json.ValueTextEquals("concludedValue"u8)) value = json.ReadText() ?? "";
            else json.SkipValue();
        }

        if (field == "cpe") entry.Cpes.Add(value);
        // Red Hat names the repositories that have a package so.
        else if (field == "purl" && PackageUrl.TryParse(value)?.Qualifier("repository_id") is { } repository) entry.RepositoryIds.Add(repository);
    }

    static void ReadProperties(ref Utf8JsonReader json, SbomEntry entry)
    {
        if (!json.EnterArray()) return;
        while (json.NextObject())
        {
            var (name, value) = ReadProperty(ref json);
            entry.SetProperty(name, value);
        }
    }

    static (string Name, string Value) ReadProperty(ref Utf8JsonReader json)
    {
        var (name, value) = ("", "");
        while (json.NextProperty())
        {
            if (json.ValueTextEquals("name"u8)) name = json.ReadText() ?? "";
            else if (json.ValueTextEquals("value"u8)) value = json.ReadText() ?? "";
            else json.SkipValue();
        }

        return (name, value);
    }
}
