using System.Reflection;
using System.Runtime.CompilerServices;
using Google.Protobuf;
using Guestmark.Events.CloudEvents;
using Guestmark.TestKit;

namespace Guestmark.Events.Tests;

/// <summary>Establishes what an event carries, that hops read what the node wrote, and that nobody else can write one.</summary>
public sealed class StampedEventTests
{
    static readonly DateTimeOffset Now = new(2026, 3, 4, 5, 6, 7, 890, TimeSpan.Zero);

    [Fact]
    public void A_hop_reads_what_the_node_stamped()
    {
        var channel = new ChannelIdentity("//lab/node1/web1", "uid-1") { GuestCid = uint.MaxValue - 1, GuestPort = 818 };
        var stamped = StampedEvent.Stamp(channel, EventTypes.InventoryReport, "virtualmachine.v1.VMReport", [1, 2, 3], new EventPosition("s", 7), Now);

        Assert.Null(StampedEvent.TryRead(stamped.Encoded, out var read));
        Assert.Equal("//lab/node1/web1", read!.Source);
        Assert.Equal("uid-1", read.Subject);
        Assert.Equal(EventTypes.InventoryReport, read.Type);
        Assert.Equal(new EventPosition("s", 7), read.Position);
        Assert.Equal(Now, read.Time);
        Assert.Equal([1, 2, 3], read.Data.ToArray());
        Assert.Equal(stamped.Id, read.Id);
        Assert.Equal(7, Guid.Parse(read.Id).Version);
    }

    [Fact]
    public void A_context_id_over_two_billion_stays_positive()
    {
        // KubeVirt draws context ids from the whole u32 range; as a signed number half of them would be negative.
        var channel = new ChannelIdentity("//lab/node1/web1", "uid-1") { GuestCid = 3_000_000_000 };
        var stamped = StampedEvent.Stamp(channel, "t", "d", [], new EventPosition("s", 1), Now);
        var cloudEvent = CloudEvent.Parser.ParseFrom(stamped.Encoded.Span);
        Assert.Equal("3000000000", cloudEvent.Attributes["guestcid"].CeString);
        Assert.Equal("00000000000000000001", cloudEvent.Attributes["sequence"].CeString);
    }

    [Theory]
    [InlineData("id")]
    [InlineData("source")]
    [InlineData("type")]
    [InlineData("specversion")]
    [InlineData("subject")]
    [InlineData("time")]
    [InlineData("stream")]
    [InlineData("sequence")]
    [InlineData("data")]
    public void An_event_that_lacks_an_attribute_is_refused_by_its_name(string missing)
    {
        var cloudEvent = CloudEvent.Parser.ParseFrom(new NodeEvents().Stamp("uid-1", "t", "d", [1], Now).Encoded.Span);
        switch (missing)
        {
            case "id": cloudEvent.Id = ""; break;
            case "source": cloudEvent.Source = ""; break;
            case "type": cloudEvent.Type = ""; break;
            case "specversion": cloudEvent.SpecVersion = ""; break;
            case "data": cloudEvent.ClearData(); break;
            default: cloudEvent.Attributes.Remove(missing); break;
        }

        Assert.Contains(missing, StampedEvent.TryRead(cloudEvent.ToByteArray(), out var read), StringComparison.Ordinal);
        Assert.Null(read);
    }

    [Fact]
    public void Mutated_events_are_values_or_errors_never_exceptions()
    {
        var original = new NodeEvents().Stamp("uid-1", "t", "d", new byte[40], Now).Encoded.ToArray();
        for (var seed = 0; seed < 50_000; seed++)
        {
            var random = new Random(seed);
            var bytes = (byte[])original.Clone();
            for (var change = random.Next(1, 5); change > 0; change--) bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            var problem = StampedEvent.TryRead(bytes.AsMemory(0, random.Next(4) == 0 ? random.Next(bytes.Length) : bytes.Length), out var read);
            Assert.Equal(problem is null, read is not null);
        }
    }

    [Fact]
    public void Only_the_node_can_make_an_identity_or_a_stamp()
    {
        var assembly = typeof(StampedEvent).Assembly;
        var friends = assembly.GetCustomAttributes<InternalsVisibleToAttribute>().Select(a => a.AssemblyName);
        Assert.Equal(["Guestmark.Benchmarks", "Guestmark.Events.Tests", "Guestmark.Node", "Guestmark.TestKit"], friends.Order());

        Assert.Empty(typeof(ChannelIdentity).GetConstructors());
        Assert.Empty(typeof(StampedEvent).GetConstructors());
        Assert.All(
            typeof(ChannelIdentity).GetProperties(),
            property => Assert.False(property.SetMethod is { IsPublic: true }, $"{property.Name} can be set by anybody"));

        // The only public way to a StampedEvent reads the bytes of another hop.
        var makers = assembly.GetExportedTypes().SelectMany(type => type.GetMethods()).Where(Makes).Select(method => method.Name);
        Assert.Equal(["TryRead"], makers.Distinct());

        static bool Makes(MethodInfo method) =>
            method.ReturnType == typeof(StampedEvent) || method.GetParameters().Any(p => p.IsOut && p.ParameterType.GetElementType() == typeof(StampedEvent));
    }
}
