using System.Net;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using Guestmark.CommandLine;

namespace Guestmark;

/// <summary>Central's REST API, as any client uses it.</summary>
sealed class CentralClient : IDisposable
{
    readonly HttpClient _http;

    public CentralClient(Uri address, string token)
    {
        _http = new HttpClient { BaseAddress = address, Timeout = TimeSpan.FromSeconds(30) };
        _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
    }

    /// <returns>The document, or null when there is none (404).</returns>
    public async Task<JsonNode?> TryGetAsync(string path, CancellationToken cancellationToken)
    {
        using var response = await _http.GetAsync(new Uri(path, UriKind.Relative), cancellationToken);
        if (response.StatusCode == HttpStatusCode.NotFound) return null;
        var body = await response.Content.ReadAsStringAsync(cancellationToken);
        if (!response.IsSuccessStatusCode) throw new CommandException($"GET {path}: {(int)response.StatusCode} {body}");
        return JsonNode.Parse(body);
    }

    /// <summary>All items of a list, page by page.</summary>
    public async Task<List<JsonNode>> GetAllAsync(string path, CancellationToken cancellationToken)
    {
        var items = new List<JsonNode>();
        string? next = "";
        while (next is not null)
        {
            var page = await TryGetAsync($"{path}?limit=500{(next.Length > 0 ? "&cursor=" + Uri.EscapeDataString(next) : "")}", cancellationToken)
                ?? throw new CommandException($"GET {path}: not found");
            items.AddRange(page["items"]!.AsArray().Select(item => item!.DeepClone()));
            next = page["next"]?.GetValue<string>();
        }

        return items;
    }

    public void Dispose() => _http.Dispose();
}
