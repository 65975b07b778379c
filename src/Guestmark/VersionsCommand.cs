using System.CommandLine;
using System.Text;
using Guestmark.CommandLine;
using Guestmark.Vulnerabilities;

namespace Guestmark;

/// <summary><c>guestmark versions</c>: the orders of versions that findings rest on, to check them by hand or by the million.</summary>
static class VersionsCommand
{
    public static Command Create() => new("versions", "Compares versions as package managers do") { CreateCompare(), CreateSchemes() };

    static string Names => string.Join(", ", VersionScheme.All.Select(scheme => scheme.Name));

    static Command CreateCompare()
    {
        var schemeName = new Option<string>("--scheme")
        {
            Description = $"Whose order: {Names}",
            HelpName = "NAME",
            Required = true,
        };
        var strict = new Option<bool>("--strict")
        {
            Description = "A text that is no version of the scheme is an error. Without it, it is compared all the same",
        };
        var versions = new Argument<string[]>("versions")
        {
            Description = "Two versions. Without them, tab-separated pairs are read from standard input, one a line",
            HelpName = "A B",
            Arity = new ArgumentArity(0, 2),
        };
        var compare = new Command("compare", "Prints -1, 0 or 1 as A is older than, the same as or newer than B")
        {
            schemeName, strict, versions,
        }.WithExamples(
            """
            guestmark versions compare --scheme rpm 1.0~rc1-1.el9 1.0-1.el9
            guestmark versions compare --scheme dpkg -- 1:2.3-1 2.4-1+deb12u1
            guestmark versions compare --scheme pypi < pairs.tsv > orders.txt
            """);
        compare.SetAction((parsed, cancellationToken) =>
        {
            var name = parsed.GetRequiredValue(schemeName);
            var scheme = VersionScheme.Find(name)
                ?? throw new UsageException($"--scheme {name}: there is no such scheme; use one of {Names}");
            var given = parsed.GetValue(versions) ?? [];
            if (given.Length == 1)
                throw new UsageException($"'{given[0]}' has nothing to be compared with: give two versions, or none and pairs on standard input");
            var isStrict = parsed.GetValue(strict);
            if (given.Length == 2) ComparePair(given[0], given[1], scheme, isStrict);
            else ComparePairs(scheme, isStrict, cancellationToken);
            return Task.FromResult(ExitCode.Done);
        });
        return compare;
    }

    static void ComparePair(string a, string b, VersionScheme scheme, bool strict)
    {
        foreach (var version in (string[])[a, b])
        {
            if (scheme.IsValid(Encoding.UTF8.GetBytes(version))) continue;
            if (strict) throw new CommandException($"'{version}' is no {scheme.Name} version; without --strict it is compared all the same");
            Console.Error.WriteLine($"warning: '{TerminalText.Printable(version)}' is no {scheme.Name} version");
        }

        Console.WriteLine(Math.Sign(scheme.Compare(a, b)));
    }

    static void ComparePairs(VersionScheme scheme, bool strict, CancellationToken cancellationToken)
    {
        if (!Console.IsInputRedirected)
            Console.Error.WriteLine("Reading pairs of versions from the terminal, a tab between the two; end with Ctrl+D.");
        using var input = Console.OpenStandardInput();
        using var output = Console.OpenStandardOutput();
        if (VersionPairs.Compare(input, output, scheme, strict, cancellationToken) is { } problem)
            throw new CommandException($"standard input, {problem}");
    }

    static Command CreateSchemes()
    {
        var schemes = new Command("schemes", "Lists the schemes with their other names").WithExamples("guestmark versions schemes");
        schemes.SetAction(_ =>
        {
            foreach (var scheme in VersionScheme.All)
            {
                var aliases = scheme.Aliases.Count > 0 ? $" (also {string.Join(", ", scheme.Aliases)})" : "";
                Console.WriteLine($"{scheme.Name,-10} {scheme.Description}{aliases}");
            }

            return ExitCode.Done;
        });
        return schemes;
    }
}
