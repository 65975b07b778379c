namespace Guestmark.Vulnerabilities;

/// <summary>
/// Stores documents while the next ones are read: reading takes about twice as long as storing, so that a second core takes all of it. What
/// was posted is stored in the order in which it was posted.
/// </summary>
/// <remarks>
/// All members are for the one thread that imports. The other thread starts with the first full batch and ends by itself, so that a small import has
/// none and an abandoned one keeps none.
/// </remarks>
sealed class StoringThread
{
    // Four batches wait at most. AlmaLinux' documents have 13 statements on average, so that 80 go together, as waking a thread costs as much as
    // storing a few; one of Red Hat's has up to thousands, and is stored by itself.
    const int BatchWeight = 1024;
    const int BatchesMax = 4;
    const int IdleMilliseconds = 1000;

    readonly object _lock = new();
    readonly Queue<List<Item>> _batches = new();
    List<Item> _current = [];
    int _weight;
    bool _isRunning;
    bool _isStoring;
    bool _isEnding;
    Exception? _failure;

    /// <summary>Stores a document soon.</summary>
    /// <exception cref="IOException">An earlier one could not be stored.</exception>
    public void Post(SourceImport import, Advisory advisory) => Post(new Item(import, advisory, "", "", null));

    public void PostWithdrawal(SourceImport import, string feed, string id, DateTimeOffset? modified) => Post(new Item(import, null, feed, id, modified));

    /// <summary>Waits until all is stored.</summary>
    /// <exception cref="IOException">It could not be stored.</exception>
    public void Drain()
    {
        if (_current.Count == 0 && !_isRunning) return;
        lock (_lock)
        {
            _isEnding = true;
            Monitor.PulseAll(_lock);
            while (_batches.Count > 0 || _isStoring) Monitor.Wait(_lock);
            _isEnding = false;
        }

        Throw();
        // The rest is not worth a thread.
        var rest = _current;
        _current = [];
        _weight = 0;
        foreach (var item in rest) item.Store();
    }

    /// <summary>Forgets what is not stored yet, and waits until nothing is being stored.</summary>
    public void Abandon()
    {
        _current = [];
        _weight = 0;
        lock (_lock)
        {
            _batches.Clear();
            _isEnding = true;
            Monitor.PulseAll(_lock);
            while (_isStoring) Monitor.Wait(_lock);
            _isEnding = false;
        }
    }

    void Post(Item item)
    {
        _current.Add(item);
        _weight += 1 + (item.Advisory?.Statements.Count ?? 0);
        if (_weight < BatchWeight) return;
        lock (_lock)
        {
            while (_batches.Count == BatchesMax && _failure is null) Monitor.Wait(_lock);
            _batches.Enqueue(_current);
            if (!_isRunning)
            {
                _isRunning = true;
                new Thread(Run) { IsBackground = true, Name = "storing documents" }.Start();
            }

            Monitor.PulseAll(_lock);
        }

        _current = [];
        _weight = 0;
        Throw();
    }

    void Run()
    {
        while (true)
        {
            List<Item> batch;
            lock (_lock)
            {
                _isStoring = false;
                Monitor.PulseAll(_lock);
                while (_batches.Count == 0)
                {
                    if (!_isEnding && Monitor.Wait(_lock, IdleMilliseconds)) continue;
                    if (_batches.Count > 0) break;
                    _isRunning = false;
                    return;
                }

                batch = _batches.Dequeue();
                _isStoring = true;
            }

            if (_failure is not null) continue;
            try
            {
                foreach (var item in batch) item.Store();
            }
            catch (Exception e)
            {
                // For the thread that imports, which gets it with its next call.
                lock (_lock) _failure = e;
            }
        }
    }

    void Throw()
    {
        Exception? failure;
        lock (_lock) failure = _failure;
        if (failure is not null) System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
    }

    readonly record struct Item(SourceImport Import, Advisory? Advisory, string Feed, string Id, DateTimeOffset? Modified)
    {
        public void Store()
        {
            if (Advisory is not null) Import.Store(Advisory);
            else Import.StoreWithdrawal(Feed, Id, Modified);
        }
    }
}
