#!/usr/bin/env bash
# The agent's whole process beside rpm -qa and dpkg-query (goals: 0.7 and 1.0 of their time, 1.5 of rpm's memory), its size, start and rest.
set -euo pipefail
source "$root/build/require.sh"
source "$root/bench/lib.sh"

rounds=${GUESTMARK_BENCH_ROUNDS:-15}
testdata=${GUESTMARK_TESTDATA:-$root/../shared/testdata}
work=$root/artifacts/bench/inventory
[ -d "$testdata/rpmdb" ] || { echo "error: no test data in $testdata; name its folder in GUESTMARK_TESTDATA" >&2; exit 1; }

require_debian gcc libc6-dev rpm dpkg
package_agent
mkdir -p "$work"
measure=$work/measure
[ "$measure" -nt "$root/bench/inventory/measure.c" ] || gcc -O2 "$root/bench/inventory/measure.c" -o "$measure"

# rpm_of BACKEND PROGRAM : Debian's rpm, but where it lacks the backend.
rpm_of() { if [ "$1" = ndb ]; then echo "$work/rpm-ndb/rpm/bin/$2"; else echo "$2"; fi; }
[ -x "$work/rpm-ndb/rpm/bin/rpmdb" ] || bash "$root/bench/inventory/rpm.sh" "$work/rpm-ndb"

# root_of NAME BACKEND : the root folder of a machine with a database.
root_of() { echo "$work/$1-$2"; }
database_of() { echo "$(root_of "$1" "$2")/var/lib/rpm"; }

# convert NAME SOURCE... : the headers of the named databases of the test data, as rpm exports them, in each backend that it writes.
convert() {
  local name=$1 backend source folder
  shift
  if [ ! -e "$work/$name.headers" ]; then
    : >"$work/$name.headers.new"
    for source in "$@"; do
      folder=$work/source-$source
      mkdir -p "$folder"
      gunzip -c "$testdata/rpmdb/$source/Packages.gz" >"$folder/Packages"
      rpmdb --define '_db_backend bdb_ro' --dbpath "$folder" --exportdb >>"$work/$name.headers.new" 2>/dev/null
      rm -rf "$folder"
    done
    mv "$work/$name.headers.new" "$work/$name.headers"
  fi
  for backend in ndb sqlite; do
    folder=$(database_of "$name" $backend)
    [ -e "$folder/complete" ] && continue
    echo "making $folder" >&2
    rm -rf "$folder"
    mkdir -p "$folder"
    "$(rpm_of $backend rpmdb)" --define "_db_backend $backend" --dbpath "$folder" --initdb
    "$(rpm_of $backend rpmdb)" --define "_db_backend $backend" --dbpath "$folder" --importdb <"$work/$name.headers" >/dev/null 2>&1
    touch "$folder/complete"
  done
}

if [ ! -e "$(database_of c8 bdb_ro)/Packages" ]; then
  mkdir -p "$(database_of c8 bdb_ro)"
  gunzip -c "$testdata/rpmdb/centos8-modularitylabel/Packages.gz" >"$(database_of c8 bdb_ro)/Packages"
fi
convert c8 centos8-modularitylabel
# Six databases in one, and the larger ones again: about 2,700 packages.
convert many centos8-modularitylabel centos7-httpd24 centos7-plain centos6-devtools centos6-plain centos5-plain centos8-modularitylabel \
  centos7-httpd24 centos8-modularitylabel centos7-plain
for folder in "$work"/{c8,many}-*; do
  mkdir -p "$folder/etc"
  printf 'ID=almalinux\nVERSION_ID=8\n' >"$folder/etc/os-release"
done

# scanned ROOT FIELD : the agent's time (1) or memory (2), when it listed as many packages as rpm. rpm's keys are no packages.
scanned() {
  local figures
  figures=$("$measure" "$work/ours.json" "$agent" scan --host-path "$1" -o json) || return 1
  [ "$(grep -o '"manager":"[a-z]*"' "$work/ours.json" | wc -l)" -eq "$expected" ] || { echo "error: not $expected packages in $work/ours.json" >&2; return 1; }
  echo "$figures" | cut -d' ' -f"$2"
}
queried() {
  local figures
  figures=$("$measure" "$work/peer.txt" "$(rpm_of "$2" rpm)" -qa --nodigest --nosignature --define "_db_backend $2" --dbpath "$1/var/lib/rpm" 2>"$work/peer.log") || { cat "$work/peer.log" >&2; return 1; }
  echo "$figures" | cut -d' ' -f"$3"
}
dpkg_queried() {
  local figures
  figures=$("$measure" "$work/peer.txt" dpkg-query --admindir="$1/var/lib/dpkg" -W -f '${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\t${db:Status-Status}\n') || return 1
  echo "$figures" | cut -d' ' -f"$2"
}

