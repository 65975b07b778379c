using System.Globalization;
using Guestmark.Inventory;
using Guestmark.Inventory.Sbom;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// A package URL (purl) as a pattern of packages: what it leaves out, it does not ask for. A decision's products are written so.
/// </summary>
/// <remarks>
/// How the names of packages are written as package URLs is in the SBOM's documentation (docs/reference/sbom.md): the epoch of rpm is a
/// qualifier, that of dpkg part of the version.
/// </remarks>
sealed class PackagePattern
{
    const int LengthMax = 2048;
    const int QualifiersMax = 32;

    readonly PackageManager _manager;
    readonly string _namespace;
    readonly string _name;
    readonly string? _version;
    readonly string? _architecture;
    readonly string? _distribution;
    readonly string? _module;
    readonly uint? _epoch;

    PackagePattern(
        PackageManager manager, string nameSpace, string name, string? version, string? architecture, string? distribution, string? module, uint? epoch)
    {
        _manager = manager;
        _namespace = nameSpace;
        _name = name;
        _version = version;
        _architecture = architecture;
        _distribution = distribution;
        _module = module;
        _epoch = epoch;
    }

    /// <summary>The URL names the source package: every package built from it is meant.</summary>
    bool IsSource => _architecture is "src" or "source";

    /// <summary>
    /// Reads a package URL of a package that a machine can have, with qualifiers that can be checked. What restricts in a way that is not known
    /// here is an error: passing over it would make the pattern wider than it was written.
    /// </summary>
    /// <param name="text">The URL.</param>
    /// <param name="problem">Why it is none. Empty otherwise.</param>
    public static PackagePattern? Parse(string text, out string problem)
    {
        problem = "";
        if (text.Length > LengthMax) return Fail($"it has {text.Length} characters, limit {LengthMax}", out problem);
        if (!text.StartsWith("pkg:", StringComparison.OrdinalIgnoreCase)) return Fail("it does not begin with pkg:", out problem);
        if (text.Contains('#')) return Fail("a file in a package (#) is not known", out problem);
        if (PackageUrl.TryParse(text) is not { } url) return Fail("it has no name", out problem);
        if (url.Manager is not { } type) return Fail($"packages of type {url.Type} are not in any inventory", out problem);
        if (url.Qualifiers.Count > QualifiersMax) return Fail($"it has more than {QualifiersMax} qualifiers", out problem);
        string? architecture = null, distribution = null, module = null;
        uint? epoch = null;
        foreach (var (key, value) in url.Qualifiers)
        {
            // One without a value is as if it were not there.
            if (value.Length == 0) continue;
            switch (key)
            {
                case "arch":
                    architecture = value;
                    break;
                case "distro":
                    distribution = value;
                    break;
                case "epoch":
                    if (!uint.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number))
                        return Fail($"the epoch '{value}' is no number", out problem);
                    epoch = number;
                    break;
                case "modularitylabel" or "rpmmod":
                    module = value;
                    break;
                // Where a package comes from and what its file looks like follows from name and version; SBOMs write these.
                case "upstream" or "checksum" or "checksums" or "download_url" or "vcs_url" or "file_name" or "type" or "package-id":
                    break;
                default:
                    return Fail($"the qualifier {key} cannot be checked", out problem);
            }
        }

        // The namespace of these is part of the name in an inventory: group:artifact, @scope/name.
        var name = url.Name;
        if (url.Namespace.Length > 0 && type is PackageManager.Maven) name = $"{url.Namespace}:{name}";
        else if (url.Namespace.Length > 0 && (type is PackageManager.Npm or PackageManager.Go)) name = $"{url.Namespace}/{name}";
        return new PackagePattern(
            type, url.Namespace, name, url.Version.Length > 0 ? url.Version : null, architecture, distribution, module, epoch);

