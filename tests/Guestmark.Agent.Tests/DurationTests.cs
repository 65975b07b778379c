namespace Guestmark.Agent.Tests;

public sealed class DurationTests
{
    [Theory]
    [InlineData("4h", 14400)]
    [InlineData("1h30m", 5400)]
    [InlineData("1.5h", 5400)]
    [InlineData("30s", 30)]
    [InlineData("250ms", 0.25)]
    [InlineData("0s", 0)]
    [InlineData("30", 30)]
    public void Parse_takes_what_Go_takes_and_seconds_without_unit(string text, double seconds) =>
        Assert.Equal(TimeSpan.FromSeconds(seconds), Duration.Parse(text));

    [Theory]
    [InlineData("")]
    [InlineData("h")]
    [InlineData("4 h")]
    [InlineData("-4h")]
    [InlineData("4d")]
    [InlineData("1.2.3s")]
    [InlineData("1h30")]
    [InlineData("99999999999999999999h")]
    public void Parse_gives_null_for_anything_else(string text) => Assert.Null(Duration.Parse(text));

    [Theory]
    [InlineData("4h")]
    [InlineData("1h30m")]
    [InlineData("30s")]
    [InlineData("100h")]
    [InlineData("250ms")]
    [InlineData("0s")]
    public void Format_gives_what_Parse_took(string text) => Assert.Equal(text, Duration.Format(Duration.Parse(text)!.Value));
}
