using System.Diagnostics;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Sbom;

/// <summary>Validates documents by build/sbom-schemas: CycloneDX by its official schema, SPDX by its rules, ours by docs/reference.</summary>
static class Schemas
{
    public const string CycloneDx = "cyclonedx";
    public const string Spdx = "spdx";

    public static string Inventory => Path.Combine(Repository.Root, "docs/reference/inventory.schema.json");

    /// <summary>What is wrong with the documents, a line each; empty when nothing is.</summary>
    public static string Validate(string kind, params IEnumerable<byte[]> documents)
    {
        using var folder = new TemporaryFolder();
        var paths = documents.Select((document, i) =>
        {
            File.WriteAllBytes(folder.File($"{i}.json"), document);
            return folder.File($"{i}.json");
        });
        using var process = Process.Start(new ProcessStartInfo("node", [Path.Combine(Repository.Root, "build/sbom-schemas/validate.mjs"), kind, .. paths])
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
        })!;
        var errors = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.Equal(errors.Length > 0 ? 1 : 0, process.ExitCode);
        return errors;
    }

    public static byte[] Bytes(Action<Stream> write)
    {
        using var stream = new MemoryStream();
        write(stream);
        return stream.ToArray();
    }
}
