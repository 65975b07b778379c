using System.Net;
using System.Net.Http.Headers;
using Guestmark.Central.SignIn;
using Guestmark.TestKit;

namespace Guestmark.Central.Tests;

public sealed class SignInTests : IAsyncLifetime
{
    readonly TemporaryFolder _folder = new();
    readonly ManualTimeProvider _time = new(Samples.Start);
    CentralServer _central = null!;

    public async Task InitializeAsync() => _central = await CentralServer.StartAsync(_folder.Path, _time);

    public async Task DisposeAsync()
    {
        await _central.DisposeAsync();
        _folder.Dispose();
    }

    [Theory]
    [InlineData("/api/v1/vms")]
    [InlineData("/api/v1/vms/x")]
    [InlineData("/api/v1/vms/x/packages")]
    [InlineData("/api/v1/vms/x/reports")]
    [InlineData("/api/v1/vms/x/findings")]
    [InlineData("/api/nothing")]
    public async Task The_api_without_a_session_is_a_problem_that_says_how_to_sign_in(string path)
    {
        using var response = await _central.Anonymous.GetAsync(path);
        Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        Assert.Contains("api-token", await response.Content.ReadAsStringAsync());
        Assert.Equal("Bearer", response.Headers.WwwAuthenticate.ToString());
    }

    [Theory]
    [InlineData("/")]
    [InlineData("/vms/x")]
    [InlineData("/vms/x/findings/1")]
    [InlineData("/nothing")]
    public async Task A_page_without_a_session_says_to_use_the_link(string path)
    {
        using var response = await _central.Anonymous.GetAsync(path);
        Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
        Assert.Equal("text/html", response.Content.Headers.ContentType?.MediaType);
        Assert.Contains("'guestmark up' or 'guestmark central'", WebUtility.HtmlDecode(await response.Content.ReadAsStringAsync()));
    }

    [Fact]
    public async Task A_link_signs_in_once_and_the_session_ends_after_twelve_hours()
    {
        var path = SignInLinks.PathOf(_central.Links.Create().Token);
        using var browser = _central.NewClient();
        using (var response = await browser.GetAsync(path))
        {
            Assert.Equal((HttpStatusCode.Redirect, "/"), (response.StatusCode, response.Headers.Location?.ToString()));
            var cookie = Assert.Single(response.Headers.GetValues("Set-Cookie"));
            Assert.Contains("httponly", cookie, StringComparison.OrdinalIgnoreCase);
            Assert.Contains("samesite=lax", cookie, StringComparison.OrdinalIgnoreCase);
        }

        Assert.Equal(HttpStatusCode.OK, await StatusAsync(browser, "/"));
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(browser, "/api/v1/vms"));

        using var other = _central.NewClient();
        Assert.Equal(HttpStatusCode.Unauthorized, await StatusAsync(other, path));
        Assert.Equal(HttpStatusCode.Unauthorized, await StatusAsync(other, "/"));

        _time.Advance(TimeSpan.FromHours(12) - TimeSpan.FromSeconds(1));
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(browser, "/"));
        _time.Advance(TimeSpan.FromSeconds(2));
        Assert.Equal(HttpStatusCode.Unauthorized, await StatusAsync(browser, "/"));
    }

    [Fact]
    public async Task A_session_outlives_a_restart_and_ends_at_sign_out()
    {
        var cookies = new CookieContainer();
        using var handler = new SocketsHttpHandler { AllowAutoRedirect = false, CookieContainer = cookies };
        using var browser = new HttpClient(handler);
        await browser.GetAsync(new Uri(_central.Address, SignInLinks.PathOf(_central.Links.Create().Token)));
        await _central.DisposeAsync();
        _central = await CentralServer.StartAsync(_folder.Path, _time);
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(browser, new Uri(_central.Address, "/").ToString()));

        using var response = await browser.PostAsync(new Uri(_central.Address, "/sign-out"), null);
        Assert.Equal(HttpStatusCode.Redirect, response.StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, await StatusAsync(browser, new Uri(_central.Address, "/").ToString()));
    }

    [Fact]
    public async Task A_link_expires_after_fifteen_minutes()
    {
        var early = SignInLinks.PathOf(_central.Links.Create().Token);
        _time.Advance(TimeSpan.FromMinutes(1));
        var late = SignInLinks.PathOf(_central.Links.Create().Token);
        _time.Advance(TimeSpan.FromMinutes(14));
        using var browser = _central.NewClient();
        Assert.Equal(HttpStatusCode.Unauthorized, await StatusAsync(browser, early));
        Assert.Equal(HttpStatusCode.Redirect, await StatusAsync(browser, late));
    }

    [Fact]
    public async Task The_api_token_makes_links_and_another_token_does_not()
    {
        using var created = await _central.Api.PostAsync("/api/v1/sign-in-links", null);
        var path = System.Text.Json.JsonDocument.Parse(await created.Content.ReadAsStringAsync()).RootElement.GetProperty("path").GetString()!;
        using var browser = _central.NewClient();
        Assert.Equal(HttpStatusCode.Redirect, await StatusAsync(browser, path));

        using var wrong = _central.NewClient();
        wrong.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", _central.ApiToken[..^1] + (_central.ApiToken[^1] == 'A' ? 'B' : 'A'));
        using var response = await wrong.GetAsync("/api/v1/vms");
        Assert.Equal(HttpStatusCode.Unauthorized, response.StatusCode);
        Assert.Contains("not the API token", await response.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task Failed_attempts_are_limited_for_a_minute()
    {
        using var guesser = _central.NewClient();
        for (var i = 0; i < 10; i++) Assert.Equal(HttpStatusCode.Unauthorized, await StatusAsync(guesser, "/sign-in?token=guess"));
        using (var response = await guesser.GetAsync("/sign-in?token=guess"))
        {
            Assert.Equal(HttpStatusCode.TooManyRequests, response.StatusCode);
            Assert.Equal(TimeSpan.FromSeconds(60), response.Headers.RetryAfter?.Delta);
        }

        guesser.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "guess");
        Assert.Equal(HttpStatusCode.TooManyRequests, await StatusAsync(guesser, "/api/v1/vms"));
        _time.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(HttpStatusCode.Unauthorized, await StatusAsync(guesser, "/api/v1/vms"));
    }

    [Fact]
    public async Task Failed_attempts_of_others_at_the_same_address_never_stop_a_valid_token_or_link()
    {
        using var browser = _central.NewClient();
        for (var i = 0; i < 50; i++) await StatusAsync(browser, "/sign-in?token=x");
        Assert.Equal(HttpStatusCode.TooManyRequests, await StatusAsync(browser, "/sign-in?token=x"));
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(_central.Api, "/api/v1/vms"));
        Assert.Equal(HttpStatusCode.Redirect, await StatusAsync(browser, SignInLinks.PathOf(_central.Links.Create().Token)));
        Assert.Equal(HttpStatusCode.OK, await StatusAsync(browser, "/"));
    }

    static async Task<HttpStatusCode> StatusAsync(HttpClient client, string path)
    {
        using var response = await client.GetAsync(path);
        return response.StatusCode;
    }
}
