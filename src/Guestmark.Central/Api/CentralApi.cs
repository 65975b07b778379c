using System.Globalization;
using System.Text.Json.Serialization.Metadata;
using Guestmark.Central.Findings;
using Guestmark.Central.SignIn;
using Guestmark.Central.Storage;
using Guestmark.Vulnerabilities;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Mvc;
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
        Map(HttpMethods.Get, "/vms/{id}/findings", FindingsAsync, "limit", "cursor", "severity", "status", "fixable", "kev", "decided", "package", "advisory", "cve");
        Map(HttpMethods.Get, "/cves/{cve}", CveAsync, "limit", "cursor");
        Map(HttpMethods.Get, "/events", EventsAsync, "subject", "type", "after", "limit");
        Map(HttpMethods.Get, "/decisions", Decisions, "limit", "cursor");
        Map(HttpMethods.Get, "/vulnerability-data", VulnerabilityData);
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
        string? limit, string? cursor, MachineQueries machines, PackageMatching matching, DecidedFindings decided, CancellationToken cancellationToken)
    {
        if (!TryLimit(limit, out var count, out var problem)) return problem;
        if (!TryCursor(cursor, 1, out var at, out problem) || !TryNumber(at, 0, cursor, out var after, out problem)) return problem;
        var rows = await machines.ListAsync(after ?? 0, count + 1, cancellationToken);
        await decided.DiscountAsync(rows, cancellationToken);
        return Paged(rows, count, row => ApiVm.Of(row, matching.Database), row => Cursor.Encode(row.Id.ToString()), ApiJson.Default.PageApiVm);
    }

    static async Task<IResult> GetAsync(
        string id, MachineQueries machines, PackageMatching matching, DecidedFindings decided, CancellationToken cancellationToken)
    {
        var (machine, problem) = await FindAsync(id, machines, cancellationToken);
        if (machine is null) return problem!;
        await decided.DiscountAsync([machine], cancellationToken);
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
        string? status,
        string? fixable,
        string? kev,
        [FromQuery(Name = "decided")] string? decidedOnly,
        string? package,
        string? advisory,
        string? cve,
        MachineQueries machines,
        FindingQueries findings,
        DecidedFindings decided,
        CancellationToken cancellationToken)
    {
        if (!TryLimit(limit, out var count, out var problem)) return problem;
        FindingPlace? after = null;
        if (!TryCursor(cursor, 6, out var at, out problem)) return problem;
        if (at is not null && !TryPlace(at, out after)) return BadCursor(cursor!);

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

        ProductStatus? ofStatus = null;
        if (status is not null && (ofStatus = StatusWord.Parse(status)) is null)
            return ApiProblem.BadRequest($"status '{ApiProblem.Excerpt(status)}' does not exist", $"Use {StatusWord.All}.");
        if (!TryFlag("fixable", fixable, out var isFixable, out problem) || !TryFlag("kev", kev, out var isKev, out problem)
            || !TryFlag("decided", decidedOnly, out var isDecided, out problem))
        {
            return problem;
        }

        var (machine, missing) = await FindAsync(id, machines, cancellationToken);
        if (machine is null) return missing!;
        var decisions = await decided.OfAsync(machine, cancellationToken);
        var filter = new FindingFilter
        {
            Severity = only,
            Status = ofStatus,
            Fixable = isFixable,
            Kev = isKev,
            Package = package,
            Advisory = advisory,
            Cve = cve,
            IsDecided = isDecided,
            Decided = isDecided is null ? null : [.. decisions.Where(pair => DecidedFindings.Quiets(pair.Value)).Select(pair => pair.Key)],
        };
        var rows = await findings.ListAsync(machine.SetId ?? 0, filter, after, count + 1, 0, cancellationToken);
        foreach (var row in rows) row.Decision = decisions.GetValueOrDefault(row.Id);
        return Paged(
            rows,
            count,
            row => ApiFinding.Of(row, machine),
            row => Cursor.Encode(
                row.SeverityNumber.ToString(), row.Kev.ToString(), row.EpssOrNone.ToString("R", CultureInfo.InvariantCulture), row.PackageName, row.Advisory,
                row.Id.ToString()),
            ApiJson.Default.PageApiFinding);
    }

    /// <summary>The machines that have a CVE, each with its findings of it.</summary>
    static async Task<IResult> CveAsync(
        string cve,
        string? limit,
        string? cursor,
        MachineQueries machines,
        FindingQueries findings,
        DecidedFindings decided,
        PackageMatching matching,
        CancellationToken cancellationToken)
    {
        if (!TryLimit(limit, out var count, out var problem)) return problem;
        if (!TryCursor(cursor, 1, out var at, out problem) || !TryNumber(at, 0, cursor, out var after, out problem)) return problem;
        var database = matching.Database;
        var known = await findings.CveAsync(cve, cancellationToken);
        var name = known?.Name ?? cve.ToUpperInvariant();
        var exploited = database?.KnownExploitedOf(name);
        var prediction = database?.PredictionOf(name);
        var ids = known is null ? [] : await findings.MachinesWithAsync(known.Id, after ?? 0, count + 1, cancellationToken);
        var items = new List<ApiCveMachine>();
        foreach (var machine in await machines.ListAsync([.. ids.Take(count)], cancellationToken))
        {
            var decisions = await decided.OfAsync(machine, cancellationToken);
            var rows = await findings.ListAsync(machine.SetId ?? 0, new FindingFilter { Cve = name }, null, LimitMax, 0, cancellationToken);
            foreach (var row in rows) row.Decision = decisions.GetValueOrDefault(row.Id);
            items.Add(new ApiCveMachine(
                machine.Uid, machine.Name, machine.Namespace, machine.Cluster, machine.StateName, [.. rows.Select(row => ApiFinding.Of(row, machine))]));
        }

        return TypedResults.Json(
            new ApiCve(
                name,
                prediction is { } predicted ? (double)(decimal)predicted.Score : null,
                prediction is { } ranked ? (double)(decimal)ranked.Percentile : null,
                exploited is null ? null : new ApiKnownExploited(exploited.Added, exploited.Due, exploited.Ransomware, exploited.RequiredAction),
                items,
                ids.Count > count ? Cursor.Encode(ids[count - 1].ToString()) : null),
            ApiJson.Default.ApiCve);
    }

    /// <summary>What nodes said of their channels, in the order in which it came.</summary>
    static async Task<IResult> EventsAsync(string? subject, string? type, string? after, string? limit, StoredEvents events, CancellationToken cancellationToken)
    {
        if (!TryLimit(limit, out var count, out var problem)) return problem;
        if (type is not null && !StoredEvents.Types.Contains(type))
            return ApiProblem.BadRequest($"type '{ApiProblem.Excerpt(type)}' is none of which events are kept", $"Use {string.Join(", ", StoredEvents.Types)}.");
        var from = 0L;
        if (after is not null && !long.TryParse(after, NumberStyles.None, CultureInfo.InvariantCulture, out from))
        {
            return ApiProblem.BadRequest(
                $"after is '{ApiProblem.Excerpt(after)}'", "Use the 'id' of the last event that was read, or leave it out to begin with the oldest.");
        }

        var (rows, isMore) = await events.ListAsync(subject, type, from, count, cancellationToken);
        return EventJson.Page(rows, isMore);
    }

    static IResult Decisions(string? limit, string? cursor, PackageMatching matching, TimeProvider time)
    {
        if (!TryLimit(limit, out var count, out var problem)) return problem;
        if (!TryCursor(cursor, 2, out var at, out problem) || !TryNumber(at, 0, cursor, out var decidedAt, out problem)) return problem;
        var decisions = matching.InUse?.Decisions ?? [];
        // The latest first, then by id: as DatabaseInUse has them.
        var rows = decisions
            .Where(decision => at is null || decision.Decided.UtcTicks < decidedAt
                || (decision.Decided.UtcTicks == decidedAt && string.CompareOrdinal(decision.Id, at[1]) > 0))
            .Take(count + 1).ToList();
        var now = time.GetUtcNow();
        return Paged(
            rows, count, row => ApiDecision.Of(row, now), row => Cursor.Encode(row.Decided.UtcTicks.ToString(), row.Id), ApiJson.Default.PageApiDecision);
    }

    static IResult VulnerabilityData(PackageMatching matching)
    {
        var database = matching.Database;
        return TypedResults.Json(
            database is null
                ? new ApiVulnerabilityData(null, 0, 0, 0, [], [])
                : new ApiVulnerabilityData(
                    database.Revision, database.AdvisoryCount, database.Bytes, matching.InUse!.Decisions.Count, database.Products,
                    [.. database.Sources.Select(ApiSource.Of)]),
            ApiJson.Default.ApiVulnerabilityData);
    }

    static bool TryPlace(string[] values, out FindingPlace? place)
    {
        place = null;
        if (!int.TryParse(values[0], NumberStyles.None, CultureInfo.InvariantCulture, out var severity)
            || !int.TryParse(values[1], NumberStyles.None, CultureInfo.InvariantCulture, out var kev)
            || !double.TryParse(values[2], NumberStyles.Float, CultureInfo.InvariantCulture, out var epss)
            || !long.TryParse(values[5], NumberStyles.None, CultureInfo.InvariantCulture, out var id))
        {
            return false;
        }

        place = new FindingPlace(severity, kev, epss, values[3], values[4], id);
        return true;
    }

    static bool TryFlag(string name, string? text, out bool? value, out IResult problem)
    {
        value = null;
        problem = Results.Empty;
        if (text is null) return true;
        if (bool.TryParse(text, out var parsed))
        {
            value = parsed;
            return true;
        }

        problem = ApiProblem.BadRequest($"{name} is '{ApiProblem.Excerpt(text)}'", "Use true or false.");
        return false;
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
