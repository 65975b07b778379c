#!/usr/bin/env bash
# Matching a fleet beside the same joins in PostgreSQL 15, on one core each (goals: 10 of its rate, 1,500 machines a second, 50 ms an advisory).
set -euo pipefail
source "$root/build/require.sh"
source "$root/bench/lib.sh"

rounds=${GUESTMARK_BENCH_ROUNDS:-5}
testdata=${GUESTMARK_TESTDATA:-$root/../shared/testdata}
work=$root/artifacts/bench/match
feed=$testdata/osv/almalinux-osv-database.zip
[ -f "$feed" ] || { echo "error: no test data in $testdata; name its folder in GUESTMARK_TESTDATA" >&2; exit 1; }

require_debian postgresql-15
postgres=/usr/lib/postgresql/15/bin
build_ours
mkdir -p "$work"
"$ours" match-prepare "$feed" "$testdata/rpmdb/expected-rpm-4.18/centos8-modularitylabel.tsv" "$work" >&2
"$ours" match-machines "$work" bytes >/dev/null

# A cluster of its own, which root may not run: in a folder under /tmp, because the path of a socket has at most 107 characters.
cluster=$(mktemp -d /tmp/gm-bench-XXXXXX)
as=()
if [ "$(id -u)" -eq 0 ]; then
  chown postgres: "$cluster"
  as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
fi
stop() {
  (cd / && "${as[@]}" "$postgres/pg_ctl" -D "$cluster/data" -m immediate stop >/dev/null 2>&1) || true
  rm -rf "$cluster"
}
trap stop EXIT
(
  cd /
  "${as[@]}" "$postgres/initdb" -D "$cluster/data" -U bench --auth=trust --no-sync --locale=C --encoding=UTF8 >/dev/null
  # All of it in memory, one core a query, no time spent on compiling or on disks. Both settings of the planner make single machines
  # six times as fast: with its own guesses it reads the whole table for each.
  "${as[@]}" "$postgres/pg_ctl" -D "$cluster/data" -w -l "$cluster/log" -o "-k $cluster -c listen_addresses= -c shared_buffers=1GB -c work_mem=512MB -c max_parallel_workers_per_gather=0 -c jit=off -c random_page_cost=1 -c plan_cache_mode=force_custom_plan -c fsync=off -c autovacuum=off" start >/dev/null
) || { cat "$cluster/log" >&2; exit 1; }
sql() { "$postgres/psql" -h "$cluster" -U bench -d postgres -qAtX -v ON_ERROR_STOP=1 "$@"; }

load() { echo "COPY $1 FROM stdin;" | cat - "$work/$1.tsv" <(echo '\.'); }
{
  cat <<'SQL'
CREATE TABLE advisory (id int PRIMARY KEY, name text, summary text, severity int, cves text, url text, published bigint, modified bigint);
CREATE TABLE affected (product text, package text, advisory int, low bytea, high bytea, modular boolean, streams text[], line text, introduced text, ended text);
CREATE TABLE package (id int PRIMARY KEY, name text, version text, key bytea, modular boolean, stream text, line text);
CREATE TABLE member (set int, package int);
CREATE TABLE machine (id int PRIMARY KEY, set int);
SQL
  for table in advisory affected package member machine; do load $table; done
  cat <<'SQL'
CREATE INDEX ON affected (package, product, high) INCLUDE (advisory, low, modular, streams, line);
CREATE INDEX ON affected (advisory);
CREATE INDEX ON advisory (name);
CREATE INDEX ON package (name);
CREATE INDEX ON member (package, set);
CREATE INDEX ON member (set, package);
CREATE INDEX ON machine (set);
VACUUM ANALYZE;
SQL
} | sql -f - >/dev/null

# The rules of docs/reference/matching.md that the data need: the range, and the stream of a modular build.
applies="a.product = 'AlmaLinux:8' AND a.package = p.name AND p.key >= a.low AND p.key < a.high AND a.modular = p.modular
  AND (NOT p.modular OR CASE WHEN a.streams <> '{}' AND p.stream <> '' THEN p.stream = ANY (a.streams) ELSE p.line = a.line END)"

sql -F $'\t' -c "SELECT DISTINCT p.id, v.name FROM package p JOIN affected a ON $applies JOIN advisory v ON v.id = a.advisory" | LC_ALL=C sort >"$work/peer-findings"
cmp "$work/ours-findings" "$work/peer-findings" || { echo "error: PostgreSQL finds something else; see $work/{ours,peer}-findings" >&2; exit 1; }
advisory=$(cat "$work/advisory")
machines="SELECT count(*), sum(id) FROM (SELECT DISTINCT m.id FROM advisory v JOIN affected a ON a.advisory = v.id JOIN package p ON $applies
  JOIN member s ON s.package = p.id JOIN machine m ON m.set = s.set WHERE v.name = '$advisory') found"
