using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Guestmark.CommandLine;
using Guestmark.Inventory.Sbom;
using Guestmark.Vulnerabilities;

namespace Guestmark;

/// <summary><c>guestmark vulndb</c>: the database of vendors' advisories and of the operator's decisions.</summary>
static class VulndbCommand
{
    /// <summary>What every terminal has.</summary>
    const int StatusColumns = 80;

    const int ReleasesNamedMax = 8;

    static readonly JsonWriterOptions Indented = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static Command Create() => new Command("vulndb", "The database of vendors' advisories and of your decisions (VEX)")
    {
        Import(), Update(), Status(), Remove(),
    }.WithExamples(
        """
        guestmark vulndb import almalinux-osv.zip
        guestmark vulndb update redhat-vex-feed epss kev
        guestmark vulndb status
        """);

    static Command Import()
    {
        var paths = new Argument<string[]>("PATH")
        {
            Description = "A file, folder or archive, or a URL. What it is, its content tells: CSAF, OSV, OVAL, updateinfo.xml, secdb, EPSS, KEV, VEX …",
            Arity = ArgumentArity.OneOrMore,
            HelpName = "PATH|URL",
        };
        var database = AdvisoryFile.Option();
        var source = new Option<string?>("--source") { Description = "The source that everything belongs to, instead of each document's own", HelpName = "NAME" };
        var add = new Option<bool>("--add") { Description = "Add to what the source has; by default an archive, a folder or a feed in one file replaces it" };
        var shrink = AllowShrink();
        var product = new Option<string?>("--product") { Description = "What the packages of an updateinfo.xml are part of, which it does not say: AlmaLinux:9", HelpName = "NAME:VERSION" };
        var decisions = new Option<bool>("--csaf-decisions") { Description = "CSAF documents are your decisions, whoever published them" };
        var scope = new Option<string[]>("--scope") { Description = "Of VEX: the machines that the decisions are for, as patterns of names (prod/web-*). Repeatable", HelpName = "GLOB" };
        var expires = new Option<DateTimeOffset?>("--expires") { Description = "Of VEX: when the decisions end, as 2027-01-31", HelpName = "DATE", CustomParser = ParseDate };
        var author = new Option<string?>("--author") { Description = "Of VEX: who decided", HelpName = "NAME" };
        var http = InsecureHttp();
        var output = Output();
        var verbose = Verbose();
        var command = new Command("import", "Brings feeds and decisions into the database: all that are named, or on an error none")
        {
            paths, database, source, add, shrink, product, decisions, scope, expires, author, http, output, verbose,
        }.WithExamples(
            """
            guestmark vulndb import almalinux-osv.zip epss_scores-current.csv.gz known_exploited_vulnerabilities.json
            guestmark vulndb import csaf_vex_2026-07-01.tar.zst
            guestmark vulndb import updateinfo.xml.gz --product AlmaLinux:9
            guestmark vulndb import https://example.com/advisories.zip --source example
            guestmark vulndb import decisions.openvex.json --scope 'prod/web-*' --expires 2027-01-31 --author 'Ada Example'
            """);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var file = parsed.GetRequiredValue(database);
            var json = parsed.GetRequiredValue(output) == "json";
            var productName = parsed.GetValue(product) is { } named ? ProductName.Of(named) : null;
            var defaults = new DecisionDefaults { Scope = parsed.GetValue(scope) ?? [], Expires = parsed.GetValue(expires), Author = parsed.GetValue(author) };
            var results = new List<FeedImportResult>();
            await AdvisoryFile.ChangeAsync(file, async builder =>
            {
                var batch = new FeedBatch(builder);
                foreach (var path in parsed.GetRequiredValue(paths))
                {
                    if (UrlOf(path) is null && path.Contains("://", StringComparison.Ordinal) && !File.Exists(path))
                        throw new UsageException($"{path}: only http and https are fetched; of others fetch the file yourself, and name it");
                    var options = new FeedImportOptions
                    {
                        Path = path,
                        Batch = batch,
                        Source = parsed.GetValue(source),
                        Add = parsed.GetValue(add),
                        AllowShrink = parsed.GetValue(shrink),
                        CsafDecisions = parsed.GetValue(decisions),
                        Product = productName,
                        Decisions = defaults,
                    };
                    results.Add(await ImportAsync(options, file, parsed.GetValue(http), builder, cancellationToken));
                }

                batch.Complete();
                // An option that does nothing is one that was meant for something else: a decision for some machines that now is for all.
                if ((defaults.Scope.Count > 0 || defaults.Expires is not null || defaults.Author is not null) && !Has(FeedName.Vex))
                    throw new UsageException($"--scope, --expires and --author are about decisions (VEX), and what was named has {Formats()}. Nothing was imported.");
                if (productName is not null && !Has(FeedName.UpdateInfo))
                    throw new UsageException($"--product is about an updateinfo.xml, and what was named has {Formats()}. Nothing was imported.");
                return true;
            });

            if (defaults.Expires <= TimeProvider.System.GetUtcNow())
                await Console.Error.WriteLineAsync($"note: --expires {Words.Date(defaults.Expires)} is in the past: the decisions do not count any more");
            var written = AdvisoryFile.Open(file);
            if (json)
            {
                PrintJson(writer =>
                {
                    writer.WriteStartArray("imports");
                    foreach (var result in results)
                    {
                        writer.WriteStartObject();
                        ImportText.Write(writer, result);
                        writer.WriteEndObject();
                    }

                    writer.WriteEndArray();
                    WriteDatabase(writer, file, written);
                });
            }
            else
            {
                foreach (var result in results) ImportText.Print(result, parsed.GetValue(verbose), Console.Out);
                await Console.Out.WriteLineAsync(Describe(file, written));
            }

            return ExitCode.Done;

            bool Has(string format) => results.Exists(result => result.Sources.Any(source => source.Source.Format == format));

            string Formats()
            {
                var formats = results.SelectMany(result => result.Sources).Select(source => source.Source.Format).Distinct().ToList();
                return formats.Count == 0 ? "none" : Words.List(formats);
            }
        });
        return command;
    }

    /// <summary>Imports a path, or what a URL leads to.</summary>
    public static async Task<FeedImportResult> ImportAsync(
        FeedImportOptions options, string databaseFile, bool insecureHttp, AdvisoryDatabaseBuilder builder, CancellationToken cancellationToken)
    {
        var progress = new Progress(TimeProvider.System, isQuietWithoutTerminal: true);
        if (UrlOf(options.Path) is not { } url)
        {
            return await progress.RunAsync($"Importing {options.Path}", tell => Task.Run(
                () =>
                {
                    try
                    {
                        var result = Vulnerabilities.FeedImport.Run(options, builder, TimeProvider.System, new FeedTeller(tell), cancellationToken);
                        // A list of packages without any analysis decides nothing; one that had some takes them back.
                        return result.Sources.All(source => source.Source.Documents + source.DocumentsBefore == 0) && IsSbom(options.Path)
                            ? throw new CommandException(SbomHint(options.Path))
                            : (result, Outcome(result));
                    }
                    catch (FeedException e) when (IsSbom(options.Path))
                    {
                        throw new CommandException(SbomHint(options.Path), e);
                    }
                },
                cancellationToken));
        }

        using var update = new FeedUpdate(UpdateOptions(databaseFile, insecureHttp, options.AllowShrink) with { Full = true }, TimeProvider.System);
        return await progress.RunAsync($"Importing {options.Path}", async tell =>
        {
            var result = await update.ImportAsync(url, options, builder, new FeedTeller(tell), cancellationToken);
            if (result.Error is { } error) throw new CommandException(error);
            var import = result.Import ?? new FeedImportResult([], 0, [], new Dictionary<string, int>());
            return (import, Outcome(import));
        });
    }

    static string SbomHint(string path) =>
        $"{path}: it lists packages and has no decisions: `guestmark match --sbom {path}` prints their vulnerabilities";

    /// <summary>Whether the file is an SBOM that has packages to match.</summary>
    static bool IsSbom(string path)
    {
        try
        {
            if (!File.Exists(path) || new FileInfo(path).Length > SbomReader.BytesMax) return false;
            return SbomReader.TryRead(File.ReadAllBytes(path), null, out _) is { Inventory.Packages.Count: > 0 };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    static Command Update()
    {
        var names = new Argument<string[]>("SOURCE")
        {
            Description = "A known source (see --list) or a URL; without any, those in the file of --sources",
            Arity = ArgumentArity.ZeroOrMore,
            HelpName = "SOURCE|URL",
        };
        var database = AdvisoryFile.Option();
        var list = new Option<bool>("--list") { Description = "Print the sources that are known by name, and fetch nothing" };
        var file = new Option<string?>("--sources") { Description = "A JSON file that names the sources [default: sources.json beside the database]", HelpName = "FILE" };
        var full = new Option<bool>("--full") { Description = "Fetch everything, whatever was fetched before" };
        var shrink = AllowShrink();
        var http = InsecureHttp();
        var output = Output();
        var verbose = Verbose();
        var command = new Command("update", "Fetches what is new from the servers of vendors. A source that fails keeps what it had")
        {
            names, database, list, file, full, shrink, http, output, verbose,
        }.WithExamples(
            """
            guestmark vulndb update --list
            guestmark vulndb update redhat-vex-feed osv/almalinux epss kev
            guestmark vulndb update https://example.com/.well-known/csaf/provider-metadata.json
            guestmark vulndb update --sources /etc/guestmark/sources.json
            """);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            if (parsed.GetValue(list))
            {
                PrintCatalog(parsed.GetRequiredValue(output) == "json");
                return ExitCode.Done;
            }

            var path = parsed.GetRequiredValue(database);
            var sources = SourcesOf(parsed.GetValue(names) ?? [], parsed.GetValue(file), path);
            var results = new List<FeedUpdateResult>();
            await AdvisoryFile.ChangeAsync(path, async builder =>
            {
                var options = UpdateOptions(path, parsed.GetValue(http), parsed.GetValue(shrink)) with { Full = parsed.GetValue(full) };
                using var update = new FeedUpdate(options, TimeProvider.System);
                var progress = new Progress(TimeProvider.System, isQuietWithoutTerminal: true);
                foreach (var source in sources)
                {
                    results.Add(await progress.RunAsync($"Updating {NameOf(source)}", async tell =>
                    {
                        var result = await update.RunAsync(source, builder, new FeedTeller(tell), cancellationToken);
                        return (result, result.Import is { } import ? Outcome(import) : result.Error is null ? "nothing new" : "failed");
                    }));
                }

                return results.Exists(result => result.Import is not null);
            });

            var written = AdvisoryFile.Open(path);
            if (parsed.GetRequiredValue(output) == "json") PrintJson(writer => WriteUpdates(writer, results, path, written));
            else PrintUpdates(results, parsed.GetValue(verbose), path, written);
            foreach (var failed in results.Where(result => result.Error is not null))
                await Console.Error.WriteLineAsync(TerminalText.Printable($"error: {NameOf(failed.Source)}: {failed.Error}"));
            return results.Exists(result => result.Error is not null) ? ExitCode.Failed : ExitCode.Done;
        });
        return command;
    }

    static Command Status()
    {
        var database = AdvisoryFile.Option();
        var output = Output();
        var command = new Command("status", "Prints what is in the database and how old it is") { database, output }.WithExamples(
            """
            guestmark vulndb status
            guestmark vulndb status -o json | jq '.sources[] | select(.skipped > 0)'
            """);
        command.SetAction(parsed =>
        {
            var file = parsed.GetRequiredValue(database);
            var opened = AdvisoryFile.Open(file);
            if (parsed.GetRequiredValue(output) == "json")
            {
                PrintJson(writer =>
                {
                    WriteDatabase(writer, file, opened);
                    writer.WriteStartArray("sources");
                    foreach (var source in opened.Sources)
                    {
                        writer.WriteStartObject();
                        ImportText.WriteSource(writer, source);
                        writer.WriteEndObject();
                    }

                    writer.WriteEndArray();
                    writer.WriteStartArray("products");
                    foreach (var product in opened.Products) writer.WriteStringValue(product);
                    writer.WriteEndArray();
                });
            }
            else
            {
                PrintStatus(file, opened);
            }

            return ExitCode.Done;
        });
        return command;
    }

    static Command Remove()
    {
        var names = new Argument<string[]>("SOURCE") { Description = "A source as `guestmark vulndb status` names it", Arity = ArgumentArity.OneOrMore };
        var database = AdvisoryFile.Option();
        var command = new Command("remove", "Removes sources with everything that came from them") { names, database }.WithExamples(
            """
            guestmark vulndb remove osv/almalinux-osv-database vex/decisions
            """);
        command.SetAction(async (parsed, _) =>
        {
            var file = parsed.GetRequiredValue(database);
            var sources = parsed.GetRequiredValue(names);
            await AdvisoryFile.ChangeAsync(file, builder =>
            {
                foreach (var source in sources)
                {
                    if (builder.Remove(source)) continue;
                    var present = AdvisoryFile.Open(file);
                    var known = present.Sources.Count == 0 ? "the database is empty" : $"it has {string.Join(", ", present.Sources.Select(known => known.Name))}";
                    throw new CommandException($"{file}: there is no source '{source}': {known}. Nothing was removed.");
                }

                return Task.FromResult(true);
            });
            var written = AdvisoryFile.Open(file);
            foreach (var source in sources) await Console.Out.WriteLineAsync(TerminalText.Printable($"{source}: removed"));
            await Console.Out.WriteLineAsync(Describe(file, written));
            return ExitCode.Done;
        });
        return command;
    }

    /// <summary>One line about the database: its size, and what it covers.</summary>
    public static string Describe(string file, AdvisoryDatabase database) => TerminalText.Printable(
        $"{file}: {Words.Size(database.Bytes)}, {Words.Count(database.Sources.Count, "source")}, {Words.Count(database.AdvisoryCount, "document")}, "
        + $"{Words.Count(database.Products.Count, "product")}, revision {database.Revision[..12]}");

    static void PrintStatus(string file, AdvisoryDatabase database)
    {
        if (database.Sources.Count == 0)
        {
            Console.Out.WriteLine(TerminalText.Printable($"{file}: {(File.Exists(file) ? "empty" : "not there yet")}"));
            Console.Out.WriteLine("Fetch feeds with `guestmark vulndb update SOURCE…` (--list names them), or import files with `guestmark vulndb import PATH…`.");
            return;
        }

        var now = TimeProvider.System.GetUtcNow();
        foreach (var source in database.Sources)
        {
            var facts = new List<string> { Words.Count(source.Documents, "document") };
            if (source.Newest is { } newest) facts.Add($"newest of {Words.Date(newest)} ({Words.Span(now - newest)} old)");
            if (source.Skipped > 0) facts.Add($"{Words.Number(source.Skipped)} skipped");
            Line($"{source.Name}: {string.Join(", ", facts)}");
            var imported = $"  {source.Format}, imported {Words.Span(now - source.Imported)} ago from ";
            Line(imported + Shortened(source.Uri, Math.Max(StatusColumns / 4, StatusColumns - imported.Length)));
        }

        // Red Hat has a product for each repository: what a family has is told by its number.
        var products = database.Products.GroupBy(product => product.Split(':')[0]).Select(family =>
        {
            var releases = family.Where(product => product.Length > family.Key.Length).Select(product => product[(family.Key.Length + 1)..]).OrderBy(release => release.Length).ToList();
            return releases.Count == 0 ? family.Key : releases.Count <= ReleasesNamedMax ? $"{family.Key} {string.Join("/", releases)}" : $"{family.Key} ({Words.Number(releases.Count)})";
        });
        var line = "products:";
        foreach (var (product, index) in products.Select((product, index) => (product, index)))
        {
            var text = (index == 0 ? " " : ", ") + product;
            if (line.Length + text.Length >= StatusColumns)
            {
                Line(line + (index == 0 ? "" : ","));
                (line, text) = (" ", " " + product);
            }

            line += text;
        }

        if (database.Products.Count > 0) Line(line);
        Line(Describe(file, database));

        static void Line(string text) => Console.Out.WriteLine(TerminalText.Printable(text));

        // The end of a path or URL tells more than its beginning.
        static string Shortened(string text, int columns) => text.Length <= columns ? text : "…" + text[^(columns - 1)..];
    }

    static void PrintUpdates(List<FeedUpdateResult> results, bool all, string file, AdvisoryDatabase database)
    {
        foreach (var result in results)
        {
            if (result.Import is { } import) ImportText.Print(import, all, Console.Out);
            else if (result.Error is null) Console.Out.WriteLine(TerminalText.Printable($"{NameOf(result.Source)}: nothing new"));
            foreach (var remark in result.Remarks.Take(all ? int.MaxValue : 5)) Console.Out.WriteLine(TerminalText.Printable($"  note: {remark}"));
        }

        Console.Out.WriteLine(Describe(file, database));
    }

    static void WriteUpdates(Utf8JsonWriter writer, List<FeedUpdateResult> results, string file, AdvisoryDatabase database)
    {
        writer.WriteStartArray("updates");
        foreach (var result in results)
        {
            writer.WriteStartObject();
            writer.WriteString("source", NameOf(result.Source));
            writer.WriteString("url", result.Source.Url.ToString());
            writer.WriteString("outcome", result.Error is not null ? "failed" : result.Import is null ? "unchanged" : "imported");
            writer.WriteString("error", result.Error);
            writer.WriteStartArray("remarks");
            foreach (var remark in result.Remarks) writer.WriteStringValue(remark);
            writer.WriteEndArray();
            if (result.Import is { } import)
            {
                writer.WriteStartObject("import");
                ImportText.Write(writer, import);
                writer.WriteEndObject();
            }
            else
            {
                writer.WriteNull("import");
            }

            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        WriteDatabase(writer, file, database);
    }

    static void PrintCatalog(bool json)
    {
        if (json)
        {
            PrintJson(writer =>
            {
                writer.WriteStartArray("sources");
                foreach (var (name, what) in FeedSource.Catalog)
                {
                    writer.WriteStartObject();
                    writer.WriteString("name", name);
                    writer.WriteString("what", what);
                    writer.WriteEndObject();
                }

                writer.WriteEndArray();
            });
            return;
        }

        var width = FeedSource.Catalog.Max(source => source.Name.Length);
        foreach (var (name, what) in FeedSource.Catalog) Console.Out.WriteLine($"{name.PadRight(width)}  {what}");
    }

    static void WriteDatabase(Utf8JsonWriter writer, string file, AdvisoryDatabase database)
    {
        writer.WriteStartObject("database");
        writer.WriteString("path", file);
        writer.WriteBoolean("exists", File.Exists(file));
        writer.WriteNumber("bytes", File.Exists(file) ? database.Bytes : 0);
        writer.WriteNumber("documents", database.AdvisoryCount);
        writer.WriteNumber("products", database.Products.Count);
        writer.WriteString("revision", database.Revision);
        writer.WriteEndObject();
    }

    static IReadOnlyList<FeedSource> SourcesOf(string[] names, string? listFile, string databaseFile)
    {
        if (names.Length == 0)
        {
            var path = listFile ?? Path.Combine(Path.GetDirectoryName(databaseFile)!, "sources.json");
            if (!File.Exists(path))
            {
                throw new UsageException(
                    $"there is no {path}: name the sources to update, which `guestmark vulndb update --list` prints, or write that file: {{\"sources\": [\"redhat-vex-feed\", \"epss\", \"kev\"]}}");
            }

            try
            {
                return FeedSource.ReadList(path);
            }
            catch (FeedException e)
            {
                throw new CommandException(e.Message, e);
            }
        }

        if (listFile is not null) throw new UsageException($"--sources {listFile}: either the file says what to update, or the arguments do");
        return [.. names.Select(name =>
            (UrlOf(name) is { } url ? FeedSource.OfUrl(url) : FeedSource.Find(name))
            ?? throw new UsageException(
                name.Contains("://", StringComparison.Ordinal)
                    ? $"{name}: only http and https are fetched"
                    : $"'{name}' is no known source: give a URL, or one of those that `guestmark vulndb update --list` prints"))];
    }

    static FeedUpdateOptions UpdateOptions(string databaseFile, bool insecureHttp, bool allowShrink) => new()
    {
        WorkFolder = Path.Combine(Path.GetDirectoryName(databaseFile)!, "feeds"),
        InsecureHttp = insecureHttp,
        AllowShrink = allowShrink,
    };

    static string NameOf(FeedSource source) => source.Name ?? source.Url.ToString();

    static Uri? UrlOf(string text) =>
        text.Contains("://", StringComparison.Ordinal) && Uri.TryCreate(text, UriKind.Absolute, out var url) && url.Scheme is "http" or "https" ? url : null;

    static string Outcome(FeedImportResult result) => TerminalText.Printable(
        result.Sources.Count == 0 ? "nothing new" : string.Join("; ", result.Sources.Take(3).Select(ImportText.Of)) + (result.Sources.Count > 3 ? $"; {Words.Count(result.Sources.Count - 3, "source")} more" : ""));

    static void PrintJson(Action<Utf8JsonWriter> write)
    {
        using var stream = Console.OpenStandardOutput();
        using (var writer = new Utf8JsonWriter(stream, Indented))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }

        stream.Write("\n"u8);
    }

    static Option<bool> AllowShrink() => new("--allow-shrink") { Description = "Take a feed with half as many documents as before, or fewer" };

    static Option<bool> InsecureHttp() => new("--insecure-http") { Description = "Take http:// from other machines too" };

    static Option<bool> Verbose() => new("--verbose") { Description = "Name all that was left out or skipped" };

    static Option<string> Output()
    {
        var output = new Option<string>("--output", "-o") { Description = "How to print", DefaultValueFactory = _ => "table" };
        output.AcceptOnlyFromAmong("table", "json");
        return output;
    }

    static DateTimeOffset? ParseDate(ArgumentResult result)
    {
        var text = result.Tokens[0].Value;
        if (DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time)) return time;
        result.AddError($"--expires {text}: write a date as 2027-01-31, or a time as 2027-01-31T12:00:00Z");
        return null;
    }
}
