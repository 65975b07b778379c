using Guestmark.Inventory.Rpm;

namespace Guestmark.Inventory.Tests.Rpm;

/// <summary>What was read of a database file.</summary>
sealed class ReadDatabase(DatabaseContents contents)
{
    public List<Package> Packages => contents.Packages;

    public IEnumerable<(uint Number, string Name)> Headers => contents.Packages.Select(package => (package.Rpm!.Number, package.Name));

    public IReadOnlyList<string> Problems => contents.Problems;
}

/// <summary>Reads a database file by its path on this machine.</summary>
static class Databases
{
    public static ReadDatabase Read(string path, FileSelector? files = null, bool dependencies = false)
    {
        Assert.Null(GuestRoot.TryOpen(Path.GetDirectoryName(path)!, out var root));
        using var _ = root;
        Assert.Null(root!.TryOpenFile(Path.GetFileName(path), out var file));
        using var __ = file;
        Assert.NotNull(file);
        return new ReadDatabase(RpmDatabase.Read(root, file, new PackageRequest("var/lib/rpm", files, dependencies), CancellationToken.None));
    }

    /// <summary>The 20 columns of the expected values, as rpm prints them.</summary>
    public static string Line(Package package)
    {
        var rpm = package.Rpm!;
        return string.Join('\t', [.. new object?[]
        {
            rpm.Number, package.Name, package.Epoch, package.Version, package.Release, package.Architecture.Length > 0 ? package.Architecture : null,
            package.SourceRpm, package.ModularityLabel, package.Vendor, rpm.InstallTime, rpm.BuildTime, rpm.Size, rpm.SigMd5, rpm.Sha1Header,
            rpm.Sha256Header, rpm.PayloadDigestAlgorithm, rpm.PayloadDigest, Signature(rpm.RsaHeader), Signature(rpm.DsaHeader), package.License,
        }.Select(value => value?.ToString() ?? "(none)")]);
    }

    public static List<string> Lines(IEnumerable<Package> packages) => [.. packages.Select(Line).Order(StringComparer.Ordinal)];

    /// <summary><c>RSA/SHA256, Thu Jan 27 09:01:16 2022, Key ID 0cd9fed33135ce90</c>, as <c>:pgpsig</c> prints it.</summary>
    static string? Signature(OpenPgpSignature? signature)
    {
        if (signature is null) return null;
        var key = signature.PublicKeyAlgorithm switch { 1 => "RSA", 17 => "DSA", 19 => "ECDSA", 22 => "EdDSA", var other => $"{other}" };
        var hash = signature.HashAlgorithm switch { 1 => "MD5", 2 => "SHA1", 8 => "SHA256", 9 => "SHA384", 10 => "SHA512", var other => $"{other}" };
        var time = DateTimeOffset.FromUnixTimeSeconds(signature.Created!.Value);
        return $"{key}/{hash}, {time:ddd MMM} {time.Day,2} {time:HH:mm:ss yyyy}, Key ID {signature.KeyId}";
    }
}

/// <summary>A test over real databases that needs programs of rpm or Berkeley DB. Skipped, by name, where one or the other is absent.</summary>
sealed class RealDatabaseFactAttribute : FactAttribute
{
    public RealDatabaseFactAttribute(params string[] tools) =>
        Skip = new TestKit.TestDataFactAttribute().Skip ?? new TestKit.ToolFactAttribute(tools).Skip;
}
