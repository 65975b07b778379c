namespace Guestmark.Configuration;

/// <summary>What somebody may have meant.</summary>
static class NearestWord
{
    /// <summary><c>; did you mean 'limits'?</c>, or nothing when no word is near.</summary>
    public static string Hint(string wrong, IEnumerable<string> words)
    {
        var best = words.Select(word => (Word: word, Distance: Distance(wrong, word))).OrderBy(candidate => candidate.Distance).FirstOrDefault();
        return best.Word is not null && best.Distance <= Math.Max(2, wrong.Length / 3) ? $"; did you mean '{best.Word}'?" : "";
    }

    /// <summary>Letters to insert, remove or replace (Levenshtein).</summary>
    static int Distance(string a, string b)
    {
        // Nobody mistypes a word of a hundred letters, and the table is a product.
        if (a.Length > 100 || b.Length > 100) return int.MaxValue;
        var row = new int[b.Length + 1];
        for (var j = 0; j <= b.Length; j++) row[j] = j;
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var above = row[j];
                row[j] = Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1));
                diagonal = above;
            }
        }

        return row[^1];
    }
}
