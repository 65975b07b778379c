using System.CommandLine;
using Guestmark.CommandLine;
using Guestmark.Vulnerabilities;

namespace Guestmark;

/// <summary>The file of the advisory database, which Central reads and <c>guestmark vulndb</c> changes.</summary>
static class AdvisoryFile
{
    const string Name = "advisories.db";

    /// <summary>Where <c>guestmark up</c> and <c>guestmark central</c> look for it when nobody names another folder.</summary>
    public static string Default { get; } = In(Path.Combine(RoleArguments.DataHome, "central"));

    public static string In(string centralData) => Path.Combine(centralData, Name);

    public static Option<string> Option() => new("--database")
    {
        Description = "The advisory database; the default is the one of `guestmark up`",
        HelpName = "FILE",
        DefaultValueFactory = _ => Default,
        CustomParser = result =>
        {
            if (result.Tokens[0].Value is { Length: > 0 } path) return Path.GetFullPath(path);
            result.AddError("--database: name a file");
            return Default;
        },
    };

    /// <summary>The database in the file; an empty one when there is no file.</summary>
    /// <exception cref="CommandException">The file cannot be read, or is damaged.</exception>
    public static AdvisoryDatabase Open(string path)
    {
        try
        {
            if (Directory.Exists(path)) throw new CommandException($"{path}: is a folder; name the file, as {Path.Combine(path, Name)}");
            return File.Exists(path) ? AdvisoryDatabase.Open(path) : AdvisoryDatabase.Empty;
        }
        catch (AdvisoryDatabaseException e)
        {
            throw new CommandException(e.Message, e);
        }
    }

    /// <summary>Changes the database. When <paramref name="change"/> throws, or says that nothing is to be written, the file stays as it is.</summary>
    /// <param name="change">Gets the present content, and says whether it is to be written.</param>
    /// <exception cref="CommandException">A feed is refused, the file cannot be read or written, or another process is changing it.</exception>
    public static async Task ChangeAsync(string path, Func<AdvisoryDatabaseBuilder, Task<bool>> change)
    {
        try
        {
            var folder = Path.GetDirectoryName(path)!;
            if (!Directory.Exists(folder)) DataFolder.MakePrivate(folder);
            using var builder = AdvisoryDatabaseBuilder.Update(path);
            if (await change(builder)) builder.Write(path);
        }
        catch (Exception e) when (e is FeedException or AdvisoryDatabaseException)
        {
            throw new CommandException(e.Message, e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"{path}: {e.Message}", e);
        }
    }
}
