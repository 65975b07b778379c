using System.Buffers.Binary;

namespace Guestmark.Inventory.Rpm;

/// <summary>Reads <c>Packages.db</c>, rpm's own "new database", which SUSE uses.</summary>
/// <remarks>
/// No lock is taken. Numbers are little-endian (lib/backend/ndb/rpmpkg.c of rpm).
/// <code>
/// file:   header, slots up to the end of slot page slot_pages - 1, blobs; a page has 4096 bytes, a block 16
/// header: "RpmP", version u32 = 0, generation u32, slot_pages u32, next_pkgidx u32, 12 bytes of zero
/// slot:   "Slot", pkgidx u32, first block u32 (0: the slot is free), blocks u32
/// blob:   "BlbS", pkgidx u32, time u32, length u32, length bytes of header, zeros, adler32 u32, length u32, "BlbE"
/// </code>
/// The generation counts every write to the slots. A free slot may lie before used ones. The checksum is not compared: rpm does
/// not either when it reads, and it would have us read the two thirds of the file that nobody wants.
/// </remarks>
sealed class NdbDatabase
{
    const string Backend = "ndb";
    const int HeaderBytes = 32;
    const int SlotBytes = 16;
    const int BlockBytes = 16;
    const int PageBytes = 4096;
    const int HeadBytes = 16;
    const int TailBytes = 12;

    // One read for most headers, which have 17 KB in the middle. Of larger ones the parts that are wanted are read.
    const int ReadAhead = 64 * 1024;
    const int ReadAheadInLarge = 16 * 1024;
    const int PieceBytes = 4096;

    readonly FileWindow _file;
    readonly DatabaseContents _contents;
    readonly uint _firstBlock;
    readonly uint _blocks;
    readonly PageSet _used;
    readonly BlobBytes _blob;
    readonly TextPool _pool = new();

    NdbDatabase(FileWindow file, uint slotPages, DatabaseContents contents)
    {
        _file = file;
        _contents = contents;
        _firstBlock = slotPages * (PageBytes / BlockBytes);
        _blocks = (uint)(file.Length / BlockBytes);
        _used = new PageSet(_blocks);
        _blob = new BlobBytes(file);
    }

    public static ReadOnlySpan<byte> Magic => "RpmP"u8;

    /// <summary>Reads all headers of a file that begins with <see cref="Magic"/>.</summary>
    /// <exception cref="IOException">The disk does not give the file.</exception>
    public static DatabaseContents Read(GuestFile file, PackageRequest request, CancellationToken cancellation)
    {
        var contents = new DatabaseContents(Backend, request);
        var window = new FileWindow(file.Handle, file.Status.Size, PageBytes);
        var header = window.Read(0, HeaderBytes);
        if (header.Length == 0)
        {
            contents.AddProblem("is cut off in its first page");
            return contents;
        }

        var version = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
        if (version != 0)
        {
            contents.AddProblem($"has ndb version {version}; 0 is known");
            return contents;
        }

        var slotPages = BinaryPrimitives.ReadUInt32LittleEndian(header[12..]);
        // rpm makes a new database with one page of slots.
        if (slotPages == 0) contents.AddProblem("says that it has no slots");
        var pagesThere = window.Length / PageBytes;
        if (slotPages > pagesThere)
        {
            contents.AddProblem($"is cut off: {pagesThere} of {slotPages} pages of slots are there");
            slotPages = (uint)pagesThere;
        }

        new NdbDatabase(window, slotPages, contents).ReadSlots(slotPages, cancellation);
        return contents;
    }

    void ReadSlots(uint slotPages, CancellationToken cancellation)
    {
        var slots = new byte[PageBytes];
        for (var page = 0u; page < slotPages && !_contents.IsFull; page++)
        {
            cancellation.ThrowIfCancellationRequested();
            if (TryRead((long)page * PageBytes, PageBytes, PageBytes, out var found) is { } error)
            {
                _contents.AddProblem($"has a page of slots {error}");
                continue;
            }

            // A copy: the blobs pass through the window.
            found.CopyTo(slots);
            for (var offset = page == 0 ? HeaderBytes : 0; offset < PageBytes && !_contents.IsFull; offset += SlotBytes)
            {
                if (ReadSlot(slots.AsSpan(offset, SlotBytes), cancellation) is { } slotError)
                    _contents.AddProblem($"slot {((long)page * (PageBytes / SlotBytes)) + (offset / SlotBytes)} {slotError}");
            }
        }
    }

