namespace Guestmark.Inventory.Sbom;

/// <summary>What a document says of one component, in the words of CycloneDX.</summary>
sealed class SbomEntry
{
    public const string OperatingSystem = "operating-system";
    public const string File = "file";

    /// <summary>CPEs and repositories of one component that are kept: Red Hat names 15 repositories of one package.</summary>
    const int ListMax = 256;

    public string Type { get; set; } = "";

    public string Group { get; set; } = "";

    public string Name { get; set; } = "";

    public string Version { get; set; } = "";

    public string Description { get; set; } = "";

    public string? Purl { get; set; }

    public string? Supplier { get; set; }

    /// <summary>Who made it, where nobody is named as supplier: what Syft calls the vendor.</summary>
    public string? Publisher { get; set; }

    /// <summary>The first licence that is named.</summary>
    public string? License { get; private set; }

    public BoundedTexts Cpes { get; } = new();

    /// <summary>Repositories that have the package, as qualifiers of package URLs name them.</summary>
    public BoundedTexts RepositoryIds { get; } = new();

    // Properties of ours.
    public string? Database { get; private set; }

    public string? SourceName { get; private set; }

    public string? SourceVersion { get; private set; }

    public string? RepositoryId { get; private set; }

    public string? RepositoryEvidence { get; private set; }

    public BoundedTexts RepositoryCpes { get; } = new();

    public string? WhyNoCpe { get; private set; }

    public string? KeyId { get; private set; }

    // Properties of Trivy and Syft.
    public string? TrivySourceName { get; private set; }

    public string? TrivySourceVersion { get; private set; }

    public string? TrivySourceRelease { get; private set; }

    public string? TrivySourceEpoch { get; private set; }

    public string? ModularityLabel { get; private set; }

    public string? DistributionId { get; private set; }

    public string? DistributionVersion { get; private set; }

    public string? DistributionName { get; private set; }

    public void SetLicense(string? license) => License ??= license;

    public void SetProperty(string name, string value)
    {
        if (value.Length == 0) return;
        switch (name)
        {
            case "guestmark:database": Database = value; break;
            case "guestmark:source:name": SourceName = value; break;
            case "guestmark:source:version": SourceVersion = value; break;
            case "guestmark:repository:id": RepositoryId = value; break;
            case "guestmark:repository:evidence": RepositoryEvidence = value; break;
            case "guestmark:repository:cpe": RepositoryCpes.Add(value); break;
            case "guestmark:repository:whyNoCpe": WhyNoCpe = value; break;
            case "guestmark:rpm:keyId": KeyId = value; break;
            case "aquasecurity:trivy:SrcName": TrivySourceName = value; break;
            case "aquasecurity:trivy:SrcVersion": TrivySourceVersion = value; break;
            case "aquasecurity:trivy:SrcRelease": TrivySourceRelease = value; break;
            case "aquasecurity:trivy:SrcEpoch": TrivySourceEpoch = value; break;
            case "aquasecurity:trivy:Modularitylabel" or "syft:metadata:modularityLabel": ModularityLabel = value; break;
            case "syft:distro:id": DistributionId = value; break;
            case "syft:distro:versionID": DistributionVersion = value; break;
            case "syft:distro:prettyName": DistributionName = value; break;
        }
    }

    /// <summary>Distinct texts in the order of the document.</summary>
    internal sealed class BoundedTexts
    {
        readonly List<string> _texts = [];

        public int Count => _texts.Count;

        public IReadOnlyList<string> All => _texts;

        public void Add(string text)
        {
            if (text.Length > 0 && _texts.Count < ListMax && !_texts.Contains(text)) _texts.Add(text);
        }
    }
}
