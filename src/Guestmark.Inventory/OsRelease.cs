namespace Guestmark.Inventory;

/// <summary>An operating system by the names of os-release(5). Each text is cut after <see cref="TextCharsMax"/> characters.</summary>
/// <param name="Id">ID, in lower case: <c>debian</c>, <c>almalinux</c>, <c>rhel</c>. Empty when unknown.</param>
/// <param name="VersionId">VERSION_ID: <c>12</c>, <c>8.10</c>. Empty when unknown.</param>
/// <param name="PrettyName">PRETTY_NAME, for people. Empty when unknown.</param>
public sealed record OsRelease(string Id, string VersionId, string PrettyName)
{
    /// <summary>The longest PRETTY_NAME of the real files of the tests has 43 characters.</summary>
    public const int TextCharsMax = 256;

    /// <summary>ID of Red Hat Enterprise Linux.</summary>
    public const string RhelId = "rhel";

    public string Id { get; init => field = GuestText.Cut(value, TextCharsMax); } = GuestText.Cut(Id, TextCharsMax);

    public string VersionId { get; init => field = GuestText.Cut(value, TextCharsMax); } = GuestText.Cut(VersionId, TextCharsMax);

    public string PrettyName { get; init => field = GuestText.Cut(value, TextCharsMax); } = GuestText.Cut(PrettyName, TextCharsMax);

    public static OsRelease Unknown { get; } = new("", "", "");

    public bool IsUnknown => Id.Length == 0;

    public bool IsRhel => Id == RhelId;

    public override string ToString() => PrettyName.Length > 0 ? PrettyName : IsUnknown ? "unknown" : $"{Id} {VersionId}".TrimEnd();
}
