using System.Text;
using System.Text.Json;

namespace Guestmark.Vulnerabilities.Tests;

public sealed class JsonStreamTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(100_000)]
    public void Tokens_are_those_of_the_text_however_it_arrives(int chunk)
    {
        var json = Encoding.UTF8.GetBytes($$"""
            { "a" : [1, -2.5e3, "é\u00e9\n", true, null, {}], "{{new string('n', 90_000)}}": {"b": "{{new string('x', 200_000)}}"} , "c":[[],[{}]] }
            """);
        var expected = new List<string>();
        var reader = new Utf8JsonReader(json);
        while (reader.Read()) expected.Add($"{reader.TokenType} {reader.CurrentDepth} {Encoding.UTF8.GetString(reader.ValueSpan)}");
        Assert.Equal(expected, Tokens(json, chunk));
        Assert.Equal(expected, Tokens([0xEF, 0xBB, 0xBF, .. json], Math.Max(chunk, 3)));
    }

    [Theory]
    [InlineData("[1,{0}]", "\"{0}\"")]
    [InlineData("[{0}]", "\"\\\"\\\\{0}\"")]
    [InlineData("[1 ,\n{0} , 2]", "\"{0}\"")]
    [InlineData("[{0}, \"{1}\"]", "\"{0}\"")]
    [InlineData("{{\"a\": {0}, \"b\": [1]}}", "\"{0}\"")]
    [InlineData("{{\"a\": 1, {0} : [1]}}", "\"{0}\"")]
    public void A_string_longer_than_the_limit_is_empty_and_the_reading_goes_on(string document, string text)
    {
        // Escapes all over it, so that some lie across the ends of what is read at once.
        var content = string.Concat(Enumerable.Repeat("x\\\"\\u0022\\\\y", (3 << 20) / 13));
        var json = string.Format(document, string.Format(text, content), "{ end");
        foreach (var chunk in (int[])[4093, 1 << 16, 1 << 24])
        {
            var tokens = Tokens(Encoding.UTF8.GetBytes(json), chunk);
            var expected = Tokens(Encoding.UTF8.GetBytes(string.Format(document, "\"\"", "{ end")), chunk);
            Assert.Equal(expected, tokens.Select(token => token.Replace(" cut", "", StringComparison.Ordinal)));
            Assert.Single(tokens, token => token.EndsWith(" cut", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void A_string_of_the_limit_is_read_whole()
    {
        var json = Encoding.UTF8.GetBytes($"[\"{new string('x', JsonStream.TokenBytesMax - 10)}\"]");
        Assert.Equal(JsonStream.TokenBytesMax - 10, Tokens(json, 5000)[1].Split(' ')[2].Length);
    }

    [Fact]
    public void Spaces_beyond_the_limit_are_passed_over()
    {
        var json = Encoding.UTF8.GetBytes($"[1,{new string(' ', 3 << 20)}2{new string('\n', 3 << 20)}]");
        Assert.Equal(["StartArray 0 [", "Number 1 1", "Number 1 2", "EndArray 0 ]"], Tokens(json, 1 << 16));
    }

    [Theory]
    [InlineData("")]
    [InlineData("[1")]
    [InlineData("[\"x")]
    [InlineData("[1,,2]")]
    [InlineData("[1] 2")]
    [InlineData("{\"a\" 1}")]
    public void What_is_no_JSON_is_an_exception_and_no_hang(string json)
    {
        Assert.ThrowsAny<JsonException>(() => Tokens(Encoding.UTF8.GetBytes(json), 1));
        Assert.ThrowsAny<JsonException>(() => Tokens(Encoding.UTF8.GetBytes(json), 100));
    }

    [Fact]
    public void A_number_or_a_cut_string_longer_than_the_limit_is_an_exception()
    {
        Assert.ThrowsAny<JsonException>(() => Tokens(Encoding.UTF8.GetBytes($"[{new string('1', 3 << 20)}]"), 1 << 16));
        Assert.ThrowsAny<JsonException>(() => Tokens(Encoding.UTF8.GetBytes($"[\"{new string('1', 3 << 20)}"), 1 << 16));
        Assert.ThrowsAny<JsonException>(() => Tokens(Encoding.UTF8.GetBytes(new string('[', 3 << 20)), 1 << 16));
    }

    [Fact]
    public void Skip_passes_over_a_value_of_any_depth()
    {
        var json = new JsonStream(new MemoryStream("""{"a": {"b": [1, {"c": []}]}, "d": 5, "e": "x"}"""u8.ToArray()), CancellationToken.None);
        json.Read();
        var names = new List<string>();
        while (json.ReadProperty())
        {
            names.Add(json.Json.GetString()!);
            json.Skip();
        }

        Assert.Equal(["a", "d", "e"], names);
        Assert.False(json.Read());
    }

    [Fact]
    public void A_cancelled_read_ends()
    {
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => new JsonStream(new MemoryStream(), cancelled.Token));
    }

    static List<string> Tokens(byte[] json, int chunk)
    {
        var tokens = new List<string>();
        var stream = new JsonStream(new ChunkedStream(json, chunk), CancellationToken.None);
        while (stream.Read())
        {
            tokens.Add(
                $"{stream.Json.TokenType} {stream.Json.CurrentDepth} {Encoding.UTF8.GetString(stream.Json.ValueSpan)}{(stream.IsCut ? " cut" : "")}");
        }

        return tokens;
    }

    /// <summary>Gives so many bytes at once, as a decompressor does.</summary>
    sealed class ChunkedStream(byte[] bytes, int chunk) : MemoryStream(bytes)
    {
        public override int Read(byte[] buffer, int offset, int count) => base.Read(buffer, offset, Math.Min(count, chunk));
    }
}
