using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Guestmark.Inventory;

namespace Guestmark.Central.Storage;

/// <summary>A package as it is stored: what identifies it within its distribution, bounded.</summary>
readonly record struct PackageContent(
    PackageManager Manager, string Name, string Version, string Arch, string Module, string SourceName, string SourceVersion)
{
    /// <summary>Any total order: the digest needs one.</summary>
    public static readonly Comparison<PackageContent> Order = (a, b) => a.CompareTo(b);

    public static PackageContent Of(Package package) => new(
        package.Manager,
        StoredText.Bound(package.Name),
        StoredText.Bound(package.FullVersion),
        StoredText.Bound(package.Architecture),
        StoredText.Bound(package.ModularityLabel),
        StoredText.Bound(package.SourceName),
        StoredText.Bound(package.SourceVersion));

    int CompareTo(PackageContent other)
    {
        var order = string.CompareOrdinal(Name, other.Name);
        if (order == 0) order = string.CompareOrdinal(Version, other.Version);
        if (order == 0) order = string.CompareOrdinal(Arch, other.Arch);
        if (order == 0) order = string.CompareOrdinal(Module, other.Module);
        if (order == 0) order = string.CompareOrdinal(SourceName, other.SourceName);
        if (order == 0) order = string.CompareOrdinal(SourceVersion, other.SourceVersion);
        return order == 0 ? Manager.CompareTo(other.Manager) : order;
    }
}

/// <summary>The packages of one report in a form that is the same for the same content, whatever the order of the report.</summary>
/// <param name="Bytes">What it costs to store: its text in UTF-8, and 64 for the rows and index entries of each package.</param>
/// <param name="Digest">SHA-256 over the distribution and the sorted packages; each field is preceded by its length as u32 LE.</param>
sealed record PackageSet(string OsId, string OsVersionId, string OsPrettyName, IReadOnlyList<PackageContent> Packages, long Bytes, byte[] Digest)
{
    const int RowBytes = 64;

    public static PackageSet Of(GuestInventory inventory)
    {
        var packages = inventory.Packages.Select(PackageContent.Of).Distinct().ToList();
        packages.Sort(PackageContent.Order);
        var osId = StoredText.Bound(inventory.Os.Id);
        var osVersionId = StoredText.Bound(inventory.Os.VersionId);
        var (digest, textBytes) = DigestOf(osId, osVersionId, packages);
        return new PackageSet(
            osId, osVersionId, StoredText.Bound(inventory.Os.PrettyName), packages, textBytes + (long)RowBytes * packages.Count, digest);
    }

    static (byte[] Digest, long TextBytes) DigestOf(string osId, string osVersionId, List<PackageContent> packages)
    {
        var textBytes = 0L;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new ArrayBufferWriter<byte>(1024);
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
            hash.AppendData(buffer.WrittenSpan);
            buffer.ResetWrittenCount();
        }

        hash.AppendData(buffer.WrittenSpan);
        return (hash.GetHashAndReset(), textBytes);

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
