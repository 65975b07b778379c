using System.Collections.Concurrent;
using Guestmark.Events;
using Guestmark.Node.Admission;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Guestmark.Node.Cells;

/// <summary>What came of adding or removing a cell.</summary>
public enum CellOutcome
{
    Done,

    /// <summary>The very same cell was there already.</summary>
    AlreadyThere,

    /// <summary>A value is wrong.</summary>
    Invalid,

    /// <summary>Another cell has this id or this socket, or there are too many.</summary>
    Conflict,

    NotFound,

    /// <summary>The socket cannot be bound, or the cells cannot be written down.</summary>
    Failed,
}

/// <summary>What cells share with all guests, so that however many there are of them, both get their part.</summary>
/// <param name="Order">The order into the spool.</param>
/// <param name="NewShare">What one cell may take.</param>
public sealed record CellAdmission(FairOrder Order, ConnectionSlots Connections, Func<GuestShare> NewShare);

/// <summary>The cells of this node. They outlive a restart: what is added is written down before the answer, and bound again at the next start.</summary>
public sealed partial class CellRegistry : IHostedService, IAsyncDisposable
{
    readonly NodeOptions _options;
    readonly EventStamper _stamper;
    readonly Refusals _refusals;
    readonly CellMetrics _metrics;
    readonly TimeProvider _time;
    readonly ILogger<CellRegistry> _logger;
    readonly CellAdmission _admission;
    readonly CellStateFile _file;
    readonly ConcurrentDictionary<string, Cell> _cells = new(StringComparer.Ordinal);
    readonly SemaphoreSlim _change = new(1, 1);

    public CellRegistry(
        NodeOptions options, EventStamper stamper, Refusals refusals, CellMetrics metrics, CellAdmission admission, TimeProvider time,
        ILogger<CellRegistry> logger)
    {
        _options = options;
        _stamper = stamper;
        _refusals = refusals;
        _metrics = metrics;
        _admission = admission;
        _time = time;
        _logger = logger;
        _file = new CellStateFile(options.DataDirectory);
    }

    /// <summary>All cells in the order of their ids.</summary>
    public IReadOnlyList<CellStatus> List() => [.. _cells.Values.Select(cell => cell.Status).OrderBy(status => status.Cell.Id, StringComparer.Ordinal)];

    /// <summary>Binds the cell's socket and keeps the cell. When this returns the cell's machine may start.</summary>
    /// <returns>The problem is for people; null when there is none.</returns>
    public async Task<(CellOutcome Outcome, string? Problem)> AddAsync(CellDefinition definition)
    {
        definition = definition with { FailedBy = SilenceReason.Unspecified };
        if (definition.Problem(_options.Cells.Port) is { } problem) return (CellOutcome.Invalid, problem);
        definition = Normalised(definition);
        await _change.WaitAsync();
        try
        {
            if (_cells.TryGetValue(definition.Id, out var there))
            {
                if (there.Definition.FailedBy != SilenceReason.Unspecified)
                    return (CellOutcome.Conflict, $"cell {definition.Id} has failed and is closed; remove it first: {RemoveCommand(definition.Id)}");
                if (there.Definition != definition)
                    return (CellOutcome.Conflict, $"there is a cell {definition.Id} of run {there.Definition.RunId} with other values; remove it first: {RemoveCommand(definition.Id)}");
                if (there.IsBound) return (CellOutcome.AlreadyThere, null);
                return await BindAgainAsync(there);
            }

            if (_cells.Values.FirstOrDefault(cell => cell.Definition.SocketBase == definition.SocketBase) is { } other)
                return (CellOutcome.Conflict, $"socketBase {definition.SocketBase} belongs to cell {other.Definition.Id}; remove that first, or use another path");
            if (_cells.Count >= _options.Cells.CellsMax)
                return (CellOutcome.Conflict, $"there are {_cells.Count} cells, which is all that are allowed; remove some, or raise the limit on cells of the node");

            var cell = Create(definition);
            if (cell.Problem is { } notBound)
            {
                await cell.DisposeAsync();
                return (CellOutcome.Failed, notBound);
            }

            _cells[definition.Id] = cell;
            if (Save() is { } notSaved)
            {
                _cells.TryRemove(definition.Id, out _);
                await cell.DisposeAsync();
                return (CellOutcome.Failed, notSaved);
            }

            _metrics.CellOpened();
            LogAdded(definition.Id, cell.Status.Socket);
            return (CellOutcome.Done, null);
        }
        finally
        {
            _change.Release();
        }
    }

    /// <summary>Closes the cell's socket and forgets the cell.</summary>
    public async Task<(CellOutcome Outcome, string? Problem)> RemoveAsync(string id)
    {
        await _change.WaitAsync();
        try
        {
            if (!_cells.TryRemove(id, out var cell)) return (CellOutcome.NotFound, $"there is no cell {id}; guestmark cell list --control {_options.ControlSocket} shows those that are");
            if (Save() is { } notSaved)
            {
                _cells[id] = cell;
                return (CellOutcome.Failed, notSaved);
            }

            await cell.DisposeAsync();
            _metrics.CellClosed();
            LogRemoved(id);
            return (CellOutcome.Done, null);
        }
        finally
        {
            _change.Release();
        }
    }

