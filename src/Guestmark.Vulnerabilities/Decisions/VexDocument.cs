using System.Globalization;
using System.Text.Json;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// What the three formats of VEX have in common: the rules by which a statement becomes a decision, and those by which it is refused.
/// </summary>
/// <remarks>
/// A decision hides findings from whoever reads only what is open, so a statement that does so (not affected, fixed) is taken exactly or not
/// at all. One that shows them again (affected, under investigation) is taken whatever else it lacks. docs/reference/vex.md has the rules for people.
/// These documents are written by hand or by a tool for one operator, a few hundred KB each: they are read as a tree.
/// </remarks>
sealed class VexDocument
{
    public const string ScopeWord = "guestmark:scope";
    public const string ExpiresWord = "guestmark:expires";

    const int LengthMax = 64 * 1024 * 1024;
    const int DepthMax = 64;
    const int NameLengthMax = 512;
    const int ReasonLengthMax = 4000;
    const int ProductsMax = 10_000;
    const int ScopesMax = 1000;

    readonly string _document;
    readonly IFeedSink _sink;
    readonly DecisionDefaults _defaults;

    VexDocument(string document, IFeedSink sink, DecisionDefaults? defaults)
    {
        _document = document;
        _sink = sink;
        _defaults = defaults ?? new DecisionDefaults();
    }

