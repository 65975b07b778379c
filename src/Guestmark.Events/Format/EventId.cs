using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Guestmark.Events.Format;

/// <summary>Ids of events.</summary>
static class EventId
{
    /// <summary>Length of the text of a UUID.</summary>
    public const int Bytes = 36;

    // One call of the system for 400 ids: with one for each, randomness cost more than the whole rest of a stamp.
    const int PoolBytes = 4000;
    const int RandomBytes = 10;

    [ThreadStatic]
    static byte[]? _pool;

    [ThreadStatic]
    static int _used;

    /// <summary>
    /// Writes a UUIDv7 (RFC 9562 5.7): <c>48 bits of milliseconds since 1970 | 0111 | 12 random bits | 10 | 62 random bits</c>, in lower case.
    /// </summary>
    public static void Write(DateTimeOffset time, Span<byte> destination)
    {
        if (_pool is null || _used == PoolBytes)
        {
            _pool ??= new byte[PoolBytes];
            RandomNumberGenerator.Fill(_pool);
            _used = 0;
        }

        Span<byte> uuid = stackalloc byte[16];
        BinaryPrimitives.WriteInt64BigEndian(uuid, time.ToUnixTimeMilliseconds() << 16);
        _pool.AsSpan(_used, RandomBytes).CopyTo(uuid[6..]);
        _used += RandomBytes;
        uuid[6] = (byte)(uuid[6] & 0x0f | 0x70);
        uuid[8] = (byte)(uuid[8] & 0x3f | 0x80);
        new Guid(uuid, bigEndian: true).TryFormat(destination, out _);
    }
}
