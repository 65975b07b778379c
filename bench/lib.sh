# Sourced by bench/*/bench.sh.

# build_ours : builds bench/Guestmark.Benchmarks and sets $ours to the program.
build_ours() {
  dotnet build -c Release --nologo -v quiet "$root/bench/Guestmark.Benchmarks" >&2 || return 1
  ours=$root/artifacts/bin/Guestmark.Benchmarks/release/Guestmark.Benchmarks
}

# start_server NAME COMMAND... : starts a program that prints "ready PORT" and ends when its input ends. Sets NAME_port and NAME_pid; end_server NAME ends it.
start_server() {
  local name=$1 ready port to from
  shift
  local fifo
  fifo=$(mktemp -u "${TMPDIR:-/tmp}/gm-bench-XXXXXX")
  mkfifo "$fifo.in" "$fifo.out"
  "$@" <"$fifo.in" >"$fifo.out" &
  printf -v "${name}_pid" %s $!
  # The server lives while this script holds its input open.
  exec {to}>"$fifo.in" {from}<"$fifo.out"
  rm "$fifo.in" "$fifo.out"
  read -r -t 30 -u "$from" ready port && [ "$ready" = ready ] || {
    echo "error: $name did not start: $*" >&2
    return 1
  }
  printf -v "${name}_port" %s "$port"
  printf -v "${name}_input" %s "$to"
}

end_server() {
  local input=$1_input pid=$1_pid
  eval "exec ${!input}>&-"
  wait "${!pid}"
}

# compare METRIC GOAL ROUNDS OURS PEER : runs two commands in alternation, after a round that does not count. Each prints one number, more
# is better, and fails when its output was wrong. Prints the medians, the median of the pairwise ratios and their range.
# compare_least: the same where less is better.
compare() { compare_by most "$@"; }
compare_least() { compare_by least "$@"; }

compare_by() {
  local better=$1 metric=$2 goal=$3 rounds=$4 ours_command=$5 peer_command=$6 round ours_value peer_value lines=
  for ((round = 0; round <= rounds; round++)); do
    ours_value=$(eval "$ours_command") && peer_value=$(eval "$peer_command") || {
      echo "error: $metric: a run failed" >&2
      return 1
    }
    echo "  round $round: ours $ours_value, peer $peer_value$([ "$round" -eq 0 ] && echo ' (not counted)')" >&2
    [ "$round" -eq 0 ] || lines+="$ours_value $peer_value"$'\n'
  done
  printf %s "$lines" | awk -v metric="$metric" -v goal="$goal" -v better="$better" '
    function median(values, n,   i, j, t) {
      for (i = 2; i <= n; i++) for (j = i; j > 1 && values[j - 1] > values[j]; j--) { t = values[j]; values[j] = values[j - 1]; values[j - 1] = t }
      return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
    }
    { n++; ours[n] = $1; peer[n] = $2; ratio[n] = $1 / $2 }
    END {
      middle = median(ratio, n)
      printf "%s ours=%.0f peer=%.0f ratio=%.2f [%.2f…%.2f] goal=%s %s\n", metric, median(ours, n), median(peer, n), middle, ratio[1], ratio[n], goal, ((better == "most" ? middle >= goal : middle <= goal) ? "ok" : "short")
    }'
}

# package_agent : builds the agent as it goes into guests and sets $agent to it.
package_agent() {
  bash "$root/deploy/packages/build.sh" >&2 || return 1
  agent=$root/artifacts/packages/agent/guestmark-agent
}

# rows : turns what compare printed, on standard input, into rows of a table. $labels has a line "METRIC TEXT" for each metric that is to be in it.
rows() {
  LABELS=$labels awk '
    function short(n) { n += 0; return n >= 1e6 ? sprintf("%.1f million", n / 1e6) : n >= 1e3 ? sprintf("%d,%03d", n / 1e3, n % 1e3) : sprintf("%d", n) }
    BEGIN { count = split(ENVIRON["LABELS"], lines, "\n"); for (i = 1; i <= count; i++) { name = lines[i]; sub(/ .*/, "", name); text[name] = substr(lines[i], length(name) + 2) } }
    $1 in text {
      ours = $2; peer = $3; ratio = $4 " " $5; goal = $6
      gsub(/[a-z]+=/, "", ours); gsub(/[a-z]+=/, "", peer); sub("ratio=", "", ratio); sub("goal=", "", goal)
      printf "| %s | %s | %s | %s | %s |\n", text[$1], short(ours), short(peer), ratio, goal + 0 ? goal : "none"
    }'
}

# record NAME : replaces the block NAME of docs/specification.md by standard input.
record() {
  local file=$root/docs/specification.md text
  text=$(cat)
  grep -q "<!-- $1 -->" "$file" || { echo "error: docs/specification.md has no block '$1'" >&2; return 1; }
  TEXT=$text awk -v name="$1" '
    $0 == "<!-- " name " -->" { print; print ENVIRON["TEXT"]; skipping = 1; next }
    $0 == "<!-- end of " name " -->" { skipping = 0 }
    !skipping { print }' "$file" >"$file.new" && mv "$file.new" "$file"
}
