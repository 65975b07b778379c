namespace Guestmark.Inventory.Languages;

/// <summary>
/// Finds packages of programming languages that no package of the system owns: PyPI, npm, Maven, Go and NuGet. Starts no process, runs
/// no code of the packages, writes nothing.
/// </summary>
/// <remarks>
/// Unlike the packages of the system these have no database: the file tree is walked for the files that describe them. The readers of
/// rpm, dpkg and apk come first, with <see cref="IsCandidate"/> among what selects <see cref="Package.Files"/>: what one of their
/// packages owns is that package, and is not reported a second time.
/// </remarks>
static class LanguagePackages
{
    /// <summary>A <see cref="FileSelector"/>: whether it matters who owns the file.</summary>
    public static bool IsCandidate(ReadOnlySpan<byte> folder, ReadOnlySpan<byte> name) => LanguageFiles.Classify(folder, name) != LanguageFile.None;

    /// <summary>Adds the packages. What cannot be read, and what is not looked at because of a limit, becomes a problem.</summary>
    public static void Read(InventoryScan scan) => Read(scan, new LanguageSearchLimits(), TimeProvider.System);

    internal static void Read(InventoryScan scan, LanguageSearchLimits limits, TimeProvider time) => new LanguageSearch(scan, limits, time).Run();
}
