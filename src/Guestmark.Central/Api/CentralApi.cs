using System.Globalization;
using System.Text.Json.Serialization.Metadata;
using Guestmark.Central.Findings;
using Guestmark.Central.SignIn;
using Guestmark.Central.Storage;
using Guestmark.Vulnerabilities;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Guestmark.Central.Api;

/// <summary>
/// The REST API, version 1: what it answers are the records of ApiModels.cs, in camelCase; errors are RFC 9457 problems. Lists take
/// <c>limit</c> (1 to 500, default 100) and the <c>cursor</c> that the page before gave as <c>next</c>.
/// </summary>
static class CentralApi
{
    const int LimitDefault = 100;
    const int LimitMax = 500;

    public static void MapCentralApi(this IEndpointRouteBuilder endpoints)
    {
        var api = endpoints.MapGroup("/api/v1").RequireAuthorization();
        Map(HttpMethods.Get, "/vms", ListAsync, "limit", "cursor");
        Map(HttpMethods.Get, "/vms/{id}", GetAsync);
        Map(HttpMethods.Get, "/vms/{id}/packages", PackagesAsync, "limit", "cursor");
        Map(HttpMethods.Get, "/vms/{id}/reports", ReportsAsync, "limit", "cursor");
        Map(HttpMethods.Get, "/vms/{id}/findings", FindingsAsync, "limit", "cursor", "severity", "package", "advisory", "cve");
        Map(HttpMethods.Post, "/sign-in-links", SignInLink);

        void Map(string method, string pattern, Delegate handler, params string[] parameters)
        {
            api.MapMethods(pattern, [method], handler).AddEndpointFilter((context, next) =>
                context.HttpContext.Request.Query.Keys.FirstOrDefault(name => !parameters.Contains(name, StringComparer.OrdinalIgnoreCase)) is { } unknown
                    ? ValueTask.FromResult<object?>(UnknownParameter(unknown, parameters))
                    : next(context));
            // Taken for every other method: the pages' fallback, which has all methods too, would answer 404.
            api.Map(pattern, (HttpContext context) =>
            {
                context.Response.Headers.Allow = method;
                return ApiProblem.Of(
                    StatusCodes.Status405MethodNotAllowed, $"{ApiProblem.Excerpt(context.Request.Method)} is not possible here", $"Use {method}.");
            });
        }
    }

    static IResult SignInLink(SignInLinks links)
    {
        var (token, expires) = links.Create();
        return TypedResults.Json(new ApiSignInLink(SignInLinks.PathOf(token), expires), ApiJson.Default.ApiSignInLink);
    }

    static IResult UnknownParameter(string name, string[] known) => ApiProblem.BadRequest(
        $"There is no parameter '{ApiProblem.Excerpt(name)}'",
        known.Length > 0 ? $"Parameters here are {string.Join(", ", known)}." : "Nothing is selected here: leave out what follows the question mark.");

    static async Task<IResult> ListAsync(
        string? limit, string? cursor, MachineQueries machines, PackageMatching matching, CancellationToken cancellationToken)
    {
        if (!TryLimit(limit, out var count, out var problem)) return problem;
        if (!TryCursor(cursor, 1, out var at, out problem) || !TryNumber(at, 0, cursor, out var after, out problem)) return problem;
        var rows = await machines.ListAsync(after ?? 0, count + 1, cancellationToken);
        return Paged(rows, count, row => ApiVm.Of(row, matching.Database), row => Cursor.Encode(row.Id.ToString()), ApiJson.Default.PageApiVm);
    }

    static async Task<IResult> GetAsync(string id, MachineQueries machines, PackageMatching matching, CancellationToken cancellationToken)
    {
        var (machine, problem) = await FindAsync(id, machines, cancellationToken);
        if (machine is null) return problem!;
        var reports = await machines.ReportCountAsync(machine.Id, cancellationToken);
        return TypedResults.Json(ApiVm.Of(machine, matching.Database) with { ReportCount = reports }, ApiJson.Default.ApiVm);
    }

    static async Task<IResult> PackagesAsync(
        string id, string? limit, string? cursor, MachineQueries machines, CancellationToken cancellationToken)
    {
        if (!TryLimit(limit, out var count, out var problem)) return problem;
        if (!TryCursor(cursor, 2, out var at, out problem) || !TryNumber(at, 1, cursor, out var afterId, out problem)) return problem;
        var (machine, missing) = await FindAsync(id, machines, cancellationToken);
        if (machine is null) return missing!;
        var rows = await machines.PackagesAsync(
            machine.SetId ?? 0, null, at is null ? null : (at[0], afterId!.Value), count + 1, 0, cancellationToken);
        return Paged(rows, count, ApiPackage.Of, row => Cursor.Encode(row.Name, row.Id.ToString()), ApiJson.Default.PageApiPackage);
    }

