using System.Text.Json.Serialization;
using Guestmark.Vulnerabilities;

namespace Guestmark.Central.Findings;

/// <summary>How evidence and lists of CVEs are written in the database. Property names are persisted: add, never change.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(FindingEvidence))]
[JsonSerializable(typeof(IReadOnlyList<string>))]
sealed partial class EvidenceJson : JsonSerializerContext;
