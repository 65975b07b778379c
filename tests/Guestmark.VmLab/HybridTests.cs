using System.Buffers.Binary;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Guestmark.Events;
using Guestmark.Wire.Framing;

namespace Guestmark.VmLab;

/// <summary>Establishes that a guest's own kernel and this machine's Unix sockets, as Firecracker joins them, are a channel in both directions.</summary>
[Collection(VirtualMachines.Name)]
public sealed class HybridTests(HybridLab lab) : IClassFixture<HybridLab>
{
    [QemuFact]
    public async Task An_agent_reports_through_the_machines_unix_socket()
    {
        await lab.Machine.InstallAsync("web-server");
        await lab.Machine.ReportAsync();
        var report = await lab.WaitForEventAsync(e => e.HasPackage("web-server"));
        Assert.Equal((HybridLab.Uid, "//lab/host/web"), (report.Subject, report.Source));
        Assert.Null(report.Attribute("guestcid"));
    }

    [QemuFact]
    public async Task A_refusal_reaches_a_guest_that_is_still_writing()
    {
        // The header names 16 MiB and a byte; 17 of them follow.
        var output = await lab.Machine.RunAsync(
            "for i in 1 2 3; do { printf '\\001\\000\\000\\001'; head -c 17825792 /dev/zero; } | vsock write 818 | grep status; done");
        Assert.Equal(Enumerable.Repeat($"status {(uint)PushStatus.BodyTooLong}", 3), output.Split('\n'));
    }

    [QemuFact]
    public async Task Where_nobody_listens_the_agent_says_so()
    {
        await lab.Machine.InstallAsync("web-server");
        var (exitCode, output) = await lab.Machine.TryAsync(
            "guestmark-agent --host-path /guest --repo-cpe-url '' --state-dir /tmp/state --lock-file /tmp/other --timeout 2s --port 817");
        Assert.Equal(1, exitCode);
        Assert.Contains("nobody listens on the host's port 817", output, StringComparison.Ordinal);
    }

    [QemuFact]
    public async Task What_a_cell_starts_is_declared_under_the_cells_name_and_its_end_is_noticed()
    {
        await lab.ControlAsync("cell", "add", "cell-1", "--run", "run-1", "--socket-base", lab.SocketBase, "--spec-hash", "00ff");
        await lab.Machine.RunAsync("guestmark-agent declare > /tmp/declare.log 2>&1 & echo $! > /tmp/declare.pid");
        // The agent declares what starts after it; what it says only to show that it lives is not stored.
        await lab.Machine.RunAsync("cp /bin/busybox /tmp/sleep; (while [ -e /tmp/sleep ]; do /tmp/sleep 1; done) > /dev/null 2>&1 &");
        var declared = await lab.WaitForEventAsync(e => e.Declarations().Any(d => d is { GuestComm: "sleep", ProbeSource: "process.spawned" }));
        Assert.Equal(("cell-1", "cell-1", "run-1"), (declared.Subject, declared.Attribute("cellid"), declared.Attribute("runid")));
        Assert.EndsWith("00ff", declared.Attribute("specsignaturehash"), StringComparison.Ordinal);

        // The kernel closes what a killed process had open.
        await lab.Machine.RunAsync("kill -9 $(cat /tmp/declare.pid); rm /tmp/sleep");
        var silenced = await lab.WaitForEventAsync(
            e => e.Type == EventTypes.GuestSilenced && GuestSilenced.Parser.ParseFrom(e.Data.Span).Reason == SilenceReason.Closed);
        Assert.Equal("run-1", silenced.Attribute("runid"));
    }

    [QemuFact]
    public async Task A_sensors_side_dials_the_agent_that_serves()
    {
        await lab.Machine.InstallAsync("web-server");
        await lab.Machine.WriteFileAsync("/tmp/ca.pem", await File.ReadAllBytesAsync(Path.Combine(lab.Certificates, "ca", "ca.pem")));
        await lab.Machine.RunAsync("guestmark-agent serve --host-path /guest --repo-cpe-url '' --state-dir /tmp/served --ca-file /tmp/ca.pem > /tmp/serve.log 2>&1 &");
        await lab.Machine.WaitForAsync("grep -q scanned /tmp/serve.log");

        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(lab.SocketBase));
        await using var stream = new NetworkStream(socket);
        await stream.WriteAsync("CONNECT 818\n"u8.ToArray());
        var answer = new List<byte>();
        while (answer is not [.., (byte)'\n']) answer.Add((byte)stream.ReadByte());
        Assert.StartsWith("OK ", Encoding.ASCII.GetString([.. answer]), StringComparison.Ordinal);

        await using var tls = new SslStream(stream);
        using var certificate = X509Certificate2.CreateFromPemFile(
            Path.Combine(lab.Certificates, "node", "cert.pem"), Path.Combine(lab.Certificates, "node", "key.pem"));
        await tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
        {
            TargetHost = "guestmark-agent",
            ClientCertificateContext = SslStreamCertificateContext.Create(certificate, null, offline: true),
            // As virt-handler does: it knows the machine by the channel.
            RemoteCertificateValidationCallback = (_, _, _, _) => true,
        });

        // u32 BE length and VMServiceRequest { get_report = 2 {} }; the answer holds the report.
        await tls.WriteAsync((byte[])[0, 0, 0, 2, 2 << 3 | 2, 0]);
        var header = new byte[4];
        await tls.ReadExactlyAsync(header);
        var response = new byte[BinaryPrimitives.ReadUInt32BigEndian(header)];
        await tls.ReadExactlyAsync(response);
        Assert.True(response.AsSpan().IndexOf("web-server"u8) > 0, Convert.ToHexString(response));
    }
}
