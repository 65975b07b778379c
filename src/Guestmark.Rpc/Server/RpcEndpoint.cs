using System.Globalization;
using System.IO.Pipelines;
using Google.Protobuf;
using Guestmark.Rpc.Protocol;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Extensions.Logging;

namespace Guestmark.Rpc;

/// <summary>One method of the server: from the HTTP request to the status.</summary>
abstract partial class RpcEndpoint(RpcServerOptions options, TimeProvider time, ILogger logger)
{
    /// <summary>Kestrel's default for a request body is 30,000,000 bytes; a message under this fits with its prefix.</summary>
    const int KestrelBodyBytesMax = 29_000_000;

    static readonly string[] StatusTexts = [.. Enum.GetValues<RpcStatusCode>().Select(code => ((int)code).ToString(CultureInfo.InvariantCulture))];

    protected RpcServerOptions Options { get; } = options;

    public async Task HandleAsync(HttpContext context)
    {
        if (!IsRpcRequest(context)) return;
        // Kestrel ends the whole connection when one request is slow, and with it every other call. Deadlines and keep-alive bound a call.
        if (context.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } rate) rate.MinDataRate = null;

        var call = new RpcServerCall(context);
        var code = RpcStatusCode.Ok;
        var detail = "";
        try
        {
            if (context.Request.Headers.TryGetValue(Names.Timeout, out var timeoutText))
            {
                if (!TimeoutHeader.TryDecode(timeoutText.ToString(), out var timeout))
                    throw new RpcException(RpcStatusCode.InvalidArgument, $"{Names.Timeout} is malformed: expected 1 to 8 digits and one of H M S m u n");
                call.StartDeadline(timeout, time);
            }

            await InvokeAsync(context, call);
            if (call.DeadlineHasPassed) (code, detail) = (RpcStatusCode.DeadlineExceeded, "the deadline passed before the answer was ready");
        }
        catch (RpcException e)
        {
            (code, detail) = (e.Code, e.Detail);
            foreach (var entry in e.Trailers) call.ResponseTrailers.AddReceived(entry.Key, entry.Value);
        }
        catch (Exception) when (call.ClientIsGone)
        {
            // Nobody is left to be told; whatever the handler stumbled over follows from that.
            (code, detail) = (RpcStatusCode.Cancelled, "");
        }
        catch (OperationCanceledException) when (call.DeadlineHasPassed)
        {
            (code, detail) = (RpcStatusCode.DeadlineExceeded, "the deadline passed before the answer was ready");
        }
        catch (Exception e)
        {
            // The text of an unexpected exception may name anything; it stays in our log.
            Log.HandlerFailed(logger, context.Request.Path, e);
            (code, detail) = (RpcStatusCode.Internal, "the server failed; its log says why");
        }
        finally
        {
            call.End();
        }

        WriteStatus(context, call, code, detail);
    }

    protected abstract ValueTask InvokeAsync(HttpContext context, RpcServerCall call);

    internal static void WriteHeaders(HttpContext context, RpcServerCall call)
    {
        call.HeadersAreWritten = true;
        var headers = context.Response.Headers;
        headers.ContentType = Names.ContentType;
        if (call.ResponseHeadersOrNull is not { } metadata) return;
        foreach (var entry in metadata) headers.Append(entry.Key, entry.Value);
    }

    /// <summary>Reads the only message of a request.</summary>
    protected async ValueTask<T> ReadSingleAsync<T>(HttpContext context, RpcServerCall call)
        where T : class, IMessage<T>, new()
    {
        var body = Options.ReceiveMessageBytesMax > KestrelBodyBytesMax ? UnlimitedBody(context) : context.Request.BodyReader;
        // The whole request has usually arrived with its headers: then nothing here allocates but the message.
        if (body.TryRead(out var read))
        {
            var buffer = read.Buffer;
            if (read.IsCompleted && MessageFraming.TryRead(ref buffer, Options.ReceiveMessageBytesMax, out T? message) && buffer.IsEmpty)
            {
                body.AdvanceTo(buffer.End);
                return message!;
            }

            body.AdvanceTo(read.Buffer.Start);
        }

        var stream = new RpcRequestStream<T>(body, call, Options.ReceiveMessageBytesMax);
        var first = await stream.ReadAsync() ?? throw new RpcException(RpcStatusCode.Internal, "the request has no message");
        return await stream.ReadAsync() is null ? first : throw new RpcException(RpcStatusCode.Internal, "the request has more than one message");
    }

    protected void WriteSingle<T>(HttpContext context, RpcServerCall call, T message)
        where T : class, IMessage<T>
    {
        // Not flushed: headers, message and trailers leave together when the request ends.
        WriteHeaders(context, call);
        MessageFraming.Write(context.Response.BodyWriter, message, Options.SendMessageBytesMax);
    }

    /// <summary>A stream ends when the handler says so, not by how many bytes it carried.</summary>
    protected static PipeReader UnlimitedBody(HttpContext context)
    {
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size) size.MaxRequestBodySize = null;
        return context.Request.BodyReader;
    }

    /// <summary>False, with the HTTP status set, when the request is none of this protocol.</summary>
    static bool IsRpcRequest(HttpContext context)
    {
        if (!HttpMethods.IsPost(context.Request.Method))
        {
            context.Response.StatusCode = StatusCodes.Status405MethodNotAllowed;
            return false;
        }

        // "application/grpc" [("+proto" / "+json" / {custom})]
        var contentType = context.Request.ContentType;
        if (string.Equals(contentType, Names.ContentType, StringComparison.Ordinal) ||
            contentType is not null && contentType.StartsWith(Names.ContentType, StringComparison.OrdinalIgnoreCase) &&
            contentType.AsSpan(Names.ContentType.Length) is [';', ..] or "+proto") return true;
        context.Response.StatusCode = StatusCodes.Status415UnsupportedMediaType;
        return false;
    }

    static void WriteStatus(HttpContext context, RpcServerCall call, RpcStatusCode code, string detail)
    {
        if (call.ClientIsGone) return;
        // A failure before the first message is a Trailers-Only response: the status is in the headers and there is no body.
        var response = context.Response;
        IHeaderDictionary target;
        if (call.HeadersAreWritten || code == RpcStatusCode.Ok)
        {
            if (!call.HeadersAreWritten) WriteHeaders(context, call);
            target = context.Features.GetRequiredFeature<IHttpResponseTrailersFeature>().Trailers;
        }
        else
        {
            WriteHeaders(context, call);
            target = response.Headers;
        }

        target[Names.Status] = (uint)code < StatusTexts.Length ? StatusTexts[(int)code] : StatusTexts[(int)RpcStatusCode.Unknown];
        if (detail.Length > 0) target[Names.Message] = StatusDetail.Encode(detail);
        if (call.ResponseTrailersOrNull is not { } trailers) return;
        foreach (var entry in trailers) target.Append(entry.Key, entry.Value);
    }

    static partial class Log
    {
        [LoggerMessage(7001, LogLevel.Error, "The handler of {Path} failed", EventName = "HandlerFailed")]
        public static partial void HandlerFailed(ILogger logger, string path, Exception exception);
    }
}

