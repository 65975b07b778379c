using Microsoft.Extensions.Options;

namespace Guestmark.Central;

/// <summary>What the operator sets of Central.</summary>
public sealed record CentralOptions
{
    /// <summary>Folder of the database, the keys of sessions and the API token, for this user only: it is given mode 0700.</summary>
    public required string DataDirectory { get; init; }

    /// <summary>
    /// How many reports are kept of a machine, 1 to 1,000,000; older ones go, with the package sets that nobody has any more.
    /// 10,000 are four and a half years of StackRox's default of one report in four hours.
    /// </summary>
    public int ReportsPerMachineMax { get; init; } = 10_000;

    /// <summary>
    /// Bytes of the distinct package sets of one machine's reports, 1 MiB to 1 TiB; with more, older reports go. A set costs its text and 64
    /// bytes a package, on disk up to twice as much: 512 MiB are 650 different states of a full desktop installation, of which a machine
    /// has one a day, and what a hostile guest can fill.
    /// </summary>
    public long PackageBytesPerMachineMax { get; init; } = 512L << 20;

    /// <summary>How long a machine stays visible after it was deleted, at least an hour.</summary>
    public TimeSpan DeletedMachineRetention { get; init; } = TimeSpan.FromDays(30);

    /// <summary>How long events about channels are kept after they came, at least an hour: what guests declare, silences, refusals, losses.</summary>
    public TimeSpan EventRetention { get; init; } = TimeSpan.FromDays(30);

    /// <summary>How many of these events are kept, 1 to 1,000,000,000; with more, the oldest go. An event can carry 512 declarations.</summary>
    public int EventsMax { get; init; } = 1_000_000;

    /// <summary>
    /// Bytes of these events, 1 MiB to 1 TiB; with more, the oldest go. Most have under 1 KiB, but cells that fill every batch send 60 KiB each,
    /// of which <see cref="EventsMax"/> would be 60 GB.
    /// </summary>
    public long EventBytesMax { get; init; } = 4L << 30;

    public SignInOptions SignIn { get; init; } = new();

    internal string DatabasePath => Path.Combine(DataDirectory, "central.db");

    /// <summary>Where <c>guestmark vulndb import</c> leaves the advisory database.</summary>
    internal string AdvisoryDatabasePath => Path.Combine(DataDirectory, "advisories.db");

    internal string KeysDirectory => Path.Combine(DataDirectory, "keys");

    internal string ApiTokenPath => Path.Combine(DataDirectory, "api-token");

    /// <exception cref="OptionsValidationException">Names every value that is wrong and what is allowed.</exception>
    internal void Validate()
    {
        var failures = new List<string>();
        if (string.IsNullOrWhiteSpace(DataDirectory)) failures.Add("DataDirectory is empty: set it to a folder that Central may write to");
        else if (!Path.IsPathFullyQualified(DataDirectory))
            failures.Add($"DataDirectory is '{DataDirectory}': set it to an absolute path, so that it does not depend on where Central is started");
        Range(nameof(ReportsPerMachineMax), ReportsPerMachineMax, 1, 1_000_000);
        Range(nameof(PackageBytesPerMachineMax), PackageBytesPerMachineMax, 1L << 20, 1L << 40);
        AtLeast(nameof(DeletedMachineRetention), DeletedMachineRetention, TimeSpan.FromHours(1));
        AtLeast(nameof(EventRetention), EventRetention, TimeSpan.FromHours(1));
        Range(nameof(EventsMax), EventsMax, 1, 1_000_000_000);
        Range(nameof(EventBytesMax), EventBytesMax, 1L << 20, 1L << 40);
        AtLeast("SignIn.LinkLifetime", SignIn.LinkLifetime, TimeSpan.FromSeconds(1));
        AtLeast("SignIn.SessionLifetime", SignIn.SessionLifetime, TimeSpan.FromMinutes(1));
        Range("SignIn.FailedAttemptsPerMinuteMax", SignIn.FailedAttemptsPerMinuteMax, 1, 10_000);
        if (failures.Count > 0) throw new OptionsValidationException(nameof(CentralOptions), typeof(CentralOptions), failures);

        void Range(string name, long value, long min, long max)
        {
            if (value < min || value > max) failures.Add($"{name} is {value}: set it to a number from {min} to {max}");
        }

        void AtLeast(string name, TimeSpan value, TimeSpan min)
        {
            if (value < min) failures.Add($"{name} is {value}: set it to {min} or more");
        }
    }
}

/// <summary>How people and programs sign in.</summary>
public sealed record SignInOptions
{
    /// <summary>How long a sign-in link can be used.</summary>
    public TimeSpan LinkLifetime { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>How long a session lasts after the link was used.</summary>
    public TimeSpan SessionLifetime { get; init; } = TimeSpan.FromHours(12);

    /// <summary>Wrong links or tokens from one address in a minute, 1 to 10,000; more wrong ones are answered with 429. What is valid always works.</summary>
    public int FailedAttemptsPerMinuteMax { get; init; } = 10;
}
