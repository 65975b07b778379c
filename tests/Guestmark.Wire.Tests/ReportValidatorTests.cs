using Google.Protobuf;
using Guestmark.TestKit;
using Guestmark.Wire.Reports;
using Scanner = Guestmark.Wire.Reports.Scanner;

namespace Guestmark.Wire.Tests;

/// <summary>
/// Establishes that a body passes exactly when it is a report within its limits, that what passes decodes, and that checking
/// allocates next to nothing whatever the bytes are.
/// </summary>
public sealed class ReportValidatorTests
{
    [Fact]
    public void A_report_of_the_real_encoder_passes_and_its_claims_are_seen()
    {
        var body = Report(500).ToByteArray();
        Assert.Null(ReportValidator.Validate(body, out var summary));
        Assert.Equal(new ReportSummary("42", 500, 1), summary);
    }

    [Fact]
    public void An_empty_report_passes_and_claims_nothing()
    {
        Assert.Null(ReportValidator.Validate(new VMReport { IndexReport = new IndexReport() }.ToByteArray(), out var summary));
        Assert.Equal(new ReportSummary(null, 0, 0), summary);
    }

    [Fact]
    public void Every_field_of_the_messages_is_known_to_the_validator()
    {
        // A field filled with a wrong wire type must be refused: that shows that the table has the field.
        foreach (var (path, descriptor) in Messages())
        {
            foreach (var field in descriptor.Fields.InFieldNumberOrder())
            {
                var isText = field.FieldType is Google.Protobuf.Reflection.FieldType.String or Google.Protobuf.Reflection.FieldType.Message;
                using var stream = new MemoryStream();
                using (var output = new CodedOutputStream(stream, leaveOpen: true))
                {
                    output.WriteTag(field.FieldNumber, isText ? WireFormat.WireType.Varint : WireFormat.WireType.Fixed64);
                    output.WriteFixed64(1);
                }

                var wrong = stream.ToArray();
                var error = ReportValidator.Validate(Wrap(path, wrong), out _);
                Assert.True(error is not null && error.Contains("wire type", StringComparison.Ordinal), $"{descriptor.FullName}.{field.Name}: {error}");
            }
        }
    }

    [Fact]
    public void Unknown_fields_are_allowed_as_protobuf_demands()
    {
        byte[] body = [.. Report(3).ToByteArray(), 0x78, 5, 0x82, 1, 2, 9, 9];
        Assert.Null(ReportValidator.Validate(body, out var summary));
        Assert.Equal(3, summary.PackageCount);
    }

    [Fact]
    public void A_body_cut_anywhere_is_refused_or_decodes()
    {
        var body = Report(20).ToByteArray();
        for (var length = 0; length < body.Length; length++) AssertConsistent(body.AsSpan(0, length));
    }

    [Fact]
    public void Millions_of_tiny_packages_are_refused_without_building_them()
    {
        // Each entry is 2 bytes on the wire and several hundred in memory once decoded.
        AssertRefused([1, 2, 5], [0x2a, 0], ReportValidator.PackagesMax, "more than 50000 packages");
    }

    [Theory]
    [InlineData(new[] { 1, 2, 5 }, new byte[] { 0x32, 0 })] // distributions
    [InlineData(new[] { 1, 2, 5 }, new byte[] { 0x42, 0 })] // environments
    [InlineData(new[] { 1, 2, 5, 8, 2 }, new byte[] { 0x0a, 0 })] // a package's environments
    [InlineData(new[] { 1, 2, 5, 5, 2, 4 }, new byte[] { 0x10, 1 })] // v, one by one
    public void Every_list_that_could_grow_in_memory_is_bounded(int[] path, byte[] element) =>
        AssertRefused(path, element, ReportValidator.EntriesMax, "more than 200000 entries");

    [Fact]
    public void Repositories_and_the_references_to_them_are_bounded()
    {
        AssertRefused([1, 2, 5], [0x3a, 0], ReportValidator.RepositoriesMax, "more than 20000 repositories");
        AssertRefused([1, 2, 5, 8, 2, 1], [0x22, 0], ReportValidator.RepositoryReferencesMax, "more than 500000 references to repositories");
    }

    [Fact]
    public void Facts_are_bounded_in_number_and_length()
    {
        AssertRefused([], Field(1000, []), ReportValidator.FactsMax, "more than 64 facts");
        foreach (var field in new[] { 1, 2 })
        {
            Assert.Null(ReportValidator.Validate(Wrap([1000], Field(field, new byte[ReportValidator.FactBytesMax])), out _));
            Assert.StartsWith("fact of more than 4096 bytes", ReportValidator.Validate(Wrap([1000], Field(field, new byte[ReportValidator.FactBytesMax + 1])), out _));
        }
    }

