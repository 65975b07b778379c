using System.CommandLine;
using Guestmark.CommandLine;
using Guestmark.Inventory;
using Guestmark.Inventory.Sbom;
using Guestmark.Wire.Protobuf;

namespace Guestmark.Agent;

/// <summary><c>guestmark-agent scan</c>: prints what is installed and sends nothing.</summary>
static class ScanCommand
{
    public static Command Create()
    {
        var options = new ScanOptions();
        var output = new Option<string>("--output", "-o")
        {
            Description = "How to print; tsv has the fields of rpm as rpm prints them, protobuf is the report as it is sent",
            DefaultValueFactory = _ => "table",
        };
        output.AcceptOnlyFromAmong("table", "json", "tsv", "cyclonedx", "spdx", "protobuf");
        var files = new Option<bool>("--files") { Description = "With json: also the files of each package" };
        var dependencies = new Option<bool>("--dependencies") { Description = "With json: also what each rpm package provides and requires" };
        var mapping = new Option<string?>("--repo-cpe-path") { Description = "A repository-to-cpe mapping, for the CPEs of Red Hat's repositories", HelpName = "PATH" };
        var command = new Command("scan", "Prints what is installed and sends nothing") { output, files, dependencies, mapping }.WithExamples(
            """
            guestmark-agent scan
            guestmark-agent scan --output json | jq '.packages | length'
            guestmark-agent scan --output cyclonedx --languages >bom.json
            guestmark-agent scan --host-path /mnt/guest --distro almalinux:8
            """);
        options.AddTo(command);
        command.SetAction((parsed, cancellationToken) =>
        {
            var scan = options.Read(parsed) with
            {
                Files = parsed.GetValue(files),
                Dependencies = parsed.GetValue(dependencies),
                RepositoryToCpePath = parsed.GetValue(mapping),
            };
            var inventory = InventoryScanner.Scan(scan, cancellationToken);
            using (var standardOutput = Console.OpenStandardOutput()) Print(inventory, parsed.GetRequiredValue(output), scan.HostPath, standardOutput);
            return Task.FromResult(Problems.Report(inventory));
        });
        return command;
    }

    static void Print(GuestInventory inventory, string format, string hostPath, Stream output)
    {
        switch (format)
        {
            case "json":
                InventoryJson.Write(inventory, output);
                output.Write("\n"u8);
                break;
            case "tsv":
                InventoryTsv.Write(inventory, output);
                break;
            case "cyclonedx":
                CycloneDx.Write(inventory, Sbom(hostPath), output);
                output.Write("\n"u8);
                break;
            case "spdx":
                Spdx.Write(inventory, Sbom(hostPath), output);
                output.Write("\n"u8);
                break;
            case "protobuf":
                var writer = new ProtoWriter();
                InventoryReports.Write(inventory, writer);
                output.Write(writer.Written.Span);
                break;
            default:
                PrintTable(inventory, output);
                break;
        }
    }

    static SbomOptions Sbom(string hostPath) => new()
    {
        SerialNumber = Guid.NewGuid(),
        Created = TimeProvider.System.GetUtcNow(),
        // Another machine's tree is not this machine.
        HostName = Path.GetFullPath(hostPath) == "/" ? Environment.MachineName : null,
        ToolVersion = AgentVersion.Text,
    };

    static void PrintTable(GuestInventory inventory, Stream stream)
    {
        (string Title, Func<Package, string> Value)[] columns =
        [
            ("NAME", package => package.Name),
            ("VERSION", package => package.FullVersion),
            ("ARCH", package => package.Architecture),
            ("SOURCE", package => package.SourceRpm ?? package.SourceName ?? ""),
            ("REPOSITORY", package => package.Repository?.Id ?? ""),
            ("MODULE", package => package.ModularityLabel ?? ""),
        ];
        var widths = Array.ConvertAll(
            columns,
            column => Math.Max(column.Title.Length, inventory.Packages.Select(package => column.Value(package).Length).DefaultIfEmpty().Max()));
        using var output = new StreamWriter(stream);
        PrintRow(output, widths, i => columns[i].Title);
        foreach (var package in inventory.Packages) PrintRow(output, widths, i => columns[i].Value(package));
        output.WriteLine();
        output.WriteLine($"{Problems.Count(inventory.Packages.Count, "package")}, {TerminalText.Printable(inventory.Os.ToString())}");
    }

    static void PrintRow(StreamWriter output, int[] widths, Func<int, string> value)
    {
        var line = string.Join("  ", widths.Select((width, i) => TerminalText.Printable(value(i)).PadRight(width)));
        output.WriteLine(line.AsSpan().TrimEnd());
    }
}
