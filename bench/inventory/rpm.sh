#!/usr/bin/env bash
# rpm.sh FOLDER : builds Debian's rpm once more with all its backends into FOLDER/rpm. Debian's own package lacks ndb.
set -euo pipefail
source "$root/build/require.sh"

folder=$1
echo "building rpm with ndb (takes about two minutes)" >&2
require_debian dpkg-dev gcc make libc6-dev autoconf automake libtool gettext autopoint pkg-config libpopt-dev libarchive-dev liblua5.3-dev \
  libsqlite3-dev libgcrypt20-dev libmagic-dev libelf-dev libzstd-dev zlib1g-dev liblzma-dev libbz2-dev
rm -rf "$folder"
mkdir -p "$folder/lists/partial" "$folder/source"
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${GUESTMARK_DEBIAN_MIRROR:-http://deb.debian.org/debian} bookworm main" >"$folder/sources.list"
options=(-qq -o "Dir::State::lists=$folder/lists" -o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=- -o APT::Sandbox::User=root)
apt-get "${options[@]}" update >&2
cd "$folder/source"
apt-get "${options[@]}" source rpm >/dev/null
cd rpm-*/
{
  autoreconf -i -f
  ./configure --prefix="$folder/rpm" --enable-ndb --enable-bdb-ro --enable-sqlite --with-crypto=libgcrypt --disable-plugins --disable-python \
    --disable-nls --disable-openmp CFLAGS=-O2
  make -j"$(nproc)"
  make install
} >"$folder/log" 2>&1 || { tail -20 "$folder/log" >&2; exit 1; }
rm -rf "$folder/source" "$folder/lists"