        static PackagePattern? Fail(string why, out string problem)
        {
            problem = why;
            return null;
        }
    }

    /// <summary>Whether the package is one of those that are meant.</summary>
    /// <param name="package">Installed.</param>
    /// <param name="os">Of the machine that has it.</param>
    public bool Matches(Package package, OsRelease os)
    {
        if (package.Manager != _manager) return false;
        if (IsSource)
        {
            if (!NamesEqual(package.SourceName ?? package.Name)) return false;
        }
        else if (!NamesEqual(package.Name) || (_architecture is not null && !_architecture.Equals(package.Architecture, StringComparison.Ordinal)))
        {
            return false;
        }

        var isOfSystem = _manager is PackageManager.Rpm or PackageManager.Dpkg or PackageManager.Apk;
        return VersionsEqual(package) && (!isOfSystem || SystemsEqual(os)) && ModulesEqual(package);
    }

    bool NamesEqual(string name) => _manager switch
    {
        PackageManager.PyPI => PythonNamesEqual(_name, name),
        // Of these the specification says that upper and lower case are the same.
        PackageManager.Npm or PackageManager.Go or PackageManager.NuGet or PackageManager.Dpkg or PackageManager.Apk =>
            _name.Equals(name, StringComparison.OrdinalIgnoreCase),
        _ => _name.Equals(name, StringComparison.Ordinal),
    };

    bool VersionsEqual(Package package)
    {
        if (_manager == PackageManager.Rpm && !IsSource && _epoch is { } epoch && epoch != (package.Epoch ?? 0)) return false;
        if (_version is null) return true;
        if (IsSource)
        {
            var source = package.SourceVersion ?? package.FullVersion;
            return _version.Equals(source, StringComparison.Ordinal)
                || (_manager == PackageManager.Rpm && source.AsSpan(source.IndexOf(':') + 1).SequenceEqual(_version));
        }

        var full = package.FullVersion;
        return _version.Equals(full, StringComparison.Ordinal)
            // The epoch is the qualifier's part.
            || (_manager == PackageManager.Rpm && package.Epoch is > 0 && full.AsSpan(full.IndexOf(':') + 1).SequenceEqual(_version));
    }

    /// <summary><c>redhat</c> is the namespace of RHEL; <c>distro=rhel-9</c> is any 9.x, <c>rhel-9.2</c> just that.</summary>
    bool SystemsEqual(OsRelease os)
    {
        if (_namespace.Length > 0 && !_namespace.Equals(os.Id, StringComparison.OrdinalIgnoreCase)
            && !(os.IsRhel && _namespace.Equals("redhat", StringComparison.OrdinalIgnoreCase)))
        {
            return false;
        }

        if (_distribution is null) return true;
        var distribution = _distribution.AsSpan();
        if (!distribution.StartsWith(os.Id, StringComparison.OrdinalIgnoreCase)) return false;
        distribution = distribution[os.Id.Length..];
        if (distribution.IsEmpty) return true;
        if (distribution[0] != '-') return false;
        distribution = distribution[1..];
        var version = os.VersionId.AsSpan();
        return version.SequenceEqual(distribution)
            || (version.Length > distribution.Length && version.StartsWith(distribution) && version[distribution.Length] == '.');
    }

    /// <summary><c>nodejs:18</c> is any build of the stream, <c>nodejs:18:8080020230718…:63b34585</c> just that.</summary>
    bool ModulesEqual(Package package) => _module is null
        || (package.ModularityLabel is { } label
            && (label == _module || (label.StartsWith(_module, StringComparison.Ordinal) && label[_module.Length] == ':')));

    /// <summary>
    /// Upper and lower case and runs of "-", "_" and "." are the same (https://packaging.python.org/en/latest/specifications/name-normalization/).
    /// </summary>
    static bool PythonNamesEqual(ReadOnlySpan<char> a, ReadOnlySpan<char> b)
    {
        int i = 0, j = 0;
        while (i < a.Length && j < b.Length)
        {
            var separatorA = a[i] is '-' or '_' or '.';
            if (separatorA != (b[j] is '-' or '_' or '.')) return false;
            if (separatorA)
            {
                while (i < a.Length && (a[i] is '-' or '_' or '.')) i++;
                while (j < b.Length && (b[j] is '-' or '_' or '.')) j++;
            }
            else if (char.ToLowerInvariant(a[i++]) != char.ToLowerInvariant(b[j++]))
            {
                return false;
            }
        }

        return i == a.Length && j == b.Length;
    }
}
