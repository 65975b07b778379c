using System.CommandLine;

namespace Guestmark.CommandLine;

/// <summary><c>completion</c>: a script that has a shell complete the commands, options and values of an executable.</summary>
/// <remarks>
/// The scripts hold no list. At each Tab they ask the executable (System.CommandLine's directive <c>[suggest:POSITION] LINE</c>), which answers from the tables
/// that make its <c>--help</c>; so a script stays right when the executable is replaced. What is no option and has no fixed values is completed as a file.
/// No answer is evaluated by the shell: ids of cells are among them.
/// </remarks>
static class CompletionCommand
{
    static readonly string[] Shells = ["bash", "zsh", "fish"];

    /// <param name="executable">As users call it: letters and dashes.</param>
    public static Command Create(string executable)
    {
        var shell = new Argument<string>("SHELL") { Description = "bash, zsh or fish" };
        shell.AcceptOnlyFromAmong(Shells);
        var command = new Command("completion", "Prints a script with which a shell completes commands, options and values") { shell }.WithExamples(
            $"""
            source <({executable} completion bash)
            {executable} completion bash > /etc/bash_completion.d/{executable}
            {executable} completion zsh > "$fpath[1]/_{executable}"
            {executable} completion fish > ~/.config/fish/completions/{executable}.fish
            """);
        command.SetAction(parsed =>
        {
            Console.Write(Script(parsed.GetRequiredValue(shell)).Replace("EXECUTABLE", executable, StringComparison.Ordinal)
                .Replace("FUNCTION", executable.Replace('-', '_'), StringComparison.Ordinal));
            return ExitCode.Done;
        });
        return command;
    }

    static string Script(string shell) => shell switch
    {
        "bash" => Bash,
        "zsh" => Zsh,
        _ => Fish,
    };

    // The line is cut at the cursor, and its first word replaced: whoever calls the executable by a path or an alias gets the same.
    const string Bash =
        """
        # bash completion for EXECUTABLE
        _FUNCTION() {
          local word=${COMP_WORDS[COMP_CWORD]} called=${COMP_WORDS[0]} line item
          line=${COMP_LINE:0:COMP_POINT}
          line=EXECUTABLE${line:${#called}}
          COMPREPLY=()
          while IFS= read -r item; do
            [[ -n $item && $item == "$word"* ]] || continue
            [[ $item == -* && $word != -* ]] || COMPREPLY+=("$item")
          done < <("${called/#\~/$HOME}" "[suggest:${#line}]" "$line" 2>/dev/null)
        }
        complete -o default -F _FUNCTION EXECUTABLE

        """;

    const string Zsh =
        """
        #compdef EXECUTABLE
        # zsh completion for EXECUTABLE
        _FUNCTION() {
          local word=${words[CURRENT]} line="EXECUTABLE ${(j: :)words[2,CURRENT]}"
          local -a found
          found=(${(f)"$("${(e)~words[1]}" "[suggest:${#line}]" "$line" 2>/dev/null)"})
          [[ $word == -* ]] || found=(${found:#-*})
          if (( ${#found} )); then compadd -- $found; else _files; fi
        }
        if [[ ${funcstack[1]} == _EXECUTABLE ]]; then _FUNCTION "$@"; else compdef _FUNCTION EXECUTABLE; fi

        """;

    const string Fish =
        """
        # fish completion for EXECUTABLE
        function __FUNCTION_complete
            set -l word (commandline -ct)
            set -l line (string replace -r '^\s*\S+' EXECUTABLE -- (commandline -cp))
            set -l found
            for item in (EXECUTABLE "[suggest:"(string length -- "$line")"]" "$line" 2>/dev/null)
                if string match -qr -- '^-' "$word"; or string match -qr -- '^[^-]' "$item"
                    set -a found $item
                end
            end
            if set -q found[1]
                printf '%s\n' $found
            else
                __fish_complete_path "$word"
            end
        end
        complete -c EXECUTABLE -f -a '(__FUNCTION_complete)'

        """;
}
