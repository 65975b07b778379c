using System.Runtime.InteropServices;

namespace Guestmark.Vulnerabilities;

/// <summary>Runs of rows, each different one once, side by side. A run is known by where it starts.</summary>
sealed class RunTable<T> where T : unmanaged
{
    readonly List<Run> _runs = [];
    T[] _rows = new T[256];
    int _count;
    // Open addressing: number of the run plus one, 0 is free. At most two thirds are taken.
    int[] _table = new int[256];

    public ReadOnlySpan<T> Rows => _rows.AsSpan(0, _count);

    /// <returns>Where the run starts.</returns>
    public int Intern(ReadOnlySpan<T> run)
    {
        var bytes = MemoryMarshal.AsBytes(run);
        var hash = (uint)ContentHash.Of(bytes);
        var mask = _table.Length - 1;
        var place = (int)hash & mask;
        for (; _table[place] != 0; place = (place + 1) & mask)
        {
            var known = _runs[_table[place] - 1];
            if (known.Hash == hash && known.Length == run.Length
                && MemoryMarshal.AsBytes(_rows.AsSpan(known.Start, known.Length)).SequenceEqual(bytes)) return known.Start;
        }

        if (run.Length > _rows.Length - _count) Array.Resize(ref _rows, Math.Max(_rows.Length * 2, checked(_count + run.Length)));
        run.CopyTo(_rows.AsSpan(_count));
        _runs.Add(new Run(_count, run.Length, hash));
        _table[place] = _runs.Count;
        if (_runs.Count * 3L > _table.Length * 2L) Grow();
        _count += run.Length;
        return _runs[^1].Start;
    }

    void Grow()
    {
        var table = new int[_table.Length * 2];
        for (var i = 0; i < _runs.Count; i++)
        {
            var place = (int)_runs[i].Hash & (table.Length - 1);
            while (table[place] != 0) place = (place + 1) & (table.Length - 1);
            table[place] = i + 1;
        }

        _table = table;
    }

    readonly record struct Run(int Start, int Length, uint Hash);
}
