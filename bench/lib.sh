# Sourced by bench/*/bench.sh.

# build_ours : builds bench/Guestmark.Benchmarks and sets $ours to the program.
build_ours() {
  dotnet build -c Release --nologo -v quiet "$root/bench/Guestmark.Benchmarks" >&2 || return 1
  ours=$root/artifacts/bin/Guestmark.Benchmarks/release/Guestmark.Benchmarks
}

# start_server NAME COMMAND... : starts a program that prints "ready PORT" and ends when its input ends. Sets NAME_port.
start_server() {
  local name=$1 ready port to from
  shift
  local fifo
  fifo=$(mktemp -u "${TMPDIR:-/tmp}/gm-bench-XXXXXX")
  mkfifo "$fifo.in" "$fifo.out"
  "$@" <"$fifo.in" >"$fifo.out" &
  # The server lives while this script holds its input open.
  exec {to}>"$fifo.in" {from}<"$fifo.out"
  rm "$fifo.in" "$fifo.out"
  read -r -t 30 -u "$from" ready port && [ "$ready" = ready ] || {
    echo "error: $name did not start: $*" >&2
    return 1
  }
  printf -v "${name}_port" %s "$port"
}

# compare METRIC GOAL ROUNDS OURS PEER : runs two commands in alternation, after a round that does not count. Each prints one number, more
# is better, and fails when its output was wrong. Prints the medians, the median of the pairwise ratios and their range.
compare() {
  local metric=$1 goal=$2 rounds=$3 ours_command=$4 peer_command=$5 round ours_value peer_value lines=
  for ((round = 0; round <= rounds; round++)); do
    ours_value=$(eval "$ours_command") && peer_value=$(eval "$peer_command") || {
      echo "error: $metric: a run failed" >&2
      return 1
    }
    echo "  round $round: ours $ours_value, peer $peer_value$([ "$round" -eq 0 ] && echo ' (not counted)')" >&2
    [ "$round" -eq 0 ] || lines+="$ours_value $peer_value"$'\n'
  done
  printf %s "$lines" | awk -v metric="$metric" -v goal="$goal" '
    function median(values, n,   i, j, t) {
      for (i = 2; i <= n; i++) for (j = i; j > 1 && values[j - 1] > values[j]; j--) { t = values[j]; values[j] = values[j - 1]; values[j - 1] = t }
      return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
    }
    { n++; ours[n] = $1; peer[n] = $2; ratio[n] = $1 / $2 }
    END {
      middle = median(ratio, n)
      printf "%s ours=%.0f peer=%.0f ratio=%.2f [%.2f…%.2f] goal=%s %s\n", metric, median(ours, n), median(peer, n), middle, ratio[1], ratio[n], goal, (middle >= goal ? "ok" : "short")
    }'
}
