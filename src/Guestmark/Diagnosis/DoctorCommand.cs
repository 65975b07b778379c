using System.CommandLine;
using System.Net.Sockets;
using System.Text.Json;
using Guestmark.CommandLine;
using Guestmark.Configuration;
using Guestmark.Telemetry;
using Guestmark.Wire.Sockets;
using Spectre.Console;

namespace Guestmark.Diagnosis;

/// <summary><c>guestmark doctor</c>: why a node does not work, and how to mend it.</summary>
static class DoctorCommand
{
    public static Command Create()
    {
        var flags = new NodeFlags();
        var output = new Option<string>("--output", "-o") { Description = "How to print", DefaultValueFactory = _ => "table" };
        output.AcceptOnlyFromAmong("table", "json");
        var probe = new Option<bool>("--probe-vsock") { Description = "Also open a socket of AF_VSOCK and close it; that may load a kernel module" };
        var command = new Command("doctor", "Examines what a node needs on this machine and says how to mend what is wrong. Takes the flags of 'guestmark node'; changes nothing")
        {
            output, probe,
        }.WithExamples(
            """
            guestmark doctor
            guestmark doctor --config /etc/guestmark/node.yaml -o json
            """).WithFound("something must be mended before a node works");
        flags.AddTo(command);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var values = flags.Read(parsed);
            var findings = new List<HealthFinding>();
            if (NodeSetup.Create(values) is { } setup)
            {
                findings.Add(HealthFinding.Ok("configuration", values.File is null ? "good; there is no file" : $"{values.File} is good"));
                findings.AddRange(values.Warnings.Select(warning => HealthFinding.Warn("configuration", warning.ToString(), "leave it out")));
                var host = new HostView { ProbeVsock = parsed.GetValue(probe) ? OpenVsock : null };
                findings.AddRange(await new NodeDoctor(setup, host).ExamineAsync(cancellationToken));
            }
            else
            {
                findings.AddRange(ConfigurationProblem.InOrder(values.Problems).Select(problem => HealthFinding.Fail("configuration", problem.ToString(), "'guestmark node --help' lists what can be configured")));
            }

            if (parsed.GetRequiredValue(output) == "json") PrintJson(findings);
            else PrintTable(findings);
            return Telemetry.Health.IsGood(findings) ? ExitCode.Done : ExitCode.Found;
        });
        return command;
    }

    static string? OpenVsock()
    {
        try
        {
            VsockEndPoint.CreateSocket().Dispose();
            return null;
        }
        catch (SocketException e)
        {
            return e.Message;
        }
    }

    static void PrintTable(IReadOnlyList<HealthFinding> findings)
    {
        var table = new Table { Border = TableBorder.None };
        table.AddColumn(new TableColumn("").NoWrap()).AddColumn(new TableColumn("CHECK").NoWrap()).AddColumn("FINDING");
        foreach (var finding in findings)
        {
            var mark = finding.State switch { HealthState.Ok => "[green]ok[/]", HealthState.Warning => "[yellow]warning[/]", _ => "[red]failure[/]" };
            var text = Markup.Escape(TerminalText.Printable(finding.Message));
            if (finding.Remedy is not null) text += $"\n[dim]→ {Markup.Escape(TerminalText.Printable(finding.Remedy))}[/]";
            table.AddRow(new Markup(mark), new Markup(Markup.Escape(finding.Check)), new Markup(text));
        }

        Terminal.Output().Write(table);
    }

    static void PrintJson(IReadOnlyList<HealthFinding> findings)
    {
        using var output = Console.OpenStandardOutput();
        using var writer = new Utf8JsonWriter(output, new JsonWriterOptions { Indented = true });
        writer.WriteStartObject();
        writer.WriteString("status", Telemetry.Health.IsGood(findings) ? "ok" : "failed");
        Telemetry.Health.WriteChecks(writer, findings);
        writer.WriteEndObject();
        writer.Flush();
        output.WriteByte((byte)'\n');
    }
}
