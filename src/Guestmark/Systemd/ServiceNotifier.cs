using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Guestmark.Systemd;

/// <summary>
/// Tells the service manager how the process is, as sd_notify(3) describes: datagrams of <c>NAME=value</c> lines to the Unix socket in
/// <c>NOTIFY_SOCKET</c>, whose name begins with <c>@</c> when it is abstract. Without that variable nothing is said.
/// </summary>
sealed class ServiceNotifier : IDisposable
{
    /// <summary>sockaddr_un.sun_path.</summary>
    const int PathBytesMax = 108;

    readonly Socket? _socket;
    readonly UnixDomainSocketEndPoint? _manager;

    /// <param name="socket">NOTIFY_SOCKET.</param>
    /// <param name="watchdogMicroseconds">WATCHDOG_USEC: how often at least the manager wants to hear <see cref="Alive"/>.</param>
    /// <param name="watchdogProcess">WATCHDOG_PID: whom it wants to hear; null: anybody.</param>
    public ServiceNotifier(string? socket, string? watchdogMicroseconds, string? watchdogProcess)
    {
        if (string.IsNullOrEmpty(socket) || socket[0] is not ('/' or '@') || Encoding.UTF8.GetByteCount(socket) > PathBytesMax) return;
        _socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { Blocking = false };
        _manager = new UnixDomainSocketEndPoint(socket[0] == '@' ? '\0' + socket[1..] : socket);
        var isForUs = string.IsNullOrEmpty(watchdogProcess) || watchdogProcess == Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        if (isForUs && long.TryParse(watchdogMicroseconds, NumberStyles.None, CultureInfo.InvariantCulture, out var microseconds) && microseconds > 0)
            WatchdogInterval = TimeSpan.FromMicroseconds(microseconds);
    }

    /// <summary>Null: nobody watches.</summary>
    public TimeSpan? WatchdogInterval { get; }

    public static ServiceNotifier OfThisProcess() => new(
        Environment.GetEnvironmentVariable("NOTIFY_SOCKET"), Environment.GetEnvironmentVariable("WATCHDOG_USEC"), Environment.GetEnvironmentVariable("WATCHDOG_PID"));

    public void Ready() => Send("READY=1");

    /// <param name="monotonicMicroseconds">CLOCK_MONOTONIC: systemd matches it with the READY=1 that follows (Type=notify-reload).</param>
    public void Reloading(long monotonicMicroseconds) => Send(string.Create(CultureInfo.InvariantCulture, $"RELOADING=1\nMONOTONIC_USEC={monotonicMicroseconds}"));

    public void Stopping() => Send("STOPPING=1");

    public void Status(string text) => Send($"STATUS={text.ReplaceLineEndings(" ")}");

    /// <summary>Feeds the watchdog.</summary>
    public void Alive() => Send("WATCHDOG=1");

    public void Dispose() => _socket?.Dispose();

    void Send(string message)
    {
        if (_socket is null) return;
        try
        {
            _socket.SendTo(Encoding.UTF8.GetBytes(message), _manager!);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The manager is gone or its queue is full: the process works all the same, and there is nobody else to tell.
        }
    }
}
