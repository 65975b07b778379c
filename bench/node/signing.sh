#!/usr/bin/env bash
# Stamps and signatures a second on one thread, beside `openssl speed` of the same machine in turn. Run by bench/run node; alone: bash bench/node/signing.sh
set -euo pipefail
root=${root:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
source "$root/build/require.sh"
source "$root/bench/lib.sh"

rounds=${GUESTMARK_BENCH_ROUNDS:-5}
require_debian openssl
[ -n "${ours:-}" ] || build_ours

# openssl_speed ALGORITHM : signatures a second. -mr prints "+F4:3:256:SIGN:VERIFY" for ECDSA and "+F6:…" for EdDSA, "+F:22:hmac(sha256):BYTES" of messages of 92
# bytes, which is how long the message is that is signed for an event.
openssl_speed() {
  case $1 in
    ecdsa-p256) openssl speed -mr -seconds 1 ecdsap256 2>/dev/null | awk -F: '/^\+F4/ { print $4 }' ;;
    ed25519) openssl speed -mr -seconds 1 ed25519 2>/dev/null | awk -F: '/^\+F[67]/ { print $(NF - 1) }' ;;
    hmac-sha256) openssl speed -mr -seconds 1 -bytes 92 -hmac sha256 2>/dev/null | awk -F: '/^\+F:/ { print $NF / 92 }' ;;
  esac
}

# What is signed is the same message for us and the peer; a stamp has in addition the digests of attributes and 512 bytes of data, and the event's encoding.
for algorithm in ecdsa-p256 ed25519 hmac-sha256; do
  compare "node.sign_${algorithm}_per_second" 0.0 "$rounds" '"$ours" signing messages "$algorithm" 1' 'openssl_speed "$algorithm"'
  compare "node.stamp_512B_${algorithm}_per_second" 0.0 "$rounds" '"$ours" signing events "$algorithm" 1' 'openssl_speed "$algorithm"'
done
"$ours" signing events none 1 | awk '{ printf "node.stamp_512B_unsigned_per_second ours=%d ns=%.0f goal=250 %s\n", $1, 1e9 / $1, (1e9 / $1 <= 250 ? "ok" : "short") }'
