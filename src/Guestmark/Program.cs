using System.CommandLine;
using Guestmark;
using Guestmark.CommandLine;
using Guestmark.Configuration;
using Guestmark.Diagnosis;

var root = new RootCommand("Guestmark tells what runs inside virtual machines, witnessed by the host.")
{
    UpCommand.Create(),
    NodeCommand.Create(),
    GuestCommand.Create(),
    CellCommand.Create(),
    SensorCommand.Create(),
    CentralCommand.Create(),
    ConfigCommand.Create(),
    DoctorCommand.Create(),
    CertsCommand.Create(),
    KeysCommand.Create(),
    VerifyCommand.Create(),
    VulndbCommand.Create(),
    MatchCommand.Create(),
    VersionsCommand.Create(),
    SpoolCommand.Create(),
    CompletionCommand.Create("guestmark"),
}.WithExamples(
    """
    guestmark up
    guestmark up --once --guest web1=/mnt/web1,distro=almalinux:8 --feed almalinux-osv.zip
    guestmark vulndb import almalinux-osv.zip
    guestmark match --root / --fail-on critical
    guestmark certs create --directory certs --name node1
    """);
return await CommandLineProgram.RunAsync(root, args);
