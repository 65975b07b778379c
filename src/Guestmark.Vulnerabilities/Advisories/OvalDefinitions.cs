using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Xml;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// OVAL 5 (https://oval-community-guidelines.readthedocs.io/en/latest/) as Red Hat (v2), Oracle, VMware Photon, SUSE, AlmaLinux, Debian and
/// Ubuntu publish it: what its criteria say of packages, taken out of the language that a scanner would execute.
/// </summary>
/// <remarks>
/// <code>
/// oval_definitions
///   generator/timestamp
///   definitions/definition class id            patch | vulnerability | inventory …
///     metadata
///       title, affected/platform, reference source ref_id ref_url
///       advisory: severity, issued date, updated date, cve cvss3 impact,
///                 affected/resolution state/component, affected_cpe_list/cpe
///     criteria operator negate                 AND | OR | …, any depth
///       criterion test_ref, extend_definition definition_ref comment
///   tests/*_test id comment check_existence
///     object object_ref, state state_ref
///   objects/*_object id: name | name var_ref
///   states/*_state id: evr operation, arch, …
///   variables/constant_variable id: value
/// </code>
/// Definitions refer to what comes after them, and the stream cannot be read twice. So the criteria are kept as numbers and every test, object
/// and state once, and the advisories are made at the end: nothing of a file that is cut short is stored. Texts that nobody matches with (the
/// descriptions, most of the comments) are not kept.
/// </remarks>
sealed class OvalDefinitions
{
    // Red Hat's largest file has 2.4 million criteria, and the largest definition (a kernel for five architectures) makes 400 statements.
    const int RowsMax = 20_000_000;
    const int StatementsMax = 100_000;
    const long AllStatementsMax = 20_000_000;
    const int ListMax = 10_000;
    const int LabelsMax = 2000;
    const int NameLengthMax = 512;
    const int SummaryLengthMax = 300;

    // "Oracle Linux 8" is Oracle Linux:8, and so is "Oracle Linux 8.4".
    static readonly (string Name, string Product)[] MajorReleases =
    [
        ("Red Hat Enterprise Linux ", "Red Hat:enterprise_linux"),
        ("Oracle Linux ", "Oracle Linux"),
        ("AlmaLinux ", "AlmaLinux"),
        ("Rocky Linux ", "Rocky Linux"),
        ("Debian GNU/Linux ", "Debian"),
        ("Debian ", "Debian"),
    ];

    readonly string _document;
    readonly IFeedSink _sink;
    readonly List<Definition> _definitions = [];
    readonly List<Node> _nodes = [];
    readonly List<Label> _labels = [];
    readonly Dictionary<Label, int> _labelIndexes = [];
    readonly List<Test> _tests = [];
    readonly List<int> _testStates = [];
    readonly List<OvalObject> _objects = [];
    readonly List<State> _states = [];
    readonly List<string[]> _variables = [];

    // For reading only: they are let go before the first advisory is made.
    Dictionary<UInt128, int> _testIndexes = [];
    Dictionary<UInt128, int> _objectIndexes = [];
    Dictionary<UInt128, int> _stateIndexes = [];
    Dictionary<UInt128, int> _variableIndexes = [];
    Dictionary<string, string> _texts = new(StringComparer.Ordinal);

    DateTimeOffset? _generated;
    int _variableValues;

    // Of the definition that is being made into an advisory.
    readonly List<PackageStatement> _statements = [];
    readonly Dictionary<StatementKey, int> _statementIndexes = [];
    readonly HashSet<int> _missing = [];
    Definition _current = new();
    readonly Dictionary<string, ProductStatus> _components = new(StringComparer.Ordinal);
    readonly List<string> _platformProducts = [];
    IReadOnlyList<(string Product, string? Cpe)> _currentProducts = [];
    bool _overflow;
    bool _withoutProduct;
    long _allStatements;

    OvalDefinitions(string document, IFeedSink sink)
    {
        _document = document;
        _sink = sink;
    }

    /// <param name="document">File, archive member or URL, for what is skipped.</param>
    /// <param name="xml">Read once, to its end. The caller closes it.</param>
    public static void Read(string document, Stream xml, IFeedSink sink, CancellationToken cancellationToken)
    {
        var oval = new OvalDefinitions(document, sink);
        try
        {
            using var reader = new FeedXml(xml);
            if (!oval.Load(reader, cancellationToken)) return;
        }
        catch (Exception e) when (e is XmlException or InvalidDataException)
        {
            sink.Skip(document, "", $"cannot be read to its end, so nothing of it was taken: {e.Message}");
            return;
        }

        oval._testIndexes = oval._objectIndexes = oval._stateIndexes = oval._variableIndexes = [];
        oval._texts = [];
        foreach (var definition in CollectionsMarshal.AsSpan(oval._definitions))
        {
            cancellationToken.ThrowIfCancellationRequested();
            oval.Emit(definition);
        }
    }

    // ----- the file into tables -----

