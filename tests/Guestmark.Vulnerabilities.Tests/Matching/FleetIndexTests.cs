using Guestmark.Inventory;
using static Guestmark.Vulnerabilities.Tests.AlmaLinuxFixture;

namespace Guestmark.Vulnerabilities.Tests;

public class FleetIndexTests
{
    static readonly AdvisoryDatabase Database = Databases.Of(
        Advisory("ALSA-1", "curl", "2-1"), Advisory("ALSA-2", "curl", "3-1"), Advisory("ALSA-3", "node:18", "2-1"));

    [Fact]
    public void An_advisory_finds_the_machines_that_have_an_affected_package()
    {
        var fleet = new FleetIndex();
        fleet.AddSet(1, AlmaLinux8, [Rpm("curl", "1-1"), Rpm("bash", "1-1")]);
        fleet.AddSet(2, AlmaLinux8, [Rpm("curl", "2-1"), Rpm("bash", "1-1")]);
        fleet.AddSet(3, new OsRelease("almalinux", "9.4", ""), [Rpm("curl", "1-1")]);
        fleet.MoveMachine(10, 1);
        fleet.MoveMachine(11, 1);
        fleet.MoveMachine(20, 2);
        fleet.MoveMachine(30, 3);
        Assert.Equal((4, 3, 4), (fleet.MachineCount, fleet.SetCount, fleet.PackageCount));
        Assert.Equal([10, 11], Affected(fleet, "ALSA-1"));
        Assert.Equal([10, 11, 20], Affected(fleet, "ALSA-2"));
        Assert.Equal([10, 11, 20, 30], fleet.Concerned(["curl"]).Machines.Order());
        Assert.Empty(fleet.Concerned(["wget"]).Machines);

        fleet.MoveMachine(10, 2);
        Assert.Equal([11], Affected(fleet, "ALSA-1"));
        Assert.True(fleet.RemoveMachine(11));
        Assert.False(fleet.RemoveMachine(11));
        Assert.Empty(Affected(fleet, "ALSA-1"));
        Assert.True(fleet.RemoveSet(1));
        Assert.False(fleet.RemoveSet(1));
        Assert.Equal(3, fleet.PackageCount);
        Assert.Throws<InvalidOperationException>(() => fleet.RemoveSet(2));
        Assert.Throws<ArgumentException>(() => fleet.MoveMachine(10, 1));
    }

    /// <summary>After any sequence of changes it answers as a walk over all machines does.</summary>
    [Fact]
    public void After_any_changes_it_agrees_with_a_walk_over_all_machines()
    {
        var random = new Random(1);
        var fleet = new FleetIndex();
        var sets = new Dictionary<long, Package[]>();
        var machines = new Dictionary<long, long>();
        var matcher = new Matcher(Database);
        for (var step = 0; step < 3000; step++)
        {
            var machine = random.NextInt64(40);
            var set = random.NextInt64(12);
            switch (random.Next(5))
            {
                case 0 when !sets.ContainsKey(set):
                    sets[set] = [.. Enumerable.Range(0, random.Next(1, 5)).Select(_ => Rpm(random.Next(2) == 0 ? "curl" : "bash", $"{random.Next(1, 4)}-1"))];
                    fleet.AddSet(set, AlmaLinux8, sets[set]);
                    break;
                case 1 when sets.ContainsKey(set) && !machines.ContainsValue(set):
                    sets.Remove(set);
                    Assert.True(fleet.RemoveSet(set));
                    break;
                case 2:
                    Assert.Equal(machines.Remove(machine), fleet.RemoveMachine(machine));
                    break;
                case > 2 when sets.ContainsKey(set):
                    machines[machine] = set;
                    fleet.MoveMachine(machine, set);
                    break;
            }

            if (step % 10 != 0) continue;
            foreach (var advisory in (string[])["ALSA-1", "ALSA-2"])
            {
                var expected = machines.Where(entry => Match(Database, AlmaLinux8, sets[entry.Value]).Exists(finding => finding.AdvisoryId == advisory));
                Assert.Equal(expected.Select(entry => entry.Key).Order(), fleet.Affected(matcher, advisory).Machines.Order());
            }
        }
    }

    [Fact]
    public void Packages_are_found_by_source_and_module_too()
    {
        var fleet = new FleetIndex();
        fleet.AddSet(1, AlmaLinux8, [Rpm("libcurl", "1-1", "web:2:3:4") with { SourceName = "curl" }]);
        fleet.MoveMachine(1, 1);
        foreach (var name in (string[])["libcurl", "curl", "web:2"]) Assert.Equal([1], fleet.Concerned([name]).Machines);
        Assert.True(fleet.RemoveMachine(1));
        Assert.True(fleet.RemoveSet(1));
        foreach (var name in (string[])["libcurl", "curl", "web:2"]) Assert.Empty(fleet.Concerned([name]).Packages);
    }

    static IEnumerable<long> Affected(FleetIndex fleet, string advisory) => fleet.Affected(new Matcher(Database), advisory).Machines.Order();

    static Advisory Advisory(string id, string name, string version) => new()
    {
        Feed = FeedName.Osv,
        Id = id,
        Statements = [new PackageStatement { Product = "AlmaLinux:8", Name = name, Intervals = [VersionInterval.FixedIn(version)] }],
    };
}
