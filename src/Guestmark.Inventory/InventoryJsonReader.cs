using System.Text.Json;

namespace Guestmark.Inventory;

/// <summary>Reads what <see cref="InventoryJson"/> wrote. Properties that it does not know are passed over: a newer agent may have more.</summary>
public static class InventoryJsonReader
{
    /// <summary>With the files of every package, a machine of 4,000 packages has 120 MB.</summary>
    public const int BytesMax = 512 << 20;

    /// <param name="error">What is wrong, for a person, without the document's name; null on success. It may hold text of the document.</param>
    /// <returns>Null when there is an error.</returns>
    public static GuestInventory? TryRead(ReadOnlySpan<byte> document, out string? error)
    {
        try
        {
            var json = new Utf8JsonReader(document);
            return Read(ref json, out error);
        }
        catch (JsonException e)
        {
            error = $"is no JSON: {e.Message}";
        }
        catch (InvalidOperationException)
        {
            // Utf8JsonReader's word for text that is no UTF-8, or half of a surrogate pair.
            error = "has text that is no Unicode";
        }

        return null;
    }

    static GuestInventory? Read(ref Utf8JsonReader json, out string? error)
    {
        error = "is no inventory: write one with `guestmark-agent scan -o json`";
        json.Read();
        if (json.TokenType != JsonTokenType.StartObject) return null;
        OsRelease? os = null;
        var host = HostFacts.Unknown;
        List<Package>? packages = null;
        var problems = new List<InventoryProblem>();
        while (json.NextProperty())
        {
            if (json.ValueTextEquals("os"u8))
            {
                if (json.EnterObject()) os = ReadOs(ref json);
            }
            else if (json.ValueTextEquals("host"u8))
            {
                if (json.EnterObject()) host = ReadHost(ref json);
            }
            else if (json.ValueTextEquals("packages"u8))
            {
                if (!json.EnterArray()) continue;
                packages = [];
                while (json.NextObject())
                {
                    if (packages.Count == InventoryScanner.PackagesMax)
                    {
                        error = $"has more than {InventoryScanner.PackagesMax} packages";
                        return null;
                    }

                    if (ReadPackage(ref json, out var missing) is not { } package)
                    {
                        error = $"$.packages[{packages.Count}]{missing}";
                        return null;
                    }

                    packages.Add(package);
                }
            }
            else if (json.ValueTextEquals("problems"u8))
            {
                if (!json.EnterArray()) continue;
                while (json.NextObject()) problems.Add(ReadProblem(ref json));
            }
            else
            {
                json.SkipValue();
            }
        }

        // What follows the document makes it none.
        json.Read();
        if (os is null || packages is null) return null;
        error = null;
        return new GuestInventory(os, packages, problems) { Host = host };
    }

    static OsRelease ReadOs(ref Utf8JsonReader json)
    {
        var (id, versionId, prettyName) = ("", "", "");
        while (json.NextProperty())
        {
            if (json.ValueTextEquals("id"u8)) id = json.ReadText() ?? "";
            else if (json.ValueTextEquals("versionId"u8)) versionId = json.ReadText() ?? "";
            else if (json.ValueTextEquals("prettyName"u8)) prettyName = json.ReadText() ?? "";
            else json.SkipValue();
        }

        return new OsRelease(id, versionId, prettyName);
    }

    static HostFacts ReadHost(ref Utf8JsonReader json)
    {
        var host = HostFacts.Unknown;
        while (json.NextProperty())
        {
            if (json.ValueTextEquals("runningKernel"u8)) host = host with { RunningKernel = json.ReadText() };
            else if (json.ValueTextEquals("installedKernels"u8)) host = host with { InstalledKernels = json.ReadTexts() };
            else if (json.ValueTextEquals("bootId"u8)) host = host with { BootId = json.ReadText() };
            else if (json.ValueTextEquals("arch"u8)) host = host with { Architecture = json.ReadText() };
            else if (json.ValueTextEquals("activation"u8)) host = host with { Activation = ActivationOf(json.ReadText()) };
            else if (json.ValueTextEquals("dnfMetadata"u8)) host = host with { DnfMetadata = DnfMetadataOf(json.ReadText()) };
            else json.SkipValue();
        }

        return host;
    }

    static Activation ActivationOf(string? word) => word switch
    {
        "active" => Activation.Active,
        "inactive" => Activation.Inactive,
        _ => Activation.Unspecified,
    };

    static DnfMetadata DnfMetadataOf(string? word) => word switch
    {
        "available" => DnfMetadata.Available,
        "unavailable" => DnfMetadata.Unavailable,
        _ => DnfMetadata.Unspecified,
    };

    static InventoryProblem ReadProblem(ref Utf8JsonReader json)
    {
        var (path, message) = ("", "");
        while (json.NextProperty())
        {
            if (json.ValueTextEquals("path"u8)) path = json.ReadText() ?? "";
            else if (json.ValueTextEquals("message"u8)) message = json.ReadText() ?? "";
            else json.SkipValue();
        }

        return new InventoryProblem(path, message);
    }

