using System.Diagnostics;
using System.Runtime.CompilerServices;
using Guestmark.TestKit;

namespace Guestmark.Vulnerabilities.Tests;

public sealed class DatabaseReplacementTests : IDisposable
{
    readonly TemporaryFolder _folder = new();
    readonly string _path;

    public DatabaseReplacementTests() => _path = _folder.File("advisories.db");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Writing_replaces_the_file_and_leaves_nothing_else()
    {
        Write("old");
        using (var builder = AdvisoryDatabaseBuilder.Update(_path))
        {
            Databases.Import(builder, "b", Databases.Document("A-2", 1, "new"));
            builder.Write(_path);
        }

        Assert.Equal(["A-1", "A-2"], Databases.Live(AdvisoryDatabase.Open(_path)).Select(document => document.Id));
        Assert.Equal([_path], Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void A_write_that_fails_anywhere_leaves_the_former_file_and_nothing_else()
    {
        Write("old");
        var former = File.ReadAllBytes(_path);
        using var builder = Databases.BuilderOf("a", [.. Enumerable.Range(0, 6_000).Select(i => Databases.Document($"B-{i}", i, $"name-{i}"))]);
        var fails = 0;
        while (true)
        {
            try
            {
                builder.Write(_path, file => new FailingStream(file, fails));
                break;
            }
            catch (IOException)
            {
                Assert.Equal(former, File.ReadAllBytes(_path));
                Assert.Equal([_path], Directory.GetFiles(_folder.Path));
                fails++;
            }
        }

        // A header with its checksum, and more than a buffer of rows.
        Assert.InRange(fails, 4, 100);
        Assert.Equal(6_000, AdvisoryDatabase.Open(_path).AdvisoryCount);
    }

    [Fact]
    public void What_is_no_file_is_not_replaced()
    {
        var target = _folder.File("folder");
        Directory.CreateDirectory(target);
        Assert.ThrowsAny<Exception>(() => new AdvisoryDatabaseBuilder().Write(target));
        Assert.Empty(Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void A_second_one_who_would_change_it_is_told_who_does()
    {
        var expected = $"{_path}: process {Environment.ProcessId} is changing it: wait until that has ended and try again";
        using (AdvisoryDatabaseBuilder.Update(_path))
        {
            Assert.Equal(expected, Assert.Throws<AdvisoryDatabaseException>(() => AdvisoryDatabaseBuilder.Update(_path)).Message);
            Assert.Equal(expected, Assert.Throws<AdvisoryDatabaseException>(() => new AdvisoryDatabaseBuilder().Write(_path)).Message);
        }

        using var next = AdvisoryDatabaseBuilder.Update(_path);
        next.Write(_path);
    }

    [ToolFact("python3")]
    public async Task Another_process_has_it_until_it_ends_even_when_it_is_killed()
    {
        Write("old");
        const string program = """
            import fcntl, os, sys
            file = open(sys.argv[1], "w")
            fcntl.lockf(file, fcntl.LOCK_EX)
            file.write(f"{os.getpid()}\n")
            file.flush()
            print("ready", flush=True)
            sys.stdin.read()
            """;
        using var process = Process.Start(new ProcessStartInfo("python3", ["-c", program, _path + ".lock"]) { UseShellExecute = false, RedirectStandardInput = true, RedirectStandardOutput = true })!;
        try
        {
            Assert.Equal("ready", await process.StandardOutput.ReadLineAsync());
            // As a process leaves them that is killed while it writes.
            File.WriteAllText(_path + ".0123456789abcdef0123456789abcdef.tmp", "half");
            var error = Assert.Throws<AdvisoryDatabaseException>(() => AdvisoryDatabaseBuilder.Update(_path));
            Assert.Equal($"{_path}: process {process.Id} is changing it: wait until that has ended and try again", error.Message);
        }
        finally
        {
            process.Kill();
            await process.WaitForExitAsync();
        }

        Assert.Equal(3, Directory.GetFiles(_folder.Path).Length);
        using (AdvisoryDatabaseBuilder.Update(_path)) Assert.Equal([_path, _path + ".lock"], Directory.GetFiles(_folder.Path).Order(StringComparer.Ordinal));
        Assert.Equal([_path], Directory.GetFiles(_folder.Path));
        Assert.Equal(["A-1"], Databases.Live(AdvisoryDatabase.Open(_path)).Select(document => document.Id));
    }

    [Fact]
    public void Of_many_who_change_it_at_once_none_loses_what_another_added()
    {
        var done = 0;
        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 4 }, number =>
        {
            while (true)
            {
                try
                {
                    using var builder = AdvisoryDatabaseBuilder.Update(_path);
                    Databases.Import(builder, $"source-{number}", Databases.Document($"A-{number}", 1, "p"));
                    builder.Write(_path);
                    Interlocked.Increment(ref done);
                    return;
                }
                catch (AdvisoryDatabaseException e) when (e.Message.Contains("is changing it", StringComparison.Ordinal))
                {
                    Thread.Yield();
                }
            }
        });
        Assert.Equal(8, done);
        Assert.Equal(8, AdvisoryDatabase.Open(_path).AdvisoryCount);
        Assert.Equal([_path], Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void A_damaged_database_is_not_built_upon()
    {
        File.WriteAllText(_path, new string('x', 5000));
        Assert.Equal($"{_path}: not an advisory database", Assert.Throws<AdvisoryDatabaseException>(() => AdvisoryDatabaseBuilder.Update(_path)).Message);
        Assert.Equal([_path], Directory.GetFiles(_folder.Path));
    }

    [RootFact]
    public async Task A_full_disk_leaves_the_former_file()
    {
        var disk = _folder.File("disk");
        await SmallDisk.MountAsync(disk, "8m");
        try
        {
            FillDisk(disk);
        }
        finally
        {
            // The former database is mapped until it is collected.
            GC.Collect();
            GC.WaitForPendingFinalizers();
            await SmallDisk.UnmountAsync(disk);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    static void FillDisk(string disk)
    {
        var path = Path.Combine(disk, "advisories.db");
        using (var first = Databases.BuilderOf("a", Databases.Document("A-1", 1, "old"))) first.Write(path);
        var former = File.ReadAllBytes(path);
        using (var builder = AdvisoryDatabaseBuilder.Update(path))
        {
            Assert.ThrowsAny<IOException>(() =>
            {
                var import = builder.Import("b", FeedName.Osv, "b", ImportMode.Replace);
                for (var i = 0; i < 80_000; i++) import.Add(Databases.Document($"B-{i}", 1, $"name-{i % 100}"));
                import.Complete("", DateTimeOffset.UnixEpoch);
                builder.Write(path);
            });
        }

        Assert.Equal(former, File.ReadAllBytes(path));
        Assert.Equal([path], Directory.GetFiles(disk));
    }

    [Fact]
    public void What_does_not_fit_into_memory_is_read_back_from_a_file_without_a_name()
    {
        using var spill = new Spill(_path);
        var random = new Random(3);
        var expected = new List<(long Place, byte[] Bytes)>();
        for (var i = 0; i < 300; i++)
        {
            var bytes = new byte[random.Next(i % 50 == 0 ? 6_000_000 : 60_000)];
            random.NextBytes(bytes);
            expected.Add((spill.Append(bytes), bytes));
            var (place, known) = expected[random.Next(expected.Count)];
            var read = new byte[known.Length];
            spill.Read(place, read);
            Assert.Equal(known, read);
        }

        // Across what was written at different times, and what is still in memory.
        var all = new byte[spill.Length];
        spill.Read(0, all);
        Assert.True(all.AsSpan().SequenceEqual((byte[])[.. expected.SelectMany(part => part.Bytes)]));
        Assert.Empty(Directory.GetFiles(_folder.Path));
    }

    void Write(string name)
    {
        using var builder = Databases.BuilderOf("a", Databases.Document("A-1", 1, name));
        builder.Write(_path);
    }

    /// <summary>Fails at a write, after half of its bytes.</summary>
    sealed class FailingStream(Stream file, int failsAfter) : Stream
    {
        int _writes;

        public override bool CanRead => false;

        public override bool CanSeek => true;

        public override bool CanWrite => true;

        public override long Length => file.Length;

        public override long Position
        {
            get => file.Position;
            set => file.Position = value;
        }

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            if (_writes++ == failsAfter)
            {
                file.Write(buffer[..(buffer.Length / 2)]);
                throw new IOException("No space left on device");
            }

            file.Write(buffer);
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Flush() => file.Flush();

        public override long Seek(long offset, SeekOrigin origin) => file.Seek(offset, origin);

        public override void SetLength(long value) => file.SetLength(value);

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
