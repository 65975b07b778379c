using System.Buffers;
using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using Guestmark.Central.Storage;

namespace Guestmark.Central.SignIn;

/// <summary>The token with which programs use the API. It is made once, in a file that only Central's user can read.</summary>
sealed class ApiToken
{
    /// <summary>Characters of 256 bits in base64url.</summary>
    const int LengthMin = 43;

    const int LengthMax = 1024;

    /// <summary>RFC 6750: <c>b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="</c>.</summary>
    static readonly SearchValues<char> TokenCharacters =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=");

    readonly byte[] _hash;

    ApiToken(string token) => _hash = Hash(token);

    public static ApiToken OpenOrCreate(string path)
    {
        try
        {
            if (!File.Exists(path))
            {
                var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.None };
                if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
                // Written beside and renamed: a file that was cut short by a crash would lock everyone out.
                var temporary = $"{path}.{Guid.CreateVersion7()}";
                using (var file = new FileStream(temporary, options))
                {
                    file.Write(Encoding.ASCII.GetBytes(Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32)) + "\n"));
                    file.Flush(flushToDisk: true);
                }

                File.Move(temporary, path, overwrite: false);
            }

            if (new FileInfo(path).Length > LengthMax) throw Unusable($"has more than {LengthMax} bytes");
            var token = File.ReadAllText(path).Trim();
            if (token.Length < LengthMin) throw Unusable($"has {token.Length} characters, expected at least {LengthMin}");
            if (token.AsSpan().ContainsAnyExcept(TokenCharacters)) throw Unusable("is damaged: it has characters that no bearer token has");
            return new ApiToken(token);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CentralStoreException($"cannot read or make the API token '{path}': {e.Message}. Check the owner and mode of the folder", e);
        }

        CentralStoreException Unusable(string what) => new($"the API token '{path}' {what}: delete the file, and a new one is made at the next start");
    }

    /// <summary>Takes the same time whatever is wrong.</summary>
    public bool Matches(string candidate) => CryptographicOperations.FixedTimeEquals(Hash(candidate), _hash);

    static byte[] Hash(string token) => SHA256.HashData(Encoding.UTF8.GetBytes(token));
}
