using System.CommandLine;
using Guestmark.CommandLine;
using Guestmark.Inventory;

namespace Guestmark.Agent;

/// <summary><c>guestmark-agent scan</c>: prints what is installed and sends nothing.</summary>
static class ScanCommand
{
    public static Command Create()
    {
        var options = new ScanOptions();
        var output = new Option<string>("--output", "-o") { Description = "How to print", DefaultValueFactory = _ => "table" };
        output.AcceptOnlyFromAmong("table", "json");
        var command = new Command("scan", "Prints what is installed and sends nothing") { output }.WithExamples(
            """
            guestmark-agent scan
            guestmark-agent scan --output json | jq '.packages | length'
            guestmark-agent scan --host-path /mnt/guest --distro almalinux:8
            """);
        options.AddTo(command);
        command.SetAction((parsed, cancellationToken) =>
        {
            var inventory = InventoryScanner.Scan(options.Read(parsed), cancellationToken);
            if (parsed.GetRequiredValue(output) == "json")
            {
                using var standardOutput = Console.OpenStandardOutput();
                InventoryJson.Write(inventory, standardOutput);
            }
            else
            {
                PrintTable(inventory);
            }

            return Task.FromResult(Problems.Report(inventory));
        });
        return command;
    }

    static void PrintTable(GuestInventory inventory)
    {
        (string Title, Func<Package, string> Value)[] columns =
        [
            ("NAME", package => package.Name),
            ("VERSION", package => package.FullVersion),
            ("ARCH", package => package.Architecture),
            ("SOURCE", package => package.SourceRpm ?? package.SourceName ?? ""),
            ("MODULE", package => package.ModularityLabel ?? ""),
        ];
        var widths = Array.ConvertAll(
            columns,
            column => Math.Max(column.Title.Length, inventory.Packages.Select(package => column.Value(package).Length).DefaultIfEmpty().Max()));
        using var output = new StreamWriter(Console.OpenStandardOutput());
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
