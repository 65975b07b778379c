using System.CommandLine;
using System.CommandLine.Completions;
using System.CommandLine.Parsing;
using Guestmark.CommandLine;
using Guestmark.Inventory;
using Guestmark.Vulnerabilities;

namespace Guestmark;

/// <summary><c>guestmark match</c>: the vulnerabilities of one machine, of its files, its SBOM or its inventory, without Central.</summary>
static class MatchCommand
{
    public static Command Create()
    {
        var root = new Option<string?>("--root") { Description = "The root of a machine's files: / for this one, or where another's are mounted", HelpName = "DIR" };
        var sbom = new Option<string?>("--sbom") { Description = "A software bill of materials of any program: CycloneDX 1.2 to 1.7 or SPDX 2.2 and 2.3, in JSON", HelpName = "FILE" };
        var inventory = new Option<string?>("--inventory") { Description = "What `guestmark-agent scan -o json` printed", HelpName = "FILE" };
        var distro = new Option<OsRelease?>("--distro")
        {
            Description = "The operating system, instead of what the machine says: ID:VERSION_ID, as almalinux:8",
            HelpName = "ID:VERSION",
            CustomParser = ParseDistro,
        };
        var database = AdvisoryFile.Option();
        var vex = new Option<string[]>("--vex") { Description = "Your decisions (OpenVEX, CycloneDX, CSAF), besides those in the database. Repeatable", HelpName = "FILE" };
        var machine = new Option<string?>("--machine") { Description = "The machine's name, which the scopes of decisions are about [default: this machine's with --root /]", HelpName = "NAME" };
        var languages = new Option<bool>("--languages") { Description = "With --root: also packages of Python, Node.js, Java, Go and .NET that no package of the system owns" };
        var mapping = new Option<string?>("--repo-cpe-path") { Description = "Red Hat's repository-to-cpe.json, for the CPEs of its repositories", HelpName = "FILE" };
        var output = new Option<string>("--output", "-o") { Description = "How to print", DefaultValueFactory = _ => "table" };
        output.AcceptOnlyFromAmong("table", "json", "csv", "sarif", "cyclonedx");
        var failOn = new Option<string[]>("--fail-on")
        {
            Description = $"End with {ExitCode.Found} when there is a finding of this severity or worse (low, moderate, important, critical, or any), and that is fixable or "
                + "exploited where that is named too; decided ones do not count. Repeatable, or separated by commas",
            HelpName = "WORDS",
        };
        failOn.CompletionSources.Add(_ => FailOn.Words.Select(word => new CompletionItem(word)));
        var explain = new Option<string?>("--explain") { Description = "Print every statement of the vendors about a CVE that was looked at, and what decided", HelpName = "CVE" };
        var all = new Option<bool>("--all") { Description = "Also print what vendors say is not affected" };
        var showDecided = new Option<bool>("--show-decided") { Description = "Also print what you decided is not affected or fixed" };
        var command = new Command("match", "Prints the vulnerabilities of a machine by its files, its SBOM or its inventory")
        {
            root, sbom, inventory, distro, database, vex, machine, languages, mapping, output, failOn, explain, all, showDecided,
        }.WithExamples(
            """
            guestmark match --root /
            guestmark match --root /mnt/c8 --distro almalinux:8 --fail-on important,fixable
            guestmark match --sbom bom.cdx.json -o sarif >findings.sarif
            guestmark-agent scan -o json | guestmark match --inventory - -o csv
            guestmark match --root / --explain CVE-2023-38545
            """).WithFound("a finding that --fail-on names");
        command.SetAction((parsed, cancellationToken) =>
        {
            var fail = FailOn.Parse(parsed.GetValue(failOn) ?? []);
            var format = parsed.GetRequiredValue(output);
            if (parsed.GetValue(explain) is not null && format is not ("table" or "json")) throw new UsageException($"--explain prints as table or json, not as {format}");
            var selection = new MatchSelection(
                parsed.GetValue(root), parsed.GetValue(sbom), parsed.GetValue(inventory), parsed.GetValue(distro), parsed.GetValue(languages), parsed.GetValue(mapping));
            selection.Check();
            var file = parsed.GetRequiredValue(database);
            // The default need not be there yet. One that is named and is not there is a typing error, with which every check would pass.
            if (parsed.GetResult(database) is { Implicit: false } && !File.Exists(file) && !Directory.Exists(file))
                throw new CommandException($"--database {file}: there is no such file");
            var opened = AdvisoryFile.Open(file);
            var input = MatchInput.Read(selection, cancellationToken);
            var matcher = new Matcher(opened, new MatchOptions { IncludeNotAffected = parsed.GetValue(all) });
            var name = parsed.GetValue(machine) ?? (input.IsThisMachine ? ScannedGuest.NameOfThisMachine() : null);
            var (stored, named) = (opened.Decisions, VexFiles(parsed.GetValue(vex) ?? [], cancellationToken));
            var decisions = new DecisionSet(stored.Concat(named));
            var now = TimeProvider.System.GetUtcNow();
            if (parsed.GetValue(explain) is { } id)
            {
                var explanation = new MatchExplanation(opened, matcher, input, id, (finding, package) =>
                    decisions.Find(finding.AdvisoryId, finding.Cves, package, input.Inventory.Os, name, now));
                explanation.Print(format, Console.Out);
                return Task.FromResult(Problems(input));
            }

            var report = MatchReport.Of(input, matcher, opened, file, decisions, name, now, fail, cancellationToken);
            var shown = new MatchShown(report, parsed.GetValue(showDecided));
            switch (format)
            {
                case "json": Write(stream => MatchJson.Write(shown, stream)); break;
                case "csv": Write(stream => MatchCsv.Write(shown, stream)); break;
                case "sarif": Write(stream => MatchSarif.Write(shown, stream)); break;
                case "cyclonedx": Write(stream => MatchCycloneDx.Write(shown, stream)); break;
                default: MatchTable.Print(shown); break;
            }

            if (format is "csv" or "sarif" or "cyclonedx")
            {
                foreach (var line in report.NotCompared) Console.Error.WriteLine(TerminalText.Printable(line));
            }

            if (format != "table")
            {
                foreach (var hint in report.Hints) Console.Error.WriteLine(TerminalText.Printable($"note: {hint}"));
            }

            foreach (var note in DecisionNotes.Of(report, stored, named, name)) Console.Error.WriteLine(TerminalText.Printable($"note: {note}"));
            var problems = Problems(input);
            // A check that could not look must not pass.
            if (problems == ExitCode.Done && fail is not null && report.Uncheckable is { } why)
                throw new CommandException($"--fail-on {fail.Text}: cannot pass, {why}: {WhyNothing(report)}");
            return Task.FromResult(problems != ExitCode.Done ? problems : report.FailOnMet > 0 ? ExitCode.Found : ExitCode.Done);
        });
        return command;
    }

