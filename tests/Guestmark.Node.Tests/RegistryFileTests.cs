using System.Text;
using Guestmark.Node.Identity;
using Guestmark.TestKit;

namespace Guestmark.Node.Tests;

/// <summary>Establishes that the registry's file gives guests, or says in one line what is wrong with it, whatever it holds.</summary>
public sealed class RegistryFileTests
{
    static readonly NodeOptions Options = new() { Node = "node1", DataDirectory = "/", SensorEndpoint = new Uri("https://sensor"), Certificates = "/" };

    [Fact]
    [Trait("Category", "Fuzz")]
    public void Any_bytes_are_guests_or_a_named_problem_and_never_a_registry_that_contradicts_itself()
    {
        using var folder = new TemporaryFolder(TemporaryFolder.Memory);
        var path = folder.File("guests.json");
        var registry = new GuestRegistry(new NodeConfiguration(Options), TimeProvider.System);
        var random = new Random(20261123);
        var seed = Encoding.UTF8.GetBytes("""
            {"guests": [{"uid": "\u0075-1", "name": "web1", "cid": 5, "networkNamespace": 4026531840, "bootEpoch": "b1", "weight": 7},
              {"name": "web2", "socketBase": "/run/vm/web2.sock", "cid": 6}, /* more */ {"name": "web3", "cid": 4294967294}, ]}
            """);
        File.WriteAllBytes(path, seed);
        Assert.Empty(registry.Replace(GuestSource.File, RegistryFile.Read(path, Options)));
        Assert.Equal(3, registry.All.Count);
        for (var i = 0; i < Damage.Inputs(2000); i++)
        {
            File.WriteAllBytes(path, Damage.Mutate(seed, random));
            IReadOnlyList<GuestOptions> guests;
            try
            {
                guests = RegistryFile.Read(path, Options);
            }
            catch (InvalidDataException e)
            {
                Assert.StartsWith(path, e.Message, StringComparison.Ordinal);
                Assert.InRange(e.Message.Length, path.Length + 1, path.Length + 1000);
                continue;
            }

            var before = registry.All;
            if (registry.Replace(GuestSource.File, guests) is { Count: > 0 })
            {
                Assert.Same(before, registry.All);
                continue;
            }

            Assert.Equal(guests, registry.All.Select(channel => channel.Guest));
            // Who has no socket is found by the context id, unless that holds in another namespace.
            Assert.All(registry.All, channel => Assert.True(
                channel.Guest is { SocketBase: not null } or { NetworkNamespace: not null } || registry.Find(channel.Guest.Cid!.Value) == channel));
            Assert.Equal(guests.Count, guests.Select(guest => guest.Uid).Distinct().Count());
        }
    }
}
