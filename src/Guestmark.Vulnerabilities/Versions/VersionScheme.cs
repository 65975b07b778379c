namespace Guestmark.Vulnerabilities;

/// <summary>An order of versions by the name of who defines it: <c>rpm</c>, <c>pypi</c>. Each is total: any two texts have an order.</summary>
public sealed class VersionScheme
{
    readonly VersionComparison _compare;
    readonly Validation _isValid;

    VersionScheme(string name, string[] aliases, string description, VersionComparison compare, Validation isValid)
    {
        Name = name;
        Aliases = aliases;
        Description = description;
        _compare = compare;
        _isValid = isValid;
    }

    delegate bool Validation(ReadOnlySpan<byte> version);

    public static VersionScheme Rpm { get; } = new("rpm", [], "rpm packages: [epoch:]version[-release]", RpmVersion.Compare, RpmVersion.IsValid);

    public static VersionScheme Dpkg { get; } =
        new("dpkg", ["deb"], "Debian packages: [epoch:]upstream[-revision]", DpkgVersion.Compare, DpkgVersion.IsValid);

    public static VersionScheme Apk { get; } = new("apk", [], "Alpine packages: 1.2.3a_rc1-r0", ApkVersion.Compare, ApkVersion.IsValid);

    public static VersionScheme Semver { get; } =
        new("semver", ["swift", "julia", "bitnami"], "SemVer 2.0.0", SemanticVersion.Compare, SemanticVersion.IsValid);

    public static VersionScheme Npm { get; } = new("npm", [], "Node.js packages: SemVer 2.0.0", SemanticVersion.Compare, SemanticVersion.IsValid);

    public static VersionScheme Crates { get; } =
        new("crates", ["cargo", "crates.io"], "Rust crates: SemVer 2.0.0", SemanticVersion.Compare, SemanticVersion.IsValid);

    public static VersionScheme Hex { get; } =
        new("hex", [], "Erlang and Elixir packages: SemVer 2.0.0", SemanticVersion.Compare, SemanticVersion.IsValid);

    public static VersionScheme Pub { get; } = new("pub", [], "Dart packages: SemVer 2.0.0", SemanticVersion.Compare, SemanticVersion.IsValid);

    public static VersionScheme Go { get; } =
        new("go", ["golang"], "Go modules and toolchains: v1.2.3, go1.21rc2", SemanticVersion.CompareGo, SemanticVersion.IsValidGo);

    public static VersionScheme Pypi { get; } = new("pypi", ["pep440"], "Python packages: PEP 440", PypiVersion.Compare, PypiVersion.IsValid);

    public static VersionScheme Maven { get; } =
        new("maven", [], "Java artifacts: Maven's ComparableVersion", MavenVersion.Compare, MavenVersion.IsValid);

    public static VersionScheme NuGet { get; } =
        new("nuget", [], ".NET packages: SemVer with up to four numbers", SemanticVersion.CompareNuGet, SemanticVersion.IsValidNuGet);

    public static VersionScheme RubyGems { get; } =
        new("rubygems", ["gem"], "Ruby gems: Gem::Version", RubyGemsVersion.Compare, RubyGemsVersion.IsValid);

    public static VersionScheme Packagist { get; } =
        new("packagist", ["composer"], "PHP packages: Composer's normal form", PackagistVersion.Compare, PackagistVersion.IsValid);

    public static VersionScheme Cran { get; } = new("cran", [], "R packages: numbers", NumbersVersion.Compare, NumbersVersion.IsValid);

    public static VersionScheme Hackage { get; } = new("hackage", [], "Haskell packages: numbers", NumbersVersion.Compare, NumbersVersion.IsValid);

    /// <summary>OCaml's is that of Debian without epoch and revision (https://opam.ocaml.org/doc/Manual.html#version-ordering).</summary>
    public static VersionScheme Opam { get; } =
        new("opam", [], "OCaml packages: Debian's order of one part", DpkgVersion.ComparePart, version => !version.IsEmpty);

    /// <summary>All schemes, in the order of docs/reference/versions.md.</summary>
    public static IReadOnlyList<VersionScheme> All { get; } =
        [Rpm, Dpkg, Apk, Semver, Npm, Crates, Hex, Pub, Go, Pypi, Maven, NuGet, RubyGems, Packagist, Cran, Hackage, Opam];

    public string Name { get; }

    /// <summary>Other names, most of them the types of package URLs: <c>deb</c>, <c>golang</c>.</summary>
    public IReadOnlyList<string> Aliases { get; }

    /// <summary>For people, in a few words.</summary>
    public string Description { get; }

    /// <summary>The scheme of that name or alias, in any case. Null when there is none.</summary>
    public static VersionScheme? Find(ReadOnlySpan<char> name)
    {
        foreach (var scheme in All)
        {
            if (name.Equals(scheme.Name, StringComparison.OrdinalIgnoreCase)) return scheme;
            foreach (var alias in scheme.Aliases)
            {
                if (name.Equals(alias, StringComparison.OrdinalIgnoreCase)) return scheme;
            }
        }

        return null;
    }

    /// <summary>
    /// Less than, equal to or greater than zero as <paramref name="a"/> is older than, the same as or newer than <paramref name="b"/>.
    /// </summary>
    public int Compare(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b) => _compare(a, b);

    /// <inheritdoc cref="Compare(ReadOnlySpan{byte}, ReadOnlySpan{byte})"/>
    public int Compare(ReadOnlySpan<char> a, ReadOnlySpan<char> b) => VersionText.Compare(a, b, _compare);

    /// <summary>
    /// Whether the text is what those who define the scheme take for a version. Others have an order too, which docs/reference/versions.md gives.
    /// </summary>
    public bool IsValid(ReadOnlySpan<byte> version) => _isValid(version);

    public override string ToString() => Name;
}
