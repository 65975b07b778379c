using System.Text.Json;

namespace Guestmark.Vulnerabilities;

/// <summary>
/// Whose document a CSAF document is, from its <c>document</c> object (CSAF 2.0, 3.2.1), which is read no further than needed. The texts are
/// shared between documents that have the same.
/// </summary>
sealed class CsafOrigin
{
    string _publisher = "";
    string _category = "";
    string _engine = "";
    string _host = "";

    /// <summary>Host of the publisher's namespace, <c>www.redhat.com</c>; empty when the document names none.</summary>
    public string Host => _host;

    /// <summary>csaf_vex, csaf_security_advisory, …</summary>
    public string Category { get; private set; } = "";

    /// <summary>vendor, user, coordinator, …</summary>
    public string PublisherCategory { get; private set; } = "";

    public string Engine { get; private set; } = "";

    public bool IsRedHatVex => Host is "www.redhat.com" && Category is "csaf_vex";

    /// <summary>Reads another document. What it does not name is empty.</summary>
    public void Read(ReadOnlySpan<byte> json)
    {
        (Category, PublisherCategory, Engine) = ("", "", "");
        var publisher = "";
        try
        {
            var reader = new Utf8JsonReader(json);
            reader.Read();
            while (reader.Read() && reader.TokenType is JsonTokenType.PropertyName)
            {
                var isDocument = reader.ValueTextEquals("document"u8);
                reader.Read();
                if (isDocument && reader.TokenType is JsonTokenType.StartObject)
                {
                    ReadDocument(ref reader, ref publisher);
                    break;
                }

                reader.Skip();
            }
        }
        catch (JsonException)
        {
            // The importer names what is wrong; the document counts to what is known until there.
        }

        if (publisher == _publisher) return;
        _publisher = publisher;
        _host = Uri.TryCreate(publisher, UriKind.Absolute, out var uri) ? uri.Host : "";
        if (_host is "redhat.com") _host = "www.redhat.com";
    }

    void ReadDocument(ref Utf8JsonReader reader, ref string publisher)
    {
        while (reader.Read() && reader.TokenType is JsonTokenType.PropertyName)
        {
            var isPublisher = reader.ValueTextEquals("publisher"u8);
            var isTracking = reader.ValueTextEquals("tracking"u8);
            var isCategory = reader.ValueTextEquals("category"u8);
            reader.Read();
            if (isCategory && reader.TokenType is JsonTokenType.String)
            {
                Category = Text(ref reader, ref _category);
            }
            else if (isPublisher && reader.TokenType is JsonTokenType.StartObject)
            {
                while (reader.Read() && reader.TokenType is JsonTokenType.PropertyName)
                {
                    var isNamespace = reader.ValueTextEquals("namespace"u8);
                    var isPublisherCategory = reader.ValueTextEquals("category"u8);
                    reader.Read();
                    if (isNamespace && reader.TokenType is JsonTokenType.String) publisher = Text(ref reader, ref _publisherText);
                    else if (isPublisherCategory && reader.TokenType is JsonTokenType.String)
                        PublisherCategory = Text(ref reader, ref _publisherCategory);
                    else reader.Skip();
                }
            }
            else if (isTracking && reader.TokenType is JsonTokenType.StartObject)
            {
                ReadTracking(ref reader);
            }
            else
            {
                reader.Skip();
            }

            if (publisher.Length > 0 && Category.Length > 0 && Engine.Length > 0) return;
        }
    }

    /// <summary>To <c>tracking.generator.engine.name</c>.</summary>
    void ReadTracking(ref Utf8JsonReader reader)
    {
        var depth = reader.CurrentDepth;
        while (reader.Read() && reader.CurrentDepth > depth)
        {
            if (reader.TokenType is not JsonTokenType.PropertyName) continue;
            var isGenerator = reader.CurrentDepth == depth + 1 && reader.ValueTextEquals("generator"u8);
            var isEngine = reader.CurrentDepth == depth + 2 && reader.ValueTextEquals("engine"u8);
            var isName = reader.CurrentDepth == depth + 3 && reader.ValueTextEquals("name"u8);
            reader.Read();
            if (isName && reader.TokenType is JsonTokenType.String) Engine = Text(ref reader, ref _engine);
            else if (!isGenerator && !isEngine) reader.Skip();
        }
    }

    string _publisherText = "";
    string _publisherCategory = "";

    static string Text(ref Utf8JsonReader reader, ref string last)
    {
        const int bytesMax = 300;
        if (reader.ValueSpan.Length > bytesMax) return "";
        if (!reader.ValueTextEquals(last))
        {
            try
            {
                last = reader.GetString() ?? "";
            }
            catch (InvalidOperationException)
            {
                // An unpaired surrogate or invalid UTF-8.
                return "";
            }
        }

        return last;
    }
}
