using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using Guestmark.Inventory.Repositories;

namespace Guestmark.Agent.RepositoryMapping;

/// <summary>What to download, and its limits.</summary>
sealed record DownloadRequest
{
    /// <summary><c>https:</c>, <c>http:</c> or <c>file:</c>; nothing else is followed.</summary>
    public required string Url { get; init; }

    /// <summary>The ETag of what is there already. Empty: none.</summary>
    public string EntityTag { get; init; } = "";

    /// <summary>The Last-Modified of what is there already. Empty: none.</summary>
    public string LastModified { get; init; } = "";

    /// <summary>The URL for a log: without a name and a password.</summary>
    public string PublicUrl
    {
        get
        {
            var start = Url.IndexOf("://", StringComparison.Ordinal);
            if (start < 0) return Url;
            var host = Url.AsSpan(start + 3);
            var end = host.IndexOfAny('/', '?', '#');
            var at = (end < 0 ? host : host[..end]).LastIndexOf('@');
            return at < 0 ? Url : $"{Url.AsSpan(0, start + 3)}{host[(at + 1)..]}";
        }
    }

    public int BytesMax { get; init; } = RepositoryToCpe.BytesMax;

    /// <summary>For everything together.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromMinutes(2);

    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(30);
}

/// <summary>What came of a download.</summary>
/// <param name="Body">Null when there is a problem, and when nothing has changed.</param>
/// <param name="Problem">Why it failed. Null when it did not.</param>
/// <param name="IsPermanent">With a problem: trying again soon is of no use.</param>
sealed record DownloadResult(byte[]? Body, string EntityTag, string LastModified, string? Problem, bool IsPermanent)
{
    public static DownloadResult Failed(string problem, bool isPermanent) => new(null, "", "", problem, isPermanent);
}

/// <summary>Downloads one file through the system's libcurl.</summary>
/// <remarks>
/// Proxies are taken from the environment, and trust anchors from the system, as libcurl does by itself. At most three redirects, and
/// from https only to https.
/// </remarks>
static unsafe class Download
{
    const int RedirectsMax = 3;
    const int ValidatorCharsMax = 256;

    /// <summary>Blocks the thread until it is done, or cancelled: libcurl asks at least once a second.</summary>
    /// <exception cref="OperationCanceledException"/>
    public static DownloadResult Run(DownloadRequest request, CancellationToken cancellationToken)
    {
        if (LibCurl.TryLoad() is { } missing) return DownloadResult.Failed(missing, isPermanent: true);
        if (ProtocolOf(request.Url) is not { } protocol)
            return DownloadResult.Failed($"{request.PublicUrl}: is no https:, http: or file: URL", isPermanent: true);
        var handle = LibCurl.Init();
        if (handle == 0) return DownloadResult.Failed("libcurl has no memory", isPermanent: false);
        var transfer = new Transfer(request.BytesMax, cancellationToken);
        var state = GCHandle.Alloc(transfer);
        nint headers = 0;
        var errorText = stackalloc byte[LibCurl.ErrorBufferBytes];
        errorText[0] = 0;
        try
        {
            if (request.EntityTag.Length > 0) headers = LibCurl.Append(headers, $"If-None-Match: {request.EntityTag}");
            else if (request.LastModified.Length > 0) headers = LibCurl.Append(headers, $"If-Modified-Since: {request.LastModified}");
            if (!Configure(handle, request, protocol, headers, GCHandle.ToIntPtr(state), (nint)errorText))
                return DownloadResult.Failed("libcurl does not know an option that it should, or has no memory", isPermanent: true);

            var error = LibCurl.Perform(handle);
            cancellationToken.ThrowIfCancellationRequested();
            var status = LibCurl.ResponseCode(handle);
            if (transfer.IsTooLarge || error == LibCurl.FileSizeExceeded)
                return DownloadResult.Failed($"{request.PublicUrl}: has more than {request.BytesMax} bytes", isPermanent: true);
            if (error == LibCurl.HttpReturnedError) return OfStatus(request, status);
            if (error != LibCurl.Ok)
            {
                var text = Marshal.PtrToStringUTF8((nint)errorText) is { Length: > 0 } said ? said : LibCurl.ErrorText(error);
                return DownloadResult.Failed($"{request.PublicUrl}: {text}", error == LibCurl.TooManyRedirects);
            }

            return status switch
            {
                304 => new DownloadResult(null, transfer.EntityTag, transfer.LastModified, null, false),
                // A file: URL has no status.
                200 or 0 => new DownloadResult(transfer.Body.WrittenSpan.ToArray(), transfer.EntityTag, transfer.LastModified, null, false),
                _ => OfStatus(request, status),
            };
        }
        finally
        {
            LibCurl.Cleanup(handle);
            if (headers != 0) LibCurl.FreeList(headers);
            state.Free();
        }
    }

    static DownloadResult OfStatus(DownloadRequest request, long status) =>
        // 408 and 429 ask to come again, as errors of the server (5xx) may pass.
        DownloadResult.Failed($"{request.PublicUrl}: the server answered with HTTP status {status}", status is >= 400 and < 500 and not 408 and not 429);

    static int? ProtocolOf(string url)
    {
        if (url.Contains('\0')) return null;
        if (url.StartsWith("https://", StringComparison.OrdinalIgnoreCase)) return LibCurl.ProtocolHttps;
        if (url.StartsWith("http://", StringComparison.OrdinalIgnoreCase)) return LibCurl.ProtocolHttp;
        return url.StartsWith("file://", StringComparison.OrdinalIgnoreCase) ? LibCurl.ProtocolFile : null;
    }

