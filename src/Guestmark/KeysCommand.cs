using System.CommandLine;
using Guestmark.CommandLine;
using Guestmark.Events.Signing;

namespace Guestmark;

/// <summary><c>guestmark keys create</c>: keys that nodes sign events with.</summary>
static class KeysCommand
{
    public static Command Create()
    {
        var algorithm = new Option<string>("--algorithm")
        {
            Description = "ecdsa-p256, ed25519, or hmac-sha256, whose key verifies and signs alike",
            HelpName = "NAME",
            DefaultValueFactory = _ => SigningAlgorithms.Names[0],
        };
        algorithm.AcceptOnlyFromAmong([.. SigningAlgorithms.Names]);
        var folder = new Option<string>("--out") { Description = "Where the files go; made with mode 0700 when it is absent", HelpName = "DIR", Required = true };
        var id = new Option<string?>("--key-id") { Description = "The key's id in every event, if it is not to be the key's own", HelpName = "ID" };
        var create = new Command("create", "Makes a key for signing events: ID.key signs and stays on the node, ID.pub verifies. Prints the files")
        {
            algorithm, folder, id,
        }.WithExamples(
            """
            guestmark keys create --out keys
            guestmark keys create --algorithm ed25519 --out keys --key-id node1-2026
            """);
        create.SetAction(parsed =>
        {
            if (parsed.GetValue(id) is { } given && !KeyId.IsValid(given))
                throw new UsageException($"--key-id {given}: use 1 to {KeyId.LengthMax} letters, digits, '-', '_', '.', ':' or '@'");
            try
            {
                var made = SigningKeyFile.Create(SigningAlgorithms.Find(parsed.GetRequiredValue(algorithm))!.Value, parsed.GetRequiredValue(folder), parsed.GetValue(id));
                Console.WriteLine(made.SecretFile);
                if (made.PublicFile is not null) Console.WriteLine(made.PublicFile);
            }
            catch (SigningKeyException e)
            {
                throw new CommandException(e.Message, e);
            }

            return ExitCode.Done;
        });
        return new Command("keys", "Keys that nodes sign events with") { create };
    }
}
