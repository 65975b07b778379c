using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Guestmark.Events;
using Guestmark.Node.Admission;
using Guestmark.Node.Cells;
using Guestmark.Node.Protocols;
using Microsoft.Extensions.DependencyInjection;

namespace Guestmark.Node.Tests.Cells;

/// <summary>Establishes how cells come, go and stay: through the control socket, with their sockets' files, over a restart.</summary>
public sealed class CellRegistryTests
{
    [Fact]
    public async Task Bind_creates_uds_at_expected_path_before_the_machine_starts_and_closed_to_others()
    {
        await using var node = await CellNode.StartAsync();
        await node.AddAsync("cell-A");
        var socket = Path.Combine(node.Folder, "cell-A.sock_9001");
        Assert.True(File.Exists(socket));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(socket));
        var cell = await node.StatusAsync("cell-A");
        Assert.Equal(("waiting", socket), (cell.GetProperty("state").GetString(), cell.GetProperty("socket").GetString()));
    }

    [Fact]
    public async Task Cells_take_connections_and_turns_into_the_spool_out_of_what_all_guests_share()
    {
        await using var node = await RunningNode.StartAsync(options => options with { Limits = new GuestLimits { ConnectionsMax = 1, MessageMemoryMax = 256 << 20 } });
        var cells = node.Services.GetRequiredService<CellRegistry>();
        var reception = node.Services.GetRequiredService<GuestReception>();
        foreach (var id in new[] { "a", "b" })
            Assert.Equal(CellOutcome.Done, (await cells.AddAsync(new CellDefinition { Id = id, RunId = "r", SocketBase = node.Folder.File(id) })).Outcome);

        // A guest of great weight holds all there is: what the cell says waits, unread, and does not fill the spool's queue.
        var flow = new FairFlow(100);
        var all = (int)node.Options.Limits.OutstandingBytesMax;
        await reception.Order.TakeAsync(flow, all);
        using var first = await ConnectAsync("a");
        await first.SendAsync(CellNode.Frame("process.spawned", 1, "p", 1));
        await IdentityTests.WaitForAsync(() => Task.FromResult(reception.Order.Waiting == 1));
        Assert.DoesNotContain(await node.EventsAsync(), e => e.Type == EventTypes.GuestDeclaration);

        using var second = await ConnectAsync("b");
        Assert.Equal(0, await CellChannelTests.ReceiveAsync(second));

        reception.Order.Return(all);
        await IdentityTests.WaitForAsync(async () => (await node.EventsAsync()).Any(e => e.Type == EventTypes.GuestDeclaration));
        await IdentityTests.WaitForAsync(() => Task.FromResult(reception.Order.Outstanding == 0));

        // What waits for the end of a frame is charged to the cell.
        var memory = node.Services.GetRequiredService<Identity.GuestRegistry>().Memory;
        await first.SendAsync(new byte[] { 0, 0xf0, 0, 0 });
        await first.SendAsync(new byte[60_000]);
        await IdentityTests.WaitForAsync(() => Task.FromResult(memory.Taken > 60_000));
        first.Dispose();
        await IdentityTests.WaitForAsync(() => Task.FromResult(memory.Taken == 0));

        async Task<Socket> ConnectAsync(string id)
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(node.Folder.File(id + "_9001")));
            return socket;
        }
    }

    [Fact]
    public async Task A_socket_may_be_given_to_the_hypervisor()
    {
        await using var node = await CellNode.StartAsync();
        var own = node.Definition("cell-A") with { SocketMode = "0660", SocketOwner = Environment.IsPrivilegedProcess ? "12345:54321" : null };
        Assert.Equal(HttpStatusCode.Created, (await PostAsync(node, own)).Status);
        var socket = Path.Combine(node.Folder, "cell-A.sock_9001");
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite, File.GetUnixFileMode(socket));
        if (!Environment.IsPrivilegedProcess) return;
        using var stat = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("stat", ["-c", "%u:%g", socket]) { RedirectStandardOutput = true, UseShellExecute = false })!;
        Assert.Equal("12345:54321", (await stat.StandardOutput.ReadToEndAsync()).Trim());
    }

    [Fact]
    public async Task A_removed_cell_s_socket_is_gone_and_so_is_its_connection()
    {
        await using var node = await CellNode.StartAsync();
        await node.AddAsync("cell-A");
        using var socket = await node.ConnectAsync("cell-A");
        using var control = node.Control();
        Assert.Equal(HttpStatusCode.NoContent, (await control.DeleteAsync("v1/cells/cell-A")).StatusCode);
        Assert.Equal(0, await CellChannelTests.ReceiveAsync(socket));
        Assert.False(File.Exists(Path.Combine(node.Folder, "cell-A.sock_9001")));
        Assert.Empty((await control.GetFromJsonAsync<JsonElement>("v1/cells")).GetProperty("cells").EnumerateArray());
        Assert.Equal(HttpStatusCode.NotFound, (await control.DeleteAsync("v1/cells/cell-A")).StatusCode);
    }

    [Fact]
    public async Task Cells_outlive_a_restart_of_the_node()
    {
        await using var node = await CellNode.StartAsync();
        await node.AddAsync("cell-A");
        await node.AddAsync("cell-B");
        await node.RestartAsync();
        using var socket = await node.ConnectAsync("cell-B");
        await socket.SendAsync(CellNode.Frame("process.spawned", 1, "p", 1));
        var stamped = (await node.EventsUntilAsync(e => e.Type == EventTypes.GuestDeclaration))[^1];
        Assert.Equal("cell-B", stamped.Subject);
        Assert.Equal("waiting", (await node.StatusAsync("cell-A")).GetProperty("state").GetString());

        // A removed one does not come back.
        using (var control = node.Control()) await control.DeleteAsync("v1/cells/cell-A");
        await node.RestartAsync();
        using (var control = node.Control()) Assert.Single((await control.GetFromJsonAsync<JsonElement>("v1/cells")).GetProperty("cells").EnumerateArray());
    }

    [Fact]
    public async Task A_cell_that_cannot_be_bound_again_says_why_and_the_others_are_served()
    {
        await using var node = await CellNode.StartAsync();
        var folder = Directory.CreateDirectory(Path.Combine(node.Folder, "run"));
        Assert.Equal(HttpStatusCode.Created, (await PostAsync(node, node.Definition("cell-A") with { SocketBase = Path.Combine(folder.FullName, "a") })).Status);
        await node.AddAsync("cell-B");
        folder.Delete(recursive: true);
        await node.RestartAsync();
        var cell = await node.StatusAsync("cell-A");
        Assert.Equal("unbound", cell.GetProperty("state").GetString());
        Assert.Contains("there is no folder", cell.GetProperty("reason").GetString(), StringComparison.Ordinal);
        using var socket = await node.ConnectAsync("cell-B");

        // Added again when its folder is back, it is served.
        folder.Create();
        Assert.Equal(HttpStatusCode.OK, (await PostAsync(node, node.Definition("cell-A") with { SocketBase = Path.Combine(folder.FullName, "a") })).Status);
        Assert.True(File.Exists(Path.Combine(folder.FullName, "a_9001")));
    }

    [Fact]
    public async Task Cells_are_not_reached_over_the_network()
    {
        await using var node = await CellNode.StartAsync();
        await node.AddAsync("cell-A");
        using var network = new HttpClient { BaseAddress = node.NetworkAddress };
        Assert.Equal(HttpStatusCode.NotFound, (await network.GetAsync("v1/cells")).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await network.DeleteAsync("v1/cells/cell-A")).StatusCode);
        Assert.Equal("waiting", (await node.StatusAsync("cell-A")).GetProperty("state").GetString());
    }

    [Theory]
    [InlineData("""{"version": 1, "cells": [{"id": "x"}]}""", "cannot be read")]
    [InlineData("""{"version": 1, "cells": [null]}""", "entry 1 of cells is null")]
    [InlineData("""{"version": 1, "cells": null}""", "cannot be read")]
    [InlineData("null", "holds null")]
    public async Task A_damaged_file_of_cells_stops_the_start_and_is_named(string text, string problem)
    {
        await using var node = await CellNode.StartAsync();
        var file = Path.Combine(node.Folder, "data", "cells.json");
        await File.WriteAllTextAsync(file, text);
        var failure = await Assert.ThrowsAsync<IOException>(node.RestartAsync);
        Assert.Contains(file, failure.Message, StringComparison.Ordinal);
        Assert.Contains(problem, failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_same_cell_may_be_added_again_and_another_of_its_id_may_not()
    {
        await using var node = await CellNode.StartAsync();
        var cell = node.Definition("cell-A");
        Assert.Equal(HttpStatusCode.Created, (await PostAsync(node, cell)).Status);
        Assert.Equal(HttpStatusCode.OK, (await PostAsync(node, cell)).Status);
        var (status, problem) = await PostAsync(node, cell with { RunId = "run-2" });
        Assert.Equal(HttpStatusCode.Conflict, status);
        Assert.Contains($"guestmark cell remove cell-A --control {node.ControlSocket}", problem, StringComparison.Ordinal);
        (status, problem) = await PostAsync(node, cell with { Id = "cell-B" });
        Assert.Equal(HttpStatusCode.Conflict, status);
        Assert.Contains("cell-A", problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_words_for_one_path_are_one_socket()
    {
        await using var node = await CellNode.StartAsync();
        var cell = node.Definition("cell-A") with { SocketBase = Path.Combine(node.Folder, ".", "x", "..", "a") };
        Assert.Equal(HttpStatusCode.Created, (await PostAsync(node, cell)).Status);
        Assert.Equal(Path.Combine(node.Folder, "a_9001"), (await node.StatusAsync("cell-A")).GetProperty("socket").GetString());
        Assert.Equal(HttpStatusCode.OK, (await PostAsync(node, cell with { SocketBase = Path.Combine(node.Folder, "a") })).Status);
        var (status, problem) = await PostAsync(node, cell with { Id = "cell-B", SocketBase = node.Folder + "//a" });
        Assert.Equal(HttpStatusCode.Conflict, status);
        Assert.Contains("belongs to cell cell-A", problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_cell_whose_socket_somebody_removed_says_so_and_is_bound_when_it_is_added_again()
    {
        await using var node = await CellNode.StartAsync();
        await node.AddAsync("cell-A");
        File.Delete(Path.Combine(node.Folder, "cell-A.sock_9001"));
        var cell = await node.StatusAsync("cell-A");
        Assert.Equal("unbound", cell.GetProperty("state").GetString());
        Assert.Contains("removed the socket's file", cell.GetProperty("reason").GetString(), StringComparison.Ordinal);
        await node.AddAsync("cell-A");
        Assert.Equal("waiting", (await node.StatusAsync("cell-A")).GetProperty("state").GetString());
        using var socket = await node.ConnectAsync("cell-A");
    }

    [Theory]
    [InlineData("neverConnected", "never-connected")]
    [InlineData("half-frame", "half-frame")]
    public async Task A_reason_is_read_as_version_0_1_wrote_it_and_written_as_everywhere(string written, string shown)
    {
        await using var node = await CellNode.StartAsync();
        await File.WriteAllTextAsync(
            Path.Combine(node.Folder, "data", "cells.json"),
            $$"""{"version": 1, "cells": [{"id": "a", "runId": "r", "socketBase": "{{node.Folder}}/a", "onSilence": "fail", "failedBy": "{{written}}"}]}""");
        await node.RestartAsync();
        var cell = await node.StatusAsync("a");
        Assert.Equal(("failed", shown), (cell.GetProperty("state").GetString(), cell.GetProperty("reason").GetString()));
        Assert.Equal(shown, cell.GetProperty("cell").GetProperty("failedBy").GetString());
    }

    [Fact]
    public async Task There_are_only_so_many_cells()
    {
        await using var node = await CellNode.StartAsync(configure: options => options with { CellsMax = 2 });
        await node.AddAsync("a");
        await node.AddAsync("b");
        Assert.Equal(HttpStatusCode.Conflict, (await PostAsync(node, node.Definition("c"))).Status);
        Assert.False(File.Exists(Path.Combine(node.Folder, "c.sock_9001")));
    }

    [Fact]
    public async Task Wrong_values_are_named_with_what_is_allowed()
    {
        await using var node = await CellNode.StartAsync();
        var cell = node.Definition("cell-A");
        await Refused(cell with { Id = "a/b" }, "id 'a/b'");
        await Refused(cell with { Id = "" }, "id ''");
        await Refused(cell with { Id = "." }, "id '.'");
        await Refused(cell with { Id = ".." }, "id '..'");
        await Refused(cell with { RunId = "run 1" }, "runId 'run 1'");
        await Refused(cell with { RunId = new string('x', 129) }, "runId");
        await Refused(cell with { SpecSignatureHash = "sha256:XYZ" }, "specSignatureHash");
        await Refused(cell with { SocketBase = "relative" }, "socketBase 'relative'");
        await Refused(cell with { SocketBase = "/tmp/" + new string('x', 98) }, "108 bytes");
        await Refused(cell with { SocketMode = "0666" }, "socketMode '0666'");
        await Refused(cell with { SocketOwner = "root" }, "socketOwner 'root'");
        await Refused("""{"id": "x", "runId": "r"}""", "socketBase");
        await Refused("""{"id": "x", "runId": "r", "socketBase": "/x", "cid": 3}""", "cid");
        await Refused("""{"id": "x", "runId": "r", "socketBase": "/x", "onSilence": "panic"}""", "onSilence");
        await Refused("[", "no cell");
        await Refused(new string(' ', 20_000), "bytes");

        async Task Refused(object body, string named)
        {
            var (status, problem) = await PostAsync(node, body);
            Assert.Equal(HttpStatusCode.BadRequest, status);
            Assert.Contains(named, problem, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_socket_path_of_107_bytes_is_the_longest()
    {
        await using var node = await CellNode.StartAsync();
        var longest = Path.Combine(node.Folder, new string('x', 107 - node.Folder.Length - "/_9001".Length));
        Assert.Equal(HttpStatusCode.Created, (await PostAsync(node, node.Definition("a") with { SocketBase = longest })).Status);
        Assert.True(File.Exists(longest + "_9001"));
    }

    [Fact]
    public async Task A_stale_socket_is_replaced_and_a_live_one_and_a_file_are_not()
    {
        await using var node = await CellNode.StartAsync();
        var cell = node.Definition("cell-A");
        var path = cell.SocketPath(9001);
        using (var other = new System.Net.Sockets.Socket(System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Unspecified))
        {
            other.Bind(new System.Net.Sockets.UnixDomainSocketEndPoint(path));
            other.Listen();
            var (status, problem) = await PostAsync(node, cell);
            Assert.Equal(HttpStatusCode.InternalServerError, status);
            Assert.Contains("another process listens", problem, StringComparison.Ordinal);
            // .NET removes the file of a socket that it closes; a process that is killed does not.
            File.Move(path, path + ".kept");
        }

        File.Move(path + ".kept", path);
        Assert.Equal(HttpStatusCode.Created, (await PostAsync(node, cell)).Status);

        var file = node.Definition("cell-B");
        await File.WriteAllTextAsync(file.SocketPath(9001), "precious");
        Assert.Equal(HttpStatusCode.InternalServerError, (await PostAsync(node, file)).Status);
        Assert.Equal("precious", await File.ReadAllTextAsync(file.SocketPath(9001)));
    }

    [Fact]
    public async Task A_cell_that_fails_at_silence_is_closed_for_good_even_over_a_restart()
    {
        await using var node = await CellNode.StartAsync();
        await node.AddAsync("cell-A", SilencePolicy.Fail);
        using (var socket = await node.ConnectAsync("cell-A")) await socket.SendAsync(CellNode.Frame("process.spawned", 1, "p", 1));
        await node.SilencedAsync(SilenceReason.Closed);
        await CellNode.UntilAsync(() => !File.Exists(Path.Combine(node.Folder, "cell-A.sock_9001")), "the socket is closed");
        await CellNode.UntilAsync(() => File.ReadAllText(Path.Combine(node.Folder, "data", "cells.json")).Contains("\"failedBy\": \"closed\"", StringComparison.Ordinal), "it is written down");
        await node.RestartAsync();
        var cell = await node.StatusAsync("cell-A");
        Assert.Equal(("failed", "closed"), (cell.GetProperty("state").GetString(), cell.GetProperty("reason").GetString()));
        Assert.False(File.Exists(Path.Combine(node.Folder, "cell-A.sock_9001")));
    }

    [Fact]
    public async Task A_cell_whose_machine_is_slow_to_start_is_told_of_and_does_not_fail()
    {
        await using var node = await CellNode.StartAsync(window: 300);
        await node.AddAsync("cell-A", SilencePolicy.Fail);
        await node.SilencedAsync(SilenceReason.NeverConnected);
        // It comes after all, and only then its silence counts.
        using (var socket = await node.ConnectAsync("cell-A"))
        {
            await socket.SendAsync(CellNode.Frame("process.spawned", 1, "p", 1));
            await node.EventsUntilAsync(e => e.Type == EventTypes.GuestDeclaration);
        }

        await CellNode.UntilAsync(() => !File.Exists(Path.Combine(node.Folder, "cell-A.sock_9001")), "the socket is closed");
        Assert.Equal("failed", (await node.StatusAsync("cell-A")).GetProperty("state").GetString());
    }

    [Fact]
    public async Task The_control_socket_s_folder_is_closed_to_others()
    {
        await using var node = await CellNode.StartAsync();
        await node.AddAsync("cell-A");
        Assert.Equal(
            UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(Path.GetDirectoryName(node.ControlSocket)!));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(node.Folder, "data", "cells.json")));
    }

    static async Task<(HttpStatusCode Status, string Problem)> PostAsync(CellNode node, object body)
    {
        using var control = node.Control();
        var text = body as string ?? JsonSerializer.Serialize((CellDefinition)body, ControlJson.Options);
        using var content = new StringContent(text, Encoding.UTF8, "application/json");
        using var response = await control.PostAsync("v1/cells", content);
        if (!response.IsSuccessStatusCode) Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        return (response.StatusCode, await response.Content.ReadAsStringAsync());
    }
}
