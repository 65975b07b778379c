using System.Globalization;
using System.Text;

namespace Guestmark.Vulnerabilities.Tests;

public class CsafTableTests
{
    [Fact]
    public void Strings_are_numbered_in_the_order_of_their_first_appearance()
    {
        var table = new Utf8Table();
        for (var round = 0; round < 2; round++)
        {
            for (var i = 0; i < 10_000; i++) Assert.Equal(i + 1, table.Add(Key(i)));
        }

        Assert.Equal(10_001, table.Count);
        Assert.Equal(1234, table.Find(Key(1233)));
        Assert.Equal(-1, table.Find("absent"u8));
        Assert.Equal(0, table.Find([]));
        Assert.Equal("RHEL-9:package-77", table.Text(78));
        Assert.Same(table.Text(78), table.Text(78));

        table.Clear();
        Assert.Equal(1, table.Count);
        Assert.Equal(-1, table.Find(Key(1)));
        Assert.Equal(1, table.Add(Key(5)));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(99)]
    public void A_wrong_guess_changes_nothing(int guess)
    {
        var table = new Utf8Table();
        for (var i = 0; i < 3; i++) table.Add(Key(i));

        Assert.Equal(2, table.Find(Key(1), guess));
        Assert.Equal(2, table.Add(Key(1), guess));
        Assert.Equal(-1, table.Find(Key(9), guess));
    }

    static byte[] Key(int i) => Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"RHEL-9:package-{i}"));
}
