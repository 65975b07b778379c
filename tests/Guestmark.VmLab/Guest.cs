namespace Guestmark.VmLab;

/// <summary>What the guests of the lab do.</summary>
static class Guest
{
    /// <summary>Gives the machine a package database with one package, for its agent to find.</summary>
    public static Task InstallAsync(this VirtualMachine machine, string package) => machine.RunAsync(
        $$"""
        mkdir -p /guest/etc /guest/var/lib/dpkg
        printf 'ID=debian\nVERSION_ID="12"\n' > /guest/etc/os-release
        printf 'Package: {{package}}\nStatus: install ok installed\nVersion: 1.0-1\nArchitecture: amd64\nDescription: x\n\n' > /guest/var/lib/dpkg/status
        """);

    /// <summary>Lets the agent report once. It tries again while nobody listens yet.</summary>
    public static Task<string> ReportAsync(this VirtualMachine machine) =>
        machine.RunAsync("guestmark-agent --host-path /guest --repo-cpe-url '' --state-dir /tmp/state --lock-file /tmp/lock --timeout 60s");

    /// <summary>Sends bytes as <c>vsock</c> (tests/vmlab/guest/vsock.c) does, and returns what it printed.</summary>
    /// <param name="options">Before the port.</param>
    public static async Task<string> VsockAsync(this VirtualMachine machine, string verb, uint port, byte[] bytes, string options = "") =>
        (await machine.TryAsync($"echo '{Convert.ToBase64String(bytes)}' | base64 -d | vsock {verb} {options} {port}")).Output;
}
