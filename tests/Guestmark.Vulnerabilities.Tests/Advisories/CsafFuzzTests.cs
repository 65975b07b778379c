using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Guestmark.Vulnerabilities.Tests;

public class CsafFuzzTests
{
    // Of each byte of input: a row of a statement for a product id of two letters, and its text.
    const int BytesPerByteMax = 256;
    const int FixedBytes = 1 << 20;

    static readonly byte[] Original = Encoding.UTF8.GetBytes(CsafSamples.Document(
        CsafSamples.Tree(
            ("a", "pkg:rpm/redhat/a@1-1?arch=x86_64&epoch=1&rpmmod=m:1:2:3"), ("b", "pkg:rpmmod/redhat/m@3.9:806:6a"), ("c", "pkg:npm/%40s/c@1"), ("d", "pkg:rpm/redhat/d?arch=src"))[..^1]
            + ""","full_product_names":[{"name":"n","product_id":"n"}],"product_groups":[{"group_id":"g","product_ids":["R9:a","R9:d"]}]}""",
        """
        [{"cve":"CVE-2024-1","ids":[{"text":"i"}],"title":"t","product_status":{"fixed":["R9:a","R9:b"],"known_affected":["R9:d"],"known_not_affected":["R9:c","n"]},
          "remediations":[{"category":"vendor_fix","product_ids":["R9:a"],"url":"https://access.redhat.com/errata/RHSA-2023:1"},{"category":"workaround","details":"w","group_ids":["g"]}],
          "scores":[{"cvss_v3":{"baseScore":7.5,"vectorString":"v"},"products":["R9:a"]}],"threats":[{"category":"impact","details":"low"}],"flags":[{"label":"f","group_ids":["g"]}]},
         {"cve":"CVE-2024-2","product_status":{"fixed":["R9:a"]}}]
        """,
        CsafSamples.Header(more: """ "references":[{"category":"self","url":"u"}],"aggregate_severity":{"text":"low"}, """)));

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Damaged_documents_are_reported_and_never_throw()
    {
        var inputs = int.TryParse(Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS"), NumberStyles.None, CultureInfo.InvariantCulture, out var set) ? set : 2000;
        var reported = 0;
        for (var seed = 0; seed < inputs; seed++)
        {
            var json = Damage(Original, new Random(seed));
            var start = Stopwatch.GetTimestamp();
            var before = GC.GetAllocatedBytesForCurrentThread();

            var result = CsafResult.Of(json);

            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(allocated <= (BytesPerByteMax * json.Length) + FixedBytes, $"seed {seed}: {allocated} bytes for {json.Length}");
            Assert.True(Stopwatch.GetElapsedTime(start).TotalSeconds < 5, $"seed {seed} took {Stopwatch.GetElapsedTime(start)}");
            Assert.True(result.Advisories.Count <= 1);
            if (result.Skipped.Count > 0) reported++;
        }

        // Most damage is seen; what is not changed a text.
        Assert.InRange(reported, inputs / 3, inputs);
    }

    // A number of its own in each branch and relationship keeps it from being like another.
    [Fact]
    [Trait("Category", "Fuzz")]
    public void Damage_among_products_that_are_alike_says_the_same_as_among_products_that_are_not()
    {
        string[] packages = [.. Enumerable.Range(0, 8).Select(i => $"p{i}")];
        var ids = string.Join(',', packages.SelectMany(id => new[] { $"\"R8:{id}\"", $"\"R9:{id}\"" }));
        var tree = Encoding.UTF8.GetBytes(
            $$$"""
            {"branches":[{{{CsafSamples.Product("R8", "cpe:/o:redhat:enterprise_linux:8::baseos")}}},{{{CsafSamples.Rhel9}}},
            {"category":"architecture","name":"src","branches":[
            {{{string.Join(",\n", packages.Select(id => CsafSamples.Package(id, $"pkg:rpm/redhat/{id}@1-1?arch=src")))}}}]}],
            "relationships":[{{{string.Join(", ", packages.Select(id => CsafSamples.Relationship($"R8:{id}", id, "R8")))}}},
            {{{string.Join(",\n ", packages.Select(id => CsafSamples.Relationship($"R9:{id}", id, "R9")))}}}]}
            """);
        const string Place = "TREE";
        var parts = CsafSamples.Document(Place, $$$"""[{"cve":"CVE-2024-1","product_status":{"fixed":[{{{ids}}}]}}]""").Split(Place);
        var more = Environment.GetEnvironmentVariable("GUESTMARK_FUZZ_INPUTS");
        var inputs = int.TryParse(more, NumberStyles.None, CultureInfo.InvariantCulture, out var set) ? set : 2000;
        var (compared, faults, invalid) = (0, 0, 0);
        for (var seed = 0; seed < inputs; seed++)
        {
            byte[] json = [.. Encoding.UTF8.GetBytes(parts[0]), .. Damage(tree, new Random(seed)), .. Encoding.UTF8.GetBytes(parts[1])];
            var alike = CsafResult.Of(json);
            JsonNode changed;
            try
            {
                changed = JsonNode.Parse(json)!;
                CsafSamples.SetApart(changed);
                json = Encoding.UTF8.GetBytes(changed.ToJsonString());
            }
            catch (JsonException)
            {
                invalid += SaysWhereItIsInvalid(json, alike) ? 1 : 0;
                continue;
            }
            catch (Exception e) when (e is ArgumentException or InvalidOperationException)
            {
                // A member twice, or a text that cannot be written again.
                continue;
            }

            var apart = CsafResult.Of(json);
            Assert.Equal(apart.Advisories.Select(FeedRecord.Text), alike.Advisories.Select(FeedRecord.Text));
            Assert.Equal(apart.Skipped, alike.Skipped);
            Assert.Equal(apart.LeftOut, alike.LeftOut);
            compared++;
            if (alike.Skipped.Count > 0) faults++;
        }

        Assert.True(
            compared > inputs / 20 && faults > inputs / 100 && invalid > inputs / 20,
            $"{compared} compared, {faults} with faults, {invalid} invalid");
    }

    // As the reader of the whole document says it.
    static bool SaysWhereItIsInvalid(byte[] json, CsafResult result)
    {
        if (result.Skipped.Count == 0 || !result.Skipped[^1].Reason.StartsWith("not valid JSON", StringComparison.Ordinal)) return false;
        var reader = new Utf8JsonReader(json);
        try
        {
            while (reader.Read())
            {
                // To the fault.
            }
        }
        catch (JsonException e)
        {
            Assert.Equal(("", $"not valid JSON: {e.Message}"), result.Skipped[^1]);
            return true;
        }

        return false;
    }

    [Fact]
    public void Groups_of_groups_do_not_multiply_without_bound()
    {
        // 2,000 remediations, each for a group of 20,000 products: 40 million.
        var tree = $$"""{"product_groups":[{"group_id":"g","product_ids":[{{string.Join(',', Enumerable.Range(0, 20_000).Select(i => $"\"{i}\""))}}]}]}""";
        var remediations = string.Join(',', Enumerable.Repeat("""{"category":"workaround","details":"w","group_ids":["g"]}""", 2000));

        var result = CsafResult.Of(CsafSamples.Document(tree, $$"""[{"cve":"CVE-2024-1","remediations":[{{remediations}}]}]"""));

        Assert.Contains(result.Skipped, fault => fault.Reason == "groups of this document stand for more than 4000000 products");
    }

    // Exchanges, repeats, drops and changes pieces between two places where a token starts, or changes bytes.
    static byte[] Damage(byte[] original, Random random)
    {
        var json = new List<byte>(original);
        for (var changes = random.Next(1, 4); changes > 0 && json.Count > 2; changes--)
        {
            var from = Token(json, random);
            var to = Token(json, random);
            if (from > to) (from, to) = (to, from);
            to = Math.Min(to, from + 300);
            switch (random.Next(6))
            {
                case 0:
                    json.RemoveRange(from, to - from);
                    break;
                case 1:
                    json.InsertRange(to, json.GetRange(from, to - from));
                    break;
                case 2:
                    json.InsertRange(from, "null,{[\"\\ud800\""u8[..random.Next(1, 14)].ToArray());
                    break;
                case 3:
                    json[random.Next(json.Count)] = (byte)random.Next(256);
                    break;
                case 4:
                    json[random.Next(json.Count)] ^= (byte)(1 << random.Next(8));
                    break;
                default:
                    // One text in the place of another: ids that refer to the wrong thing, words in the place of numbers.
                    var piece = json.GetRange(from, to - from);
                    var at = Token(json, random);
                    var length = Math.Min(piece.Count, json.Count - at);
                    for (var i = 0; i < length; i++) json[at + i] = piece[i];
                    break;
            }
        }

        if (random.Next(16) == 0) json.RemoveRange(random.Next(json.Count), 1);
        return [.. json];
    }

    static int Token(List<byte> json, Random random)
    {
        var at = random.Next(json.Count);
        while (at > 0 && json[at] is not ((byte)'"' or (byte)'{' or (byte)'[' or (byte)',')) at--;
        return at;
    }
}
