namespace Guestmark.Vulnerabilities.Tests;

/// <summary>Databases of advisories that tests made.</summary>
static class Databases
{
    public static AdvisoryDatabase Of(params ReadOnlySpan<Advisory> advisories) => Of("test", advisories);

    public static AdvisoryDatabase Of(string source, params ReadOnlySpan<Advisory> advisories)
    {
        var builder = new AdvisoryDatabaseBuilder();
        var import = builder.Import(source, FeedName.Osv, source, ImportMode.Replace);
        foreach (var advisory in advisories) import.Add(advisory);
        import.Complete("", DateTimeOffset.UnixEpoch);
        return builder.Build();
    }
}
