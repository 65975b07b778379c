using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Guestmark.Central.Findings;
using Guestmark.Central.Ingest;
using Guestmark.Central.SignIn;
using Guestmark.Events;
using Guestmark.TestKit;
using Guestmark.Vulnerabilities;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Guestmark.Central.Tests;

/// <summary>Central behind a real Kestrel on loopback, with a client that has the API token and one that has nothing.</summary>
sealed class CentralServer : IAsyncDisposable
{
    readonly WebApplication _app;

    CentralServer(WebApplication app, string folder)
    {
        _app = app;
        Address = new Uri(app.Urls.Single());
        Anonymous = NewClient();
        Api = NewClient();
        ApiToken = File.ReadAllText(Path.Combine(folder, "api-token")).Trim();
        Api.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", ApiToken);
    }

    public Uri Address { get; }

    public HttpClient Anonymous { get; }

    public HttpClient Api { get; }

    public string ApiToken { get; }

    public SignInLinks Links => _app.Services.GetRequiredService<SignInLinks>();

    public static async Task<CentralServer> StartAsync(string folder, TimeProvider? time = null, MatchPackage? match = null)
    {
        var builder = WebApplication.CreateBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddSingleton(time ?? new ManualTimeProvider(Samples.Start));
        builder.Services.AddCentral(new CentralOptions { DataDirectory = folder });
        if (match is not null) builder.Services.AddMatching(match);
        var app = builder.Build();
        app.MapCentral();
        app.MapGet("/api/v1/broken", object () => throw new InvalidOperationException("secret"));
        await app.StartAsync();
        return new CentralServer(app, folder);
    }

    /// <summary>Cookies are kept, redirects are not followed.</summary>
    public HttpClient NewClient() =>
        new(new SocketsHttpHandler { AllowAutoRedirect = false, CookieContainer = new CookieContainer() }) { BaseAddress = Address };

    public async Task StoreAsync(params IReadOnlyList<StampedEvent> events) =>
        Assert.Empty(await _app.Services.GetRequiredService<CentralEventSink>().StoreAsync(events, default));

    public async Task MatchAsync(AdvisoryDatabase database)
    {
        var matching = _app.Services.GetRequiredService<PackageMatching>();
        matching.UseDatabase(database);
        await matching.MatchPendingAsync(default);
    }

    public async Task<JsonElement> GetJsonAsync(string path, HttpStatusCode expected = HttpStatusCode.OK)
    {
        using var response = await Api.GetAsync(path);
        Assert.Equal(expected, response.StatusCode);
        Assert.Equal(expected == HttpStatusCode.OK ? "application/json" : "application/problem+json", response.Content.Headers.ContentType?.MediaType);
        return JsonSerializer.Deserialize<JsonElement>(await response.Content.ReadAsStringAsync());
    }

    /// <summary>The HTML, in which only the characters that HTML needs encoded are.</summary>
    public async Task<string> GetPageAsync(string path, HttpStatusCode expected = HttpStatusCode.OK)
    {
        using var response = await Api.GetAsync(path);
        Assert.Equal(expected, response.StatusCode);
        Assert.Equal("text/html; charset=utf-8", response.Content.Headers.ContentType?.ToString());
        return (await response.Content.ReadAsStringAsync()).Replace("&#x2013;", "–");
    }

    public async ValueTask DisposeAsync()
    {
        Anonymous.Dispose();
        Api.Dispose();
        await _app.DisposeAsync();
    }
}
