using System.Globalization;
using System.Text;
using Guestmark.Vulnerabilities;

namespace Guestmark.Benchmarks;

/// <summary>The documents of a folder again and again until they are a large feed, and what importing that takes, memory included.</summary>
static class RepeatedFeed
{
    /// <param name="what"><c>new</c>: each repetition has ids of its own. <c>same</c>: ids repeat. <c>bare</c>: the bytes of the first are only read.</param>
    public static int Run(string what, string folder, string database, int megabytes)
    {
        var names = Directory.GetFiles(folder, "*.json", SearchOption.AllDirectories);
        Array.Sort(names, StringComparer.Ordinal);
        File.Delete(database);
        var start = TimeProvider.System.GetTimestamp();
        using var builder = AdvisoryDatabaseBuilder.Update(database);
        var import = builder.Import("feed", FeedName.Osv, folder, ImportMode.Replace);
        var buffer = new byte[1 << 20];
        var isBare = string.Equals(what, "bare", StringComparison.Ordinal);
        var (bytes, tokens, documents) = (0L, 0L, 0);
        for (var repetition = 0; bytes < megabytes * 1_000_000L; repetition++)
        {
            var suffix = string.Equals(what, "same", StringComparison.Ordinal) ? "" : $"-{repetition}";
            foreach (var name in names)
            {
                var document = Read(name, suffix, ref buffer);
                bytes += document.Length;
                documents++;
                if (isBare) tokens += FeedImportRate.ReadTokens(document.Span);
                else OsvDocument.Read(name, document, import);
            }
        }

        var source = import.Complete("", DateTimeOffset.UnixEpoch);
        if (!isBare) builder.Write(database);
        var seconds = TimeProvider.System.GetElapsedTime(start).TotalSeconds;
        if (import.Skipped > 0 || (source.Documents == 0) != isBare) throw new InvalidDataException($"{source.Documents} stored, {import.Skipped} skipped");
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{bytes / seconds / 1e6:F0} MB/s, {PeakKilobytes()} KB, {documents} documents, {source.Documents} stored, {tokens} tokens"));
        return 0;
    }

    /// <summary>One document more for a large database, from opening it to the new file on disk.</summary>
    public static int Change(string database)
    {
        var start = TimeProvider.System.GetTimestamp();
        var opened = AdvisoryDatabase.Open(database);
        var open = TimeProvider.System.GetElapsedTime(start);
        start = TimeProvider.System.GetTimestamp();
        using var builder = AdvisoryDatabaseBuilder.Update(database);
        var import = builder.Import("change", FeedName.Osv, "change", ImportMode.Add);
        import.Add(new Advisory
        {
            Feed = FeedName.Osv,
            Id = "CHANGE-1",
            Modified = DateTimeOffset.UnixEpoch,
            Statements = [new PackageStatement { Product = "AlmaLinux:8", Name = "bash", Intervals = [VersionInterval.FixedIn("1:1-1")] }],
        });
        import.Complete("", DateTimeOffset.UnixEpoch);
        builder.Write(database);
        var change = TimeProvider.System.GetElapsedTime(start);
        start = TimeProvider.System.GetTimestamp();
        var changed = AdvisoryDatabase.Open(database).ChangedNames(opened);
        var compare = TimeProvider.System.GetElapsedTime(start);
        if (changed is not [("AlmaLinux:8", "bash")]) throw new InvalidDataException($"{changed.Count} names have changed, not bash alone");
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{open.TotalMilliseconds:F0} ms to open {opened.Bytes} bytes, {change.TotalMilliseconds:F0} ms to change, {compare.TotalMilliseconds:F0} ms to open and compare"));
        return 0;
    }

    static ReadOnlyMemory<byte> Read(string name, string suffix, ref byte[] buffer)
    {
        using var file = File.OpenHandle(name);
        var length = (int)RandomAccess.GetLength(file);
        if (buffer.Length < length + suffix.Length) buffer = new byte[2 * length];
        for (var read = 0; read < length;)
        {
            var more = RandomAccess.Read(file, buffer.AsSpan(read, length - read), read);
            if (more == 0) throw new InvalidDataException($"{name} is cut");
            read += more;
        }

        // "id":"ALSA-2021:2363" with whatever space between.
        var at = buffer.AsSpan(0, length).IndexOf("\"id\":"u8) + 5;
        at += buffer.AsSpan(at).IndexOf((byte)'"') + 1;
        at += buffer.AsSpan(at).IndexOf((byte)'"');
        buffer.AsSpan(at, length - at).CopyTo(buffer.AsSpan(at + suffix.Length));
        Encoding.ASCII.GetBytes(suffix, buffer.AsSpan(at));
        return buffer.AsMemory(0, length + suffix.Length);
    }

    static string PeakKilobytes() =>
        File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmHWM:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1];
}
