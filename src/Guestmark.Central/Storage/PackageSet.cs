using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Guestmark.Inventory;

namespace Guestmark.Central.Storage;

/// <summary>Where a package came from, as it is stored: bounded, with at most <see cref="CpesMax"/> CPEs.</summary>
/// <param name="Evidence">A <see cref="RepositoryEvidence"/>; 0 for none.</param>
/// <param name="Cpes">A line each.</param>
sealed record StoredRepository(string Name, long Evidence, string Cpes)
{
    /// <summary>Red Hat's mapping has up to 31 for one repository.</summary>
    const int CpesMax = 64;

    public static StoredRepository None { get; } = new("", 0, "");

    public static StoredRepository Of(PackageRepository? repository) => repository is null or { Id: "", Evidence: null, Cpes.Count: 0 }
        ? None
        : new StoredRepository(
            StoredText.Bound(repository.Id), (long?)repository.Evidence ?? 0, string.Join('\n', repository.Cpes.Take(CpesMax).Select(cpe => StoredText.Bound(cpe))));

    public static PackageRepository? ToRepository(string name, long evidence, string cpes) => name.Length == 0 && evidence == 0 && cpes.Length == 0
        ? null
        : new PackageRepository(name, evidence == 0 ? null : (RepositoryEvidence)evidence, cpes.Length == 0 ? [] : cpes.Split('\n'), null);

    public int OrderTo(StoredRepository other)
    {
        if (ReferenceEquals(this, other)) return 0;
        var order = string.CompareOrdinal(Name, other.Name);
        if (order == 0) order = string.CompareOrdinal(Cpes, other.Cpes);
        return order == 0 ? Evidence.CompareTo(other.Evidence) : order;
    }
}

/// <summary>A package as it is stored: what identifies it within its distribution, bounded.</summary>
readonly record struct PackageContent(
    PackageManager Manager, string Name, string Version, string Arch, string Module, string SourceName, string SourceVersion, StoredRepository Repository)
{
    /// <summary>Any total order: the digest needs one.</summary>
    public static readonly Comparison<PackageContent> Order = (a, b) => a.CompareTo(b);

    public static PackageContent Of(Package package, StoredRepository repository) => new(
        package.Manager,
        StoredText.Bound(package.Name),
        StoredText.Bound(package.FullVersion),
        StoredText.Bound(package.Architecture),
        StoredText.Bound(package.ModularityLabel),
        StoredText.Bound(package.SourceName),
        StoredText.Bound(package.SourceVersion),
        repository);

    int CompareTo(PackageContent other)
    {
        var order = string.CompareOrdinal(Name, other.Name);
        if (order == 0) order = string.CompareOrdinal(Version, other.Version);
        if (order == 0) order = string.CompareOrdinal(Arch, other.Arch);
        if (order == 0) order = string.CompareOrdinal(Module, other.Module);
        if (order == 0) order = string.CompareOrdinal(SourceName, other.SourceName);
        if (order == 0) order = string.CompareOrdinal(SourceVersion, other.SourceVersion);
        if (order == 0) order = Manager.CompareTo(other.Manager);
        return order == 0 ? Repository.OrderTo(other.Repository) : order;
    }
}

/// <summary>The packages of one report in a form that is the same for the same content, whatever the order of the report.</summary>
/// <param name="Bytes">What it costs to store: its text in UTF-8, and 64 for the rows and index entries of each package.</param>
/// <param name="Digest">
/// SHA-256 over the distribution and the sorted packages; each field is preceded by its length as u32 LE. A package that names its repository
/// is followed by the byte 0xFF and the SHA-256 of the repository's fields.
/// </param>
/// <param name="RunningKernel">Not part of the digest: machines with equal packages run different kernels.</param>
sealed record PackageSet(
    string OsId, string OsVersionId, string OsPrettyName, IReadOnlyList<PackageContent> Packages, long Bytes, byte[] Digest, string RunningKernel)
{
    const int RowBytes = 64;

    public static PackageSet Of(GuestInventory inventory)
    {
        // One object for equal repositories, which thousands of packages have in common.
        var repositories = new Dictionary<StoredRepository, StoredRepository>();
        var known = new Dictionary<PackageRepository, StoredRepository>(ReferenceEqualityComparer.Instance);
        var packages = inventory.Packages.Select(package => PackageContent.Of(package, RepositoryOf(package))).Distinct().ToList();
        packages.Sort(PackageContent.Order);
        var osId = StoredText.Bound(inventory.Os.Id);
        var osVersionId = StoredText.Bound(inventory.Os.VersionId);
        var (digest, textBytes) = DigestOf(osId, osVersionId, packages);
        return new PackageSet(
            osId, osVersionId, StoredText.Bound(inventory.Os.PrettyName), packages, textBytes + (long)RowBytes * packages.Count, digest,
            StoredText.Bound(inventory.Host.RunningKernel));

        StoredRepository RepositoryOf(Package package)
        {
            if (package.Repository is not { } repository) return StoredRepository.None;
            if (known.TryGetValue(repository, out var stored)) return stored;
            stored = StoredRepository.Of(repository);
            if (!repositories.TryAdd(stored, stored)) stored = repositories[stored];
            known.Add(repository, stored);
            return stored;
        }
    }

    static (byte[] Digest, long TextBytes) DigestOf(string osId, string osVersionId, List<PackageContent> packages)
    {
        var textBytes = 0L;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new ArrayBufferWriter<byte>(1024);
        var repositories = new Dictionary<StoredRepository, byte[]>(ReferenceEqualityComparer.Instance);
        Append(osId);
        Append(osVersionId);
        foreach (var package in packages)
        {
            buffer.GetSpan(1)[0] = (byte)package.Manager;
            buffer.Advance(1);
            Append(package.Name);
            Append(package.Version);
            Append(package.Arch);
            Append(package.Module);
            Append(package.SourceName);
            Append(package.SourceVersion);
            if (package.Repository != StoredRepository.None)
            {
                buffer.Write<byte>([0xff]);
                buffer.Write(RepositoryDigest(package.Repository));
            }

            hash.AppendData(buffer.WrittenSpan);
            buffer.ResetWrittenCount();
        }

        hash.AppendData(buffer.WrittenSpan);
        return (hash.GetHashAndReset(), textBytes);

        byte[] RepositoryDigest(StoredRepository repository)
        {
            if (repositories.TryGetValue(repository, out var known)) return known;
            var text = $"{repository.Name}\n{repository.Evidence}\n{repository.Cpes}";
            var bytes = Encoding.UTF8.GetBytes(text);
            textBytes += bytes.Length;
            return repositories[repository] = SHA256.HashData(bytes);
        }

        void Append(string text)
        {
            var span = buffer.GetSpan(4 + Encoding.UTF8.GetMaxByteCount(text.Length));
            var length = Encoding.UTF8.GetBytes(text, span[4..]);
            BinaryPrimitives.WriteInt32LittleEndian(span, length);
            buffer.Advance(4 + length);
            textBytes += length;
        }
    }
}