"$ours" match-fleet "$work" >/dev/null
[ "$(sql -F ' ' -c "$machines")" = "$(cat "$work/ours-machines")" ] || { echo "error: PostgreSQL finds other machines of $advisory" >&2; exit 1; }

# timed REPEAT QUERY : seconds of one run, inside the server, so that nothing is sent to a client.
timed() {
  sql -c "DO \$do\$ DECLARE start timestamptz := clock_timestamp(); BEGIN FOR i IN 1..$1 LOOP PERFORM * FROM ($2) query; END LOOP;
    RAISE NOTICE 'seconds %', extract(epoch FROM clock_timestamp() - start) / $1; END \$do\$" 2>"$work/peer.log" || { cat "$work/peer.log" >&2; return 1; }
  sed -n 's/.*seconds //p' "$work/peer.log"
}
# The plan of the function's query is kept; one call is one machine, which reads all evidence.
evidence="count(*), sum(length(v.name) + length(v.summary) + length(v.cves) + length(v.url) + length(a.product) + length(a.package) + length(a.introduced)
  + length(a.ended) + length(p.name) + length(p.version) + v.severity + v.published + v.modified)
  FROM member s JOIN package p ON p.id = s.package JOIN affected a ON $applies JOIN advisory v ON v.id = a.advisory"
sql -c "CREATE FUNCTION match_machine(of int) RETURNS TABLE (findings bigint, bytes numeric) LANGUAGE plpgsql AS \$f\$ BEGIN
  RETURN QUERY SELECT $evidence WHERE s.set = of; END \$f\$"
[ "$(sql -c 'SELECT sum(findings) FROM generate_series(0, 499) number, match_machine(number)')" = "$(sql -c "SELECT findings FROM (SELECT $evidence) all_of_them (findings)")" ]
peer_machines() { timed 1 'SELECT match_machine(number) FROM generate_series(0, 499) number' | awk '{ printf "%.2f\n", 500 / $1 }'; }
peer_together() { timed 1 "SELECT $evidence" | awk '{ printf "%.2f\n", 500 / $1 }'; }
peer_fleet() { timed 10 "$machines" | awk '{ printf "%.2f\n", 1 / $1 }'; }
ours_machines() { "$ours" match-machines "$work" "$1"; }
ours_together() { "$ours" match-together "$work"; }
ours_fleet() { "$ours" match-fleet "$work"; }

results=$work/results
compare match_machines_per_second 10 "$rounds" 'ours_machines bytes' peer_machines | tee "$results"
compare match_machines_as_texts_per_second 1 "$rounds" 'ours_machines texts' peer_machines | tee -a "$results"
compare match_machines_together_per_second 1 "$rounds" ours_together peer_together | tee -a "$results"
compare match_advisories_per_second 10 "$rounds" ours_fleet peer_fleet | tee -a "$results"
read -r memory most <"$work/fleet-memory"

value() { sed -n "s/^$1 ours=\([0-9]*\) peer=\([0-9]*\) ratio=\(.*\) goal=\([0-9.]*\) .*/\\$2/p" "$results"; }
rate=$(value match_machines_per_second 1)
milliseconds=$(awk "BEGIN { printf \"%.2f\", 1000 / $(value match_advisories_per_second 1) }")
{
  echo
  echo "| What | Ours | PostgreSQL 15 | Ratio, range | Goal |"
  echo "|---|---|---|---|---|"
  echo "| Machines of 508 packages a second, one core, every field of the evidence read | $rate | $(value match_machines_per_second 2) | $(value match_machines_per_second 3) | 10 and 1,500 |"
  echo "| The same, and every field made a text | $(value match_machines_as_texts_per_second 1) | $(value match_machines_as_texts_per_second 2) | $(value match_machines_as_texts_per_second 3) | none |"
  echo "| All machines in one go, each distinct package matched once | $(value match_machines_together_per_second 1) | $(value match_machines_together_per_second 2) | $(value match_machines_together_per_second 3) | none |"
  echo "| One new advisory, 50,000 machines of 500 sets: the affected machines | $milliseconds ms, at most $most ms | $(awk "BEGIN { printf \"%.1f\", 1000 / $(value match_advisories_per_second 2) }") ms | $(value match_advisories_per_second 3) | 10 and 50 ms |"
  echo "| Memory of the index for that | $memory MB | | | |"
  echo
} | record "bench/run match"
! grep -q ' short$' "$results"
[ "$rate" -ge 1500 ] || { echo "error: $rate machines a second are fewer than 1500" >&2; exit 1; }
awk "BEGIN { exit !($most <= 50) }" || { echo "error: an advisory took $most ms" >&2; exit 1; }
