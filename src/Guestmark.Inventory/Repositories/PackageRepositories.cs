namespace Guestmark.Inventory.Repositories;

/// <summary>Finds which repository each rpm package came from, and the CPEs of that repository.</summary>
static class PackageRepositories
{
    const string Dnf5History = "usr/lib/sysimage/libdnf5/transaction_history.sqlite";
    const string Dnf4History = "var/lib/dnf/history.sqlite";
    // Room for 200 content sets; an image has a handful.
    const int ManifestIdCharsMax = 8192;

    /// <summary>Files and folders whose state decides the result, from the root. What a folder holds counts, not only its names.</summary>
    public static IReadOnlyList<string> Paths { get; } =
    [
        .. ContentManifests.Folders,
        DnfState.Path,
        Dnf5History, Dnf5History + "-journal", Dnf5History + "-wal",
        Dnf4History, Dnf4History + "-journal", Dnf4History + "-wal",
        YumDatabase.Folder,
        .. RepositoryFiles.Folders,
        .. DnfVariables.Folders,
        DnfVariables.PinnedReleasePath,
        .. ProductCertificates.Folders,
    ];

    /// <summary>Sets <see cref="Package.Repository"/> of every rpm package of the scan.</summary>
    /// <param name="mapping">Null when there is none: repositories are named without CPEs.</param>
    /// <remarks>
    /// 1. What is on record: the content sets of an image's manifests for all packages; otherwise for each package dnf 5, dnf 4, yum.
    /// 2. The CPEs of the repositories, by the mapping.
    /// 3. For what has none though its system needs them, a guess (<see cref="RepositoryGuesses"/>), marked as one.
    /// </remarks>
    public static void Assign(InventoryScan scan, OsRelease os, RepositoryToCpe? mapping)
    {
        if (!scan.Packages.Exists(package => package.Manager == PackageManager.Rpm)) return;
        var packages = new InstalledPackages(scan.Packages);

        // 1.
        var contentSets = ContentManifests.Read(scan);
        if (contentSets.Count == 0)
        {
            DnfState.Read(scan, packages);
            if (packages.Missing > 0) DnfHistory.Read(scan, Dnf5History, packages);
            if (packages.Missing > 0) DnfHistory.Read(scan, Dnf4History, packages);
            if (packages.Missing > 0) YumDatabase.Read(scan, packages);
        }

        // 2.
        var needsCpes = RedHat.NeedsCpes(os);
        var guesses = new RepositoryGuesses(scan, os, mapping);
        MappedRepositories? mapped = null;
        string? mappingError = null;
        if (needsCpes && mapping is not null)
        {
            var ids = new HashSet<string>(contentSets);
            for (var number = 0; number < packages.Count; number++)
            {
                if (packages.IdOf(number) is { } id) ids.Add(id);
            }

            ids.UnionWith(guesses.RepositoryIds);
            mappingError = mapping.Find(ids, [], out mapped, scan.Cancellation);
            if (mappingError is not null)
            {
                scan.AddProblem("", $"has packages without CPEs: {mappingError}");
                mapped = null;
            }
        }

        var byManifest = contentSets.Count == 0 ? null : OfManifest(contentSets);
        var byId = new Dictionary<(string Id, RepositoryEvidence? Evidence), PackageRepository>();
        foreach (var package in scan.Packages)
        {
            if (package.Manager != PackageManager.Rpm) continue;
            var recorded = byManifest ?? OfRecord(package);
            package.Repository = recorded;

            // 3. Without a mapping the id says all that there is to say: whoever has a mapping finds its CPEs later.
            if (!needsCpes || recorded.Cpes.Count > 0) continue;
            if (mapped is null && !RepositoryGuesses.SaysNothing(recorded.Id)) continue;
            package.Repository = guesses.Guess(package, recorded, mapped);
        }

        PackageRepository OfRecord(Package package)
        {
            var found = packages.Of(package);
            var (id, evidence) = found is { } known ? (known.Id, (RepositoryEvidence?)known.Evidence) : ("", null);
            if (byId.TryGetValue((id, evidence), out var repository)) return repository;
            var cpes = mapped?.ById.GetValueOrDefault(id) ?? [];
            return byId[(id, evidence)] = new PackageRepository(id, evidence, cpes, cpes.Length > 0 ? null : WhyNoCpe(id));
        }

        PackageRepository OfManifest(IReadOnlyList<string> ids)
        {
            var cpes = new SortedSet<string>(StringComparer.Ordinal);
            foreach (var id in ids) cpes.UnionWith(mapped?.ById.GetValueOrDefault(id) ?? []);
            // An id has no comma (dnf allows letters, digits and "-_.:").
            var all = GuestText.Cut(string.Join(',', ids), ManifestIdCharsMax);
            return new PackageRepository(all, RepositoryEvidence.ContentManifest, [.. cpes], cpes.Count > 0 ? null : WhyNoCpe(all));
        }

        string WhyNoCpe(string id) =>
            !needsCpes ? $"packages of {GuestText.Quote(os.Id)} are matched without CPEs"
            : id.Length == 0 ? "nothing on the machine names the repository"
            : mapping is null ? "no repository-to-CPE mapping was given"
            : mappingError is not null ? "the repository-to-CPE mapping cannot be read"
            : mapped is not null && mapped.ById.ContainsKey(id) ? $"the repository-to-CPE mapping lists no CPE for {GuestText.Quote(id)}"
            : $"the repository-to-CPE mapping does not list {GuestText.Quote(id)}";
    }
}
