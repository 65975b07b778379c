namespace Guestmark.Vulnerabilities.Tests;

/// <summary>Tests that measure the memory of the process, in which no other may run meanwhile.</summary>
[CollectionDefinition(nameof(MeasuredAlone), DisableParallelization = true)]
public sealed class MeasuredAlone;
