using System.Buffers.Text;
using System.Text;

namespace Guestmark.Vulnerabilities;

/// <summary>A package of a CSAF product tree. Texts are numbers of the reader's table of texts, 0 when there is none.</summary>
/// <param name="Ecosystem">The product of a package of a programming language (<c>PyPI</c>), which is a product by itself.</param>
/// <param name="Name">As in <see cref="PackageStatement.Name"/>.</param>
/// <param name="Version">With an epoch when it is not 0, as rpm and dpkg write it.</param>
/// <param name="Range">A range of versions in place of one, as vers or comparisons.</param>
/// <param name="Module">The <c>name:stream</c> that it is a build of.</param>
readonly record struct CsafPackage(int Ecosystem, int Name, PackageNaming Naming, int Version, int Range, int Module);

/// <summary>Reads package URLs and names with versions, into numbers of texts.</summary>
sealed class CsafPackageReader(Utf8Table texts)
{
    // Names and versions of real packages stay below 100 bytes.
    const int TextMax = 512;

    readonly byte[] _decoded = new byte[TextMax];
    readonly byte[] _built = new byte[(2 * TextMax) + 1];

    // Ids of one build lie side by side in a document: the next package often has the name, version and architecture of the last.
    int _lastName;
    int _lastVersion;
    int _lastModule;
    int _lastArchitecture;

    /// <summary>What was read, when there is neither <see cref="LeftOut"/> nor <see cref="Wrong"/>.</summary>
    public CsafPackage Package { get; private set; }

    /// <summary>Number of its architecture. 0: it says none, or it is a source package.</summary>
    public int Architecture { get; private set; }

    /// <summary>Of a distribution, whose builds replace one another; else of a programming language.</summary>
    public bool OfDistribution { get; private set; }

    /// <summary>A module by itself, as <c>pkg:rpmmod/redhat/python39@3.9:8060020240801142753:6a631399</c>.</summary>
    public bool IsModule => Package.Naming == PackageNaming.Module;

    /// <summary>Why it is none of the packages that are matched.</summary>
    public string? LeftOut { get; private set; }

    /// <summary>What is wrong with it.</summary>
    public string? Wrong { get; private set; }

    /// <summary>
    /// <c>scheme:type/namespace/name@version?qualifiers#subpath</c> (https://github.com/package-url/purl-spec).
    /// </summary>
    /// <param name="moduleOfTree">The module that the product tree puts it in.</param>
    public void ReadPurl(ReadOnlySpan<byte> purl, int moduleOfTree)
    {
        Reset();
        var rest = purl;
        if (!rest.StartsWith("pkg:"u8))
        {
            Wrong = "no package URL";
            return;
        }

        rest = rest["pkg:"u8.Length..].TrimStart((byte)'/');
        var hash = rest.IndexOf((byte)'#');
        if (hash >= 0) rest = rest[..hash];
        ReadOnlySpan<byte> qualifiers = default;
        var question = rest.IndexOf((byte)'?');
        if (question >= 0)
        {
            qualifiers = rest[(question + 1)..];
            rest = rest[..question];
        }

        var slash = rest.IndexOf((byte)'/');
        if (slash <= 0)
        {
            Wrong = "package URL without a name";
            return;
        }

        var type = rest[..slash];
        rest = rest[(slash + 1)..];
        ReadOnlySpan<byte> version = default;
        // npm's scope is written %40scope, but not by everyone: an '@' before the last '/' is part of the namespace.
        var at = rest.LastIndexOf((byte)'@');
        if (at > rest.LastIndexOf((byte)'/') && at > 0)
        {
            version = rest[(at + 1)..];
            rest = rest[..at];
        }

        var last = rest.LastIndexOf((byte)'/');
        var space = last < 0 ? default : rest[..last];
        var name = rest[(last + 1)..];
        if (name.IsEmpty || purl.Length > 4 * TextMax)
        {
            Wrong = name.IsEmpty ? "package URL without a name" : "package URL longer than 2048 bytes";
            return;
        }

        if (type.SequenceEqual("rpm"u8)) ReadRpm(name, version, qualifiers, moduleOfTree);
        else if (type.SequenceEqual("rpmmod"u8)) ReadModule(name, version);
        else if (type.SequenceEqual("deb"u8) || type.SequenceEqual("apk"u8)) ReadOther(name, version, qualifiers);
        else ReadLanguage(type, space, name, version);
    }

