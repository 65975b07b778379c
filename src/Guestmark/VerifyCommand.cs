using System.CommandLine;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Guestmark.CommandLine;
using Guestmark.Events;
using Guestmark.Events.Signing;
using Guestmark.Events.Verification;

namespace Guestmark;

/// <summary><c>guestmark verify</c>: whether an export is what nodes signed, and whether something is missing. Needs nothing but the file and the keys.</summary>
static class VerifyCommand
{
    public static Command Create()
    {
        var file = new Argument<string>("file") { Description = "The export: CloudEvents in JSON (one, lines, batches) or protobuf messages with their lengths before them. -: standard input", HelpName = "FILE" };
        var keys = new Option<string>("--keys") { Description = "Public keys that you trust: a folder (*.pub, *.pem, *.hmac; in CLUSTER/NODE below it for that node only), one such file, or a JSON file", HelpName = "PATH", Required = true };
        var output = new Option<string>("--output", "-o") { Description = "How to print", DefaultValueFactory = _ => "table" };
        output.AcceptOnlyFromAmong("table", "json");
        var allowUnsigned = new Option<bool>("--allow-unsigned") { Description = "Events without a signature are not wrong. Anybody who could change the export could have removed signatures" };
        var complete = new Option<bool>("--complete") { Description = "Every stream must begin with its event 1: what is missing before its first event is a gap" };
        var command = new Command("verify", "Checks the signatures of exported events, and names events that are missing")
        {
            file, keys, output, allowUnsigned, complete,
        }.WithExamples(
            """
            guestmark verify events.jsonl --keys /etc/guestmark/keys
            guestmark spool inspect -o jsonl /var/lib/guestmark/node | guestmark verify - --keys node1.pub
            guestmark verify events.json --keys keys.json --complete -o json
            """).WithFound("an event that is not verified, or a gap that no loss event explains");
        command.SetAction((parsed, cancellationToken) =>
        {
            var path = parsed.GetRequiredValue(file);
            var result = Verify(path, parsed.GetRequiredValue(keys), parsed.GetValue(allowUnsigned), parsed.GetValue(complete), cancellationToken);
            if (parsed.GetRequiredValue(output) == "json") PrintJson(result);
            else PrintTable(result);
            return Task.FromResult(result.IsGood ? ExitCode.Done : ExitCode.Found);
        });
        return command;
    }

