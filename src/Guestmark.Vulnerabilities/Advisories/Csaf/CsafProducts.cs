using System.Text;
using System.Text.Json;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// The product tree of one CSAF document: products by the number of their id, and what package of what product each of them is.
/// </summary>
/// <remarks>
/// <code>
/// branches      = *{ category, name, branches | product }     product = { product_id, name, product_identification_helper { cpe, purl } }
/// relationships = *{ category, full_product_name: product, product_reference, relates_to_product_reference }
/// </code>
/// A relationship puts the package that <c>product_reference</c> names into the product that <c>relates_to_product_reference</c> names. Red Hat's
/// modules make it two deep: rpm in module in RHEL.
/// </remarks>
sealed class CsafProducts
{
    // rpm, module and product are three; two more are harmless.
    const int LeavesMax = 5;

    readonly Utf8Table _ids = new();
    readonly Utf8Table _texts;
    readonly CsafPackageReader _reader;
    readonly List<int> _defined = [];
    readonly List<int[]> _groups = [];
    readonly List<int> _members = [];
    readonly List<ReadPackage> _read = [];
    readonly Dictionary<CsafPackage, int> _packageNumbers = [];
    readonly Dictionary<(int Cpe, int Name), int> _platforms = [];
    readonly int[] _leaves = new int[LeavesMax];
    readonly JsonAlike _alike = new(Enum.GetValues<Spot>().Length);
    Product[] _products = new Product[1024];
    ProductNames[] _names = new ProductNames[1024];
    int _nameCount;
    CsafTarget[] _targets = new CsafTarget[1024];
    int _targetCount;
    int _lastFound;
    int _lastDefined;
    int _lastPlatform;
    int _lastPlatformNames;
    (int Cpe, int Edition, int Product) _lastResolved;
    int _lastPackage;
    ReadOnlyMemory<byte> _json;
    byte[] _unescaped = new byte[256];

    public CsafProducts(Utf8Table texts)
    {
        _texts = texts;
        _reader = new CsafPackageReader(texts);
    }

    /// <summary>Packages by number.</summary>
    public List<CsafPackage> Packages { get; } = [];

    /// <summary>Ids, those included that are referred to and not defined. Numbers start at 1.</summary>
    public int Count => _ids.Count;

    public long Capacity => _ids.Capacity + ((long)_products.Length * 24) + ((long)_names.Length * 44) + ((long)_targets.Length * 40);

    /// <param name="forgetTexts">The table of texts was cleared.</param>
    public void Start(ReadOnlyMemory<byte> json, bool forgetTexts)
    {
        Array.Clear(_products, 0, Math.Min(_ids.Count, _products.Length));
        Array.Clear(_targets, 0, _targetCount);
        _nameCount = 1;
        _targetCount = 1;
        _lastFound = _lastDefined = _lastPlatform = _lastPlatformNames = _lastPackage = 0;
        _lastResolved = default;
        _ids.Clear();
        _defined.Clear();
        _groups.Clear();
        _read.Clear();
        _packageNumbers.Clear();
        Packages.Clear();
        if (forgetTexts) _platforms.Clear();
        _json = json;
    }

