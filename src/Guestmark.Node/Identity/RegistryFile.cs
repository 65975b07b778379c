using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Identity;

/// <summary>Reads <see cref="NodeOptions.RegistryFile"/> at the start and whenever it was replaced.</summary>
/// <remarks>
/// JSON: <c>{"guests": [{"uid": "…", "name": "…", "cid": 5, "networkNamespace": 4026531840, "bootEpoch": "…", "weight": 1}, {"uid": "…", "name": "…",
/// "socketBase": "/run/vm/web1.sock", "pullPort": 818}]}</c>. Without a uid one is made from cluster, node and name. Unknown keys are an error: a misspelt one would change who
/// a guest is.
/// <para>A file that cannot be read or is wrong stops the start; later the guests of the last good one stay, and the log says what is wrong. One that
/// contradicts what others say of guests is tried again with each look, since they may mend it. Looked at once
/// a second: a rename in its place is noticed whatever file system it is on.</para>
/// </remarks>
sealed partial class RegistryFile(NodeOptions options, GuestRegistry registry, TimeProvider time, ILogger<RegistryFile> logger) : IHostedService, IDisposable
{
    static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    readonly Lock _lock = new();
    ITimer? _timer;
    (DateTime, long)? _seen;
    IReadOnlyList<GuestOptions>? _refused;
    string? _problem;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        if (options.RegistryFile is not { } path) return Task.CompletedTask;
        _seen = Stamp(path);
        var guests = Read(path, options);
        if (registry.Replace(GuestSource.File, guests) is { Count: > 0 } errors) throw new InvalidDataException($"{path}: {string.Join("; ", errors)}");
        LogRead(path, guests.Count);
        _timer = time.CreateTimer(_ => Look(path), null, Interval, Interval);
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        Dispose();
        return Task.CompletedTask;
    }

    public void Dispose() => _timer?.Dispose();

    /// <exception cref="IOException">It cannot be read.</exception>
    /// <exception cref="InvalidDataException">It holds no guests.</exception>
    internal static IReadOnlyList<GuestOptions> Read(string path, NodeOptions options)
    {
        try
        {
            using var stream = File.OpenRead(path);
            var file = JsonSerializer.Deserialize(stream, RegistryJson.Default.RegistryDocument) ?? throw new InvalidDataException($"{path} is empty");
            return [.. file.Guests.Select(entry => (entry ?? throw new InvalidDataException($"{path}: a guest is null")).ToGuest(options))];
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path}: {Words(e)}", e);
        }
    }

    /// <summary>What is wrong, in the words of the file: those of the serializer are about types that its writer does not know.</summary>
    static string Words(JsonException e)
    {
        const string members = "uid, name, socketBase, cid, networkNamespace, bootEpoch, weight and pullPort";
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

    static (DateTime Written, long Bytes) Stamp(string path)
    {
        var file = new FileInfo(path);
        return file.Exists ? (file.LastWriteTimeUtc, file.Length) : default;
    }

    void Look(string path)
    {
        lock (_lock)
        {
            var stamp = Stamp(path);
            try
            {
                if (stamp == _seen && _refused is null) return;
                var guests = stamp == _seen ? _refused! : Read(path, options);
                _seen = stamp;
                _refused = guests;
                if (registry.Replace(GuestSource.File, guests) is { Count: > 0 } errors)
                {
                    Refuse(path, string.Join("; ", errors));
                    return;
                }

                (_refused, _problem) = (null, null);
                LogRead(path, guests.Count);
            }
            catch (InvalidDataException e)
            {
                // Its text stays wrong until it is replaced.
                (_seen, _refused) = (stamp, null);
                Refuse(path, e.Message);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                (_seen, _refused) = (null, null);
                Refuse(path, e.Message);
            }
        }
    }

    /// <summary>Tells a problem once, however often it is found.</summary>
    void Refuse(string path, string problem)
    {
        if (problem == _problem) return;
        _problem = problem;
        LogRefused(path, problem);
    }

    [LoggerMessage(4121, LogLevel.Information, "Read {Count} guests from {Path}", EventName = "RegistryRead")]
    partial void LogRead(string path, int count);

    [LoggerMessage(4122, LogLevel.Error, "The registry {Path} is not used, the guests before it stay: {Problem}", EventName = "RegistryRefused")]
    partial void LogRefused(string path, string problem);
}

/// <summary>The registry as a file.</summary>
sealed record RegistryDocument
{
    public required IReadOnlyList<RegistryEntry?> Guests { get; init; }
}

/// <summary>One guest in it, as <see cref="GuestOptions"/>.</summary>
sealed record RegistryEntry
{
    public string? Uid { get; set; }

    public required string Name { get; init; }

    public string? SocketBase { get; set; }

    public uint? Cid { get; set; }

    public ulong? NetworkNamespace { get; set; }

    public string? BootEpoch { get; set; }

    public int Weight { get; set; } = 1;

    public uint? PullPort { get; set; }

    public GuestOptions ToGuest(NodeOptions options) => new()
    {
        Uid = Uid ?? GuestOptions.UidOf(options.Cluster, options.Node, Name),
        Name = Name,
        SocketBase = SocketBase,
        Cid = Cid,
        NetworkNamespace = NetworkNamespace,
        BootEpoch = BootEpoch,
        Weight = Weight,
        PullPort = PullPort,
    };
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    ReadCommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, RespectNullableAnnotations = true, AllowDuplicateProperties = false)]
[JsonSerializable(typeof(RegistryDocument))]
sealed partial class RegistryJson : JsonSerializerContext;
