using System.Globalization;
using Guestmark.Central.Findings;
using Guestmark.Central.Storage;
using Guestmark.Vulnerabilities;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Extensions;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Routing;

namespace Guestmark.Central.Pages;

/// <summary>The pages. Each is a component that is rendered once from what was read before: no script, no state but the address.</summary>
static class CentralPages
{
    public const int PageSize = 50;

    const int SearchLengthMax = 256;

    /// <summary>Keeps the offset of a page within an int.</summary>
    const int PageMax = 1_000_000;

    public static void MapCentralPages(this IEndpointRouteBuilder endpoints)
    {
        var pages = endpoints.MapGroup("").RequireAuthorization();
        pages.MapGet("/", MachinesAsync);
        pages.MapGet("/vms/{id}", MachineAsync);
        pages.MapGet("/vms/{id}/findings/{finding}", FindingAsync);
        pages.MapGet("/decisions", Decisions);
        pages.MapGet("/vulnerability-data", VulnerabilityData);
        pages.MapFallback((HttpContext context) => context.Request.Path.StartsWithSegments("/api")
            ? ApiProblem.Of(StatusCodes.Status404NotFound, $"There is nothing at '{ApiProblem.Excerpt(context.Request.Path)}'", "The API is at /api/v1/vms.")
            : NotFound(
                "There is no such page", $"Nothing is at {ApiProblem.Excerpt(context.Request.Path)}."));
    }

    public static string MachineUrl(string uid) => "/vms/" + Uri.EscapeDataString(uid);

    /// <summary>A path with those of the parameters that have a value.</summary>
    public static string Url(string path, params (string Name, string? Value)[] parameters)
    {
        var query = new QueryBuilder();
        foreach (var (name, value) in parameters)
        {
            if (!string.IsNullOrEmpty(value)) query.Add(name, value);
        }

        return path + query.ToQueryString();
    }

    /// <summary>What may be a link: https only, so that no feed can bring a script or another scheme.</summary>
    public static string? SafeLink(string? url) =>
        Uri.TryCreate(url, UriKind.Absolute, out var uri) && uri.Scheme == Uri.UriSchemeHttps ? uri.AbsoluteUri : null;

    /// <summary>A page with a title, a text and what to do.</summary>
    public static IResult Message(int status, string title, string text, string remedy, bool signedIn = false) =>
        Render<MessagePage>(status, new() { ["Title"] = title, ["Text"] = text, ["Remedy"] = remedy, ["SignedIn"] = signedIn });

    /// <summary>Answers a request that failed within Central. The log has the reason.</summary>
    public static Task FailedAsync(HttpContext context)
    {
        const string Remedy = "Try again; if it stays so, Central's log says why.";
        const int Status = StatusCodes.Status500InternalServerError;
        return (context.Request.Path.StartsWithSegments("/api")
            ? ApiProblem.Of(Status, "Central failed to answer", Remedy)
            : Message(Status, "Central failed to answer", "The page could not be made.", Remedy)).ExecuteAsync(context);
    }

    static async Task<IResult> MachinesAsync(
        string? q, string? sort, string? page, MachineQueries machines, PackageMatching matching, DecidedFindings decided, CancellationToken cancellationToken)
    {
        var search = SearchOf(q);
        var order = MachineOrder.Parse(sort);
        var total = await machines.CountAsync(search, cancellationToken);
        var number = NumberOf(page, total);
        var rows = await machines.SearchAsync(search, order, PageSize, OffsetOf(number), cancellationToken);
        await decided.DiscountAsync(rows, cancellationToken);
        var view = new MachinesView
        {
            Rows = rows,
            Total = total,
            Search = search,
            Order = order,
            Page = number,
            Database = matching.Database,
        };
        return Render<MachinesPage>(StatusCodes.Status200OK, new() { ["View"] = view });
    }

