using System.Formats.Tar;
using System.IO.Compression;
using System.Text;

namespace Guestmark.Vulnerabilities.Tests;

/// <summary>Archives and compressed files for tests.</summary>
static class Packed
{
    /// <summary>30 times <c>Guestmark reads vendors data. </c>, as zstd 1.5 (-19 --check), xz 5.4, bzip2 1.0 and gzip 1.12 pack it.</summary>
    public static readonly IReadOnlyDictionary<string, byte[]> Samples = new Dictionary<string, byte[]>
    {
        ["zstd"] = Convert.FromBase64String("KLUv/WSEAjUBAPBHdWVzdG1hcmsgcmVhZHMgdmVuZG9ycyBkYXRhLiABAI4NlXICaB0rzQ=="),
        ["xz"] = Convert.FromBase64String(
            "/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4AODACpdACOdSKdnLoflVtfjFZa3U5IHC3aCrWZ3Xu2RRJq6O/YDs5HtOVRNLIMiAAAAACNsQMVkON6aAAFGhAcAAABHE+XDscRn+wIAAAAABFla"),
        ["bzip2"] = Convert.FromBase64String(
            "QlpoOTFBWSZTWRrrwuoAAFmVgEABAIAmC58AIACRFMAACaqkeg1Mam0O4cw2hvDEPIdQzDMMQ/Q4h5DUNQ+QzDMOodQ5hqHEMQ3hiHcNQ5hwu5IpwoSA114XUA=="),
        ["gzip"] = Convert.FromBase64String("H4sIAAAAAAAAA3MvTS0uyU0sylYoSk1MKVYoS81LyS8qVkhJLEnUU3AflR2VHZWlsSwAcuPZvoQDAAA="),
    };

    public static readonly string Sample = string.Concat(Enumerable.Repeat("Guestmark reads vendors data. ", 30));

    public static byte[] Gzip(byte[] bytes)
    {
        using var output = new MemoryStream();
        using (var gzip = new GZipStream(output, CompressionLevel.Optimal, leaveOpen: true)) gzip.Write(bytes);
        return output.ToArray();
    }

    public static byte[] Tar(TarEntryFormat format, params ReadOnlySpan<(string Name, byte[] Content)> members)
    {
        using var output = new MemoryStream();
        using (var tar = new TarWriter(output, format, leaveOpen: true))
        {
            foreach (var (name, content) in members)
            {
                TarEntry entry = format switch
                {
                    TarEntryFormat.V7 => new V7TarEntry(TarEntryType.V7RegularFile, name),
                    TarEntryFormat.Ustar => new UstarTarEntry(TarEntryType.RegularFile, name),
                    TarEntryFormat.Gnu => new GnuTarEntry(TarEntryType.RegularFile, name),
                    _ => new PaxTarEntry(TarEntryType.RegularFile, name),
                };
                entry.DataStream = new MemoryStream(content);
                tar.WriteEntry(entry);
            }
        }

        return output.ToArray();
    }

    public static byte[] Zip(params ReadOnlySpan<(string Name, string Content)> members) => Zip(CompressionLevel.Optimal, members);

    public static byte[] Zip(CompressionLevel level, params ReadOnlySpan<(string Name, string Content)> members)
    {
        using var output = new MemoryStream();
        using (var archive = new ZipArchive(output, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (var (name, content) in members)
            {
                using var writer = new StreamWriter(archive.CreateEntry(name, level).Open());
                writer.Write(content);
            }
        }

        return output.ToArray();
    }

    public static byte[] Utf8(string text) => Encoding.UTF8.GetBytes(text);

    public static byte[] ReadAll(Stream stream)
    {
        using (stream)
        {
            using var output = new MemoryStream();
            stream.CopyTo(output);
            return output.ToArray();
        }
    }
}
