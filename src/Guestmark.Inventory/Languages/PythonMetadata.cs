using System.Text;

namespace Guestmark.Inventory.Languages;

/// <summary>Decodes the metadata of a Python distribution: https://packaging.python.org/en/latest/specifications/core-metadata/.</summary>
/// <remarks>
/// Headers as in mail, and behind an empty line a description, which is not looked at:
/// <code>
/// Name: requests
/// Version: 2.31.0
/// License-Expression: Apache-2.0     from 2.4 on; before: License, which may be a whole licence on continued lines
/// Author: Kenneth Reitz              else Maintainer, else Author-email
/// </code>
/// "UNKNOWN" is what setuptools writes for what is not known.
/// </remarks>
static class PythonMetadata
{
    /// <returns>Null on success; otherwise what is wrong.</returns>
    public static string? Read(ReadOnlySpan<byte> file, TextPool pool, out Package? package)
    {
        package = null;
        string? name = null, version = null, license = null, expression = null, author = null, maintainer = null, address = null;
        while (file.Length > 0)
        {
            var end = file.IndexOf((byte)'\n');
            var line = (end < 0 ? file : file[..end]).TrimEnd((byte)'\r');
            file = end < 0 ? default : file[(end + 1)..];
            if (line.IsEmpty) break;
            var colon = line.IndexOf((byte)':');
            if (line[0] is (byte)' ' or (byte)'\t' || colon <= 0) continue;
            var key = line[..colon];
            var value = line[(colon + 1)..].Trim(" \t"u8);
            if (value.IsEmpty || value.SequenceEqual("UNKNOWN"u8)) continue;
            if (Ascii.EqualsIgnoreCase(key, "Name"u8)) name ??= LanguageText.Bounded(value, pool);
            else if (Ascii.EqualsIgnoreCase(key, "Version"u8)) version ??= LanguageText.Bounded(value, pool);
            else if (Ascii.EqualsIgnoreCase(key, "License-Expression"u8)) expression ??= LanguageText.Cut(value, pool);
            else if (Ascii.EqualsIgnoreCase(key, "License"u8)) license ??= LanguageText.Cut(value, pool);
            else if (Ascii.EqualsIgnoreCase(key, "Author"u8)) author ??= LanguageText.Cut(value, pool);
            else if (Ascii.EqualsIgnoreCase(key, "Maintainer"u8)) maintainer ??= LanguageText.Cut(value, pool);
            else if (Ascii.EqualsIgnoreCase(key, "Author-email"u8)) address ??= LanguageText.Cut(value, pool);
        }

        if (name is null) return "names no distribution: its Name is absent or too long";
        if (version is null) return $"names no version of {GuestText.Quote(name)}: its Version is absent or too long";
        package = new Package
        {
            Manager = PackageManager.PyPI,
            Name = name,
            Version = version,
            Release = "",
            Architecture = "",
            License = expression ?? license,
            Vendor = author ?? maintainer ?? address,
        };
        return null;
    }
}

/// <summary>Bounds the text of language packages.</summary>
static class LanguageText
{
    /// <summary>The longest name or version that is taken. Registries allow 214 (npm) or fewer; a module path of Go is a URL.</summary>
    public const int NameBytesMax = 512;

    const int TextBytesMax = 256;

    /// <summary>A name or a version, which is nothing when it is cut. Null for a longer one.</summary>
    public static string? Bounded(ReadOnlySpan<byte> text, TextPool pool) => text.Length is 0 or > NameBytesMax ? null : pool.Text(text);

    /// <summary>A text for people.</summary>
    public static string Cut(ReadOnlySpan<byte> text, TextPool pool)
    {
        if (text.Length <= TextBytesMax) return pool.Text(text);
        var length = TextBytesMax;
        // Not in the middle of a character of UTF-8.
        while (length > 0 && (text[length] & 0xc0) == 0x80) length--;
        return pool.Text(text[..length]);
    }
}
