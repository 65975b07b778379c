#!/usr/bin/env bash
# Records of 512 bytes that are on the disk when their sender is told, beside rsyslog's disk queue and the disk itself. Run by bench/run node; alone: bash bench/node/spool.sh
set -euo pipefail
root=${root:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
source "$root/build/require.sh"
source "$root/bench/lib.sh"

rounds=${GUESTMARK_BENCH_ROUNDS:-5}
producers=64 window=256 records=15000 connections=4 lines_each=75000
require_debian rsyslog
[ -n "${ours:-}" ] || build_ours

# A folder on a disk: /tmp may be memory.
work=$(mktemp -d "${GUESTMARK_BENCH_DISK:-/var/tmp}/gm-bench-XXXXXX")
rsyslog_pid=
stop_rsyslog() {
  [ -z "$rsyslog_pid" ] || { kill "$rsyslog_pid" && wait "$rsyslog_pid" || true; } 2>/dev/null
  rsyslog_pid=
}
trap 'stop_rsyslog; rm -rf "$work"' EXIT
[ "$(stat -f -c %T "$work")" != tmpfs ] || { echo "error: $work is in memory; name a folder on a disk in GUESTMARK_BENCH_DISK" >&2; exit 1; }

our_spool() {
  rm -rf "$work/spool"
  "$ours" spool-rate "$work/spool" "$producers" "$window" "$records"
}

# Writes as long as an average commit of ours, each flushed: what the disk takes of records of 512 bytes with their headers of 16.
raw_disk() {
  "$ours" spool-raw "$work/raw" $((4 << 20)) $((producers * records * 528)) | awk '{ printf "%.0f\n", $1 / 528 }'
}

# TCP to a queue on disk to a file, as peers measured it: it flushes nothing before it takes the next line. The senders are told nothing.
rsyslog_queue() {
  local port folder=$work/rsyslog
  rm -rf "$folder"
  mkdir -p "$folder/queue"
  port=$((20000 + RANDOM % 10000))
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  cat >"$folder/conf" <<CONF
global(workDirectory="$folder/queue" maxMessageSize="64k")
module(load="imptcp")
template(name="raw" type="string" string="%rawmsg%\n")
ruleset(name="bench" queue.type="Disk" queue.filename="bench" queue.maxDiskSpace="8g" queue.maxFileSize="64m") {
  action(type="omfile" file="$folder/out" template="raw")
}
input(type="imptcp" address="127.0.0.1" port="$port" ruleset="bench")
CONF
  rsyslogd -n -f "$folder/conf" -i "$folder/pid" >"$folder/log" 2>&1 &
  rsyslog_pid=$!
  for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break || sleep 0.05; done
  "$ours" spool-lines "$port" "$folder/out" "$connections" "$lines_each" || { tail -5 "$folder/log" >&2; return 1; }
  stop_rsyslog
}

compare node.spool_512B_durable_per_second_to_rsyslog 3.0 "$rounds" our_spool rsyslog_queue
compare node.spool_512B_durable_per_second_to_the_disk 0.8 "$rounds" our_spool raw_disk
