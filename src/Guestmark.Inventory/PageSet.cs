namespace Guestmark.Inventory;

/// <summary>Pages of a database that were visited. A page that comes up twice is a loop or belongs to two values: both are damage.</summary>
sealed class PageSet(uint pageCount)
{
    readonly ulong[] _bits = new ulong[(pageCount / 64) + 1];

    /// <summary>False when the page was there already. The number is below the page count.</summary>
    public bool Add(uint page)
    {
        ref var word = ref _bits[page / 64];
        var bit = 1UL << (int)(page % 64);
        var added = (word & bit) == 0;
        word |= bit;
        return added;
    }

    /// <summary>False, with some of them added, when one of the pages was there already. The last is below the page count.</summary>
    public bool AddRange(uint first, uint count)
    {
        var end = first + count;
        for (var page = first; page < end;)
        {
            var bit = (int)(page % 64);
            var length = (int)Math.Min(64 - bit, end - page);
            var bits = (ulong.MaxValue >> (64 - length)) << bit;
            ref var word = ref _bits[page / 64];
            if ((word & bits) != 0) return false;
            word |= bits;
            page += (uint)length;
        }

        return true;
    }
}
