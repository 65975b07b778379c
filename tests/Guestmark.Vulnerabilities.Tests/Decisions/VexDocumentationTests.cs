using System.Text;
using Guestmark.TestKit;
using Xunit;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>The examples that docs/reference/vex.md gives are taken, as they stand there.</summary>
public sealed class VexDocumentationTests
{
    [Fact]
    public void The_examples_of_the_reference_are_decisions()
    {
        var feed = new ReadFeed();
        foreach (var example in Examples())
        {
            var json = Encoding.UTF8.GetBytes(example);
            if (example.Contains("openvex", StringComparison.Ordinal)) OpenVexDocument.Read("vex.md", json, feed);
            else if (example.Contains("CycloneDX", StringComparison.Ordinal)) CycloneDxVex.Read("vex.md", json, feed);
            else CsafDecisions.Read("vex.md", json, feed);
        }

        feed.AssertNothingSkipped();
        Assert.Equal(
            [
                "https://example.com/vex/2026-05#0 NotAffected vulnerable_code_not_in_execute_path 2 prod/web-* 2027-05-01",
                "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79#0 NotAffected vulnerable_code_not_in_execute_path 1 prod/web-* 2027-05-01",
                "OPS-2026-05#0.0 Fixed  1 prod/* ",
            ],
            feed.Decisions.Select(decision => $"{decision.Id} {decision.Status} {decision.Justification} {decision.Products.Count} {decision.Scope[0]} {decision.Expires:yyyy-MM-dd}"));
        Assert.All(feed.Decisions, decision => Assert.Equal(new DateTimeOffset(2026, 5, 1, 10, 0, 0, TimeSpan.Zero), decision.Decided));
    }

    static IEnumerable<string> Examples() =>
        File.ReadAllText(Path.Combine(Repository.Root, "docs", "reference", "vex.md")).Split("```json\n").Skip(1).Select(rest => rest[..rest.IndexOf("```", StringComparison.Ordinal)]);
}
