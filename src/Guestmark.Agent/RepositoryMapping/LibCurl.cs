using System.Runtime.InteropServices;
using System.Text;

namespace Guestmark.Agent.RepositoryMapping;

/// <summary>The functions of the system's libcurl that are used, by the names and numbers of curl/curl.h.</summary>
/// <remarks>
/// .NET's HttpClient would do the same, and costs 4 MB in a program of 6. dnf needs libcurl itself, so it is on every machine that has use
/// for the mapping. Only what libcurl 7.61 (RHEL 8) has.
/// </remarks>
static unsafe class LibCurl
{
    public const int OptionWriteData = 10001;
    public const int OptionUrl = 10002;
    public const int OptionErrorBuffer = 10010;
    public const int OptionUserAgent = 10018;
    public const int OptionHttpHeader = 10023;
    public const int OptionHeaderData = 10029;
    public const int OptionProgressData = 10057;
    public const int OptionAcceptEncoding = 10102;
    public const int OptionWriteFunction = 20011;
    public const int OptionHeaderFunction = 20079;
    public const int OptionProgressFunction = 20219;
    public const int OptionMaximumFileSize = 30117;
    public const int OptionNoProgress = 43;
    public const int OptionFailOnError = 45;
    public const int OptionFollowLocation = 52;
    public const int OptionMaximumRedirects = 68;
    public const int OptionNoSignal = 99;
    public const int OptionTimeoutMilliseconds = 155;
    public const int OptionConnectTimeoutMilliseconds = 156;
    public const int OptionProtocols = 181;
    public const int OptionRedirectProtocols = 182;

    public const int InfoResponseCode = 0x20_0002;

    public const int ProtocolHttp = 1;
    public const int ProtocolHttps = 2;
    public const int ProtocolFile = 1 << 10;

    public const int Ok = 0;
    public const int HttpReturnedError = 22;
    public const int TooManyRedirects = 47;
    public const int FileSizeExceeded = 63;

    public const int ErrorBufferBytes = 256;

    const long GlobalAll = 3;

    // libcurl-gnutls is Debian's second build of the same library.
    static readonly string[] Names = ["libcurl.so.4", "libcurl-gnutls.so.4"];

    static readonly Lock Loading = new();
    static bool _loaded;
    static delegate* unmanaged<nint> _init;
    static delegate* unmanaged<nint, void> _cleanup;
    static delegate* unmanaged<nint, int, nint, int> _setOption;
    static delegate* unmanaged<nint, int> _perform;
    static delegate* unmanaged<nint, int, nint, int> _getInfo;
    static delegate* unmanaged<int, nint> _errorText;
    static delegate* unmanaged<nint, byte*, nint> _appendToList;
    static delegate* unmanaged<nint, void> _freeList;

    /// <summary>Finds the library. Any number of times, from any thread.</summary>
    /// <returns>Null, or what is wrong.</returns>
    public static string? TryLoad()
    {
        lock (Loading)
        {
            if (_loaded) return null;
            nint library = 0;
            foreach (var name in Names)
            {
                if (NativeLibrary.TryLoad(name, out library)) break;
            }

            if (library == 0) return "libcurl.so.4 is not there; install the distribution's libcurl (libcurl4 or libcurl-minimal)";
            if (!NativeLibrary.TryGetExport(library, "curl_global_init", out var globalInit)
                || !NativeLibrary.TryGetExport(library, "curl_easy_init", out var init)
                || !NativeLibrary.TryGetExport(library, "curl_easy_cleanup", out var cleanup)
                || !NativeLibrary.TryGetExport(library, "curl_easy_setopt", out var setOption)
                || !NativeLibrary.TryGetExport(library, "curl_easy_perform", out var perform)
                || !NativeLibrary.TryGetExport(library, "curl_easy_getinfo", out var getInfo)
                || !NativeLibrary.TryGetExport(library, "curl_easy_strerror", out var errorText)
                || !NativeLibrary.TryGetExport(library, "curl_slist_append", out var appendToList)
                || !NativeLibrary.TryGetExport(library, "curl_slist_free_all", out var freeList))
            {
                return "libcurl.so.4 is not the library that it should be: it lacks functions";
            }

            if (((delegate* unmanaged<nint, int>)globalInit)((nint)GlobalAll) is var error and not Ok) return $"libcurl.so.4 does not start: error {error}";
            _init = (delegate* unmanaged<nint>)init;
            _cleanup = (delegate* unmanaged<nint, void>)cleanup;
            _setOption = (delegate* unmanaged<nint, int, nint, int>)setOption;
            _perform = (delegate* unmanaged<nint, int>)perform;
            _getInfo = (delegate* unmanaged<nint, int, nint, int>)getInfo;
            _errorText = (delegate* unmanaged<int, nint>)errorText;
            _appendToList = (delegate* unmanaged<nint, byte*, nint>)appendToList;
            _freeList = (delegate* unmanaged<nint, void>)freeList;
            _loaded = true;
            return null;
        }
    }

    public static nint Init() => _init();

    public static void Cleanup(nint handle) => _cleanup(handle);

    /// <summary>
    /// curl_easy_setopt has variable arguments. A long, an off_t and a pointer are each one register wide and passed as a fixed argument
    /// would be, on every 64-bit Linux.
    /// </summary>
    public static bool Set(nint handle, int option, nint value) => _setOption(handle, option, value) == Ok;

    /// <summary>libcurl copies texts.</summary>
    public static bool Set(nint handle, int option, string value)
    {
        fixed (byte* text = NullTerminated(value)) return Set(handle, option, (nint)text);
    }

    public static int Perform(nint handle) => _perform(handle);

    public static long ResponseCode(nint handle)
    {
        // A C long.
        nint code = 0;
        return _getInfo(handle, InfoResponseCode, (nint)(&code)) == Ok ? code : 0;
    }

    public static string ErrorText(int error) => Marshal.PtrToStringUTF8(_errorText(error)) ?? $"error {error}";

    /// <returns>The list, which was 0 when it was empty.</returns>
    public static nint Append(nint list, string line)
    {
        fixed (byte* text = NullTerminated(line)) return _appendToList(list, text) is var longer and not 0 ? longer : list;
    }

    public static void FreeList(nint list) => _freeList(list);

    static byte[] NullTerminated(string text) => Encoding.UTF8.GetBytes(text + '\0');
}
