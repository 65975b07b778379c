using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging;

namespace Guestmark.Rpc.Guests;

/// <summary>A file of guests, read at the start and whenever it was replaced: a node's own, or a sensor's for all its nodes.</summary>
/// <remarks>
/// JSON: <c>{"guests": [{"uid": "…", "name": "…", "cid": 5, "networkNamespace": 4026531840, "bootEpoch": "…", "weight": 1, "node": "…"}, {"uid": "…",
/// "name": "…", "socketBase": "/run/vm/web1.sock", "pullPort": 818}]}</c>. Unknown keys are an error: a misspelt one would change who a guest is.
/// <para>A file that cannot be read or is wrong stops the start; later the guests of the last good one stay, and the log says what is wrong. One that
/// contradicts what others say of guests is tried again with each look, since they may mend it. Looked at once
/// a second: a rename in its place is noticed whatever file system it is on, and so is a link in its path that now leads elsewhere.</para>
/// </remarks>
/// <param name="take">Puts its guests in force; says what is wrong with them, and then has changed nothing.</param>
public sealed partial class GuestFile(
    string path, Func<IReadOnlyList<GuestEntry>, IReadOnlyList<string>> take, TimeProvider time, ILogger<GuestFile> logger) : IDisposable
{
    /// <summary>A thousand hosts with a hundred guests each, with room.</summary>
    const int BytesMax = 64 << 20;

    static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    readonly ILogger<GuestFile> _logger = logger;
    readonly Lock _lock = new();
    ITimer? _timer;
    (DateTime, long)? _seen;
    IReadOnlyList<GuestEntry>? _refused;
    string? _problem;

    /// <summary>What is wrong with the file as it is now; null while its guests are in force.</summary>
    public string? Problem => Volatile.Read(ref _problem);

    /// <summary>Takes the file and looks at it from now on.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    /// <exception cref="InvalidDataException">It holds no guests, or wrong ones.</exception>
    public void Start()
    {
        _seen = Stamp(path);
        var guests = Read(path);
        if (take(guests) is { Count: > 0 } errors) throw new InvalidDataException($"{path}: {string.Join("; ", errors)}");
        LogRead(path, guests.Count);
        _timer = time.CreateTimer(_ => Look(), null, Interval, Interval);
    }

    public void Dispose() => _timer?.Dispose();

    /// <exception cref="IOException">It cannot be read.</exception>
    /// <exception cref="InvalidDataException">It holds no guests.</exception>
    public static IReadOnlyList<GuestEntry> Read(string path)
    {
        try
        {
            using var stream = File.OpenRead(path);
            if (stream.Length > BytesMax) throw new InvalidDataException($"{path} is {stream.Length} bytes long, more than {BytesMax}");
            var file = JsonSerializer.Deserialize(stream, GuestFileJson.Default.GuestFileDocument) ?? throw new InvalidDataException($"{path} is empty");
            return [.. file.Guests.Select(guest => guest ?? throw new InvalidDataException($"{path}: a guest is null"))];
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path}: {Words(e)}", e);
        }
    }

    /// <summary>What is wrong, in the words of the file: those of the serializer are about types that its writer does not know.</summary>
    static string Words(JsonException e)
    {
        const string members = "uid, name, socketBase, cid, networkNamespace, bootEpoch, weight, pullPort and node";
        var message = e.Message;
        var quoted = message.Split('\'') is { Length: > 2 } parts ? parts[1] : "";
        var problem = message switch
        {
            _ when message.Contains("could not be mapped", StringComparison.Ordinal) => $"'{quoted}' is not known; the file has guests, and a guest {members}",
            _ when message.Contains("missing required", StringComparison.Ordinal) => e.Path is null or "$" ? "there is no list guests" : "a guest has no name",
            _ when message.Contains("Duplicate", StringComparison.OrdinalIgnoreCase) => $"'{quoted}' is given twice",
            _ when message.Contains("type '", StringComparison.Ordinal) || message.Contains("System.", StringComparison.Ordinal) || message.Contains("Guestmark.", StringComparison.Ordinal)
                => "the value is of the wrong kind: cid, networkNamespace, weight and pullPort are numbers, guests is a list, everything else of a guest is a text",
            _ => $"is not JSON: {message.Split(" Path:")[0].Split(" LineNumber:")[0]}",
        };
        return $"line {e.LineNumber + 1 ?? 1}{(e.Path is null or "$" ? "" : $", {e.Path}")}: {problem}";
    }

    /// <summary>Of the file that the path leads to: a ConfigMap's is a link, through a folder that is another one.</summary>
    static (DateTime Written, long Bytes)? Stamp(string path)
    {
        try
        {
            var file = new FileInfo(path);
            if (file.ResolveLinkTarget(returnFinalTarget: true) is FileInfo target) file = target;
            return file.Exists ? (file.LastWriteTimeUtc, file.Length) : null;
        }
        catch (IOException)
        {
            return null;
        }
    }

    void Look()
    {
        lock (_lock)
        {
            var stamp = Stamp(path);
            try
            {
                if (stamp is not null && stamp == _seen && _refused is null) return;
                var guests = stamp == _seen && _refused is not null ? _refused : Read(path);
                _seen = stamp;
                _refused = guests;
                if (take(guests) is { Count: > 0 } errors)
                {
                    Refuse(string.Join("; ", errors));
                    return;
                }

                _refused = null;
                Volatile.Write(ref _problem, null);
                LogRead(path, guests.Count);
            }
            catch (InvalidDataException e)
            {
                // Its text stays wrong until it is replaced.
                (_seen, _refused) = (stamp, null);
                Refuse(e.Message);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                (_seen, _refused) = (null, null);
                Refuse(e.Message);
            }
        }
    }

    /// <summary>Tells a problem once, however often it is found.</summary>
    void Refuse(string problem)
    {
        if (problem == _problem) return;
        Volatile.Write(ref _problem, problem);
        LogRefused(path, problem);
    }

    [LoggerMessage(4121, LogLevel.Information, "Read {Count} guests from {Path}", EventName = "RegistryRead")]
    partial void LogRead(string path, int count);

    [LoggerMessage(4122, LogLevel.Error, "The registry {Path} is not used, the guests before it stay: {Problem}", EventName = "RegistryRefused")]
    partial void LogRefused(string path, string problem);
}

/// <summary>The file as it is written.</summary>
sealed record GuestFileDocument
{
    public required IReadOnlyList<GuestEntry?> Guests { get; init; }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    ReadCommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, RespectNullableAnnotations = true, AllowDuplicateProperties = false)]
[JsonSerializable(typeof(GuestFileDocument))]
sealed partial class GuestFileJson : JsonSerializerContext;
