using System.Net;
using System.Net.Sockets;
using Guestmark.Node.Listening;
using Microsoft.Extensions.Logging.Abstractions;

namespace Guestmark.Node.Tests;

/// <summary>Establishes that a listener whose accept fails, as it does without descriptors, asks ever more rarely and accepts again as soon as it can.</summary>
public sealed class AcceptBackOffTests
{
    [Fact]
    public async Task Accepting_that_fails_waits_twice_as_long_each_time_up_to_a_second_and_begins_anew_after_a_success()
    {
        var address = FreeAddress();
        using var opened = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        opened.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        opened.Bind(address);
        opened.Listen();
        var time = new WaitingTime();
        await using var listener = GuestListener.Bind(
            address, async connection => await connection.Transport.Output.WriteAsync("x"u8.ToArray()), NullLogger.Instance, time: time, inherited: InheritedSockets.Of(opened));
        await ConnectAsync();

        double[] expected = [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000];
        for (var turn = 0; turn < 2; turn++)
        {
            // accept(2) fails with EINVAL until it listens again.
            opened.Shutdown(SocketShutdown.Both);
            foreach (var wait in expected) Assert.Equal(wait, (await time.NextAsync()).TotalMilliseconds);
            opened.Listen();
            time.GoOn();
            await ConnectAsync();
        }

        async Task ConnectAsync()
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(address);
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
            Assert.Equal(1, await socket.ReceiveAsync(new byte[1], limit.Token));
        }
    }

    static IPEndPoint FreeAddress()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return (IPEndPoint)socket.LocalEndPoint!;
    }

    /// <summary>Time in which whoever waits does so until the test asks how long the next one waits.</summary>
    sealed class WaitingTime : TimeProvider
    {
        readonly SemaphoreSlim _waiting = new(0);
        Timer? _timer;

        /// <summary>Ends the last wait and returns the length of the next.</summary>
        public async Task<TimeSpan> NextAsync()
        {
            GoOn();
            Assert.True(await _waiting.WaitAsync(TimeSpan.FromSeconds(20)), "nobody waits");
            return _timer!.Due;
        }

        public void GoOn() => Interlocked.Exchange(ref _timer, null)?.Fire();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = new Timer(() => callback(state), dueTime);
            _timer = timer;
            _waiting.Release();
            return timer;
        }

        sealed class Timer(Action fire, TimeSpan due) : ITimer
        {
            public TimeSpan Due => due;

            public void Fire() => fire();

            public bool Change(TimeSpan dueTime, TimeSpan period) => true;

            public void Dispose()
            {
            }

            public ValueTask DisposeAsync() => ValueTask.CompletedTask;
        }
    }
}
