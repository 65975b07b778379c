using System.Buffers;
using System.Text;
using System.Text.Json;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// Reads the security databases of Alpine (https://secdb.alpinelinux.org/, one for each release and repository) and of Wolfi and
/// Chainguard, which have the same form.
/// </summary>
/// <remarks>
/// <code>
/// { "apkurl": "…", "archs": ["x86_64"], "reponame": "main", "urlprefix": "https://…", "distroversion": "v3.19",
///   "packages": [ { "pkg": { "name": "curl", "secfixes": { "8.4.0-r0": ["CVE-2023-38545", "CVE-2023-38546"], "0": ["CVE-2024-2466"] } } } ] }
/// </code>
/// A package is a document: its id is the package's name and its part the release and repository (<c>v3.19/main</c>). Names are those of
/// APKBUILDs, which are what apk calls the origin: a name stands for every package that is built from it. A version says in which build
/// the vulnerabilities in its list were fixed, "0" that the package was never affected by them. An item may name one vulnerability in
/// several ways ("CVE-2020-29040 XSA-355"): where it names a CVE, that counts, else each of its words is taken as an id. Wolfi and
/// Chainguard have no <c>distroversion</c>, and are told by <c>urlprefix</c> and <c>reponame</c>.
/// </remarks>
sealed class AlpineSecdb
{
    const int NameCharsMax = 512;
    const int IdBytesMax = 64;

    // main and community of a release have 500 and 1,500 packages with fixes.
    const int HeldPackagesMax = 100_000;

    readonly JsonText _text = new();
    readonly string _document;
    readonly IFeedSink _sink;
    readonly List<(string Name, Fix[] Fixes)> _held = [];
    readonly List<Fix> _fixes = [];
    string? _release;
    string? _repository;
    string? _url;
    string? _product;
    int _index;

    AlpineSecdb(string document, IFeedSink sink)
    {
        _document = document;
        _sink = sink;
    }

    readonly record struct Fix(string Version, string Id);

    /// <summary>Gives every package to <paramref name="sink"/>. One that is never affected by anything is kept, too.</summary>
    /// <exception cref="IOException">The stream cannot be read.</exception>
    public static void Read(string document, Stream stream, IFeedSink sink, CancellationToken cancellationToken)
    {
        try
        {
            var json = new JsonStream(stream, cancellationToken);
            new AlpineSecdb(document, sink).ReadRoot(ref json);
        }
        catch (JsonException e)
        {
            sink.Skip(document, "", $"not valid JSON: {e.Message}");
        }
    }

    void ReadRoot(ref JsonStream json)
    {
        json.Read();
        if (json.Json.TokenType != JsonTokenType.StartObject)
        {
            _sink.Skip(_document, "$", JsonText.Instead(ref json.Json, "an object"));
            return;
        }

        var hasPackages = false;
        while (json.ReadProperty())
        {
            if (json.Is("distroversion"u8))
            {
                _release = Text(ref json, "$.distroversion");
            }
            else if (json.Is("reponame"u8))
            {
                _repository = Text(ref json, "$.reponame");
            }
            else if (json.Is("urlprefix"u8))
            {
                _url = Text(ref json, "$.urlprefix");
            }
            else if (json.Is("packages"u8))
            {
                json.Read();
                if (json.Json.TokenType != JsonTokenType.StartArray)
                {
                    _sink.Skip(_document, "$.packages", JsonText.Instead(ref json.Json, "an array"));
                    json.Skip();
                    continue;
                }

                hasPackages = true;
                // Its writers put what tells the product first. When they do not, packages wait for it.
                _product = _repository is null ? null : Product();
                for (_index = 0; json.Read() && json.Json.TokenType != JsonTokenType.EndArray; _index++) ReadPackage(ref json);
            }
            else
            {
                json.Skip();
            }
        }

        json.Read();
        if (!hasPackages) _sink.Skip(_document, "$.packages", "is absent: no security database of apk packages");
        if (_held.Count == 0) return;
        _product = Product();
        if (_product is null)
        {
            _sink.Skip(
                _document,
                "$.distroversion",
                "is absent or no release of Alpine (v3.19, edge), and urlprefix and reponame are not Wolfi's or Chainguard's");
            return;
        }

        foreach (var (name, fixes) in _held) Give(name, fixes);
    }

    string? Product()
    {
        if (_release is { } release)
        {
            var isRelease = release == "edge" || (release.Length > 1 && release[0] == 'v' && !release.AsSpan(1).ContainsAnyExcept("0123456789."));
            return isRelease ? $"Alpine:{release}" : null;
        }

        return Names("wolfi") ? "Wolfi" : Names("chainguard") ? "Chainguard" : null;

        bool Names(string word) => (_url?.Contains(word, StringComparison.OrdinalIgnoreCase) ?? false)
            || string.Equals(_repository, word, StringComparison.OrdinalIgnoreCase);
    }

