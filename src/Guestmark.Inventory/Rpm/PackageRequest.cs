namespace Guestmark.Inventory.Rpm;

/// <summary>What is wanted of the packages of one database.</summary>
/// <param name="Folder">Where the database lies, for <see cref="Package.Database"/>: <c>var/lib/rpm</c>.</param>
/// <param name="Files">Which files are wanted. Null: none.</param>
/// <param name="Dependencies">Whether provides and requires are wanted.</param>
sealed record PackageRequest(string Folder, FileSelector? Files, bool Dependencies);
