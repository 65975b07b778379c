using System.Net;
using System.Text;
using System.Text.Json;
using Guestmark.TestKit;

namespace Guestmark.Node.Tests.Cells;

/// <summary>Establishes that whatever is posted to the control socket is a cell or a problem that says why not.</summary>
public sealed class CellApiTests
{
    [Fact]
    [Trait("Category", "Fuzz")]
    public async Task Any_body_is_a_cell_or_a_problem_with_words()
    {
        await using var node = await CellNode.StartAsync();
        using var control = node.Control();
        var random = new Random(20261124);
        // A path that damage leads nowhere but below a folder that is not there, or to the one cell.
        var seed = Encoding.UTF8.GetBytes($$"""
            {"id": "c\u0065ll-1", "runId": "run-1", "specSignatureHash": "sha256:0a1b", "socketBase": "{{Path.Combine(node.Folder, "cells", "c.sock")}}",
              "onSilence": "fail", "socketMode": "0660", "socketOwner": "0:0"}
            """);
        Directory.CreateDirectory(Path.Combine(node.Folder, "cells"));
        var added = 0;
        for (var i = 0; i < Damage.Inputs(2000); i++)
        {
            using var content = new ByteArrayContent(i == 0 ? seed : Damage.Mutate(seed, random));
            using var response = await control.PostAsync("v1/cells", content);
            var answer = JsonDocument.Parse(await response.Content.ReadAsByteArrayAsync()).RootElement;
            switch (response.StatusCode)
            {
                case HttpStatusCode.Created or HttpStatusCode.OK:
                    added++;
                    var id = answer.GetProperty("cell").GetProperty("id").GetString()!;
                    using (var removed = await control.DeleteAsync($"v1/cells/{Uri.EscapeDataString(id)}")) Assert.Equal(HttpStatusCode.NoContent, removed.StatusCode);
                    break;
                // A folder that is not there is the node's to say, not the form's.
                case HttpStatusCode.BadRequest or HttpStatusCode.Conflict or HttpStatusCode.InternalServerError:
                    Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
                    Assert.InRange(answer.GetProperty("detail").GetString()!.Length, 1, 1000);
                    break;
                default:
                    Assert.Fail($"{response.StatusCode}: {answer}");
                    break;
            }
        }

        Assert.InRange(added, 2, int.MaxValue);
        Assert.Empty(Directory.GetFiles(Path.Combine(node.Folder, "cells")));
    }

    [Fact]
    public async Task A_body_without_end_is_not_read_to_its_end()
    {
        await using var node = await CellNode.StartAsync();
        using var control = node.Control();
        foreach (var isChunked in new[] { true, false })
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "v1/cells") { Content = new StringContent(new string(' ', 20_000) + "{}") };
            request.Headers.TransferEncodingChunked = isChunked;
            using var response = await control.SendAsync(request);
            Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
            Assert.Contains("16384", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }
    }
}
