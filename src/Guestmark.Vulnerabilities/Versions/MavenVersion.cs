using System.Buffers;
using System.Runtime.InteropServices;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// Maven's order of versions (https://maven.apache.org/pom.html#version-order-specification), as the class ComparableVersion of Maven 3.9 has it.
/// </summary>
/// <remarks>
/// A version is a list of numbers and words. '-' and each change between digits and letters begin a list in the list, which is then
/// its last item: <c>1.0-rc2</c> is [1, [rc2]], where <c>rc2</c> is one item, a word with a number. Zeros at the end of a list are dropped,
/// those before a word too. As a list is always the last item, a version is read into one row of items, where an item of the kind List
/// means that the rest is in a list of its own.
/// </remarks>
static class MavenVersion
{
    enum Kind : byte
    {
        Number,
        Word,
        WordAndNumber,
        List,
        Dropped,
    }

    /// <summary>Less than, equal to or greater than zero. Every text is a version.</summary>
    public static int Compare(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        // Each character begins at most two items, an item and a list.
        const int onStack = 64;
        var maxA = (2 * a.Length) + 2;
        var max = maxA + (2 * b.Length) + 2;
        Item[]? rented = null;
        var items = max <= onStack ? stackalloc Item[onStack] : rented = ArrayPool<Item>.Shared.Rent(max);
        var itemsA = Read(a, items[..maxA]);
        var itemsB = Read(b, items[maxA..]);
        var order = Compare(a, itemsA, b, itemsB);
        if (rented is not null) ArrayPool<Item>.Shared.Return(rented);
        return order;
    }

    public static bool IsValid(ReadOnlySpan<byte> version) => !version.IsEmpty;

    static int Compare(ReadOnlySpan<byte> a, ReadOnlySpan<Item> itemsA, ReadOnlySpan<byte> b, ReadOnlySpan<Item> itemsB)
    {
        for (var i = 0; ; i++)
        {
            if (i == itemsA.Length) return i < itemsB.Length ? -CompareWithNothing(b, itemsB[i..]) : 0;
            if (i == itemsB.Length) return CompareWithNothing(a, itemsA[i..]);
            var x = itemsA[i];
            var y = itemsB[i];

            // words < words with a number < list < number
            if (x.Kind is Kind.Number or Kind.List || y.Kind is Kind.Number or Kind.List)
            {
                if (x.Kind != y.Kind) return Rank(x.Kind) - Rank(y.Kind);
                var numbers = x.Kind == Kind.Number ? VersionText.CompareNumbers(x.Number(a), y.Number(b)) : 0;
                if (numbers != 0) return numbers;
                continue;
            }

            var order = CompareWords(x.Word(a), y.Word(b));
            if (order == 0) order = (int)x.Kind - (int)y.Kind;
            if (order == 0 && x.Kind == Kind.WordAndNumber) order = VersionText.CompareNumbers(x.Number(a), y.Number(b));
            if (order != 0) return order;
        }

        static int Rank(Kind kind) => kind switch { Kind.Number => 2, Kind.List => 1, _ => 0 };
    }

    // Against a version that has ended: 1.0 = 1, 1.1 > 1, 1-rc < 1, 1-sp > 1
    static int CompareWithNothing(ReadOnlySpan<byte> version, ReadOnlySpan<Item> items)
    {
        foreach (var item in items)
        {
            var order = item.Kind switch
            {
                Kind.Number => VersionText.WithoutLeadingZeros(item.Number(version)).IsEmpty ? 0 : 1,
                Kind.List => 0,
                _ => CompareWords(item.Word(version), default),
            };
            if (order != 0) return order;
        }

        return 0;
    }

    // Unknown words are newer than the known ones, in lexical order.
    static int CompareWords(ReadOnlySpan<byte> a, ReadOnlySpan<byte> b)
    {
        const int unknown = 7;
        var rankA = Rank(a);
        var rankB = Rank(b);
        return rankA == unknown && rankB == unknown ? VersionText.CompareIgnoringCase(a, b) : rankA - rankB;

        static int Rank(ReadOnlySpan<byte> word) =>
            Is(word, "alpha"u8) ? 0
            : Is(word, "beta"u8) ? 1
            : Is(word, "milestone"u8) ? 2
            : Is(word, "rc"u8) || Is(word, "cr"u8) ? 3
            : Is(word, "snapshot"u8) ? 4
            : word.IsEmpty || Is(word, "ga"u8) || Is(word, "final"u8) || Is(word, "release"u8) ? 5
            : Is(word, "sp"u8) ? 6
            : unknown;

        static bool Is(ReadOnlySpan<byte> word, ReadOnlySpan<byte> name) =>
            word.Length == name.Length && VersionText.CompareIgnoringCase(word, name) == 0;
    }

