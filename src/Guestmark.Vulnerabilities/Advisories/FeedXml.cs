using System.Globalization;
using System.Xml;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// Reads the elements of a vendor's XML file one after the other. Whatever the file holds, no more than <see cref="NodeBytesMax"/> of it are
/// in memory: DTDs (and with them entities) are errors, and so are a deeper tree, a longer node and more names than any real file has.
/// </summary>
/// <remarks>
/// The way through an element: <see cref="Enter"/>, then <see cref="NextChild"/> until false. A child that is not read is passed over.
/// Errors are <see cref="XmlException"/>, <see cref="InvalidDataException"/> where the file is compressed.
/// </remarks>
sealed class FeedXml : IDisposable
{
    /// <summary>Red Hat's OVAL is 14 deep.</summary>
    public const int DepthMax = 64;

    /// <summary>Longest attribute or text that is kept; what is longer is cut. A CVSS vector has at most 300 characters.</summary>
    public const int TextCharsMax = 2048;

    // The reader holds one attribute or tag as a whole. The longest in the data has 1.5 KB.
    const int NodeBytesMax = 4 * 1024 * 1024;

    readonly AllowanceStream _stream;
    readonly XmlReader _reader;
    readonly char[] _text = new char[TextCharsMax];

    public FeedXml(Stream xml)
    {
        _stream = new AllowanceStream(xml);
        _reader = XmlReader.Create(_stream, new XmlReaderSettings
        {
            DtdProcessing = DtdProcessing.Prohibit,
            XmlResolver = null,
            IgnoreComments = true,
            IgnoreProcessingInstructions = true,
            IgnoreWhitespace = true,
            NameTable = new BoundedNames(),
        });
    }

    /// <summary>The element's name without its prefix.</summary>
    public string Name => _reader.LocalName;

    /// <summary>Moves to the first element of the file.</summary>
    public bool Root()
    {
        while (Read())
        {
            if (_reader.NodeType == XmlNodeType.Element) return true;
        }

        return false;
    }

    /// <summary>What <see cref="NextChild"/> takes for the element that the reader stands on.</summary>
    public int Enter() => _reader.IsEmptyElement ? int.MaxValue : _reader.Depth;

    /// <summary>Moves to the next child of an element that was entered. False at its end.</summary>
    public bool NextChild(int entered)
    {
        if (entered == int.MaxValue) return false;
        while (Read())
        {
            if (_reader.Depth <= entered) return false;
            if (_reader.Depth == entered + 1 && _reader.NodeType == XmlNodeType.Element) return true;
        }

        return false;
    }

    /// <summary>Cut after <see cref="TextCharsMax"/> characters.</summary>
    public string? Attribute(string name)
    {
        var value = _reader.GetAttribute(name);
        return value?.Length > TextCharsMax ? value[..TextCharsMax] : value;
    }

    /// <summary>The text of the element, without the spaces around it, cut after <see cref="TextCharsMax"/> characters.</summary>
    public string Text()
    {
        if (_reader.IsEmptyElement) return "";
        var depth = _reader.Depth;
        var length = 0;
        while (Read() && _reader.Depth > depth)
        {
            if (_reader.NodeType is not (XmlNodeType.Text or XmlNodeType.CDATA or XmlNodeType.SignificantWhitespace)) continue;
            int read;
            while (length < _text.Length && (read = _reader.ReadValueChunk(_text, length, _text.Length - length)) > 0) length += read;
        }

        return _text.AsSpan(0, length).Trim().ToString();
    }

    public void Dispose() => _reader.Dispose();

