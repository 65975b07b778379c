using System.Text.Json;

namespace Guestmark.Inventory;

/// <summary>An inventory as one JSON document. Its schema is docs/reference/inventory.schema.json: keep the two in step.</summary>
/// <remarks>Every property is always there: what is unknown is null. The writer holds 64 KB, however large the inventory is.</remarks>
public static class InventoryJson
{
    internal const int FlushBytes = 64 * 1024;

    /// <summary>Writes the document. The stream stays open.</summary>
    public static void Write(GuestInventory inventory, Stream output)
    {
        using var json = new Utf8JsonWriter(output);
        json.WriteStartObject();
        WriteOs(json, inventory.Os);
        WriteHost(json, inventory.Host);

        json.WriteStartArray("packages");
        foreach (var package in inventory.Packages)
        {
            WritePackage(json, package);
            if (json.BytesPending > FlushBytes) json.Flush();
        }

        json.WriteEndArray();
        WriteProblems(json, inventory.Problems);
        json.WriteEndObject();
    }

    /// <summary>The property <c>os</c>, as every document about a machine has it.</summary>
    public static void WriteOs(Utf8JsonWriter json, OsRelease os)
    {
        json.WriteStartObject("os");
        json.WriteString("id", os.Id);
        json.WriteString("versionId", os.VersionId);
        json.WriteString("prettyName", os.PrettyName);
        json.WriteEndObject();
    }

