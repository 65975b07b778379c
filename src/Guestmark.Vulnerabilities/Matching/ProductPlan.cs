namespace Guestmark.Vulnerabilities;

/// <summary>A product of the database, with what matching asks of it for every package.</summary>
sealed class ProductPlan
{
    ProductPlan(int text, string name, Ecosystem ecosystem, PackageNamings namings)
    {
        (Text, Name, Ecosystem, Namings) = (text, name, ecosystem, namings);
        IsRedHat = name.StartsWith("Red Hat:", StringComparison.Ordinal);
    }

    public int Text { get; }

    public string Name { get; }

    public Ecosystem Ecosystem { get; }

    /// <summary>The namings that its statements use: what need not be looked up is not.</summary>
    public PackageNamings Namings { get; }

    /// <summary>Builds of several minor releases stand side by side in one product.</summary>
    public bool IsRedHat { get; }

    /// <returns>Null when the database has no statement about the product, or its versions cannot be compared.</returns>
    public static ProductPlan? Find(AdvisoryDatabase database, string product)
    {
        var text = database.FindProduct(product);
        if (text < 0 || Ecosystem.Find(product) is not { } ecosystem) return null;

        // The names of a product lie side by side, in the order of their texts.
        var names = database.Names;
        var (low, high) = (0, names.Length);
        var key = database.Text(text);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (database.Text(names[middle].Product).SequenceCompareTo(key) < 0) low = middle + 1;
            else high = middle;
        }

        var namings = PackageNamings.None;
        for (var name = low; name < names.Length && names[name].Product == text; name++)
        {
            foreach (ref readonly var statement in database.StatementsOf(name)) namings |= (PackageNamings)(1 << statement.Naming);
        }

        return new ProductPlan(text, product, ecosystem, namings);
    }

    public int Compare(VersionOrder order, ReadOnlySpan<byte> a, ReadOnlySpan<byte> b) => order switch
    {
        VersionOrder.Module => BuildTag.CompareModules(a, b),
        VersionOrder.RpmWithoutEpoch => RpmVersion.CompareWithoutEpoch(a, b),
        _ => Ecosystem.Compare(a, b),
    };

    /// <summary>The words for an order in evidence.</summary>
    public string Rules(VersionOrder order) => order switch
    {
        VersionOrder.Module => "module",
        VersionOrder.RpmWithoutEpoch => "rpm without epoch",
        _ => Ecosystem.Rules,
    };
}

/// <summary>The values of <see cref="PackageNaming"/> as flags.</summary>
[Flags]
enum PackageNamings
{
    None = 0,
    Binary = 1 << PackageNaming.Binary,
    Source = 1 << PackageNaming.Source,
    Either = 1 << PackageNaming.Either,
    Module = 1 << PackageNaming.Module,
}
