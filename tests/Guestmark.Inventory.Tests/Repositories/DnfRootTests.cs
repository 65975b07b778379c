using System.Diagnostics;
using System.Text;
using Guestmark.TestKit;

namespace Guestmark.Inventory.Tests.Repositories;

/// <summary>A system that rpmbuild, createrepo_c and dnf made, read while its databases are open and their last transactions in the logs.</summary>
public sealed class DnfRootTests : IDisposable
{
    readonly GuestTree _tree = new();

    public void Dispose() => _tree.Dispose();

    static IEnumerable<string> Names(int first, int last) => Enumerable.Range(first, last - first + 1).Select(i => $"p{i}");

    /// <summary>Builds packages p{first}…p{last} of one version into a repository.</summary>
    string Build(string repository, int version, int first, int last)
    {
        var spec = new StringBuilder($"Name: base\nVersion: {version}\nRelease: 1.el9_4\nSummary: s\nLicense: MIT\nBuildArch: noarch\n%description\nd\n");
        for (var i = first; i <= last; i++)
            spec.Append($"%package -n p{i}\nSummary: s\n{(i % 7 == 0 ? "Epoch: 1\n" : "")}%description -n p{i}\nd\n%files -n p{i}\n");
        var folder = _tree.Outside(repository);
        File.WriteAllText(_tree.Outside(repository + ".spec"), spec.ToString());
        Tool.Run("rpmbuild",
        [
            "-bb", "--quiet", "--define", $"_topdir {_tree.Outside("build")}", "--define", $"_rpmdir {folder}", "--define", "_binary_payload w0.gzdio",
            "--define", "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm", "--define", "debug_package %{nil}", "--define", "__os_install_post %{nil}",
            _tree.Outside(repository + ".spec"),
        ]);
        Tool.Run("createrepo_c", ["-q", folder]);
        return folder;
    }

    List<string> Arguments(string repository, IEnumerable<string> arguments) =>
    [
        "-q", "-y", "--config", _tree.Outside("dnf.conf"), "--installroot", _tree.Root, "--releasever", "9", "--disablerepo", "*",
        .. repository.Length > 0 ? ["--enablerepo", repository] : Array.Empty<string>(), .. arguments,
    ];

    string Dnf(string repository, params IEnumerable<string> arguments) => Tool.Run("dnf", Arguments(repository, arguments));

    static Process Start(string program, IEnumerable<string> arguments) => Process.Start(new ProcessStartInfo(program, arguments)
    {
        UseShellExecute = false,
        RedirectStandardInput = true,
        RedirectStandardOutput = true,
    })!;

    static void End(Process process)
    {
        process.StandardInput.Close();
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        process.Dispose();
    }

    /// <summary>Keeps a snapshot of a database open, so that no checkpoint can empty its log.</summary>
    Process Hold(string database, string table)
    {
        var process = Start("sqlite3", [_tree.Path(database)]);
        process.StandardInput.WriteLine($"BEGIN; SELECT count(*) FROM {table};");
        process.StandardInput.Flush();
        Assert.NotNull(process.StandardOutput.ReadLine());
        return process;
    }

    [ToolFact("dnf", "createrepo_c", "rpmbuild", "sqlite3")]
    public void Every_package_has_the_repository_that_dnf_names()
    {
        var folders = new[] { Build("repo-a", 1, 1, 500), Build("repo-b", 2, 1, 200), Build("repo-c", 1, 101, 500) };
        File.WriteAllText(
            _tree.Outside("dnf.conf"),
            $"[main]\ngpgcheck=0\ncachedir={_tree.Outside("cache")}\nlogdir={_tree.Outside("log")}\nreposdir=/nonexistent\npluginpath=/nonexistent\n"
            + string.Concat(folders.Select(folder => $"[{Path.GetFileName(folder)}]\nname=x\nbaseurl=file://{folder}\n")));
        // rpm of Debian has its database in the home folder.
        var home = (Environment.GetEnvironmentVariable("HOME") ?? "/root").Trim('/') + "/.rpmdb";
        _tree.Folder("var/lib/rpm").Link(home, Path.GetRelativePath("/" + Path.GetDirectoryName(home), "/var/lib/rpm"));

        Dnf("repo-a", ["install", .. Names(1, 400)]);
        Dnf("repo-b", ["upgrade", .. Names(1, 100)]);
        var history = Hold("var/lib/dnf/history.sqlite", "trans");
        Dnf("repo-a", ["downgrade", .. Names(1, 30)]);
        Dnf("repo-c", ["reinstall", .. Names(101, 150)]);
        Dnf("", ["remove", .. Names(151, 200)]);
        Dnf("repo-c", ["install", .. Names(151, 175)]);
        Dnf("", ["mark", "remove", .. Names(300, 310)]);
        var packages = Hold("var/lib/rpm/rpmdb.sqlite", "Packages");
        var dnf = Start("dnf", Arguments("repo-c", ["install", .. Names(401, 500)]));
        GuestInventory inventory;
        try
        {
            // It has committed everything when it prints what it installed, and then waits 10 s at most for the log of rpm to be released.
            while (dnf.StandardOutput.ReadLine()?.StartsWith("Installed:", StringComparison.Ordinal) == false)
            {
            }

            AssertNoneInFile("history.sqlite", "var/lib/dnf/history.sqlite", "SELECT count(*) FROM trans WHERE id > 2");
            AssertNoneInFile("rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite", "SELECT count(*) FROM Name WHERE key = 'p450'");

            inventory = _tree.Scan();
            Assert.Empty(inventory.Problems);
            Assert.Empty(Assigned.Assign(_tree.Root, inventory.Packages));
        }
        finally
        {
            foreach (var process in new[] { packages, dnf, history }) End(process);
        }

        // Also with the final reading: dnf has written both files meanwhile.
        AssertAsDnfSays(inventory);
        var after = _tree.Scan();
        Assert.Empty(Assigned.Assign(_tree.Root, after.Packages));
        AssertAsDnfSays(after);
    }

    void AssertAsDnfSays(GuestInventory inventory)
    {
        var lines = Dnf("", ["repoquery", "--installed", "--qf", "%{name} %{epoch} %{version} %{release} %{arch} %{from_repo}"])
            .Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Trim());
        Assert.Equal(
            lines.Order(StringComparer.Ordinal),
            inventory.Packages.Select(package => $"{package.Name} {package.Epoch ?? 0} {package.Version} {package.Release} {package.Architecture} {package.Repository!.Id}")
                .Order(StringComparer.Ordinal));
        Assert.Equal(475, inventory.Packages.Count);
        Assert.Equal(
            [("repo-a", 230), ("repo-b", 70), ("repo-c", 175)],
            inventory.Packages.CountBy(package => package.Repository!.Id).Select(count => (count.Key, count.Value)).Order());
    }

    /// <summary>Checks that the test tests what it says: the file alone, without its log, does not have the rows.</summary>
    void AssertNoneInFile(string name, string path, string sql)
    {
        var copy = _tree.Outside("without-log-" + name);
        File.Copy(_tree.Path(path), copy);
        Assert.Equal("0", Tool.Run("sqlite3", [copy, sql]).Trim());
    }
}
