#!/usr/bin/env bash
# The node: frames relayed beside socat and a C relay, the spool beside rsyslog, signatures beside openssl, idle memory.
set -euo pipefail
for part in relay spool signing idle; do
  [ ! -f "$root/bench/node/$part.sh" ] || bash "$root/bench/node/$part.sh"
done