    bool Load(FeedXml xml, CancellationToken cancellationToken)
    {
        if (!xml.Root() || xml.Name != "oval_definitions")
        {
            _sink.Skip(_document, "", "no OVAL definitions: the root element is not oval_definitions");
            return false;
        }

        var root = xml.Enter();
        while (xml.NextChild(root))
        {
            var section = xml.Name;
            var entered = xml.Enter();
            while (xml.NextChild(entered))
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (_nodes.Count + _tests.Count + _objects.Count + _states.Count + _testStates.Count > RowsMax)
                    throw new XmlException($"more than {RowsMax} definitions, tests, objects and states");
                switch (section)
                {
                    case "generator" when xml.Name == "timestamp":
                        _generated = FeedXml.Time(xml.Text());
                        break;
                    case "definitions" when xml.Name == "definition":
                        LoadDefinition(xml);
                        break;
                    case "tests":
                        LoadTest(xml);
                        break;
                    case "objects":
                        LoadObject(xml);
                        break;
                    case "states":
                        LoadState(xml);
                        break;
                    case "variables":
                        LoadVariable(xml);
                        break;
                }
            }
        }

        return true;
    }

    void LoadDefinition(FeedXml xml)
    {
        var definition = new Definition { Class = Intern(xml.Attribute("class") ?? ""), Id = xml.Attribute("id") ?? "" };
        // What describes systems and settings is not about packages.
        if (definition.Class is not ("patch" or "vulnerability"))
        {
            _sink.LeaveOut($"OVAL class {definition.Class}");
            return;
        }

        definition.FirstNode = _nodes.Count;
        var entered = xml.Enter();
        while (xml.NextChild(entered))
        {
            if (xml.Name == "metadata") LoadMetadata(xml, definition);
            else if (xml.Name == "criteria") LoadCriteria(xml);
        }

        definition.EndNode = _nodes.Count;
        _definitions.Add(definition);
    }

    void LoadMetadata(FeedXml xml, Definition definition)
    {
        var entered = xml.Enter();
        while (xml.NextChild(entered))
        {
            switch (xml.Name)
            {
                case "title":
                    definition.Title = FeedXml.Line(xml.Text(), SummaryLengthMax);
                    break;
                case "affected":
                    var platforms = xml.Enter();
                    while (xml.NextChild(platforms))
                    {
                        if (xml.Name == "platform") AddTo(definition.Platforms, Intern(xml.Text()));
                    }

                    break;
                case "reference":
                    AddTo(definition.References, (xml.Attribute("source") is "CVE", xml.Attribute("ref_id") ?? "", xml.Attribute("ref_url")));
                    break;
                case "advisory":
                    LoadAdvisory(xml, definition);
                    break;
            }
        }
    }

    void LoadAdvisory(FeedXml xml, Definition definition)
    {
        var entered = xml.Enter();
        while (xml.NextChild(entered))
        {
            switch (xml.Name)
            {
                case "severity":
                    definition.Severity = FeedXml.SeverityOf(xml.Text());
                    break;
                case "issued":
                    definition.Issued = FeedXml.Time(xml.Attribute("date"));
                    break;
                case "updated":
                    definition.Updated = FeedXml.Time(xml.Attribute("date"));
                    break;
                case "cve":
                    LoadScore(xml.Attribute("cvss3"), definition);
                    AddTo(definition.Cves, xml.Text());
                    break;
                case "affected_cpe_list":
                    var list = xml.Enter();
                    while (xml.NextChild(list))
                    {
                        if (xml.Name == "cpe") AddTo(definition.Cpes, Intern(xml.Text()));
                    }

                    break;
                case "affected":
                    LoadResolutions(xml, definition);
                    break;
            }
        }
    }

    /// <summary>Of several CVEs the worst score counts. <c>7.5/CVSS:3.1/AV:N/AC:L/…</c></summary>
    static void LoadScore(string? cvss, Definition definition)
    {
        var slash = cvss?.IndexOf('/') ?? -1;
        if (slash < 0 || !double.TryParse(cvss.AsSpan(0, slash), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var score)) return;
        if (score is < 0 or > 10 || score <= definition.Score) return;
        definition.Score = score;
        definition.Vector = cvss![(slash + 1)..];
    }

    void LoadResolutions(FeedXml xml, Definition definition)
    {
        var entered = xml.Enter();
        while (xml.NextChild(entered))
        {
            if (xml.Name != "resolution") continue;
            var state = xml.Attribute("state") ?? "";
            ProductStatus? status = state switch
            {
                "Affected" => ProductStatus.Affected,
                "Fix deferred" or "Deferred" => ProductStatus.FixDeferred,
                "Will not fix" => ProductStatus.WillNotFix,
                "Out of support scope" => ProductStatus.OutOfSupport,
                "Under investigation" => ProductStatus.UnderInvestigation,
                "Not affected" => ProductStatus.NotAffected,
                _ => null,
            };
            if (status is null)
                _sink.Skip(_document, $"{PathOf(definition)}/metadata/advisory/affected/resolution", $"unknown state '{state}', taken as Affected");
            var components = new List<string>();
            var resolution = xml.Enter();
            while (xml.NextChild(resolution))
            {
                if (xml.Name == "component") AddTo(components, Intern(xml.Text()));
            }

            AddTo(definition.Resolutions, (status ?? ProductStatus.Affected, components));
        }
    }

    void LoadCriteria(FeedXml xml)
    {
        var negated = IsTrue(xml.Attribute("negate"));
        switch (xml.Name)
        {
            case "criteria":
                var index = _nodes.Count;
                var kind = xml.Attribute("operator") is null or "AND" ? NodeKind.And : NodeKind.Or;
                _nodes.Add(default);
                var entered = xml.Enter();
                while (xml.NextChild(entered))
                {
                    if (_nodes.Count > RowsMax) throw new XmlException($"more than {RowsMax} criteria");
                    LoadCriteria(xml);
                }

                _nodes[index] = new Node(kind, negated, 0, _nodes.Count);
                break;
            case "criterion" when xml.Attribute("test_ref") is { } test:
                _nodes.Add(new Node(NodeKind.Test, negated, IndexOf(_testIndexes, _tests, test), _nodes.Count + 1));
                break;
            // Debian's and Ubuntu's way to say which release: <extend_definition comment="Ubuntu 22.04 LTS (jammy) is installed." …/>
            case "extend_definition" when LabelOf(xml.Attribute("comment")) is { } label:
                _nodes.Add(new Node(NodeKind.Label, negated, IndexOf(label), _nodes.Count + 1));
                break;
        }
    }

    void LoadTest(FeedXml xml)
    {
        var id = xml.Attribute("id");
        if (id is null) return;
        var about = xml.Name switch
        {
            "rpminfo_test" or "dpkginfo_test" => TestKind.Package,
            _ => TestKind.Other,
        };
        var comment = xml.Attribute("comment");
        var test = new Test { Kind = about, IsDpkg = xml.Name == "dpkginfo_test", Object = -1, Label = -1, FirstState = _testStates.Count };
        if (LabelOf(comment) is { } label)
        {
            test.Kind = TestKind.Label;
            test.Label = IndexOf(label);
        }
        else if (xml.Attribute("check_existence") is "none_exist" || xml.Attribute("check") is "none satisfy" or "none exist")
        {
            // "is not installed"
            test.Kind = TestKind.Other;
        }
        else if (test.IsDpkg && comment is not null)
        {
            // Ubuntu says in the comment why there is no fix.
            test.Unfixed = comment.Contains("ignore", StringComparison.Ordinal) ? ProductStatus.WillNotFix
                : comment.Contains("defer", StringComparison.Ordinal) ? ProductStatus.FixDeferred
                : default;
        }

        var entered = xml.Enter();
        while (test.Kind == TestKind.Package && xml.NextChild(entered))
        {
            if (xml.Name == "object" && xml.Attribute("object_ref") is { } reference) test.Object = IndexOf(_objectIndexes, _objects, reference);
            else if (xml.Name == "state" && xml.Attribute("state_ref") is { } state) _testStates.Add(IndexOf(_stateIndexes, _states, state));
        }

        test.EndState = _testStates.Count;
        _tests[IndexOf(_testIndexes, _tests, id)] = test;
    }

    void LoadObject(FeedXml xml)
    {
        if (xml.Name is not ("rpminfo_object" or "dpkginfo_object") || xml.Attribute("id") is not { } id) return;
        var row = new OvalObject { Defined = true, Variable = -1 };
        var entered = xml.Enter();
        while (xml.NextChild(entered))
        {
            if (xml.Name != "name") continue;
            if (xml.Attribute("var_ref") is { } variable) row.Variable = IndexOf(_variableIndexes, _variables, variable);
            row.IsPattern = xml.Attribute("operation") is not (null or "equals");
            row.Name = Intern(xml.Text());
        }

        _objects[IndexOf(_objectIndexes, _objects, id)] = row;
    }

    void LoadState(FeedXml xml)
    {
        if (xml.Name is not ("rpminfo_state" or "dpkginfo_state") || xml.Attribute("id") is not { } id) return;
        var row = new State { Defined = true };
        var entered = xml.Enter();
        while (xml.NextChild(entered))
        {
            if (xml.Name == "arch")
            {
                row.Architectures = Intern(xml.Text());
            }
            else if (xml.Name == "evr")
            {
                row.Operation = xml.Attribute("operation") switch
                {
                    "less than" => EvrOperation.LessThan,
                    "less than or equal" => EvrOperation.LessThanOrEqual,
                    "greater than" => EvrOperation.GreaterThan,
                    "greater than or equal" => EvrOperation.GreaterThanOrEqual,
                    null or "equals" => EvrOperation.Equal,
                    _ => EvrOperation.Unknown,
                };
                row.Evr = Intern(WithoutZeroEpoch(xml.Text()));
            }
        }

        _states[IndexOf(_stateIndexes, _states, id)] = row;
    }

    void LoadVariable(FeedXml xml)
    {
        if (xml.Name != "constant_variable" || xml.Attribute("id") is not { } id) return;
        var values = new List<string>();
        var entered = xml.Enter();
        while (xml.NextChild(entered))
        {
            if (xml.Name != "value") continue;
            if (++_variableValues > RowsMax) throw new XmlException($"more than {RowsMax} values of variables");
            AddTo(values, Intern(xml.Text()));
        }

        _variables[IndexOf(_variableIndexes, _variables, id)] = [.. values];
    }

    // ----- the tables into advisories -----

    void Emit(Definition definition)
    {
        _current = definition;
        _statements.Clear();
        _statementIndexes.Clear();
        _missing.Clear();
        _components.Clear();
        _platformProducts.Clear();
        _overflow = false;
        _withoutProduct = false;

        var cves = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var cve in definition.Cves) FeedXml.AddCve(cves, cve);
        foreach (var (_, id, _) in definition.References)
        {
            // Photon writes CVE:00001:CVE-2019-16168.
            var at = id.LastIndexOf("CVE-", StringComparison.Ordinal);
            if (at >= 0) FeedXml.AddCve(cves, id[at..]);
        }

        var (name, url) = IdOf(definition, cves);
        if (cves.Count == 0 && FeedXml.IsBugFixOrEnhancement(name))
        {
            _sink.LeaveOut("no vulnerability");
            return;
        }

        _currentProducts = ProductsOf(definition);
        foreach (var platform in definition.Platforms)
        {
            if (ProductNamed(platform) is { } product && !_platformProducts.Contains(product)) _platformProducts.Add(product);
        }

        if (definition.FirstNode < definition.EndNode) Walk(definition.FirstNode, Constraints.None);
        if (_missing.Count > 0)
            _sink.Skip(_document, PathOf(definition), $"{_missing.Count} of its criteria refer to a test, object or state that is not in the document");
        if (_overflow) _sink.Skip(_document, PathOf(definition), $"more statements than {StatementsMax}; the rest is left out");
        if (_statements.Count == 0)
        {
            if (_withoutProduct)
                _sink.Skip(_document, PathOf(definition), $"names no product that is known: platform '{string.Join("', '", definition.Platforms.Take(3))}'");
            else if (_missing.Count == 0) _sink.LeaveOut("OVAL definition without packages");
            return;
        }

        _sink.Add(new Advisory
        {
            Feed = FeedName.Oval,
            Id = name,
            Part = PartOf(definition),
            Cves = [.. cves],
            Summary = definition.Title,
            Severity = definition.Severity,
            CvssScore = definition.Score > 0 ? definition.Score : null,
            CvssVector = definition.Vector,
            Published = definition.Issued,
            // Without a date of its own it is as old as the file, so that a newer file counts.
            Modified = definition.Updated ?? definition.Issued ?? _generated,
            Url = url,
            Statements = [.. _statements],
        });
    }

    /// <summary>
    /// <c>RHSA-2020:0134</c> of the title "RHSA-2020:0134: .NET Core … (Critical)". Where the title does not begin with an id, the first
    /// reference is it ("Unaffected components for: CVE-2020-0605 …").
    /// </summary>
    static (string Id, string? Url) IdOf(Definition definition, SortedSet<string> cves)
    {
        var title = definition.Title.AsSpan();
        var space = title.IndexOf(' ');
        var word = (space < 0 ? title : title[..space]).TrimEnd(":,.");
        var id = word.Length is > 4 and < 64 && char.IsAsciiLetter(word[0]) && word.Contains('-') && word.ContainsAnyInRange('0', '9')
            ? word.ToString()
            : cves.Min ?? (definition.References.Count > 0 ? definition.References[0].Id : definition.Id);
        string? url = null;
        foreach (var (_, reference, address) in definition.References)
        {
            if (address is null || !FeedXml.IsWebAddress(address)) continue;
            if (reference == id) return (id, address);
            url ??= address;
        }

        return (id, url);
    }

    /// <summary>
    /// Red Hat has a file for each product and release, and one definition id in several of them. Those of 2020 and before do not say in the
    /// definition of an unfixed CVE which it is, so there the name of the file tells them apart.
    /// </summary>
    string PartOf(Definition definition)
    {
        if (definition.Cpes.Count > 0 || !definition.Id.StartsWith("oval:com.redhat.", StringComparison.Ordinal))
        {
            var products = new SortedSet<string>(StringComparer.Ordinal);
            foreach (var statement in _statements) products.Add(statement.Product);
            return $"{definition.Id} {string.Join(' ', products)}";
        }

        var file = _document.AsSpan(_document.LastIndexOfAny(['/', '\\', '!']) + 1);
        var end = file.IndexOf(".oval", StringComparison.Ordinal);
        return $"{definition.Id} {(end < 0 ? file : file[..end])}";
    }

    static List<(string Product, string? Cpe)> ProductsOf(Definition definition)
    {
        var products = new List<(string Product, string? Cpe)>();
        var known = new HashSet<string>(StringComparer.Ordinal);
        foreach (var cpe in definition.Cpes)
        {
            if (Cpe.ProductOf(cpe) is { } product && known.Add(product)) products.Add((product, cpe));
        }

        return products;
    }

    /// <summary>
    /// OR: each child stands for itself. AND: what its other children ask for (release, architecture, module) restricts the packages of the rest.
    /// </summary>
    void Walk(int index, Constraints constraints)
    {
        var nodes = CollectionsMarshal.AsSpan(_nodes);
        var node = nodes[index];
        if (node.Negated)
        {
            if (!HasPackages(index)) return;
            _sink.LeaveOut("negated OVAL criteria");
            return;
        }

        switch (node.Kind)
        {
            case NodeKind.Test:
                Conjunction([node.Value], constraints);
                break;
            case NodeKind.Or:
                for (var child = index + 1; child < node.End; child = nodes[child].End) Walk(child, constraints);
                break;
            case NodeKind.And:
                var tests = new List<int>();
                for (var child = index + 1; child < node.End; child = nodes[child].End)
                {
                    if (!HasPackages(child)) constraints = constraints.And(Collect(child));
                    else if (nodes[child] is { Kind: NodeKind.Test, Negated: false }) tests.Add(nodes[child].Value);
                }

                if (tests.Count > 0) Conjunction(tests, constraints);
                for (var child = index + 1; child < node.End; child = nodes[child].End)
                {
                    if (HasPackages(child) && nodes[child] is not { Kind: NodeKind.Test, Negated: false }) Walk(child, constraints);
                }

                break;
        }
    }

    bool HasPackages(int index)
    {
        var nodes = CollectionsMarshal.AsSpan(_nodes);
        for (var at = index; at < nodes[index].End; at++)
        {
            if (nodes[at].Kind == NodeKind.Test && IsPackageTest(nodes[at].Value)) return true;
        }

        return false;
    }

    /// <summary>A test of a package's version or presence, or one that is not there. Not one of its signature alone.</summary>
    bool IsPackageTest(int index)
    {
        var test = _tests[index];
        if (test.Kind == TestKind.Missing) return true;
        if (test.Kind != TestKind.Package) return false;
        for (var at = test.FirstState; at < test.EndState; at++)
        {
            var state = _states[_testStates[at]];
            if (!state.Defined || state.Evr is not null) return true;
        }

        return test.FirstState == test.EndState;
    }

    Constraints Collect(int index)
    {
        var found = Constraints.None;
        for (var at = index; at < _nodes[index].End; at++)
        {
            var node = _nodes[at];
            if (node.Negated) continue;
            var label = node.Kind == NodeKind.Label ? node.Value : node.Kind == NodeKind.Test ? _tests[node.Value].Label : -1;
            if (label >= 0) found = found.Or(_labels[label]);
        }

        return found;
    }

    /// <summary>Tests that must all hold: those of one package bound the interval of its versions from both sides.</summary>
    void Conjunction(List<int> tests, Constraints constraints)
    {
        var ranges = new Dictionary<int, (Test Test, EvrRange Range)>();
        foreach (var index in tests)
        {
            var test = _tests[index];
            if (test.Kind == TestKind.Missing || (test.Kind == TestKind.Package && (test.Object < 0 || !_objects[test.Object].Defined)))
            {
                _missing.Add(index);
                continue;
            }

            if (!IsPackageTest(index)) continue;
            ref var known = ref CollectionsMarshal.GetValueRefOrAddDefault(ranges, test.Object, out var exists);
            if (!exists) known.Test = test;
            for (var at = test.FirstState; at < test.EndState; at++)
            {
                var state = _states[_testStates[at]];
                if (!state.Defined) _missing.Add(index);
                else known.Range.And(state);
            }
        }

        foreach (var (test, range) in ranges.Values) StateOf(test, range, ranges.Count > 1, constraints);
    }

    void StateOf(Test test, EvrRange range, bool others, Constraints constraints)
    {
        if (range.Unknown)
        {
            _sink.Skip(_document, PathOf(_current), $"an operation of evr that is not known, for {_objects[test.Object].Name}");
            return;
        }

        // SUSE's way to say "not affected" is: earlier than 0.
        if (range.End is "0" or "0-0")
        {
            _sink.LeaveOut("OVAL criteria for no version");
            return;
        }

        var isFixed = range.End is not null;
        // In a patch, presence is a condition beside the version of another package and says nothing of its own.
        if (!isFixed && range.Introduced is null && _current.Class == "patch" && !range.Any)
        {
            if (!others) _sink.LeaveOut("OVAL patch criteria without a version");
            return;
        }

        var row = _objects[test.Object];
        if (row.Variable >= 0)
        {
            if (_variables[row.Variable] is not { } names)
            {
                _sink.Skip(_document, PathOf(_current), "an object's name is a variable that is not in the document, or no constant");
                return;
            }

            foreach (var name in names)
            {
                if (!Add(name, test, range, isFixed, constraints)) return;
            }
        }
        else if (PlainName(row) is { } name)
        {
            Add(name, test, range, isFixed, constraints);
        }
        else
        {
            _sink.Skip(_document, PathOf(_current), $"an object's name is the pattern '{row.Name}'");
        }
    }

    /// <summary>False when there are too many.</summary>
    bool Add(string name, Test test, EvrRange range, bool isFixed, Constraints constraints)
    {
        if (name.Length is 0 or > NameLengthMax || range.End?.Length > NameLengthMax || range.Introduced?.Length > NameLengthMax)
        {
            _sink.Skip(_document, PathOf(_current), $"the package's name '{FeedXml.Line(name, 64)}' or its version is not 1 to {NameLengthMax} characters long");
            return true;
        }

        // "is earlier than" of two different architectures is for both; what a test asks for itself counts more than what is around it.
        var architectures = ArchitecturesIn(range.Architectures) is { Count: > 0 } own ? own : constraints.Architectures;
        if (_currentProducts.Count > 0)
        {
            foreach (var (product, cpe) in _currentProducts)
            {
                if (!Add(product, cpe)) return false;
            }

            return true;
        }

        if (constraints.Products.Count > 0)
        {
            foreach (var product in constraints.Products)
            {
                if (!Add(product, null)) return false;
            }

            return true;
        }

        _withoutProduct |= _platformProducts.Count == 0;
        foreach (var product in _platformProducts)
        {
            if (!Add(product, null)) return false;
        }

        return true;

        bool Add(string product, string? cpe) => AddStatement(product, cpe, name, test, range, isFixed, architectures, constraints.Modules);
    }

    bool AddStatement(
        string product,
        string? cpe,
        string name,
        Test test,
        EvrRange range,
        bool isFixed,
        IReadOnlyList<string> architectures,
        IReadOnlyList<string> modules)
    {
        if (_statements.Count >= StatementsMax || ++_allStatements > AllStatementsMax)
        {
            _overflow = true;
            return false;
        }

        var introduced = range.Introduced;
        if (isFixed && introduced is null && product.StartsWith("Oracle Linux:", StringComparison.Ordinal)
            && IsVariant(range.End, out var epoch))
        {
            if (epoch == 0)
            {
                _sink.LeaveOut("Oracle ksplice or fips build without an epoch");
                return true;
            }

            introduced = $"{epoch}:0";
        }

        var status = isFixed ? ProductStatus.Fixed
            : IsUnaffected(_current) ? ProductStatus.NotAffected
            : test.Unfixed != default ? test.Unfixed
            : Resolution(name, modules);
        VersionInterval? interval = isFixed ? new VersionInterval(introduced, range.End, range.Kind)
            : introduced is not null ? new VersionInterval(introduced, null, IntervalEnd.None)
            : null;
        var key = new StatementKey(product, name, string.Join(' ', modules), interval, status);
        ref var index = ref CollectionsMarshal.GetValueRefOrAddDefault(_statementIndexes, key, out var exists);
        if (exists)
        {
            var former = _statements[index];
            // Oracle repeats all packages for each architecture.
            if (former.Architectures.Count > 0)
                _statements[index] = former with { Architectures = architectures.Count == 0 ? [] : [.. former.Architectures.Union(architectures)] };
            return true;
        }

        index = _statements.Count;
        _statements.Add(new PackageStatement
        {
            Product = product,
            Name = name,
            // Debian's names are those of source packages in some years and of binary ones in others.
            Naming = test.IsDpkg && product.StartsWith("Debian:", StringComparison.Ordinal) ? PackageNaming.Either : PackageNaming.Binary,
            Status = status,
            Intervals = interval is { } known ? [known] : [],
            Cpe = cpe,
            Architectures = architectures,
            Modules = modules,
        });
        return true;
    }

    /// <summary>What Red Hat says of a component, which is a package or <c>module:stream/package</c>. One state alone is for all of them.</summary>
    ProductStatus Resolution(string name, IReadOnlyList<string> modules)
    {
        if (_current.Resolutions.Count == 0) return ProductStatus.Affected;
        if (_components.Count == 0)
        {
            foreach (var (status, components) in _current.Resolutions)
            {
                foreach (var component in components) _components.TryAdd(component, status);
            }
        }

        foreach (var module in modules)
        {
            if (_components.TryGetValue($"{module}/{name}", out var status)) return status;
        }

        return _components.TryGetValue(name, out var plain) ? plain
            : _current.Resolutions.Count == 1 ? _current.Resolutions[0].Status
            : ProductStatus.Affected;
    }

    /// <summary>"Unaffected components for: CVE-…". Its criteria ask for a package that is installed and is not, which never holds.</summary>
    static bool IsUnaffected(Definition definition) => definition.Id.StartsWith("oval:com.redhat.unaffected:", StringComparison.Ordinal);

    /// <summary>
    /// Oracle's builds for Ksplice (<c>2:2.28-151.0.1.ksplice1.el8</c>, glibc has no epoch otherwise) and FIPS (<c>10:1.1.1c-15.el8_2_fips</c>) are
    /// separate lines that its definitions give like any fix. Their epoch, which is higher than that of the usual builds, tells them apart: a usual
    /// build must not be compared with them (https://github.com/aquasecurity/trivy/issues/1967).
    /// </summary>
    static bool IsVariant(string? evr, out int epoch)
    {
        epoch = 0;
        if (evr is null || !(evr.Contains(".ksplice", StringComparison.Ordinal) || evr.EndsWith("_fips", StringComparison.Ordinal))) return false;
        var colon = evr.IndexOf(':');
        if (colon > 0 && int.TryParse(evr.AsSpan(0, colon), NumberStyles.None, CultureInfo.InvariantCulture, out var number)) epoch = number;
        return true;
    }

    static string PathOf(Definition definition) => $"/oval_definitions/definitions/definition[@id='{definition.Id}']";

    /// <summary>The name that a pattern such as <c>^kernel$</c> stands for. Null when it stands for many.</summary>
    static string? PlainName(OvalObject row)
    {
        if (!row.IsPattern) return row.Name;
        var name = row.Name.AsSpan();
        if (!name.StartsWith("^") || !name.EndsWith("$")) return null;
        name = name[1..^1];
        return name.ContainsAny(@".*+?()[]{}|\^$") ? null : name.ToString();
    }

    /// <summary><c>aarch64|ppc64le|x86_64</c>, also in brackets.</summary>
    static List<string> ArchitecturesIn(string? pattern)
    {
        var architectures = new List<string>();
        if (pattern is null) return architectures;
        var text = pattern.AsSpan().Trim("^$()");
        if (text.ContainsAny(@".*+?[]{}\")) return architectures;
        foreach (var range in text.Split('|'))
        {
            if (!text[range].IsEmpty) architectures.Add(text[range].ToString());
        }

        return architectures;
    }

    // ----- comments -----

    /// <summary>What a test is about that no object and state tells here: the release, the module, the architecture.</summary>
    static Label? LabelOf(string? comment)
    {
        if (comment is null) return null;
        var text = comment.AsSpan().Trim().TrimEnd('.');
        // "Module nodejs:12 is enabled"
        if (text.StartsWith("Module ", StringComparison.Ordinal) && text.EndsWith(" is enabled", StringComparison.Ordinal))
        {
            var module = text["Module ".Length..^" is enabled".Length].Trim();
            return module.IndexOf(':') > 0 ? new Label(LabelKind.Module, module.ToString()) : null;
        }

        // "Oracle Linux arch is x86_64"
        var arch = text.IndexOf(" arch is ", StringComparison.Ordinal);
        if (arch >= 0) return new Label(LabelKind.Architecture, text[(arch + " arch is ".Length)..].ToString());
        return text.EndsWith(" is installed", StringComparison.Ordinal) && ProductNamed(text[..^" is installed".Length]) is { } product
            ? new Label(LabelKind.Product, product)
            : null;
    }

    /// <summary>
    /// The product of a name for people: <c>Photon OS:3.0</c> of "Photon OS 3", <c>Ubuntu:22.04:LTS</c> of "Ubuntu 22.04 LTS (jammy)".
    /// </summary>
    static string? ProductNamed(ReadOnlySpan<char> text)
    {
        foreach (var (name, product) in MajorReleases)
        {
            if (After(text, name) is { IsEmpty: false } rest) return Major(rest) is { } major ? $"{product}:{major}" : null;
        }

        var photon = After(text, "Photon OS ");
        if (photon.IsEmpty) photon = After(text, "Photon ");
        if (!photon.IsEmpty)
        {
            var release = Version(photon);
            return release.IsEmpty ? null : release.Contains('.') ? $"Photon OS:{release}" : $"Photon OS:{release}.0";
        }

        if (After(text, "Ubuntu ") is { IsEmpty: false } ubuntu)
        {
            var release = Version(ubuntu);
            // April of even years is long-term support.
            return release.Length != 5 ? null : release[2..] is ".04" && (release[1] - '0') % 2 == 0 ? $"Ubuntu:{release}:LTS" : $"Ubuntu:{release}";
        }

        var suse = After(text, "SUSE ");
        if (suse.StartsWith("Linux Enterprise ", StringComparison.Ordinal)) return suse.ContainsAnyInRange('0', '9') ? $"SUSE:{suse}" : null;
        if (After(text, "openSUSE Leap ") is { IsEmpty: false } leap) return Version(leap).IsEmpty ? null : $"openSUSE:Leap {Version(leap)}";
        return text is "openSUSE Tumbleweed" ? "openSUSE:Tumbleweed" : null;

        static ReadOnlySpan<char> After(ReadOnlySpan<char> text, string prefix) =>
            text.StartsWith(prefix, StringComparison.Ordinal) ? text[prefix.Length..] : default;

        static ReadOnlySpan<char> Version(ReadOnlySpan<char> text)
        {
            var end = text.IndexOfAnyExcept("0123456789.");
            return end < 0 ? text : end == 0 || text[end] != ' ' ? default : text[..end];
        }

        static string? Major(ReadOnlySpan<char> text)
        {
            var version = Version(text);
            var dot = version.IndexOf('.');
            return version.IsEmpty || dot == 0 ? null : dot < 0 ? version.ToString() : version[..dot].ToString();
        }
    }

    // ----- small things -----

    static bool IsTrue(string? value) => value is "true" or "1";

    static string WithoutZeroEpoch(string evr) => evr.StartsWith("0:", StringComparison.Ordinal) ? evr[2..] : evr;

    static void AddTo<T>(List<T> list, T item)
    {
        if (list.Count >= ListMax) throw new XmlException($"a list of more than {ListMax} items");
        list.Add(item);
    }

    /// <summary>Names and versions recur by the thousand; one text of each is enough.</summary>
    string Intern(string text)
    {
        ref var known = ref CollectionsMarshal.GetValueRefOrAddDefault(_texts, text, out _);
        return known ??= text;
    }

    int IndexOf(Label label)
    {
        ref var index = ref CollectionsMarshal.GetValueRefOrAddDefault(_labelIndexes, label, out var exists);
        if (exists) return index;
        if (_labels.Count >= LabelsMax) throw new XmlException($"more than {LabelsMax} products, modules and architectures");
        index = _labels.Count;
        _labels.Add(label);
        return index;
    }

    /// <summary>
    /// The row of an id. Until the element itself comes it is the default, which is "not in the document". Of ids, which are the most text of a file
    /// and in no result, only 16 bytes of a hash are kept.
    /// </summary>
    static int IndexOf<T>(Dictionary<UInt128, int> indexes, List<T> rows, string id)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(MemoryMarshal.AsBytes(id.AsSpan()), hash);
        ref var index = ref CollectionsMarshal.GetValueRefOrAddDefault(indexes, MemoryMarshal.Read<UInt128>(hash), out var exists);
        if (exists) return index;
        index = rows.Count;
        rows.Add(default!);
        return index;
    }

    enum NodeKind : byte
    {
        And,
        Or,
        Test,
        Label,
    }

    enum TestKind : byte
    {
        Missing = 0,
        Package,
        Label,
        Other,
    }

    enum LabelKind : byte
    {
        Product,
        Module,
        Architecture,
    }

    enum EvrOperation : byte
    {
        Unknown,
        LessThan,
        LessThanOrEqual,
        GreaterThan,
        GreaterThanOrEqual,
        Equal,
    }

    /// <param name="Kind"></param>
    /// <param name="Negated"></param>
    /// <param name="Value">Index of the test or label.</param>
    /// <param name="End">The criteria below it are the nodes up to here.</param>
    readonly record struct Node(NodeKind Kind, bool Negated, int Value, int End);

    readonly record struct Label(LabelKind Kind, string Text);

    readonly record struct StatementKey(string Product, string Name, string Modules, VersionInterval? Interval, ProductStatus Status);

    record struct Test
    {
        public TestKind Kind { get; set; }

        public bool IsDpkg { get; set; }

        /// <summary>Default: what the definition says.</summary>
        public ProductStatus Unfixed { get; set; }

        public int Object { get; set; }

        public int Label { get; set; }

        public int FirstState { get; set; }

        public int EndState { get; set; }
    }

    record struct OvalObject
    {
        public bool Defined { get; set; }

        public bool IsPattern { get; set; }

        public int Variable { get; set; }

        public string Name { get; set; }
    }

    record struct State
    {
        public bool Defined { get; set; }

        public EvrOperation Operation { get; set; }

        public string? Evr { get; set; }

        public string? Architectures { get; set; }
    }

    /// <summary>What several states of one package have in common.</summary>
    record struct EvrRange
    {
        public string? Introduced { get; set; }

        public string? End { get; set; }

        public IntervalEnd Kind { get; set; }

        public string? Architectures { get; set; }

        public bool Unknown { get; set; }

        /// <summary>"Greater than 0", with which SUSE says that every version is affected.</summary>
        public bool Any { get; set; }

        public void And(in State state)
        {
            Architectures ??= state.Architectures;
            if (state.Evr is not { } evr) return;
            switch (state.Operation)
            {
                case EvrOperation.LessThan:
                    End = evr;
                    Kind = IntervalEnd.Fixed;
                    break;
                case EvrOperation.LessThanOrEqual:
                    End = evr;
                    Kind = IntervalEnd.LastAffected;
                    break;
                // An interval cannot begin behind a version. To begin with it is the safe side.
                case EvrOperation.GreaterThan or EvrOperation.GreaterThanOrEqual:
                    if (evr is "0" or "0-0") Any = true;
                    else Introduced = evr;
                    break;
                case EvrOperation.Equal:
                    Introduced = End = evr;
                    Kind = IntervalEnd.LastAffected;
                    break;
                default:
                    Unknown = true;
                    break;
            }
        }
    }

    /// <summary>What must hold beside a package's version. An empty list: anything.</summary>
    sealed record Constraints(IReadOnlyList<string> Products, IReadOnlyList<string> Architectures, IReadOnlyList<string> Modules)
    {
        public static Constraints None { get; } = new([], [], []);

        public Constraints Or(Label label) => label.Kind switch
        {
            LabelKind.Product => this with { Products = With(Products, label.Text) },
            LabelKind.Module => this with { Modules = With(Modules, label.Text) },
            _ => this with { Architectures = With(Architectures, label.Text) },
        };

        /// <summary>Both. The inner one says it more closely.</summary>
        public Constraints And(Constraints inner) => ReferenceEquals(inner, None) ? this : new(
            inner.Products.Count > 0 ? inner.Products : Products,
            inner.Architectures.Count > 0 ? inner.Architectures : Architectures,
            inner.Modules.Count > 0 ? inner.Modules : Modules);

        static IReadOnlyList<string> With(IReadOnlyList<string> list, string text) => list.Contains(text) ? list : [.. list, text];
    }

    sealed class Definition
    {
        public string Id { get; init; } = "";

        public string Class { get; init; } = "";

        public string Title { get; set; } = "";

        public Severity Severity { get; set; }

        public double Score { get; set; }

        public string? Vector { get; set; }

        public DateTimeOffset? Issued { get; set; }

        public DateTimeOffset? Updated { get; set; }

        public List<string> Cves { get; } = [];

        public List<string> Cpes { get; } = [];

        public List<string> Platforms { get; } = [];

        public List<(bool IsCve, string Id, string? Url)> References { get; } = [];

        public List<(ProductStatus Status, List<string> Components)> Resolutions { get; } = [];

        public int FirstNode { get; set; }

        public int EndNode { get; set; }
    }
}
