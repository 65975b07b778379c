using System.Buffers.Binary;
using System.Buffers.Text;
using System.Text;

namespace Guestmark.Inventory.Rpm;

/// <summary>Decodes the headers of one database into packages, each in one pass over its data.</summary>
/// <remarks>
/// The names lie at the front of the data; signatures, digests and the time of installation at its end, the trailer of the region
/// right before them. So the trailer is read and checked as rpm does: the page that holds it is needed anyway. What lies between
/// (change log, scripts, dependencies, most of a header) is passed over, and joined from its pages only where it was asked for.
/// </remarks>
/// <param name="request">What is wanted beyond the tags that every package has.</param>
/// <param name="database">See <see cref="Package.Database"/>.</param>
sealed class RpmHeader(PackageRequest request, string database)
{
    /// <summary>Longest text that names a package. The longest in the real databases of the tests has 90 bytes.</summary>
    public const int NameBytesMax = 1024;

    /// <summary>Other texts are cut here. The longest licence in the real databases of the tests has 351 bytes.</summary>
    public const int TextBytesMax = 4096;

    // OpenPGP signatures of RSA 4096 have 566 bytes; those of post-quantum algorithms up to 50 KB.
    const int SignatureBytesMax = 64 * 1024;
    const int SignaturesMax = 16;
    const int DigestBytesMax = 256;

    const uint TypeInt64 = 5;
    const uint TypeInt32 = 4;
    const uint TypeInt16 = 3;
    const uint TypeInt8 = 2;
    const uint TypeString = 6;
    const uint TypeBinary = 7;
    const uint TypeStringArray = 8;
    const uint TypeI18NString = 9;

    readonly HeaderIndex _index = new();
    readonly FileList _files = new();
    ChainedBytes _blob = new();
    TextPool _pool = new();
    string? _error;

    string? _name;
    string? _version;
    string? _release;
    uint? _epoch;
    string? _architecture;
    string? _sourceRpm;
    string? _modularityLabel;
    string? _summary;
    string? _vendor;
    string? _license;
    string? _group;
    string? _upstreamReleases;
    string? _sourceNevr;
    string? _sigMd5;
    string? _sha1Header;
    string? _sha256Header;
    string? _payloadDigest;
    uint? _payloadDigestAlgorithm;
    uint? _fileDigestAlgorithm;
    uint? _buildTime;
    uint? _installTime;
    uint? _installTransaction;
    ulong? _size;
    ulong? _longSize;
    OpenPgpSignature? _sigPgp;
    OpenPgpSignature? _sigGpg;
    OpenPgpSignature? _dsaHeader;
    OpenPgpSignature? _rsaHeader;
    OpenPgpSignature[] _openPgp = [];
    List<string>? _provideNames;
    List<string>? _provideVersions;
    List<string>? _requires;
    IReadOnlyList<PackageFile>? _packageFiles;

    // Most packages share the source of the one before.
    string? _lastSourceRpm;
    (string? Name, string? Version) _lastSource;

    /// <summary>What was wrong with the list of files of the last header. Null when nothing, or when nobody asked for files.</summary>
    public string? FileProblem => _files.Problem;

    /// <summary>Decodes a header as it is kept in a database.</summary>
    /// <param name="number">rpm's number of the header.</param>
    /// <param name="package">The package, also of an imported key, which rpm keeps as a package without architecture. Null when something is wrong.</param>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    public string? TryRead(ChainedBytes blob, uint number, TextPool pool, out Package? package)
    {
        package = null;
        Clear();
        (_blob, _pool) = (blob, pool);
        if (_index.TryRead(blob) is { } error) return error;
        if (request.Files is not null) _packageFiles = [];

        var filesRead = request.Files is null;
        for (var i = 0; i < _index.Count && _error is null; i++)
        {
            var field = _index[i];
            if (FileList.IsPart(field.Tag))
            {
                // All parts at once, when the first of them comes up: what lies before it is not needed any more.
                if (filesRead) continue;
                filesRead = true;
                _error = _files.TryRead(blob, _index, request.Files!, out _packageFiles);
                continue;
            }

            Decode(field);
        }

        if (_error is not null) return _error;
        if (string.IsNullOrEmpty(_name)) return "has no NAME";
        if (_version is null) return $"({GuestText.Quote(_name)}) has no VERSION";
        if (_release is null) return $"({GuestText.Quote(_name)}) has no RELEASE";
        package = ToPackage(number);
        return null;
    }

