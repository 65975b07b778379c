using System.Globalization;
using System.Xml;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// <c>updateinfo.xml</c> of a repository, which <c>dnf updateinfo</c> reads (https://rpm-software-management.github.io/createrepo_c/). Each
/// update is given on before the next one is read.
/// </summary>
/// <remarks>
/// <code>
/// updates
///   update status type version                  type: security, bugfix, enhancement, newpackage
///     id, title, severity, issued date, updated date
///     references/reference type id href title    type: cve, bugzilla, self, other
///     pkglist/collection short
///       name
///       module name stream version context arch  at most one
///       package name epoch version release arch src
/// </code>
/// </remarks>
sealed class UpdateInfo
{
    // The largest update of AlmaLinux (container-tools, two architectures) lists 1,412 packages.
    const int PackagesMax = 100_000;
    const int ReferencesMax = 10_000;
    const int NameLengthMax = 512;
    const int SummaryLengthMax = 300;

    readonly string _document;
    readonly string _product;
    readonly IFeedSink _sink;
    readonly SortedSet<string> _cves = new(StringComparer.Ordinal);
    readonly List<Build> _builds = [];
    readonly Dictionary<(string Name, string Evr, string Module), int> _buildIndexes = [];

    UpdateInfo(string document, string product, IFeedSink sink)
    {
        _document = document;
        _product = product;
        _sink = sink;
    }