    /// <summary>
    /// A package of SUSE, which its documents name <c>bind-libs-9.9.4P2-0.6.1.x86_64</c>, <c>samba-4.19.2+git.322.7e9201cef5-1.1</c> or <c>samba</c>.
    /// </summary>
    /// <param name="architecture">The branch of the tree that it is in; empty outside of any.</param>
    public void ReadName(ReadOnlySpan<byte> name, ReadOnlySpan<byte> architecture)
    {
        Reset();
        var source = false;
        if (!architecture.IsEmpty && name.Length > architecture.Length + 1 && name.EndsWith(architecture) && name[^(architecture.Length + 1)] == '.')
        {
            name = name[..^(architecture.Length + 1)];
            source = IsSource(architecture);
            Architecture = source ? 0 : texts.Add(architecture);
        }

        ReadOnlySpan<byte> version = default;
        var release = name.LastIndexOf((byte)'-');
        var start = release <= 0 ? -1 : name[..release].LastIndexOf((byte)'-');
        if (start > 0 && char.IsAsciiDigit((char)name[start + 1]) && IsRelease(name[(release + 1)..]))
        {
            version = name[(start + 1)..];
            name = name[..start];
        }

        if (!IsName(name) || version.Length > TextMax)
        {
            Wrong = "no package name";
            return;
        }

        OfDistribution = true;
        Package = new CsafPackage(0, texts.Add(name), source ? PackageNaming.Source : PackageNaming.Binary, texts.Add(version), 0, 0);
    }

    /// <summary>
    /// A component of RHEL that the old feed's documents of 2023 and before name without a package URL: <c>kernel</c>, <c>python27:2.7/python</c>.
    /// Nothing says whether it is a source or a binary package.
    /// </summary>
    public void ReadComponent(ReadOnlySpan<byte> name)
    {
        Reset();
        var module = 0;
        var slash = name.IndexOf((byte)'/');
        if (slash >= 0)
        {
            // rhel8/postgresql-12 is a container image, io.quarkus/quarkus-core a Java archive.
            if (name[..slash].IndexOf((byte)':') < 0)
            {
                LeftOut = "component without a package URL that is no rpm package";
                return;
            }

            module = ModuleOf(name[..slash]);
            if (Wrong is not null) return;
            name = name[(slash + 1)..];
        }

        if (!IsName(name) || name.IndexOfAny((byte)'/', (byte)':') >= 0)
        {
            LeftOut = "component without a package URL that is no rpm package";
            return;
        }

        OfDistribution = true;
        Package = new CsafPackage(0, texts.Add(name), PackageNaming.Either, 0, 0, module);
    }

    /// <summary>
    /// The stream of <c>name:stream:version:context</c>, which <c>rpmmod</c> and older module products are. 0: it is none; a purl of RHEL 10 has
    /// <c>rpmmod=rhel10</c> for what is built for Flatpak.
    /// </summary>
    public int ModuleOf(ReadOnlySpan<byte> label)
    {
        Wrong = null;
        var colon = label.IndexOf((byte)':');
        if (colon < 0 && !label.IsEmpty) return 0;
        var stream = label[(colon + 1)..];
        var end = stream.IndexOf((byte)':');
        if (end >= 0) stream = stream[..end];
        if (colon <= 0 || stream.IsEmpty)
        {
            Wrong = $"module '{Encoding.UTF8.GetString(label)}' is not name:stream";
            return 0;
        }

        return _lastModule = texts.Add(label[..(colon + 1 + stream.Length)], _lastModule);
    }

    void Reset()
    {
        Package = default;
        Architecture = 0;
        OfDistribution = false;
        LeftOut = null;
        Wrong = null;
    }

