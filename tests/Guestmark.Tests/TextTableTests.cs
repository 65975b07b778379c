namespace Guestmark.Tests;

/// <summary>Establishes that a row is a line, however wide the terminal is.</summary>
public sealed class TextTableTests
{
    static TextTable Table()
    {
        var table = new TextTable(
            new("RECORD") { IsRight = true }, new("TYPE") { MayShorten = true }, new("SUBJECT") { MayShorten = true }, new("STREAM") { MayShorten = true, MayLeave = true });
        table.Add("7", "dev.guestmark.vm.lifecycle.v1", "1431f682-62b3-5c2f-a1f4-4789fa8e02ea", "01a2005e-6242-7e34-8d1c-732493101ee6-keep");
        table.Add("12345", "short", "web\u001b[2J", null);
        return table;
    }

    [Fact]
    public void All_is_there_where_there_is_room()
    {
        var lines = Table().Lines(int.MaxValue, out var left);
        Assert.Empty(left);
        Assert.Equal(
            [
                "RECORD  TYPE                           SUBJECT                               STREAM",
                "     7  dev.guestmark.vm.lifecycle.v1  1431f682-62b3-5c2f-a1f4-4789fa8e02ea  01a2005e-6242-7e34-8d1c-732493101ee6-keep",
                " 12345  short                          web?[2J",
            ],
            lines);
    }

    [Theory]
    [InlineData(118, 0)]
    [InlineData(100, 0)]
    [InlineData(80, 0)]
    [InlineData(48, 0)]
    [InlineData(47, 1)]
    [InlineData(34, 1)]
    public void Texts_lose_their_middle_and_then_a_column_goes(int width, int leaving)
    {
        var lines = Table().Lines(width, out var left);
        Assert.Equal(leaving, left.Count);
        Assert.Equal(3, lines.Count);
        Assert.All(lines, line => Assert.InRange(line.Length, 1, width));
        if (width < 118) Assert.Contains("…", lines[1], StringComparison.Ordinal);
        Assert.EndsWith(leaving == 0 ? "keep" : "2ea", lines[1], StringComparison.Ordinal);
        Assert.StartsWith("     7  dev.", lines[1], StringComparison.Ordinal);
    }

    [Fact]
    public void What_cannot_be_shortened_any_more_is_not_cut_off() =>
        Assert.All(Table().Lines(10, out _), line => Assert.True(line.Length >= "RECORD".Length));
}
