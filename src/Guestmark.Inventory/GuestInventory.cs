namespace Guestmark.Inventory;

/// <summary>What is installed on one machine, as its package databases say it.</summary>
/// <param name="Os">The operating system, from os-release or as the caller named it.</param>
/// <param name="Packages">Installed packages in the order of their databases. The same name may occur many times.</param>
/// <param name="Problems">What could not be read. Empty when the inventory is complete.</param>
public sealed record GuestInventory(OsRelease Os, IReadOnlyList<Package> Packages, IReadOnlyList<InventoryProblem> Problems)
{
    /// <summary>Keys that rpm trusts. It lists them among its packages, as <c>gpg-pubkey</c>.</summary>
    public IReadOnlyList<Package> RpmKeys { get; init; } = [];

    /// <summary>What else the machine says of itself.</summary>
    public HostFacts Host { get; init; } = HostFacts.Unknown;
}

/// <summary>Something that could not be read, for a person: the path, what is wrong with it, and what to do.</summary>
/// <remarks>Both may hold text of the guest: each is cut after <see cref="TextCharsMax"/> characters, and neither is escaped for a terminal.</remarks>
public sealed record InventoryProblem(string Path, string Message)
{
    /// <summary>A path of ours with the longest file name of Linux (255 bytes) has fewer than 300.</summary>
    public const int TextCharsMax = 1024;

    public string Path { get; init => field = GuestText.Cut(value, TextCharsMax); } = GuestText.Cut(Path, TextCharsMax);

    public string Message { get; init => field = GuestText.Cut(value, TextCharsMax); } = GuestText.Cut(Message, TextCharsMax);
}