    static async Task<IResult> MachineAsync(
        string id,
        string? tab,
        string? q,
        string? severity,
        string? status,
        string? kev,
        [FromQuery(Name = "decided")] string? decidedOnly,
        string? package,
        string? page,
        MachineQueries machines,
        FindingQueries findings,
        DecidedFindings decided,
        PackageMatching matching,
        CancellationToken cancellationToken)
    {
        if (await machines.FindAsync(id, cancellationToken) is not [var machine]) return NoMachine(id);
        await decided.DiscountAsync([machine], cancellationToken);
        var set = machine.SetId ?? 0;
        var search = SearchOf(q);
        int number;
        long total;
        MachineContent content;
        switch (tab)
        {
            case "packages":
                total = await machines.PackageCountAsync(set, search, cancellationToken);
                number = NumberOf(page, total);
                content = new PackagesView
                {
                    Rows = await machines.PackagesAsync(set, search, null, PageSize, OffsetOf(number), cancellationToken),
                    Total = total,
                    Search = search,
                    Page = number,
                };
                break;
            case "reports":
                number = NumberOf(page, await machines.ReportCountAsync(machine.Id, cancellationToken));
                content = new ReportsView
                {
                    Rows = await machines.ReportsAsync(machine.Id, long.MaxValue, PageSize, OffsetOf(number), cancellationToken),
                    Page = number,
                };
                break;
            default:
                Severity? only = null;
                // The empty one is "All severities" of the form.
                if (!string.IsNullOrEmpty(severity))
                {
                    if (!FindingFilter.TryParseSeverity(severity, out var parsed))
                    {
                        return Message(
                            StatusCodes.Status400BadRequest,
                            $"There is no severity “{ApiProblem.Excerpt(severity)}”",
                            "Severities are critical, important, moderate, low and unknown.",
                            $"All findings are at {MachineUrl(machine.Uid)}.",
                            signedIn: true);
                    }

                    only = parsed;
                }

                ProductStatus? ofStatus = null;
                if (!string.IsNullOrEmpty(status) && (ofStatus = StatusWord.Parse(status)) is null)
                {
                    return Message(
                        StatusCodes.Status400BadRequest,
                        $"There is no status “{ApiProblem.Excerpt(status)}”",
                        $"Statuses are {StatusWord.All.Replace(" or ", " and ")}.",
                        $"All findings are at {MachineUrl(machine.Uid)}.",
                        signedIn: true);
                }

                var decisions = await decided.OfAsync(machine, cancellationToken);
                var filter = new FindingFilter
                {
                    Severity = only,
                    Status = ofStatus,
                    Kev = kev == "true" ? true : null,
                    IsDecided = decidedOnly == "true" ? true : null,
                    Decided = decidedOnly == "true" ? [.. decisions.Keys] : null,
                    Package = string.IsNullOrEmpty(package) ? null : package,
                    Search = search,
                };
                total = await findings.CountAsync(set, filter, cancellationToken);
                number = NumberOf(page, total);
                var rows = await findings.ListAsync(set, filter, null, PageSize, OffsetOf(number), cancellationToken);
                foreach (var row in rows) row.Decision = decisions.GetValueOrDefault(row.Id);
                content = new FindingsView
                {
                    Rows = rows,
                    Total = total,
                    Filter = filter,
                    Page = number,
                };
                break;
        }

        var view = await MachineViewAsync(machine, content, machines, matching, cancellationToken);
        return Render<MachinePage>(StatusCodes.Status200OK, new() { ["View"] = view });
    }

    static async Task<IResult> FindingAsync(
        string id,
        string finding,
        MachineQueries machines,
        FindingQueries findings,
        DecidedFindings decided,
        PackageMatching matching,
        TimeProvider time,
        CancellationToken cancellationToken)
    {
        if (await machines.FindAsync(id, cancellationToken) is not [var machine]) return NoMachine(id);
        if (!long.TryParse(finding, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            || await findings.FindAsync(machine.SetId ?? 0, number, cancellationToken) is not { } row)
        {
            return Message(
                StatusCodes.Status404NotFound,
                "This machine does not have this finding",
                "The package was updated or removed, or the advisory was withdrawn, since the link was made.",
                $"The findings it has now are at {MachineUrl(machine.Uid)}.",
                signedIn: true);
        }

        row.Decision = (await decided.OfAsync(machine, cancellationToken)).GetValueOrDefault(row.Id);
        var view = new FindingView
        {
            Database = matching.Database,
            Now = time.GetUtcNow(),
            Machine = await MachineViewAsync(machine, new ReportsView { Rows = [], Page = 1 }, machines, matching, cancellationToken),
            Finding = row,
        };
        return Render<FindingPage>(StatusCodes.Status200OK, new() { ["View"] = view });
    }

    static IResult Decisions(string? page, PackageMatching matching, TimeProvider time)
    {
        var decisions = matching.InUse?.Decisions ?? [];
        var number = NumberOf(page, decisions.Count);
        var view = new DecisionsView
        {
            Rows = [.. decisions.Skip(OffsetOf(number)).Take(PageSize)],
            Total = decisions.Count,
            Page = number,
            Now = time.GetUtcNow(),
        };
        return Render<DecisionsPage>(StatusCodes.Status200OK, new() { ["View"] = view });
    }

    static IResult VulnerabilityData(PackageMatching matching, TimeProvider time)
    {
        var inUse = matching.InUse;
        var view = new VulnerabilityDataView { Database = inUse?.Database, Decisions = inUse?.Decisions.Count ?? 0, Now = time.GetUtcNow() };
        return Render<VulnerabilityDataPage>(StatusCodes.Status200OK, new() { ["View"] = view });
    }

    static async Task<MachineView> MachineViewAsync(
        MachineRow machine, MachineContent content, MachineQueries machines, PackageMatching matching, CancellationToken cancellationToken) => new()
        {
            Machine = machine,
            State = machine.MatchingWith(matching.Database),
            HasAdvisories = machine.Os is { } os && matching.Database is { } database && database.Covers(os),
            ReportCount = await machines.ReportCountAsync(machine.Id, cancellationToken),
            Content = content,
        };

    static RazorComponentResult<T> Render<T>(int status, Dictionary<string, object?> parameters)
        where T : IComponent => new(parameters) { StatusCode = status };

    static IResult NoMachine(string id) => NotFound("There is no such machine", $"No machine, or more than one, has the id or name “{ApiProblem.Excerpt(id)}”.");

    static IResult NotFound(string title, string text) =>
        Message(StatusCodes.Status404NotFound, title, text, "All machines are listed at /.", signedIn: true);

    static string? SearchOf(string? text) =>
        text?.Trim() is { Length: > 0 } search ? search[..Math.Min(search.Length, SearchLengthMax)] : null;

    /// <summary>The number of the page; the last when there are fewer, as when rows went away since the link was made.</summary>
    static int NumberOf(string? page, long total)
    {
        var last = Math.Clamp((total + PageSize - 1) / PageSize, 1, PageMax);
        return int.TryParse(page, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= 1 ? (int)Math.Min(number, last) : 1;
    }

    static int OffsetOf(int page) => (page - 1) * PageSize;
}
