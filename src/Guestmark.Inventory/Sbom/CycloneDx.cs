using System.Globalization;
using System.Text.Json;

namespace Guestmark.Inventory.Sbom;

/// <summary>An inventory as a CycloneDX 1.6 document in JSON (https://cyclonedx.org/docs/1.6/json/).</summary>
/// <remarks>docs/reference/sbom.md says where each value of the inventory is found.</remarks>
public static class CycloneDx
{
    const string OsReference = "os";

    /// <summary>Writes the document. The stream stays open.</summary>
    /// <param name="writeMore">
    /// Writes further properties of the document, as <c>vulnerabilities</c>. It is given the <c>bom-ref</c> of each package, in their order.
    /// </param>
    public static void Write(GuestInventory inventory, SbomOptions options, Stream output, Action<Utf8JsonWriter, IReadOnlyList<string>>? writeMore = null)
    {
        using var json = new Utf8JsonWriter(output);
        json.WriteStartObject();
        json.WriteString("$schema", "http://cyclonedx.org/schema/bom-1.6.schema.json");
        json.WriteString("bomFormat", "CycloneDX");
        json.WriteString("specVersion", "1.6");
        json.WriteString("serialNumber", $"urn:uuid:{options.SerialNumber:D}");
        json.WriteNumber("version", 1);
        WriteMetadata(json, inventory, options);

        json.WriteStartArray("components");
        var known = new HashSet<string>(inventory.Packages.Count, StringComparer.Ordinal) { OsReference };
        var references = new List<string>(inventory.Packages.Count);
        for (var i = 0; i < inventory.Packages.Count; i++)
        {
            references.Add(WriteComponent(json, inventory.Packages[i], inventory.Os, i, known));
            if (json.BytesPending > InventoryJson.FlushBytes) json.Flush();
        }

        json.WriteEndArray();
        if (inventory.Problems.Count > 0)
        {
            // There is no word for "complete as far as databases tell": without problems nothing is said.
            json.WriteStartArray("compositions");
            json.WriteStartObject();
            json.WriteString("aggregate", "incomplete");
            json.WriteStartArray("assemblies");
            json.WriteStringValue(OsReference);
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndArray();
        }

        writeMore?.Invoke(json, references);
        json.WriteEndObject();
    }

