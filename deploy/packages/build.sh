#!/usr/bin/env bash
# Builds the agent for guests and packs it: tarball, .deb and .rpm in artifacts/packages. The agent needs glibc 2.28 or later.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
source "$root/build/require.sh"

require_tools
require_debian gcc libc6-dev dpkg-dev rpm
property() { sed -n "s/.*<$1>\(.*\)<.*/\1/p" "$root/Directory.Build.props"; }
version=$(property Version) framework=$(property AotFramework)
packages=$root/artifacts/packages
folder=$packages/agent

# sysroot : the C library of Debian 11, whose symbols RHEL 8 and later, Ubuntu 20.04 and SLE 15 have as well. Without it the agent would
# need the C library of the machine that builds it.
sysroot=$root/artifacts/sysroot
make_sysroot() {
  local state=$sysroot.new/apt link target options
  rm -rf "$sysroot.new"
  mkdir -p "$state/lists/partial" "$state/debs"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${GUESTMARK_DEBIAN_MIRROR:-http://deb.debian.org/debian} bullseye main" >"$state/sources.list"
  options=(-qq -o "Dir::State::lists=$state/lists" -o "Dir::Etc::sourcelist=$state/sources.list" -o Dir::Etc::sourceparts=- -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update >&2 || return 1
  (cd "$state/debs" && apt-get "${options[@]}" download libc6/bullseye libc6-dev/bullseye >&2) || return 1
  for deb in "$state"/debs/*.deb; do dpkg-deb -x "$deb" "$sysroot.new"; done
  # Absolute links would lead to the C library of this machine.
  find "$sysroot.new" -type l -lname '/*' | while read -r link; do
    target=$(readlink "$link")
    ln -sfn "$(realpath -m --relative-to="$(dirname "$link")" "$sysroot.new$target")" "$link"
  done
  gcc -O2 -c "$root/deploy/packages/pow.c" -o "$sysroot.new/pow.o"
  rm -rf "$state" "$sysroot"
  mv "$sysroot.new" "$sysroot"
}
[ -e "$sysroot/pow.o" ] || make_sysroot

rm -rf "$packages"
mkdir -p "$folder"
echo "building the agent $version for $framework" >&2
# The linker's options are no inputs of the build: what was linked with this machine's C library would stay.
rm -rf "$root"/artifacts/{obj,bin}/Guestmark.Agent/release_"${framework}"_linux-x64/native
dotnet publish "$root/src/Guestmark.Agent" -f "$framework" -r linux-x64 -c Release --nologo -v quiet -p:AgentSysRoot="$sysroot" >&2
cp "$root/artifacts/publish/Guestmark.Agent/release_${framework}_linux-x64/guestmark-agent" "$folder/"
# 2.17 is all that the linker sees; statx(2), which is looked up at run time, came with 2.28.
needed=$(objdump -T "$folder/guestmark-agent" | grep -o 'GLIBC_2\.[0-9]*' | sort -uV | tail -1)
[ "$needed" = GLIBC_2.17 ] || { echo "error: the agent needs $needed, not GLIBC_2.17" >&2; exit 1; }
cp "$root/LICENSE" "$root"/deploy/systemd/guestmark-agent* "$root/deploy/quadlet/guestmark-agent.container" "$folder/"

tar -C "$packages" --owner=0 --group=0 --numeric-owner --transform "s,^agent,guestmark-agent-$version," -czf "$packages/guestmark-agent-$version-linux-x64.tar.gz" agent

# install_tree ROOT : what both packages install.
install_tree() {
  install -D -m 755 "$folder/guestmark-agent" "$1/usr/bin/guestmark-agent"
  install -D -m 644 -t "$1/usr/lib/systemd/system" "$folder"/guestmark-agent{,-serve,-declare}.service
  install -D -m 644 "$folder/guestmark-agent.default" "$1/etc/default/guestmark-agent"
}

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
install_tree "$tree/deb"
install -D -m 644 "$root/LICENSE" "$tree/deb/usr/share/doc/guestmark-agent/copyright"
mkdir "$tree/deb/DEBIAN"
echo /etc/default/guestmark-agent >"$tree/deb/DEBIAN/conffiles"
cat >"$tree/deb/DEBIAN/control" <<EOF
Package: guestmark-agent
Version: $version
Section: admin
Priority: optional
Architecture: amd64
Depends: libc6 (>= 2.28)
Suggests: libssl3 | libssl1.1, libcurl4
Maintainer: The Guestmark authors <guestmark@localhost>
Installed-Size: $(du -sk "$tree/deb/usr" | cut -f1)
Description: reports what is installed in a virtual machine to its host
 Reads the databases of rpm, dpkg and apk without starting programs, and
 sends the list over AF_VSOCK whenever it changes.
EOF
# Nothing starts by itself: whether this machine reports, and how, is its owner's decision.
cat >"$tree/deb/DEBIAN/postinst" <<'EOF'
#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
  systemctl try-restart guestmark-agent.service guestmark-agent-serve.service guestmark-agent-declare.service || true
fi
EOF
cat >"$tree/deb/DEBIAN/prerm" <<'EOF'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl disable --now guestmark-agent.service guestmark-agent-serve.service guestmark-agent-declare.service || true
fi
EOF
chmod 755 "$tree/deb/DEBIAN/postinst" "$tree/deb/DEBIAN/prerm"
dpkg-deb --root-owner-group -Zxz --build "$tree/deb" "$packages/guestmark-agent_${version}_amd64.deb" >&2

install_tree "$tree/rpm"
install -D -m 644 "$root/LICENSE" "$tree/rpm/usr/share/licenses/guestmark-agent/LICENSE"
cat >"$tree/guestmark-agent.spec" <<EOF
Name: guestmark-agent
Version: $version
Release: 1
Summary: Reports what is installed in a virtual machine to its host
License: Apache-2.0
AutoReqProv: no
Requires: glibc >= 2.28

%description
Reads the databases of rpm, dpkg and apk without starting programs, and
sends the list over AF_VSOCK whenever it changes.

%install
cp -a $tree/rpm/. %{buildroot}

%post
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || :
  systemctl try-restart guestmark-agent.service guestmark-agent-serve.service guestmark-agent-declare.service || :
fi

%preun
if [ "\$1" = 0 ] && [ -d /run/systemd/system ]; then
  systemctl disable --now guestmark-agent.service guestmark-agent-serve.service guestmark-agent-declare.service || :
fi

%files
/usr/bin/guestmark-agent
/usr/lib/systemd/system/guestmark-agent.service
/usr/lib/systemd/system/guestmark-agent-serve.service
/usr/lib/systemd/system/guestmark-agent-declare.service
%config(noreplace) /etc/default/guestmark-agent
%license /usr/share/licenses/guestmark-agent/LICENSE
EOF
rpmbuild -bb --quiet --target x86_64-linux --define "_topdir $tree/rpmbuild" --define "_rpmdir $packages" --define '_rpmfilename %{name}-%{version}-%{release}.%{arch}.rpm' \
  --define '_build_id_links none' --define 'debug_package %{nil}' --define '_binary_payload w6.xzdio' --define '__os_install_post %{nil}' --dbpath "$tree/db" "$tree/guestmark-agent.spec" >&2
ls -l "$packages" | awk 'NR > 1 && $5 > 4096 { printf "%s %.1f MB\n", $NF, $5 / 1000000 }'
