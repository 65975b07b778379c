using Microsoft.AspNetCore.Http;

namespace Guestmark.Central;

/// <summary>Errors of the API as RFC 9457 problems: the title names the value, the detail the remedy.</summary>
static class ApiProblem
{
    public static IResult Of(int status, string title, string detail) => TypedResults.Problem(statusCode: status, title: title, detail: detail);

    public static IResult BadRequest(string title, string detail) => Of(StatusCodes.Status400BadRequest, title, detail);

    /// <summary>What a client sent, short enough to be sent back.</summary>
    public static string Excerpt(string text) => text.Length <= 100 ? text : string.Concat(text.AsSpan(0, 100), "…");
}
