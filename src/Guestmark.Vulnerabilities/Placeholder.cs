namespace Guestmark.Vulnerabilities;