    /// <summary>Reads the document as a tree and gives its root to the format. Whatever is wrong with it is skipped with the reason.</summary>
    public static void Read(
        string document, ReadOnlyMemory<byte> json, IFeedSink sink, DecisionDefaults? defaults, Action<VexDocument, JsonElement> read)
    {
        if (json.Length > LengthMax)
        {
            sink.Skip(document, "", $"it has {json.Length} bytes, limit {LengthMax}");
            return;
        }

        try
        {
            using var tree = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = DepthMax });
            if (tree.RootElement.ValueKind == JsonValueKind.Object) read(new VexDocument(document, sink, defaults), tree.RootElement);
            else sink.Skip(document, "$", "it is no JSON object");
        }
        catch (JsonException e)
        {
            sink.Skip(document, "", $"not valid JSON: {e.Message}");
        }
        catch (InvalidOperationException)
        {
            // JsonDocument does not look into strings and names before they are asked for, and then throws this.
            sink.Skip(document, "", "a text in it is not valid UTF-8 or has an unpaired surrogate; what follows it was not taken");
        }
    }

    public void Skip(string path, string reason) => _sink.Skip(_document, path, reason);

    /// <summary>Makes a decision of a statement, one for each name of the vulnerability.</summary>
    public void Decide(VexStatement statement)
    {
        var path = statement.Path;
        if (statement.Status is not { } status)
        {
            Skip(path, $"unknown status '{statement.StatusWord}'");
            return;
        }

        if (statement.Vulnerabilities.Count == 0)
        {
            Skip(path, "it names no vulnerability");
            return;
        }

        var scope = _defaults.Scope.Count > 0 ? _defaults.Scope : statement.Scope;
        var expires = _defaults.Expires ?? statement.Expires;
        var quiets = status is DecisionStatus.NotAffected or DecisionStatus.Fixed;
        if (quiets && statement.Problem is { } problem)
        {
            Skip(path, problem);
            return;
        }

        if (statement.Decided is not { } decided)
        {
            Skip(path, "it has no time, so nobody can tell which of two decisions is the later one");
            return;
        }

        if (status == DecisionStatus.NotAffected && statement.Justification is null && !statement.HasImpact)
        {
            Skip(path, "not affected without a justification or impact statement, one of which VEX asks for");
            return;
        }

        if (statement.IsComponent && quiets && scope.Count == 0)
        {
            Skip(path, "it is about a component of a product, and a machine does not tell which product a package is part of: give a scope");
            return;
        }

        var products = new List<string>();
        foreach (var product in statement.Products)
        {
            if (products.Count == ProductsMax)
            {
                Skip(path, $"more than {ProductsMax} products; it is taken for the first of them");
                break;
            }

            if (PackagePattern.Parse(product, out var why) is not null) products.Add(product);
            else Skip(path, $"the product '{Cut(product, 256)}' is left out: {why}");
        }

        if (products.Count == 0 && !statement.IsWhole)
        {
            Skip(path, "none of its products is a package URL that can be compared");
            return;
        }

        for (var i = 0; i < statement.Vulnerabilities.Count; i++)
        {
            var vulnerability = statement.Vulnerabilities[i];
            if (vulnerability.Length is 0 or > NameLengthMax)
            {
                Skip(path, $"the vulnerability's name has {vulnerability.Length} characters, not 1 to {NameLengthMax}");
                continue;
            }

            _sink.Add(new VexDecision
            {
                Id = i == 0 ? statement.Id : $"{statement.Id}/{vulnerability}",
                Vulnerability = vulnerability,
                Products = statement.IsWhole ? [] : products,
                Status = status,
                Justification = status == DecisionStatus.NotAffected ? statement.Justification : null,
                Reason = Cut(statement.Reason, ReasonLengthMax),
                Author = Cut(_defaults.Author ?? statement.Author, NameLengthMax),
                Decided = decided,
                Expires = expires,
                Scope = scope,
            });
        }
    }

    /// <summary>Takes <c>guestmark:scope</c> and <c>guestmark:expires</c>, which no standard has. False for another name.</summary>
    public static bool TryExtend(VexStatement statement, ReadOnlySpan<char> name, ReadOnlySpan<char> value)
    {
        value = value.Trim();
        if (name.SequenceEqual(ScopeWord))
        {
            if (value.Length is 0 or > NameLengthMax || statement.Scope.Count >= ScopesMax)
                statement.Problem = $"a {ScopeWord} has {value.Length} characters, not 1 to {NameLengthMax}, or there are more than {ScopesMax}";
            else statement.Scope.Add(value.ToString());
            return true;
        }

        if (!name.SequenceEqual(ExpiresWord)) return false;
        if (TimeOf(value) is { } time) statement.Expires = time;
        // Without it the statement would hold for ever.
        else statement.Problem = $"{ExpiresWord} is no time: '{Cut(value.ToString(), 64)}'";
        return true;
    }

    /// <summary>A member's text. Null when there is none, or something else.</summary>
    public static string? Text(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : null;

    public static DateTimeOffset? Time(JsonElement element, string name) => Text(element, name) is { } text ? TimeOf(text) : null;

    /// <summary>A member's object. Undefined when there is none: it has no members then.</summary>
    public static JsonElement Object(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Object
            ? value
            : default;

    /// <summary>A member's items. None when there is no such list.</summary>
    public static JsonElement.ArrayEnumerator Items(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Array
            ? value.EnumerateArray()
            : default;

    /// <summary>The texts of a list.</summary>
    public static List<string> Texts(JsonElement element, string name)
    {
        var texts = new List<string>();
        foreach (var item in Items(element, name))
        {
            if (item.ValueKind == JsonValueKind.String) texts.Add(item.GetString()!);
        }

        return texts;
    }

    /// <summary>Texts with a blank line between them; empty ones are left out, and so is what comes when it is long enough.</summary>
    public static string Join(params ReadOnlySpan<string?> texts)
    {
        var joined = "";
        foreach (var text in texts)
        {
            if (string.IsNullOrWhiteSpace(text) || joined.Length > ReasonLengthMax) continue;
            joined = joined.Length == 0 ? text.Trim() : $"{joined}\n\n{text.Trim()}";
        }

        return joined;
    }

    /// <summary>The labels of the VEX Working Group, which OpenVEX and CSAF share.</summary>
    public static bool IsJustification(string? label) =>
        label is "component_not_present" or "vulnerable_code_not_present" or "vulnerable_code_not_in_execute_path"
            or "vulnerable_code_cannot_be_controlled_by_adversary" or "inline_mitigations_already_exist";

    static DateTimeOffset? TimeOf(ReadOnlySpan<char> text)
    {
        const DateTimeStyles utc = DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal;
        return DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, utc, out var time) ? time : null;
    }

    static string Cut(string text, int charsMax) =>
        text.Length <= charsMax ? text : $"{text.AsSpan(0, char.IsHighSurrogate(text[charsMax - 2]) ? charsMax - 2 : charsMax - 1)}…";
}

/// <summary>A statement of a VEX document, whatever the format.</summary>
sealed class VexStatement
{
    const int NamesMax = 100;

    /// <summary>Where it is, as JSON path.</summary>
    public required string Path { get; init; }

    public required string Id { get; init; }

    /// <summary>Names of one vulnerability.</summary>
    public List<string> Vulnerabilities { get; } = [];

    /// <summary>Adds a name once, no more of them than anything real has.</summary>
    public void AddName(string name)
    {
        if (Vulnerabilities.Count < NamesMax && !Vulnerabilities.Contains(name)) Vulnerabilities.Add(name);
    }

    /// <summary>The status as the document writes it.</summary>
    public string StatusWord { get; init; } = "";

    /// <summary>Null when the word is not known.</summary>
    public DecisionStatus? Status { get; init; }

    /// <summary>One of the labels of the VEX Working Group.</summary>
    public string? Justification { get; set; }

    /// <summary>There is a text in the place where the format wants one that says why it is not affected.</summary>
    public bool HasImpact { get; set; }

    public string Reason { get; set; } = "";

    public string Author { get; set; } = "";

    public DateTimeOffset? Decided { get; set; }

    /// <summary>Package URLs, not checked.</summary>
    public List<string> Products { get; } = [];

    /// <summary>The products are components of something else that the document names.</summary>
    public bool IsComponent { get; set; }

    /// <summary>It is about everything on a machine.</summary>
    public bool IsWhole { get; set; }

    public List<string> Scope { get; } = [];

    public DateTimeOffset? Expires { get; set; }

    /// <summary>Why it cannot quiet a finding.</summary>
    public string? Problem { get; set; }
}
