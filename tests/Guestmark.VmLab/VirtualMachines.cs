namespace Guestmark.VmLab;

/// <summary>Tests with virtual machines, one after the other: each machine takes a processor.</summary>
[CollectionDefinition(Name)]
public sealed class VirtualMachines
{
    public const string Name = "virtual machines";
}