    void ReadPackage(ref JsonStream json)
    {
        if (json.Json.TokenType != JsonTokenType.StartObject)
        {
            Skip(ref json, $"$.packages[{_index}]", JsonText.Instead(ref json.Json, "an object"));
            return;
        }

        string? name = null;
        var isBad = false;
        _fixes.Clear();
        while (json.ReadProperty())
        {
            if (!json.Is("pkg"u8))
            {
                json.Skip();
                continue;
            }

            json.Read();
            if (json.Json.TokenType != JsonTokenType.StartObject)
            {
                isBad = true;
                Skip(ref json, $"$.packages[{_index}].pkg", JsonText.Instead(ref json.Json, "an object"));
                continue;
            }

            while (json.ReadProperty())
            {
                if (json.Is("name"u8))
                {
                    name = Text(ref json, $"$.packages[{_index}].pkg.name");
                    isBad |= name is null;
                }
                else if (json.Is("secfixes"u8))
                {
                    ReadFixes(ref json);
                }
                else
                {
                    json.Skip();
                }
            }
        }

        if (name is null)
        {
            if (!isBad) _sink.Skip(_document, $"$.packages[{_index}].pkg.name", "is absent");
            return;
        }

        if (_fixes.Count == 0) _sink.LeaveOut("no vulnerability");
        else if (_product is not null) Give(name, [.. _fixes]);
        else if (_held.Count < HeldPackagesMax) _held.Add((name, [.. _fixes]));
        else _sink.Skip(_document, $"$.packages[{_index}]", $"is beyond {HeldPackagesMax} packages before distroversion");
    }

    void ReadFixes(ref JsonStream json)
    {
        json.Read();
        if (json.Json.TokenType == JsonTokenType.Null) return;
        if (json.Json.TokenType != JsonTokenType.StartObject)
        {
            Skip(ref json, $"$.packages[{_index}].pkg.secfixes", JsonText.Instead(ref json.Json, "an object"));
            return;
        }

        while (json.ReadProperty())
        {
            var version = json.IsCut ? null : _text.Of(ref json.Json);
            if (version is null || version.Length is 0 or > NameCharsMax)
            {
                Skip(ref json, $"$.packages[{_index}].pkg.secfixes", $"a version is empty, no text, or has more than {NameCharsMax} characters");
                continue;
            }

            json.Read();
            // A version without vulnerabilities is written as an empty list, or as nothing.
            if (json.Json.TokenType == JsonTokenType.Null) continue;
            var path = $"$.packages[{_index}].pkg.secfixes.{version}";
            if (json.Json.TokenType != JsonTokenType.StartArray)
            {
                Skip(ref json, path, JsonText.Instead(ref json.Json, "an array"));
                continue;
            }

            for (var i = 0; json.Read() && json.Json.TokenType != JsonTokenType.EndArray; i++)
            {
                if (json.Json.TokenType != JsonTokenType.String) Skip(ref json, $"{path}[{i}]", JsonText.Instead(ref json.Json, "a string"));
                else if (json.IsCut || _text.Of(ref json.Json) is not { } item) _sink.Skip(_document, $"{path}[{i}]", JsonText.NotText);
                else AddIds(version, item, $"{path}[{i}]");
            }
        }
    }

    void AddIds(string version, string item, string path)
    {
        var before = _fixes.Count;
        AddIds(version, item, onlyCves: true, path);
        if (_fixes.Count == before) AddIds(version, item, onlyCves: false, path);
    }

    void AddIds(string version, string item, bool onlyCves, string path)
    {
        Span<byte> bytes = stackalloc byte[IdBytesMax];
        foreach (var range in item.AsSpan().Split(' '))
        {
            var word = item.AsSpan()[range].Trim().Trim(',');
            if (word.IsEmpty) continue;
            var fits = Ascii.FromUtf16(word, bytes, out var length) == OperationStatus.Done;
            var isCve = fits && JsonText.IsCve(bytes[..length]);
            if (onlyCves != isCve) continue;
            if (!fits || bytes[..length].ContainsAnyExcept(IdBytes))
                _sink.Skip(_document, path, $"'{word[..Math.Min(word.Length, IdBytesMax)]}' is no id of a vulnerability");
            else _fixes.Add(new Fix(version, _text.Of(bytes[..length])!));
        }
    }

    static readonly SearchValues<byte> IdBytes =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:"u8);

    void Give(string name, Fix[] fixes)
    {
        var cves = new OrderedDictionary<string, bool>(StringComparer.Ordinal);
        var statements = new List<PackageStatement>(fixes.Length);
        foreach (var fix in fixes)
        {
            cves[fix.Id] = true;
            statements.Add(new PackageStatement
            {
                Product = _product!,
                Name = name,
                Naming = PackageNaming.Source,
                Status = fix.Version == "0" ? ProductStatus.NotAffected : ProductStatus.Fixed,
                Intervals = fix.Version == "0" ? [] : [VersionInterval.FixedIn(fix.Version)],
                Cve = fix.Id,
            });
        }

        _sink.Add(new Advisory
        {
            Feed = FeedName.AlpineSecdb,
            Id = name,
            Part = $"{_release ?? _product}/{_repository}",
            Cves = [.. cves.Keys],
            Summary = $"{name}: security fixes",
            Statements = statements,
        });
    }

    string? Text(ref JsonStream json, string path)
    {
        json.Read();
        var text = json.Json.TokenType == JsonTokenType.String && !json.IsCut ? _text.Of(ref json.Json) : null;
        if (text is { Length: > 0 and <= NameCharsMax }) return text;
        var reason = json.Json.TokenType == JsonTokenType.String
            ? $"is empty, no text, or has more than {NameCharsMax} characters"
            : JsonText.Instead(ref json.Json, "a string");
        Skip(ref json, path, reason);
        return null;
    }

    void Skip(ref JsonStream json, string path, string reason)
    {
        _sink.Skip(_document, path, reason);
        json.Skip();
    }
}
