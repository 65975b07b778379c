using Google.Protobuf;
using Guestmark.Agent.RepositoryMapping;
using Guestmark.Agent.Serving;
using Guestmark.Inventory;
using Guestmark.TestKit;
using Guestmark.Wire.Protobuf;
using Guestmark.Wire.Pull;
using Guestmark.Wire.Pull.Messages;
using Guestmark.Wire.Reports;
using IndexReport = Guestmark.Wire.Reports.Scanner.IndexReport;

namespace Guestmark.Agent.Tests.Serving;

/// <summary>Establishes what is answered, and when the report counts as new.</summary>
public sealed class PullServiceTests : IDisposable
{
    static readonly DateTimeOffset Start = DateTimeOffset.FromUnixTimeSeconds(1_700_000_000);

    readonly TemporaryFolder _folder = new();
    readonly Notes _notes = new();
    readonly ManualTimeProvider _time = new(Start);
    readonly ReportSource _reports = new(Start);

    MappingStore? _mappings;

    MappingStore Mappings => _mappings ??= MappingStore.Open(_folder.File("state"), null, _notes.Add);

    public void Dispose() => _folder.Dispose();

    [Theory]
    // Generation 2 of epoch 1,700,000,000 is current.
    [InlineData(0, 0, false)]
    [InlineData(2, 0, true)]
    [InlineData(2, 1_700_000_000, true)]
    [InlineData(2, 1_699_999_999, false)]
    [InlineData(1, 0, false)]
    [InlineData(1, 1_700_000_000, false)]
    // A later one is of another run: equality, not order.
    [InlineData(3, 0, false)]
    [InlineData(3, 1_700_000_000, false)]
    [InlineData(0, 1_700_000_000, false)]
    public void A_report_is_unchanged_when_generation_and_epoch_are_those_of_the_sensor(uint generation, uint epoch, bool isUnchanged)
    {
        Publish([1]);
        Publish([2]);
        var response = Ask(new VMServiceRequest { GetReport = new GetReportRequest { LastKnownGeneration = generation, KnownEpoch = epoch } });
        Assert.Equal(isUnchanged, response.GetReport.Unchanged);
        Assert.Equal(isUnchanged, response.GetReport.IndexReport is null);
        Assert.Equal((2u, 1_700_000_000u), (response.Meta.ReportGeneration, response.Meta.Epoch));
    }

    [Fact]
    public void The_generation_rises_only_with_the_content()
    {
        Assert.True(Publish([1]));
        Assert.Equal(1u, _reports.Current!.Generation);
        _time.Advance(TimeSpan.FromHours(4));
        Assert.False(Publish([1]));
        Assert.Equal(1u, _reports.Current!.Generation);
        // It was seen to be so just now.
        Assert.Equal(_time.GetUtcNow(), _reports.Current.GeneratedAt);
        Assert.True(Publish([2]));
        Assert.True(Publish([2], ("detected_os", "RHEL")));
        Assert.False(Publish([2], ("detected_os", "RHEL")));
        Assert.True(Publish([1]));
        Assert.Equal(4u, _reports.Current!.Generation);
    }

    [Fact]
    public void The_meta_says_what_stackrox_looks_for()
    {
        Publish([], ("detected_os", "RHEL"), ("os_version", "9.4"));
        var meta = Ask(new VMServiceRequest { GetReport = new GetReportRequest() }).Meta;
        Assert.Equal("7.8.9", meta.AgentVersion);
        Assert.Equal(Start.UtcDateTime, meta.ReportGeneratedAt.ToDateTime());
        Assert.Equal(["get_report"], meta.SupportedMethods);
        Assert.Equal("9.4", meta.Facts["os_version"]);
        Assert.Equal(RepoCPEMappingUpdatePath.Url, meta.RepoCpeMappingUpdatePath);
        Assert.False(meta.HasRepoCpeMappingHash);
    }