    static Package? ReadPackage(ref Utf8JsonReader json, out string? missing)
    {
        string? name = null, version = null, managerName = null, release = null, architecture = null, sourceRpm = null, modularityLabel = null;
        string? sourceName = null, sourceVersion = null, database = null, license = null, vendor = null;
        uint? epoch = null;
        PackageRepository? repository = null;
        RpmDetails? rpm = null;
        List<PackageFile>? files = null;
        while (json.NextProperty())
        {
            if (json.ValueTextEquals("name"u8)) name = json.ReadText();
            else if (json.ValueTextEquals("epoch"u8)) epoch = json.ReadUInt32();
            else if (json.ValueTextEquals("version"u8)) version = json.ReadText();
            else if (json.ValueTextEquals("release"u8)) release = json.ReadText();
            else if (json.ValueTextEquals("arch"u8)) architecture = json.ReadText();
            else if (json.ValueTextEquals("sourceRpm"u8)) sourceRpm = json.ReadText();
            else if (json.ValueTextEquals("modularityLabel"u8)) modularityLabel = json.ReadText();
            else if (json.ValueTextEquals("manager"u8)) managerName = json.ReadText();
            else if (json.ValueTextEquals("sourceName"u8)) sourceName = json.ReadText();
            else if (json.ValueTextEquals("sourceVersion"u8)) sourceVersion = json.ReadText();
            else if (json.ValueTextEquals("database"u8)) database = json.ReadText();
            else if (json.ValueTextEquals("license"u8)) license = json.ReadText();
            else if (json.ValueTextEquals("vendor"u8)) vendor = json.ReadText();
            else if (json.ValueTextEquals("repository"u8)) repository = json.EnterObject() ? ReadRepository(ref json) : null;
            else if (json.ValueTextEquals("rpm"u8)) rpm = json.EnterObject() ? ReadRpm(ref json) : null;
            else if (json.ValueTextEquals("files"u8)) files = json.EnterArray() ? ReadFiles(ref json) : null;
            else json.SkipValue();
        }

        missing = null;
        if (string.IsNullOrEmpty(name)) missing = ".name is no text";
        else if (version is null) missing = ".version is no text";
        else if (ManagerOf(managerName) is null) missing = $".manager is '{GuestText.Quote(managerName ?? "")}', which this program does not know";
        if (missing is not null) return null;
        return new Package
        {
            Manager = ManagerOf(managerName)!.Value,
            Name = name!,
            Epoch = epoch,
            Version = version!,
            Release = release ?? "",
            Architecture = architecture ?? "",
            SourceRpm = sourceRpm,
            ModularityLabel = modularityLabel,
            SourceName = sourceName,
            SourceVersion = sourceVersion,
            Database = database ?? "",
            License = license,
            Vendor = vendor,
            Rpm = rpm,
            Repository = repository,
            Files = files,
        };
    }

    static PackageManager? ManagerOf(string? name) => name switch
    {
        "rpm" => PackageManager.Rpm,
        "dpkg" => PackageManager.Dpkg,
        "apk" => PackageManager.Apk,
        "pypi" => PackageManager.PyPI,
        "npm" => PackageManager.Npm,
        "maven" => PackageManager.Maven,
        "go" => PackageManager.Go,
        "nuget" => PackageManager.NuGet,
        _ => null,
    };

    static PackageRepository ReadRepository(ref Utf8JsonReader json)
    {
        var id = "";
        string? evidence = null, why = null;
        List<string> cpes = [];
        while (json.NextProperty())
        {
            if (json.ValueTextEquals("id"u8)) id = json.ReadText() ?? "";
            else if (json.ValueTextEquals("evidence"u8)) evidence = json.ReadText();
            else if (json.ValueTextEquals("cpes"u8)) cpes = json.ReadTexts();
            else if (json.ValueTextEquals("whyNoCpe"u8)) why = json.ReadText();
            // isGuess follows from the evidence.
            else json.SkipValue();
        }

        return new PackageRepository(id, RepositoryHint.EvidenceOf(evidence), cpes, why);
    }

