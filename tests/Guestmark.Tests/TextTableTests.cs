using System.Text.Json.Nodes;
using Guestmark.Configuration;

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
    public void Guests_and_how_they_are_have_room_on_80_columns()
    {
        var guests = JsonNode.Parse(
            """
            [{"name": "web-frontend-0001", "uid": "1431f682-62b3-5c2f-a1f4-4789fa8e02ea", "channel": "/run/vm/web-frontend-0001.sock_818", "state": "not-listening",
              "lastReportAt": "2026-11-22T00:37:00.2777089Z", "reports": 1234567, "refused": 1234567, "lastRefusal": "Malformed", "spoolBytes": 999000000}]
            """)!.AsArray();
        var lines = GuestCommand.Table(guests).Lines(80, out var left);
        Assert.All(lines, line => Assert.InRange(line.Length, 1, 80));
        Assert.Contains("not-listening  2026-11-22T00:37:00Z  1234567  1234567  999 MB", lines[1], StringComparison.Ordinal);
        Assert.Equal(["CHANNEL", "UID", "LAST REFUSAL"], left);
    }

    [Fact]
    public void Settings_and_where_they_come_from_have_room_on_80_columns()
    {
        var folder = "/etc/" + new string('f', 60);
        var lines = ConfigCommand.Table(Layers.Read(new() { [NodeSettings.Data] = folder })).Lines(80, out var left);
        Assert.Empty(left);
        Assert.All(lines, line => Assert.InRange(line.Length, 1, 80));
        Assert.Contains(lines, line => line.StartsWith("data ", StringComparison.Ordinal) && line.Contains("/etc/", StringComparison.Ordinal) && line.EndsWith("a restart", StringComparison.Ordinal));
    }

    [Fact]
    public void What_cannot_be_shortened_any_more_is_not_cut_off() =>
        Assert.All(Table().Lines(10, out _), line => Assert.True(line.Length >= "RECORD".Length));
}