    void Clear()
    {
        _error = null;
        _files.Clear();
        (_name, _version, _release, _epoch, _architecture, _sourceRpm, _modularityLabel) = (null, null, null, null, null, null, null);
        (_summary, _vendor, _license, _group, _upstreamReleases, _sourceNevr) = (null, null, null, null, null, null);
        (_sigMd5, _sha1Header, _sha256Header, _payloadDigest) = (null, null, null, null);
        (_payloadDigestAlgorithm, _fileDigestAlgorithm, _buildTime, _installTime, _installTransaction) = (null, null, null, null, null);
        (_size, _longSize) = (null, null);
        (_sigPgp, _sigGpg, _dsaHeader, _rsaHeader, _openPgp) = (null, null, null, null, []);
        (_provideNames, _provideVersions, _requires, _packageFiles) = (null, null, null, null);
    }

    Package ToPackage(uint number)
    {
        var (sourceName, sourceVersion) = Source();
        return new Package
        {
            Manager = PackageManager.Rpm,
            Name = _name!,
            Epoch = _epoch,
            Version = _version!,
            Release = _release!,
            Architecture = _architecture ?? "",
            SourceRpm = _sourceRpm,
            ModularityLabel = _modularityLabel,
            SourceName = sourceName,
            SourceVersion = sourceVersion,
            Database = database,
            License = _license,
            Vendor = _vendor,
            Files = _packageFiles,
            Rpm = new RpmDetails
            {
                Number = number,
                Summary = _summary,
                Group = _group,
                InstallTime = _installTime,
                BuildTime = _buildTime,
                Size = _longSize ?? _size,
                SigMd5 = _sigMd5,
                Sha1Header = _sha1Header,
                Sha256Header = _sha256Header,
                PayloadDigestAlgorithm = _payloadDigestAlgorithm,
                PayloadDigest = _payloadDigest,
                RsaHeader = _rsaHeader,
                DsaHeader = _dsaHeader,
                PackageSignature = _sigPgp ?? _sigGpg,
                OpenPgp = _openPgp,
                SourceNevr = _sourceNevr,
                UpstreamReleases = _upstreamReleases,
                InstallTransaction = _installTransaction,
                FileDigestAlgorithm = _fileDigestAlgorithm,
                Provides = request.Dependencies ? Provides() : null,
                Requires = request.Dependencies ? _requires ?? [] : null,
            },
        };
    }

    /// <summary>By SOURCENEVR, which knows the epoch, else by the file name of the source package.</summary>
    (string? Name, string? Version) Source()
    {
        if (_sourceNevr is not null && RpmPackages.SplitNevr(_sourceNevr) is (not null, not null) source) return source;
        // Texts come from a pool, so that equal ones are mostly the same object.
        if (!ReferenceEquals(_sourceRpm, _lastSourceRpm))
        {
            _lastSourceRpm = _sourceRpm;
            _lastSource = RpmPackages.SourceOf(_sourceRpm);
            // Three of four source packages give their name to a package.
            if (_lastSource.Name == _name) _lastSource.Name = _name;
        }

        return _lastSource;
    }

    List<RpmDependency> Provides()
    {
        var provides = new List<RpmDependency>(_provideNames?.Count ?? 0);
        for (var i = 0; i < _provideNames?.Count; i++)
        {
            var version = i < _provideVersions?.Count ? _provideVersions[i] : "";
            provides.Add(new RpmDependency(_provideNames[i], version.Length > 0 ? version : null));
        }

        return provides;
    }

