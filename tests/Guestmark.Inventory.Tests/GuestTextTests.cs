namespace Guestmark.Inventory.Tests;

public sealed class GuestTextTests
{
    static readonly string Long = "x" + string.Concat(Enumerable.Repeat("😀", 5000));

    [Fact]
    public void A_problem_is_bounded_however_it_is_made()
    {
        var problem = new InventoryProblem(Long, Long);
        var changed = new InventoryProblem("", "") with { Path = Long, Message = Long };

        // One fewer than the bound: the cut does not go through a surrogate pair.
        Assert.Equal((InventoryProblem.TextCharsMax - 1, InventoryProblem.TextCharsMax - 1), (problem.Path.Length, problem.Message.Length));
        Assert.Equal(problem, changed);
    }

    [Fact]
    public void An_operating_system_is_bounded_however_it_is_made()
    {
        var os = new OsRelease(Long, Long, Long);
        var changed = OsRelease.Unknown with { Id = Long, VersionId = Long, PrettyName = Long };

        Assert.All([os.Id, os.VersionId, os.PrettyName], text => Assert.Equal(OsRelease.TextCharsMax - 1, text.Length));
        Assert.Equal(os, changed);
    }

    [Theory]
    [InlineData(128, false)]
    [InlineData(129, true)]
    public void A_quoted_name_shows_that_it_is_cut(int chars, bool isCut)
    {
        var quoted = GuestText.Quote(new string('x', chars));
        Assert.Equal(isCut ? new string('x', 128) + "…" : new string('x', chars), quoted);
    }
}