    /// <summary>
    /// <c>2019-10-23</c>, <c>2020-02-20T11:58:25</c>, <c>2021-06-10 00:00:00</c>, in UTC where no zone is named; SUSE writes the seconds since 1970.
    /// </summary>
    /// <returns>Null when it is none.</returns>
    public static DateTimeOffset? Time(string? text)
    {
        if (string.IsNullOrEmpty(text)) return null;
        if (long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds))
            return seconds is > 9999 and <= 253_402_300_799 ? DateTimeOffset.FromUnixTimeSeconds(seconds) : null;
        const DateTimeStyles utc = DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal;
        // createrepo_c's own tools write "2021-06-10 00:00:00 UTC".
        var time = text.EndsWith(" UTC", StringComparison.Ordinal) ? text.AsSpan(0, text.Length - " UTC".Length) : text;
        return DateTimeOffset.TryParse(time, CultureInfo.InvariantCulture, utc, out var read) ? read : null;
    }

    public static Severity SeverityOf(ReadOnlySpan<char> word)
    {
        Span<char> lower = stackalloc char[16];
        return word.Length > lower.Length ? Severity.Unknown : lower[..word.ToLowerInvariant(lower)] switch
        {
            "critical" => Severity.Critical,
            "important" or "high" => Severity.Important,
            "moderate" or "medium" => Severity.Moderate,
            "low" or "negligible" => Severity.Low,
            _ => Severity.Unknown,
        };
    }

    /// <summary>Adds <c>CVE-YYYY-N…N</c>, which has at least four digits at the end.</summary>
    public static void AddCve(ISet<string> cves, string id)
    {
        if (id.Length is >= 13 and <= 32 && id.StartsWith("CVE-", StringComparison.Ordinal) && id[8] == '-'
            && !id.AsSpan(4, 4).ContainsAnyExceptInRange('0', '9') && !id.AsSpan(9).ContainsAnyExceptInRange('0', '9'))
        {
            cves.Add(id);
        }
    }

    /// <summary>Bug fix and enhancement advisories of Red Hat and what is built from it: <c>RHBA-…</c>, <c>ALEA-…</c>, <c>ELBA-…</c>.</summary>
    public static bool IsBugFixOrEnhancement(ReadOnlySpan<char> id) =>
        id.Length > 5 && id[..2] is "RH" or "AL" or "EL" or "RL" or "RX" && id[2..5] is "BA-" or "EA-";

    public static bool IsWebAddress(string text) =>
        text.StartsWith("https://", StringComparison.Ordinal) || text.StartsWith("http://", StringComparison.Ordinal);

    /// <summary>The first line, cut after so many characters and not between the halves of a surrogate pair.</summary>
    public static string Line(string text, int charsMax)
    {
        var line = text.AsSpan();
        var end = line.IndexOfAny('\r', '\n');
        if (end >= 0) line = line[..end];
        if (line.Length <= charsMax) return line.ToString();
        return $"{line[..(char.IsHighSurrogate(line[charsMax - 2]) ? charsMax - 2 : charsMax - 1)]}…";
    }

    bool Read()
    {
        _stream.Allowance = NodeBytesMax;
        if (!_reader.Read()) return false;
        return _reader.Depth <= DepthMax ? true : throw new XmlException($"the tree is deeper than {DepthMax}");
    }

    /// <summary>Names of elements and attributes stay in memory for as long as the reader lives. OVAL has some 100 of them.</summary>
    sealed class BoundedNames : NameTable
    {
        const int NamesMax = 4096;
        const int NameCharsMax = 1024;
        int _count;

        public override string Add(char[] key, int start, int len) => Get(key, start, len) ?? Counted(base.Add(key, start, len));

        public override string Add(string key) => Get(key) ?? Counted(base.Add(key));

        string Counted(string name) => ++_count <= NamesMax && name.Length <= NameCharsMax
            ? name
            : throw new XmlException($"more than {NamesMax} names of elements and attributes, or one longer than {NameCharsMax}");
    }

    /// <summary>Gives only so many bytes between two nodes.</summary>
    sealed class AllowanceStream(Stream inner) : ReadOnlyStream
    {
        public int Allowance { get; set; } = NodeBytesMax;

        public override int Read(Span<byte> buffer)
        {
            if (Allowance <= 0) throw new XmlException($"a tag or text is longer than {NodeBytesMax} bytes");
            var read = inner.Read(buffer[..Math.Min(buffer.Length, Allowance)]);
            Allowance -= read;
            return read;
        }
    }
}
