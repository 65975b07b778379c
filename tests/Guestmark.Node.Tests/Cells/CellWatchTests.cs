using Guestmark.Events;
using Guestmark.Node.Cells;
using Guestmark.TestKit;

namespace Guestmark.Node.Tests.Cells;

/// <summary>Establishes when a silence is told, and how often.</summary>
public sealed class CellWatchTests
{
    static readonly TimeSpan Window = TimeSpan.FromSeconds(10);

    readonly ManualTimeProvider _time = new();
    readonly List<SilenceReason> _told = [];
    readonly CellWatch _watch;
    bool _hasRoom = true;
    int _closed;
    int _revived;

    public CellWatchTests() =>
        _watch = new CellWatch(Window, TimeSpan.FromSeconds(5), _time, silenced =>
        {
            if (_hasRoom) _told.Add(silenced.Reason);
            return Task.FromResult(_hasRoom);
        })
        {
            Revived = () => _revived++,
        };

    [Fact]
    public void Nobody_connects()
    {
        Pass(9.9);
        Assert.Empty(_told);
        Pass(0.1);
        Pass(100);
        Assert.Equal([SilenceReason.NeverConnected], _told);
    }

    [Fact]
    public void A_connection_without_a_frame_is_idle_and_a_frame_puts_it_off()
    {
        Connect();
        Pass(9.9);
        Live();
        Pass(9.9);
        Assert.Empty(_told);
        Pass(0.1);
        Pass(100);
        Assert.Equal([SilenceReason.Idle], _told);
        Assert.Equal(SilenceReason.Idle, _watch.State.Silence);
    }

    [Fact]
    public void A_frame_ends_the_episode_and_the_next_silence_is_told_again()
    {
        Connect();
        Pass(10);
        Live();
        Assert.Equal(1, _revived);
        Assert.Equal(SilenceReason.Unspecified, _watch.State.Silence);
        Pass(10);
        Assert.Equal([SilenceReason.Idle, SilenceReason.Idle], _told);
    }

    [Fact]
    public void Half_a_frame_has_its_own_time_which_more_bytes_of_it_do_not_prolong()
    {
        Connect();
        _watch.Waiting(hasHalfFrame: true, isNewFrame: false);
        Pass(3);
        _watch.Waiting(hasHalfFrame: true, isNewFrame: false);
        Pass(1.9);
        Assert.Equal(0, _closed);
        Pass(0.1);
        Assert.Equal(1, _closed);
        _watch.Ended(SilenceReason.HalfFrame);
        Assert.Equal([SilenceReason.HalfFrame], _told);
    }

    [Fact]
    public void A_frame_that_follows_on_another_has_a_time_of_its_own()
    {
        Connect();
        for (var i = 0; i < 10; i++)
        {
            Live();
            _watch.Waiting(hasHalfFrame: true, isNewFrame: true);
            Pass(4);
        }

        Assert.Equal(0, _closed);
        Assert.Empty(_told);
    }

    [Fact]
    public void A_stall_is_the_host_s_and_no_idleness()
    {
        Connect();
        Live();
        _watch.Storing();
        Pass(30);
        Assert.Equal([SilenceReason.Stalled], _told);

        // When the host reads again the guest has a whole window to speak.
        _watch.Waiting(hasHalfFrame: false, isNewFrame: true);
        Pass(9.9);
        Assert.Equal([SilenceReason.Stalled], _told);
        Pass(0.1);
        Assert.Equal([SilenceReason.Stalled, SilenceReason.Idle], _told);
    }

    [Fact]
    public void Being_throttled_is_no_silence()
    {
        Connect();
        Live();
        _watch.Throttled();
        Pass(30);
        Assert.Empty(_told);
    }

    [Fact]
    public void Idle_and_then_closed_are_both_told()
    {
        Connect();
        Pass(10);
        _watch.Ended(SilenceReason.Closed);
        Assert.Equal([SilenceReason.Idle, SilenceReason.Closed], _told);
    }

    [Fact]
    public void An_end_by_the_host_is_no_silence()
    {
        Connect();
        _watch.Ended(null);
        Pass(100);
        Assert.Empty(_told);
    }

    [Fact]
    public void A_guest_that_comes_and_goes_makes_an_event_a_window_and_its_last_silence_is_told()
    {
        for (var i = 0; i < 1000; i++)
        {
            Connect();
            Live();
            _watch.Ended(SilenceReason.Closed);
            if (i % 100 == 99) Pass(1);
        }

        Assert.Equal([SilenceReason.Closed, SilenceReason.Closed], _told);
        Connect();
        Live();
        _watch.Ended(SilenceReason.Closed);
        Assert.Equal(2, _told.Count);
        Pass(10);
        Pass(100);
        Assert.Equal(3, _told.Count);
    }

    [Fact]
    public void A_silence_that_was_a_blink_within_the_window_is_not_told()
    {
        Connect();
        Live();
        _watch.Ended(SilenceReason.Closed);
        Pass(1);
        Connect();
        Live();
        _watch.Ended(SilenceReason.Closed);
        Pass(1);
        Connect();
        Live();
        for (var i = 0; i < 10; i++)
        {
            Pass(2);
            Live();
        }

        Assert.Equal([SilenceReason.Closed], _told);
    }

    [Fact]
    public void What_has_no_room_is_told_when_there_is_some()
    {
        _hasRoom = false;
        Connect();
        Live();
        _watch.Storing();
        Pass(30);
        Assert.Empty(_told);
        _watch.Waiting(hasHalfFrame: false, isNewFrame: true);
        Live();
        _hasRoom = true;
        Pass(1);
        Assert.Equal([SilenceReason.Stalled], _told);
    }

    void Connect() => _watch.Connected(() => _closed++);

    void Live()
    {
        _watch.Lived(1, _time.GetUtcNow());
        _watch.Waiting(hasHalfFrame: false, isNewFrame: true);
    }

    void Pass(double seconds)
    {
        _time.Advance(TimeSpan.FromSeconds(seconds));
        _watch.Tick();
    }
}
