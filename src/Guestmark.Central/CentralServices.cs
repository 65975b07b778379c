using Guestmark.Central.Api;
using Guestmark.Central.Findings;
using Guestmark.Central.Ingest;
using Guestmark.Central.Pages;
using Guestmark.Central.SignIn;
using Guestmark.Central.Storage;
using Guestmark.Rpc.Publishing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace Guestmark.Central;

/// <summary>Composes Central: <see cref="AddCentral"/> registers it, <see cref="MapCentral"/> gives it its pages and API.</summary>
public static class CentralServices
{
    /// <summary>
    /// Registers the store, the <see cref="IEventSink"/> that fills it, <see cref="PackageMatching"/> (give it a database with
    /// <see cref="PackageMatching.UseDatabase"/>), and <see cref="SignInLinks"/>. Makes the data directory and the API token in it.
    /// </summary>
    /// <exception cref="Microsoft.Extensions.Options.OptionsValidationException">Names every option that is wrong.</exception>
    /// <exception cref="CentralStoreException">The data directory or the API token in it cannot be used.</exception>
    public static IServiceCollection AddCentral(this IServiceCollection services, CentralOptions options)
    {
        options.Validate();
        var data = DataDirectory.Open(options);
        var token = ApiToken.OpenOrCreate(options.ApiTokenPath);

        services.AddMetrics();
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(options);
        services.AddSingleton(token);
        services.AddSingleton<CentralMetrics>();
        services.AddSingleton(provider =>
        {
            data.LogMended(provider.GetRequiredService<ILogger<DataDirectory>>());
            return CentralStore.Open(options.DatabasePath);
        });
        services.AddSingleton<MachineQueries>();
        services.AddSingleton<StoredEvents>();
        services.AddSingleton<FindingQueries>();
        services.AddSingleton<PackageMatching>();
        services.AddHostedService(provider => provider.GetRequiredService<PackageMatching>());
        services.AddSingleton<DecidedFindings>();
        services.AddSingleton<DatabaseWatch>();
        services.AddHostedService(provider => provider.GetRequiredService<DatabaseWatch>());
        services.AddHostedService<StoreRetention>();
        services.AddSingleton<CentralEventSink>();
        services.AddSingleton<IEventSink>(provider => provider.GetRequiredService<CentralEventSink>());
        services.AddSingleton<SignInLinks>();
        services.AddSingleton<FailedAttempts>();
        services.AddDataProtection().SetApplicationName("guestmark").PersistKeysToFileSystem(data.Keys);
        services.AddCentralSignIn(options.SignIn);
        services.AddRazorComponents();
        return services;
    }

    /// <summary>
    /// Adds sign-in, pages, API, assets and health to the application. Everything but the last two, and the sign-in itself, needs a session.
    /// </summary>
    public static WebApplication MapCentral(this WebApplication app)
    {
        app.Use(SecurityHeaders.Apply);
        app.UseExceptionHandler(new ExceptionHandlerOptions { ExceptionHandler = CentralPages.FailedAsync });
        app.UseAuthentication();
        app.UseAuthorization();

        app.MapGet("/healthz", () => "ok\n");
        app.MapGet("/readyz", async (CentralStore store, CancellationToken cancellationToken) =>
        {
            try
            {
                await store.CheckAsync(cancellationToken);
                return Results.Text("ready\n");
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                return ApiProblem.Of(StatusCodes.Status503ServiceUnavailable, "The store cannot be reached", "Central's log says why.");
            }
        });
        app.MapAssets();
        app.MapCentralSignIn();
        app.MapCentralApi();
        app.MapCentralPages();
        return app;
    }
}