sealed class UnaryEndpoint<TRequest, TResponse>(
    RpcServerOptions options, TimeProvider time, ILogger logger, Func<TRequest, RpcServerCall, ValueTask<TResponse>> handler)
    : RpcEndpoint(options, time, logger)
    where TRequest : class, IMessage<TRequest>, new()
    where TResponse : class, IMessage<TResponse>, new()
{
    protected override async ValueTask InvokeAsync(HttpContext context, RpcServerCall call)
    {
        var request = await ReadSingleAsync<TRequest>(context, call);
        var response = await handler(request, call);
        if (!call.DeadlineHasPassed) WriteSingle(context, call, response);
    }
}

sealed class ServerStreamingEndpoint<TRequest, TResponse>(
    RpcServerOptions options, TimeProvider time, ILogger logger, Func<TRequest, RpcResponseStream<TResponse>, RpcServerCall, Task> handler)
    : RpcEndpoint(options, time, logger)
    where TRequest : class, IMessage<TRequest>, new()
    where TResponse : class, IMessage<TResponse>, new()
{
    protected override async ValueTask InvokeAsync(HttpContext context, RpcServerCall call)
    {
        var request = await ReadSingleAsync<TRequest>(context, call);
        await handler(request, new RpcResponseStream<TResponse>(context, call, Options.SendMessageBytesMax), call);
    }
}

sealed class ClientStreamingEndpoint<TRequest, TResponse>(
    RpcServerOptions options, TimeProvider time, ILogger logger, Func<RpcRequestStream<TRequest>, RpcServerCall, ValueTask<TResponse>> handler)
    : RpcEndpoint(options, time, logger)
    where TRequest : class, IMessage<TRequest>, new()
    where TResponse : class, IMessage<TResponse>, new()
{
    protected override async ValueTask InvokeAsync(HttpContext context, RpcServerCall call)
    {
        var response = await handler(new RpcRequestStream<TRequest>(UnlimitedBody(context), call, Options.ReceiveMessageBytesMax), call);
        if (!call.DeadlineHasPassed) WriteSingle(context, call, response);
    }
}

sealed class DuplexEndpoint<TRequest, TResponse>(
    RpcServerOptions options, TimeProvider time, ILogger logger,
    Func<RpcRequestStream<TRequest>, RpcResponseStream<TResponse>, RpcServerCall, Task> handler)
    : RpcEndpoint(options, time, logger)
    where TRequest : class, IMessage<TRequest>, new()
    where TResponse : class, IMessage<TResponse>, new()
{
    protected override async ValueTask InvokeAsync(HttpContext context, RpcServerCall call) => await handler(
        new RpcRequestStream<TRequest>(UnlimitedBody(context), call, Options.ReceiveMessageBytesMax),
        new RpcResponseStream<TResponse>(context, call, Options.SendMessageBytesMax),
        call);
}

/// <summary>Answers what no method answers.</summary>
sealed class UnknownMethodEndpoint(RpcServerOptions options, TimeProvider time, ILogger logger) : RpcEndpoint(options, time, logger)
{
    protected override ValueTask InvokeAsync(HttpContext context, RpcServerCall call) =>
        throw new RpcException(RpcStatusCode.Unimplemented, $"this server has no method {context.Request.Path}");
}
