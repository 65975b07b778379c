using System.Globalization;
using System.Text.Json;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// The operator's decisions as CSAF 2.0, profile VEX (https://docs.oasis-open.org/csaf/csaf/v2.0/os/csaf-v2.0-os.html). A vendor's CSAF is read as
/// advisories instead.
/// </summary>
/// <remarks>
/// <code>
/// document: { csaf_version, publisher.name, tracking: { id, current_release_date }, notes[] }
/// product_tree
///   full_product_names[], branches[]…/product:   { product_id, product_identification_helper.purl }
///   relationships[]: { product_reference, relates_to_product_reference, full_product_name }
///   product_groups[]: { group_id, product_ids[] }
/// vulnerabilities[]
///   cve, ids[].text, notes[]: { category, title, text }
///   product_status: { known_not_affected, fixed, known_affected, under_investigation, … }[]
///   flags[]: { label, date, product_ids[], group_ids[] }          why it is not affected
///   threats[]: { category: impact, details, date, product_ids[], group_ids[] }
///   remediations[]: { category, details, product_ids[], group_ids[] }
/// </code>
/// Scope and expiry are notes with the titles <c>guestmark:scope</c> (a pattern a line) and <c>guestmark:expires</c>, of the vulnerability or, for
/// all of them, of the document.
/// </remarks>
static class CsafDecisions
{
    const int BranchDepthMax = 32;
    const int ProductsMax = 1_000_000;

    /// <param name="document">File, archive member or URL, for what is skipped.</param>
    /// <param name="json">The whole document.</param>
    /// <param name="sink">Gets the decisions.</param>
    /// <param name="defaults">What the importing command says for all of them.</param>
    public static void Read(string document, ReadOnlyMemory<byte> json, IFeedSink sink, DecisionDefaults? defaults = null) =>
        VexDocument.Read(document, json, sink, defaults, ReadRoot);

    static void ReadRoot(VexDocument vex, JsonElement root)
    {
        var head = VexDocument.Object(root, "document");
        if (VexDocument.Text(head, "csaf_version") is not "2.0")
        {
            vex.Skip("$.document.csaf_version", $"it is no CSAF of a known version (2.0): '{VexDocument.Text(head, "csaf_version")}'");
            return;
        }

        var tracking = VexDocument.Object(head, "tracking");
        var id = VexDocument.Text(tracking, "id") ?? "";
        if (id.Length is 0 or > 512)
        {
            vex.Skip("$.document.tracking.id", $"the document's id has {id.Length} characters, not 1 to 512");
            return;
        }

        var products = new Products();
        products.Add(VexDocument.Object(root, "product_tree"));
        var author = VexDocument.Text(VexDocument.Object(head, "publisher"), "name") ?? "";
        var file = new CsafFile(head, id, author, VexDocument.Time(tracking, "current_release_date"), products);
        var index = 0;
        foreach (var vulnerability in VexDocument.Items(root, "vulnerabilities")) ReadVulnerability(vex, vulnerability, file, index++);
        if (index == 0) vex.Skip("$.vulnerabilities", "there are none");
    }

