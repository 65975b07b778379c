namespace Guestmark.Inventory;

/// <summary>What an rpm header says beyond what every package has. A value is null when the header lacks the tag.</summary>
public sealed record RpmDetails
{
    /// <summary>SHA-256 by its OpenPGP number (RFC 9580 section 9.5).</summary>
    public const uint Sha256 = 8;

    /// <summary>rpm's number of the header in its database (<c>DBINSTANCE</c>).</summary>
    public required uint Number { get; init; }

    public string? Summary { get; init; }

    public string? Group { get; init; }

    /// <summary>Seconds since 1970.</summary>
    public uint? InstallTime { get; init; }

    /// <summary>Seconds since 1970.</summary>
    public uint? BuildTime { get; init; }

    /// <summary>Bytes of the installed files: LONGSIZE, else SIZE.</summary>
    public ulong? Size { get; init; }

    /// <summary>MD5 of header and payload, in lower-case hex.</summary>
    public string? SigMd5 { get; init; }

    /// <summary>SHA-1 of the header, in lower-case hex.</summary>
    public string? Sha1Header { get; init; }

    /// <summary>SHA-256 of the header, in lower-case hex.</summary>
    public string? Sha256Header { get; init; }

    /// <summary>The hash of <see cref="PayloadDigest"/> by its OpenPGP number: <see cref="Sha256"/> today.</summary>
    public uint? PayloadDigestAlgorithm { get; init; }

    /// <summary>Hash of the compressed payload, in lower-case hex.</summary>
    public string? PayloadDigest { get; init; }

    /// <summary>RSAHEADER, signature of the header.</summary>
    public OpenPgpSignature? RsaHeader { get; init; }

    /// <summary>DSAHEADER, signature of the header. ECDSA and EdDSA signatures are kept here too.</summary>
    public OpenPgpSignature? DsaHeader { get; init; }

    /// <summary>SIGPGP or SIGGPG: signature of header and payload, of old packages.</summary>
    public OpenPgpSignature? PackageSignature { get; init; }

    /// <summary>OPENPGP: signatures of the header by rpm 6.</summary>
    public IReadOnlyList<OpenPgpSignature> OpenPgp { get; init; } = [];

    /// <summary>SOURCENEVR of rpm 6: <c>name-[epoch:]version-release</c> of the source package, epoch included.</summary>
    public string? SourceNevr { get; init; }

    public string? UpstreamReleases { get; init; }

    /// <summary>The number of the transaction that installed the package.</summary>
    public uint? InstallTransaction { get; init; }

    /// <summary>The hash of <see cref="PackageFile.Digest"/> by its OpenPGP number. Null is MD5 (1).</summary>
    public uint? FileDigestAlgorithm { get; init; }

    /// <summary>What the package provides. Null unless the scan was asked for it.</summary>
    public IReadOnlyList<RpmDependency>? Provides { get; init; }

    /// <summary>Names that the package requires. Null unless the scan was asked for them.</summary>
    public IReadOnlyList<string>? Requires { get; init; }

    /// <summary>The newest of the signatures above that name a key; null for a package that is not signed.</summary>
    public OpenPgpSignature? Signature =>
        OpenPgp is [var first, ..] ? first : RsaHeader ?? DsaHeader ?? PackageSignature;
}

/// <summary>A name that a package provides, with its version where it has one.</summary>
public readonly record struct RpmDependency(string Name, string? Version);

/// <summary>A file that a package installs.</summary>
/// <param name="Path">Absolute, from the root of the machine.</param>
/// <param name="Digest">In lower-case hex. Null for what has none: folders, links.</param>
/// <param name="Flags">rpm's FILEFLAGS (1 configuration, 2 documentation, 64 ghost …); 0 for other managers.</param>
public readonly record struct PackageFile(string Path, string? Digest, uint Flags);
