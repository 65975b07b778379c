#!/usr/bin/env bash
# JSON feeds to a database on disk beside a bare Utf8JsonReader over the same bytes (goal: half its rate), and memory for 1 GB (goal: 300 MB).
set -euo pipefail
source "$root/bench/lib.sh"

rounds=${GUESTMARK_BENCH_ROUNDS:-9}
testdata=${GUESTMARK_TESTDATA:-$root/../shared/testdata}
work=$root/artifacts/bench/import
[ -d "$testdata/osv" ] || { echo "error: no test data in $testdata; name its folder in GUESTMARK_TESTDATA" >&2; exit 1; }

build_ours
mkdir -p "$work/vex"
if [ ! -e "$work/osv/complete" ]; then
  rm -rf "$work/osv"
  mkdir -p "$work/osv"
  unzip -q "$testdata/osv/almalinux-osv-database.zip" -d "$work/osv"
  touch "$work/osv/complete"
fi
cp -u "$testdata"/vex/legacy/cve-20*.json "$testdata"/vex/new-feed/*/*.json "$work/vex/"
rm -f "$work"/vex/*-illegal-module.json "$work"/vex/*-bad-rpmmod.json

# shown NAME FIGURES : "OURS PEER RATIO RANGE WHAT" as a line of results.
shown() {
  local name=$1 ours peer ratio range what
  read -r ours peer ratio range what <<<"$2"
  echo "$name ours=$ours peer=$peer ratio=$ratio $range goal=0.5 $(awk "BEGIN { print ($ratio >= 0.5 ? \"ok\" : \"short\") }") $what"
}
osv=$("$ours" import-rate osv "$work/osv" "$work/advisories.db" 1 "$rounds")
shown import_osv_MB_s "$osv"
csaf=$("$ours" import-rate csaf "$work/vex" "$work/advisories.db" 10 "$rounds")
shown import_redhat_vex_MB_s "$csaf"

bare=$("$ours" import-feed bare "$work/osv" "$work/large.db" 1000)
same=$("$ours" import-feed same "$work/osv" "$work/large.db" 1000)
new=$("$ours" import-feed new "$work/osv" "$work/large.db" 1000)
change=$("$ours" import-change "$work/large.db")
size=$(stat -c %s "$work/large.db")
rm -f "$work/large.db"
echo "1 GB, bare reader: $bare"
echo "1 GB, same ids:    $same"
echo "1 GB, new ids:     $new"
echo "change:            $change"

# peak FIGURES : megabytes, and fails when they are above the goal.
peak() { awk -v kb="$(cut -d' ' -f3 <<<"$1")" 'BEGIN { printf "%.0f MB", kb * 1024 / 1e6; exit kb * 1024 > 300e6 }'; }
new_peak=$(peak "$new") && same_peak=$(peak "$same") || { echo "error: more than 300 MB" >&2; exit 1; }

{
  echo
  echo "| What | Ours | Bare reader | Ratio, range | Goal |"
  echo "|---|---|---|---|---|"
  while read -r name ours peer ratio range what; do
    echo "| $name: $what | $ours MB/s | $peer MB/s | $ratio $range | 0.5 |"
  done <<<"AlmaLinux's_OSV $osv
Red_Hat's_VEX,_ten_times $csaf" | tr _ ' '
  echo
  echo "| What | Figure | Goal |"
  echo "|---|---|---|"
  echo "| AlmaLinux's OSV until it is 1 GB, each repetition with ids of its own; files read one by one | $(cut -d, -f1 <<<"$new"), bare reader $(cut -d, -f1 <<<"$bare"); $(cut -d, -f3,4 <<<"$new" | sed 's/^ //') in $((size / 1000000)) MB | |"
  echo "| Its peak memory | $new_peak | 300 MB |"
  echo "| The same where ids repeat | $(cut -d, -f1 <<<"$same"), peak $same_peak | 300 MB |"
  echo "| One more document for that database | $change | |"
} | record "bench/run import"
