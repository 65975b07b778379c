using System.CommandLine;
using Guestmark.CommandLine;
using Guestmark.Node;

namespace Guestmark;

/// <summary><c>guestmark certs create</c>: certificates for trying out roles as separate processes.</summary>
static class CertsCommand
{
    public static Command Create()
    {
        var directory = new Option<string>("--directory")
        {
            Description = "Holds the certificate authority in ca/ and one folder for each name; existing ones are kept",
            HelpName = "DIR",
            Required = true,
        };
        var names = new Option<string[]>("--name")
        {
            Description = "The name of a process, which is put into its certificate. Repeatable",
            HelpName = "NAME",
            Required = true,
        };
        var create = new Command("create", "Makes a certificate authority and certificates of it") { directory, names }.WithExamples(
            """
            guestmark certs create --directory certs --name node1 --name sensor --name central
            """);
        create.SetAction(parsed =>
        {
            var folder = parsed.GetRequiredValue(directory);
            foreach (var name in parsed.GetRequiredValue(names))
            {
                // The name is a folder's, beside that of the authority.
                if (!NodeOptions.IsName(name) || name is "ca" or "." or "..")
                    throw new UsageException($"--name {name}: use 1 to 63 letters, digits, '-', '_' or '.', and not 'ca'");
            }

            Certificates.Create(folder, parsed.GetRequiredValue(names), TimeProvider.System);
            foreach (var name in parsed.GetRequiredValue(names)) Console.WriteLine(Path.Combine(folder, name));
            return ExitCode.Done;
        });
        return new Command("certs", "Certificates for the connections between processes") { create };
    }
}