    static void WriteMetadata(Utf8JsonWriter json, GuestInventory inventory, SbomOptions options)
    {
        var (os, host) = (inventory.Os, inventory.Host);
        json.WriteStartObject("metadata");
        json.WriteString("timestamp", SbomText.Time(options.Created));
        json.WriteStartObject("tools");
        json.WriteStartArray("components");
        json.WriteStartObject();
        json.WriteString("type", "application");
        json.WriteString("name", SbomText.ToolName);
        json.WriteString("version", options.ToolVersion);
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteEndObject();

        json.WriteStartObject("component");
        json.WriteString("type", "operating-system");
        json.WriteString("bom-ref", OsReference);
        json.WriteString("name", SbomText.NameOf(os));
        if (os.VersionId.Length > 0) json.WriteString("version", os.VersionId);
        if (os.PrettyName.Length > 0) json.WriteString("description", os.PrettyName);
        var cpes = SbomText.ProductCpes(inventory);
        if (cpes.Count > 0)
        {
            json.WriteStartObject("evidence");
            json.WriteStartArray("identity");
            foreach (var cpe in cpes)
            {
                json.WriteStartObject();
                json.WriteString("field", "cpe");
                json.WriteString("concludedValue", cpe);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndObject();

        json.WriteStartArray("properties");
        WriteProperty(json, "guestmark:host:name", options.HostName);
        WriteProperty(json, "guestmark:host:arch", host.Architecture);
        WriteProperty(json, "guestmark:host:runningKernel", host.RunningKernel);
        foreach (var kernel in host.InstalledKernels) WriteProperty(json, "guestmark:host:installedKernel", kernel);
        WriteProperty(json, "guestmark:host:bootId", host.BootId);
        foreach (var problem in inventory.Problems) WriteProperty(json, "guestmark:problem", $"{problem.Path}: {problem.Message}");
        json.WriteEndArray();
        json.WriteEndObject();
    }

    /// <returns>The component's <c>bom-ref</c>.</returns>
    static string WriteComponent(Utf8JsonWriter json, Package package, OsRelease os, int index, HashSet<string> references)
    {
        var purl = PackageUrl.Of(package, os);
        json.WriteStartObject();
        json.WriteString("type", "library");
        // The purl, so that the documents of two days can be compared; a package that is there twice needs two.
        var reference = references.Add(purl) ? purl : string.Create(CultureInfo.InvariantCulture, $"{purl}#{index + 1}");
        references.Add(reference);
        json.WriteString("bom-ref", reference);
        if (package.Vendor is { Length: > 0 } vendor)
        {
            json.WriteStartObject("supplier");
            json.WriteString("name", vendor);
            json.WriteEndObject();
        }

        json.WriteString("name", package.Name);
        json.WriteString("version", package.FullVersion);
        if (package.Rpm?.Summary is { Length: > 0 } summary) json.WriteString("description", summary);
        WriteHashes(json, package);
        WriteLicense(json, package.License);
        json.WriteString("purl", purl);

        json.WriteStartArray("properties");
        WriteProperty(json, "guestmark:database", package.Database);
        WriteProperty(json, "guestmark:source:name", package.SourceName);
        WriteProperty(json, "guestmark:source:version", package.SourceVersion);
        if (package.Repository is { } repository)
        {
            WriteProperty(json, "guestmark:repository:id", repository.Id);
            WriteProperty(json, "guestmark:repository:evidence", RepositoryHint.NameOf(repository.Evidence));
            foreach (var cpe in repository.Cpes) WriteProperty(json, "guestmark:repository:cpe", cpe);
            WriteProperty(json, "guestmark:repository:whyNoCpe", repository.WhyNoCpe);
        }

        if (package.Rpm is { } rpm)
        {
            WriteProperty(json, "guestmark:rpm:sha1Header", rpm.Sha1Header);
            WriteProperty(json, "guestmark:rpm:sha256Header", rpm.Sha256Header);
            WriteProperty(json, "guestmark:rpm:keyId", rpm.Signature?.KeyId);
            if (rpm.InstallTime is { } installed)
                WriteProperty(json, "guestmark:rpm:installTime", SbomText.Time(DateTimeOffset.FromUnixTimeSeconds(installed)));
        }

        json.WriteEndArray();
        json.WriteEndObject();
        return reference;
    }

    static void WriteHashes(Utf8JsonWriter json, Package package)
    {
        var (md5, sha256) = (SbomText.Md5Of(package), SbomText.Sha256Of(package));
        if (md5 is null && sha256 is null) return;
        json.WriteStartArray("hashes");
        WriteHash(json, "MD5", md5);
        WriteHash(json, "SHA-256", sha256);
        json.WriteEndArray();
    }

    static void WriteHash(Utf8JsonWriter json, string algorithm, string? content)
    {
        if (content is null) return;
        json.WriteStartObject();
        json.WriteString("alg", algorithm);
        json.WriteString("content", content);
        json.WriteEndObject();
    }

    static void WriteLicense(Utf8JsonWriter json, string? license)
    {
        if (string.IsNullOrEmpty(license)) return;
        json.WriteStartArray("licenses");
        json.WriteStartObject();
        if (!SpdxExpression.IsLicenseId(license) && SpdxExpression.IsValid(license))
        {
            json.WriteString("expression", license);
        }
        else
        {
            json.WriteStartObject("license");
            json.WriteString(SpdxExpression.IsLicenseId(license) ? "id" : "name", license);
            json.WriteEndObject();
        }

        json.WriteEndObject();
        json.WriteEndArray();
    }

    static void WriteProperty(Utf8JsonWriter json, string name, string? value)
    {
        if (string.IsNullOrEmpty(value)) return;
        json.WriteStartObject();
        json.WriteString("name", name);
        json.WriteString("value", value);
        json.WriteEndObject();
    }
}
