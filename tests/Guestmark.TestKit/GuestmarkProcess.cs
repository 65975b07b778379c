using System.Diagnostics;
using System.Text;

namespace Guestmark.TestKit;

/// <summary>One of the project's programs as a real process.</summary>
public sealed class GuestmarkProcess : IAsyncDisposable
{
    static readonly TimeSpan Limit = TimeSpan.FromSeconds(90);

    readonly Process _process;
    readonly Lock _lock = new();
    readonly StringBuilder _output = new();
    readonly StringBuilder _error = new();
    TaskCompletionSource _grown = new(TaskCreationOptions.RunContinuationsAsynchronously);

    GuestmarkProcess(string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo(PathOf(program))
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        foreach (var (name, value) in environment ?? new Dictionary<string, string>()) start.Environment[name] = value;
        _process = new Process { StartInfo = start };
        _process.OutputDataReceived += (_, line) => Append(_output, line.Data);
        _process.ErrorDataReceived += (_, line) => Append(_error, line.Data);
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    public int Id => _process.Id;

    public string Output
    {
        get { lock (_lock) return _output.ToString(); }
    }

    public string Error
    {
        get { lock (_lock) return _error.ToString(); }
    }

    /// <summary>Its file: beside the tests that reference it, else of the same configuration as the tests, artifacts/bin/PROJECT/release.</summary>
    public static string PathOf(string program)
    {
        var path = Path.Combine(AppContext.BaseDirectory, program);
        return File.Exists(path) ? path : Path.Combine(Repository.Root, "artifacts", "bin", "Guestmark", new DirectoryInfo(AppContext.BaseDirectory).Name, program);
    }

    public static GuestmarkProcess Start(string program, params IEnumerable<string> arguments) => new(program, arguments);

    /// <summary>With more variables than this process has.</summary>
    public static GuestmarkProcess Start(string program, IReadOnlyDictionary<string, string> environment, params IEnumerable<string> arguments) => new(program, arguments, environment);

    /// <summary>Runs to the end. The exit code, standard output and standard error.</summary>
    public static async Task<(int ExitCode, string Output, string Error)> RunAsync(string program, params IEnumerable<string> arguments)
    {
        await using var process = Start(program, arguments);
        using var limit = new CancellationTokenSource(Limit);
        await process._process.WaitForExitAsync(limit.Token);
        return (process._process.ExitCode, process.Output, process.Error);
    }

    /// <summary>Waits for a line, on standard output or error, that contains a text, or for so many of them. Returns the last.</summary>
    public async Task<string> WaitForLineAsync(string text, int count = 1)
    {
        using var limit = new CancellationTokenSource(Limit);
        while (true)
        {
            Task grown;
            lock (_lock)
            {
                grown = _grown.Task;
                var line = $"{_output}\n{_error}".Split('\n').Where(l => l.Contains(text, StringComparison.Ordinal)).ElementAtOrDefault(count - 1);
                if (line is not null) return line;
            }

            if (_process.HasExited) throw new InvalidOperationException($"ended with {_process.ExitCode} before it said '{text}':\n{Output}\n{Error}");
            try
            {
                await grown.WaitAsync(limit.Token);
            }
            catch (OperationCanceledException e)
            {
                throw new TimeoutException($"did not say '{text}' within {Limit}:\n{Output}\n{Error}", e);
            }
        }
    }

    /// <summary>kill -9.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
    }

    /// <summary>Sends a signal by its name: <c>HUP</c>.</summary>
    public void Signal(string name)
    {
        using var sending = Process.Start("kill", [$"-{name}", $"{_process.Id}"]);
        sending.WaitForExit();
    }

    /// <summary>SIGTERM; the exit code.</summary>
    public async Task<int> StopAsync()
    {
        using var terminate = Process.Start("kill", ["-TERM", $"{_process.Id}"]);
        using var limit = new CancellationTokenSource(Limit);
        await _process.WaitForExitAsync(limit.Token);
        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited) await KillAsync();
        _process.Dispose();
    }

    void Append(StringBuilder builder, string? line)
    {
        TaskCompletionSource grown;
        lock (_lock)
        {
            if (line is not null) builder.Append(line).Append('\n');
            grown = _grown;
            _grown = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        grown.SetResult();
    }
}
