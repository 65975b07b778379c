using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests;

public sealed class InventoryFingerprintTests : IDisposable
{
    readonly GuestTree _tree = new GuestTree()
        .File("var/lib/dpkg/status", "Package: p\n").Folder("var/cache/dnf/rhel-9-for-x86_64-baseos-rpms-0123456789abcdef/repodata");

    // Later than any file of the test, so that none may have changed within a tick of the clock.
    readonly ManualTimeProvider _later = new(DateTimeOffset.UnixEpoch.AddYears(200));

    public void Dispose() => _tree.Dispose();

    InventoryFingerprint Take(TimeProvider? time = null) => InventoryFingerprint.Take(new InventoryScanOptions { HostPath = _tree.Root }, time ?? _later);

    [Fact]
    public void A_database_that_is_written_is_a_change()
    {
        var before = Take();
        Assert.True(Take().IsUnchangedSince(before));

        _tree.File("var/lib/dpkg/status", "Package: p\n\nPackage: q\n");
        Assert.False(Take().IsUnchangedSince(before));
    }

    [Fact]
    public void A_refresh_of_dnfs_cache_is_no_change_and_a_new_repository_in_it_is_one()
    {
        var before = Take();

        _tree.File("var/cache/dnf/rhel-9-for-x86_64-baseos-rpms.solv", "new").File("var/cache/dnf/last_makecache", "")
            .File("var/cache/dnf/rhel-9-for-x86_64-baseos-rpms-0123456789abcdef/repodata/repomd.xml", "new")
            .File("var/cache/dnf/rhel-9-for-x86_64-baseos-rpms-0123456789abcdef/metalink.xml", "new");
        Assert.True(Take().IsUnchangedSince(before));

        _tree.Folder("var/cache/dnf/rhel-9-for-x86_64-appstream-rpms-0123456789abcdef");
        Assert.False(Take().IsUnchangedSince(before));
        Directory.Delete(_tree.Path("var/cache/dnf/rhel-9-for-x86_64-appstream-rpms-0123456789abcdef"));
        Assert.True(Take().IsUnchangedSince(before));

        _tree.Folder("var/cache/libdnf5");
        Assert.False(Take().IsUnchangedSince(before));
    }

    [Fact]
    public void A_file_that_may_have_changed_within_a_tick_of_the_clock_counts_as_changed()
    {
        var written = new DateTimeOffset(File.GetLastWriteTimeUtc(_tree.Path("var/lib/dpkg/status")));

        Assert.False(Take().IsUnchangedSince(Take(new ManualTimeProvider(written.AddMilliseconds(50)))));
        Assert.True(Take().IsUnchangedSince(Take(new ManualTimeProvider(written.AddSeconds(2)))));
    }
}
