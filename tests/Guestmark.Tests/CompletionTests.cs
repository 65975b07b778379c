using System.Diagnostics;
using Guestmark.TestKit;

namespace Guestmark.Tests;

/// <summary>Establishes that real shells, with the scripts that the real programs print, complete what a line of <c>--help</c> could say.</summary>
public sealed class CompletionTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("guestmark", "guestmark ce", "cell central certs")]
    [InlineData("guestmark", "guestmark cell ", "add list remove")]
    [InlineData("guestmark", "guestmark node --sensor-", "--sensor-endpoint --sensor-name")]
    [InlineData("guestmark", "guestmark node --certs x --mode h", "hybrid")]
    [InlineData("guestmark", "guestmark node --log-level ", "debug error info trace warn")]
    [InlineData("guestmark", "guestmark sensor --log-level ", "debug error info trace warn")]
    [InlineData("guestmark", "guestmark spool inspect --class ", "keep shed")]
    [InlineData("guestmark", "guestmark completion ", "bash fish zsh")]
    // Nothing: files, which bash completes by itself.
    [InlineData("guestmark", "guestmark spool inspect ", "")]
    [InlineData("guestmark", "guestmark no-such-verb --x", "")]
    [InlineData("guestmark-agent", "guestmark-agent de", "declare")]
    [InlineData("guestmark-agent", "guestmark-agent declare --probe ", "auto connector proc")]
    public async Task Bash_completes(string program, string line, string expected) => Assert.Equal(expected, (await BashAsync(program, line)).Trim());

    [Fact]
    public async Task Bash_is_told_to_complete_files_where_there_is_nothing_else()
    {
        Assert.Equal("complete -o default -F _guestmark guestmark\n", await RunAsync("bash", "--norc", "-c", "source <(guestmark completion bash); complete -p guestmark"));
        // What is behind the cursor is left alone, and a call by path is completed alike.
        Assert.Equal("--config --control", (await BashAsync("guestmark", "guestmark cell list --c spool", "guestmark cell list --c".Length)).Trim());
        Assert.Equal("keep shed", (await BashAsync("guestmark", $"{GuestmarkProcess.PathOf("guestmark")} spool inspect --class ")).Trim());
    }

    [ToolFact("zsh")]
    public async Task Zsh_completes_the_same()
    {
        // compadd and _files only work while the line editor runs: here they print.
        const string harness =
            """
            compdef() { : }; compadd() { shift; print -r -- "$@" }; _files() { print FILES }
            source <(guestmark completion zsh)
            words=(${(z)1}); [[ $1 == *" " ]] && words+=(""); CURRENT=$#words; _guestmark
            """;
        Assert.Equal("cell central certs\n", await RunAsync("zsh", "-fc", harness, "x", "guestmark ce"));
        Assert.Equal("keep shed\n", await RunAsync("zsh", "-fc", harness, "x", "guestmark spool inspect --class "));
        Assert.Equal("FILES\n", await RunAsync("zsh", "-fc", harness, "x", "guestmark spool inspect /u"));
    }

    [ToolFact("fish")]
    public async Task Fish_completes_the_same()
    {
        Assert.Equal("cell\ncentral\ncerts\n", await FishAsync("guestmark ce"));
        Assert.Equal("keep\nshed\n", await FishAsync("guestmark spool inspect --class "));
        Directory.CreateDirectory(_folder.File("spools"));
        Assert.Equal(_folder.File("spools/"), (await FishAsync($"guestmark spool inspect {_folder.File("spo")}")).Trim());
    }

    [Fact]
    public async Task A_shell_that_has_no_script_is_a_usage_error()
    {
        var (exitCode, _, error) = await GuestmarkProcess.RunAsync("guestmark", "completion", "powershell");
        Assert.Equal(2, exitCode);
        Assert.Contains("powershell", error, StringComparison.Ordinal);
    }

    /// <summary>As bash does at a Tab: it sets the words and the position, and calls the function that <c>complete</c> names.</summary>
    Task<string> BashAsync(string program, string line, int? cursor = null) => RunAsync(
        "bash", "--norc", "-c",
        """
        source <("$1" completion bash)
        [[ $(complete -p "$1") =~ -F\ ([a-z_]+) ]] || exit 9
        COMP_LINE=$2 COMP_POINT=$3
        read -ra COMP_WORDS <<< "${2:0:$3}"
        [[ ${2:0:$3} == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        "${BASH_REMATCH[1]}"
        IFS=' '
        # One that is empty would keep bash from completing files.
        for item in "${COMPREPLY[@]}"; do [[ -n $item ]] || echo EMPTY; done
        echo "${COMPREPLY[*]}"
        """,
        "x", program, line, $"{cursor ?? line.Length}");

    Task<string> FishAsync(string line) => RunAsync("fish", "--no-config", "-c", "guestmark completion fish | source; complete -C $argv[1]", line);

    async Task<string> RunAsync(string shell, params string[] arguments)
    {
        var start = new ProcessStartInfo(shell) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        start.Environment["PATH"] = $"{Path.GetDirectoryName(GuestmarkProcess.PathOf("guestmark"))}:{Environment.GetEnvironmentVariable("PATH")}";
        start.Environment["HOME"] = _folder.Path;
        using var process = Process.Start(start)!;
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        var (output, error) = (process.StandardOutput.ReadToEndAsync(limit.Token), process.StandardError.ReadToEndAsync(limit.Token));
        await process.WaitForExitAsync(limit.Token);
        Assert.True((await error).Length == 0, await error);
        return await output;
    }
}