    void Decode(in HeaderField field)
    {
        switch (field.Tag)
        {
            case RpmTag.RegionImage or RpmTag.RegionSignatures or RpmTag.RegionImmutable: CheckTrailer(field); break;
            case RpmTag.Name: _name = Identity(field, "NAME", pooled: false); break;
            case RpmTag.Version: _version = Identity(field, "VERSION"); break;
            case RpmTag.Release: _release = Identity(field, "RELEASE"); break;
            case RpmTag.Architecture: _architecture = Identity(field, "ARCH"); break;
            case RpmTag.SourceRpm: _sourceRpm = Identity(field, "SOURCERPM"); break;
            case RpmTag.ModularityLabel: _modularityLabel = Identity(field, "MODULARITYLABEL"); break;
            case RpmTag.Epoch:
                var epoch = Number(field);
                if (epoch is null) _error ??= "has an EPOCH that is not a number";
                _epoch = (uint?)epoch;
                break;
            case RpmTag.Summary: _summary = Text(field, pooled: false); break;
            case RpmTag.Vendor: _vendor = Text(field); break;
            case RpmTag.License: _license = Text(field); break;
            case RpmTag.Group: _group = Text(field); break;
            case RpmTag.UpstreamReleases: _upstreamReleases = Text(field); break;
            case RpmTag.SourceNevr: _sourceNevr = Text(field); break;
            case RpmTag.BuildTime: _buildTime = (uint?)Number(field); break;
            case RpmTag.InstallTime: _installTime = (uint?)Number(field); break;
            case RpmTag.InstallTransaction: _installTransaction = (uint?)Number(field); break;
            case RpmTag.PayloadDigestAlgorithm: _payloadDigestAlgorithm = (uint?)Number(field); break;
            case RpmTag.FileDigestAlgorithm: _fileDigestAlgorithm = (uint?)Number(field); break;
            case RpmTag.Size: _size = Number(field); break;
            case RpmTag.LongSize: _longSize = Number(field); break;
            case RpmTag.SigMd5: _sigMd5 = BinaryAsHex(field); break;
            case RpmTag.Sha1Header: _sha1Header = Text(field, pooled: false); break;
            case RpmTag.Sha256Header: _sha256Header = Text(field, pooled: false); break;
            case RpmTag.PayloadDigest: _payloadDigest = Text(field, pooled: false); break;
            case RpmTag.SigPgp: _sigPgp = Signature(field); break;
            case RpmTag.SigGpg: _sigGpg = Signature(field); break;
            case RpmTag.DsaHeader: _dsaHeader = Signature(field); break;
            case RpmTag.RsaHeader: _rsaHeader = Signature(field); break;
            case RpmTag.OpenPgp: ReadOpenPgp(field); break;
            case RpmTag.ProvideName when request.Dependencies: _provideNames = Texts(field); break;
            case RpmTag.ProvideVersion when request.Dependencies: _provideVersions = Texts(field); break;
            case RpmTag.RequireName when request.Dependencies: _requires = Texts(field); break;
        }
    }

    void CheckTrailer(in HeaderField field)
    {
        var trailer = Data(field, HeaderIndex.TrailerBytes);
        if (_error is null && !_index.IsTrailer(field.Tag, trailer)) _error = "has a bad region: its trailer does not fit";
    }

    /// <summary>A text without which a package would be mistaken for another: wrong is an error.</summary>
    string? Identity(in HeaderField field, string tag, bool pooled = true)
    {
        if (!IsText(field) || (field.Count != 1 && field.Type != TypeI18NString))
        {
            _error ??= $"has a {tag} that is not one string";
            return null;
        }

        var data = Data(field, NameBytesMax + 1);
        var length = data.IndexOf((byte)0);
        if (length >= 0) return Text(data[..length], pooled);
        _error ??= data.Length > NameBytesMax ? $"has a {tag} of more than {NameBytesMax} bytes" : $"has a {tag} without an end";
        return null;
    }

    /// <summary>The first string of a field: of several languages that of no language. Null when it has another type.</summary>
    string? Text(in HeaderField field, bool pooled = true)
    {
        if (!IsText(field)) return null;
        var data = Data(field, TextBytesMax);
        var length = data.IndexOf((byte)0);
        if (length < 0) length = WholeCharacters(data);
        return _error is null ? Text(data[..length], pooled) : null;
    }

