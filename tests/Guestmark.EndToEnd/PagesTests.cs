using Guestmark.TestKit;
using Microsoft.Playwright;

namespace Guestmark.EndToEnd;

/// <summary>Establishes that a person gets from the sign-in link to the evidence of a finding, in a real browser without scripts.</summary>
public sealed class PagesTests : IDisposable
{
    readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [ToolFact("chromium")]
    public async Task From_the_sign_in_link_to_the_machines_to_a_finding_and_its_evidence()
    {
        await using var up = GuestmarkProcess.Start(
            "guestmark", "up", "--data", _folder.File("data"), "--address", "127.0.0.1:0",
            "--guest", $"web1={SampleGuest.Create(_folder)}", "--feed", SampleGuest.CreateFeed(_folder));
        var link = (await up.WaitForLineAsync("Sign in once with")).Split(' ')[^1];
        await up.WaitForLineAsync("Matching: 2 guests");

        using var playwright = await Playwright.CreateAsync();
        await using var browser = await playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions
        {
            ExecutablePath = "/usr/bin/chromium",
            Args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        });
        await using var context = await browser.NewContextAsync(new BrowserNewContextOptions { JavaScriptEnabled = false });
        var page = await context.NewPageAsync();
        var problems = new List<string>();
        page.Console += (_, message) => problems.Add($"{message.Type}: {message.Text}");
        page.Response += (_, response) =>
        {
            if (response.Status >= 400) problems.Add($"{response.Status} {response.Url}");
        };

        // The machines.
        await page.GotoAsync(link);
        Assert.EndsWith("/", new Uri(page.Url).AbsolutePath, StringComparison.Ordinal);
        Assert.Contains("achines", await page.TitleAsync(), StringComparison.Ordinal);
        var row = page.Locator("tr", new PageLocatorOptions { HasText = "web1" });
        await Assertions.Expect(row).ToContainTextAsync("Debian GNU/Linux 12 (bookworm)");

        // One machine, with its finding and its packages.
        await row.GetByRole(AriaRole.Link, new LocatorGetByRoleOptions { Name = "web1" }).First.ClickAsync();
        var finding = page.Locator("tr", new PageLocatorOptions { HasText = SampleGuest.Advisory });
        await Assertions.Expect(finding).ToContainTextAsync("3.0.11-1+deb12u2");
        await Assertions.Expect(finding).ToContainTextAsync("CVE-2026-0001");
        var machinePage = page.Url;
        await page.GetByRole(AriaRole.Link, new PageGetByRoleOptions { Name = "Packages" }).First.ClickAsync();
        await Assertions.Expect(page.Locator("main")).ToContainTextAsync("harmless");
        await Assertions.Expect(page.Locator("main")).Not.ToContainTextAsync("removed");

        // The evidence.
        await page.GotoAsync(machinePage);
        await finding.GetByRole(AriaRole.Link, new LocatorGetByRoleOptions { Name = SampleGuest.Advisory }).First.ClickAsync();
        var main = page.Locator("main");
        await Assertions.Expect(main).ToContainTextAsync("Debian:12");
        await Assertions.Expect(main).ToContainTextAsync("3.0.11-1 < 3.0.11-1+deb12u2");
        await Assertions.Expect(main).ToContainTextAsync("introduced 0, fixed 3.0.11-1+deb12u2");

        // Every view is a URL: opened again, it shows the same.
        await page.ReloadAsync();
        await Assertions.Expect(main).ToContainTextAsync(SampleGuest.Advisory);

        // Why it was found, what it was compared with and how old that is.
        await Assertions.Expect(main).ToContainTextAsync("Fix available");
        await Assertions.Expect(main).ToContainTextAsync("imported ");
        await page.GetByRole(AriaRole.Link, new PageGetByRoleOptions { Name = "Vulnerability data" }).ClickAsync();
        await Assertions.Expect(main).ToContainTextAsync("Debian:12");
        await Assertions.Expect(page.Locator("table")).ToContainTextAsync("osv");
        await page.GetByRole(AriaRole.Link, new PageGetByRoleOptions { Name = "Decisions" }).First.ClickAsync();
        await Assertions.Expect(main).ToContainTextAsync("No decision has been imported");

        // Filters are part of the address.
        await page.GotoAsync(machinePage);
        await page.GetByLabel("Status").SelectOptionAsync("will-not-fix");
        await page.GetByRole(AriaRole.Button, new PageGetByRoleOptions { Name = "Filter" }).ClickAsync();
        Assert.Contains("status=will-not-fix", page.Url, StringComparison.Ordinal);
        await Assertions.Expect(main).ToContainTextAsync("No finding matches the filters");
        Assert.Empty(problems);

        // The link worked once.
        await using var stranger = await browser.NewContextAsync();
        var second = await stranger.NewPageAsync();
        await second.GotoAsync(link);
        await Assertions.Expect(second.Locator("body")).Not.ToContainTextAsync("web1");
    }
}
