#!/usr/bin/env bash
# The node: frames relayed beside socat and a C relay, the spool beside rsyslog, signatures beside openssl, idle memory.
set -euo pipefail
source "$root/bench/lib.sh"

measured=$(mktemp)
trap 'rm -f "$measured"' EXIT
for part in relay spool signing; do bash "$root/bench/node/$part.sh" | tee -a "$measured"; done
labels="node.declarations_512B_per_second_beside_socat Declarations of a cell a second, beside socat
node.declarations_512B_per_second_beside_c_relay The same beside a relay in C that reads and writes 64 KiB
node.reports_512B_per_second_beside_socat Reports a second, each an event of its own, beside socat
node.spool_512B_durable_per_second_to_rsyslog Records a second in the spool, fdatasync before every answer, beside rsyslog's disk queue
node.spool_512B_durable_per_second_to_the_disk The same beside bare writes of 4 MiB with fdatasync
node.sign_ecdsa-p256_per_second Signatures a second, one thread, ECDSA P-256, beside openssl speed
node.stamp_512B_ecdsa-p256_per_second Events signed by it, beside the bare signatures
node.sign_ed25519_per_second Signatures a second, one thread, Ed25519, beside openssl speed
node.stamp_512B_ed25519_per_second Events signed by it, beside the bare signatures
node.sign_hmac-sha256_per_second Signatures a second, one thread, HMAC-SHA256, beside openssl speed
node.stamp_512B_hmac-sha256_per_second Events signed by it, beside the bare signatures"
{
  echo
  echo "| What | Ours | Peer | Ratio, range | Goal |"
  echo "|---|---|---|---|---|"
  rows <"$measured"
  awk '/^node.stamp_512B_unsigned/ { sub("ours=", "", $2); sub("ns=", "", $3); printf "| Events stamped a second, one thread, without a signature | %.1f million, %d ns each | | | 250 ns |\n", $2 / 1e6, $3 }' "$measured"
} | record "bench/run node"
bash "$root/bench/node/idle.sh"
