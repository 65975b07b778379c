using Guestmark.Events.Signing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Guestmark.Node;

/// <summary>The keys that a node signs with, on its control socket: public halves only.</summary>
/// <remarks><code>GET /v1/keys   200: {"file", "algorithm", "problem", "keys": [...]}</code></remarks>
static class SigningApi
{
    /// <param name="control">Of the control socket, below <c>/v1</c>.</param>
    public static void Map(IEndpointRouteBuilder control) =>
        control.MapGet("/keys", (HttpContext context) => Results.Json(StateOf(context.RequestServices.GetService(typeof(EventSigner)) as EventSigningKeys), ControlJson.Options));

    static SigningState StateOf(EventSigningKeys? keys) => keys is null
        ? new SigningState(null, null, null, [])
        : new SigningState(keys.File, keys.Algorithm.Name(), keys.Problem, [.. keys.History.Select(key => new SigningKeyState(key.KeyId, key.Since.UtcDateTime, key.Until?.UtcDateTime, key.PublicKeyPem))]);
}

/// <summary>The answer to <c>GET /v1/keys</c>.</summary>
/// <param name="File">The file of the key. Null: events are not signed.</param>
/// <param name="Problem">Why what is in the file now is not signed with. Null: it is.</param>
/// <param name="Keys">The newest first: the one that signs.</param>
public sealed record SigningState(string? File, string? Algorithm, string? Problem, IReadOnlyList<SigningKeyState> Keys);

/// <param name="Since">When this run of the node began to sign with it.</param>
/// <param name="Until">When another took its place. Null: it signs.</param>
/// <param name="PublicKey">PEM. Null of a key that is secret as a whole.</param>
public sealed record SigningKeyState(string KeyId, DateTime Since, DateTime? Until, string? PublicKey);
