using Guestmark.TestKit;

namespace Guestmark.EndToEnd;

/// <summary>A small Debian machine, and an advisory that one of its packages is affected by.</summary>
static class SampleGuest
{
    public const string Advisory = "DSA-9999-1";
    public const string VulnerablePackage = "libexample3";

    public static string Create(TemporaryFolder folder)
    {
        var root = folder.File("guest");
        Directory.CreateDirectory(Path.Combine(root, "etc"));
        Directory.CreateDirectory(Path.Combine(root, "var/lib/dpkg"));
        File.WriteAllText(Path.Combine(root, "etc/os-release"), "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
        File.WriteAllText(
            Path.Combine(root, "var/lib/dpkg/status"),
            """
            Package: libexample3
            Status: install ok installed
            Architecture: amd64
            Source: example (3.0.11-1)
            Version: 3.0.11-1+b1

            Package: harmless
            Status: install ok installed
            Architecture: all
            Version: 1.0

            Package: removed
            Status: deinstall ok config-files
            Architecture: amd64
            Version: 2.0-1

            """);
        return root;
    }

    public static string CreateFeed(TemporaryFolder folder)
    {
        Directory.CreateDirectory(folder.File("feed"));
        File.WriteAllText(
            folder.File($"feed/{Advisory}.json"),
            $$"""
            {
              "id": "{{Advisory}}",
              "modified": "2026-01-02T03:04:05Z",
              "published": "2026-01-01T00:00:00Z",
              "summary": "example - security update",
              "aliases": [],
              "related": ["CVE-2026-0001", "CVE-2026-0002"],
              "affected": [{
                "package": { "ecosystem": "Debian:12", "name": "example" },
                "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }, { "fixed": "3.0.11-1+deb12u2" }] }]
              }],
              "references": [{ "type": "ADVISORY", "url": "https://www.debian.org/security/2026/dsa-9999" }]
            }
            """);
        return folder.File("feed");
    }
}
