using System.Runtime.InteropServices;
using Guestmark.VhostUserVsock;

// vhost-user-vsock [-v] CID=VHOST_USER_SOCKET[,HYBRID_BASE] ... : a switch until SIGTERM or SIGINT.
var machines = args.Where(argument => argument != "-v").Select(argument => argument.Split('=', 2)).ToList();
if (machines.Count == 0 || machines.Any(machine => machine.Length != 2 || !uint.TryParse(machine[0], out _)))
{
    Console.Error.WriteLine("usage: vhost-user-vsock [-v] CID=VHOST_USER_SOCKET[,HYBRID_BASE] ...");
    return 2;
}

var stopped = new TaskCompletionSource();
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
await using var vsockSwitch = new VsockSwitch(args.Contains("-v") ? Console.Error.WriteLine : null);
foreach (var machine in machines)
{
    var paths = machine[1].Split(',', 2);
    vsockSwitch.Attach(uint.Parse(machine[0]), paths[0], paths.ElementAtOrDefault(1));
}

Console.WriteLine("ready");
await stopped.Task;
Console.WriteLine(vsockSwitch.Counters);
return 0;

void Stop(PosixSignalContext context)
{
    context.Cancel = true;
    stopped.TrySetResult();
}
