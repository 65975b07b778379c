using Guestmark.Inventory;

namespace Guestmark.Agent.Serving;

/// <summary>What the agent says of its machine in every answer, by the names and values of StackRox's agent, and what a push says besides.</summary>
static class HostFactNames
{
    const string DetectedOs = "detected_os";
    const string Rhel = "RHEL";

    public static IReadOnlyDictionary<string, string> Of(GuestInventory inventory)
    {
        var facts = new Dictionary<string, string>
        {
            [DetectedOs] = inventory.Os.IsRhel ? Rhel : "UNKNOWN",
            ["os_version"] = InventoryReports.OsVersionOf(inventory.Os),
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
        foreach (var (name, value) in InventoryReports.FactsOf(inventory.Host)) facts.Add(name, value);
        return facts;
    }

    public static bool IsRhel(IReadOnlyDictionary<string, string> facts) => facts.TryGetValue(DetectedOs, out var os) && os == Rhel;
}
