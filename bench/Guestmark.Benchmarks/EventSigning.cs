using System.Diagnostics;
using System.Security.Cryptography;
using Guestmark.Events;
using Guestmark.Events.Signing;
using Guestmark.Events.Verification;

namespace Guestmark.Benchmarks;

/// <summary>Stamps and signatures on one thread, as many as a time allows.</summary>
/// <remarks>Rates are by processor time, as `openssl speed` counts: a machine that does other things at the same time changes both alike.</remarks>
static class EventSigning
{
    const int DataBytes = 512;

    // The message that is signed for every event: DSSE's encoding of a digest.
    const int MessageBytes = 92;

    // So many of the last events are read back and verified, and the clock is asked once for as many.
    const int Batch = 64;

    /// <summary>Prints events or signatures a second of processor time.</summary>
    /// <param name="what"><c>events</c> of 512 bytes, or <c>messages</c> alone as `openssl speed` signs them.</param>
    /// <param name="algorithm">One of <see cref="SigningAlgorithms"/>, or <c>none</c>.</param>
    public static int Measure(string what, string algorithm, double seconds)
    {
        var folder = Directory.CreateTempSubdirectory("gm-bench-").FullName;
        try
        {
            EventSigner? signer = null;
            EventVerifier? verifier = null;
            if (algorithm != "none")
            {
                var made = SigningKeyFile.Create(SigningAlgorithms.Find(algorithm) ?? throw new ArgumentException($"no algorithm '{algorithm}'"), folder);
                signer = EventSigningKeys.Open(algorithm, made.SecretFile);
                verifier = new EventVerifier(VerificationKeys.Load(folder));
            }

            Func<double, double> run = what == "events" ? time => Events(signer, verifier, time) : time => Messages(signer!, time);
            // Tiered compilation has done its part after a fifth of a second.
            run(Math.Min(seconds, 0.5));
            Console.WriteLine($"{run(seconds):F0}");
            signer?.Dispose();
            return 0;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    static double Events(EventSigner? signer, EventVerifier? verifier, double seconds)
    {
        var channel = new ChannelIdentity("//local/node1/web1", "8a0f7c1e-2f5a-4000-8000-0000000000ab")
        {
            GuestCid = 1234567,
            GuestPort = 818,
            NetworkNamespace = 4026531840,
            BootEpoch = "3",
        };
        var data = RandomNumberGenerator.GetBytes(DataBytes);
        var stream = $"{Guid.CreateVersion7()}-keep";
        var last = new byte[Batch][];
        var sequence = 0UL;
        var now = TimeProvider.System.GetUtcNow();
        var before = Environment.CpuUsage.TotalTime;
        var watch = Stopwatch.StartNew();
        do
        {
            for (var i = 0; i < Batch; i++)
                last[i] = StampedEvent.Encode(channel, EventTypes.InventoryReport, "virtualmachine.v1.VMReport", data, new EventPosition(stream, ++sequence), now, signer);
        }
        while (watch.Elapsed.TotalSeconds < seconds);
        var rate = sequence / (Environment.CpuUsage.TotalTime - before).TotalSeconds;

        var expected = sequence - Batch;
        foreach (var encoded in last)
        {
            if (StampedEvent.TryRead(encoded, out var read) is { } problem) throw new InvalidDataException(problem);
            if (read!.Position.Sequence != ++expected || !read.Data.Span.SequenceEqual(data)) throw new InvalidDataException("the event is not what was stamped");
            if (verifier is not null && verifier.Verify(read) != SignatureStatus.Verified) throw new InvalidDataException("the signature is wrong");
        }

        return rate;
    }

    static double Messages(EventSigner signer, double seconds)
    {
        var message = RandomNumberGenerator.GetBytes(MessageBytes);
        var signature = new byte[signer.SignatureBytesMax];
        var count = 0L;
        var before = Environment.CpuUsage.TotalTime;
        var watch = Stopwatch.StartNew();
        do
        {
            for (var i = 0; i < Batch; i++)
            {
                if (signer.Sign(message, signature) == 0) throw new InvalidDataException("there is no signature");
            }

            count += Batch;
        }
        while (watch.Elapsed.TotalSeconds < seconds);
        return count / (Environment.CpuUsage.TotalTime - before).TotalSeconds;
    }
}
