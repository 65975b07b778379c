using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;

namespace Guestmark.Vulnerabilities;

/// <summary>What a server gave.</summary>
/// <param name="Found">False for 404 and 410.</param>
/// <param name="Changed">False when the server says that it still has what the validator stands for.</param>
/// <param name="Validator">To ask later whether there is something newer: an ETag after <c>E</c>, or a Last-Modified after <c>M</c>.</param>
/// <param name="Sha256">Of the bytes, hexadecimal in lower case.</param>
/// <param name="LastModified">When the server says that it last changed.</param>
sealed record FeedResponse(bool Found, bool Changed, string Validator, string Sha256, DateTimeOffset? LastModified = null);

/// <summary>Fetches feeds over HTTP: what failed for a reason that passes is tried again, and nothing is larger or slower than allowed.</summary>
sealed class FeedHttp : IDisposable
{
    const int RedirectsMax = 5;
    const int ValidatorLengthMax = 200;

    readonly FeedUpdateOptions _options;
    readonly TimeProvider _time;
    readonly HttpClient _client;

    public FeedHttp(FeedUpdateOptions options, TimeProvider time)
    {
        (_options, _time) = (options, time);
        // Redirections are followed here, where each is checked. Proxies are those of the environment (HTTPS_PROXY, NO_PROXY).
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            AutomaticDecompression = DecompressionMethods.None,
            ConnectTimeout = TimeSpan.FromSeconds(30),
            MaxConnectionsPerServer = 8,
            UseCookies = false,
        };
        _client = new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan };
        _client.DefaultRequestHeaders.UserAgent.Add(
            new ProductInfoHeaderValue("guestmark", typeof(FeedHttp).Assembly.GetName().Version?.ToString(3) ?? "0"));
    }

    public void Dispose() => _client.Dispose();

    /// <summary>Fetches a small file.</summary>
    /// <returns>Bytes only when it was found and has changed.</returns>
    public async Task<(FeedResponse Response, byte[] Bytes)> GetBytesAsync(
        Uri uri, string validator, int bytesMax, CancellationToken cancellationToken)
    {
        MemoryStream? bytes = null;
        var response = await GetAsync(uri, validator, () => bytes = new MemoryStream(), bytesMax, meter: null, cancellationToken);
        return (response, bytes?.ToArray() ?? []);
    }

    /// <param name="uri">https, or http on loopback.</param>
    /// <param name="validator">Of what is here already. Empty: nothing.</param>
    /// <param name="open">Where to write to. Called again for each attempt, whose stream is disposed before the next.</param>
    /// <param name="bytesMax">More is an error.</param>
    /// <param name="meter">Is told what arrives.</param>
    /// <exception cref="FeedException">It cannot be had.</exception>
    public async Task<FeedResponse> GetAsync(
        Uri uri, string validator, Func<Stream> open, long bytesMax, FeedMeter? meter, CancellationToken cancellationToken)
    {
        using var total = new CancellationTokenSource(_options.TotalTimeout, _time);
        for (var attempt = 1; ; attempt++)
        {
            string problem;
            TimeSpan? wait = null;
            // Ends what stands still; set again whenever something arrives.
            using var idle = new CancellationTokenSource(_options.IdleTimeout, _time);
            using var any = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, total.Token, idle.Token);
            try
            {
                using var response = await SendAsync(uri, validator, any.Token);
                if (response.StatusCode is HttpStatusCode.NotModified) return new FeedResponse(Found: true, Changed: false, validator, "");
                if (response.StatusCode is HttpStatusCode.NotFound or HttpStatusCode.Gone)
                    return new FeedResponse(Found: false, Changed: true, "", "");
                if (response.StatusCode is HttpStatusCode.OK) return await ReceiveAsync(uri, response, open, bytesMax, meter, idle, any.Token);
                problem = $"the server answers {(int)response.StatusCode} {response.ReasonPhrase}";
                if (!IsPassing(response.StatusCode)) throw new FeedException($"{uri}: {problem}");
                wait = RetryAfter(response.Headers.RetryAfter);
            }
            catch (Exception e) when (e is HttpRequestException or IOException)
            {
                problem = e.InnerException is { } inner && e is HttpRequestException ? $"{e.Message} ({inner.Message})" : e.Message;
            }
            catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
            {
                if (total.IsCancellationRequested) throw new FeedException($"{uri}: not done after {_options.TotalTimeout}", e);
                problem = $"nothing arrived for {_options.IdleTimeout}";
            }

            if (wait > _options.RetryAfterMax) throw new FeedException($"{uri}: {problem} and asks to be left alone for {wait}: try again then");
            if (attempt == _options.Attempts) throw new FeedException($"{uri}: {problem}, after {attempt} attempts");
            var delay = wait ?? _options.RetryDelay * Math.Pow(2, attempt - 1) * (1 + (Random.Shared.NextDouble() / 4));
            await Task.Delay(delay, _time, cancellationToken);
        }
    }

    async Task<HttpResponseMessage> SendAsync(Uri uri, string validator, CancellationToken cancellationToken)
    {
        var target = uri;
        for (var redirects = 0; ; redirects++)
        {
            Check(target, uri);
            using var request = new HttpRequestMessage(HttpMethod.Get, target);
            if (validator.StartsWith('E')) request.Headers.TryAddWithoutValidation("If-None-Match", validator[1..]);
            else if (validator.StartsWith('M')) request.Headers.TryAddWithoutValidation("If-Modified-Since", validator[1..]);
            var response = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
            if (response.StatusCode is not (HttpStatusCode.Moved or HttpStatusCode.Found or HttpStatusCode.SeeOther
                or HttpStatusCode.TemporaryRedirect or HttpStatusCode.PermanentRedirect))
            {
                return response;
            }

            var location = response.Headers.Location;
            response.Dispose();
            if (location is null) throw new FeedException($"{target}: the server redirects without saying where to");
            if (redirects == RedirectsMax) throw new FeedException($"{uri}: redirected more than {RedirectsMax} times");
            target = new Uri(target, location);
        }
    }

    async Task<FeedResponse> ReceiveAsync(
        Uri uri, HttpResponseMessage response, Func<Stream> open, long bytesMax, FeedMeter? meter, CancellationTokenSource idle,
        CancellationToken cancellationToken)
    {
        var length = response.Content.Headers.ContentLength;
        if (length > bytesMax) throw TooLong(length.Value);
        if (meter is not null) meter.TotalBytes = length;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        await using var content = await response.Content.ReadAsStreamAsync(cancellationToken);
        await using (var output = open())
        {
            var buffer = new byte[64 << 10];
            long bytes = 0;
            while (await content.ReadAsync(buffer, cancellationToken) is > 0 and var read)
            {
                idle.CancelAfter(_options.IdleTimeout);
                bytes += read;
                if (bytes > bytesMax) throw TooLong(bytes);
                hash.AppendData(buffer, 0, read);
                await output.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
                meter?.Read(read);
            }
        }

        return new FeedResponse(
            Found: true, Changed: true, ValidatorOf(response), Convert.ToHexStringLower(hash.GetHashAndReset()), response.Content.Headers.LastModified);

        FeedException TooLong(long bytes) => new($"{uri}: {bytes} bytes or more, limit {bytesMax}");
    }

    void Check(Uri uri, Uri asked)
    {
        if (uri.UserInfo.Length > 0) throw new FeedException($"{uri.GetLeftPart(UriPartial.Path)}: a URL with a user name is not taken");
        if (uri.Scheme is not ("https" or "http")) throw new FeedException($"{uri}: not an https URL");
        // A server elsewhere has no business with what listens on this machine.
        if (uri.IsLoopback && !asked.IsLoopback)
            throw new FeedException($"{asked}: the server redirects to {uri}, on this machine, which is not followed");
        if (uri.Scheme is "http" && !uri.IsLoopback && !_options.InsecureHttp)
            throw new FeedException($"{uri}: http lets anybody on the way change what arrives: use https, or --insecure-http");
    }

    TimeSpan? RetryAfter(RetryConditionHeaderValue? header)
    {
        var wait = header?.Delta ?? (header?.Date is { } date ? date - _time.GetUtcNow() : null);
        return wait < TimeSpan.Zero ? TimeSpan.Zero : wait;
    }

    static bool IsPassing(HttpStatusCode status) => status is HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests
        or HttpStatusCode.InternalServerError or HttpStatusCode.BadGateway or HttpStatusCode.ServiceUnavailable or HttpStatusCode.GatewayTimeout;

    static string ValidatorOf(HttpResponseMessage response)
    {
        var validator = response.Headers.ETag is { } tag ? $"E{tag}"
            : response.Content.Headers.LastModified is { } modified ? $"M{modified:R}"
            : "";
        return validator.Length <= ValidatorLengthMax ? validator : "";
    }
}
