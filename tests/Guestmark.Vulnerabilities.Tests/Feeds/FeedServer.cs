using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>A vendor's server on loopback: files with ETags, and whatever a test lets go wrong.</summary>
sealed class FeedServer : IAsyncDisposable
{
    readonly WebApplication _app;
    readonly ConcurrentDictionary<string, byte[]> _files = new();

    FeedServer(WebApplication app)
    {
        _app = app;
        app.Run(AnswerAsync);
    }

    public Uri Address { get; private set; } = null!;

    /// <summary>Path and status of every answer.</summary>
    public ConcurrentQueue<string> Answers { get; } = new();

    /// <summary>Answers before a file is: each is taken once.</summary>
    public ConcurrentQueue<(string Path, Func<HttpContext, Task> Answer)> Mishaps { get; } = new();

    public static async Task<FeedServer> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(options => options.Listen(IPAddress.Loopback, 0));
        var server = new FeedServer(builder.Build());
        await server._app.StartAsync();
        server.Address = new Uri($"http://127.0.0.1:{new Uri(server._app.Urls.First()).Port}/");
        return server;
    }

    public void Put(string path, byte[] content) => _files[path] = content;

    public void Put(string path, string content) => Put(path, Packed.Utf8(content));

    public void Remove(string path) => _files.TryRemove(path, out _);

    /// <summary>What was asked for since the last call, in its order.</summary>
    public IReadOnlyList<string> TakeAnswers()
    {
        var answers = Answers.ToArray();
        Answers.Clear();
        return answers;
    }

    public async ValueTask DisposeAsync()
    {
        using var now = new CancellationTokenSource();
        await now.CancelAsync();
        await _app.StopAsync(now.Token);
        await _app.DisposeAsync();
    }

    async Task AnswerAsync(HttpContext context)
    {
        var path = context.Request.Path.Value!.TrimStart('/');
        if (Mishaps.TryPeek(out var mishap) && mishap.Path == path && Mishaps.TryDequeue(out mishap))
        {
            await mishap.Answer(context);
        }
        else if (!_files.TryGetValue(path, out var content))
        {
            context.Response.StatusCode = 404;
        }
        else
        {
            var tag = $"\"{Convert.ToHexString(SHA256.HashData(content))[..16]}\"";
            context.Response.Headers.ETag = tag;
            if (context.Request.Headers.IfNoneMatch == tag) context.Response.StatusCode = 304;
            else await context.Response.Body.WriteAsync(content);
        }

        Answers.Enqueue(string.Create(CultureInfo.InvariantCulture, $"{path} {context.Response.StatusCode}"));
    }
}

/// <summary>Time in which waiting takes none, and is written down. What ends something that takes too long never does.</summary>
sealed class ImpatientTimeProvider(TimeSpan neverFrom) : TimeProvider
{
    public ConcurrentQueue<TimeSpan> Waits { get; } = new();

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        if (dueTime >= neverFrom) return base.CreateTimer(callback, state, Timeout.InfiniteTimeSpan, period);
        if (dueTime > TimeSpan.Zero) Waits.Enqueue(dueTime);
        return base.CreateTimer(callback, state, TimeSpan.Zero, period);
    }
}
