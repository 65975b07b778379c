using System.Collections;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// Statements of which long runs differ in nothing but the package's name, as those of an update that rebuilt many packages do: what they share is
/// there once, and a statement is made when it is asked for.
/// </summary>
/// <param name="items">A statement, and the name that stands in place of its own.</param>
sealed class NamedStatements((PackageStatement Model, string Name)[] items) : IReadOnlyList<PackageStatement>
{
    public int Count => items.Length;

    public ReadOnlySpan<(PackageStatement Model, string Name)> Items => items;

    public PackageStatement this[int index] => Make(items[index]);

    public IEnumerator<PackageStatement> GetEnumerator()
    {
        foreach (var item in items) yield return Make(item);
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    static PackageStatement Make((PackageStatement Model, string Name) item) =>
        ReferenceEquals(item.Model.Name, item.Name) ? item.Model : item.Model with { Name = item.Name };
}