    static bool Configure(nint handle, DownloadRequest request, int protocol, nint headers, nint state, nint errorText)
    {
        var redirects = protocol == LibCurl.ProtocolHttp ? LibCurl.ProtocolHttp | LibCurl.ProtocolHttps : LibCurl.ProtocolHttps;
        // libcurl may have been built without decompression: then nothing is asked for and this fails, which is as good.
        LibCurl.Set(handle, LibCurl.OptionAcceptEncoding, "");
        return LibCurl.Set(handle, LibCurl.OptionUrl, request.Url)
            && LibCurl.Set(handle, LibCurl.OptionUserAgent, "guestmark-agent")
            && LibCurl.Set(handle, LibCurl.OptionProtocols, protocol)
            && LibCurl.Set(handle, LibCurl.OptionRedirectProtocols, redirects)
            && LibCurl.Set(handle, LibCurl.OptionFollowLocation, 1)
            && LibCurl.Set(handle, LibCurl.OptionMaximumRedirects, RedirectsMax)
            && LibCurl.Set(handle, LibCurl.OptionFailOnError, 1)
            // Signals would hit any thread of ours.
            && LibCurl.Set(handle, LibCurl.OptionNoSignal, 1)
            && LibCurl.Set(handle, LibCurl.OptionTimeoutMilliseconds, (nint)request.Timeout.TotalMilliseconds)
            && LibCurl.Set(handle, LibCurl.OptionConnectTimeoutMilliseconds, (nint)request.ConnectTimeout.TotalMilliseconds)
            // What is announced as too long is not begun.
            && LibCurl.Set(handle, LibCurl.OptionMaximumFileSize, request.BytesMax)
            && LibCurl.Set(handle, LibCurl.OptionHttpHeader, headers)
            && LibCurl.Set(handle, LibCurl.OptionErrorBuffer, errorText)
            && LibCurl.Set(handle, LibCurl.OptionWriteData, state)
            && LibCurl.Set(handle, LibCurl.OptionWriteFunction, (nint)(delegate* unmanaged<byte*, nuint, nuint, nint, nuint>)&OnBody)
            && LibCurl.Set(handle, LibCurl.OptionHeaderData, state)
            && LibCurl.Set(handle, LibCurl.OptionHeaderFunction, (nint)(delegate* unmanaged<byte*, nuint, nuint, nint, nuint>)&OnHeader)
            && LibCurl.Set(handle, LibCurl.OptionNoProgress, 0)
            && LibCurl.Set(handle, LibCurl.OptionProgressData, state)
            && LibCurl.Set(handle, LibCurl.OptionProgressFunction, (nint)(delegate* unmanaged<nint, long, long, long, long, int>)&OnProgress);
    }

    /// <summary>CURLOPT_WRITEFUNCTION: another number than that of the bytes ends the transfer.</summary>
    [UnmanagedCallersOnly]
    static nuint OnBody(byte* data, nuint size, nuint count, nint state)
    {
        var transfer = (Transfer)GCHandle.FromIntPtr(state).Target!;
        var bytes = size * count;
        if (bytes > (nuint)(transfer.BytesMax - transfer.Body.WrittenCount))
        {
            transfer.IsTooLarge = true;
            return 0;
        }

        transfer.Body.Write(new ReadOnlySpan<byte>(data, (int)bytes));
        return bytes;
    }

    /// <summary>CURLOPT_HEADERFUNCTION: a line of a header at a time, those of redirects as well.</summary>
    [UnmanagedCallersOnly]
    static nuint OnHeader(byte* data, nuint size, nuint count, nint state)
    {
        var transfer = (Transfer)GCHandle.FromIntPtr(state).Target!;
        var line = new ReadOnlySpan<byte>(data, (int)(size * count));
        if (line.StartsWith("HTTP/"u8)) (transfer.EntityTag, transfer.LastModified) = ("", "");
        if (ValueOf(line, "ETag:") is { } tag) transfer.EntityTag = tag;
        if (ValueOf(line, "Last-Modified:") is { } modified) transfer.LastModified = modified;
        return size * count;
    }

    /// <summary>CURLOPT_XFERINFOFUNCTION: anything but 0 ends the transfer.</summary>
    [UnmanagedCallersOnly]
    static int OnProgress(nint state, long total, long now, long uploadTotal, long uploadNow)
    {
        var transfer = (Transfer)GCHandle.FromIntPtr(state).Target!;
        return transfer.Cancellation.IsCancellationRequested ? 1 : 0;
    }

    static string? ValueOf(ReadOnlySpan<byte> line, string name)
    {
        if (line.Length < name.Length || line.Length > ValidatorCharsMax) return null;
        var text = Encoding.Latin1.GetString(line);
        if (!text.StartsWith(name, StringComparison.OrdinalIgnoreCase)) return null;
        var value = text[name.Length..].Trim();
        // It goes into a line of a file, and back into a header.
        foreach (var c in value)
        {
            if (c is < ' ' or > '~') return null;
        }

        return value;
    }

    sealed class Transfer(int bytesMax, CancellationToken cancellation)
    {
        public int BytesMax => bytesMax;

        public CancellationToken Cancellation => cancellation;

        public ArrayBufferWriter<byte> Body { get; } = new();

        public string EntityTag { get; set; } = "";

        public string LastModified { get; set; } = "";

        public bool IsTooLarge { get; set; }
    }
}
