using System.Diagnostics;
using System.Net.Sockets;
using System.Text;

namespace Guestmark.VmLab;

/// <summary>How a command in a machine ended, and what it wrote to both outputs.</summary>
public sealed record CommandResult(int ExitCode, string Output);

/// <summary>A running virtual machine and the shell in it.</summary>
/// <remarks>
/// The shell reads what is written to the machine's virtio port. Behind each command another one prints a line that no output contains, with the
/// command's number and exit code. When this process ends the shell's input does, and so the machine: none is left behind.
/// </remarks>
public sealed class VirtualMachine : IAsyncDisposable
{
    /// <summary>Emulated machines on a busy computer are slow; what takes longer than this hangs.</summary>
    static readonly TimeSpan Limit = TimeSpan.FromSeconds(90);

    /// <summary>Of what is said when something fails.</summary>
    const int TailCharacters = 4000;

    readonly Process _process;
    readonly string _console;
    readonly StringBuilder _transcript = new();
    readonly SemaphoreSlim _one = new(1);
    StreamReader _reader = null!;
    NetworkStream _shell = null!;
    int _commands;

    VirtualMachine(string name, Process process, string console)
    {
        Name = name;
        _process = process;
        _console = console;
        _process.ErrorDataReceived += (_, line) => { lock (_transcript) _transcript.Append("qemu: ").AppendLine(line.Data); };
    }

    public string Name { get; }

    /// <summary>Boots a machine whose device the switch has on <paramref name="switchSocket"/>, and waits for its shell.</summary>
    /// <param name="folder">For its sockets and its log.</param>
    public static async Task<VirtualMachine> BootAsync(string name, string folder, string switchSocket, int megabytes, string? disk = null)
    {
        var shell = Path.Combine(folder, $"{name}.shell");
        var console = Path.Combine(folder, $"{name}.console");
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        File.Delete(shell);
        listener.Bind(new UnixDomainSocketEndPoint(shell));
        listener.Listen(1);
        var start = new ProcessStartInfo(Path.Combine(LabImages.Scripts, "boot.sh"), [switchSocket, shell, $"{megabytes}", console, .. disk is null ? Array.Empty<string>() : [disk]])
        {
            UseShellExecute = false,
            RedirectStandardError = true,
        };
        var machine = new VirtualMachine(name, Process.Start(start)!, console);
        machine._process.BeginErrorReadLine();
        try
        {
            await machine.GuardAsync("boot", async limit =>
            {
                machine._shell = new NetworkStream(await listener.AcceptAsync(limit), ownsSocket: true);
                machine._reader = new StreamReader(machine._shell);
                await machine.ReadToAsync(line => line.StartsWith("ready after", StringComparison.Ordinal), limit);
            });
        }
        catch
        {
            await machine.DisposeAsync();
            throw;
        }

        return machine;
    }

    /// <summary>Runs a command of busybox' shell to its end.</summary>
    public async Task<CommandResult> TryAsync(string command)
    {
        await _one.WaitAsync();
        try
        {
            var number = ++_commands;
            var output = new StringBuilder();
            var exitCode = -1;
            await GuardAsync(command, async limit =>
            {
                var line = $"{{ {command}\n}} </dev/null\ne=$?; echo; echo \"## {number} ended $e\"\n";
                await _shell.WriteAsync(Encoding.UTF8.GetBytes(line), limit);
                var end = $"## {number} ended ";
                var last = await ReadToAsync(line => line.StartsWith(end, StringComparison.Ordinal), limit, output);
                exitCode = int.Parse(last.AsSpan(end.Length));
            });
            return new CommandResult(exitCode, output.ToString().TrimEnd('\n'));
        }
        finally
        {
            _one.Release();
        }
    }

    /// <summary>Runs a command that must succeed, and returns what it wrote.</summary>
    public async Task<string> RunAsync(string command)
    {
        var (exitCode, output) = await TryAsync(command);
        return exitCode == 0 ? output : throw new InvalidOperationException($"{Name}: '{command}' ended with {exitCode}:\n{Tail(output)}\n{Describe()}");
    }

    /// <summary>Waits until a command succeeds, a moment apart, and returns what it wrote.</summary>
    public Task<string> WaitForAsync(string command) => RunAsync($"i=0; until {command}; do i=$((i+1)); [ $i -gt 600 ] && exit 1; usleep 100000; done");

    /// <summary>Writes a small file.</summary>
    public Task WriteFileAsync(string path, ReadOnlySpan<byte> bytes) => RunAsync($"echo '{Convert.ToBase64String(bytes)}' | base64 -d > {path}");

    /// <summary>Copies the disk as it would be found after a power failure at this moment.</summary>
    public async Task CopyDiskAsync(string disk, string copy)
    {
        // Nothing runs in a stopped process, and nothing of the machine's own memory gets onto the copy.
        await SignalAsync("STOP");
        try
        {
            await LabImages.RunAsync("cp", "--sparse=always", disk, copy);
        }
        finally
        {
            await SignalAsync("CONT");
        }
    }

    /// <summary>Ends it as a power failure does: what the kernel has not written to its disk is lost.</summary>
    public async Task KillAsync()
    {
        if (!_process.HasExited) _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        if (_shell is not null) await _shell.DisposeAsync();
        _process.Dispose();
    }

    /// <summary>The end of what was said on the shell and on the console.</summary>
    public string Describe()
    {
        lock (_transcript)
        {
            var console = File.Exists(_console) ? File.ReadAllText(_console) : "";
            return $"--- {Name}, shell\n{Tail(_transcript.ToString())}\n--- {Name}, console\n{Tail(console)}";
        }
    }

    /// <summary>boot.sh becomes timeout(1), whose only child is QEMU.</summary>
    async Task SignalAsync(string signal)
    {
        var children = await File.ReadAllTextAsync($"/proc/{_process.Id}/task/{_process.Id}/children");
        await LabImages.RunAsync("kill", $"-{signal}", children.Trim());
    }

    async Task<string> ReadToAsync(Func<string, bool> isLast, CancellationToken cancellationToken, StringBuilder? output = null)
    {
        while (await _reader.ReadLineAsync(cancellationToken) is { } line)
        {
            lock (_transcript)
            {
                _transcript.AppendLine(line);
                if (_transcript.Length > 64 * TailCharacters) _transcript.Remove(0, 32 * TailCharacters);
            }

            if (isLast(line)) return line;
            output?.Append(line).Append('\n');
        }

        throw new EndOfStreamException("the machine is off");
    }

    async Task GuardAsync(string what, Func<CancellationToken, Task> action)
    {
        using var limit = new CancellationTokenSource(Limit);
        try
        {
            await action(limit.Token);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            throw new InvalidOperationException($"{Name}: '{Tail(what)}': {(e is IOException ? e.Message : $"no end within {Limit}")}\n{Describe()}", e);
        }
    }

    static string Tail(string text) => text.Length <= TailCharacters ? text : "…" + text[^TailCharacters..];
}
