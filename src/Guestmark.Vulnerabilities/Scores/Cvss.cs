using System.Runtime.CompilerServices;
using System.Text;

namespace Guestmark.Vulnerabilities;

/// <summary>The editions of CVSS.</summary>
public enum CvssVersion
{
    V2,
    V30,
    V31,
    V4,
}

/// <summary>
/// A CVSS vector and its score. Sources: https://www.first.org/cvss/v2/guide (section 3.2), https://www.first.org/cvss/v3.0/specification-document
/// (section 8), https://www.first.org/cvss/v3.1/specification-document (section 7), https://www.first.org/cvss/v4.0/specification-document
/// (section 8).
/// </summary>
public readonly struct Cvss
{
    /// <summary>The longest vector of CVSS 4.0, with every metric, has 209 bytes.</summary>
    public const int VectorBytesMax = 256;

    static readonly Definition[] Definitions =
    [
        new(CvssVersion.V2, "", 6, isOrdered: true, CvssV2Score.Metrics),
        new(CvssVersion.V30, "CVSS:3.0/", 8, isOrdered: false, CvssV3Score.Metrics),
        new(CvssVersion.V31, "CVSS:3.1/", 8, isOrdered: false, CvssV3Score.Metrics),
        new(CvssVersion.V4, "CVSS:4.0/", 11, isOrdered: true, CvssV4Score.Metrics),
    ];

    readonly CvssValues _values;

    Cvss(CvssVersion version, in CvssValues values)
    {
        Version = version;
        _values = values;
    }

    public CvssVersion Version { get; }

    /// <summary>0.0 to 10.0 in tenths, from the metrics that the vector has: environmental, else temporal or threat, else base score.</summary>
    public double Score => Version switch
    {
        CvssVersion.V2 => CvssV2Score.Compute(_values, baseOnly: false),
        CvssVersion.V4 => CvssV4Score.Compute(_values, baseOnly: false),
        _ => CvssV3Score.Compute(_values, Version, baseOnly: false),
    };

    /// <summary>0.0 to 10.0 in tenths, from the base metrics alone: what the vendor's vector says about any machine.</summary>
    public double BaseScore => Version switch
    {
        CvssVersion.V2 => CvssV2Score.Compute(_values, baseOnly: true),
        CvssVersion.V4 => CvssV4Score.Compute(_values, baseOnly: true),
        _ => CvssV3Score.Compute(_values, Version, baseOnly: true),
    };

    /// <summary>The score of a vector of any edition, see <see cref="Score"/>.</summary>
    /// <returns>False when it is not well-formed, see <see cref="TryParse(ReadOnlySpan{byte}, out Cvss)"/>.</returns>
    public static bool TryScore(ReadOnlySpan<byte> vector, out double score, out CvssVersion version)
    {
        var isVector = TryParse(vector, out var cvss);
        score = isVector ? cvss.Score : 0;
        version = cvss.Version;
        return isVector;
    }

    /// <inheritdoc cref="TryScore(ReadOnlySpan{byte}, out double, out CvssVersion)"/>
    public static bool TryScore(ReadOnlySpan<char> vector, out double score, out CvssVersion version)
    {
        var isVector = TryParse(vector, out var cvss);
        score = isVector ? cvss.Score : 0;
        version = cvss.Version;
        return isVector;
    }

    /// <summary>
    /// Reads <c>[CVSS:edition/]metric:value{/metric:value}</c>. Every base metric must be there and no metric twice; 2 and 4.0 prescribe the
    /// order of metrics, and 2 has its temporal and its environmental metrics all or none.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> vector, out Cvss cvss)
    {
        cvss = default;
        if (vector.Length > VectorBytesMax) return false;
        var definition = Definitions[0];
        for (var i = 1; i < Definitions.Length; i++)
        {
            if (vector.StartsWith(Definitions[i].Prefix)) definition = Definitions[i];
        }

        var values = default(CvssValues);
        var rest = vector[definition.Prefix.Length..];
        var previous = -1;
        while (true)
        {
            var slash = rest.IndexOf((byte)'/');
            var metric = slash < 0 ? rest : rest[..slash];
            var colon = metric.IndexOf((byte)':');
            if (colon < 0) return false;
            var index = definition.IndexOf(metric[..colon]);
            if (index < 0 || values[index] != 0 || (definition.IsOrdered && index < previous)) return false;
            var value = definition.Metrics[index].IndexOf(metric[(colon + 1)..]);
            if (value < 0) return false;
            values[index] = (byte)(value + 1);
            previous = index;
            if (slash < 0) break;
            rest = rest[(slash + 1)..];
        }

        for (var i = 0; i < definition.BaseMetrics; i++)
        {
            if (values[i] == 0) return false;
        }

        if (definition.Version == CvssVersion.V2 && !CvssV2Score.HasWholeGroups(values)) return false;
        cvss = new Cvss(definition.Version, values);
        return true;
    }

    /// <inheritdoc cref="TryParse(ReadOnlySpan{byte}, out Cvss)"/>
    public static bool TryParse(ReadOnlySpan<char> vector, out Cvss cvss)
    {
        cvss = default;
        if (vector.Length > VectorBytesMax || !Ascii.IsValid(vector)) return false;
        Span<byte> bytes = stackalloc byte[VectorBytesMax];
        return TryParse(bytes[..Encoding.ASCII.GetBytes(vector, bytes)], out cvss);
    }

    /// <summary>The vector with its metrics in the order of the specification, as given otherwise.</summary>
    public override string ToString()
    {
        var definition = Definitions[(int)Version];
        Span<byte> text = stackalloc byte[VectorBytesMax];
        definition.Prefix.CopyTo(text);
        var length = definition.Prefix.Length;
        for (var i = 0; i < definition.Metrics.Length; i++)
        {
            if (_values[i] == 0) continue;
            if (length > definition.Prefix.Length) text[length++] = (byte)'/';
            var metric = definition.Metrics[i];
            metric.Name.CopyTo(text[length..]);
            length += metric.Name.Length;
            text[length++] = (byte)':';
            var value = metric.Values[_values[i] - 1];
            value.CopyTo(text[length..]);
            length += value.Length;
        }

        return Encoding.ASCII.GetString(text[..length]);
    }

    /// <param name="version">The edition.</param>
    /// <param name="prefix">What its vectors begin with.</param>
    /// <param name="baseMetrics">How many of the metrics, the first ones, are base metrics.</param>
    /// <param name="isOrdered">The metrics must be in order.</param>
    /// <param name="metrics">All metrics with their values: <c>AV:N,A,L,P AC:L,H</c>.</param>
    sealed class Definition(CvssVersion version, string prefix, int baseMetrics, bool isOrdered, string metrics)
    {
        readonly byte[] _prefix = Encoding.ASCII.GetBytes(prefix);

        public CvssVersion Version { get; } = version;

        public ReadOnlySpan<byte> Prefix => _prefix;

        public int BaseMetrics { get; } = baseMetrics;

        public bool IsOrdered { get; } = isOrdered;

        public Metric[] Metrics { get; } = [.. metrics.Split(' ').Select(metric => new Metric(metric))];

        public int IndexOf(ReadOnlySpan<byte> name)
        {
            for (var i = 0; i < Metrics.Length; i++)
            {
                if (name.SequenceEqual(Metrics[i].Name)) return i;
            }

            return -1;
        }
    }

    sealed class Metric(string definition)
    {
        public byte[] Name { get; } = Encoding.ASCII.GetBytes(definition.Split(':')[0]);

        public byte[][] Values { get; } = [.. definition.Split(':')[1].Split(',').Select(Encoding.ASCII.GetBytes)];

        public int IndexOf(ReadOnlySpan<byte> value)
        {
            for (var i = 0; i < Values.Length; i++)
            {
                if (value.SequenceEqual(Values[i])) return i;
            }

            return -1;
        }
    }
}

/// <summary>The place of each metric's value among the values that it may have, from 1 on; 0 when the vector does not have the metric.</summary>
[InlineArray(32)]
struct CvssValues
{
    byte _first;
}
