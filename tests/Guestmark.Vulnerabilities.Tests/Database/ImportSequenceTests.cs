using Guestmark.TestKit;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>Whatever the imports were and in whatever order, the database is the one of what the sources have in the end.</summary>
public sealed class ImportSequenceTests : IDisposable
{
    const int Sequences = 2000;
    static readonly DateTimeOffset Imported = DateTimeOffset.UnixEpoch.AddYears(50);

    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Any_sequence_of_imports_gives_the_bytes_of_a_database_from_scratch()
    {
        for (var seed = 0; seed < Sequences; seed++)
        {
            var random = new RandomContent(seed);
            var model = new SortedDictionary<string, ModelSource>(StringComparer.Ordinal);
            var builder = new AdvisoryDatabaseBuilder();
            for (var steps = 1 + random.Next(10); steps > 0; steps--)
            {
                var name = random.Pick("a", "b", "c");
                switch (random.Next(8))
                {
                    case 0:
                        Assert.Equal(model.Remove(name), builder.Remove(name));
                        break;
                    case 1:
                        builder = Reopen(builder, isFile: seed % 100 == 0);
                        break;
                    case 2:
                        // Never completed.
                        Fill(random, builder.Import(name, "osv", "x", random.Pick(ImportMode.Add, ImportMode.Replace)), new ModelSource());
                        break;
                    default:
                        var mode = random.Pick(ImportMode.Add, ImportMode.Replace);
                        var source = mode == ImportMode.Add && model.TryGetValue(name, out var known) ? known : model[name] = new ModelSource();
                        var import = builder.Import(name, "osv", "x", mode);
                        Fill(random, import, source);
                        Assert.Equal(source.Count, import.Count);
                        Assert.Equal(source.Count, import.Complete("v", Imported).Documents);
                        break;
                }
            }

            AssertEqual(seed, random, model, builder.Build());
            builder.Dispose();
        }
    }

    static void AssertEqual(int seed, RandomContent random, SortedDictionary<string, ModelSource> model, AdvisoryDatabase actual)
    {
        using var scratch = new AdvisoryDatabaseBuilder();
        foreach (var (name, source) in model)
        {
            var import = scratch.Import(name, "osv", "x", ImportMode.Replace);
            source.AddTo(import, random);
            import.Complete("v", Imported);
        }

        var expected = scratch.Build();
        Assert.True(expected.Revision == actual.Revision, $"seed {seed}: revisions differ");
        Assert.True(expected.Content.SequenceEqual(actual.Content), $"seed {seed}: files differ");
        Assert.Empty(actual.ChangedNames(expected));
        AssertLive(seed, model, actual);
        Assert.Equal(model.Keys, actual.Sources.Select(source => source.Name));
    }

    // Against the model, which knows nothing of hashes: of versions with equal times any may be the one that counts.
    static void AssertLive(int seed, SortedDictionary<string, ModelSource> model, AdvisoryDatabase actual)
    {
        var expected = model.Values.SelectMany(source => source.Counting()).GroupBy(document => (document.Feed, document.Id, document.Part)).ToDictionary(
            group => group.Key, group => group.Where(document => Nullable.Compare(document.Modified, group.Max(other => other.Modified)) == 0).Select(Databases.Text).ToHashSet());
        var live = Databases.Live(actual);
        Assert.True(expected.Count == live.Count, $"seed {seed}: {live.Count} documents count, not {expected.Count}");
        foreach (var document in live) Assert.Contains(Databases.Text(document), expected[(document.Feed, document.Id, document.Part)]);
        foreach (var (name, text) in Databases.Findable(actual))
            Assert.Contains(live, document => text.Contains(Databases.Text(document), StringComparison.Ordinal) && document.Statements.Any(s => (s.Product, s.Name) == name));

        var predictions = model.Values.Reverse().SelectMany(source => source.Predictions.Values).GroupBy(p => p.Cve).ToDictionary(g => g.Key, g => g.Last());
        for (var i = 0; i < 4; i++)
            Assert.Equal(predictions.TryGetValue($"CVE-2024-{i}", out var prediction) ? prediction : null, actual.PredictionOf($"CVE-2024-{i}"));
        var exploited = model.Values.Reverse().SelectMany(source => source.KnownExploited.Values).GroupBy(p => p.Cve).ToDictionary(g => g.Key, g => g.Last());
        for (var i = 0; i < 4; i++) Assert.Equal(exploited.GetValueOrDefault($"CVE-2024-{i}"), actual.KnownExploitedOf($"CVE-2024-{i}"));
        Assert.Equal(
            model.Values.SelectMany(source => source.Decisions.Values).Select(Text).Order(StringComparer.Ordinal),
            actual.Decisions.Select(Text).Order(StringComparer.Ordinal));

        static string Text(VexDecision decision) =>
            $"{decision with { Products = [], Scope = [] }} {string.Join(',', decision.Products)} {string.Join(',', decision.Scope)}";
    }

