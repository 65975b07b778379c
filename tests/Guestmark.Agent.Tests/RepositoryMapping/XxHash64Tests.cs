using System.Text;
using Guestmark.Agent.RepositoryMapping;

namespace Guestmark.Agent.Tests.RepositoryMapping;

public sealed class XxHash64Tests
{
    // Published with the algorithm (the sanity checks of xxHash's own xxhsum and of the ports that its page lists).
    [Theory]
    [InlineData("", "ef46db3751d8e999")]
    [InlineData("a", "d24ec4f1a98c6e5b")]
    [InlineData("as", "1c330fb2d66be179")]
    [InlineData("asd", "631c37ce72a97393")]
    [InlineData("asdf", "415872f599cea71e")]
    [InlineData("abc", "44bc2cf5ad770999")]
    [InlineData("Call me Ishmael. Some years ago--never mind how long precisely-", "02a2e85470d6fd96")]
    public void The_hash_is_that_of_the_published_vectors(string text, string hash) => Assert.Equal(hash, XxHash64.Text(Encoding.ASCII.GetBytes(text)));
}
