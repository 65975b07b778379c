using System.Security.Claims;
using System.Text.Encodings.Web;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Guestmark.Central.SignIn;

/// <summary>Authenticates <c>Authorization: Bearer TOKEN</c> (RFC 6750) with the API token.</summary>
sealed class ApiTokenHandler(
    IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logger, UrlEncoder encoder, ApiToken token, FailedAttempts failures)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
{
    public const string SchemeName = "ApiToken";

    const string Prefix = "Bearer ";

    bool _tooMany;

    public static bool Applies(HttpContext context) =>
        context.Request.Headers.Authorization.ToString().StartsWith(Prefix, StringComparison.OrdinalIgnoreCase);

    protected override Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        if (!token.Matches(Request.Headers.Authorization.ToString()[Prefix.Length..].Trim()))
        {
            _tooMany = failures.AddIsTooMany(Context.Connection.RemoteIpAddress);
            return Task.FromResult(AuthenticateResult.Fail("wrong token"));
        }

        var identity = new ClaimsIdentity([new Claim(ClaimTypes.Name, "api")], SchemeName);
        return Task.FromResult(AuthenticateResult.Success(new AuthenticationTicket(new ClaimsPrincipal(identity), SchemeName)));
    }

    protected override async Task HandleChallengeAsync(AuthenticationProperties properties)
    {
        if (_tooMany)
        {
            await SignInEndpoints.TooManyAttempts(Response).ExecuteAsync(Context);
            return;
        }

        Response.Headers.WWWAuthenticate = "Bearer error=\"invalid_token\"";
        await ApiProblem.Of(
            StatusCodes.Status401Unauthorized,
            "The bearer token is not the API token of this Central",
            "Send the content of the file 'api-token' in Central's data directory as 'Authorization: Bearer TOKEN'.").ExecuteAsync(Context);
    }
}
