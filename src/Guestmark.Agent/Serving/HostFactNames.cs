using Guestmark.Inventory;

namespace Guestmark.Agent.Serving;

/// <summary>What the agent says of its machine in every answer, by the names and values of StackRox's agent.</summary>
static class HostFactNames
{
    const string DetectedOs = "detected_os";
    const string Rhel = "RHEL";

    public static IReadOnlyDictionary<string, string> Of(GuestInventory inventory)
    {
        var isRhel = inventory.Os.Id == "rhel";
        return new Dictionary<string, string>
        {
            [DetectedOs] = isRhel ? Rhel : "UNKNOWN",
            ["os_version"] = isRhel ? inventory.Os.VersionId : $"{inventory.Os.Id} {inventory.Os.VersionId}".Trim(),
            ["activation_status"] = inventory.Host.Activation switch
            {
                Activation.Active => "ACTIVE",
                Activation.Inactive => "INACTIVE",
                _ => "ACTIVATION_UNSPECIFIED",
            },
            ["dnf_metadata_status"] = inventory.Host.DnfMetadata switch
            {
                DnfMetadata.Available => "AVAILABLE",
                DnfMetadata.Unavailable => "UNAVAILABLE",
                _ => "DNF_METADATA_UNSPECIFIED",
            },
        };
    }

    public static bool IsRhel(IReadOnlyDictionary<string, string> facts) => facts.TryGetValue(DetectedOs, out var os) && os == Rhel;
}
