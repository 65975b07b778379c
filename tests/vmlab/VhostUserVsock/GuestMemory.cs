using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;

namespace Guestmark.VhostUserVsock;

/// <summary>
/// The memory of a virtual machine, as its monitor shares it. Every address in it that a guest or the monitor names is looked up here with its
/// length: a span either lies within one region as a whole or is refused.
/// </summary>
public sealed unsafe class GuestMemory : IDisposable
{
    /// <summary>VHOST_MEMORY_BASELINE_NREGIONS of QEMU: regions in one message.</summary>
    public const int RegionsMax = 8;

    readonly List<Region> _regions = [];

    /// <summary>Maps a region. The file must hold all of it, or touching the rest would end this process by SIGBUS.</summary>
    /// <param name="guestAddress">Where the guest sees it.</param>
    /// <param name="monitorAddress">Where the virtual machine monitor sees it; ring addresses are given so.</param>
    /// <param name="offset">Where it begins in <paramref name="file"/>.</param>
    /// <exception cref="VhostUserException">The region is empty, wraps around or does not lie in the file.</exception>
    public void Map(SafeFileHandle file, ulong guestAddress, ulong bytes, ulong monitorAddress, ulong offset)
    {
        var fileBytes = (ulong)RandomAccess.GetLength(file);
        if (bytes == 0 || guestAddress + bytes < guestAddress || monitorAddress + bytes < monitorAddress)
            throw new VhostUserException($"a memory region of {bytes} bytes at {guestAddress:x}");
        if (offset > fileBytes || bytes > fileBytes - offset)
            throw new VhostUserException($"a memory region of {bytes} bytes from {offset} in a file of {fileBytes}");

        var mapping = MemoryMappedFile.CreateFromFile(
            file, mapName: null, (long)fileBytes, MemoryMappedFileAccess.ReadWrite, HandleInheritability.None, leaveOpen: false);
        var view = mapping.CreateViewAccessor((long)offset, (long)bytes);
        byte* start = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        _regions.Add(new Region(guestAddress, monitorAddress, bytes, start + view.PointerOffset, mapping, view));
    }

    /// <summary>Bytes at an address of the guest.</summary>
    /// <exception cref="VirtqueueException">They do not lie in one region.</exception>
    public Span<byte> AtGuest(ulong address, uint bytes)
    {
        foreach (var region in _regions)
        {
            var offset = address - region.GuestAddress;
            if (address >= region.GuestAddress && offset < region.Bytes && bytes <= region.Bytes - offset)
                return new Span<byte>(region.Start + offset, checked((int)bytes));
        }

        throw new VirtqueueException($"no memory of the guest at {address:x}, {bytes} bytes");
    }

    /// <summary>The place of something that the monitor put at one of its own addresses.</summary>
    /// <exception cref="VhostUserException">It does not lie in one region.</exception>
    public byte* AtMonitor(ulong address, ulong bytes)
    {
        foreach (var region in _regions)
        {
            var offset = address - region.MonitorAddress;
            if (address >= region.MonitorAddress && offset < region.Bytes && bytes <= region.Bytes - offset) return region.Start + offset;
        }

        throw new VhostUserException($"no memory of the monitor at {address:x}, {bytes} bytes");
    }

    public void Dispose()
    {
        foreach (var region in _regions)
        {
            region.View.SafeMemoryMappedViewHandle.ReleasePointer();
            region.View.Dispose();
            region.Mapping.Dispose();
        }

        _regions.Clear();
    }

    sealed class Region(ulong guestAddress, ulong monitorAddress, ulong bytes, byte* start, MemoryMappedFile mapping, MemoryMappedViewAccessor view)
    {
        public readonly ulong GuestAddress = guestAddress;
        public readonly ulong MonitorAddress = monitorAddress;
        public readonly ulong Bytes = bytes;
        public readonly byte* Start = start;
        public readonly MemoryMappedFile Mapping = mapping;
        public readonly MemoryMappedViewAccessor View = view;
    }
}
