#!/usr/bin/env bash
# Memory of a node that has nothing to do, and of each of 10,000 connections that say nothing. Written to docs/specification.md.
set -euo pipefail
source "$root/bench/lib.sh"

build_ours
folder=$(mktemp -d /tmp/gm-idle-XXXXXX)
trap 'rm -rf "$folder"' EXIT
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

start_server node "$ours" node-serve "$folder"
sleep 15
bare=$(resident "$node_pid")
start_server idle "$ours" node-idle "$folder"
sleep 5
before=$(ticks "$node_pid")
sleep 10
spent=$(($(ticks "$node_pid") - before))
full=$(resident "$node_pid")
each=$(((full - bare) * 1024 / idle_port))
record "bench/run node idle" <<END

| What | Figure | Goal |
|---|---|---|
| The node with 1,485 guests' sockets and no connection, resident | $((bare / 1024)) MB | |
| Each of $idle_port silent connections | $each bytes | 12,288 |
| Processor time meanwhile, of one core | $(awk -v t="$spent" 'BEGIN { printf "%.1f", t / 10 }') % | 1 % |
END
echo "node.idle_resident_kB $bare"
echo "node.idle_connection_bytes $each goal=12288 $([ "$each" -le 12288 ] && echo ok || echo short)"
