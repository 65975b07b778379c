using Guestmark.TestKit;
using Guestmark.VhostUserVsock;

namespace Guestmark.VmLab;

public sealed class BootTests
{
    [QemuFact]
    public async Task A_machine_boots_and_knows_its_cid()
    {
        await LabImages.MakeAsync();
        using var folder = new TemporaryFolder();
        await using var vsockSwitch = new VsockSwitch(Console.Error.WriteLine);
        vsockSwitch.Attach(1001, folder.File("1001.vhost"));
        await using var machine = await VirtualMachine.BootAsync("guest", folder.Path, folder.File("1001.vhost"), 192);
        Assert.Equal("1001", await machine.RunAsync("vsock cid"));
        Assert.Equal(1, (await machine.TryAsync("echo x | vsock push 818")).ExitCode);
    }
}
