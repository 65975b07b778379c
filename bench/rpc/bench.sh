#!/usr/bin/env bash
# Unary calls with 300-byte messages, 50 in flight on one plaintext connection, beside gRPC C++ 1.51 (goal: 1.0 of its rate).
set -euo pipefail
source "$root/build/require.sh"
source "$root/bench/lib.sh"

warmup=60000 calls=60000 in_flight=50 rounds=${GUESTMARK_BENCH_ROUNDS:-7}

require_debian g++ pkg-config libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
build_ours
peer=$root/artifacts/bench/rpc/peer
if [ ! -x "$peer" ] || [ "$root/bench/rpc/peer.cc" -nt "$peer" ] || [ "$root/bench/rpc/echo.proto" -nt "$peer" ]; then
  folder=$(dirname "$peer")
  mkdir -p "$folder"
  protoc -I"$root/bench/rpc" --cpp_out="$folder" --grpc_out="$folder" --plugin=protoc-gen-grpc="$(command -v grpc_cpp_plugin)" \
    "$root/bench/rpc/echo.proto"
  g++ -O2 -std=c++17 -I"$folder" "$root/bench/rpc/peer.cc" "$folder/echo.pb.cc" "$folder/echo.grpc.pb.cc" -o "$peer" \
    $(pkg-config --libs grpc++ protobuf)
fi

start_server ours "$ours" rpc-server
# The faster of the peer's two asynchronous styles: on two cores its completion queue makes 80,000 calls/s, its callbacks 55,000.
start_server peer "$peer" server-queue
# A server that compiles while it runs reaches its speed after some hundred thousand calls.
"$ours" rpc-client "$ours_port" 0 300000 "$in_flight" >/dev/null
"$peer" client-queue "$peer_port" 0 300000 "$in_flight" >/dev/null
compare rpc.unary_300B_calls_per_second 1.0 "$rounds" \
  '"$ours" rpc-client "$ours_port" $warmup $calls $in_flight' \
  '"$peer" client-queue "$peer_port" $warmup $calls $in_flight'
