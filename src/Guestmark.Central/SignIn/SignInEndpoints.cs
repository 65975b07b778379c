using System.Security.Claims;
using Guestmark.Central.Pages;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.Cookies;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Guestmark.Central.SignIn;

/// <summary>
/// Who may see what Central knows: a browser with a session that began with a one-time link, or a program with the API token.
/// </summary>
static class SignInEndpoints
{
    const string SchemeName = "Guestmark";

    public static void AddCentralSignIn(this IServiceCollection services, SignInOptions options)
    {
        services.AddAuthentication(SchemeName)
            .AddPolicyScheme(SchemeName, null, scheme => scheme.ForwardDefaultSelector = context =>
                ApiTokenHandler.Applies(context) ? ApiTokenHandler.SchemeName : CookieAuthenticationDefaults.AuthenticationScheme)
            .AddScheme<AuthenticationSchemeOptions, ApiTokenHandler>(ApiTokenHandler.SchemeName, null)
            .AddCookie(cookie =>
            {
                cookie.Cookie.Name = "guestmark";
                cookie.Cookie.HttpOnly = true;
                cookie.Cookie.SameSite = SameSiteMode.Lax;
                cookie.Cookie.SecurePolicy = CookieSecurePolicy.SameAsRequest;
                cookie.ExpireTimeSpan = options.SessionLifetime;
                cookie.SlidingExpiration = false;
                cookie.Events.OnRedirectToLogin = cookie.Events.OnRedirectToAccessDenied = context => SignInRequired(context.HttpContext);
            });
        services.AddAuthorization();
    }

    public static void MapCentralSignIn(this IEndpointRouteBuilder endpoints)
    {
        endpoints.MapGet("/sign-in", async (string? token, HttpContext context, SignInLinks links, FailedAttempts failures) =>
        {
            if (token is null || !links.TryUse(token))
            {
                if (token is not null && failures.AddIsTooMany(context.Connection.RemoteIpAddress)) return TooManyAttempts(context.Response);
                return CentralPages.Message(
                    StatusCodes.Status401Unauthorized,
                    token is null ? "Sign in with a link" : "This link does not work any more",
                    "A sign-in link works once, for a short time.",
                    SignInRemedy);
            }

            var identity = new ClaimsIdentity([new Claim(ClaimTypes.Name, "operator")], CookieAuthenticationDefaults.AuthenticationScheme);
            await context.SignInAsync(CookieAuthenticationDefaults.AuthenticationScheme, new ClaimsPrincipal(identity));
            return TypedResults.LocalRedirect("/");
        });
        // A form that another site sends here arrives without the cookie (SameSite=Lax), and can at worst end a session.
        endpoints.MapPost("/sign-out", async (HttpContext context) =>
        {
            await context.SignOutAsync(CookieAuthenticationDefaults.AuthenticationScheme);
            return TypedResults.LocalRedirect("/sign-in");
        }).RequireAuthorization();
    }

    public static IResult TooManyAttempts(HttpResponse response)
    {
        response.Headers.RetryAfter = FailedAttempts.Window.TotalSeconds.ToString();
        return ApiProblem.Of(
            StatusCodes.Status429TooManyRequests,
            "Too many failed attempts to sign in from this address",
            $"Wait {FailedAttempts.Window.TotalSeconds} seconds, then try again with a valid link or token.");
    }

    public const string SignInRemedy =
        "Open the link that 'guestmark up' or 'guestmark central' printed when it started. If it was used or is too old, restart it for a new one, or POST to " +
        "/api/v1/sign-in-links with the API token.";

    static Task SignInRequired(HttpContext context)
    {
        if (!context.Request.Path.StartsWithSegments("/api"))
        {
            return CentralPages.Message(
                StatusCodes.Status401Unauthorized, "Sign in to see your machines", "There is no session in this browser.", SignInRemedy)
                .ExecuteAsync(context);
        }

        context.Response.Headers.WWWAuthenticate = "Bearer";
        return ApiProblem.Of(
            StatusCodes.Status401Unauthorized,
            "Sign-in is required",
            "Send 'Authorization: Bearer TOKEN' with the content of the file 'api-token' in Central's data directory, or sign in with the link that " +
            "'guestmark up' or 'guestmark central' prints.").ExecuteAsync(context);
    }
}
