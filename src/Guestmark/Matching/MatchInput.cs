using Guestmark.CommandLine;
using Guestmark.Inventory;
using Guestmark.Inventory.Repositories;
using Guestmark.Inventory.Sbom;

namespace Guestmark;

/// <summary>What the operator says to match. Of root, SBOM and inventory exactly one is named.</summary>
sealed record MatchSelection(string? Root, string? Sbom, string? Inventory, OsRelease? Distro, bool Languages, string? RepositoryToCpe)
{
    /// <exception cref="UsageException">Not exactly one of the three is named, or an option does not fit it.</exception>
    public void Check()
    {
        if (new[] { Root, Sbom, Inventory }.Count(value => value is not null) != 1)
            throw new UsageException("name what to match: one of --root DIR, --sbom FILE and --inventory FILE");
        if (Languages && Root is null) throw new UsageException("--languages: only --root looks for packages; a document has those that it lists");
        if (RepositoryToCpe is not null && Inventory is not null)
            throw new UsageException("--repo-cpe-path: an inventory has its CPEs; give the mapping to `guestmark-agent scan`");
    }
}

/// <summary>The packages to match, and where they come from.</summary>
/// <param name="Kind"><c>root</c>, <c>sbom</c> or <c>inventory</c>.</param>
/// <param name="Name">The folder or file, as the operator named it.</param>
/// <param name="Format">Of an SBOM: <c>CycloneDX 1.6</c>. Null for the others.</param>
/// <param name="LeftOut">Of an SBOM: what is no package that advisories could be about.</param>
sealed record MatchInput(string Kind, string Name, string? Format, GuestInventory Inventory, IReadOnlyList<SbomLeftOut> LeftOut)
{
    const string StandardInput = "-";

    public bool IsThisMachine => Kind == "root" && Path.GetFullPath(Name) == "/";

    /// <param name="selection">Checked.</param>
    /// <exception cref="CommandException">It cannot be read.</exception>
    public static MatchInput Read(MatchSelection selection, CancellationToken cancellationToken)
    {
        var input = selection.Root is { } root ? OfRoot(root, selection, cancellationToken)
            : selection.Sbom is { } sbom ? OfSbom(sbom, selection.RepositoryToCpe)
            : OfInventory(selection.Inventory!);
        return selection.Distro is { } os && selection.Root is null ? input with { Inventory = input.Inventory with { Os = os } } : input;
    }

    static MatchInput OfRoot(string root, MatchSelection selection, CancellationToken cancellationToken)
    {
        if (!Directory.Exists(root)) throw new CommandException($"--root {root}: no such folder; name the root of the machine's files");
        var options = new InventoryScanOptions
        {
            HostPath = root,
            Os = selection.Distro,
            Languages = selection.Languages,
            RepositoryToCpePath = selection.RepositoryToCpe,
        };
        return new MatchInput("root", root, null, InventoryScanner.Scan(options, cancellationToken), []);
    }

    static MatchInput OfSbom(string file, string? mappingFile)
    {
        RepositoryToCpe? mapping = null;
        if (mappingFile is not null)
        {
            mapping = RepositoryToCpe.TryRead(mappingFile, out var problem);
            if (problem is not null) throw new CommandException($"--repo-cpe-path {problem}");
        }

        var document = SbomReader.TryRead(Bytes("--sbom", file, SbomReader.BytesMax).Span, mapping, out var error)
            ?? throw new CommandException($"--sbom {file}: {error}");
        return new MatchInput("sbom", file, document.Format, document.Inventory, document.LeftOut);
    }

    static MatchInput OfInventory(string file)
    {
        var inventory = InventoryJsonReader.TryRead(Bytes("--inventory", file, InventoryJsonReader.BytesMax).Span, out var error)
            ?? throw new CommandException($"--inventory {file}: {error}");
        return new MatchInput("inventory", file, null, inventory, []);
    }

    /// <summary>The file, or what standard input gives, up to a limit.</summary>
    static ReadOnlyMemory<byte> Bytes(string option, string file, int bytesMax)
    {
        try
        {
            using var stream = file == StandardInput ? Console.OpenStandardInput() : new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            var buffer = new MemoryStream(stream.CanSeek ? (int)Math.Min(stream.Length, bytesMax) : 0);
            var part = new byte[64 * 1024];
            for (var read = stream.Read(part); read > 0; read = stream.Read(part))
            {
                if (buffer.Length + read > bytesMax) throw new CommandException($"{option} {file}: has more than {Words.Size(bytesMax)}");
                buffer.Write(part, 0, read);
            }

            return buffer.GetBuffer().AsMemory(0, (int)buffer.Length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"{option} {file}: {e.Message}", e);
        }
    }
}
