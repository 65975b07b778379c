#!/usr/bin/env bash
# 99 honest guests beside 10,000 idle connections, 1,000 slow ones, 1,000 connects a second and a flooder (goal: p99 at most 3 times).
set -euo pipefail
source "$root/bench/lib.sh"

seconds=${GUESTMARK_BENCH_SECONDS:-15} rounds=${GUESTMARK_BENCH_ROUNDS:-3} memory_max=512

build_ours
folder=$(mktemp -d /tmp/gm-load-XXXXXX)
trap 'rm -rf "$folder"' EXIT
start_server node "$ours" node-serve "$folder"
"$ours" node-honest "$folder" 5 >/dev/null
pairs=
for ((round = 1; round <= rounds; round++)); do
  alone=$("$ours" node-honest "$folder" "$seconds")
  start_server hostile "$ours" node-hostile "$folder"
  # The first seconds open what is held.
  "$ours" node-honest "$folder" 3 >/dev/null
  beside=$("$ours" node-honest "$folder" "$seconds")
  end_server hostile
  pairs+="$alone $beside"$'\n'
done
most=$(awk '/^VmHWM/ { print int($2 / 1024) }' "/proc/$node_pid/status")
end_server node
acknowledged=$(awk '{ n += $1 } END { print n }' "$folder/acknowledged")
stored=$(cat "$folder/stored")
[ "$acknowledged" -eq "$stored" ] || { echo "error: $acknowledged reports were acknowledged to honest guests and $stored are in the spool" >&2; exit 1; }

read -r alone beside ratio least greatest < <(printf %s "$pairs" | awk '{ print $2 / $1, $1, $2 }' | sort -n | awk '
  { ratio[NR] = $1; alone[NR] = $2; beside[NR] = $3 }
  END { m = int((NR + 1) / 2); printf "%d %d %.2f %.2f %.2f\n", alone[m], beside[m], ratio[m], ratio[1], ratio[NR] }')
record "bench/run node-load" <<END

| What | Alone | Beside | Ratio, range | Goal |
|---|---|---|---|---|
| p99 of an honest guest's answer | $(awk "BEGIN { printf \"%.1f\", $alone / 1000 }") ms | $(awk "BEGIN { printf \"%.1f\", $beside / 1000 }") ms | $ratio [$least…$greatest] | at most 3 |
| Reports acknowledged to honest guests, and found in the spool | $acknowledged | $stored | | all |
| Memory of the node, at most | | $most MB | | $memory_max MB |
END
awk -v alone="$alone" -v beside="$beside" -v ratio="$ratio" -v most="$most" -v max="$memory_max" 'BEGIN {
  printf "node.honest_p99_us alone=%d beside=%d ratio=%.2f goal=3 %s\n", alone, beside, ratio, (ratio <= 3 ? "ok" : "short")
  printf "node.peak_memory_MB %d goal=%d %s\n", most, max, (most <= max ? "ok" : "short")
}'