    static ReadOnlySpan<Item> Read(ReadOnlySpan<byte> version, Span<Item> items)
    {
        var writer = new Writer(version, items);
        var isDigit = false;
        var hasNumber = false;
        var start = 0;
        for (var i = 0; i < version.Length; i++)
        {
            var c = version[i];
            if (c == '.')
            {
                writer.Add(start, i, isDigit, hasNumber);
                hasNumber = false;
                start = i + 1;
            }
            else if (c == '-')
            {
                // "rc-1" is "rc1"
                if (i > start && !isDigit && i + 1 < version.Length && VersionText.IsDigit(version[i + 1]))
                {
                    hasNumber = true;
                    continue;
                }

                writer.Add(start, i, isDigit, hasNumber);
                writer.BeginList();
                hasNumber = false;
                start = i + 1;
            }
            else if (VersionText.IsDigit(c))
            {
                if (!isDigit && i > start)
                {
                    hasNumber = true;
                    if (!writer.ListIsEmpty) writer.BeginList();
                }

                isDigit = true;
            }
            else
            {
                if (isDigit && i > start)
                {
                    writer.Add(start, i, isDigit: true, hasNumber);
                    writer.BeginList();
                    hasNumber = false;
                    start = i;
                }

                isDigit = false;
            }
        }

        if (start < version.Length)
        {
            if (!isDigit && !writer.ListIsEmpty) writer.BeginList();
            writer.Add(start, version.Length, isDigit, hasNumber);
        }

        return Normalize(version, items[..writer.Count]);
    }

    // From the end: zeros and empty lists that are last in their list, and zeros before a word or a list that begins with one.
    static ReadOnlySpan<Item> Normalize(ReadOnlySpan<byte> version, Span<Item> items)
    {
        var next = Kind.Dropped;
        var afterNext = Kind.Dropped;
        for (var i = items.Length - 1; i >= 0; i--)
        {
            var kind = items[i].Kind;
            var isNothing = kind == Kind.Number
                ? VersionText.WithoutLeadingZeros(items[i].Number(version)).IsEmpty
                : kind == Kind.List && next == Kind.Dropped;
            if (isNothing && (next is Kind.Dropped or Kind.Word || (next == Kind.List && afterNext is Kind.Word or Kind.WordAndNumber)))
            {
                items[i].Kind = Kind.Dropped;
                continue;
            }

            afterNext = next;
            next = kind;
        }

        var count = 0;
        foreach (var item in items)
        {
            if (item.Kind != Kind.Dropped) items[count++] = item;
        }

        return items[..count];
    }

    ref struct Writer(ReadOnlySpan<byte> version, Span<Item> items)
    {
        readonly ReadOnlySpan<byte> _version = version;
        readonly Span<Item> _items = items;

        public int Count { get; private set; }

        public readonly bool ListIsEmpty => Count == 0 || _items[Count - 1].Kind == Kind.List;

        public void BeginList() => _items[Count++] = new Item { Kind = Kind.List };

        /// <summary>An item of the text from start to end; an empty one is 0.</summary>
        public void Add(int start, int end, bool isDigit, bool hasNumber)
        {
            var item = new Item { Kind = Kind.Number, NumberStart = start, NumberLength = end - start };
            if (hasNumber)
            {
                item.Kind = Kind.WordAndNumber;
                item.WordStart = start;
                item.NumberStart = start;
                while (!VersionText.IsDigit(_version[item.NumberStart])) item.NumberStart++;
                item.NumberLength = end - item.NumberStart;
                item.WordLength = item.NumberStart - start;
                if (_version[item.NumberStart - 1] == '-') item.WordLength--;
            }
            else if (!isDigit && end > start)
            {
                item = new Item { Kind = Kind.Word, WordStart = start, WordLength = end - start };
            }

            _items[Count++] = item;
        }
    }

    [StructLayout(LayoutKind.Auto)]
    struct Item
    {
        public Kind Kind;
        public int WordStart;
        public int WordLength;
        public int NumberStart;
        public int NumberLength;

        public readonly ReadOnlySpan<byte> Number(ReadOnlySpan<byte> version) => version.Slice(NumberStart, NumberLength);

        /// <summary>The word. Before a number, a, b and m are short for alpha, beta and milestone.</summary>
        public readonly ReadOnlySpan<byte> Word(ReadOnlySpan<byte> version)
        {
            var word = version.Slice(WordStart, WordLength);
            if (Kind != Kind.WordAndNumber || word.Length != 1) return word;
            return VersionText.ToLower(word[0]) switch
            {
                (byte)'a' => "alpha"u8,
                (byte)'b' => "beta"u8,
                (byte)'m' => "milestone"u8,
                _ => word,
            };
        }
    }
}
