using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Guestmark.Configuration;

/// <summary>Reads a configuration file: YAML 1.2, of which JSON is a part.</summary>
/// <remarks>
/// Of YAML it takes what a configuration needs: one document of mappings, sequences and scalars. Anchors, aliases and tags are refused: an
/// alias is how a file of a kilobyte becomes a gigabyte, and a tag is a request to make an object.
/// </remarks>
static class ConfigurationFile
{
    public const int BytesMax = 1 << 20;
    const int DepthMax = 8;
    const int NodesMax = 200_000;

    /// <summary>Reads a file. Null when it cannot be read as YAML: then there is a problem that says why.</summary>
    public static MappingNode? Read(string path, ICollection<ConfigurationProblem> problems)
    {
        string text;
        try
        {
            using var file = File.OpenRead(path);
            if (file.Length > BytesMax)
            {
                problems.Add(new(new Origin(Source.File, path), $"has {file.Length} bytes, a configuration has at most {BytesMax}; put guests into a registry-file"));
                return null;
            }

            using var reader = new StreamReader(file);
            var buffer = new char[BytesMax + 1];
            var length = reader.ReadBlock(buffer);
            text = new string(buffer, 0, length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            problems.Add(new(new Origin(Source.File, path), $"cannot be read: {e.Message}"));
            return null;
        }

        return Parse(path, text, problems);
    }

    /// <param name="path">What problems call the text.</param>
    public static MappingNode? Parse(string path, string text, ICollection<ConfigurationProblem> problems)
    {
        var reader = new Reader(path, text);
        try
        {
            return reader.ReadDocument();
        }
        catch (YamlException e)
        {
            // The parser's own words name the place once more; the line is in the origin.
            problems.Add(new(new Origin(Source.File, path, (int)Math.Max(1, e.Start.Line)), $"is not YAML: {e.Message}"));
            return null;
        }
        catch (RefusedException e)
        {
            problems.Add(e.Problem);
            return null;
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException or FormatException or OverflowException)
        {
            // YamlDotNet's scanner ends so, and not with its own exception, where a bracket is not closed or a scalar is cut off. A file of
            // an operator must not end a node that runs.
            problems.Add(new(new Origin(Source.File, path, reader.Line), "is not YAML: a bracket, brace or quote is not closed, or a key has no value"));
            return null;
        }
    }

    sealed class RefusedException(ConfigurationProblem problem) : Exception(problem.Message)
    {
        public ConfigurationProblem Problem { get; } = problem;
    }

    sealed class Reader(string path, string text)
    {
        readonly Parser _parser = new(new StringReader(text));
        int _nodes;

        /// <summary>Where the last thing that could be read begins.</summary>
        public int Line => (int)Math.Max(1, _parser.Current?.Start.Line ?? 1);

        public MappingNode ReadDocument()
        {
            Next();
            Expect<StreamStart>();
            if (_parser.Current is StreamEnd) return new MappingNode(At(_parser.Current), []);
            Expect<DocumentStart>();
            MappingNode mapping;
            if (_parser.Current is Scalar { Value: "" } nothing)
            {
                // A file of nothing but comments.
                mapping = new MappingNode(At(nothing), []);
                Next();
            }
            else
            {
                var start = _parser.Current!;
                mapping = ReadNode(1) as MappingNode ?? throw Refuse(start, "write 'key: value' lines; the file holds something else");
            }

            Expect<DocumentEnd>();
            return _parser.Current is StreamEnd ? mapping : throw Refuse(_parser.Current!, "a second document begins; write one");
        }

        ConfigurationNode ReadNode(int depth)
        {
            var current = _parser.Current!;
            if (++_nodes > NodesMax) throw Refuse(current, $"holds more than {NodesMax} values; put guests into a registry-file");
            if (depth > DepthMax) throw Refuse(current, $"is nested more than {DepthMax} deep");
            if (current is NodeEvent { Anchor.IsEmpty: false } or AnchorAlias) throw Refuse(current, "anchors and aliases are not taken; write the value out");
            if (current is NodeEvent { Tag.IsEmpty: false }) throw Refuse(current, "tags are not taken; write the plain value");
            switch (current)
            {
                case Scalar scalar:
                    Next();
                    return new ScalarNode(At(scalar), scalar.Value);
                case SequenceStart:
                    Next();
                    var items = new List<ConfigurationNode>();
                    while (_parser.Current is not SequenceEnd) items.Add(ReadNode(depth + 1));
                    Next();
                    return new SequenceNode(At(current), items);
                case MappingStart:
                    Next();
                    var entries = new List<MappingEntry>();
                    var names = new HashSet<string>(StringComparer.Ordinal);
                    while (_parser.Current is not MappingEnd)
                    {
                        var place = _parser.Current!;
                        if (ReadNode(depth + 1) is not ScalarNode name) throw Refuse(place, "a key must be a word");
                        if (!names.Add(name.Text)) throw Refuse(place, $"'{name.Text}' is given twice");
                        entries.Add(new MappingEntry(name.Origin, name.Text, ReadNode(depth + 1)));
                    }

                    Next();
                    return new MappingNode(At(current), entries);
                default:
                    throw Refuse(current, "expected a value");
            }
        }

        void Next() => _parser.MoveNext();

        void Expect<T>()
            where T : ParsingEvent
        {
            if (_parser.Current is not T) throw Refuse(_parser.Current!, "write 'key: value' lines; the file holds something else");
            Next();
        }

        Origin At(ParsingEvent place) => new(Source.File, path, (int)Math.Max(1, place.Start.Line));

        RefusedException Refuse(ParsingEvent place, string message) => new(new ConfigurationProblem(At(place), message));
    }
}