results=$work/results
: >"$results"
for pair in c8:bdb_ro c8:ndb c8:sqlite many:ndb many:sqlite; do
  name=${pair%:*} backend=${pair#*:}
  folder=$(root_of "$name" "$backend")
  queried "$folder" "$backend" 1 >/dev/null
  expected=$(grep -vc '^gpg-pubkey-' "$work/peer.txt")
  compare_least "rpm_${name}_${backend}_${expected}_packages_us" 0.7 "$rounds" 'scanned "$folder" 1' 'queried "$folder" "$backend" 1' | tee -a "$results"
  compare_least "rpm_${name}_${backend}_${expected}_packages_KB" 1.5 3 'scanned "$folder" 2' 'queried "$folder" "$backend" 2' | tee -a "$results"
done

folder=$work/dpkg
mkdir -p "$folder/var/lib/dpkg"
cp /var/lib/dpkg/status "$folder/var/lib/dpkg/status"
mkdir -p "$folder/etc"
cp /etc/os-release "$folder/etc/os-release"
dpkg_queried "$folder" 1 >/dev/null
expected=$(grep -c '	installed$' "$work/peer.txt")
compare_least "dpkg_${expected}_packages_us" 1.0 "$rounds" 'scanned "$folder" 1' 'dpkg_queried "$folder" 1' | tee -a "$results"

# Start: everything up to the first line of output. The fastest of many runs is the program, the others are the machine's other work.
start=$(for ((i = 0; i < 30; i++)); do "$measure" "$work/version" "$agent" --version; done | sort -n | awk '{ all[NR] = $1 } END { printf "%.1f (%.1f at best)", all[int((NR + 1) / 2)] / 1000, all[1] / 1000 }')
size=$(stat -c %s "$agent")

# The daemon at rest and a rescan of an unchanged database. Nobody listens on its socket: the report is kept, as on a host that is away.
folder=$(root_of c8 bdb_ro)
"$agent" --daemon --verbose --max-initial-report-delay 0s --host-path "$folder" --socket "$work/nobody.sock" --lock-file "$work/lock" >/dev/null 2>"$work/daemon.log" &
daemon=$!
trap 'kill "$daemon" 2>/dev/null || true' EXIT
for ((i = 0; i < 5; i++)); do
  sleep 3
  # A file that is none of the database: the daemon looks, and finds nothing changed.
  touch "$folder/var/lib/rpm/.rpm.lock"
done
sleep 4
idle=$(awk '/VmRSS/ { print $2 }' "/proc/$daemon/status")
kill "$daemon"
rescans=$(sed -n 's/.*nothing changed, seen in \([0-9.]*\) ms/\1/p' "$work/daemon.log" | sort -n)
[ -n "$rescans" ] || { echo "error: the daemon did not look again; see $work/daemon.log" >&2; exit 1; }
rescan=$(echo "$rescans" | awk '{ all[NR] = $1 } END { printf "%.1f to %.1f", all[1], all[NR] }')

summary="agent_bytes=$size goal=6000000
agent_start_ms=$start goal=10
agent_idle_resident_KB=$idle goal=15360
rescan_unchanged_ms=$rescan goal=2"
echo "$summary" | tee -a "$results"

{
  echo
  echo "| What | Ours | Peer | Ratio, range | Goal |"
  echo "|---|---|---|---|---|"
  sed -n 's/^\(rpm\|dpkg\)_\(.*\)_\(us\|KB\) ours=\([0-9]*\) peer=\([0-9]*\) ratio=\(.*\) goal=\([0-9.]*\) .*/\1 \2 \3 \4 \5 \7 \6/p' "$results" | while read -r tool what unit ours peer goal ratio; do
    what=${what/bdb_ro/BDB}
    what=${what/c8/CentOS 8,}
    what=${what/many/merged,}
    what=${what//_/ }
    if [ "$unit" = us ]; then
      printf '| %s: %s, whole process | %s ms | %s ms | %s | %s |\n' "$tool" "$what" "$(awk "BEGIN { printf \"%.1f\", $ours / 1000 }")" "$(awk "BEGIN { printf \"%.1f\", $peer / 1000 }")" "$ratio" "$goal"
    else
      printf '| %s: %s, most memory | %s MB | %s MB | %s | %s |\n' "$tool" "$what" "$(awk "BEGIN { printf \"%.1f\", $ours / 1024 }")" "$(awk "BEGIN { printf \"%.1f\", $peer / 1024 }")" "$ratio" "$goal"
    fi
  done
  echo
  echo "| What | Figure | Goal |"
  echo "|---|---|---|"
  echo "| Size of the agent | $(awk "BEGIN { printf \"%.2f\", $size / 1000000 }") MB | 6 MB |"
  echo "| Its start, to the end of \`--version\` | $start ms | 10 ms |"
  echo "| The daemon at rest, resident, with a report of CentOS 8 not yet delivered | $(awk "BEGIN { printf \"%.1f\", $idle / 1024 }") MB | 15 MB |"
  echo "| Rescan of an unchanged database | $rescan ms | 2 ms |"
  echo
} | record "bench/run inventory"
! grep -q ' short$' "$results"
