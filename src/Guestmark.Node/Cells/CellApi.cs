using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;

namespace Guestmark.Node.Cells;

/// <summary>The cells of a node on its control socket. Errors are problem details (RFC 9457) that name the value and what to do.</summary>
/// <remarks>
/// <code>
/// POST   /v1/cells        a cell (<see cref="CellDefinition"/>)   201, or 200 when the very same is there; 400, 409, 500
/// GET    /v1/cells                                                200: {"cells": [...]}
/// DELETE /v1/cells/{id}                                           204, 404
/// </code>
/// </remarks>
static class CellApi
{
    const int BodyBytesMax = 16 * 1024;

    /// <param name="control">Of the control socket, below <c>/v1</c>.</param>
    public static void Map(IEndpointRouteBuilder control)
    {
        var cells = control.MapGroup("/cells");
        cells.MapPost("", AddAsync);
        cells.MapGet("", (CellRegistry registry) => Results.Json(new CellList(registry.List()), ControlJson.Options));
        cells.MapDelete("/{id}", async (string id, CellRegistry registry) =>
            await registry.RemoveAsync(id) is (not CellOutcome.Done, _) failure ? Problem(failure.Outcome, failure.Problem) : Results.NoContent());
    }

    static async Task<IResult> AddAsync(HttpContext context, CellRegistry registry)
    {
        CellDefinition? definition;
        try
        {
            // Of a chunked body nobody knows the length before its end.
            context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>().MaxRequestBodySize = BodyBytesMax;
            definition = await JsonSerializer.DeserializeAsync<CellDefinition>(context.Request.Body, ControlJson.Options, context.RequestAborted)
                ?? throw new JsonException("the body is null");
        }
        catch (Exception e) when (e is JsonException or BadHttpRequestException)
        {
            return Problem(CellOutcome.Invalid, $"the body is no cell: {e.Message}");
        }

        var (outcome, problem) = await registry.AddAsync(definition);
        if (outcome is not (CellOutcome.Done or CellOutcome.AlreadyThere)) return Problem(outcome, problem);
        var status = registry.List().FirstOrDefault(status => status.Cell.Id == definition.Id);
        if (outcome == CellOutcome.Done) context.Response.Headers.Location = $"/v1/cells/{Uri.EscapeDataString(definition.Id)}";
        return Results.Json(status, ControlJson.Options, statusCode: outcome == CellOutcome.Done ? StatusCodes.Status201Created : StatusCodes.Status200OK);
    }

    static IResult Problem(CellOutcome outcome, string? detail)
    {
        var (status, title) = outcome switch
        {
            CellOutcome.Invalid => (StatusCodes.Status400BadRequest, "A value is wrong"),
            CellOutcome.NotFound => (StatusCodes.Status404NotFound, "No such cell"),
            CellOutcome.Conflict => (StatusCodes.Status409Conflict, "There is another cell"),
            _ => (StatusCodes.Status500InternalServerError, "The cell cannot be served"),
        };
        return Results.Problem(detail, title: title, statusCode: status);
    }
}

/// <summary>The answer to <c>GET /v1/cells</c>.</summary>
public sealed record CellList(IReadOnlyList<CellStatus> Cells);
