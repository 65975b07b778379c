namespace Guestmark.Rpc;

/// <summary>A certificate, key or authority on disk cannot be used. The message names the file, what is wrong, and what to do.</summary>
/// <param name="path">The file or folder.</param>
public sealed class CertificateException(string path, string problem, Exception? innerException = null)
    : Exception($"{path}: {problem}", innerException)
{
    public string Path { get; } = path;
}
