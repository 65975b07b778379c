using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Matching;

namespace Guestmark.Rpc;

/// <summary>Marks a connection whose listener was configured with <see cref="RpcServerExtensions.UseRpc"/>.</summary>
sealed class RpcConnectionFeature
{
    public static RpcConnectionFeature Instance { get; } = new();
}

/// <summary>Marks an endpoint that is an RPC method.</summary>
sealed class RpcEndpointMetadata
{
    public static RpcEndpointMetadata Instance { get; } = new();
}

/// <summary>
/// Parts the endpoints of one application by listener: RPC methods exist only on RPC connections, and there nothing else exists.
/// It works inside the router's tables, so an endpoint of the other side is not refused but absent.
/// </summary>
sealed class RpcConnectionMatcherPolicy : MatcherPolicy, INodeBuilderPolicy
{
    /// <summary>Before the policies of ASP.NET Core (the one for HTTP methods is at -1000).</summary>
    public override int Order => -2000;

    public bool AppliesToEndpoints(IReadOnlyList<Endpoint> endpoints) => endpoints.Any(IsRpc);

    public IReadOnlyList<PolicyNodeEdge> GetEdges(IReadOnlyList<Endpoint> endpoints) =>
    [
        new(true, [.. endpoints.Where(IsRpc)]),
        new(false, [.. endpoints.Where(endpoint => !IsRpc(endpoint))]),
    ];

    public PolicyJumpTable BuildJumpTable(int exitDestination, IReadOnlyList<PolicyJumpTableEdge> edges) => new JumpTable(
        edges.FirstOrDefault(edge => edge.State is true, new(true, exitDestination)).Destination,
        edges.FirstOrDefault(edge => edge.State is false, new(false, exitDestination)).Destination);

    static bool IsRpc(Endpoint endpoint) => endpoint.Metadata.GetMetadata<RpcEndpointMetadata>() is not null;

    sealed class JumpTable(int rpc, int other) : PolicyJumpTable
    {
        public override int GetDestination(HttpContext httpContext) => httpContext.Features.Get<RpcConnectionFeature>() is null ? other : rpc;
    }
}