    string? ReadSlot(ReadOnlySpan<byte> slot, CancellationToken cancellation)
    {
        if (!slot.StartsWith("Slot"u8)) return "does not begin as one";
        var number = BinaryPrimitives.ReadUInt32LittleEndian(slot[4..]);
        var block = BinaryPrimitives.ReadUInt32LittleEndian(slot[8..]);
        var blocks = BinaryPrimitives.ReadUInt32LittleEndian(slot[12..]);
        if (block == 0) return null;
        cancellation.ThrowIfCancellationRequested();
        if (number == 0 || blocks < 2 || block < _firstBlock) return $"says package {number} in {blocks} blocks from {block} on";
        if (block + (ulong)blocks > _blocks) return $"says blocks {block} to {block + (ulong)blocks - 1} of {_blocks}";
        // Without this bound one blob could be listed thousands of times.
        if (!_used.AddRange(block, blocks)) return $"has blocks of another package among {block} to {block + blocks - 1}";

        var bytes = (long)blocks * BlockBytes;
        var start = (long)block * BlockBytes;
        var isLarge = bytes > ReadAhead;
        if (TryRead(start, HeadBytes, isLarge ? HeadBytes : (int)bytes, out var head) is { } headError) return headError;
        var length = BinaryPrimitives.ReadUInt32LittleEndian(head[12..]);
        if (!head.StartsWith("BlbS"u8) || BinaryPrimitives.ReadUInt32LittleEndian(head[4..]) != number)
            return $"leads to something else than package {number}";
        if ((HeadBytes + (ulong)length + TailBytes + BlockBytes - 1) / BlockBytes != blocks) return $"has {blocks} blocks for {length} bytes";
        if (TryRead(start + bytes - TailBytes, TailBytes, TailBytes, out var tail) is { } tailError) return tailError;
        if (BinaryPrimitives.ReadUInt32LittleEndian(tail[4..]) != length || !tail.EndsWith("BlbE"u8)) return $"leads to package {number} without an end";

        _blob.BeginBlob(start + HeadBytes, (int)Math.Min(length, int.MaxValue), isLarge ? ReadAheadInLarge : ReadAhead);
        _contents.Add(_blob, number, _pool);
        return null;
    }

    string? TryRead(long offset, int count, int ahead, out ReadOnlySpan<byte> bytes)
    {
        bytes = default;
        try
        {
            bytes = _file.Read(offset, count, ahead);
        }
        catch (IOException e)
        {
            // A bad block of the disk costs what is on it.
            return $"at {offset} that cannot be read: {e.Message}";
        }

        return bytes.Length == 0 ? $"at {offset} that is cut off" : null;
    }

    /// <summary>A blob lies in one piece, so that any part of it can be passed over.</summary>
    sealed class BlobBytes(FileWindow file) : ChainedBytes
    {
        long _next;
        int _ahead;

        public void BeginBlob(long start, int length, int ahead)
        {
            (_next, _ahead) = (start, ahead);
            Begin(length, []);
        }

        protected override bool TryPass(int count)
        {
            _next += count;
            return true;
        }

        protected override string? NextPiece(int remaining, out ReadOnlySpan<byte> piece)
        {
            piece = default;
            try
            {
                // Small pieces: joined is only what is wanted and what shares a piece with it.
                piece = file.Read(_next, Math.Min(remaining, PieceBytes), Math.Min(remaining, _ahead));
            }
            catch (IOException e)
            {
                return $"cannot be read at {_next}: {e.Message}";
            }

            if (piece.Length == 0) return $"is cut off at {_next}";
            _next += piece.Length;
            return null;
        }
    }
}
