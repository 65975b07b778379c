using System.Diagnostics;
using System.Net.Sockets;
using Guestmark.Node.Identity;
using Guestmark.Node.Listening;
using Guestmark.TestKit;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;

namespace Guestmark.Node.Tests;

public sealed class UnixSocketFileTests
{
    [Fact]
    public async Task Who_listens_and_does_not_accept_does_not_hold_the_node()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("vm.sock_818");
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen(1);
        var waiting = new List<Socket>();
        try
        {
            while (true)
            {
                waiting.Add(new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { Blocking = false });
                waiting[^1].Connect(new UnixDomainSocketEndPoint(path));
            }
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.WouldBlock)
        {
            // The backlog is full.
        }

        var preparing = Task.Run(() => UnixSocketFile.Prepare(path));
        await Assert.ThrowsAsync<AddressInUseException>(() => preparing.WaitAsync(TimeSpan.FromSeconds(10)));
        Assert.True(File.Exists(path));
        waiting.ForEach(socket => socket.Dispose());
    }

    [Fact]
    public async Task A_fifo_in_the_way_is_told_of_and_not_waited_for()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("vm.sock_818");
        using (var made = Process.Start("mkfifo", [path])) await made.WaitForExitAsync();
        var preparing = Task.Run(() => UnixSocketFile.Prepare(path));
        var problem = await Assert.ThrowsAsync<IOException>(() => preparing.WaitAsync(TimeSpan.FromSeconds(10)));
        Assert.Contains("is not a socket", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_guest_whose_socket_is_taken_does_not_keep_others_from_being_heard()
    {
        using var folder = new TemporaryFolder();
        await using var node = await RunningNode.StartAsync(options => options);
        var port = node.Options.PushPort;
        var guests = Enumerable.Range(0, 8).Select(i => new GuestOptions { Uid = $"u{i}", Name = $"n{i}", SocketBase = folder.File($"n{i}") }).ToList();
        using var taken = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        taken.Bind(new UnixDomainSocketEndPoint(guests[0].SocketPath(port)));
        taken.Listen(8);
        node.Services.GetRequiredService<GuestRegistry>().Replace(GuestSource.Sensor, guests);
        await IdentityTests.WaitForAsync(() => Task.FromResult(guests.Skip(1).All(guest => File.Exists(guest.SocketPath(port)))));
    }

    [Fact]
    public void The_mode_of_what_a_link_points_to_is_left_alone()
    {
        using var folder = new TemporaryFolder();
        var target = folder.File("target");
        File.WriteAllText(target, "");
        File.SetUnixFileMode(target, UnixFileMode.UserRead);
        File.CreateSymbolicLink(folder.File("vm.sock_818"), target);
        Assert.Throws<IOException>(() => UnixSocketFile.SetMode(folder.File("vm.sock_818"), UnixFileMode.UserRead | UnixFileMode.UserWrite));
        Assert.Equal(UnixFileMode.UserRead, File.GetUnixFileMode(target));
    }
}
