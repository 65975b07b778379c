using System.Globalization;
using System.Text.Json;

namespace Guestmark.Inventory.Sbom;

/// <summary>An inventory as an SPDX 2.3 document in JSON (https://spdx.github.io/spdx-spec/v2.3/).</summary>
/// <remarks>docs/reference/sbom.md says where each value of the inventory is found.</remarks>
public static class Spdx
{
    const string DocumentId = "SPDXRef-DOCUMENT";
    const string OsId = "SPDXRef-OperatingSystem";
    const string NoAssertion = "NOASSERTION";

    /// <summary>Writes the document. The stream stays open.</summary>
    public static void Write(GuestInventory inventory, SbomOptions options, Stream output)
    {
        using var json = new Utf8JsonWriter(output);
        var os = inventory.Os;
        var name = options.HostName is { Length: > 0 } host ? host : SbomText.NameOf(os);
        json.WriteStartObject();
        json.WriteString("spdxVersion", "SPDX-2.3");
        // The specification demands this licence for the document itself.
        json.WriteString("dataLicense", "CC0-1.0");
        json.WriteString("SPDXID", DocumentId);
        json.WriteString("name", name);
        // A name that need not lead anywhere (6.5): the UUID makes it unique.
        json.WriteString("documentNamespace", $"https://spdx.org/spdxdocs/{SbomText.ToolName}-{options.SerialNumber:D}");
        json.WriteStartObject("creationInfo");
        json.WriteString("created", SbomText.Time(options.Created));
        json.WriteStartArray("creators");
        json.WriteStringValue($"Tool: {SbomText.ToolName}-{options.ToolVersion}");
        json.WriteEndArray();
        json.WriteEndObject();
        if (inventory.Problems.Count > 0)
            json.WriteString("comment", $"Incomplete: {string.Join("; ", inventory.Problems.Select(problem => $"{problem.Path}: {problem.Message}"))}");

        json.WriteStartArray("packages");
        WriteOs(json, inventory);
        for (var i = 0; i < inventory.Packages.Count; i++)
        {
            WritePackage(json, inventory.Packages[i], os, i);
            if (json.BytesPending > InventoryJson.FlushBytes) json.Flush();
        }

        json.WriteEndArray();

        json.WriteStartArray("relationships");
        WriteRelationship(json, DocumentId, "DESCRIBES", OsId);
        for (var i = 0; i < inventory.Packages.Count; i++)
        {
            WriteRelationship(json, OsId, "CONTAINS", IdOf(i));
            if (json.BytesPending > InventoryJson.FlushBytes) json.Flush();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    static void WriteOs(Utf8JsonWriter json, GuestInventory inventory)
    {
        var os = inventory.Os;
        json.WriteStartObject();
        json.WriteString("SPDXID", OsId);
        json.WriteString("name", SbomText.NameOf(os));
        if (os.VersionId.Length > 0) json.WriteString("versionInfo", os.VersionId);
        if (os.PrettyName.Length > 0) json.WriteString("summary", os.PrettyName);
        json.WriteString("primaryPackagePurpose", "OPERATING-SYSTEM");
        WriteUnasserted(json, NoAssertion);
        var cpes = SbomText.ProductCpes(inventory);
        if (cpes.Count > 0)
        {
            json.WriteStartArray("externalRefs");
            foreach (var cpe in cpes)
            {
                WriteReference(json, "SECURITY", "cpe22Type", cpe);
                WriteReference(json, "SECURITY", "cpe23Type", CpeName.ToFormattedString(cpe)!);
            }

            json.WriteEndArray();
        }

        json.WriteEndObject();
    }

    static void WritePackage(Utf8JsonWriter json, Package package, OsRelease os, int index)
    {
        var isExpression = package.License is { } license && SpdxExpression.IsValid(license);
        json.WriteStartObject();
        json.WriteString("SPDXID", IdOf(index));
        json.WriteString("name", package.Name);
        json.WriteString("versionInfo", package.FullVersion);
        if (package.Vendor is { Length: > 0 } vendor) json.WriteString("supplier", $"Organization: {vendor.ReplaceLineEndings(" ")}");
        if (package.Rpm?.Summary is { Length: > 0 } summary) json.WriteString("summary", summary);
        WriteUnasserted(json, isExpression ? package.License! : NoAssertion);
        if (!isExpression && package.License is { Length: > 0 } words) json.WriteString("licenseComments", $"The package says: {words}");
        WriteSourceInfo(json, package);
        WriteChecksums(json, package);
        json.WriteStartArray("externalRefs");
        WriteReference(json, "PACKAGE-MANAGER", "purl", PackageUrl.Of(package, os));
        json.WriteEndArray();
        json.WriteEndObject();
    }

    static void WriteUnasserted(Utf8JsonWriter json, string licenseDeclared)
    {
        json.WriteString("downloadLocation", NoAssertion);
        json.WriteBoolean("filesAnalyzed", false);
        json.WriteString("licenseConcluded", NoAssertion);
        json.WriteString("licenseDeclared", licenseDeclared);
        json.WriteString("copyrightText", NoAssertion);
    }

    static void WriteSourceInfo(Utf8JsonWriter json, Package package)
    {
        var text = $"found in {package.Database}";
        if (package.SourceRpm is { } sourceRpm) text += $"; built from {sourceRpm}";
        else if (package.SourceName is { } sourceName) text += $"; built from {sourceName} {package.SourceVersion}".TrimEnd();
        if (package.Repository is { Id.Length: > 0 } repository)
        {
            text += $"; from repository {repository.Id}";
            if (RepositoryHint.NameOf(repository.Evidence) is { } evidence) text += $" by {evidence}";
        }

        json.WriteString("sourceInfo", text);
    }

    static void WriteChecksums(Utf8JsonWriter json, Package package)
    {
        var (md5, sha256) = (SbomText.Md5Of(package), SbomText.Sha256Of(package));
        if (md5 is null && sha256 is null) return;
        json.WriteStartArray("checksums");
        WriteChecksum(json, "MD5", md5);
        WriteChecksum(json, "SHA256", sha256);
        json.WriteEndArray();
    }

    static void WriteChecksum(Utf8JsonWriter json, string algorithm, string? value)
    {
        if (value is null) return;
        json.WriteStartObject();
        json.WriteString("algorithm", algorithm);
        json.WriteString("checksumValue", value);
        json.WriteEndObject();
    }

    static void WriteReference(Utf8JsonWriter json, string category, string type, string locator)
    {
        json.WriteStartObject();
        json.WriteString("referenceCategory", category);
        json.WriteString("referenceType", type);
        json.WriteString("referenceLocator", locator);
        json.WriteEndObject();
    }

    static void WriteRelationship(Utf8JsonWriter json, string from, string type, string to)
    {
        json.WriteStartObject();
        json.WriteString("spdxElementId", from);
        json.WriteString("relationshipType", type);
        json.WriteString("relatedSpdxElement", to);
        json.WriteEndObject();
    }

    static string IdOf(int index) => string.Create(CultureInfo.InvariantCulture, $"SPDXRef-Package-{index + 1}");
}
