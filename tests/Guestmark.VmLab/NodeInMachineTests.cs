using System.Buffers.Binary;
using Guestmark.Events;
using Guestmark.Wire.Framing;

namespace Guestmark.VmLab;

/// <summary>Establishes that what the node says of a guest over AF_VSOCK is what the kernels of both know: a real node, real guests, real sockets.</summary>
[Collection(VirtualMachines.Name)]
public sealed class NodeInMachineTests(NodeLab lab) : IClassFixture<NodeLab>
{
    [QemuFact]
    public async Task Two_agents_push_and_the_stamps_carry_their_true_cids()
    {
        Assert.Equal("2", await lab.Node.RunAsync("vsock cid"));
        await lab.Web.InstallAsync("web-server");
        await lab.Database.InstallAsync("database-server");
        await Task.WhenAll(lab.Web.ReportAsync(), lab.Database.ReportAsync());

        var network = await lab.Node.RunAsync("readlink /proc/self/ns/net");
        var events = await lab.EventsAsync();
        foreach (var (uid, cid, name, package) in new[] { (NodeLab.WebUid, 1001u, "web", "web-server"), (NodeLab.DatabaseUid, 1002u, "database", "database-server") })
        {
            var report = Assert.Single(events, e => e.HasPackage(package));
            Assert.Equal(uid, report.Subject);
            Assert.Equal($"//lab/host/{name}", report.Source);
            Assert.Equal($"{cid}", report.Attribute("guestcid"));
            Assert.Equal("818", report.Attribute("guestport"));
            Assert.Equal(network, $"net:[{report.Attribute("netns")}]");
        }
    }

    [QemuFact]
    public async Task A_guest_that_claims_the_others_cid_is_refused_and_the_attempt_is_an_event()
    {
        var claim = Reports.Small("claims to be the database", cid: "1002");
        Assert.Equal($"status {(uint)PushStatus.IdentityMismatch}", await lab.Web.VsockAsync("push", NodeLab.PushPort, claim));

        var attempt = await lab.WaitForEventAsync(e => e.Refusal() is { Reason: RefusalReason.IdentityMismatch });
        Assert.Equal((NodeLab.WebUid, "1001"), (attempt.Subject, attempt.Attribute("guestcid")));
        Assert.Equal("1002", attempt.Refusal()!.Claimed);
        Assert.DoesNotContain(await lab.EventsAsync(), e => e.IsReport("claims to be the database"));

        // Its own CID it may name.
        Assert.Equal("status 0", await lab.Web.VsockAsync("push", NodeLab.PushPort, Reports.Small("names itself", cid: "1001")));
    }

    [QemuFact]
    public async Task A_guest_that_no_registry_knows_is_told_so()
    {
        await using var stranger = await lab.BootGuestAsync("stranger", NodeLab.StrangerCid);
        Assert.Equal($"status {(uint)PushStatus.UnknownGuest}", await stranger.VsockAsync("push", NodeLab.PushPort, Reports.Small("stranger")));
        var attempt = await lab.WaitForEventAsync(e => e.Refusal() is { Reason: RefusalReason.UnknownGuest });
        Assert.Equal("1003", attempt.Attribute("guestcid"));
        Assert.DoesNotContain(await lab.EventsAsync(), e => e.IsReport("stranger"));
    }

    [QemuFact]
    public async Task Where_a_privileged_source_port_is_demanded_only_roots_port_will_do()
    {
        var anybody = Reports.Small("anybody");
        Assert.Equal($"status {(uint)PushStatus.UnprivilegedPort}", await lab.Web.VsockAsync("push", NodeLab.PrivilegedPort, anybody, "-s 2048"));
        Assert.Equal("status 0", await lab.Web.VsockAsync("push", NodeLab.PrivilegedPort, Reports.Small("root"), "-s 700"));

        // The guest's kernel keeps those ports from users.
        Assert.Equal("bind: Permission denied", await lab.Web.VsockAsync("push", NodeLab.PrivilegedPort, anybody, "-s 701 -u 1000"));
        Assert.Equal("820", (await lab.WaitForEventAsync(e => e.IsReport("root"))).Attribute("guestport"));
        await lab.WaitForEventAsync(e => e.Refusal() is { Reason: RefusalReason.UnprivilegedPort });
    }

