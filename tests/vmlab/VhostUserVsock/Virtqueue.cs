using System.Buffers.Binary;

namespace Guestmark.VhostUserVsock;

/// <summary>A split virtqueue, seen from the device. Everything in it is written by the guest's driver and believed only as far as it is checked.</summary>
/// <remarks>
/// virtio 1.2, 2.7, little endian, with <c>n</c> entries, a power of two:
/// <code>
/// descriptors  n x { le64 addr; le32 len; le16 flags; le16 next; }   flags: 1 NEXT, 2 WRITE (for the device), 4 INDIRECT (not offered)
/// available    { le16 flags; le16 idx; le16 ring[n]; }               flags: 1 NO_INTERRUPT
/// used         { le16 flags; le16 idx; n x { le32 id; le32 len; } }
/// </code>
/// Each descriptor is read once: a driver that changes it while the device works cannot make a checked length another one.
/// </remarks>
public sealed unsafe class Virtqueue
{
    /// <summary>Entries at most. QEMU's vsock device has 128.</summary>
    public const int EntriesMax = 1024;

    const int DescriptorBytes = 16;
    const ushort FlagNext = 1;
    const ushort FlagWrite = 2;
    const ushort FlagIndirect = 4;

    readonly GuestMemory _memory;
    readonly int _entries;
    readonly byte* _descriptors;
    readonly byte* _available;
    readonly byte* _used;
    ushort _usedIndex;

    /// <param name="entries">A power of two up to <see cref="EntriesMax"/>.</param>
    /// <param name="descriptors">Where each part lies, as the monitor sees it.</param>
    /// <param name="next">The first entry of the available ring that is not yet taken.</param>
    /// <exception cref="VhostUserException">The monitor's values cannot be a ring.</exception>
    public Virtqueue(GuestMemory memory, int entries, ulong descriptors, ulong available, ulong used, ushort next)
    {
        if (entries is < 1 or > EntriesMax || !int.IsPow2(entries)) throw new VhostUserException($"a ring of {entries} entries");
        _memory = memory;
        _entries = entries;
        _descriptors = memory.AtMonitor(descriptors, (ulong)entries * DescriptorBytes);
        _available = memory.AtMonitor(available, 4 + ((ulong)entries * 2));
        _used = memory.AtMonitor(used, 4 + ((ulong)entries * 8));
        Next = next;
        _usedIndex = *(ushort*)(_used + 2);
    }

    /// <summary>The entry of the available ring that is taken next.</summary>
    public ushort Next { get; private set; }

    /// <summary>Whether the driver wants to be told of used entries.</summary>
    public bool WantsSignal
    {
        get
        {
            // The used index must be visible before the flag is read, or both sides could wait for each other (virtio 1.2, 2.7.10.1).
            Interlocked.MemoryBarrier();
            return (Volatile.Read(ref *(ushort*)_available) & 1) == 0;
        }
    }

    /// <summary>Takes the next chain of buffers.</summary>
    /// <returns>False when the driver has put none there.</returns>
    /// <exception cref="VirtqueueException">The driver broke a rule.</exception>
    public bool TryTake(DescriptorChain chain)
    {
        var waiting = (ushort)(Volatile.Read(ref *(ushort*)(_available + 2)) - Next);
        if (waiting == 0) return false;
        if (waiting > _entries) throw new VirtqueueException($"{waiting} entries wait in a ring of {_entries}");

        var index = *(ushort*)(_available + 4 + (Next % _entries * 2));
        Next++;
        chain.Begin(_memory, index);
        while (true)
        {
            if (index >= _entries) throw new VirtqueueException($"descriptor {index} of {_entries}");
            var descriptor = new ReadOnlySpan<byte>(_descriptors + (index * DescriptorBytes), DescriptorBytes);
            var address = BinaryPrimitives.ReadUInt64LittleEndian(descriptor);
            var length = BinaryPrimitives.ReadUInt32LittleEndian(descriptor[8..]);
            var flags = BinaryPrimitives.ReadUInt16LittleEndian(descriptor[12..]);
            var next = BinaryPrimitives.ReadUInt16LittleEndian(descriptor[14..]);
            if ((flags & FlagIndirect) != 0) throw new VirtqueueException("an indirect descriptor, which was not offered");
            chain.Add(address, length, (flags & FlagWrite) != 0);
            if ((flags & FlagNext) == 0) return true;
            if (chain.Count == _entries) throw new VirtqueueException("a chain of descriptors without end");
            index = next;
        }
    }

    /// <summary>Gives a chain back.</summary>
    /// <param name="written">Bytes that were written into it.</param>
    public void Return(DescriptorChain chain, uint written)
    {
        var entry = _used + 4 + (_usedIndex % _entries * 8);
        *(uint*)entry = chain.Head;
        *(uint*)(entry + 4) = written;
        _usedIndex++;
        Volatile.Write(ref *(ushort*)(_used + 2), _usedIndex);
    }
}

/// <summary>Buffers of one request. Reused for the next.</summary>
public sealed class DescriptorChain
{
    readonly List<(ulong Address, uint Length)> _readable = [];
    readonly List<(ulong Address, uint Length)> _writable = [];
    GuestMemory _memory = null!;

    public ushort Head { get; private set; }

    public int Count => _readable.Count + _writable.Count;

    /// <summary>Bytes for the device to read, all buffers together.</summary>
    public long ReadableBytes { get; private set; }

    /// <summary>Bytes for the device to write, all buffers together.</summary>
    public long WritableBytes { get; private set; }

    /// <summary>Copies what the driver wrote.</summary>
    /// <param name="destination">At most <see cref="ReadableBytes"/>.</param>
    public void CopyTo(Span<byte> destination)
    {
        foreach (var (address, length) in _readable)
        {
            var bytes = (uint)Math.Min(length, destination.Length);
            _memory.AtGuest(address, bytes).CopyTo(destination);
            destination = destination[(int)bytes..];
            if (destination.IsEmpty) return;
        }
    }

    /// <summary>Writes into the driver's buffers from <paramref name="offset"/> on.</summary>
    /// <param name="source">At most <see cref="WritableBytes"/> minus the offset.</param>
    public void CopyFrom(ReadOnlySpan<byte> source, int offset)
    {
        foreach (var (address, length) in _writable)
        {
            if (offset >= length)
            {
                offset -= (int)length;
                continue;
            }

            var bytes = (uint)Math.Min(length - offset, source.Length);
            source[..(int)bytes].CopyTo(_memory.AtGuest(address + (uint)offset, bytes));
            source = source[(int)bytes..];
            if (source.IsEmpty) return;
            offset = 0;
        }
    }

    internal void Begin(GuestMemory memory, ushort head)
    {
        _memory = memory;
        Head = head;
        _readable.Clear();
        _writable.Clear();
        ReadableBytes = WritableBytes = 0;
    }

    internal void Add(ulong address, uint length, bool writable)
    {
        // virtio 1.2, 2.7.4.2: what the device writes comes after what it reads.
        if (!writable && _writable.Count > 0) throw new VirtqueueException("a readable descriptor behind a writable one");
        if (length > int.MaxValue) throw new VirtqueueException($"a descriptor of {length} bytes");
        if (writable)
        {
            _writable.Add((address, length));
            WritableBytes += length;
        }
        else
        {
            _readable.Add((address, length));
            ReadableBytes += length;
        }
    }
}