    static void ReadVulnerability(VexDocument vex, JsonElement vulnerability, CsafFile file, int index)
    {
        var status = VexDocument.Object(vulnerability, "product_status");
        var reasons = new Reasons(vulnerability, file.Products);
        if (reasons.Overflow)
        {
            var path = $"$.vulnerabilities[{index.ToString(CultureInfo.InvariantCulture)}]";
            vex.Skip(path, $"flags, threats and remediations name more than {Reasons.NamesMax} products");
            return;
        }

        var ordinal = 0;
        foreach (var (group, decision) in Groups)
        {
            // Products that have the same reasons make one decision. Those of one list come in its order.
            var byReason = new Dictionary<Reason, List<string>>();
            foreach (var product in VexDocument.Texts(status, group))
            {
                var reason = reasons.Of(product);
                if (!byReason.TryGetValue(reason, out var ids)) byReason[reason] = ids = [];
                ids.Add(product);
            }

            foreach (var (reason, ids) in byReason)
            {
                var statement = new VexStatement
                {
                    Path = $"$.vulnerabilities[{index.ToString(CultureInfo.InvariantCulture)}].product_status.{group}",
                    Id = $"{file.Id}#{index.ToString(CultureInfo.InvariantCulture)}.{(ordinal++).ToString(CultureInfo.InvariantCulture)}",
                    StatusWord = group,
                    Status = decision,
                    Author = file.Author,
                    Decided = reason.Date ?? file.Time,
                    Justification = VexDocument.IsJustification(reason.Justification) ? reason.Justification : null,
                    HasImpact = reason.Impact.Length > 0,
                    Reason = VexDocument.Join(reason.Impact, reason.Action),
                };
                if (reason.Justification is not null && statement.Justification is null) statement.Problem = $"unknown flag '{reason.Justification}'";
                if (VexDocument.Text(vulnerability, "cve") is { } cve) statement.AddName(cve);
                foreach (var name in VexDocument.Items(vulnerability, "ids"))
                {
                    if (VexDocument.Text(name, "text") is { } text) statement.AddName(text);
                }

                Extend(vulnerability, statement);
                // What the document says for all counts where the vulnerability does not say it.
                var whole = new VexStatement { Path = "$.document.notes", Id = file.Id };
                Extend(file.Head, whole);
                if (statement.Scope.Count == 0) statement.Scope.AddRange(whole.Scope);
                statement.Expires ??= whole.Expires;
                statement.Problem ??= whole.Problem;
                foreach (var product in ids)
                {
                    if (file.Products.PurlOf(product, out var isComponent) is { } purl)
                    {
                        statement.Products.Add(purl);
                        statement.IsComponent |= isComponent;
                    }
                    else
                    {
                        vex.Skip(statement.Path, $"product '{product}' has no package URL in the product tree");
                    }
                }

                if (statement.Products.Count > 0) vex.Decide(statement);
            }
        }
    }

    static readonly (string Group, DecisionStatus Status)[] Groups =
    [
        ("known_not_affected", DecisionStatus.NotAffected),
        ("fixed", DecisionStatus.Fixed),
        ("first_fixed", DecisionStatus.Fixed),
        ("known_affected", DecisionStatus.Affected),
        ("first_affected", DecisionStatus.Affected),
        ("last_affected", DecisionStatus.Affected),
        ("under_investigation", DecisionStatus.UnderInvestigation),
    ];

    static void Extend(JsonElement holder, VexStatement statement)
    {
        foreach (var note in VexDocument.Items(holder, "notes"))
        {
            var title = VexDocument.Text(note, "title") ?? "";
            if (!title.StartsWith("guestmark:", StringComparison.Ordinal)) continue;
            foreach (var line in (VexDocument.Text(note, "text") ?? "").Split('\n'))
            {
                if (!VexDocument.TryExtend(statement, title, line)) statement.Problem = $"unknown note '{title}'";
            }
        }
    }

    /// <param name="Justification">A flag's label, not checked.</param>
    /// <param name="Impact">Details of threats of the category impact.</param>
    /// <param name="Action">Details of remediations.</param>
    /// <param name="Date">Of the flag or threat.</param>
    readonly record struct Reason(string? Justification, string Impact, string Action, DateTimeOffset? Date)
    {
        public static Reason None { get; } = new(null, "", "", null);

        public Reason And(Reason other) => new(
            Justification ?? other.Justification, VexDocument.Join(Impact, other.Impact), VexDocument.Join(Action, other.Action), Date ?? other.Date);
    }

    /// <summary>What a vulnerability's flags, threats and remediations say of each product.</summary>
    sealed class Reasons
    {
        public const int NamesMax = 1_000_000;

        readonly Dictionary<string, Reason> _byProduct = new(StringComparer.Ordinal);
        Reason _all = Reason.None;
        int _names;