    void ReadRpm(ReadOnlySpan<byte> name, ReadOnlySpan<byte> version, ReadOnlySpan<byte> qualifiers, int moduleOfTree)
    {
        OfDistribution = true;
        var module = moduleOfTree;
        var naming = PackageNaming.Either;
        ReadOnlySpan<byte> epoch = default;
        while (!qualifiers.IsEmpty)
        {
            var end = qualifiers.IndexOf((byte)'&');
            var pair = end < 0 ? qualifiers : qualifiers[..end];
            qualifiers = end < 0 ? default : qualifiers[(end + 1)..];
            if (pair.StartsWith("arch="u8) && pair.Length > "arch=".Length)
            {
                var arch = pair["arch=".Length..];
                naming = IsSource(arch) ? PackageNaming.Source : PackageNaming.Binary;
                if (naming == PackageNaming.Binary) Architecture = _lastArchitecture = texts.Add(arch, _lastArchitecture);
            }
            else if (pair.StartsWith("epoch="u8))
            {
                epoch = pair["epoch=".Length..];
            }
            else if (pair.StartsWith("rpmmod="u8))
            {
                if (!TryDecode(pair["rpmmod=".Length..], out var label)) return;
                var named = ModuleOf(label);
                if (Wrong is not null) return;
                if (named != 0) module = named;
            }
        }

        if (!TryDecode(name, out var decoded)) return;
        if (!IsName(decoded))
        {
            Wrong = "no package name";
            return;
        }

        var nameText = _lastName = texts.Add(decoded, _lastName);
        if (!TryDecode(version, out var evr)) return;
        if (!epoch.IsEmpty && !epoch.SequenceEqual("0"u8) && !evr.IsEmpty)
        {
            if (epoch.Length > 10 || epoch.IndexOfAnyExceptInRange((byte)'0', (byte)'9') >= 0)
            {
                Wrong = $"epoch '{Encoding.UTF8.GetString(epoch)}' is no number";
                return;
            }

            epoch.CopyTo(_built);
            _built[epoch.Length] = (byte)':';
            evr.CopyTo(_built.AsSpan(epoch.Length + 1));
            evr = _built.AsSpan(0, epoch.Length + 1 + evr.Length);
        }

        // The version of some unfixed packages of modules is the stream: go-toolset@rhel8 with rpmmod=go-toolset:rhel8.
        if (module != 0 && evr.SequenceEqual(texts[module][(texts[module].IndexOf((byte)':') + 1)..])) evr = default;
        var versionText = evr.IsEmpty ? 0 : _lastVersion = texts.Add(evr, _lastVersion);
        if (naming != PackageNaming.Binary && IsModuleBuild(evr, out var stream))
        {
            // Named after the build of the module: python39-0:3.9-8100020240826142629.d47b87a4.
            var label = (Span<byte>)_built;
            var length = texts[nameText].Length;
            texts[nameText].CopyTo(label);
            label[length] = (byte)':';
            texts[versionText][..stream].CopyTo(label[(length + 1)..]);
            Package = new CsafPackage(0, module != 0 ? module : texts.Add(label[..(length + 1 + stream)]), PackageNaming.Module, versionText, 0, 0);
            return;
        }

        Package = new CsafPackage(0, nameText, naming, versionText, 0, module);
    }

    // stream-version.context, where the version is the platform and a time to the second, and the context 8 hexadecimal digits.
    static bool IsModuleBuild(ReadOnlySpan<byte> version, out int streamLength)
    {
        streamLength = version.LastIndexOf((byte)'-');
        if (streamLength <= 0 || version.IndexOf((byte)':') >= 0) return false;
        var build = version[(streamLength + 1)..];
        var dot = build.IndexOf((byte)'.');
        return dot >= 15 && build.Length - dot - 1 == 8 && build[..dot].IndexOfAnyExceptInRange((byte)'0', (byte)'9') < 0
            && build[(dot + 1)..].IndexOfAnyExcept("0123456789abcdef"u8) < 0;
    }

    // name@stream:version:context, which is name-stream-version.context of a build.
    void ReadModule(ReadOnlySpan<byte> name, ReadOnlySpan<byte> version)
    {
        OfDistribution = true;
        if (!TryDecode(version, out var label)) return;
        var colon = label.IndexOf((byte)':');
        var stream = colon < 0 ? label : label[..colon];
        var build = colon < 0 ? default : label[(colon + 1)..];
        if (stream.IsEmpty || !IsName(name))
        {
            Wrong = "module without a stream";
            return;
        }

        var text = (Span<byte>)_built;
        name.CopyTo(text);
        text[name.Length] = (byte)':';
        stream.CopyTo(text[(name.Length + 1)..]);
        var module = texts.Add(text[..(name.Length + 1 + stream.Length)]);
        var evr = 0;
        if (!build.IsEmpty)
        {
            stream.CopyTo(text);
            text[stream.Length] = (byte)'-';
            build.CopyTo(text[(stream.Length + 1)..]);
            text = text[..(stream.Length + 1 + build.Length)];
            var separator = build.IndexOf((byte)':');
            if (separator >= 0) text[stream.Length + 1 + separator] = (byte)'.';
            evr = texts.Add(text);
        }

        Package = new CsafPackage(0, module, PackageNaming.Module, evr, 0, 0);
    }