    static void Fill(RandomContent random, SourceImport import, ModelSource model)
    {
        for (var documents = random.Next(6); documents > 0; documents--)
        {
            var advisory = random.Advisory();
            import.Add(advisory);
            model.Add(advisory);
        }

        for (var withdrawals = random.Next(8) - 5; withdrawals > 0; withdrawals--)
        {
            var (feed, id, time) = (random.Feed(), random.Id(), random.Time());
            import.Withdraw(feed, id, time);
            model.Withdraw(feed, id, time);
        }

        for (var entries = random.Next(3); entries > 0; entries--)
        {
            var (prediction, exploited, decision) = (random.Prediction(), random.KnownExploited(), random.Decision());
            import.Add(prediction);
            import.Add(exploited);
            import.Add(decision);
            model.Predictions[prediction.Cve] = prediction;
            model.KnownExploited[exploited.Cve] = exploited;
            if (!model.Decisions.TryGetValue(decision.Id, out var known) || decision.Decided >= known.Decided) model.Decisions[decision.Id] = decision;
        }
    }

    AdvisoryDatabaseBuilder Reopen(AdvisoryDatabaseBuilder builder, bool isFile)
    {
        using (builder)
        {
            if (!isFile) return new AdvisoryDatabaseBuilder(builder.Build());
            var path = _folder.File("reopened.db");
            builder.Write(path);
            return new AdvisoryDatabaseBuilder(AdvisoryDatabase.Open(path));
        }
    }

    /// <summary>What a source has, in the words of <see cref="IFeedSink"/>.</summary>
    sealed class ModelSource
    {
        readonly Dictionary<(string Feed, string Id, string Part), List<Advisory>> _newest = [];
        readonly Dictionary<(string Feed, string Id), DateTimeOffset?> _withdrawn = [];

        public Dictionary<string, ExploitPrediction> Predictions { get; } = [];

        public Dictionary<string, KnownExploited> KnownExploited { get; } = [];

        public Dictionary<string, VexDecision> Decisions { get; } = [];

        public int Count => Counting().DistinctBy(document => (document.Feed, document.Id, document.Part)).Count()
            + Predictions.Count + KnownExploited.Count + Decisions.Count;

        public void Add(Advisory advisory)
        {
            var key = (advisory.Feed, advisory.Id, advisory.Part);
            if (!_newest.TryGetValue(key, out var newest)) newest = _newest[key] = [];
            if (newest.Count > 0 && Nullable.Compare(advisory.Modified, newest[0].Modified) < 0) return;
            if (newest.Count > 0 && Nullable.Compare(advisory.Modified, newest[0].Modified) > 0) newest.Clear();
            newest.Add(advisory);
        }

        public void Withdraw(string feed, string id, DateTimeOffset? modified)
        {
            if (!_withdrawn.TryGetValue((feed, id), out var known) || Nullable.Compare(modified, known) > 0) _withdrawn[(feed, id)] = modified;
        }

        public IEnumerable<Advisory> Counting() => _newest.Values.SelectMany(newest => newest).Where(
            document => !_withdrawn.TryGetValue((document.Feed, document.Id), out var withdrawn) || Nullable.Compare(document.Modified, withdrawn) > 0);

        /// <summary>In a random order, with every list of the documents in another.</summary>
        public void AddTo(SourceImport import, RandomContent random)
        {
            var steps = new List<Action>();
            foreach (var document in _newest.Values.SelectMany(newest => newest)) steps.Add(() => import.Add(Shuffled(document)));
            foreach (var ((feed, id), modified) in _withdrawn) steps.Add(() => import.Withdraw(feed, id, modified));
            foreach (var prediction in Predictions.Values) steps.Add(() => import.Add(prediction));
            foreach (var entry in KnownExploited.Values) steps.Add(() => import.Add(entry));
            foreach (var decision in Decisions.Values) steps.Add(() => import.Add(decision));
            var order = steps.ToArray();
            random.Shuffle(order.AsSpan());
            foreach (var step in order) step();

            Advisory Shuffled(Advisory advisory)
            {
                var statements = advisory.Statements.Select(s => s with { Architectures = [.. s.Architectures.Reverse()], Intervals = [.. s.Intervals.Reverse()] }).ToArray();
                random.Shuffle(statements.AsSpan());
                return advisory with { Statements = [.. statements, .. statements.Take(1)], Cves = [.. advisory.Cves.Reverse()] };
            }
        }
    }
}