    static void AssertRefused(int[] path, byte[] element, int limit, string expected)
    {
        var body = Wrap(path, [.. Enumerable.Repeat(element, limit + 1).SelectMany(bytes => bytes)]);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal(expected, ReportValidator.Validate(body, out _));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 65_536);
    }

    [Fact]
    public void Packages_nested_in_packages_are_refused_before_the_stack_is_used_up()
    {
        byte[] body = [];
        for (var depth = 0; depth < 5000; depth++) body = Field(7, body);
        var error = ReportValidator.Validate(Wrap([1, 2, 5, 5, 2], body), out _);
        Assert.Contains("nested deeper than 16", error, StringComparison.Ordinal);
    }

    [Fact]
    public void Text_that_is_not_utf8_is_refused()
    {
        Assert.Contains("not UTF-8", ReportValidator.Validate(Wrap([1], Field(1, [0xff])), out _), StringComparison.Ordinal);
    }

    [Fact]
    public void A_long_claim_is_cut_not_copied()
    {
        Assert.Null(ReportValidator.Validate(Wrap([1], Field(1, new byte[1 << 20])), out var summary));
        Assert.Equal(16, summary.ClaimedCid!.Length);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Mutated_reports_never_throw_and_what_passes_decodes_to_what_was_counted()
    {
        var original = Report(40).ToByteArray();
        for (var seed = 0; seed < Damage.Inputs(50_000); seed++)
        {
            var random = new Random(seed);
            var body = (byte[])original.Clone();
            for (var change = random.Next(1, 6); change > 0; change--) body[random.Next(body.Length)] = (byte)random.Next(256);
            AssertConsistent(body.AsSpan(0, random.Next(4) == 0 ? random.Next(body.Length) : body.Length));
        }
    }

    static void AssertConsistent(ReadOnlySpan<byte> body)
    {
        if (ReportValidator.Validate(body, out var summary) is not null) return;
        var report = VMReport.Parser.ParseFrom(body);

        // Entries with the same key are one entry in the map.
        Assert.InRange(report.IndexReport?.IndexV4?.Contents?.Packages.Count ?? 0, 0, summary.PackageCount);
        Assert.InRange(report.IndexReport?.IndexV4?.Contents?.Repositories.Count ?? 0, 0, summary.RepositoryCount);
    }

    static VMReport Report(int packages)
    {
        var contents = new Scanner.Contents();
        for (var i = 0; i < packages; i++)
        {
            contents.Packages[$"{i}"] = new Scanner.Package
            {
                Id = $"{i}",
                Name = $"päckage-{i}",
                Version = "1:2.3-4.el8",
                NormalizedVersion = new Scanner.NormalizedVersion { Kind = "rpm", V = { 1, 2, 3 } },
                Source = new Scanner.Package { Name = "source", Kind = "source" },
            };
            contents.Environments[$"{i}"] = new Scanner.Environment.Types.List { Environments = { new Scanner.Environment { PackageDb = "sqlite:var/lib/rpm", RepositoryIds = { "1" } } } };
        }

        contents.Distributions["1"] = new Scanner.Distribution { Id = "1", Did = "almalinux", VersionId = "8" };
        contents.Repositories["1"] = new Scanner.Repository { Id = "1", Name = "baseos" };
        return new VMReport
        {
            IndexReport = new IndexReport { VsockCid = "42", VmId = "x", IndexV4 = new Scanner.IndexReport { State = "IndexFinished", Success = true, Contents = contents } },
            DiscoveredData = new DiscoveredData { DetectedOs = DetectedOS.Rhel, OsVersion = "8" },
            Facts = { ["boot_id"] = "b" },
        };
    }

    static IEnumerable<(int[] Path, Google.Protobuf.Reflection.MessageDescriptor Descriptor)> Messages()
    {
        var package = Scanner.Package.Descriptor;
        yield return ([], VMReport.Descriptor);
        yield return ([1000], VMReport.Descriptor.FindFieldByNumber(1000).MessageType);
        yield return ([1], IndexReport.Descriptor);
        yield return ([2], DiscoveredData.Descriptor);
        yield return ([1, 2], Scanner.IndexReport.Descriptor);
        yield return ([1, 2, 5], Scanner.Contents.Descriptor);
        foreach (var number in new[] { 5, 6, 7, 8 }) yield return ([1, 2, 5, number], Scanner.Contents.Descriptor.FindFieldByNumber(number).MessageType);
        yield return ([1, 2, 5, 5, 2], package);
        yield return ([1, 2, 5, 5, 2, 4], Scanner.NormalizedVersion.Descriptor);
        yield return ([1, 2, 5, 5, 2, 7], package);
        yield return ([1, 2, 5, 6, 2], Scanner.Distribution.Descriptor);
        yield return ([1, 2, 5, 7, 2], Scanner.Repository.Descriptor);
        yield return ([1, 2, 5, 8, 2], Scanner.Environment.Types.List.Descriptor);
        yield return ([1, 2, 5, 8, 2, 1], Scanner.Environment.Descriptor);
    }

    /// <summary>Puts bytes into the message that the field numbers lead to.</summary>
    static byte[] Wrap(int[] path, byte[] bytes)
    {
        for (var i = path.Length - 1; i >= 0; i--) bytes = Field(path[i], bytes);
        return bytes;
    }

    static byte[] Field(int number, byte[] bytes)
    {
        using var stream = new MemoryStream();
        using (var output = new CodedOutputStream(stream, leaveOpen: true))
        {
            output.WriteTag(number, WireFormat.WireType.LengthDelimited);
            output.WriteLength(bytes.Length);
        }

        stream.Write(bytes);
        return stream.ToArray();
    }
}