    // deb and apk: arch=source is a source package.
    void ReadOther(ReadOnlySpan<byte> name, ReadOnlySpan<byte> version, ReadOnlySpan<byte> qualifiers)
    {
        OfDistribution = true;
        var arch = Qualifier(qualifiers, "arch"u8);
        var naming = arch.IsEmpty ? PackageNaming.Either : IsSource(arch) ? PackageNaming.Source : PackageNaming.Binary;
        if (naming == PackageNaming.Binary) Architecture = texts.Add(arch);
        if (!TryDecode(name, out var decoded)) return;
        var text = texts.Add(decoded);
        if (!TryDecode(version, out decoded)) return;
        Package = new CsafPackage(0, text, naming, texts.Add(decoded), 0, 0);
    }

    void ReadLanguage(ReadOnlySpan<byte> type, ReadOnlySpan<byte> space, ReadOnlySpan<byte> name, ReadOnlySpan<byte> version)
    {
        var (ecosystem, separator) = Encoding.UTF8.GetString(type[..Math.Min(type.Length, 32)]) switch
        {
            "pypi" => ("PyPI", '\0'),
            "npm" => ("npm", '/'),
            "maven" => ("Maven", ':'),
            "golang" => ("Go", '/'),
            "nuget" => ("NuGet", '\0'),
            "cargo" => ("crates.io", '\0'),
            "gem" => ("RubyGems", '\0'),
            "composer" => ("Packagist", '/'),
            "hex" => ("Hex", '/'),
            "pub" => ("Pub", '\0'),
            _ => (null, '\0'),
        };
        if (ecosystem is null)
        {
            LeftOut = $"package URL of type {Encoding.UTF8.GetString(type[..Math.Min(type.Length, 32)])}";
            return;
        }

        var length = 0;
        if (!space.IsEmpty && separator != '\0')
        {
            if (!TryDecode(space, out var before)) return;
            before.CopyTo(_built);
            length = before.Length;
            _built[length++] = (byte)separator;
        }

        if (!TryDecode(name, out var decoded)) return;
        decoded.CopyTo(_built.AsSpan(length));
        var text = texts.Add(_built.AsSpan(0, length + decoded.Length));
        if (!TryDecode(version, out decoded)) return;
        Package = new CsafPackage(texts.Add(Encoding.UTF8.GetBytes(ecosystem)), text, PackageNaming.Binary, texts.Add(decoded), 0, 0);
    }

    public void SetRange(int range) => Package = Package with { Range = range };

    static bool IsSource(ReadOnlySpan<byte> arch) => arch.SequenceEqual("src"u8) || arch.SequenceEqual("nosrc"u8) || arch.SequenceEqual("source"u8);

    // 1.1, 150200.4.42.1, lp155.2.1: what SUSE's build service makes.
    static bool IsRelease(ReadOnlySpan<byte> text)
    {
        if (text.StartsWith("lp"u8) || text.StartsWith("bp"u8)) text = text[2..];
        return !text.IsEmpty && char.IsAsciiDigit((char)text[0]) && text.IndexOfAnyExcept("0123456789."u8) < 0;
    }

    // Spaces are in names of products, never in those of packages.
    static bool IsName(ReadOnlySpan<byte> name) => !name.IsEmpty && name.Length <= TextMax && name.IndexOfAnyInRange((byte)0, (byte)' ') < 0;

    static ReadOnlySpan<byte> Qualifier(ReadOnlySpan<byte> qualifiers, ReadOnlySpan<byte> key)
    {
        while (!qualifiers.IsEmpty)
        {
            var end = qualifiers.IndexOf((byte)'&');
            var pair = end < 0 ? qualifiers : qualifiers[..end];
            qualifiers = end < 0 ? default : qualifiers[(end + 1)..];
            if (pair.Length > key.Length && pair[key.Length] == '=' && pair.StartsWith(key)) return pair[(key.Length + 1)..];
        }

        return default;
    }

    // Percent-encoding of RFC 3986; a '+' is a '+'. The result is valid until the next call. False with Wrong set.
    bool TryDecode(ReadOnlySpan<byte> text, out ReadOnlySpan<byte> decoded)
    {
        decoded = text;
        if (text.Length > TextMax)
        {
            Wrong = $"longer than {TextMax} bytes";
            return false;
        }

        var i = text.IndexOf((byte)'%');
        if (i < 0) return true;
        text[..i].CopyTo(_decoded);
        var length = i;
        for (; i < text.Length; i++)
        {
            var value = text[i];
            if (value == '%')
            {
                if (i + 2 >= text.Length || !Utf8Parser.TryParse(text.Slice(i + 1, 2), out value, out var used, 'x') || used != 2)
                {
                    Wrong = "a '%' without two hexadecimal digits";
                    return false;
                }

                i += 2;
            }

            _decoded[length++] = value;
        }

        decoded = _decoded.AsSpan(0, length);
        return true;
    }
}
