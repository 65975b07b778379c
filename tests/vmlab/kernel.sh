#!/usr/bin/env bash
# Fetches the kernel that the virtual machines boot, Debian's for clouds, into artifacts/vmlab/kernel. Nothing is installed. Once; remove the folder for a newer one.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
lab=$root/artifacts/vmlab
[ -e "$lab/kernel/vmlinuz" ] && exit 0

# The distribution's own kernel goes with its own QEMU: 6.1 with 7.2, 6.12 with 10. 6.12 on QEMU 7.2 dies of double faults.
package() { apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }'; }
fetch() {
  local name
  name=$(package)
  [ -n "$name" ] || return 1
  rm -rf "$lab/kernel.new"
  mkdir -p "$lab/kernel.new"
  echo "fetching $name" >&2
  (cd "$lab/kernel.new" && apt-get -qq -o APT::Sandbox::User=root download "$name" >&2)
}

sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
# Old package lists name versions that the mirror no longer has.
fetch || { $sudo apt-get update -qq >&2 && fetch; } || { echo "error: no kernel for virtual machines: apt-get has no linux-image-cloud-amd64" >&2; exit 1; }
cd "$lab/kernel.new"
dpkg-deb -x ./*.deb tree
mv tree/boot/vmlinuz-* vmlinuz
version=$(basename tree/lib/modules/*)
depmod -b tree "$version"

# Modules of the guests, in the order in which they are loaded.
mkdir modules
number=0
for module in virtio_pci virtio_blk virtio_console vmw_vsock_virtio_transport; do
  modprobe -d tree -S "$version" --show-depends "$module"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
  number=$((number + 1))
  name=modules/$(printf %02d "$number")-$(basename "${file%.xz}")
  # busybox loads no compressed module.
  case $file in *.xz) xz -dc "$file" >"$name" ;; *) cp "$file" "$name" ;; esac
done
rm -rf tree ./*.deb
echo "$version" >version
cd "$lab"
rm -rf kernel
mv kernel.new kernel
