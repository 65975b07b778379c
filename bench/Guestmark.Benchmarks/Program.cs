using Guestmark.Benchmarks;

// Each verb is one side of a benchmark that bench/run drives.
return args switch
{
    ["rpc-server"] => await RpcEcho.ServeAsync(),
    ["rpc-client", var port, var warmup, var calls, var inFlight] =>
        await RpcEcho.CallAsync(int.Parse(port), int.Parse(warmup), int.Parse(calls), int.Parse(inFlight)),
    ["match-prepare", var feed, var packages, var folder] => MatchData.Prepare(feed, packages, folder),
    ["match-machines", var folder, var texts] => MatchRun.Machines(folder, texts == "texts"),
    ["match-together", var folder] => MatchRun.Together(folder),
    ["match-fleet", var folder] => MatchRun.Fleet(folder),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine(
        "usage: Guestmark.Benchmarks rpc-server | rpc-client PORT WARMUP CALLS IN_FLIGHT\n"
        + "       Guestmark.Benchmarks match-prepare OSV_ZIP PACKAGES_TSV FOLDER | match-machines FOLDER bytes|texts | match-together FOLDER | match-fleet FOLDER");
    return 64;
}
