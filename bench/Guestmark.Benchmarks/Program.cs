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
    ["match-prepare", var feed, var packages, var folder] => MatchData.Prepare(feed, packages, folder),
    ["match-machines", var folder, var texts] => MatchRun.Machines(folder, texts == "texts"),
    ["match-together", var folder] => MatchRun.Together(folder),
    ["match-fleet", var folder] => MatchRun.Fleet(folder),
    ["signing", var what, var algorithm, var seconds] => EventSigning.Measure(what, algorithm, double.Parse(seconds)),
    ["spool-rate", var folder, var producers, var window, var records] =>
        await SpoolRate.RunAsync(folder, int.Parse(producers), int.Parse(window), int.Parse(records)),
    ["spool-raw", var file, var chunkBytes, var bytes] => SpoolRate.Raw(file, int.Parse(chunkBytes), long.Parse(bytes)),
    ["spool-lines", var port, var output, var connections, var lines] =>
        await SpoolRate.LinesAsync(int.Parse(port), output, int.Parse(connections), int.Parse(lines)),
    ["node-relay", var input, var output, var kind] => await NodeRelay.ServeAsync(input, output, kind),
    ["node-serve", var folder] => await NodeLoad.ServeAsync(folder),
    ["node-idle", var folder] => await NodeLoad.IdleAsync(folder),
    ["node-honest", var folder, var seconds] => await NodeLoad.HonestAsync(folder, int.Parse(seconds)),
    ["node-hostile", var folder] => await NodeLoad.HostileAsync(folder),
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
               Guestmark.Benchmarks match-prepare OSV_ZIP PACKAGES_TSV FOLDER
               Guestmark.Benchmarks match-machines FOLDER bytes|texts
               Guestmark.Benchmarks match-together FOLDER
               Guestmark.Benchmarks match-fleet FOLDER
               Guestmark.Benchmarks signing events|messages none|ecdsa-p256|ed25519|hmac-sha256 SECONDS
               Guestmark.Benchmarks node-relay IN OUT declarations|reports
               Guestmark.Benchmarks node-serve|node-idle|node-hostile FOLDER
               Guestmark.Benchmarks node-honest FOLDER SECONDS
               Guestmark.Benchmarks spool-rate FOLDER PRODUCERS WINDOW RECORDS_EACH
               Guestmark.Benchmarks spool-raw FILE CHUNK_BYTES BYTES
               Guestmark.Benchmarks spool-lines PORT OUTPUT CONNECTIONS LINES_EACH
        """);
    return 64;
}