        public Reasons(JsonElement vulnerability, Products products)
        {
            foreach (var flag in VexDocument.Items(vulnerability, "flags"))
                Add(flag, products, Reason.None with { Justification = VexDocument.Text(flag, "label"), Date = VexDocument.Time(flag, "date") });
            foreach (var threat in VexDocument.Items(vulnerability, "threats"))
            {
                if (VexDocument.Text(threat, "category") is not "impact") continue;
                var details = VexDocument.Text(threat, "details") ?? "";
                Add(threat, products, Reason.None with { Impact = details, Date = VexDocument.Time(threat, "date") });
            }

            foreach (var remediation in VexDocument.Items(vulnerability, "remediations"))
                Add(remediation, products, Reason.None with { Action = VexDocument.Text(remediation, "details") ?? "" });
        }

        public bool Overflow => _names > NamesMax;

        public Reason Of(string product) => _byProduct.GetValueOrDefault(product, Reason.None).And(_all);

        /// <summary>One that names no products is about all of them.</summary>
        void Add(JsonElement element, Products products, Reason reason)
        {
            var names = VexDocument.Texts(element, "product_ids");
            var groups = VexDocument.Texts(element, "group_ids");
            foreach (var name in names) Add(name, reason);
            foreach (var group in groups)
            {
                foreach (var name in products.Group(group)) Add(name, reason);
            }

            if (names.Count == 0 && groups.Count == 0) _all = _all.And(reason);
        }

        void Add(string product, Reason reason)
        {
            if (++_names <= NamesMax) _byProduct[product] = _byProduct.GetValueOrDefault(product, Reason.None).And(reason);
        }
    }

    sealed record CsafFile(JsonElement Head, string Id, string Author, DateTimeOffset? Time, Products Products);

    /// <summary>The product tree: which package URL a product id stands for.</summary>
    sealed class Products
    {
        readonly Dictionary<string, string> _purls = new(StringComparer.Ordinal);
        readonly Dictionary<string, string> _components = new(StringComparer.Ordinal);
        readonly Dictionary<string, List<string>> _groups = new(StringComparer.Ordinal);

        public void Add(JsonElement tree)
        {
            foreach (var product in VexDocument.Items(tree, "full_product_names")) AddProduct(product);
            AddBranches(tree, 0);
            foreach (var relationship in VexDocument.Items(tree, "relationships"))
            {
                var product = VexDocument.Object(relationship, "full_product_name");
                AddProduct(product);
                if (VexDocument.Text(product, "product_id") is { } id && VexDocument.Text(relationship, "product_reference") is { } reference
                    && _components.Count < ProductsMax)
                {
                    _components.TryAdd(id, reference);
                }
            }

            foreach (var group in VexDocument.Items(tree, "product_groups"))
            {
                if (VexDocument.Text(group, "group_id") is { } id) _groups.TryAdd(id, VexDocument.Texts(group, "product_ids"));
            }
        }

        public IReadOnlyList<string> Group(string id) => _groups.GetValueOrDefault(id, []);

        /// <param name="product">Product id.</param>
        /// <param name="isComponent">It is part of another product.</param>
        public string? PurlOf(string product, out bool isComponent)
        {
            isComponent = false;
            // A module's package is a component of the module, which is one of the system: three levels in Red Hat's documents.
            for (var level = 0; level < 8; level++)
            {
                if (_components.TryGetValue(product, out var reference))
                {
                    isComponent = true;
                    if (_purls.TryGetValue(product, out var own)) return own;
                    product = reference;
                    continue;
                }

                return _purls.GetValueOrDefault(product);
            }

            return null;
        }

        void AddBranches(JsonElement parent, int depth)
        {
            if (depth > BranchDepthMax) return;
            foreach (var branch in VexDocument.Items(parent, "branches"))
            {
                AddProduct(VexDocument.Object(branch, "product"));
                AddBranches(branch, depth + 1);
            }
        }

        void AddProduct(JsonElement product)
        {
            if (_purls.Count < ProductsMax && VexDocument.Text(product, "product_id") is { } id
                && VexDocument.Text(VexDocument.Object(product, "product_identification_helper"), "purl") is { } purl)
            {
                _purls.TryAdd(id, purl);
            }
        }
    }
}