    /// <summary>The property <c>problems</c>, as every document about a machine has it.</summary>
    public static void WriteProblems(Utf8JsonWriter json, IReadOnlyList<InventoryProblem> problems)
    {
        json.WriteStartArray("problems");
        foreach (var problem in problems)
        {
            json.WriteStartObject();
            json.WriteString("path", problem.Path);
            json.WriteString("message", problem.Message);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    static void WriteHost(Utf8JsonWriter json, HostFacts host)
    {
        json.WriteStartObject("host");
        json.WriteString("runningKernel", host.RunningKernel);
        WriteTexts(json, "installedKernels", host.InstalledKernels);
        json.WriteString("bootId", host.BootId);
        json.WriteString("arch", host.Architecture);
        json.WriteString("activation", host.Activation switch
        {
            Activation.Active => "active",
            Activation.Inactive => "inactive",
            _ => null,
        });
        json.WriteString("dnfMetadata", host.DnfMetadata switch
        {
            DnfMetadata.Available => "available",
            DnfMetadata.Unavailable => "unavailable",
            _ => null,
        });
        json.WriteEndObject();
    }

    static void WritePackage(Utf8JsonWriter json, Package package)
    {
        json.WriteStartObject();
        json.WriteString("name", package.Name);
        WriteNumber(json, "epoch", package.Epoch);
        json.WriteString("version", package.Version);
        json.WriteString("release", package.Release);
        json.WriteString("arch", package.Architecture);
        json.WriteString("sourceRpm", package.SourceRpm);
        json.WriteString("modularityLabel", package.ModularityLabel);
        json.WriteString("manager", package.Manager switch
        {
            PackageManager.Rpm => "rpm",
            PackageManager.Dpkg => "dpkg",
            PackageManager.Apk => "apk",
            PackageManager.PyPI => "pypi",
            PackageManager.Npm => "npm",
            PackageManager.Maven => "maven",
            PackageManager.Go => "go",
            PackageManager.NuGet => "nuget",
            _ => throw new ArgumentOutOfRangeException(nameof(package), package.Manager, "unknown package manager"),
        });
        json.WriteString("sourceName", package.SourceName);
        json.WriteString("sourceVersion", package.SourceVersion);
        json.WriteString("database", package.Database);
        json.WriteString("license", package.License);
        json.WriteString("vendor", package.Vendor);
        WriteRepository(json, package.Repository);
        WriteRpm(json, package.Rpm);
        WriteFiles(json, package.Files);
        json.WriteEndObject();
    }

    static void WriteRepository(Utf8JsonWriter json, PackageRepository? repository)
    {
        if (repository is null)
        {
            json.WriteNull("repository");
            return;
        }

        json.WriteStartObject("repository");
        json.WriteString("id", repository.Id);
        json.WriteString("evidence", RepositoryHint.NameOf(repository.Evidence));
        json.WriteBoolean("isGuess", repository.IsGuess);
        WriteTexts(json, "cpes", repository.Cpes);
        json.WriteString("whyNoCpe", repository.WhyNoCpe);
        json.WriteEndObject();
    }

    static void WriteRpm(Utf8JsonWriter json, RpmDetails? rpm)
    {
        if (rpm is null)
        {
            json.WriteNull("rpm");
            return;
        }

        json.WriteStartObject("rpm");
        json.WriteNumber("number", rpm.Number);
        json.WriteString("summary", rpm.Summary);
        json.WriteString("group", rpm.Group);
        WriteNumber(json, "installTime", rpm.InstallTime);
        WriteNumber(json, "buildTime", rpm.BuildTime);
        if (rpm.Size is { } size) json.WriteNumber("size", size);
        else json.WriteNull("size");
        json.WriteString("sigMd5", rpm.SigMd5);
        json.WriteString("sha1Header", rpm.Sha1Header);
        json.WriteString("sha256Header", rpm.Sha256Header);
        WriteNumber(json, "payloadDigestAlgorithm", rpm.PayloadDigestAlgorithm);
        json.WriteString("payloadDigest", rpm.PayloadDigest);
        WriteSignature(json, "rsaHeader", rpm.RsaHeader);
        WriteSignature(json, "dsaHeader", rpm.DsaHeader);
        WriteSignature(json, "packageSignature", rpm.PackageSignature);
        json.WriteStartArray("openPgp");
        foreach (var signature in rpm.OpenPgp) WriteSignature(json, null, signature);
        json.WriteEndArray();
        json.WriteString("sourceNevr", rpm.SourceNevr);
        json.WriteString("upstreamReleases", rpm.UpstreamReleases);
        WriteNumber(json, "installTransaction", rpm.InstallTransaction);
        WriteNumber(json, "fileDigestAlgorithm", rpm.FileDigestAlgorithm);
        if (rpm.Provides is null)
        {
            json.WriteNull("provides");
        }
        else
        {
            json.WriteStartArray("provides");
            foreach (var provided in rpm.Provides)
            {
                json.WriteStartObject();
                json.WriteString("name", provided.Name);
                json.WriteString("version", provided.Version);
                json.WriteEndObject();
            }

            json.WriteEndArray();
        }

        if (rpm.Requires is null) json.WriteNull("requires");
        else WriteTexts(json, "requires", rpm.Requires);
        json.WriteEndObject();
    }

    static void WriteFiles(Utf8JsonWriter json, IReadOnlyList<PackageFile>? files)
    {
        if (files is null)
        {
            json.WriteNull("files");
            return;
        }

        json.WriteStartArray("files");
        foreach (var file in files)
        {
            json.WriteStartObject();
            json.WriteString("path", file.Path);
            json.WriteString("digest", file.Digest);
            json.WriteNumber("flags", file.Flags);
            json.WriteEndObject();
            // A package may have 100,000 files.
            if (json.BytesPending > FlushBytes) json.Flush();
        }

        json.WriteEndArray();
    }

    static void WriteSignature(Utf8JsonWriter json, string? name, OpenPgpSignature? signature)
    {
        if (signature is null)
        {
            json.WriteNull(name!);
            return;
        }

        if (name is null) json.WriteStartObject();
        else json.WriteStartObject(name);
        json.WriteNumber("publicKeyAlgorithm", signature.PublicKeyAlgorithm);
        json.WriteNumber("hashAlgorithm", signature.HashAlgorithm);
        WriteNumber(json, "created", signature.Created);
        json.WriteString("keyId", signature.KeyId);
        json.WriteEndObject();
    }

    static void WriteNumber(Utf8JsonWriter json, string name, uint? value)
    {
        if (value is { } number) json.WriteNumber(name, number);
        else json.WriteNull(name);
    }

    static void WriteTexts(Utf8JsonWriter json, string name, IReadOnlyList<string> texts)
    {
        json.WriteStartArray(name);
        foreach (var text in texts) json.WriteStringValue(text);
        json.WriteEndArray();
    }
}
