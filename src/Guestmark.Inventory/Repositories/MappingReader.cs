using System.Text;
using System.Text.Json;

namespace Guestmark.Inventory.Repositories;

/// <summary>Streams a repository-to-CPE mapping and keeps only what it was asked for.</summary>
sealed class MappingReader
{
    const int BufferBytes = 64 * 1024;
    // The longest text of the list of 2025, a URL, has 120 bytes; the longest id 74.
    const int TextBytesMax = 1024;
    // A repository of the list of 2025 has at most 31.
    const int CpesMax = 256;
    const int MatchesMax = 32;

    readonly HashSet<string> _ids;
    readonly HashSet<string> _urls;
    readonly HashSet<string>.AlternateLookup<ReadOnlySpan<char>> _idLookup;
    readonly HashSet<string>.AlternateLookup<ReadOnlySpan<char>> _urlLookup;
    readonly char[] _text = new char[TextBytesMax];
    readonly char[] _id = new char[TextBytesMax];
    readonly List<string> _urlMatches = [];
    readonly Dictionary<string, string> _pool = [];
    readonly Dictionary<string, string>.AlternateLookup<ReadOnlySpan<char>> _poolLookup;
    // The CPEs of a repository come before its URLs, which tell whether they are wanted: kept as characters until then.
    readonly StringBuilder _cpes = new();
    readonly List<int> _cpeEnds = [];

    bool _isData;
    bool _hasData;
    bool _hasCpe;
    bool _isWanted;
    int _idChars;
    int _repositories;
    Part _part;

    public MappingReader(IEnumerable<string> ids, IEnumerable<string> urls)
    {
        _ids = [.. ids];
        _urls = [.. urls];
        _idLookup = _ids.GetAlternateLookup<ReadOnlySpan<char>>();
        _urlLookup = _urls.GetAlternateLookup<ReadOnlySpan<char>>();
        _poolLookup = _pool.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    enum Part
    {
        Other,
        Cpes,
        Urls,
    }

    public MappedRepositories Found { get; } = new();

    /// <returns>Null on success; otherwise what is wrong.</returns>
    public string? Read(Stream stream, CancellationToken cancellation)
    {
        var buffer = new byte[BufferBytes];
        var filled = 0;
        var total = 0L;
        var state = new JsonReaderState(new JsonReaderOptions { MaxDepth = 16 });
        try
        {
            while (true)
            {
                cancellation.ThrowIfCancellationRequested();
                var read = stream.Read(buffer, filled, buffer.Length - filled);
                total += read;
                if (total > RepositoryToCpe.BytesMax) return $"it has more than {RepositoryToCpe.BytesMax} bytes";
                filled += read;
                var json = new Utf8JsonReader(buffer.AsSpan(0, filled), isFinalBlock: read == 0, state);
                while (json.Read())
                {
                    if (Take(ref json) is { } error) return error;
                }

                if (read == 0) break;
                state = json.CurrentState;
                var consumed = (int)json.BytesConsumed;
                buffer.AsSpan(consumed, filled - consumed).CopyTo(buffer);
                filled -= consumed;
                if (filled == buffer.Length) return $"it has a text of more than {BufferBytes} bytes";
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return e.Message;
        }

        if (!_hasData) return "it has no object \"data\"";
        if (_repositories == 0) return "it lists no repository";
        // Such a list would take all findings of Red Hat's packages away.
        return _hasCpe ? null : $"none of its {_repositories} repositories has a CPE";
    }

    /// <summary>Depth 1: names of the document; 2: repositories; 3: parts of a repository; 4: CPEs and URLs.</summary>
    string? Take(ref Utf8JsonReader json)
    {
        switch (json.CurrentDepth, json.TokenType)
        {
            case (0, not (JsonTokenType.StartObject or JsonTokenType.EndObject)):
                return "it is not an object";
            case (1, JsonTokenType.PropertyName):
                _isData = json.ValueTextEquals("data"u8);
                return null;
            case (1, JsonTokenType.StartObject):
                _hasData |= _isData;
                return null;
            case (1, _) when _isData && json.TokenType != JsonTokenType.EndObject:
                return "its \"data\" is not an object";
        }

        if (!_isData) return null;
        switch (json.CurrentDepth, json.TokenType)
        {
            case (2, JsonTokenType.PropertyName):
                BeginRepository(ref json);
                return null;
            case (2, JsonTokenType.StartObject):
                return null;
            case (2, JsonTokenType.EndObject):
                EndRepository();
                return null;
            case (2, _):
                return $"its repository {GuestText.Quote(new string(_id, 0, _idChars))} is not an object";
            case (3, JsonTokenType.PropertyName):
                _part = json.ValueTextEquals("cpes"u8) ? Part.Cpes : json.ValueTextEquals("repo_relative_urls"u8) ? Part.Urls : Part.Other;
                return null;
            case (3, not (JsonTokenType.StartArray or JsonTokenType.EndArray)) when _part == Part.Cpes:
            case (4, not JsonTokenType.String) when _part == Part.Cpes:
                return $"the \"cpes\" of its repository {GuestText.Quote(new string(_id, 0, _idChars))} are no list of texts";
            case (4, JsonTokenType.String) when _part == Part.Cpes:
                _hasCpe |= json.ValueSpan.Length > 0;
                if ((_isWanted || _urls.Count > 0) && _cpeEnds.Count < CpesMax && Copy(ref json) is { Length: > 0 } cpe)
                {
                    _cpes.Append(cpe);
                    _cpeEnds.Add(_cpes.Length);
                }

                return null;
            case (4, JsonTokenType.String) when _part == Part.Urls:
                if (_urls.Count == 0 || _urlMatches.Count == MatchesMax) return null;
                if (_urlLookup.TryGetValue(Copy(ref json).Trim('/'), out var url)) _urlMatches.Add(url);
                return null;
            default:
                return null;
        }
    }

    void BeginRepository(ref Utf8JsonReader json)
    {
        _repositories++;
        _part = Part.Other;
        _cpes.Clear();
        _cpeEnds.Clear();
        _urlMatches.Clear();
        var id = Copy(ref json);
        id.CopyTo(_id);
        _idChars = id.Length;
        _isWanted = _idLookup.Contains(id);
    }

    void EndRepository()
    {
        if (!_isWanted && _urlMatches.Count == 0) return;
        var id = new string(_id, 0, _idChars);
        var cpes = new string[_cpeEnds.Count];
        for (var i = 0; i < cpes.Length; i++)
        {
            var start = i == 0 ? 0 : _cpeEnds[i - 1];
            _cpes.CopyTo(start, _text, _cpeEnds[i] - start);
            cpes[i] = Pooled(_text.AsSpan(0, _cpeEnds[i] - start));
        }

        if (_isWanted) Found.ById[id] = cpes;
        foreach (var url in _urlMatches)
        {
            if (!Found.ByUrl.TryGetValue(url, out var repositories)) Found.ByUrl[url] = repositories = [];
            if (repositories.Count < MatchesMax) repositories.Add((id, cpes));
        }
    }

    /// <summary>1,697 different CPEs stand in the list 30,000 times.</summary>
    string Pooled(ReadOnlySpan<char> text)
    {
        if (_poolLookup.TryGetValue(text, out var pooled)) return pooled;
        pooled = text.ToString();
        _pool.Add(pooled, pooled);
        return pooled;
    }

    /// <summary>A text, valid until the next call. One that is too long is none that anybody looks for.</summary>
    ReadOnlySpan<char> Copy(ref Utf8JsonReader json) =>
        json.ValueSpan.Length > TextBytesMax ? default : _text.AsSpan(0, json.CopyString(_text));
}
