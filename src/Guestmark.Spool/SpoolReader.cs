namespace Guestmark.Spool;

/// <summary>How far one of those who read a spool has come, in memory and in its file (<see cref="PositionFile"/>).</summary>
/// <remarks>
/// Flushed only before a segment is deleted: after a power cut some records come again, which every receiver must bear, but a segment that is gone
/// because it was acknowledged is never taken for lost.
/// </remarks>
sealed class SpoolReader : IDisposable
{
    public const string FileName = "acknowledged";

    readonly PositionFile _file;

    SpoolReader(string? name, PositionFile file)
    {
        Name = name;
        _file = file;
        WasKnown = file.AtOpening is not null;
        Acknowledged = file.AtOpening ?? 0;
    }

    public string? Name { get; }

    /// <summary>Its file was there, and says something that can be: otherwise everything is sent once more, which is safe.</summary>
    public bool WasKnown { get; private set; }

    public ulong Acknowledged { get; private set; }

    /// <summary>The last record that a live cursor of this reader has given out: it and those before it are under way.</summary>
    public ulong UnderWay { get; set; }

    public static SpoolReader Open(string directory, string? name) => new(name, PositionFile.Open(Path.Combine(directory, FileNameOf(name))));

    public static string FileNameOf(string? name) => name is null ? FileName : $"{FileName}-{name}";

    /// <summary>What its file says cannot be.</summary>
    public void Mistrust() => WasKnown = false;

    public void Advance(ulong index)
    {
        Acknowledged = index;
        _file.Write(index);
    }

    /// <exception cref="IOException">What is on disk is unknown.</exception>
    public void Flush() => _file.Flush();

    public void Dispose() => _file.Dispose();
}
