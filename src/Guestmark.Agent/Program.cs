using System.CommandLine;
using Guestmark.Agent;
using Guestmark.Agent.Declaring;
using Guestmark.Agent.Reporting;
using Guestmark.Agent.Serving;
using Guestmark.CommandLine;

var root = new RootCommand("Reports what is installed in this machine to its host. Without a command: scans once and sends the report.")
{
    ScanCommand.Create(),
    ServeCommand.Create(),
    DeclareCommand.Create(),
    CompletionCommand.Create("guestmark-agent"),
}.WithExamples(
    """
    guestmark-agent
    guestmark-agent --daemon --index-interval 4h
    guestmark-agent --socket /run/vm/vsock.sock_818 --host-path /mnt/guest --distro almalinux:8
    guestmark-agent scan --output json
    """);
PushCommand.Configure(root);
return await CommandLineProgram.RunAsync(root, args);
