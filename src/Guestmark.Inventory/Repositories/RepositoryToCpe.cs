namespace Guestmark.Inventory.Repositories;

/// <summary>Red Hat's list of repositories with their CPEs (<c>repository-to-cpe.json</c>). It stays on disk: each use reads it through.</summary>
/// <remarks>
/// <code>
/// {"data":{"rhel-9-for-x86_64-baseos-rpms":{"cpes":["cpe:/o:redhat:enterprise_linux:9::baseos"],
///                                           "repo_relative_urls":["content/dist/rhel9/9/x86_64/baseos/os",…]},…}}
/// </code>
/// The list of 2025 has 2.9 MB and 10,590 repositories. An agent that kept it would be larger by as much for something that it needs for
/// milliseconds after a transaction.
/// </remarks>
public sealed class RepositoryToCpe
{
    public const int BytesMax = 16 << 20;

    readonly string _path;

    RepositoryToCpe(string path) => _path = path;

    /// <summary>Checks a list on this machine.</summary>
    /// <param name="error">What is wrong, for a person; null on success.</param>
    /// <returns>Null when there is an error.</returns>
    public static RepositoryToCpe? TryRead(string path, out string? error)
    {
        error = new RepositoryToCpe(path).Find([], [], out _, CancellationToken.None);
        return error is null ? new RepositoryToCpe(path) : null;
    }

    /// <summary>Checks a list before somebody writes it to disk.</summary>
    /// <returns>Null when it is one; otherwise what is wrong, for a person.</returns>
    /// <exception cref="IOException">The stream does not give it.</exception>
    public static string? Validate(Stream stream) => new MappingReader([], []).Read(stream, CancellationToken.None);

    /// <summary>Reads the list through for some repositories and URLs.</summary>
    /// <param name="urls">Relative: <c>content/dist/rhel9/9/x86_64/baseos/os</c>.</param>
    /// <param name="found">What the list says of them. On an error, what it said before.</param>
    /// <returns>Null on success; otherwise what is wrong.</returns>
    internal string? Find(IEnumerable<string> ids, IEnumerable<string> urls, out MappedRepositories found, CancellationToken cancellation)
    {
        var reader = new MappingReader(ids, urls);
        found = reader.Found;
        try
        {
            using var stream = new FileStream(_path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            return reader.Read(stream, cancellation) is { } error
                ? $"{_path} is not a repository-to-CPE mapping: {error}. Fetch repository-to-cpe.json anew"
                : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"{_path} cannot be read: {e.Message}. Check the path of the repository-to-CPE mapping and who may read it";
        }
    }
}

/// <summary>What a mapping says of the repositories and URLs that it was asked for.</summary>
sealed class MappedRepositories
{
    public Dictionary<string, string[]> ById { get; } = [];

    /// <summary>The repositories that have a URL. Of 13,744 URLs 2,486 have several: those of a minor release, and of all together.</summary>
    public Dictionary<string, List<(string Id, string[] Cpes)>> ByUrl { get; } = [];
}