    [Theory]
    [InlineData("rhel", "9.4", Activation.Active, DnfMetadata.Unavailable, "RHEL", "9.4", "ACTIVE", "UNAVAILABLE")]
    [InlineData("debian", "12", Activation.Inactive, DnfMetadata.Available, "UNKNOWN", "debian 12", "INACTIVE", "AVAILABLE")]
    [InlineData("", "", Activation.Unspecified, DnfMetadata.Unspecified, "UNKNOWN", "", "ACTIVATION_UNSPECIFIED", "DNF_METADATA_UNSPECIFIED")]
    public void Facts_are_the_names_of_stackroxs_enums(
        string id, string version, Activation activation, DnfMetadata metadata, string os, string osVersion, string activationFact, string metadataFact)
    {
        var inventory = new GuestInventory(new OsRelease(id, version, ""), [], []) { Host = new HostFacts { Activation = activation, DnfMetadata = metadata } };
        Assert.Equal(
            new Dictionary<string, string>
            {
                ["detected_os"] = os,
                ["os_version"] = osVersion,
                ["activation_status"] = activationFact,
                ["dnf_metadata_status"] = metadataFact,
            },
            HostFactNames.Of(inventory));
    }

    [Fact]
    public void Facts_have_what_a_push_has_under_the_same_names()
    {
        var inventory = new GuestInventory(new OsRelease("rhel", "9.4", ""), [], [])
        {
            Host = new HostFacts { RunningKernel = "5.14.0-427.el9.x86_64", InstalledKernels = ["5.14.0-427.el9.x86_64", "5.14.0-503.el9.x86_64"], BootId = "0f0b", Architecture = "x86_64" },
        };
        var push = new ProtoWriter();
        InventoryReports.Write(inventory, push);

        var facts = HostFactNames.Of(inventory);

        Assert.Equal(
            ["5.14.0-427.el9.x86_64", "5.14.0-427.el9.x86_64,5.14.0-503.el9.x86_64", "0f0b", "x86_64"],
            new[] { "kernel_running", "kernels_installed", "boot_id", "architecture" }.Select(name => facts[name]));
        Assert.Equal(4 + 4, facts.Count);
        Assert.All(VMReport.Parser.ParseFrom(push.Written.Span).Facts, fact => Assert.Equal(fact.Value, facts[fact.Key]));
    }

    [Fact]
    public async Task Scans_follow_the_interval_and_the_requests_and_failures_come_again_sooner()
    {
        var scans = new Queue<Func<GuestInventory>>();
        var begun = new SemaphoreSlim(0);
        var bash = new Package { Manager = PackageManager.Dpkg, Name = "bash", Version = "5", Release = "1", Architecture = "amd64" };
        using var rescans = new Rescans(
            (_, _) =>
            {
                begun.Release();
                return scans.TryDequeue(out var scan) ? scan() : new GuestInventory(OsRelease.Unknown, [bash], []);
            },
            // Of languages no state tells, so that nothing counts as unchanged.
            _ => InventoryFingerprint.Take(new InventoryScanOptions { Languages = true }, _time),
            inventory => new IndexReport { HashId = $"{inventory.Packages.Count}" }.ToByteArray(),
            _reports,
            Mappings,
            TimeSpan.FromHours(4),
            _time,
            _notes.Add);
        scans.Enqueue(() => throw new Guestmark.CommandLine.CommandException("--host-path /x: no such folder"));
        scans.Enqueue(() => new GuestInventory(OsRelease.Unknown, [], [new InventoryProblem("/", "has no package database")]));
        using var stop = new CancellationTokenSource();
        var running = rescans.RunAsync(stop.Token);
        Assert.Equal("no such folder", Assert.Single(_notes.All)[^14..]);
        var refused = Ask(new VMServiceRequest { GetReport = new GetReportRequest() });
        Assert.Equal(ErrorCode.NotReady, refused.Error.Code);
        Assert.Contains("no such folder", refused.Error.Message, StringComparison.Ordinal);
        Assert.Equal("2023-11-14T22:13:20Z", refused.Meta.Facts["last_index_error_at"]);

        // Failures: after 2 minutes, then after 4.
        await AdvanceAsync(TimeSpan.FromMinutes(2), begun, 2);
        await _notes.WaitForAsync("has no package database");
        await AdvanceAsync(TimeSpan.FromMinutes(4), begun, 3);
        await _notes.WaitForAsync("generation 1");
        Assert.Null(_reports.Failure);

        // The same again after the interval, and at once when asked.
        await AdvanceAsync(TimeSpan.FromHours(4), begun, 4);
        await _notes.WaitForAsync("unchanged, still generation 1");
        scans.Enqueue(() => new GuestInventory(OsRelease.Unknown, [bash, bash], []));
        rescans.Request();
        rescans.Request();
        await _notes.WaitForAsync("generation 2");

        // One that fails does not take the last good report away.
        scans.Enqueue(() => new GuestInventory(OsRelease.Unknown, [], [new InventoryProblem("/", "is broken")]));
        rescans.Request();
        await _notes.WaitForAsync("is broken");
        var served = Ask(new VMServiceRequest { GetReport = new GetReportRequest() });
        Assert.NotNull(served.GetReport.IndexReport);
        Assert.Contains("is broken", served.Meta.Facts["last_index_error"], StringComparison.Ordinal);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
    }

