using Guestmark.Agent.RepositoryMapping;
using Guestmark.Wire.Protobuf;
using Guestmark.Wire.Pull;

namespace Guestmark.Agent.Serving;

/// <summary>What the agent answers to each request of the pull protocol.</summary>
/// <param name="reports">The report to serve.</param>
/// <param name="mappings">The mapping in use.</param>
/// <param name="updatePath">Who brings the mapping: only with <see cref="MappingUpdatePath.Sensor"/> may a Sensor send one.</param>
/// <param name="version">The agent's version.</param>
sealed class PullService(ReportSource reports, MappingStore mappings, MappingUpdatePath updatePath, string version)
{
    // By StackRox's names, which its Sensor looks for.
    const string FactFailure = "last_index_error";
    const string FactFailureTime = "last_index_error_at";

    const int FailureCharsMax = 500;

    /// <summary>Answers one request.</summary>
    /// <param name="request">The payload of a frame; any bytes.</param>
    /// <param name="response">Gets the payload of the answering frame. Empty before.</param>
    /// <returns>What was done, for a log.</returns>
    public string Respond(ReadOnlySpan<byte> request, ProtoWriter response)
    {
        if (!VmServiceRequest.TryParse(request, out var parsed, out var error))
            return Refuse(response, VmServiceError.MalformedRequest, error!);
        switch (parsed!.Method)
        {
            case VmServiceMethod.GetReport:
                return Report(parsed, response);
            case VmServiceMethod.SyncRepoCpeMapping:
                return Sync(parsed, response);
            default:
                return Refuse(response, VmServiceError.UnknownMethod, "the request names no method, or one that this agent does not know");
        }
    }

    /// <summary>Writes an error.</summary>
    /// <returns>The error, for a log.</returns>
    public string Refuse(ProtoWriter response, VmServiceError code, string message)
    {
        VmServiceResponse.WriteError(response, Meta(reports.Current), code, message);
        return $"{code}: {message}";
    }

    string Report(VmServiceRequest request, ProtoWriter response)
    {
        if (reports.Current is not { } report)
        {
            return Refuse(
                response,
                VmServiceError.NotReady,
                reports.Failure is { } failure ? $"no scan has succeeded yet: {Cut(failure.Message)}" : "the first scan is not done yet; ask again in some seconds");
        }

        // Only Red Hat's packages are matched by CPE. Any other machine's report is complete without a mapping.
        if (updatePath == MappingUpdatePath.Sensor && mappings.Current is null && HostFactNames.IsRhel(report.Facts))
        {
            return Refuse(
                response,
                VmServiceError.MappingRequired,
                "there is no repository-to-cpe mapping, and this agent fetches none itself: send one with sync_repo_cpe_mapping");
        }

        if (request.Knows(report.Generation, reports.Epoch))
        {
            VmServiceResponse.WriteUnchanged(response, Meta(report));
            return $"unchanged (generation {report.Generation})";
        }

        VmServiceResponse.WriteReport(response, Meta(report), report.IndexReport.Span);
        if (response.Length <= PullFrame.ResponseBytesMaxDefault) return $"report of {report.IndexReport.Length} bytes (generation {report.Generation})";
        var length = response.Length;
        response.Reset();
        return Refuse(response, VmServiceError.Internal, $"the report has {length} bytes; {PullFrame.ResponseBytesMaxDefault} are the most that a Sensor takes");
    }

    string Sync(VmServiceRequest request, ProtoWriter response)
    {
        if (updatePath != MappingUpdatePath.Sensor)
        {
            return Refuse(
                response, VmServiceError.MappingNotSensorManaged, "this agent fetches the mapping itself; start it with --repo-cpe-url '' to send it");
        }

        var (result, problem) = mappings.Store(request.Mapping, source: null);
        switch (result)
        {
            case MappingStoreResult.Invalid:
                return Refuse(response, VmServiceError.MalformedRequest, $"the mapping {problem}");
            case MappingStoreResult.Failed:
                return Refuse(response, VmServiceError.Internal, problem!);
            default:
                VmServiceResponse.WriteMappingSynced(response, Meta(reports.Current), result == MappingStoreResult.Stored);
                return result == MappingStoreResult.Stored ? "took a new mapping" : "has the mapping already";
        }
    }

    VmServiceMeta Meta(ServedReport? report)
    {
        var facts = report?.Facts ?? new Dictionary<string, string>();
        if (reports.Failure is { } failure)
        {
            facts = new Dictionary<string, string>(facts)
            {
                [FactFailure] = Cut(failure.Message),
                [FactFailureTime] = failure.At.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'"),
            };
        }

        return new VmServiceMeta
        {
            AgentVersion = version,
            ReportGeneratedAt = report?.GeneratedAt,
            ReportGeneration = report?.Generation ?? 0,
            SupportedMethods = updatePath == MappingUpdatePath.Sensor
                ? [VmServiceResponse.GetReportMethod, VmServiceResponse.SyncRepoCpeMappingMethod]
                : [VmServiceResponse.GetReportMethod],
            Facts = facts,
            Epoch = reports.Epoch,
            // Of the mapping that the report was made with: after a new one has come, the report of before is still the old one's.
            RepoCpeMappingHash = report is null ? mappings.Current?.Hash : report.MappingHash,
            RepoCpeMappingUpdatePath = updatePath,
        };
    }

    static string Cut(string text) => text.Length <= FailureCharsMax ? text : text[..FailureCharsMax];
}
