using System.Globalization;
using System.Text;

namespace Guestmark.Inventory;

/// <summary>
/// The rpm packages of an inventory as a table with the values as <c>rpm -qa --qf</c> prints them, so that the two can be compared line by line.
/// </summary>
/// <remarks>
/// One line for the names of the columns, then one for each package in the order of the database, then one for each key. The columns are rpm's tags in lower case,
/// <c>dbinstance</c> to <c>license</c>; what a header lacks is <c>(none)</c>, and a signature is
/// <code>RSA/SHA256, Thu Jan 27 09:01:16 2022, Key ID 0cd9fed33135ce90</code>
/// in UTC (<c>%{RSAHEADER:pgpsig}</c> with TZ=UTC). A tab or a line end inside a value becomes a blank, unlike rpm's, which would be taken for
/// the end of the column.
/// </remarks>
public static class InventoryTsv
{
    const int FlushChars = 64 * 1024;
    const string None = "(none)";
    const string Columns =
        "dbinstance\tname\tepoch\tversion\trelease\tarch\tsourcerpm\tmodularitylabel\tvendor\tinstalltime\tbuildtime\tsize\tsigmd5\t"
        + "sha1header\tsha256header\tpayloaddigestalgo\tpayloaddigest\trsaheader\tdsaheader\tlicense\n";

    /// <summary>Writes the table. The stream stays open.</summary>
    public static void Write(GuestInventory inventory, Stream output)
    {
        using var writer = new StreamWriter(output, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), FlushChars, leaveOpen: true);
        writer.Write(Columns);
        foreach (var package in inventory.Packages.Concat(inventory.RpmKeys))
        {
            if (package.Manager != PackageManager.Rpm) continue;
            var rpm = package.Rpm;
            Write(writer, rpm?.Number);
            Write(writer, package.Name);
            Write(writer, package.Epoch);
            Write(writer, package.Version);
            Write(writer, package.Release);
            Write(writer, package.Architecture.Length > 0 ? package.Architecture : null);
            Write(writer, package.SourceRpm);
            Write(writer, package.ModularityLabel);
            Write(writer, package.Vendor);
            Write(writer, rpm?.InstallTime);
            Write(writer, rpm?.BuildTime);
            Write(writer, rpm?.Size);
            Write(writer, rpm?.SigMd5);
            Write(writer, rpm?.Sha1Header);
            Write(writer, rpm?.Sha256Header);
            Write(writer, rpm?.PayloadDigestAlgorithm);
            Write(writer, rpm?.PayloadDigest);
            Write(writer, SignatureText(rpm?.RsaHeader));
            Write(writer, SignatureText(rpm?.DsaHeader));
            Write(writer, package.License, end: '\n');
        }
    }

    static void Write(StreamWriter writer, string? value, char end = '\t')
    {
        if (value is null)
        {
            writer.Write(None);
        }
        else if (value.AsSpan().IndexOfAny('\t', '\n', '\r') < 0)
        {
            writer.Write(value);
        }
        else
        {
            foreach (var character in value) writer.Write(character is '\t' or '\n' or '\r' ? ' ' : character);
        }

        writer.Write(end);
    }

    static void Write(StreamWriter writer, ulong? value) => Write(writer, value?.ToString(CultureInfo.InvariantCulture));

    static string? SignatureText(OpenPgpSignature? signature)
    {
        if (signature is null) return null;
        var time = DateTimeOffset.FromUnixTimeSeconds(signature.Created ?? 0);
        var keyId = signature.KeyId.Length > 0 ? signature.KeyId : "0000000000000000";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{KeyAlgorithmName(signature.PublicKeyAlgorithm)}/{HashAlgorithmName(signature.HashAlgorithm)}, {time:ddd MMM} {time.Day,2} {time:HH:mm:ss yyyy}, Key ID {keyId}");
    }

    // By the numbers of RFC 4880, sections 9.1 and 9.4, in rpm's words (rpmio/rpmpgpval.h).
    static string KeyAlgorithmName(byte algorithm) => algorithm switch
    {
        1 => "RSA",
        2 => "RSA(Encrypt-Only)",
        3 => "RSA(Sign-Only)",
        16 => "Elgamal(Encrypt-Only)",
        17 => "DSA",
        18 => "Elliptic Curve",
        19 => "ECDSA",
        20 => "Elgamal",
        21 => "Diffie-Hellman (X9.42)",
        22 => "EdDSA",
        _ => "Unknown public key algorithm",
    };

    static string HashAlgorithmName(byte algorithm) => algorithm switch
    {
        1 => "MD5",
        2 => "SHA1",
        3 => "RIPEMD160",
        5 => "MD2",
        6 => "TIGER192",
        7 => "HAVAL-5-160",
        8 => "SHA256",
        9 => "SHA384",
        10 => "SHA512",
        11 => "SHA224",
        _ => "Unknown hash algorithm",
    };
}