    static RpmDetails ReadRpm(ref Utf8JsonReader json)
    {
        var rpm = new RpmDetails { Number = 0 };
        while (json.NextProperty())
        {
            if (json.ValueTextEquals("number"u8)) rpm = rpm with { Number = json.ReadUInt32() ?? 0 };
            else if (json.ValueTextEquals("summary"u8)) rpm = rpm with { Summary = json.ReadText() };
            else if (json.ValueTextEquals("group"u8)) rpm = rpm with { Group = json.ReadText() };
            else if (json.ValueTextEquals("installTime"u8)) rpm = rpm with { InstallTime = json.ReadUInt32() };
            else if (json.ValueTextEquals("buildTime"u8)) rpm = rpm with { BuildTime = json.ReadUInt32() };
            else if (json.ValueTextEquals("size"u8)) rpm = rpm with { Size = ReadSize(ref json) };
            else if (json.ValueTextEquals("sigMd5"u8)) rpm = rpm with { SigMd5 = json.ReadText() };
            else if (json.ValueTextEquals("sha1Header"u8)) rpm = rpm with { Sha1Header = json.ReadText() };
            else if (json.ValueTextEquals("sha256Header"u8)) rpm = rpm with { Sha256Header = json.ReadText() };
            else if (json.ValueTextEquals("payloadDigestAlgorithm"u8)) rpm = rpm with { PayloadDigestAlgorithm = json.ReadUInt32() };
            else if (json.ValueTextEquals("payloadDigest"u8)) rpm = rpm with { PayloadDigest = json.ReadText() };
            else if (json.ValueTextEquals("rsaHeader"u8)) rpm = rpm with { RsaHeader = json.EnterObject() ? ReadSignature(ref json) : null };
            else if (json.ValueTextEquals("dsaHeader"u8)) rpm = rpm with { DsaHeader = json.EnterObject() ? ReadSignature(ref json) : null };
            else if (json.ValueTextEquals("packageSignature"u8)) rpm = rpm with { PackageSignature = json.EnterObject() ? ReadSignature(ref json) : null };
            else if (json.ValueTextEquals("openPgp"u8)) rpm = rpm with { OpenPgp = json.EnterArray() ? ReadSignatures(ref json) : [] };
            else if (json.ValueTextEquals("sourceNevr"u8)) rpm = rpm with { SourceNevr = json.ReadText() };
            else if (json.ValueTextEquals("upstreamReleases"u8)) rpm = rpm with { UpstreamReleases = json.ReadText() };
            else if (json.ValueTextEquals("installTransaction"u8)) rpm = rpm with { InstallTransaction = json.ReadUInt32() };
            else if (json.ValueTextEquals("fileDigestAlgorithm"u8)) rpm = rpm with { FileDigestAlgorithm = json.ReadUInt32() };
            else if (json.ValueTextEquals("provides"u8)) rpm = rpm with { Provides = json.EnterArray() ? ReadProvides(ref json) : null };
            else if (json.ValueTextEquals("requires"u8)) rpm = rpm with { Requires = ReadRequires(ref json) };
            else json.SkipValue();
        }

        return rpm;
    }

    static ulong? ReadSize(ref Utf8JsonReader json)
    {
        json.Read();
        if (json.TokenType == JsonTokenType.Number && json.TryGetUInt64(out var size)) return size;
        json.Skip();
        return null;
    }

    // Null says that the scan was not asked for them.
    static List<string>? ReadRequires(ref Utf8JsonReader json)
    {
        var ahead = json;
        ahead.Read();
        if (ahead.TokenType == JsonTokenType.StartArray) return json.ReadTexts();
        json.SkipValue();
        return null;
    }

    static List<RpmDependency> ReadProvides(ref Utf8JsonReader json)
    {
        var provides = new List<RpmDependency>();
        while (json.NextObject())
        {
            string? name = null, version = null;
            while (json.NextProperty())
            {
                if (json.ValueTextEquals("name"u8)) name = json.ReadText();
                else if (json.ValueTextEquals("version"u8)) version = json.ReadText();
                else json.SkipValue();
            }

            provides.Add(new RpmDependency(name ?? "", version));
        }

        return provides;
    }

    static List<OpenPgpSignature> ReadSignatures(ref Utf8JsonReader json)
    {
        var signatures = new List<OpenPgpSignature>();
        while (json.NextObject()) signatures.Add(ReadSignature(ref json));
        return signatures;
    }

    static OpenPgpSignature ReadSignature(ref Utf8JsonReader json)
    {
        var signature = new OpenPgpSignature(0, 0, null, "");
        while (json.NextProperty())
        {
            if (json.ValueTextEquals("publicKeyAlgorithm"u8)) signature = signature with { PublicKeyAlgorithm = (byte)(json.ReadUInt32() ?? 0) };
            else if (json.ValueTextEquals("hashAlgorithm"u8)) signature = signature with { HashAlgorithm = (byte)(json.ReadUInt32() ?? 0) };
            else if (json.ValueTextEquals("created"u8)) signature = signature with { Created = json.ReadUInt32() };
            else if (json.ValueTextEquals("keyId"u8)) signature = signature with { KeyId = json.ReadText() ?? "" };
            else json.SkipValue();
        }

        return signature;
    }

    static List<PackageFile> ReadFiles(ref Utf8JsonReader json)
    {
        var files = new List<PackageFile>();
        while (json.NextObject())
        {
            string path = "";
            string? digest = null;
            var flags = 0u;
            while (json.NextProperty())
            {
                if (json.ValueTextEquals("path"u8)) path = json.ReadText() ?? "";
                else if (json.ValueTextEquals("digest"u8)) digest = json.ReadText();
                else if (json.ValueTextEquals("flags"u8)) flags = json.ReadUInt32() ?? 0;
                else json.SkipValue();
            }

            files.Add(new PackageFile(path, digest, flags));
        }

        return files;
    }
}
