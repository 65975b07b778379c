using Guestmark.Benchmarks;

// Each verb is one side of a benchmark that bench/run drives.
return args switch
{
    ["rpc-server"] => await RpcEcho.ServeAsync(),
    ["rpc-client", var port, var warmup, var calls, var inFlight] =>
        await RpcEcho.CallAsync(int.Parse(port), int.Parse(warmup), int.Parse(calls), int.Parse(inFlight)),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine("usage: Guestmark.Benchmarks rpc-server | rpc-client PORT WARMUP CALLS IN_FLIGHT");
    return 64;
}