    /// <summary>Binds the cells of the last run. One that cannot be bound stays in the list and says why; the others are served.</summary>
    /// <exception cref="IOException">The file of cells is damaged.</exception>
    public Task StartAsync(CancellationToken cancellationToken)
    {
        foreach (var written in _file.Read())
        {
            var problem = written.Problem(_options.Cells.Port);
            if (problem is not null) throw new IOException($"{_file.Path}: {problem}");
            var definition = Normalised(written);
            var cell = Create(definition);
            if (!_cells.TryAdd(definition.Id, cell)) throw new IOException($"{_file.Path}: cell {definition.Id} is there twice; remove one");
            _metrics.CellOpened();
            if (cell.Problem is { } notBound) LogNotBound(definition.Id, notBound);
        }

        return Task.CompletedTask;
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await Task.WhenAll(_cells.Values.Select(cell => cell.DisposeAsync().AsTask()));
    }

    public async ValueTask DisposeAsync()
    {
        // A start that failed half-way is not stopped by the host.
        await StopAsync(CancellationToken.None);
        _change.Dispose();
    }

    /// <summary>Of a cell that could not be bound when the node started, or whose socket is gone, and now perhaps can.</summary>
    async Task<(CellOutcome Outcome, string? Problem)> BindAgainAsync(Cell unbound)
    {
        var cell = Create(unbound.Definition);
        if (cell.Problem is { } problem)
        {
            await cell.DisposeAsync();
            return (CellOutcome.Failed, problem);
        }

        _cells[unbound.Definition.Id] = cell;
        await unbound.DisposeAsync();
        LogAdded(unbound.Definition.Id, cell.Status.Socket);
        return (CellOutcome.AlreadyThere, null);
    }

    Cell Create(CellDefinition definition)
    {
        // The path of the socket is the identity: only the cell's hypervisor, and the host, can reach it.
        var identity = new ChannelIdentity($"//{_options.Cluster}/{_options.Node}/cell:{definition.Id}", definition.Id)
        {
            GuestPort = _options.Cells.Port,
            Cell = new CellAttribution(definition.Id, definition.RunId, definition.SpecSignatureHash),
        };
        var channel = new CellChannel(identity, _options.Cells, _stamper, _refusals, _metrics, _logger, _time, Silenced, _admission.Order, _admission.NewShare());
        return Cell.Create(definition, channel, _options.Cells.Port, _logger, _admission.Connections);

        // A stall is the host's own fault, and a machine that has not come up yet has not fallen silent.
        void Silenced(SilenceReason reason)
        {
            if (definition.OnSilence == SilencePolicy.Fail && reason is not (SilenceReason.Stalled or SilenceReason.NeverConnected)) _ = FailAsync(definition.Id, reason);
        }
    }

    async Task FailAsync(string id, SilenceReason reason)
    {
        await Task.Yield();
        await _change.WaitAsync();
        try
        {
            if (!_cells.TryGetValue(id, out var cell) || cell.Definition.FailedBy != SilenceReason.Unspecified) return;
            await cell.FailAsync(reason);
            LogFailed(id, reason.Word());
            if (Save() is { } notSaved) LogNotSaved(id, notSaved);
        }
        finally
        {
            _change.Release();
        }
    }

    /// <summary>Two words for one socket would be two cells on it: /c/./f1 and /c/f1.</summary>
    static CellDefinition Normalised(CellDefinition definition) => definition with { SocketBase = Path.GetFullPath(definition.SocketBase) };

    string RemoveCommand(string id) => $"guestmark cell remove {id} --control {_options.ControlSocket}";

    string? Save()
    {
        try
        {
            _file.Write([.. _cells.Values.Select(cell => cell.Definition).OrderBy(definition => definition.Id, StringComparer.Ordinal)]);
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"{_file.Path} cannot be written: {e.Message}";
        }
    }

    [LoggerMessage(4311, LogLevel.Information, "Listening for cell {Cell} on {Socket}", EventName = "CellAdded")]
    partial void LogAdded(string cell, string socket);

    [LoggerMessage(4312, LogLevel.Information, "Removed cell {Cell}", EventName = "CellRemoved")]
    partial void LogRemoved(string cell);

    [LoggerMessage(4313, LogLevel.Error, "Cannot listen for cell {Cell} again: {Problem}", EventName = "CellNotBound")]
    partial void LogNotBound(string cell, string problem);

    [LoggerMessage(4314, LogLevel.Warning, "Closed the channel of cell {Cell} for good: {Reason}", EventName = "CellFailed")]
    partial void LogFailed(string cell, string reason);

    [LoggerMessage(4315, LogLevel.Error, "That cell {Cell} has failed is forgotten at a restart: {Problem}", EventName = "CellNotSaved")]
    partial void LogNotSaved(string cell, string problem);
}
