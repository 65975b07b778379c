namespace Guestmark.Inventory.Languages;

/// <summary>What tells by its name and place that it describes language packages.</summary>
enum LanguageFile
{
    None,

    /// <summary><c>METADATA</c> of a dist-info folder, <c>PKG-INFO</c> of an egg, or an <c>.egg-info</c> file itself.</summary>
    PythonMetadata,

    /// <summary><c>package.json</c> of a package directly below <c>node_modules</c>.</summary>
    NodePackage,

    JavaArchive,

    DotNetDependencies,

    /// <summary>A file without an extension where programs lie; whether it is one of Go only its bytes tell.</summary>
    Program,
}

/// <summary>Tells by name and place which files are of interest, without a look at the disk.</summary>
static class LanguageFiles
{
    /// <param name="folder">From the root, with a leading and a trailing slash.</param>
    public static LanguageFile Classify(ReadOnlySpan<byte> folder, ReadOnlySpan<byte> name)
    {
        if (name.IsEmpty) return LanguageFile.None;
        // One look at the last letter decides for most files.
        switch (name[^1])
        {
            case (byte)'A' when name.SequenceEqual("METADATA"u8) && folder.EndsWith(".dist-info/"u8):
            case (byte)'O' when name.SequenceEqual("PKG-INFO"u8) && (folder.EndsWith(".egg-info/"u8) || folder.EndsWith("/EGG-INFO/"u8)):
            case (byte)'o' when name.EndsWith(".egg-info"u8):
                return LanguageFile.PythonMetadata;
            case (byte)'n' when name.SequenceEqual("package.json"u8) && IsBelowNodeModules(folder):
                return LanguageFile.NodePackage;
            case (byte)'n' when name.EndsWith(".deps.json"u8):
                return LanguageFile.DotNetDependencies;
            case (byte)'r' when name.EndsWith(".jar"u8) || name.EndsWith(".war"u8) || name.EndsWith(".ear"u8):
            // Plugins of Jenkins are wars by another name.
            case (byte)'i' when name.EndsWith(".hpi"u8) || name.EndsWith(".jpi"u8):
                return LanguageFile.JavaArchive;
            default:
                return IsProgramName(name) && !IsWithoutPrograms(folder) ? LanguageFile.Program : LanguageFile.None;
        }
    }

    /// <summary>
    /// <c>…/node_modules/NAME/</c> or <c>…/node_modules/@SCOPE/NAME/</c>: where Node.js looks for packages. A package.json deeper in a package
    /// tells how to load a folder, or is a test's.
    /// </summary>
    static bool IsBelowNodeModules(ReadOnlySpan<byte> folder)
    {
        var parent = Parent(folder);
        if (Parent(folder).EndsWith("/node_modules/"u8)) return true;
        var scope = Parent(parent);
        return scope.EndsWith("/node_modules/"u8) && parent.Length > scope.Length && parent[scope.Length] == '@';

        static ReadOnlySpan<byte> Parent(ReadOnlySpan<byte> folder) =>
            folder.Length < 2 ? default : folder[..(folder[..^1].LastIndexOf((byte)'/') + 1)];
    }

    /// <summary>No extension, or one that is part of a version or a platform: <c>node_exporter-1.5.0</c>, <c>tool.linux-amd64</c>.</summary>
    static bool IsProgramName(ReadOnlySpan<byte> name)
    {
        var dot = name.LastIndexOf((byte)'.');
        if (dot < 0) return true;
        if (dot == 0 || name.IndexOf(".so."u8) >= 0) return false;
        var extension = name[(dot + 1)..];
        return extension.Length > 0 && (extension[0] is >= (byte)'0' and <= (byte)'9' || extension.IndexOf((byte)'-') >= 0
            || extension.SequenceEqual("bin"u8));
    }

    static bool IsWithoutPrograms(ReadOnlySpan<byte> folder) =>
        folder.StartsWith("/usr/share/"u8) || folder.StartsWith("/etc/"u8) || folder.StartsWith("/usr/include/"u8) || folder.StartsWith("/usr/src/"u8)
        || folder.StartsWith("/usr/lib/modules/"u8) || folder.StartsWith("/lib/modules/"u8) || folder.StartsWith("/boot/"u8)
        || folder.StartsWith("/var/lib/dpkg/"u8);
}
