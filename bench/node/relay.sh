#!/usr/bin/env bash
# Frames of 512 bytes through the node without its spool: accepted, checked, stamped, passed on; beside socat (goal: 2 times its rate) and a
# relay in C that reads and writes 64 KiB (goal: 0.7 of its rate). One run has all, in turn, over Unix sockets, from the same sender, 128 frames a
# write, to the same receiver, which counts and checks what arrives. Our relay passes on what the host keeps of a frame; the others all of its bytes.
set -euo pipefail
source "$root/build/require.sh"
source "$root/bench/lib.sh"

frames=${GUESTMARK_BENCH_FRAMES:-4000000} rounds=${GUESTMARK_BENCH_ROUNDS:-7}

require_debian gcc libc6-dev socat
build_ours
relay=$root/artifacts/bench/node/relay
mkdir -p "$(dirname "$relay")"
gcc -O2 -std=gnu17 -Wall -Wextra "$root/bench/node/relay.c" -o "$relay"
folder=$(mktemp -d)
workers=()
finish() {
  for worker in "${workers[@]}"; do kill "$worker" 2>/dev/null || true; done
  rm -rf "$folder"
}

trap finish EXIT

# The node is one process for all rounds, as it is in life; what copies bytes is started anew for each connection, because it serves one.
serve() {
  local kind=$1 fifo
  fifo=$folder/$kind.stdin
  mkfifo "$fifo"
  "$ours" node-relay "$folder/$kind.in" "$folder/$kind.out" "$kind" <"$fifo" >/dev/null &
  workers+=($!)
  exec {to}>"$fifo"
  printf -v "${kind}_to" %s "$to"
}
drive() { # KIND IN OUT FRAMES
  "$relay" drive "$2" "$3" "$4" "$1" | tail -n 1
}
run_ours() { # KIND FRAMES
  drive "$1" "$folder/$1.in" "$folder/$1.out" "$2"
  # Its connection ends when the sender's process does.
  sleep 0.3
}
run_peer() { # COMMAND...
  rm -f "$folder/peer.in" "$folder/peer.out"
  "$@" 2>/dev/null &
  local peer=$!
  drive bytes "$folder/peer.in" "$folder/peer.out" "$frames"
  kill "$peer" 2>/dev/null || true
  wait "$peer" 2>/dev/null || true
}
run_socat() { run_peer socat -b 65536 "UNIX-LISTEN:$folder/peer.in" "UNIX-CONNECT:$folder/peer.out"; }
run_c() { run_peer "$relay" relay "$folder/peer.in" "$folder/peer.out"; }

serve declarations
serve reports
# Code that is compiled while it runs reaches its speed after some hundred thousand frames.
run_ours declarations 1000000 >/dev/null
compare node.declarations_512B_per_second_beside_socat 2.0 "$rounds" 'run_ours declarations $frames' run_socat
compare node.declarations_512B_per_second_beside_c_relay 0.7 "$rounds" 'run_ours declarations $frames' run_c
# A report is an event of its own: its stamp is not shared. No goal.
run_ours reports 500000 >/dev/null
compare node.reports_512B_per_second_beside_socat 0 "$rounds" 'run_ours reports $((frames / 4))' run_socat
