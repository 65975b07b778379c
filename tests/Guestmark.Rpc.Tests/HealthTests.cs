using Guestmark.Rpc.Health;
using Microsoft.Extensions.DependencyInjection;
using Xunit;
using ServingStatus = Guestmark.Rpc.Health.HealthCheckResponse.Types.ServingStatus;

namespace Guestmark.Rpc.Tests;

public sealed class HealthTests
{
    [Fact]
    public async Task Check_tells_the_status_of_a_service_and_of_the_server()
    {
        await using var server = await ServeAsync();
        using var channel = server.Connect();
        var health = server.Services.GetRequiredService<RpcHealth>();

        Assert.Equal(ServingStatus.Serving, await CheckAsync(""));
        var unknown = await Assert.ThrowsAsync<RpcException>(() => CheckAsync("a.Service"));
        health.SetStatus("a.Service", ServingStatus.NotServing);

        Assert.Equal(RpcStatusCode.NotFound, unknown.Code);
        Assert.Equal(ServingStatus.NotServing, await CheckAsync("a.Service"));

        async Task<ServingStatus> CheckAsync(string service) =>
            (await channel.UnaryAsync(RpcHealth.Check, new HealthCheckRequest { Service = service })).Status;
    }

    [Fact]
    public async Task Watch_tells_each_change_of_one_service()
    {
        await using var server = await ServeAsync();
        using var channel = server.Connect();
        var health = server.Services.GetRequiredService<RpcHealth>();
        await using var call = channel.Open(RpcHealth.Watch);
        await call.WriteAsync(new HealthCheckRequest { Service = "a.Service" });
        await call.CompleteAsync();

        Assert.Equal(ServingStatus.ServiceUnknown, (await call.ReadAsync())?.Status);
        health.SetStatus("a.Service", ServingStatus.Serving);
        Assert.Equal(ServingStatus.Serving, (await call.ReadAsync())?.Status);
        health.SetStatus("another.Service", ServingStatus.NotServing);
        health.SetStatus("a.Service", ServingStatus.Serving);
        health.SetStatus("a.Service", ServingStatus.NotServing);
        Assert.Equal(ServingStatus.NotServing, (await call.ReadAsync())?.Status);
    }

    static Task<TestServer> ServeAsync() =>
        TestServer.StartAsync(app => app.MapRpcHealth(), services: services => services.AddRpcHealth());
}
