using Guestmark.Rpc.Guests;

namespace Guestmark.Sensor;

/// <summary>Where one sensor keeps what it received and where it delivers it.</summary>
public sealed record SensorOptions
{
    /// <summary>Holds the spool. One sensor at a time.</summary>
    public required string DataDirectory { get; init; }

    /// <summary>Central, as <c>https://host:port</c>.</summary>
    public required Uri CentralEndpoint { get; init; }

    /// <summary>The name in Central's certificate. Null: the host of <see cref="CentralEndpoint"/>.</summary>
    public string? CentralName { get; init; }

    /// <summary>Folder with <c>ca.pem</c>, <c>cert.pem</c> and <c>key.pem</c> of this sensor.</summary>
    public required string Certificates { get; init; }

    /// <summary>Bytes of the spool. Default 4 GiB.</summary>
    public long SpoolBytesMax { get; init; } = 4L << 30;

    /// <summary>File of the guests of all nodes (<see cref="GuestFile"/>), each with its node; read again when it changes. Null: nodes are told of none.</summary>
    public string? GuestsFile { get; init; }

    /// <summary>Everything that is wrong, each with its value and what is allowed. Empty when nothing is.</summary>
    public IReadOnlyList<string> Validate() =>
        CentralEndpoint.Scheme is "https" ? [] : [$"central endpoint '{CentralEndpoint}': it must begin with https://"];
}
