using System.Text.Json;

namespace Guestmark.Vulnerabilities;

/// <summary>Reads CISA's catalogue of known exploited vulnerabilities (https://www.cisa.gov/known-exploited-vulnerabilities-catalog).</summary>
/// <remarks>
/// <code>
/// { "catalogVersion": "2025.08.25", "dateReleased": "…", "count": 1404,
///   "vulnerabilities": [ { "cveID": "CVE-2025-48384", "vendorProject", "product", "vulnerabilityName", "dateAdded": "2025-08-25",
///     "shortDescription", "requiredAction", "dueDate": "2025-09-15", "knownRansomwareCampaignUse": "Known" | "Unknown", "notes", "cwes" } ] }
/// </code>
/// </remarks>
static class KevCatalog
{
    const int ActionCharsMax = 2000;

    /// <summary>Gives every entry to <paramref name="sink"/>.</summary>
    /// <exception cref="IOException">The stream cannot be read.</exception>
    public static void Read(string document, Stream stream, IFeedSink sink, CancellationToken cancellationToken)
    {
        try
        {
            var json = new JsonStream(stream, cancellationToken);
            ReadRoot(document, ref json, sink);
        }
        catch (JsonException e)
        {
            sink.Skip(document, "", $"not valid JSON: {e.Message}");
        }
    }

    static void ReadRoot(string document, ref JsonStream json, IFeedSink sink)
    {
        json.Read();
        if (json.Json.TokenType != JsonTokenType.StartObject)
        {
            sink.Skip(document, "$", JsonText.Instead(ref json.Json, "an object"));
            return;
        }

        var text = new JsonText();
        long? promised = null;
        var entries = -1;
        while (json.ReadProperty())
        {
            if (json.Is("count"u8))
            {
                json.Read();
                if (json.Json.TokenType == JsonTokenType.Number && json.Json.TryGetInt64(out var count)) promised = count;
                else Skip(document, ref json, sink, "$.count", JsonText.Instead(ref json.Json, "a whole number"));
            }
            else if (json.Is("dateReleased"u8))
            {
                json.Read();
                if (json.Json.TokenType == JsonTokenType.String && !json.IsCut && JsonText.TryTime(ref json.Json, out var released)) sink.Made(released);
                else if (json.Json.TokenType == JsonTokenType.String && !json.IsCut)
                    sink.Skip(document, "$.dateReleased", $"is '{Shown(ref json, text)}', no time");
                else Skip(document, ref json, sink, "$.dateReleased", JsonText.Instead(ref json.Json, "a time"));
            }
            else if (json.Is("vulnerabilities"u8))
            {
                json.Read();
                if (json.Json.TokenType != JsonTokenType.StartArray)
                {
                    Skip(document, ref json, sink, "$.vulnerabilities", JsonText.Instead(ref json.Json, "an array"));
                    continue;
                }

                for (entries = 0; json.Read() && json.Json.TokenType != JsonTokenType.EndArray; entries++)
                    ReadEntry(document, ref json, sink, text, $"$.vulnerabilities[{entries}]");
            }
            else
            {
                json.Skip();
            }
        }

        json.Read();
        if (entries < 0) sink.Skip(document, "$.vulnerabilities", "is absent: no catalogue of known exploited vulnerabilities");
        else if (promised is { } number && number != entries) sink.Skip(document, "$.count", $"is {number}, but there are {entries} vulnerabilities");
    }

    static void ReadEntry(string document, ref JsonStream json, IFeedSink sink, JsonText text, string path)
    {
        if (json.Json.TokenType != JsonTokenType.StartObject)
        {
            Skip(document, ref json, sink, path, JsonText.Instead(ref json.Json, "an object"));
            return;
        }

        string? cve = null;
        DateOnly? added = null;
        DateOnly? due = null;
        var ransomware = false;
        var action = "";
        string? problem = null;
        string? problemField = null;
        while (json.ReadProperty())
        {
            var field = json.Is("cveID"u8) ? "cveID"
                : json.Is("dateAdded"u8) ? "dateAdded"
                : json.Is("dueDate"u8) ? "dueDate"
                : json.Is("knownRansomwareCampaignUse"u8) ? "knownRansomwareCampaignUse"
                : json.Is("requiredAction"u8) ? "requiredAction"
                : null;
            json.Read();
            var mayBeNull = field is "dueDate" or "knownRansomwareCampaignUse" or "requiredAction";
            if (field is null || (mayBeNull && json.Json.TokenType == JsonTokenType.Null))
            {
                json.Skip();
                continue;
            }

            string? reason = null;
            if (json.Json.TokenType != JsonTokenType.String)
            {
                reason = JsonText.Instead(ref json.Json, "a string");
                json.Skip();
            }
            else if (json.IsCut)
            {
                reason = $"has more than {JsonStream.TokenBytesMax} bytes";
            }
            else
            {
                switch (field)
                {
                    case "cveID":
                        if (cve is not null) reason = "occurs twice";
                        else if (!JsonText.IsCve(json.Json.ValueSpan)) reason = $"is '{Shown(ref json, text)}', no CVE id";
                        else cve = text.Of(json.Json.ValueSpan);
                        break;
                    case "knownRansomwareCampaignUse":
                        ransomware = json.Is("Known"u8);
                        break;
                    case "requiredAction":
                        action = JsonText.FirstLine(json.Json.ValueSpan, ActionCharsMax);
                        if (action is null) (reason, action) = (JsonText.NotText, "");
                        break;
                    default:
                        if (!JsonText.TryDate(json.Json.ValueSpan, out var date)) reason = $"is '{Shown(ref json, text)}', no date (YYYY-MM-DD)";
                        else if (field == "dateAdded") added = date;
                        else due = date;
                        break;
                }
            }

            if (reason is null || problem is not null) continue;
            problem = reason;
            problemField = field;
        }

        if (problem is not null) sink.Skip(document, $"{path}.{problemField}", problem);
        else if (cve is null) sink.Skip(document, $"{path}.cveID", "is absent");
        else if (added is null) sink.Skip(document, $"{path}.dateAdded", "is absent");
        else sink.Add(new KnownExploited(cve, added.Value, due, ransomware, action));
    }

    static string Shown(ref JsonStream json, JsonText text)
    {
        const int shown = 40;
        var value = text.Of(ref json.Json) ?? "";
        return value.Length <= shown ? value : $"{value.AsSpan(0, shown)}…";
    }

    static void Skip(string document, ref JsonStream json, IFeedSink sink, string path, string reason)
    {
        sink.Skip(document, path, reason);
        json.Skip();
    }
}
