#!/usr/bin/env bash
# 99 honest guests beside 10,000 idle connections, 1,000 slow ones, 1,000 connects a second and a flooder (goal: p99 at most 3 times).
set -euo pipefail
source "$root/bench/lib.sh"

seconds=${GUESTMARK_BENCH_SECONDS:-20} memory_max=${GUESTMARK_BENCH_MEMORY_MB:-512}

build_ours
folder=$(mktemp -d /tmp/gm-load-XXXXXX)
trap 'rm -rf "$folder"' EXIT
start_server node "$ours" node-serve "$folder"
node=$!
"$ours" node-honest "$folder" 5 >/dev/null
alone=$("$ours" node-honest "$folder" "$seconds")
start_server hostile "$ours" node-hostile "$folder"
"$ours" node-honest "$folder" 5 >/dev/null
beside=$("$ours" node-honest "$folder" $((seconds * 2)))
most=$(awk '/^VmHWM/ { print int($2 / 1024) }' "/proc/$node/status")
awk -v alone="$alone" -v beside="$beside" -v most="$most" -v max="$memory_max" 'BEGIN {
  printf "node.honest_p99_us alone=%d beside=%d ratio=%.2f goal=3 %s\n", alone, beside, beside / alone, (beside <= 3 * alone ? "ok" : "short")
  printf "node.peak_memory_MB %d goal=%d %s\n", most, max, (most <= max ? "ok" : "short")
}'