    public void Read(ref Utf8JsonReader json, CsafFaults faults)
    {
        if (!faults.Enter(ref json, JsonTokenType.StartObject, "product_tree")) return;
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (json.Is("branches"u8)) ReadBranches(ref json, faults);
            else if (json.Is("full_product_names"u8)) ReadNames(ref json, faults);
            else if (json.Is("relationships"u8)) ReadRelationships(ref json, faults);
            else if (json.Is("product_groups"u8)) ReadGroups(ref json, faults);
            else faults.Pass(ref json);
        }
    }

    /// <summary>The number of the product id that the reader is at; 0 when the tree does not define it.</summary>
    public int Find(ref Utf8JsonReader json)
    {
        // Lists of ids are sorted as the relationships are.
        var number = _ids.Find(Unescape(ref json), _lastFound + 1);
        if (number <= 0 || _products[number].Kind == ProductKind.None) return 0;
        return _lastFound = number;
    }

    /// <summary>The products of the group whose id the reader is at; null when the tree does not define it.</summary>
    public int[]? FindGroup(ref Utf8JsonReader json)
    {
        var number = _ids.Find(Unescape(ref json));
        return number > 0 && _products[number].Group > 0 ? _groups[_products[number].Group - 1] : null;
    }

    public string IdOf(int product) => Encoding.UTF8.GetString(_ids[product]);

    /// <summary>What package of what product it is.</summary>
    public ref readonly CsafTarget TargetOf(int number)
    {
        ref var product = ref _products[number];
        if (product.Target == 0)
        {
            if (_targetCount == _targets.Length) Array.Resize(ref _targets, _targetCount * 2);
            _targets[_targetCount] = Resolve(number);
            product.Target = _targetCount++;
        }

        return ref _targets[product.Target];
    }

    /// <summary>The number of a package that may not be in the tree, as one without a version.</summary>
    public int NumberOf(CsafPackage package)
    {
        if (!_packageNumbers.TryGetValue(package, out var number))
        {
            number = Packages.Count;
            Packages.Add(package);
            _packageNumbers.Add(package, number);
        }

        return number;
    }

    /// <summary>The text of the string that the reader is at. Valid until the next call.</summary>
    public ReadOnlySpan<byte> Unescape(ref Utf8JsonReader json)
    {
        if (!json.ValueIsEscaped) return json.ValueSpan;
        if (_unescaped.Length < json.ValueSpan.Length) _unescaped = new byte[json.ValueSpan.Length * 2];
        return _unescaped.AsSpan(0, json.CopyString(_unescaped));
    }

    void ReadBranches(ref Utf8JsonReader json, CsafFaults faults)
    {
        if (!faults.Enter(ref json, JsonTokenType.StartArray, "branches")) return;
        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
        {
            if (!faults.Is(ref json, JsonTokenType.StartObject, "branch")) continue;
            var (start, known) = (faults.At(in json), faults.Count);
            if (ReadBranch(ref json, faults, out var leaf) && faults.Count == known) ReadAlikeBranches(ref json, faults, start, leaf);
        }
    }

    // The depth of the document bounds the recursion: the JSON reader allows 64 levels, of which a branch takes two.
    // True: it has a product and no branches.
    bool ReadBranch(ref Utf8JsonReader json, CsafFaults faults, out Leaf leaf)
    {
        leaf = default;
        var first = _defined.Count;
        var product = 0;
        var isArchitecture = false;
        var isLeaf = true;
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (json.Is("branches"u8))
            {
                isLeaf = false;
                ReadBranches(ref json, faults);
            }
            else if (json.Is("product"u8))
            {
                isLeaf &= product == 0;
                if (!faults.Enter(ref json, JsonTokenType.StartObject, "product")) continue;
                leaf.Fields = ReadFields(ref json, faults);
                product = Define(leaf.Fields, ProductKind.Product, faults);
            }
            else if (json.Is("category"u8))
            {
                if (!faults.Enter(ref json, JsonTokenType.String, "category")) continue;
                isArchitecture = json.Is("architecture"u8);
                leaf.IsRange = json.Is("product_version_range"u8);
            }
            else if (json.Is("name"u8))
            {
                if (faults.Enter(ref json, JsonTokenType.String, "name")) leaf.Name = Slice.Of(in json, faults);
            }
            else
            {
                faults.Pass(ref json);
            }
        }

        if (product > 0 && leaf.IsRange) _names[_products[product].Names].Range = leaf.Name;
        for (var i = first; isArchitecture && i < _defined.Count; i++) _names[_products[_defined[i]].Names].Architecture = leaf.Name;
        return isLeaf && product > 0 && !isArchitecture;
    }

    // The builds of one architecture are a list of branches with a product each.
    void ReadAlikeBranches(ref Utf8JsonReader json, CsafFaults faults, int start, in Leaf leaf)
    {
        var bytes = faults.Bytes;
        var position = faults.After(in json);
        _alike.Begin(bytes, start, position);
        AddSpots(leaf.Fields);
        AddSpot(Spot.Branch, leaf.Name);
        for (var next = position; _alike.Next(bytes, ref next); position = next)
        {
            var fields = AlikeFields(bytes, leaf.Fields);
            // What is defined twice is told by the reader.
            if (_products[fields.Id].Kind != ProductKind.None) break;
            Define(fields, ProductKind.Product, faults);
            if (leaf.IsRange) _names[_products[fields.Id].Names].Range = Alike(Spot.Branch, leaf.Name);
        }

        faults.GoOn(ref json, position);
    }

    void AddSpots(in Fields fields)
    {
        AddSpot(Spot.Id, fields.IdText);
        AddSpot(Spot.Name, fields.Name);
        AddSpot(Spot.Purl, fields.Purl);
        AddSpot(Spot.Cpe, fields.Cpe);
    }

    void AddSpot(Spot spot, Slice text) => _alike.AddSpot((int)spot, text.Start, text.Escaped ? 0 : text.Length);

    // What is no spot has the same text as that of the pattern.
    Slice Alike(Spot spot, Slice pattern) => _alike[(int)spot] is { Length: > 0 } value ? new Slice(value.Start, value.Length) : pattern;

    Fields AlikeFields(ReadOnlySpan<byte> bytes, in Fields pattern)
    {
        var fields = pattern;
        fields.Name = Alike(Spot.Name, pattern.Name);
        fields.Purl = Alike(Spot.Purl, pattern.Purl);
        fields.Cpe = Alike(Spot.Cpe, pattern.Cpe);
        var id = _alike.Text(bytes, (int)Spot.Id);
        if (!id.IsEmpty) fields.Id = Number(id);
        return fields;
    }

    void ReadNames(ref Utf8JsonReader json, CsafFaults faults)
    {
        if (!faults.Enter(ref json, JsonTokenType.StartArray, "full_product_names")) return;
        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
        {
            if (faults.Is(ref json, JsonTokenType.StartObject, "full product name"))
                Define(ReadFields(ref json, faults), ProductKind.Product, faults);
        }
    }

    Fields ReadFields(ref Utf8JsonReader json, CsafFaults faults)
    {
        var fields = new Fields { Offset = faults.At(in json) };
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            if (json.Is("product_id"u8))
            {
                if (!faults.Enter(ref json, JsonTokenType.String, "product_id")) continue;
                fields.Id = Number(ref json);
                fields.IdText = Slice.Of(in json, faults);
            }
            else if (json.Is("name"u8))
            {
                if (faults.Enter(ref json, JsonTokenType.String, "name")) fields.Name = Slice.Of(in json, faults);
            }
            else if (json.Is("product_identification_helper"u8))
            {
                if (!faults.Enter(ref json, JsonTokenType.StartObject, "product_identification_helper")) continue;
                while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
                {
                    if (json.Is("purl"u8))
                    {
                        if (faults.Enter(ref json, JsonTokenType.String, "purl")) fields.Purl = Slice.Of(in json, faults);
                    }
                    else if (json.Is("cpe"u8))
                    {
                        if (faults.Enter(ref json, JsonTokenType.String, "cpe")) fields.Cpe = Slice.Of(in json, faults);
                    }
                    else if (json.Is("purls"u8))
                    {
                        // CSAF 2.1 has a list. Several names of one package say nothing that the first does not.
                        if (!faults.Enter(ref json, JsonTokenType.StartArray, "purls")) continue;
                        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
                        {
                            if (faults.Is(ref json, JsonTokenType.String, "purl") && fields.Purl.IsEmpty) fields.Purl = Slice.Of(in json, faults);
                        }
                    }
                    else
                    {
                        faults.Pass(ref json);
                    }
                }
            }
            else
            {
                faults.Pass(ref json);
            }
        }

        return fields;
    }

    int Define(in Fields fields, ProductKind kind, CsafFaults faults)
    {
        if (fields.Id == 0)
        {
            faults.Add(fields.Offset, "product without a product_id");
            return 0;
        }

        ref var product = ref _products[fields.Id];
        if (product.Kind != ProductKind.None)
        {
            // SUSE lists some products twice, the same each time.
            ref readonly var names = ref _names[product.Names];
            if (product.Kind != kind || !Same(names.Purl, fields.Purl) || !Same(names.Cpe, fields.Cpe))
                faults.Add(fields.Offset, $"product id '{IdOf(fields.Id)}' is defined before, as another product");
            return 0;
        }

        product.Kind = kind;
        if (kind == ProductKind.Product) _defined.Add(fields.Id);
        // Relationships have nothing but a sentence: "A as a component of B".
        if (kind == ProductKind.Relationship && fields.Purl.IsEmpty) return fields.Id;
        if (_nameCount == _names.Length) Array.Resize(ref _names, _nameCount * 2);
        _names[_nameCount] = new ProductNames { Name = fields.Name, Purl = fields.Purl, Cpe = fields.Cpe };
        product.Names = _nameCount++;
        return fields.Id;
    }

    void ReadRelationships(ref Utf8JsonReader json, CsafFaults faults)
    {
        if (!faults.Enter(ref json, JsonTokenType.StartArray, "relationships")) return;
        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
        {
            if (!faults.Is(ref json, JsonTokenType.StartObject, "relationship")) continue;
            var (offset, known) = (faults.At(in json), faults.Count);
            Fields fields = default;
            var component = 0;
            var platform = 0;
            Slice componentText = default;
            Slice platformText = default;
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                if (json.Is("full_product_name"u8))
                {
                    if (faults.Enter(ref json, JsonTokenType.StartObject, "full_product_name")) fields = ReadFields(ref json, faults);
                }
                else if (json.Is("product_reference"u8))
                {
                    if (!faults.Enter(ref json, JsonTokenType.String, "product_reference")) continue;
                    component = _lastDefined = Number(ref json, _lastDefined + 1);
                    componentText = Slice.Of(in json, faults);
                }
                else if (json.Is("relates_to_product_reference"u8))
                {
                    if (!faults.Enter(ref json, JsonTokenType.String, "relates_to_product_reference")) continue;
                    platform = _lastPlatform = Number(ref json, _lastPlatform);
                    platformText = Slice.Of(in json, faults);
                }
                else
                {
                    faults.Pass(ref json);
                }
            }

            if (fields.Id == 0 || component == 0 || platform == 0)
            {
                faults.Add(offset, "relationship without product_id, product_reference or relates_to_product_reference");
                continue;
            }

            fields.Offset = offset;
            Relate(fields, component, platform, faults);
            if (faults.Count == known) ReadAlikeRelationships(ref json, faults, fields, componentText, platformText);
        }
    }

    void Relate(in Fields fields, int component, int platform, CsafFaults faults)
    {
        _products[platform].HasComponents = true;
        ref var product = ref _products[fields.Id];
        if (product.Kind == ProductKind.Relationship && (product.Component != component || product.Platform != platform))
        {
            faults.Add(fields.Offset, $"product id '{IdOf(fields.Id)}' is another relationship before");
            return;
        }

        if (Define(fields, ProductKind.Relationship, faults) == 0) return;
        product.Component = component;
        product.Platform = platform;
    }

    void ReadAlikeRelationships(ref Utf8JsonReader json, CsafFaults faults, in Fields pattern, Slice componentText, Slice platformText)
    {
        var bytes = faults.Bytes;
        var position = faults.After(in json);
        _alike.Begin(bytes, pattern.Offset, position);
        AddSpots(pattern);
        AddSpot(Spot.Component, componentText);
        AddSpot(Spot.Platform, platformText);
        for (var next = position; _alike.Next(bytes, ref next); position = next)
        {
            // Where one is escaped, so that it is no spot, it is that of the pattern.
            var component = _alike.Text(bytes, (int)Spot.Component);
            if (!component.IsEmpty) _lastDefined = Number(component, _lastDefined + 1);
            var platform = _alike.Text(bytes, (int)Spot.Platform);
            if (!platform.IsEmpty) _lastPlatform = Number(platform, _lastPlatform);
            var fields = AlikeFields(bytes, pattern);
            // What is defined twice is told by the reader.
            if (_products[fields.Id].Kind != ProductKind.None) break;
            Relate(fields, _lastDefined, _lastPlatform, faults);
        }

        faults.GoOn(ref json, position);
    }

    void ReadGroups(ref Utf8JsonReader json, CsafFaults faults)
    {
        if (!faults.Enter(ref json, JsonTokenType.StartArray, "product_groups")) return;
        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
        {
            if (!faults.Is(ref json, JsonTokenType.StartObject, "product group")) continue;
            var group = 0;
            _members.Clear();
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                if (json.Is("group_id"u8))
                {
                    if (faults.Enter(ref json, JsonTokenType.String, "group_id")) group = Number(ref json);
                }
                else if (json.Is("product_ids"u8))
                {
                    if (!faults.Enter(ref json, JsonTokenType.StartArray, "product_ids")) continue;
                    while (json.Read() && json.TokenType != JsonTokenType.EndArray)
                    {
                        if (faults.Is(ref json, JsonTokenType.String, "product id")) _members.Add(Number(ref json));
                    }
                }
                else
                {
                    faults.Pass(ref json);
                }
            }

            if (group == 0 || _products[group].Group > 0) continue;
            _groups.Add([.. _members]);
            _products[group].Group = _groups.Count;
        }
    }

    int Number(ref Utf8JsonReader json, int guess = 0) => Number(Unescape(ref json), guess);

    int Number(ReadOnlySpan<byte> id, int guess = 0)
    {
        var number = _ids.Add(id, guess);
        if (number >= _products.Length) Array.Resize(ref _products, Math.Max(_products.Length * 2, number + 1));
        return number;
    }

    CsafTarget Resolve(int number)
    {
        var count = 0;
        if (!Flatten(number, 0, ref count, out var missing))
        {
            return new CsafTarget
            {
                Wrong = missing > 0
                    ? $"refers to product '{IdOf(missing)}', which the product tree does not define"
                    : $"relationships are a cycle or more than {LeavesMax} products deep",
            };
        }

        // Names of number 0 are empty.
        ref var component = ref _names[_products[_leaves[0]].Names];
        ref readonly var own = ref _names[_products[number].Names];
        var purl = own.Purl.IsEmpty ? component.Purl : own.Purl;
        if (count == 1 && (purl.IsEmpty || component.Purl.IsEmpty)) return new CsafTarget { LeftOut = "product as a whole, not a package of it" };

        var module = 0;
        for (var i = 1; i < count - 1; i++)
        {
            ref readonly var middle = ref _names[_products[_leaves[i]].Names];
            if (!middle.Purl.IsEmpty)
            {
                _reader.ReadPurl(Bytes(middle.Purl), 0);
                if (_reader.Wrong is null && _reader.LeftOut is null && _reader.IsModule) module = _reader.Package.Name;
            }
            else if (Bytes(middle.Name).IndexOf((byte)':') > 0)
            {
                module = _reader.ModuleOf(Bytes(middle.Name));
            }
        }

        var (cpe, edition, product) = count == 1 ? (0, 0, 0) : PlatformOf(_products[_leaves[count - 1]].Names);
        // Red Hat has a package in every channel and product that ships it.
        var isOfComponent = own.Purl.IsEmpty && module == 0 && !purl.IsEmpty;
        if (isOfComponent && component.Read > 0) return Put(_read[component.Read - 1], number, count, cpe, edition, product);
        if (purl.IsEmpty)
        {
            var family = product == 0 ? default : _texts[product];
            var architecture = component.Architecture.Escaped ? Bytes(component.Architecture).ToArray() : Bytes(component.Architecture);
            var name = component.Name.IsEmpty ? _ids[_leaves[0]] : Bytes(component.Name);
            // SUSE names its packages by nothing but name, version and architecture, and Red Hat the unfixed ones by their name.
            if (family.IndexOf("SUSE:"u8) is 0 or 4) _reader.ReadName(name, architecture);
            else if (family.StartsWith("Red Hat:enterprise_linux"u8) || family.StartsWith("Red Hat:rhel_"u8)) _reader.ReadComponent(name);
            else return new CsafTarget { LeftOut = "component without a package URL" };
        }
        else
        {
            _reader.ReadPurl(Bytes(purl), module);
        }

        if (_reader.Wrong is not null)
        {
            var named = purl.IsEmpty ? component.Name : purl;
            return new CsafTarget { Wrong = $"{_reader.Wrong}: '{Encoding.UTF8.GetString(Bytes(named)[..Math.Min(Bytes(named).Length, 200)])}'" };
        }

        if (_reader.LeftOut is not null) return new CsafTarget { LeftOut = _reader.LeftOut };
        if (!component.Range.IsEmpty && _reader.Package.Version == 0) _reader.SetRange(_texts.Add(Bytes(component.Range)));
        var read = new ReadPackage(_reader.Package, _reader.Architecture, _reader.OfDistribution);
        if (isOfComponent)
        {
            _read.Add(read);
            component.Read = _read.Count;
        }

        return Put(read, number, count, cpe, edition, product);
    }

    CsafTarget Put(in ReadPackage read, int number, int leaves, int cpe, int edition, int product)
    {
        if (read.OfDistribution)
        {
            if (product == 0) return new CsafTarget { LeftOut = "package of a product without a known ecosystem" };
            if (read.Package.Naming == PackageNaming.Module && _products[number].HasComponents)
                return new CsafTarget { LeftOut = "module whose packages are listed" };
        }
        else
        {
            // What a product contains is not what the registry of the language has: a fix of the one is none of the other.
            if (leaves > 1) return new CsafTarget { LeftOut = "part of a product that is no package of the operating system" };
            product = read.Package.Ecosystem;
        }

        var package = _lastPackage;
        if (package == Packages.Count || Packages[package] != read.Package)
        {
            package = NumberOf(read.Package);
            _lastPackage = package;
        }

        return new CsafTarget
        {
            Product = product,
            Cpe = cpe,
            Edition = edition,
            Package = package,
            Architecture = read.Architecture,
            OfDistribution = read.OfDistribution,
        };
    }

    // The products that are no relationships, from left to right: package, modules, product.
    bool Flatten(int number, int depth, ref int count, out int missing)
    {
        missing = 0;
        ref var product = ref _products[number];
        if (product.Kind == ProductKind.None)
        {
            missing = number;
            return false;
        }

        if (product.Kind == ProductKind.Relationship)
        {
            return depth < LeavesMax && Flatten(product.Component, depth + 1, ref count, out missing)
                && Flatten(product.Platform, depth + 1, ref count, out missing);
        }

        if (count == LeavesMax) return false;
        _leaves[count++] = number;
        return true;
    }

    // Product 0: none that is known.
    (int Cpe, int Edition, int Product) PlatformOf(int number)
    {
        // Packages of one product lie side by side.
        if (number == _lastPlatformNames) return _lastResolved;
        ref readonly var names = ref _names[number];
        var cpe = names.Cpe.IsEmpty ? 0 : _texts.Add(Bytes(names.Cpe));
        var name = names.Name.IsEmpty ? 0 : _texts.Add(Bytes(names.Name));
        if (!_platforms.TryGetValue((cpe, name), out var product))
        {
            product = CsafEcosystem.Of(_texts.Text(cpe), _texts.Text(name)) is { } known ? _texts.Add(Encoding.UTF8.GetBytes(known)) : 0;
            _platforms.Add((cpe, name), product);
        }

        _lastPlatformNames = number;
        return _lastResolved = (cpe, IsForRelease(_texts[cpe]) ? cpe : 0, product);
    }

    // cpe:/a:redhat:jboss_enterprise_application_platform:7.4::el8 is built for one release of RHEL; ::appstream and others are channels of one.
    static bool IsForRelease(ReadOnlySpan<byte> cpe)
    {
        var edition = cpe[(cpe.LastIndexOf((byte)':') + 1)..];
        return edition.Length > 2 && edition.StartsWith("el"u8) && char.IsAsciiDigit((char)edition[2]);
    }

    bool Same(Slice a, Slice b) => a.Length == b.Length && _json.Span.Slice(a.Start, a.Length).SequenceEqual(_json.Span.Slice(b.Start, b.Length));

    // Valid until the next call.
    ReadOnlySpan<byte> Bytes(Slice slice)
    {
        if (!slice.Escaped) return _json.Span.Slice(slice.Start, slice.Length);
        var json = new Utf8JsonReader(_json.Span.Slice(slice.Start - 1, slice.Length + 2));
        json.Read();
        if (_unescaped.Length < slice.Length) _unescaped = new byte[slice.Length * 2];
        return _unescaped.AsSpan(0, json.CopyString(_unescaped));
    }

    enum ProductKind : byte
    {
        None,
        Product,
        Relationship,
    }

    /// <summary>A string of the document, without its quotes. A negative length: with escapes in it.</summary>
    readonly record struct Slice(int Start, int SignedLength)
    {
        public bool IsEmpty => SignedLength == 0;

        public int Length => Math.Abs(SignedLength);

        public bool Escaped => SignedLength < 0;

        public static Slice Of(ref readonly Utf8JsonReader json, CsafFaults faults) =>
            new(faults.At(in json) + 1, json.ValueIsEscaped ? -json.ValueSpan.Length : json.ValueSpan.Length);
    }

    /// <summary>The strings of a product or relationship that are others from one to the next.</summary>
    enum Spot
    {
        Id,
        Name,
        Purl,
        Cpe,
        Branch,
        Component,
        Platform,
    }

    /// <summary>A branch that has a product.</summary>
    struct Leaf
    {
        public Fields Fields;
        public Slice Name;
        public bool IsRange;
    }

    struct Fields
    {
        public int Offset;
        public int Id;
        public Slice IdText;
        public Slice Name;
        public Slice Purl;
        public Slice Cpe;
    }

    // Kept small: a document has thousands, and they are cleared for the next.
    struct Product
    {
        public ProductKind Kind;
        public bool HasComponents;

        /// <summary>Index into the groups, plus one, of the group with this id.</summary>
        public int Group;

        /// <summary>What the relationship puts together.</summary>
        public int Component;
        public int Platform;

        /// <summary>Index into the names. 0: it has none of its own.</summary>
        public int Names;

        /// <summary>Index into the targets. 0: not resolved yet.</summary>
        public int Target;
    }

    struct ProductNames
    {
        public Slice Name;
        public Slice Purl;
        public Slice Cpe;
        public Slice Range;
        public Slice Architecture;

        /// <summary>Index into what was read of package URLs, plus one. 0: it was not read yet, or cannot be.</summary>
        public int Read;
    }

    /// <summary>What the package URL of a component says outside of any module.</summary>
    readonly record struct ReadPackage(CsafPackage Package, int Architecture, bool OfDistribution);
}

/// <summary>What a product of a CSAF document is about, when there is neither <see cref="LeftOut"/> nor <see cref="Wrong"/>.</summary>
readonly record struct CsafTarget
{
    /// <summary>Text of <see cref="PackageStatement.Product"/>.</summary>
    public int Product { get; init; }

    /// <summary>Text of <see cref="PackageStatement.Cpe"/>.</summary>
    public int Cpe { get; init; }

    /// <summary>Text that keeps statements of one product apart: its CPE when that is for one release of RHEL. 0 for channels.</summary>
    public int Edition { get; init; }

    /// <summary>Index into <see cref="CsafProducts.Packages"/>.</summary>
    public int Package { get; init; }

    /// <summary>Text of the architecture. 0: all.</summary>
    public int Architecture { get; init; }

    public bool OfDistribution { get; init; }

    public string? LeftOut { get; init; }

    public string? Wrong { get; init; }
}