    static async Task<IResult> ReportsAsync(
        string id, string? limit, string? cursor, MachineQueries machines, CancellationToken cancellationToken)
    {
        if (!TryLimit(limit, out var count, out var problem)) return problem;
        if (!TryCursor(cursor, 1, out var at, out problem) || !TryNumber(at, 0, cursor, out var before, out problem)) return problem;
        var (machine, missing) = await FindAsync(id, machines, cancellationToken);
        if (machine is null) return missing!;
        var rows = await machines.ReportsAsync(machine.Id, before ?? long.MaxValue, count + 1, 0, cancellationToken);
        return Paged(rows, count, ApiReport.Of, row => Cursor.Encode(row.Id.ToString()), ApiJson.Default.PageApiReport);
    }

    static async Task<IResult> FindingsAsync(
        string id,
        string? limit,
        string? cursor,
        string? severity,
        string? package,
        string? advisory,
        string? cve,
        MachineQueries machines,
        FindingQueries findings,
        CancellationToken cancellationToken)
    {
        if (!TryLimit(limit, out var count, out var problem)) return problem;
        if (!TryCursor(cursor, 4, out var at, out problem)
            || !TryNumber(at, 0, cursor, out var afterSeverity, out problem)
            || !TryNumber(at, 3, cursor, out var afterId, out problem))
        {
            return problem;
        }

        Severity? only = null;
        if (severity is not null)
        {
            if (!FindingFilter.TryParseSeverity(severity, out var parsed))
            {
                return ApiProblem.BadRequest(
                    $"severity '{ApiProblem.Excerpt(severity)}' does not exist", "Use critical, important, moderate, low or unknown.");
            }

            only = parsed;
        }

        var (machine, missing) = await FindAsync(id, machines, cancellationToken);
        if (machine is null) return missing!;
        FindingPlace? after = at is null ? null : new FindingPlace((int)afterSeverity!.Value, at[1], at[2], afterId!.Value);
        var rows = await findings.ListAsync(
            machine.SetId ?? 0, new FindingFilter(only, package, advisory, cve, null), after, count + 1, 0, cancellationToken);
        return Paged(
            rows,
            count,
            ApiFinding.Of,
            row => Cursor.Encode(row.SeverityNumber.ToString(), row.PackageName, row.Advisory, row.Id.ToString()),
            ApiJson.Default.PageApiFinding);
    }

    static async Task<(MachineRow? Machine, IResult? Problem)> FindAsync(string id, MachineQueries machines, CancellationToken cancellationToken) =>
        await machines.FindAsync(id, cancellationToken) switch
        {
            [var machine] => (machine, null),
            [] => (null, ApiProblem.Of(
                StatusCodes.Status404NotFound,
                $"There is no VM with the id or name '{ApiProblem.Excerpt(id)}'",
                "GET /api/v1/vms lists the VMs that have been seen.")),
            _ => (null, ApiProblem.Of(
                StatusCodes.Status409Conflict,
                $"More than one VM is named '{ApiProblem.Excerpt(id)}'",
                "Use the id of one of them: GET /api/v1/vms lists ids with names.")),
        };

    /// <summary>Rows hold one more than the page, if there is more.</summary>
    static IResult Paged<TRow, T>(List<TRow> rows, int limit, Func<TRow, T> map, Func<TRow, string> cursor, JsonTypeInfo<Page<T>> type) =>
        TypedResults.Json(
            new Page<T>([.. rows.Take(limit).Select(map)], rows.Count > limit ? cursor(rows[limit - 1]) : null),
            type);

    static bool TryLimit(string? text, out int limit, out IResult problem)
    {
        limit = LimitDefault;
        problem = Results.Empty;
        if (text is null || (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out limit) && limit is >= 1 and <= LimitMax))
            return true;
        problem = ApiProblem.BadRequest($"limit is '{ApiProblem.Excerpt(text)}'", $"Use a number from 1 to {LimitMax}.");
        return false;
    }

    static bool TryCursor(string? text, int count, out string[]? values, out IResult problem)
    {
        values = null;
        problem = Results.Empty;
        if (text is null || Cursor.TryDecode(text, count, out values)) return true;
        problem = BadCursor(text);
        return false;
    }

    static bool TryNumber(string[]? values, int index, string? cursor, out long? number, out IResult problem)
    {
        number = null;
        problem = Results.Empty;
        if (values is null) return true;
        if (long.TryParse(values[index], NumberStyles.None, CultureInfo.InvariantCulture, out var parsed))
        {
            number = parsed;
            return true;
        }

        problem = BadCursor(cursor!);
        return false;
    }

    static IResult BadCursor(string text) => ApiProblem.BadRequest(
        $"cursor '{ApiProblem.Excerpt(text)}' is not one that this list gave", "Use the value of 'next' of the page before, or leave it out.");
}
