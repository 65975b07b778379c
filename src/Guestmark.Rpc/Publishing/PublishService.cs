using Google.Protobuf;
using Guestmark.Events;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Guestmark.Rpc.Publishing;

/// <summary>The receiving side of a hop: takes batches of events, stores them, acknowledges.</summary>
public static class PublishService
{
    /// <summary>
    /// Events that a sender may have under way. Memory is bounded by HTTP/2 flow control, because a batch is read only when the
    /// one before it is stored; the credit lets the sender fill the wire without waiting for each answer.
    /// </summary>
    const uint CreditEvents = 1024;

    /// <summary>Adds the RPC server with the message sizes of this protocol.</summary>
    public static IServiceCollection AddPublish(this IServiceCollection services) =>
        services.AddRpc(options => options.ReceiveMessageBytesMax = PublishMethod.MessageBytesMax);

    /// <summary>Answers <c>guestmark.v1.Ingest/Publish</c> with <paramref name="sink"/>.</summary>
    public static IEndpointConventionBuilder MapPublish(this IEndpointRouteBuilder endpoints, IEventSink sink) =>
        endpoints.MapDuplex(PublishMethod.Publish, (requests, responses, call) => ReceiveAsync(sink, requests, responses, call));

    static async Task ReceiveAsync(
        IEventSink sink, RpcRequestStream<PublishRequest> requests, RpcResponseStream<PublishResponse> responses, RpcServerCall call)
    {
        await responses.WriteAsync(new PublishResponse { Credit = CreditEvents }, call.CancellationToken);
        var received = 0UL;
        while (await requests.ReadAsync(call.CancellationToken) is { } request)
        {
            var response = new PublishResponse { Credit = (uint)request.Events.Count };
            var events = Read(request, received, response);
            received += (ulong)request.Events.Count;
            foreach (var refusal in await sink.StoreAsync(events, call.CancellationToken))
            {
                response.Acknowledgements.Add(new Acknowledgement
                {
                    Stream = refusal.Position.Stream,
                    Sequence = refusal.Position.Sequence,
                    Code = AcknowledgementCode.Refused,
                    Reason = refusal.Reason,
                });
            }

            // One acknowledgement covers all of a stream up to its highest number.
            foreach (var stream in events.GroupBy(e => e.Position.Stream))
            {
                response.Acknowledgements.Add(new Acknowledgement
                {
                    Stream = stream.Key,
                    Sequence = stream.Max(e => e.Position.Sequence),
                    Code = AcknowledgementCode.Stored,
                });
            }

            await responses.WriteAsync(response, call.CancellationToken);
        }
    }

    /// <summary>Reads the events of a batch. One that is of a version that this hop does not know is refused alone, or it would block all behind it.</summary>
    static List<StampedEvent> Read(PublishRequest request, ulong ordinal, PublishResponse response)
    {
        var events = new List<StampedEvent>(request.Events.Count);
        foreach (ByteString encoded in request.Events)
        {
            ordinal++;
            if (StampedEvent.TryRead(encoded.Memory, out var stamped) is { } problem)
                response.Acknowledgements.Add(new Acknowledgement { Ordinal = ordinal, Code = AcknowledgementCode.Refused, Reason = problem });
            else
                events.Add(stamped!);
        }

        return events;
    }
}
