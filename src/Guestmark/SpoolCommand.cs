using System.CommandLine;
using System.Text.Encodings.Web;
using System.Text.Json;
using Guestmark.CommandLine;
using Guestmark.Configuration;
using Guestmark.Events;
using Guestmark.Spool;

namespace Guestmark;

/// <summary><c>guestmark spool</c>: what waits on the disk of a node or a sensor, read beside the process that writes it.</summary>
static class SpoolCommand
{
    /// <summary>Lines of what one event may be in JSON: 16 MiB in base64 with its attributes.</summary>
    static readonly JsonWriterOptions JsonLines = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static Command Create() => new("spool", "Looks at events that wait on the disk") { CreateInspect() };

    static Command CreateInspect()
    {
        var directory = new Argument<string?>("directory")
        {
            Description = "The data folder of a node or a sensor, its spool folder, or one class of it [default: the data folder of this host's node, as its configuration says]",
            HelpName = "DIR",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var node = new NodePlace();
        var eventClass = new Option<string?>("--class") { Description = "Only keep or shed", HelpName = "CLASS" };
        eventClass.AcceptOnlyFromAmong("keep", "shed");
        var output = new Option<string>("--output", "-o") { Description = "How to print; jsonl prints the events themselves, as CloudEvents", DefaultValueFactory = _ => "table" };
        output.AcceptOnlyFromAmong("table", "json", "jsonl");
        var records = new Option<bool>("--records") { Description = "Print a line for each event" };
        var command = new Command("inspect", "Shows the segments of a spool, what in it is delivered, and what is damaged. Changes nothing")
        {
            directory, eventClass, output, records,
        }.WithExamples(
            """
            guestmark spool inspect /var/lib/guestmark/node
            guestmark spool inspect --class keep --records
            guestmark spool inspect -o jsonl /var/lib/guestmark/node | guestmark verify - --keys node1.pub
            """).WithFound("damage");
        node.AddTo(command);
        command.SetAction((parsed, cancellationToken) =>
        {
            var folders = Find(parsed.GetValue(directory) ?? node.DataFolder(parsed), parsed.GetValue(eventClass));
            var format = parsed.GetRequiredValue(output);
            if (format == "jsonl") return Task.FromResult(PrintEvents(folders, cancellationToken));
            var inspected = folders.Select(folder => Inspect(folder, parsed.GetValue(records), cancellationToken)).ToList();
            if (format == "json") PrintJson(inspected);
            else inspected.ForEach(PrintTable);
            return Task.FromResult(inspected.Exists(one => one.IsDamaged) ? ExitCode.Found : ExitCode.Done);
        });
        return command;
    }

    static List<SpoolFolder> Find(string directory, string? eventClass)
    {
        if (!Directory.Exists(directory)) throw new CommandException($"{directory}: there is no such folder; give the data folder of a node or a sensor");
        var within = Path.Combine(directory, "spool");
        if (Directory.Exists(within)) directory = within;
        string[] names = eventClass is null ? ["keep", "shed"] : [eventClass];
        var folders = names.Select(name => new SpoolFolder(name, Path.Combine(directory, name))).Where(folder => Directory.Exists(folder.Path)).ToList();
        if (folders.Count > 0) return folders;
        if (eventClass is null && (File.Exists(Path.Combine(directory, "lock")) || Directory.EnumerateFiles(directory, "*.spool").Any()))
            return [new SpoolFolder(Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory))), directory)];
        throw new CommandException($"{directory} holds no spool{(eventClass is null ? "" : $" of class {eventClass}")}; give the data folder of a node or a sensor");
    }

    static Inspected Inspect(SpoolFolder folder, bool records, CancellationToken cancellationToken)
    {
        var inspected = new Inspected(folder);
        inspected.Spool = Read(folder, (index, data) =>
        {
            cancellationToken.ThrowIfCancellationRequested();
            inspected.Add(index, data, records);
        });
        return inspected;
    }

    static SpoolInspection Read(SpoolFolder folder, SpoolRecordVisitor visit)
    {
        try
        {
            return SpoolInspection.Read(folder.Path, visit);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"{folder.Path} cannot be read: {e.Message}", e);
        }
    }

    static int PrintEvents(List<SpoolFolder> folders, CancellationToken cancellationToken)
    {
        using var output = Console.OpenStandardOutput();
        using var buffered = new BufferedStream(output, 64 * 1024);
        var isDamaged = false;
        foreach (var folder in folders)
        {
            using var json = new Utf8JsonWriter(buffered, JsonLines);
            var spool = Read(folder, (index, data) =>
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (StampedEvent.TryRead(data, out var stamped) is { } problem)
                {
                    Console.Error.WriteLine($"{folder.Name}: record {index} is no event: {problem}");
                    return;
                }

                CloudEventJson.Write(json, stamped!);
                json.Flush();
                json.Reset();
                buffered.WriteByte((byte)'\n');
            });
            foreach (var (line, isDamage) in Faults(folder, spool))
            {
                Console.Error.WriteLine($"{folder.Name}: {line}");
                isDamaged |= isDamage;
            }
        }

        return isDamaged ? ExitCode.Found : ExitCode.Done;
    }

    /// <summary>
    /// One line for each place. Where the oldest give way, whole segments that are gone are none. Bytes at the end of the newest are damage only where the
    /// spool has noted that there was a whole record.
    /// </summary>
    static IEnumerable<(string Line, bool IsDamage)> Faults(SpoolFolder folder, SpoolInspection spool)
    {
        foreach (var segment in spool.Segments)
        {
            foreach (var place in segment.Damage) yield return ($"{segment.Path}: damaged are {place}", true);
        }

        var last = spool.Segments.Count > 0 ? spool.Segments[^1].LastIndex : 0;
        foreach (var (first, to) in spool.Missing)
        {
            var before = spool.Segments.LastOrDefault(segment => segment.TailBytes > 0 && segment.LastIndex + 1 == first);
            if (before is not null)
                yield return ($"{before.Path}: damaged are records {first} to {to} at offsets {before.Bytes - before.TailBytes} to {before.Bytes - 1}", true);
            else if (folder.Sheds && first <= last)
                yield return ($"{folder.Path}: records {first} to {to} gave way to newer ones", false);
            else
                yield return ($"{folder.Path}: records {first} to {to} are missing; they were stored, are not delivered, and lie in no segment", true);
        }

        foreach (var (reader, acknowledged) in spool.Ahead)
            yield return ($"{folder.Path}: {reader ?? "the receiver"} is said to have all up to record {acknowledged}, of {spool.Last}; at its next start the spool delivers again all that it has", true);
    }

    static void PrintTable(Inspected inspected)
    {
        var spool = inspected.Spool;
        Console.WriteLine($"{inspected.Folder.Name}: {inspected.Folder.Path}");
        Console.WriteLine(
            $"  {Words.Number(inspected.Waiting)} of {Words.Count(inspected.Records, "event")} waiting, {Words.Size(spool.Segments.Sum(segment => segment.Bytes))} on disk, acknowledged up to {spool.Acknowledged} of {Math.Max(spool.Last, spool.Segments.Count > 0 ? 0 : spool.Acknowledged)}"
            + (inspected.Oldest is { } oldest ? $", the oldest is {Words.Span(TimeProvider.System.GetUtcNow() - oldest)} old" : ""));
        foreach (var (reader, acknowledged) in spool.Readers)
        {
            if (reader is not null) Console.WriteLine($"  {reader} has acknowledged up to {acknowledged}");
        }

        if (spool.IsOpen) Console.WriteLine("  A process has it open: this is a moment of it, and bytes at its end may be on their way.");
        if (inspected.Unreadable > 0) Console.WriteLine($"  {Words.Count(inspected.Unreadable, "record")} of another version or kind");

        var segments = new TextTable(new("SEGMENT"), Right("FIRST"), Right("LAST"), Right("RECORDS"), Right("BYTES"), Right("DAMAGED"), Right("TAIL"));
        foreach (var segment in spool.Segments)
        {
            segments.Add(
                Path.GetFileName(segment.Path), $"{segment.FirstIndex}", $"{segment.LastIndex}", Words.Number(segment.Records), Words.Number(segment.Bytes),
                Words.Number(segment.Damage.Sum(damage => (long)(damage.LastIndex - damage.FirstIndex + 1))), Words.Number(segment.TailBytes));
        }

        Write(segments, spool.Segments.Count);
        var streams = new TextTable(new("STREAM") { MayShorten = true }, Right("FIRST"), Right("LAST"), Right("EVENTS"));
        foreach (var (stream, (first, to, count)) in inspected.Streams) streams.Add(Bound(stream), $"{first}", $"{to}", Words.Number(count));
        Write(streams, inspected.Streams.Count);
        var types = new TextTable(new("TYPE") { MayShorten = true }, Right("EVENTS"));
        foreach (var (type, count) in inspected.Types.OrderByDescending(type => type.Value)) types.Add(Bound(type), Words.Number(count));
        Write(types, inspected.Types.Count);
        var lines = new TextTable(
            Right("RECORD"), new("TIME"), new("TYPE") { MayShorten = true }, new("SUBJECT") { MayShorten = true }, new("STREAM") { MayShorten = true, MayLeave = true }, Right("SEQUENCE"),
            Right("BYTES"));
        foreach (var line in inspected.Lines)
            lines.Add($"{line.Index}", Words.Time(line.Time), Bound(line.Type), Bound(line.Subject), Bound(line.Stream), $"{line.Sequence}", Words.Number(line.Bytes));
        Write(lines, inspected.Lines.Count);
        Console.WriteLine();

        foreach (var (line, _) in Faults(inspected.Folder, spool)) Console.WriteLine($"  {TerminalText.Printable(line)}");

        static TextColumn Right(string title) => new(title) { IsRight = true };

        static string Bound(string text) => text.Length <= 80 ? text : text[..80] + "…";

        static void Write(TextTable table, int rows)
        {
            if (rows == 0) return;
            Console.WriteLine();
            table.Write();
        }
    }

    static void PrintJson(List<Inspected> inspected)
    {
        using var output = Console.OpenStandardOutput();
        using var json = new Utf8JsonWriter(output, new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        json.WriteStartArray();
        foreach (var one in inspected)
        {
            json.WriteStartObject();
            json.WriteString("class", one.Folder.Name);
            json.WriteString("directory", one.Folder.Path);
            json.WriteBoolean("open", one.Spool.IsOpen);
            json.WriteNumber("acknowledged", one.Spool.Acknowledged);
            json.WriteNumber("stored", one.Spool.Stored);
            json.WriteStartObject("readers");
            foreach (var (reader, acknowledged) in one.Spool.Readers) json.WriteNumber(reader ?? "", acknowledged);
            json.WriteEndObject();
            json.WriteNumber("records", one.Records);
            json.WriteNumber("waiting", one.Waiting);
            json.WriteNumber("unreadable", one.Unreadable);
            if (one.Oldest is { } oldest) json.WriteString("oldest", Words.Time(oldest));
            json.WriteStartArray("segments");
            foreach (var segment in one.Spool.Segments)
            {
                json.WriteStartObject();
                json.WriteString("path", segment.Path);
                json.WriteNumber("bytes", segment.Bytes);
                json.WriteNumber("first", segment.FirstIndex);
                json.WriteNumber("last", segment.LastIndex);
                json.WriteNumber("records", segment.Records);
                json.WriteNumber("tail", segment.TailBytes);
                json.WriteStartArray("damage");
                foreach (var damage in segment.Damage)
                {
                    json.WriteStartObject();
                    json.WriteNumber("first", damage.FirstIndex);
                    json.WriteNumber("last", damage.LastIndex);
                    json.WriteNumber("offset", damage.Offset);
                    json.WriteNumber("bytes", damage.Bytes);
                    json.WriteEndObject();
                }

                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteStartArray("missing");
            foreach (var (first, last) in one.Spool.Missing)
            {
                json.WriteStartObject();
                json.WriteNumber("first", first);
                json.WriteNumber("last", last);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteStartArray("streams");
            foreach (var (stream, (first, last, count)) in one.Streams)
            {
                json.WriteStartObject();
                json.WriteString("stream", stream);
                json.WriteNumber("first", first);
                json.WriteNumber("last", last);
                json.WriteNumber("events", count);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteStartObject("types");
            foreach (var (type, count) in one.Types) json.WriteNumber(type, count);
            json.WriteEndObject();
            if (one.Lines.Count > 0)
            {
                json.WriteStartArray("events");
                foreach (var line in one.Lines)
                {
                    json.WriteStartObject();
                    json.WriteNumber("record", line.Index);
                    json.WriteString("time", Words.Time(line.Time));
                    json.WriteString("type", line.Type);
                    json.WriteString("subject", line.Subject);
                    json.WriteString("stream", line.Stream);
                    json.WriteNumber("sequence", line.Sequence);
                    json.WriteNumber("bytes", line.Bytes);
                    json.WriteEndObject();
                }

                json.WriteEndArray();
            }

            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.Flush();
        output.WriteByte((byte)'\n');
    }

    sealed record SpoolFolder(string Name, string Path)
    {
        /// <summary>The oldest give way to new ones.</summary>
        public bool Sheds => Name == "shed";
    }

    readonly record struct Line(ulong Index, DateTimeOffset Time, string Type, string Subject, string Stream, ulong Sequence, int Bytes);

    /// <summary>One spool, summed up while it is read.</summary>
    sealed class Inspected(SpoolFolder folder)
    {
        readonly List<(ulong Index, DateTimeOffset Time)> _times = [];

        public SpoolFolder Folder => folder;

        public SpoolInspection Spool { get; set; } = null!;

        public long Records { get; private set; }

        public long Unreadable { get; private set; }

        public Dictionary<string, (ulong First, ulong Last, long Count)> Streams { get; } = [];

        public Dictionary<string, long> Types { get; } = [];

        public List<Line> Lines { get; } = [];

        public bool IsDamaged => Unreadable > 0 || Faults(folder, Spool).Any(fault => fault.IsDamage);

        /// <summary>Records behind the acknowledged ones.</summary>
        public long Waiting => Spool.Segments.Sum(segment =>
            segment.FirstIndex > Spool.Acknowledged ? segment.Records : Math.Min(segment.Records, segment.LastIndex > Spool.Acknowledged ? (long)(segment.LastIndex - Spool.Acknowledged) : 0));

        /// <summary>When the oldest event was received that is not delivered.</summary>
        public DateTimeOffset? Oldest => _times.Where(one => one.Index > Spool.Acknowledged).Select(one => (DateTimeOffset?)one.Time).FirstOrDefault();

        public void Add(ulong index, ReadOnlyMemory<byte> data, bool withLine)
        {
            Records++;
            if (StampedEvent.TryRead(data, out var stamped) is not null)
            {
                Unreadable++;
                return;
            }

            var (stream, sequence) = stamped!.Position;
            var known = Streams.GetValueOrDefault(stream, (sequence, sequence, 0));
            Streams[stream] = (Math.Min(known.First, sequence), Math.Max(known.Last, sequence), known.Count + 1);
            Types[stamped.Type] = Types.GetValueOrDefault(stamped.Type) + 1;
            _times.Add((index, stamped.Time));
            if (withLine) Lines.Add(new Line(index, stamped.Time, stamped.Type, stamped.Subject, stream, sequence, data.Length));
        }
    }
}