    static string WhyNothing(MatchReport report) =>
        report.Input.Inventory.Packages.Count == 0
            ? $"{report.Input.Name} has no packages that are read"
            : string.Join("; ", MatchWords.Reasons.Where(reason => report.Summary.Count(reason) > 0)
                .Select(reason => $"{Words.Count(report.Summary.Count(reason), "package")}, {MatchWords.Explain(reason)}").Concat(report.Hints));

    static void Write(Action<Stream> write)
    {
        using var buffered = new BufferedStream(Console.OpenStandardOutput(), 64 * 1024);
        write(buffered);
    }

    static int Problems(MatchInput input)
    {
        if (input.Inventory.Packages.Count == 0 && input.Kind == "root" && input.Inventory.Problems.Count > 0)
            Console.Error.WriteLine(TerminalText.Printable($"error: --root {input.Name}: no packages in it; name the folder in which the machine's / is, as --root / or --root /mnt/c8"));
        foreach (var problem in input.Inventory.Problems)
            Console.Error.WriteLine(TerminalText.Printable($"error: {PathOf(problem, input)}: {WordsOf(problem, input)}"));
        return input.Inventory.Problems.Count == 0 ? ExitCode.Done : ExitCode.Failed;
    }

    /// <summary>In the words of this command: what the agent calls its host path is the folder of <c>--root</c>.</summary>
    static string WordsOf(InventoryProblem problem, MatchInput input) =>
        input.Kind == "root" ? problem.Message.Replace("as the host path", "with --root", StringComparison.Ordinal) : problem.Message;

    /// <summary>Where the operator finds it: below the folder that they named.</summary>
    static string PathOf(InventoryProblem problem, MatchInput input) =>
        problem.Path.Length == 0 ? input.Name
        : input.Kind == "root" && problem.Path.StartsWith('/') && !input.IsThisMachine ? (input.Name.TrimEnd('/') + problem.Path).TrimEnd('/')
        : problem.Path;

    /// <summary>Decisions of files that are used this once.</summary>
    static List<VexDecision> VexFiles(string[] files, CancellationToken cancellationToken)
    {
        var decisions = new List<VexDecision>();
        foreach (var file in files)
        {
            try
            {
                using var builder = new AdvisoryDatabaseBuilder();
                var result = Vulnerabilities.FeedImport.Run(
                    new FeedImportOptions { Path = file, CsafDecisions = true }, builder, TimeProvider.System, null, cancellationToken);
                if (result.Sources.FirstOrDefault(source => source.Source.Format != FeedName.Vex) is { } other)
                    throw new CommandException($"--vex {file}: it has {other.Source.Format} and no decisions; `guestmark vulndb import` takes advisories");
                foreach (var part in result.Sources.SelectMany(source => source.SkippedParts).Concat(result.SkippedParts))
                    Console.Error.WriteLine(TerminalText.Printable($"note: --vex {part.Document}: {(part.Path.Length > 0 ? part.Path + ": " : "")}{part.Reason}"));
                var built = builder.Build();
                decisions.AddRange(built.Decisions);
            }
            catch (FeedException e)
            {
                throw new CommandException($"--vex {e.Message}", e);
            }
        }

        return decisions;
    }

    static OsRelease? ParseDistro(ArgumentResult result)
    {
        var text = result.Tokens[0].Value;
        if (text.Split(':') is [{ Length: > 0 } id, { Length: > 0 } version]) return new OsRelease(id.ToLowerInvariant(), version, "");
        result.AddError($"--distro {text}: write ID:VERSION_ID as os-release has them, for example almalinux:8 or debian:12");
        return null;
    }
}