    static Result Verify(string path, string keys, bool allowUnsigned, bool complete, CancellationToken cancellationToken)
    {
        try
        {
            var trusted = VerificationKeys.Load(keys);
            using var input = path == "-" ? Console.OpenStandardInput() : new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            var result = new Result(path == "-" ? "standard input" : path, allowUnsigned);
            result.Read(new EventExportReader(input), new EventVerifier(trusted), cancellationToken);
            result.Complete(complete);
            if (result.Events == 0) throw new CommandException($"{result.Name} holds no event: there is nothing to verify");
            return result;
        }
        catch (SigningKeyException e)
        {
            throw new CommandException($"--keys: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"{path} cannot be read: {e.Message}", e);
        }
    }

    static void PrintTable(Result result)
    {
        const int StreamsShown = 50;
        const int LinesShown = 20;
        var counts = new TextTable(new("EVENTS"), new("COUNT") { IsRight = true });
        foreach (var (what, count) in result.Counts()) counts.Add(what, Number(count));
        counts.Write();
        Console.WriteLine();

        var shown = result.Streams.OrderByDescending(stream => stream.Gaps.Count > 0).Take(StreamsShown).ToList();
        var streams = new TextTable(
            new("STREAM") { MayShorten = true }, new("SOURCE") { MayShorten = true, MayLeave = true }, Right("FIRST"), Right("LAST"), Right("EVENTS"), Right("MISSING"), Right("EXPLAINED"),
            Right("TWICE"));
        foreach (var stream in shown)
        {
            streams.Add(
                Bound(stream.Stream), Bound(stream.Source), Number(stream.First), Number(stream.Last), Number(stream.Events),
                Number(Missing(stream, explained: false)), Number(Missing(stream, explained: true)), Number(stream.Duplicates));
        }

        if (shown.Count > 0)
        {
            streams.Write();
            Console.WriteLine();
        }

        if (result.Streams.Count > shown.Count) Console.WriteLine($"and {result.Streams.Count - shown.Count} more streams; -o json prints all");

        var lines = result.Problems.Select(Describe).Concat(result.Streams.SelectMany(DescribeGaps)).Take(LinesShown + 1).ToList();
        foreach (var line in lines.Take(LinesShown)) Console.WriteLine(TerminalText.Printable(line));
        if (lines.Count > LinesShown) Console.WriteLine("and more; -o json prints them");
        if (result.IsOverwhelmed) Console.WriteLine("the events are of too many streams or pieces of streams to say what is missing");
        Console.WriteLine(result.IsGood ? "verified" : $"NOT verified: {string.Join(", ", result.Failures())}");

        static TextColumn Right(string title) => new(title) { IsRight = true };

        static string Bound(string text) => text.Length <= 80 ? text : text[..80] + "…";

        static string Number<T>(T value)
            where T : IFormattable => value.ToString(null, CultureInfo.InvariantCulture);
    }

    static ulong Missing(AuditedStream stream, bool explained) =>
        stream.Gaps.Where(gap => gap.Reason is not null == explained).Aggregate(0UL, (sum, gap) => sum + gap.Range.Count);

    static string Describe(Problem problem)
    {
        var which = problem.Stream is null ? "" : $", {problem.Sequence} of stream {problem.Stream}";
        return $"event {problem.Event} (byte {problem.Offset}{which}): {problem.What}";
    }

    static IEnumerable<string> DescribeGaps(AuditedStream stream)
    {
        foreach (var gap in stream.Gaps)
        {
            var range = gap.Range.Count == 1 ? $"event {gap.Range.First} is missing" : $"events {gap.Range.First} to {gap.Range.Last} are missing";
            yield return $"stream {stream.Stream} of {stream.Source}: {range}{(gap.Reason is { } reason ? $"; the host says why: {Reason(reason)}" : ", and nothing says why")}";
        }

        foreach (var number in stream.FirstDuplicates) yield return $"stream {stream.Stream} of {stream.Source}: event {number} is there more than once";
    }

    static string Reason(LossReason reason) => reason switch
    {
        LossReason.SpoolFull => "spool-full",
        LossReason.DiskDamage => "disk-damage",
        _ => "unspecified",
    };

    static readonly Dictionary<string, string> PropertyNames = new(StringComparer.Ordinal)
    {
        ["verified"] = "verified",
        ["unsigned"] = "unsigned",
        ["unknown key"] = "unknownKey",
        ["key of another node"] = "otherNode",
        ["bad signature"] = "badSignature",
        ["unreadable"] = "unreadable",
    };

    static void PrintJson(Result result)
    {
        using var output = Console.OpenStandardOutput();
        using (var json = new Utf8JsonWriter(output, new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteNumber("schemaVersion", 1);
            json.WriteString("result", result.IsGood ? "verified" : "failed");
            json.WriteStartArray("failures");
            foreach (var failure in result.Failures()) json.WriteStringValue(failure);
            json.WriteEndArray();
            json.WriteNumber("events", result.Events);
            foreach (var (name, count) in result.Counts()) json.WriteNumber(PropertyNames[name], count);
            json.WriteStartObject("keys");
            foreach (var (id, count) in result.Keys) json.WriteNumber(id, count);
            json.WriteEndObject();
            json.WriteStartArray("streams");
            foreach (var stream in result.Streams) WriteStream(json, stream);
            json.WriteEndArray();
            json.WriteStartArray("problems");
            foreach (var problem in result.Problems)
            {
                json.WriteStartObject();
                json.WriteNumber("event", problem.Event);
                json.WriteNumber("offset", problem.Offset);
                json.WriteString("stream", problem.Stream);
                if (problem.Sequence is { } sequence) json.WriteNumber("sequence", sequence);
                else json.WriteNull("sequence");
                json.WriteString("problem", problem.What);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteNumber("problemsNotListed", result.ProblemsNotListed);
            json.WriteEndObject();
        }

        output.WriteByte((byte)'\n');
    }

    static void WriteStream(Utf8JsonWriter json, AuditedStream stream)
    {
        json.WriteStartObject();
        json.WriteString("stream", stream.Stream);
        json.WriteString("source", stream.Source);
        json.WriteNumber("first", stream.First);
        json.WriteNumber("last", stream.Last);
        json.WriteNumber("events", stream.Events);
        json.WriteStartArray("gaps");
        foreach (var gap in stream.Gaps)
        {
            json.WriteStartObject();
            json.WriteNumber("first", gap.Range.First);
            json.WriteNumber("last", gap.Range.Last);
            json.WriteString("reason", gap.Reason is { } reason ? Reason(reason) : null);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteNumber("duplicates", stream.Duplicates);
        json.WriteStartArray("firstDuplicates");
        foreach (var number in stream.FirstDuplicates) json.WriteNumberValue(number);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    sealed record Problem(long Event, long Offset, string? Stream, ulong? Sequence, string What);

    sealed class Result(string name, bool allowUnsigned)
    {
        // A whole export with a wrong key has a problem in every event.
        const int ProblemsMax = 1000;

        readonly StreamAudit _audit = new();
        readonly long[] _status = new long[Enum.GetValues<SignatureStatus>().Length];
        long _unreadable;

        public string Name => name;

        public long Events { get; private set; }

        public List<Problem> Problems { get; } = [];

        public long ProblemsNotListed { get; private set; }

        /// <summary>Verified events by the key that signed them.</summary>
        public SortedDictionary<string, long> Keys { get; } = new(StringComparer.Ordinal);

        public IReadOnlyList<AuditedStream> Streams { get; private set; } = [];

        public bool IsOverwhelmed => _audit.IsOverwhelmed;

        public bool IsGood => !Failures().Any();

        public void Read(EventExportReader reader, EventVerifier verifier, CancellationToken cancellationToken)
        {
            while (reader.TryRead(out var stamped, out var problem))
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (stamped is null)
                {
                    _unreadable++;
                    Add(new Problem(reader.Count, reader.Offset, null, null, $"cannot be read: {problem}"));
                    continue;
                }

                var status = verifier.Verify(stamped);
                _status[(int)status]++;
                if (status == SignatureStatus.Verified) Keys[stamped.KeyId!] = Keys.GetValueOrDefault(stamped.KeyId!) + 1;
                if (status == SignatureStatus.Verified || (status == SignatureStatus.Unsigned && allowUnsigned))
                {
                    _audit.Add(stamped);
                    continue;
                }

                Add(new Problem(reader.Count, reader.Offset, Bound(stamped.Position.Stream), stamped.Position.Sequence, status switch
                {
                    SignatureStatus.Unsigned => "is not signed",
                    SignatureStatus.UnknownKey => $"is signed with key '{Bound(stamped.KeyId!)}', which --keys does not have",
                    SignatureStatus.OtherNode => $"is signed with key '{Bound(stamped.KeyId!)}', which --keys has for another node than {Bound(stamped.Source)}",
                    _ => $"is not what key '{Bound(stamped.KeyId ?? "")}' signed",
                }));
            }

            Events = reader.Count;
        }

        public void Complete(bool complete) => Streams = [.. _audit.Streams(complete)];

        public IEnumerable<(string What, long Count)> Counts() =>
        [
            ("verified", _status[(int)SignatureStatus.Verified]),
            ("unsigned", _status[(int)SignatureStatus.Unsigned]),
            ("unknown key", _status[(int)SignatureStatus.UnknownKey]),
            ("key of another node", _status[(int)SignatureStatus.OtherNode]),
            ("bad signature", _status[(int)SignatureStatus.BadSignature]),
            ("unreadable", _unreadable),
        ];

        public IEnumerable<string> Failures()
        {
            foreach (var (what, count) in Counts().Skip(1))
            {
                if (count > 0 && !(what == "unsigned" && allowUnsigned)) yield return $"{count} {what}";
            }

            var missing = Streams.Aggregate(0UL, (sum, stream) => sum + Missing(stream, explained: false));
            if (missing > 0) yield return $"{missing} missing without a reason";
            if (IsOverwhelmed) yield return "too many streams";
        }

        void Add(Problem problem)
        {
            if (Problems.Count < ProblemsMax) Problems.Add(problem);
            else ProblemsNotListed++;
        }

        static string Bound(string text) => text.Length <= 64 ? text : text[..64] + "…";
    }
}
