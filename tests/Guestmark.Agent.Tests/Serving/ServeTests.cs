using System.Net.Sockets;
using System.Text;
using Google.Protobuf;
using Guestmark.Agent.RepositoryMapping;
using Guestmark.Agent.Serving;
using Guestmark.Inventory;
using Guestmark.TestKit;
using Guestmark.Wire.Pull.Messages;

namespace Guestmark.Agent.Tests.Serving;

/// <summary>Establishes that the parts work together: a guest's files, scans, the mapping and a Sensor.</summary>
public sealed class ServeTests : IDisposable
{
    static readonly VMServiceRequest GetReport = new() { GetReport = new GetReportRequest() };

    readonly TemporaryFolder _folder = new();
    readonly Notes _notes = new();
    readonly TestAuthority _authority = new("kubevirt.io");

    string SocketPath => _folder.File("agent.sock");

    public void Dispose()
    {
        _authority.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public async Task A_sensor_is_told_not_ready_then_gets_the_report_then_unchanged()
    {
        WriteGuest("Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2.15-2+b7\n\n");
        var mayScan = new ManualResetEventSlim();
        using var certificate = _authority.Issue("virt-handler");
        await ServeAsync(
            (_, cancellation) =>
            {
                mayScan.Wait(cancellation);
                return InventoryScanner.Scan(new InventoryScanOptions { HostPath = _folder.File("guest") }, cancellation);
            },
            async () =>
            {
                Assert.Equal(ErrorCode.NotReady, (await PullClient.CallAsync(SocketPath, certificate, GetReport)).Error.Code);
                mayScan.Set();
                await _notes.WaitForAsync("generation 1");
                var response = await PullClient.CallAsync(SocketPath, certificate, GetReport);
                Assert.Equal("bash", Assert.Single(response.GetReport.IndexReport.Contents.Packages).Value.Name);
                Assert.Equal("debian 12", response.Meta.Facts["os_version"]);
                var again = new VMServiceRequest
                {
                    GetReport = new GetReportRequest { LastKnownGeneration = response.Meta.ReportGeneration, KnownEpoch = response.Meta.Epoch },
                };
                Assert.True((await PullClient.CallAsync(SocketPath, certificate, again)).GetReport.Unchanged);
            });
        Assert.False(File.Exists(SocketPath));
    }

    [Fact]
    public async Task A_mapping_that_the_sensor_sends_is_used_by_the_scan_that_follows()
    {
        List<string?> used = [];
        using var certificate = _authority.Issue("virt-handler");
        var packages = new List<Package> { new() { Manager = PackageManager.Rpm, Name = "bash", Version = "5", Release = "1", Architecture = "x86_64" } };
        await ServeAsync(
            (mapping, _) =>
            {
                used.Add(mapping);
                return new GuestInventory(new OsRelease("rhel", "9.4", ""), packages, []);
            },
            async () =>
            {
                await _notes.WaitForAsync("generation 1");
                Assert.Equal(ErrorCode.MappingRequired, (await PullClient.CallAsync(SocketPath, certificate, GetReport)).Error.Code);
                var mapping = """{"data":{"r":{"cpes":["cpe:/o:redhat:enterprise_linux:9::baseos"]}}}""";
                var sync = new VMServiceRequest { SyncRepoCpeMapping = new SyncRepoCPEMappingRequest { Mapping = ByteString.CopyFromUtf8(mapping) } };
                Assert.True((await PullClient.CallAsync(SocketPath, certificate, sync)).SyncRepoCpeMapping.Updated);
                await _notes.WaitForAsync("unchanged, still generation 1");
                var response = await PullClient.CallAsync(SocketPath, certificate, GetReport);
                Assert.NotNull(response.GetReport.IndexReport);
                Assert.Equal(Guestmark.Agent.RepositoryMapping.XxHash64.Text(Encoding.UTF8.GetBytes(mapping)), response.Meta.RepoCpeMappingHash);
            });
        Assert.Equal([null, _folder.File("state/repository-to-cpe.json")], used);
    }

    [Fact]
    public async Task An_address_in_use_is_an_error_before_anything_begins()
    {
        using var taken = ChannelSocket.Listener.Open(new UnixDomainSocketEndPoint(SocketPath));
        await Assert.ThrowsAsync<IOException>(() => ServeCommand.RunAsync(
            Options(), (_, _) => throw new InvalidOperationException("must not scan"), Fingerprint, Mappings(), null, TimeProvider.System, _notes.Add,
            CancellationToken.None));
    }

    ServeOptions Options() => new()
    {
        Address = new UnixDomainSocketEndPoint(SocketPath),
        FetchAuthorities = cancellation => ClientAuthorities.ReadFileAsync(_folder.File("ca.pem"), cancellation),
        HostPath = _folder.File("guest"),
        IsVerbose = true,
    };

    InventoryFingerprint Fingerprint(string? mapping) =>
        InventoryFingerprint.Take(new InventoryScanOptions { HostPath = _folder.File("guest"), RepositoryToCpePath = mapping }, TimeProvider.System);

    MappingStore Mappings() => MappingStore.Open(_folder.File("state"), null, _notes.Add);

    async Task ServeAsync(Func<string?, CancellationToken, GuestInventory> scan, Func<Task> use)
    {
        await File.WriteAllBytesAsync(_folder.File("ca.pem"), _authority.Pem);
        using var stop = new CancellationTokenSource();
        var serving = ServeCommand.RunAsync(Options(), scan, Fingerprint, Mappings(), null, TimeProvider.System, _notes.Add, stop.Token);
        try
        {
            await _notes.WaitForAsync("listening on");
            await use();
        }
        finally
        {
            await stop.CancelAsync();
            await serving;
        }
    }

    void WriteGuest(string status)
    {
        Directory.CreateDirectory(_folder.File("guest/etc"));
        Directory.CreateDirectory(_folder.File("guest/var/lib/dpkg"));
        File.WriteAllText(_folder.File("guest/etc/os-release"), "ID=debian\nVERSION_ID=12\n");
        File.WriteAllText(_folder.File("guest/var/lib/dpkg/status"), status);
    }
}
