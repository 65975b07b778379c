using System.Text;

namespace Guestmark.Inventory.Repositories;

/// <summary>A product that a machine has a certificate of.</summary>
/// <param name="Version">As the certificate names it (<c>9.4</c>). Empty when it does not.</param>
readonly record struct Product(uint Id, string Version);

/// <summary>Reads Red Hat's product certificates, which say what product is installed. They are not verified.</summary>
/// <remarks>
/// X.509 in PEM. Its extensions are <c>SEQUENCE { OBJECT IDENTIFIER, [BOOLEAN critical], OCTET STRING { value } }</c>, and those of products are
/// <code>1.3.6.1.4.1.2312.9.1.&lt;product id&gt;.{1 name, 2 version, 3 architecture, 4 provided tags}</code>
/// Only these are looked for, wherever they are: what stands around them does not matter here.
/// </remarks>
static class ProductCertificates
{
    public static readonly string[] Folders = ["etc/pki/product", "etc/pki/product-default"];

    const int FilesMax = 200;
    // Real ones have 2 KB.
    const int BytesMax = 64 * 1024;
    const int ProductsMax = 500;
    const int VersionBytesMax = 32;
    const byte TagBoolean = 0x01;
    const byte TagOctets = 0x04;
    const byte TagObjectIdentifier = 0x06;
    const byte TagUtf8Text = 0x0c;
    const byte TagPrintableText = 0x13;
    const byte TagIa5Text = 0x16;
    const uint VersionNode = 2;

    /// <summary>1.3.6.1.4.1.2312.9.1 as it is encoded: 40·1+3, then base 128.</summary>
    static ReadOnlySpan<byte> ProductNode => [0x2b, 0x06, 0x01, 0x04, 0x01, 0x92, 0x08, 0x09, 0x01];

    public static IReadOnlyList<Product> Read(InventoryScan scan)
    {
        var products = new List<Product>();
        foreach (var folder in Folders)
        {
            var files = 0;
            foreach (var name in scan.List(folder))
            {
                if (!name.EndsWith(".pem", StringComparison.Ordinal)) continue;
                if (++files > FilesMax) break;
                if (scan.TryRead($"{folder}/{name}", BytesMax) is { } file) Read(file, products);
            }
        }

        return products;
    }

    /// <summary>Adds the products of all certificates of a file.</summary>
    public static void Read(ReadOnlySpan<byte> pem, List<Product> products)
    {
        while (pem.Length > 0)
        {
            if (PemCertificate.TryTake(ref pem, out var der) is null) ReadCertificate(der, products);
        }
    }

    static void ReadCertificate(ReadOnlySpan<byte> der, List<Product> products)
    {
        for (var rest = der; products.Count < ProductsMax;)
        {
            var found = rest.IndexOf(ProductNode);
            if (found < 0) return;
            // The tag and one byte of length stand before it: no identifier of ours has 128 bytes.
            var node = rest[(found + ProductNode.Length)..];
            var length = found < 2 || rest[found - 2] != TagObjectIdentifier ? 0 : rest[found - 1];
            rest = node;
            if (length <= ProductNode.Length || length >= 0x80 || length - ProductNode.Length > node.Length) continue;
            var numbers = node[..(length - ProductNode.Length)];
            if (!TryNumber(ref numbers, out var id)) continue;
            var isVersion = TryNumber(ref numbers, out var kind) && kind == VersionNode && numbers.Length == 0;
            var version = isVersion ? TextAfter(node[(length - ProductNode.Length)..]) : "";
            var known = products.FindIndex(product => product.Id == id);
            if (known < 0) products.Add(new Product(id, version));
            else if (version.Length > 0) products[known] = new Product(id, version);
        }
    }

    /// <summary>Base 128, most significant first, the highest bit set on all but the last byte.</summary>
    static bool TryNumber(ref ReadOnlySpan<byte> bytes, out uint number)
    {
        number = 0;
        for (var i = 0; i < bytes.Length && i < 4; i++)
        {
            number = (number << 7) | (bytes[i] & 0x7fu);
            if (bytes[i] >= 0x80) continue;
            bytes = bytes[(i + 1)..];
            return true;
        }

        return false;
    }

    /// <summary>The value of an extension: text within the octets, or the octets themselves.</summary>
    static string TextAfter(ReadOnlySpan<byte> der)
    {
        if (der.Length >= 3 && der[0] == TagBoolean && der[1] == 1) der = der[3..];
        if (Value(der, TagOctets) is not { Length: > 0 } octets) return "";
        if (octets[0] is TagUtf8Text or TagPrintableText or TagIa5Text && Value(octets, octets[0]) is { Length: > 0 } text) octets = text;
        return octets.Length <= VersionBytesMax ? Encoding.UTF8.GetString(octets) : "";
    }

    /// <summary>The content of an element with one byte of length. Empty when it is another one.</summary>
    static ReadOnlySpan<byte> Value(ReadOnlySpan<byte> der, byte tag) =>
        der.Length >= 2 && der[0] == tag && der[1] < 0x80 && der[1] <= der.Length - 2 ? der.Slice(2, der[1]) : default;
}
