#!/usr/bin/env bash
# Makes what the virtual machines boot and run, in artifacts/vmlab: initramfs (busybox, modules, guest/init) and programs.ext4 (the agent, the node
# with its runtime, guest/vsock.c). What has not changed is not made again.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
lab=$root/artifacts/vmlab
export PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$lab"
# Two test runs may want the images at the same time.
exec 9>"$lab/lock"
flock 9
"$here/kernel.sh"

# key NAME FILE... : what the named image depends on, by size and time of change; 0 when it was made of just that.
key() {
  local name=$1
  shift
  find "$@" -type f -printf '%p %s %T@\n' | sort >"$lab/$name.key.new"
  [ -e "$lab/$name" ] && cmp -s "$lab/$name.key" "$lab/$name.key.new"
}
made() { mv "$lab/$1.new" "$lab/$1" && mv "$lab/$1.key.new" "$lab/$1.key"; }

make_initramfs() {
  local tree
  tree=$(mktemp -d)
  mkdir -p "$tree"/{bin,modules}
  cp "$(command -v busybox)" "$tree/bin/busybox"
  cp "$lab"/kernel/modules/* "$tree/modules/"
  install -m 755 "$here/guest/init" "$tree/init"
  (cd "$tree" && find . | cpio --quiet -o -H newc --owner=0:0) >"$lab/initramfs.new"
  rm -rf "$tree"
}
key initramfs "$here/images.sh" "$here/guest/init" "$lab/kernel" "$(command -v busybox)" || { make_initramfs && made initramfs; }

agent=$root/artifacts/packages/agent/guestmark-agent
# It takes half a minute, and ./test has done it.
if [ ! -e "$agent" ] || find "$root"/src/Guestmark.{Agent,Wire,Inventory} "$root/src/Shared" "$root/proto" -newer "$agent" -type f | grep -q .; then
  "$root/deploy/packages/build.sh" >&2
fi
node=$root/artifacts/bin/Guestmark/release
[ -e "$node/guestmark.dll" ] || { echo "error: $node/guestmark.dll is missing: run dotnet build -c Release src/Guestmark" >&2; exit 1; }
dotnet=$(dirname "$(readlink -f "$(command -v dotnet)")")
# The runtime that the tests themselves run on.
runtimes=()
for name in Microsoft.NETCore.App Microsoft.AspNetCore.App; do
  runtimes+=("$(find "$dotnet/shared/$name" -mindepth 1 -maxdepth 1 -name '10.*' | sort -V | tail -n 1)")
done

references=()
for runtime in "${runtimes[@]}"; do references+=(-r "$runtime/*.dll"); done

# Libraries of the runtime, and those that it looks up by name for TLS.
libraries() {
  local tls
  find "$dotnet/dotnet" "$dotnet/host" "${runtimes[@]}" "$agent" \( -name '*.so' -o -perm -u+x \) -type f -exec ldd {} + 2>/dev/null | awk '$3 ~ /^\// { print $3 } $1 ~ /^\/lib64/ { print $1 }'
  for tls in libssl.so.3 libcrypto.so.3; do ldconfig -p | awk -v name="$tls" '$1 == name && /x86-64/ { print $NF; exit }'; done
}

# Without translation ahead of time the runtime compiles all that a node does while it starts, which takes an emulated processor 20 s.
translate() {
  local compiler assembly
  dotnet restore "$here/crossgen" -v quiet >&2 || { echo "note: no crossgen2 from the package registry: nodes in virtual machines start slowly" >&2; return 0; }
  compiler=$(dotnet msbuild "$here/crossgen" -nologo -v:minimal -t:PrintCompiler | sed -n 's/^ *compiler://p')
  for assembly in guestmark Guestmark.{Node,Events,Spool,Rpc,Wire,Inventory,Sensor} Google.Protobuf System.CommandLine Spectre.Console YamlDotNet; do
    [ -e "$node/$assembly.dll" ] || continue
    "$compiler" "$node/$assembly.dll" -o "$1/$assembly.dll" -O --targetos linux --targetarch x64 -r "$node/*.dll" "${references[@]}" >/dev/null
  done
}

make_programs() {
  local tree library runtime
  tree=$(mktemp -d)
  mkdir -p "$tree"/{bin,dotnet/shared,guestmark}
  cp -a "$dotnet/dotnet" "$dotnet/host" "$tree/dotnet/"
  for runtime in "${runtimes[@]}"; do
    mkdir -p "$tree/dotnet/shared/$(basename "$(dirname "$runtime")")"
    cp -a "$runtime" "$tree/dotnet/shared/$(basename "$(dirname "$runtime")")/"
  done
  cp -a "$node/." "$tree/guestmark/"
  translate "$tree/guestmark"
  cp "$agent" "$tree/bin/"
  gcc -O2 -Wall -Werror -static "$here/guest/vsock.c" -o "$tree/bin/vsock"
  libraries | sort -u | while read -r library; do install -D "$library" "$tree$library"; done
  rm -f "$lab/programs.ext4.new"
  mke2fs -qF -t ext4 -m 0 -O ^has_journal -d "$tree" "$lab/programs.ext4.new" "$(($(du -sm "$tree" | cut -f1) * 5 / 4 + 16))M" >&2
  rm -rf "$tree"
}
key programs.ext4 "$here/images.sh" "$here/guest/vsock.c" "$agent" "$node" "$dotnet/dotnet" "${runtimes[@]}" || { make_programs && made programs.ext4; }
