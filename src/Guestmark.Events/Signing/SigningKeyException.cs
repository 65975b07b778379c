namespace Guestmark.Events.Signing;

/// <summary>A key cannot be used. The message names the file, what is wrong with it and the remedy, and never anything of what it holds.</summary>
public sealed class SigningKeyException(string file, string problem, Exception? cause = null) : Exception($"{file}: {problem}", cause)
{
    public string File { get; } = file;
}
