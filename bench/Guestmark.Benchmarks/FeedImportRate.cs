using System.Globalization;
using System.Text.Json;
using Guestmark.Vulnerabilities;

namespace Guestmark.Benchmarks;

/// <summary>
/// Our side and the peer of <c>bench/run import</c>, in one process and in turn: documents in memory to a database on disk, beside a bare
/// <see cref="Utf8JsonReader"/> that reads every token of the same bytes and does nothing with it. Rates are by processor time of all
/// threads, so that other work on the machine does not count.
/// </summary>
static class FeedImportRate
{
    // A gigabyte or more on both sides, after which the compiler's threads have nothing left to do: their time would count as ours.
    const int WarmupRounds = 50;

    /// <param name="times">How often the documents are read in a round.</param>
    public static int Compare(string format, string folder, string database, int times, int rounds)
    {
        var names = Directory.GetFiles(folder, "*.json", SearchOption.AllDirectories);
        Array.Sort(names, StringComparer.Ordinal);
        var documents = Array.ConvertAll(names, File.ReadAllBytes);
        var bytes = documents.Sum(document => (long)document.Length) * times;
        var lines = new List<(double Ours, double Peer)>();
        var result = "";
        for (var round = -WarmupRounds; round < rounds; round++)
        {
            var start = Environment.CpuUsage.TotalTime;
            var tokens = 0L;
            for (var i = 0; i < times; i++)
            {
                foreach (var document in documents) tokens += ReadTokens(document);
            }

            var peer = bytes / (Environment.CpuUsage.TotalTime - start).TotalSeconds / 1e6;
            start = Environment.CpuUsage.TotalTime;
            var read = Import(format, names, documents, database, times);
            var ours = bytes / (Environment.CpuUsage.TotalTime - start).TotalSeconds / 1e6;
            if (round >= 0) lines.Add((ours, peer));
            result = $"{read}, {tokens} tokens";
        }

        var ratios = lines.Select(line => line.Ours / line.Peer).ToList();
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{Median(lines.Select(line => line.Ours)):F0} {Median(lines.Select(line => line.Peer)):F0} {Median(ratios):F2} [{ratios.Min():F2}…{ratios.Max():F2}] {result}"));
        return 0;
    }

    public static long ReadTokens(ReadOnlySpan<byte> document)
    {
        var reader = new Utf8JsonReader(document);
        var tokens = 0L;
        while (reader.Read()) tokens++;
        return tokens;
    }

    /// <returns>What the database has: a run whose figures differ did other work.</returns>
    static string Import(string format, string[] names, byte[][] documents, string database, int times)
    {
        File.Delete(database);
        using var builder = AdvisoryDatabaseBuilder.Update(database);
        var import = builder.Import(format, format, "memory", ImportMode.Replace);
        for (var i = 0; i < times; i++)
        {
            for (var document = 0; document < documents.Length; document++)
            {
                if (string.Equals(format, "osv", StringComparison.Ordinal)) OsvDocument.Read(names[document], documents[document], import);
                else CsafDocument.Read(names[document], documents[document], import);
            }
        }

        var source = import.Complete("", DateTimeOffset.UnixEpoch);
        builder.Write(database);
        if (import.Skipped > 0 || source.Documents == 0) throw new InvalidDataException($"{import.Skipped} skipped, {source.Documents} stored");
        return $"{import.Added} read, {source.Documents} stored, {new FileInfo(database).Length} bytes";
    }

    static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[(sorted.Length / 2) - 1] + sorted[sorted.Length / 2]) / 2;
    }
}
