#!/usr/bin/env bash
# Boots one virtual machine. By hand, with its shell on this terminal (tests/vmlab/README.md), or by the tests.
#
#   boot.sh VHOST_USER_SOCKET SHELL MEMORY_MIB CONSOLE_LOG [DISK]
#
# SHELL is a Unix socket that somebody listens on, or - for this terminal. The switch behind VHOST_USER_SOCKET gives the CID.
# GUESTMARK_VMLAB_SECONDS (600): after that it is ended whatever it does. GUESTMARK_VMLAB_ACCEL (tcg): QEMU's accelerator.
set -euo pipefail
lab=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/artifacts/vmlab
socket=$1 shell=$2 memory=$3 console=$4 disk=${5:-}
case $shell in -) shell=stdio,id=shell,signal=off ;; *) shell=socket,id=shell,path=$shell ;; esac
# Memory is shared with the switch, which reads and writes the packets in it. -no-reboot and panic=-1: a kernel that dies ends the machine.
arguments=(
  -accel "${GUESTMARK_VMLAB_ACCEL:-tcg,thread=multi}" -cpu max -smp 1 -m "$memory" -machine q35,memory-backend=memory
  -object "memory-backend-memfd,id=memory,size=${memory}M,share=on" -nodefaults -no-user-config -display none -no-reboot
  -kernel "$lab/kernel/vmlinuz" -initrd "$lab/initramfs"
  -append "console=ttyS0 panic=-1 quiet mitigations=off nokaslr tsc=reliable random.trust_cpu=on"
  -serial "file:$console"
  -drive "file=$lab/programs.ext4,format=raw,if=virtio,readonly=on"
  -chardev "$shell" -device virtio-serial-pci -device virtserialport,chardev=shell
  -chardev "socket,id=switch,path=$socket" -device vhost-user-vsock-pci,chardev=switch
)
[ -z "$disk" ] || arguments+=(-drive "file=$disk,format=raw,if=virtio")
exec timeout --foreground "${GUESTMARK_VMLAB_SECONDS:-600}" qemu-system-x86_64 "${arguments[@]}"