    [QemuFact]
    public async Task StackRox_agents_push_without_a_frame_and_without_an_answer()
    {
        var report = Reports.Small("as StackRox");
        Assert.Equal("closed", await lab.Database.VsockAsync("raw", NodeLab.StackRoxPort, report));
        var stored = await lab.WaitForEventAsync(e => e.IsReport("as StackRox"));
        Assert.Equal(report, stored.Data.ToArray());
        Assert.Equal((NodeLab.DatabaseUid, "1002", "819"), (stored.Subject, stored.Attribute("guestcid"), stored.Attribute("guestport")));
    }

    /// <summary>A refusal is written before the guest has written all; closing a vsock with bytes unread must not take it away.</summary>
    [QemuFact]
    public async Task A_refusal_reaches_a_guest_that_is_still_writing()
    {
        var output = await lab.Web.RunAsync(
            $"for i in 1 2 3 4 5; do {{ printf '\\001\\000\\020\\000'; head -c 1048577 /dev/zero; }} | vsock write {NodeLab.PushPort} | grep status; done");
        Assert.Equal(Enumerable.Repeat($"status {(uint)PushStatus.BodyTooLong}", 5), output.Split('\n'));
    }

    [QemuFact]
    public async Task A_guest_that_dies_within_a_message_leaves_nothing_and_may_come_back()
    {
        var report = Reports.Small("half of it");
        var half = new byte[4 + (report.Length / 2)];
        BinaryPrimitives.WriteInt32LittleEndian(half, report.Length);
        report.AsSpan(0, half.Length - 4).CopyTo(half.AsSpan(4));
        await lab.Web.WriteFileAsync("/tmp/half", half);
        await lab.Web.RunAsync($"vsock hold {NodeLab.PushPort} < /tmp/half > /tmp/held &");
        await lab.Web.WaitForAsync("grep -q holding /tmp/held");
        await lab.RebootWebAsync();

        // The registry learns of the new boot, and the stamps say which one it was.
        Assert.Equal("status 0", await lab.Web.VsockAsync("push", NodeLab.PushPort, Reports.Small("second boot")));
        await lab.Node.WriteFileAsync("/data/guests.new", NodeLab.Registry(webEpoch: "2"));
        await lab.Node.RunAsync("mv /data/guests.new /data/guests.json");
        await lab.WaitForEventAsync(e => e.Attribute("bootepoch") == "2", async () =>
            Assert.Equal("status 0", await lab.Web.VsockAsync("push", NodeLab.PushPort, Reports.Small("second boot, known"))));
        var events = await lab.EventsAsync();
        Assert.All(events.Where(e => e.Mark().StartsWith("second boot", StringComparison.Ordinal)), e => Assert.Equal((NodeLab.WebUid, "1001"), (e.Subject, e.Attribute("guestcid"))));
        Assert.DoesNotContain(await lab.EventsAsync(), e => e.IsReport("half of it"));
    }

    [QemuFact]
    public async Task What_the_node_acknowledged_is_there_after_its_power_failed()
    {
        var marks = Enumerable.Range(0, 20).Select(i => $"acknowledged {i}").ToList();
        foreach (var mark in marks) Assert.Equal("status 0", await lab.Database.VsockAsync("push", NodeLab.PushPort, Reports.Small(mark)));

        // The cut is a real one: what a program wrote and nobody flushed is gone.
        await lab.Node.RunAsync("echo unflushed > /data/unflushed");
        await lab.LosePowerAsync();
        Assert.DoesNotContain("unflushed", (await lab.Node.TryAsync("cat /data/unflushed 2>/dev/null")).Output, StringComparison.Ordinal);

        var reports = (await lab.EventsAsync()).Select(e => e.Mark()).ToList();
        Assert.All(marks, mark => Assert.Single(reports, mark));

        // The node takes up the same spool.
        await lab.Database.ReportAsync();
        Assert.Equal("status 0", await lab.Database.VsockAsync("push", NodeLab.PushPort, Reports.Small("after the failure")));
        var all = (await lab.EventsAsync()).ToList();
        Assert.Contains(all, e => e.IsReport("after the failure"));
        Assert.Contains(all, e => e.IsReport(marks[0]));
    }
}
