using Guestmark.Benchmarks;

// Each verb is one side of a benchmark that bench/run drives.
return args switch
{
    ["rpc-server"] => await RpcEcho.ServeAsync(),
    ["rpc-client", var port, var warmup, var calls, var inFlight] =>
        await RpcEcho.CallAsync(int.Parse(port), int.Parse(warmup), int.Parse(calls), int.Parse(inFlight)),
    ["import-rate", var format, var folder, var database, var times, var rounds] =>
        FeedImportRate.Compare(format, folder, database, int.Parse(times), int.Parse(rounds)),
    ["import-feed", var what, var folder, var database, var megabytes] => RepeatedFeed.Run(what, folder, database, int.Parse(megabytes)),
    ["import-change", var database] => RepeatedFeed.Change(database),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine("""
        usage: Guestmark.Benchmarks rpc-server
               Guestmark.Benchmarks rpc-client PORT WARMUP CALLS IN_FLIGHT
               Guestmark.Benchmarks import-rate osv|csaf FOLDER DATABASE TIMES ROUNDS
               Guestmark.Benchmarks import-feed bare|new|same FOLDER DATABASE MEGABYTES
               Guestmark.Benchmarks import-change DATABASE
        """);
    return 64;
}