    string Text(ReadOnlySpan<byte> bytes, bool pooled) => pooled ? _pool.Text(bytes) : Encoding.UTF8.GetString(bytes);

    /// <summary>Length without the beginning of a character that was cut off.</summary>
    static int WholeCharacters(ReadOnlySpan<byte> text)
    {
        var continued = 0;
        while (continued < text.Length && continued < 3 && (text[^(continued + 1)] & 0xc0) == 0x80) continued++;
        if (continued == text.Length) return text.Length;
        var first = text[^(continued + 1)];
        var wanted = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0;
        return continued < wanted ? text.Length - continued - 1 : text.Length;
    }

    /// <summary>A number of any size: of several the first, as rpm takes it. Null when the field is something else.</summary>
    ulong? Number(in HeaderField field)
    {
        var bytes = field.Type switch { TypeInt8 => 1, TypeInt16 => 2, TypeInt32 => 4, TypeInt64 => 8, _ => 0 };
        var data = Data(field, bytes);
        return bytes == 0 || _error is not null ? null : bytes switch
        {
            1 => data[0],
            2 => BinaryPrimitives.ReadUInt16BigEndian(data),
            4 => BinaryPrimitives.ReadUInt32BigEndian(data),
            _ => BinaryPrimitives.ReadUInt64BigEndian(data),
        };
    }

    string? BinaryAsHex(in HeaderField field)
    {
        if (field.Type != TypeBinary || field.Count > DigestBytesMax) return null;
        var data = Data(field, field.Count);
        return _error is null ? Convert.ToHexStringLower(data) : null;
    }

    OpenPgpSignature? Signature(in HeaderField field)
    {
        if (field.Type != TypeBinary || field.Count > SignatureBytesMax) return null;
        var data = Data(field, field.Count);
        return _error is null ? OpenPgpPacket.Read(data, _pool) : null;
    }

    /// <summary>OPENPGP: each string is the base64 of one packet.</summary>
    void ReadOpenPgp(in HeaderField field)
    {
        if (!IsText(field) || field.Count > SignaturesMax) return;
        var data = Data(field, Math.Min(field.End - field.Offset, SignaturesMax * SignatureBytesMax));
        var signatures = new List<OpenPgpSignature>(field.Count);
        var packet = new byte[Base64.GetMaxDecodedFromUtf8Length(data.Length)];
        for (var i = 0; i < field.Count; i++)
        {
            var length = data.IndexOf((byte)0);
            if (length < 0) break;
            if (Base64.DecodeFromUtf8(data[..length], packet, out _, out var bytes) == System.Buffers.OperationStatus.Done
                && OpenPgpPacket.Read(packet.AsSpan(0, bytes), _pool) is { } signature) signatures.Add(signature);
            data = data[(length + 1)..];
        }

        _openPgp = [.. signatures];
    }

    List<string>? Texts(in HeaderField field)
    {
        if (!IsText(field)) return null;
        var data = Data(field, field.End - field.Offset);
        // The index has checked that each string has a byte.
        var texts = new List<string>(field.Count);
        for (var i = 0; i < field.Count && _error is null; i++)
        {
            var length = data.IndexOf((byte)0);
            if (length < 0)
            {
                _error = $"has strings of tag {(int)field.Tag} without an end";
                return null;
            }

            texts.Add(_pool.Text(data[..length]));
            data = data[(length + 1)..];
        }

        return texts;
    }

    static bool IsText(in HeaderField field) => field.Type is TypeString or TypeStringArray or TypeI18NString;

    /// <summary>The first bytes of a field; none, with an error, when they cannot be read.</summary>
    ReadOnlySpan<byte> Data(in HeaderField field, int bytesMax)
    {
        var error = _blob.Read(_index.DataStart + field.Offset, Math.Min(field.End - field.Offset, bytesMax), out var data);
        _error ??= error;
        return data;
    }
}