    /// <param name="document">File, archive member or URL, for what is skipped.</param>
    /// <param name="xml">Read once, to its end. The caller closes it.</param>
    /// <param name="product">What machines of the repository's distribution look up: <c>AlmaLinux:8</c>. The file does not say it.</param>
    public static void Read(string document, Stream xml, string product, IFeedSink sink, CancellationToken cancellationToken)
    {
        var file = new UpdateInfo(document, product, sink);
        try
        {
            using var reader = new FeedXml(xml);
            if (!reader.Root() || reader.Name != "updates")
            {
                sink.Skip(document, "", "no updateinfo: the root element is not updates");
                return;
            }

            var entered = reader.Enter();
            while (reader.NextChild(entered))
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (reader.Name == "update") file.ReadUpdate(reader);
            }
        }
        catch (Exception e) when (e is XmlException or InvalidDataException)
        {
            sink.Skip(document, "", $"cannot be read to its end: {e.Message}");
        }
    }

    void ReadUpdate(FeedXml xml)
    {
        _cves.Clear();
        _builds.Clear();
        _buildIndexes.Clear();
        var type = xml.Attribute("type") ?? "";
        var status = xml.Attribute("status") ?? "";
        string id = "", title = "", collection = "";
        string? url = null;
        var severity = Severity.Unknown;
        DateTimeOffset? issued = null, updated = null;
        var entered = xml.Enter();
        while (xml.NextChild(entered))
        {
            switch (xml.Name)
            {
                case "id":
                    id = xml.Text();
                    break;
                case "title":
                    title = FeedXml.Line(xml.Text(), SummaryLengthMax);
                    break;
                case "severity":
                    severity = FeedXml.SeverityOf(xml.Text());
                    break;
                case "issued":
                    issued = FeedXml.Time(xml.Attribute("date"));
                    break;
                case "updated":
                    updated = FeedXml.Time(xml.Attribute("date"));
                    break;
                case "references":
                    ReadReferences(xml, ref url);
                    break;
                case "pkglist":
                    ReadCollections(xml, ref collection);
                    break;
            }
        }

        var path = $"/updates/update[id='{id}']";
        if (id.Length is 0 or > NameLengthMax)
        {
            _sink.Skip(_document, "/updates/update", $"its id has {id.Length} characters, not 1 to {NameLengthMax}");
            return;
        }

        if (type != "security" && _cves.Count == 0)
        {
            _sink.LeaveOut($"updateinfo type {type}");
            return;
        }

        // An update is in several repositories of a distribution, in each with the packages of that one.
        var part = collection.Length > 0 ? $"{_product} {collection}" : _product;
        var modified = updated ?? issued;
        if (status is "retracted" or "revoked" or "obsolete")
        {
            _sink.Withdraw(FeedName.UpdateInfo, id, modified);
            _sink.LeaveOut($"updateinfo status {status}");
            return;
        }

        if (_builds.Count > PackagesMax)
        {
            _sink.Skip(_document, path, $"more than {PackagesMax} packages");
            return;
        }

        if (_builds.Count == 0)
        {
            _sink.LeaveOut("update without packages");
            return;
        }

        _sink.Add(new Advisory
        {
            Feed = FeedName.UpdateInfo,
            Id = id,
            Part = part,
            Cves = [.. _cves],
            Summary = title,
            // AlmaLinux and Rocky have the word in the title as well: "Important: nodejs:18 security update".
            Severity = severity != Severity.Unknown ? severity : FeedXml.SeverityOf(title.AsSpan(0, Math.Max(0, title.IndexOf(':')))),
            Published = issued,
            Modified = modified,
            Url = url,
            Statements = Statements(),
        });
    }

    void ReadReferences(FeedXml xml, ref string? url)
    {
        var count = 0;
        var entered = xml.Enter();
        while (xml.NextChild(entered))
        {
            if (xml.Name != "reference" || ++count > ReferencesMax) continue;
            // Amazon and SUSE put the CVE into id, some older files of CentOS only into title.
            FeedXml.AddCve(_cves, xml.Attribute("id") ?? "");
            FeedXml.AddCve(_cves, xml.Attribute("title") ?? "");
            if (xml.Attribute("type") is "self" && xml.Attribute("href") is { } address && FeedXml.IsWebAddress(address)) url ??= address;
        }
    }

    void ReadCollections(FeedXml xml, ref string first)
    {
        var entered = xml.Enter();
        while (xml.NextChild(entered))
        {
            if (xml.Name != "collection") continue;
            var name = xml.Attribute("short") ?? "";
            var module = "";
            var collection = xml.Enter();
            while (xml.NextChild(collection))
            {
                switch (xml.Name)
                {
                    case "name" when name.Length == 0:
                        name = xml.Text();
                        break;
                    case "module" when xml.Attribute("name") is { Length: > 0 } moduleName && xml.Attribute("stream") is { Length: > 0 } stream:
                        module = $"{moduleName}:{stream}";
                        break;
                    case "package":
                        ReadPackage(xml, module);
                        break;
                }
            }

            if (first.Length == 0) first = name;
        }
    }

    void ReadPackage(FeedXml xml, string module)
    {
        if (_builds.Count > PackagesMax) return;
        var name = xml.Attribute("name") ?? "";
        var version = xml.Attribute("version") ?? "";
        var release = xml.Attribute("release") ?? "";
        var architecture = xml.Attribute("arch") ?? "";
        // Nobody installs a source rpm.
        if (architecture is "src" or "nosrc") return;
        if (name.Length is 0 or > NameLengthMax || version.Length is 0 or > NameLengthMax || release.Length > NameLengthMax
            || architecture.Length > 64)
        {
            _sink.Skip(
                _document,
                "/updates/update/pkglist/collection/package",
                $"its name or version is absent or longer than {NameLengthMax}: '{FeedXml.Line(name, 64)}'");
            return;
        }

        var evr = release.Length > 0 ? $"{version}-{release}" : version;
        if (uint.TryParse(xml.Attribute("epoch"), NumberStyles.None, CultureInfo.InvariantCulture, out var epoch) && epoch > 0)
            evr = $"{epoch}:{evr}";
        if (!_buildIndexes.TryGetValue((name, evr, module), out var index))
        {
            index = _builds.Count;
            _buildIndexes.Add((name, evr, module), index);
            _builds.Add(new Build(name, evr, module, []));
        }

        var architectures = _builds[index].Architectures;
        if (architecture.Length > 0 && architectures.Count < 64 && !architectures.Contains(architecture)) architectures.Add(architecture);
    }

    /// <summary>
    /// One statement for each package and module stream. Of several builds outside modules the oldest counts: AlmaLinux lists rebuilds of one
    /// fix (<c>3.6.8-41.el8</c> and <c>3.6.8-41.el8.alma</c>), and a machine with any of them has it.
    /// </summary>
    List<PackageStatement> Statements()
    {
        var oldest = new Dictionary<(string Name, string Module, bool IsModular), int>();
        for (var i = 0; i < _builds.Count; i++)
        {
            var build = _builds[i];
            var key = (build.Name, build.Module, ModularBuild.Is(build.Evr));
            // Modular builds whose module is not named may be of different streams: each of them stays.
            if (key is { Module: "", Item3: true }) key = (build.Name, build.Evr, true);
            if (!oldest.TryGetValue(key, out var known) || RpmVersion.Compare(build.Evr, _builds[known].Evr) < 0) oldest[key] = i;
        }

        var statements = new List<PackageStatement>(oldest.Count);
        foreach (var index in oldest.Values)
        {
            var build = _builds[index];
            statements.Add(new PackageStatement
            {
                Product = _product,
                Name = build.Name,
                Intervals = [VersionInterval.FixedIn(build.Evr)],
                // A package may become noarch, or stop to be: then its update is for machines of any architecture.
                Architectures = build.Architectures.Contains("noarch") ? [] : build.Architectures,
                Modules = build.Module.Length > 0 ? [build.Module] : [],
            });
        }

        return statements;
    }

    sealed record Build(string Name, string Evr, string Module, List<string> Architectures);
}
