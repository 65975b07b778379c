using System.Collections.Frozen;
using System.IO.Compression;
using System.Reflection;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Net.Http.Headers;

namespace Guestmark.Central.Pages;

/// <summary>
/// The style sheet, fonts and icon, embedded by the build (Pages/Styles/bundle.mjs). Their names carry a hash of their content, so
/// browsers keep them until a new version names others.
/// </summary>
static class EmbeddedAssets
{
    const string Prefix = "assets/";

    static readonly FrozenDictionary<string, Asset> All = Load();

    public static string StyleSheet { get; } = UrlOf(".css");

    public static string Icon { get; } = UrlOf(".svg");

    public static void MapAssets(this IEndpointRouteBuilder endpoints) => endpoints.MapGet("/assets/{name}", (string name, HttpContext context) =>
    {
        if (!All.TryGetValue(name, out var asset)) return Results.NotFound();
        var headers = context.Response.Headers;
        headers.CacheControl = "public, max-age=31536000, immutable";
        var etag = EntityTagHeaderValue.Parse($"\"{name}\"");
        if (asset.Compressed is null) return Results.Bytes(asset.Content, asset.ContentType, entityTag: etag);
        headers.Vary = HeaderNames.AcceptEncoding;
        if (!context.Request.Headers.AcceptEncoding.ToString().Contains("br", StringComparison.Ordinal))
            return Results.Bytes(asset.Content, asset.ContentType, entityTag: etag);
        headers.ContentEncoding = "br";
        return Results.Bytes(asset.Compressed, asset.ContentType, entityTag: EntityTagHeaderValue.Parse($"\"{name}.br\""));
    });

    static string UrlOf(string extension) => "/" + Prefix + All.Keys.Single(name => name.EndsWith(extension, StringComparison.Ordinal));

    static FrozenDictionary<string, Asset> Load()
    {
        var assembly = Assembly.GetExecutingAssembly();
        return assembly.GetManifestResourceNames()
            .Where(name => name.StartsWith(Prefix, StringComparison.Ordinal))
            .ToFrozenDictionary(name => name[Prefix.Length..], name =>
            {
                using var resource = assembly.GetManifestResourceStream(name)!;
                var content = new byte[resource.Length];
                resource.ReadExactly(content);
                return Path.GetExtension(name) switch
                {
                    ".css" => new Asset(content, Compress(content), "text/css; charset=utf-8"),
                    ".svg" => new Asset(content, null, "image/svg+xml"),
                    _ => new Asset(content, null, "font/woff2"),
                };
            });
    }

    static byte[] Compress(byte[] content)
    {
        using var compressed = new MemoryStream();
        using (var brotli = new BrotliStream(compressed, CompressionLevel.Optimal)) brotli.Write(content);
        return compressed.ToArray();
    }

    sealed record Asset(byte[] Content, byte[]? Compressed, string ContentType);
}