    [Fact]
    [Trait("Category", "Fuzz")]
    public void A_damaged_request_is_answered_and_never_an_exception()
    {
        Publish([1, 2, 3]);
        var service = new PullService(_reports, Mappings, MappingUpdatePath.Sensor, "7.8.9");
        var seed = new VMServiceRequest
        {
            Meta = new RequestMeta { RequestId = "0d6a5a3e", Capabilities = { "report_v1" }, Facts = { ["a"] = "b" } },
            SyncRepoCpeMapping = new SyncRepoCPEMappingRequest { Mapping = ByteString.CopyFromUtf8("""{"data":{"r":{"cpes":["cpe:/o:x"]}}}""") },
        }.ToByteArray();
        var random = new Random(1);
        var writer = new ProtoWriter();
        // Without a thousand files on a slow disk: the first good mapping stays.
        Assert.NotEmpty(service.Respond(seed, writer));
        for (var i = 0; i < Inventory.Tests.Damage.Inputs(2_000); i++)
        {
            var request = Inventory.Tests.Damage.Mutate(seed, random, seed.Length);
            writer.Reset();
            Inventory.Tests.Damage.AssertBounded(() => service.Respond(request, writer), request.Length, $"request {i}");
            Assert.NotEqual(VMServiceResponse.ResultOneofCase.None, VMServiceResponse.Parser.ParseFrom(writer.Written.Span).ResultCase);
        }
    }

    async Task AdvanceAsync(TimeSpan by, SemaphoreSlim begun, int scans)
    {
        // The loop sets its timer after the scan whose end it noted: time moves until the next scan begins.
        for (var i = 0; begun.CurrentCount < scans; i++)
        {
            Assert.True(i < 100_000, "no scan begins");
            _time.Advance(i == 0 ? by : TimeSpan.FromSeconds(1));
            await Task.Yield();
        }
    }

    bool Publish(byte[] content, params (string Name, string Value)[] facts) =>
        _reports.Publish(new IndexReport { HashId = Convert.ToHexString(content) }.ToByteArray(), facts.ToDictionary(fact => fact.Name, fact => fact.Value), Mappings.Current?.Hash, _time.GetUtcNow());

    VMServiceResponse Ask(VMServiceRequest request)
    {
        var writer = new ProtoWriter();
        new PullService(_reports, Mappings, MappingUpdatePath.Url, "7.8.9").Respond(request.ToByteArray(), writer);
        return VMServiceResponse.Parser.ParseFrom(writer.Written.Span);
    }
}
