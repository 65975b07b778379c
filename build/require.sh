# Sourced by the scripts of this repository: installs what is missing and says what it installs.

# require_debian PACKAGE... : Debian packages, installed as root when absent.
require_debian() {
  local missing=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  echo "installing Debian packages: ${missing[*]}" >&2
  local sudo=
  [ "$(id -u)" -eq 0 ] || sudo=sudo
  # The package lists of a new machine may be empty or old: refresh them once, only when something is missing.
  if [ -z "${GUESTMARK_APT_UPDATED:-}" ]; then
    $sudo apt-get update -qq >&2 || return 1
    export GUESTMARK_APT_UPDATED=1
  fi
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || {
    echo "error: could not install ${missing[*]}; install them by hand and run this again" >&2
    return 1
  }
}

# require_library SONAME PACKAGE : a shared library, whatever package of the distribution brings it.
require_library() {
  ldconfig -p | grep -q "^[[:space:]]*$1 " || require_debian "$2"
}

# require_promtool ROOT : Prometheus' linter, taken out of Debian's package: installed, that would start a server. Absent, its test is skipped.
require_promtool() {
  command -v promtool >/dev/null && return 0
  local tools=$1/artifacts/tools
  if [ ! -x "$tools/usr/bin/promtool" ]; then
    echo "fetching promtool" >&2
    mkdir -p "$tools"
    (cd "$tools" && apt-get download -qq prometheus >/dev/null 2>&1 && dpkg-deb -x prometheus_*.deb . && rm -f prometheus_*.deb) ||
      { echo "note: promtool could not be fetched" >&2; return 0; }
  fi
  export PATH=$PATH:$tools/usr/bin
}

# require_tools : the three things that must be there before anything else can be installed.
require_tools() {
  local tool missing=0
  for tool in dotnet node npm git; do
    command -v "$tool" >/dev/null || { echo "error: $tool is not on the PATH" >&2; missing=1; }
  done
  if [ $missing -eq 0 ] && ! dotnet --list-sdks | grep -q '^10\.'; then
    echo "error: the .NET 10 SDK is needed, 'dotnet --list-sdks' shows none" >&2
    missing=1
  fi
  if [ $missing -ne 0 ]; then
    echo "Install the .NET 10 SDK, Node.js 20 or later and git, then run this again." >&2
    return 1
  fi
  # .NET's TLS, the trust anchors for the package registries, and Central's store. Without ICU the SDK runs in its invariant mode,
  # which is the mode of everything built here.
  export DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1
  require_library libssl.so.3 libssl3
  require_library libsqlite3.so.0 libsqlite3-0
  [ -e /etc/ssl/certs/ca-certificates.crt ] || require_debian ca-certificates
  export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1
}

# build ROOT PROJECT : a Release build that says how far it is and, when it fails, why.
build() {
  local started=$SECONDS log worker
  log=$(mktemp)
  echo "building $2 (the first time takes about a minute, and fetches NuGet and npm packages)" >&2
  dotnet build "$1/$2" -c Release --nologo -v minimal >"$log" 2>&1 &
  worker=$!
  while sleep 1 && kill -0 "$worker" 2>/dev/null; do
    (((SECONDS - started) % 10)) || echo "  $((SECONDS - started)) s: $(tail -n 1 "$log" | sed 's/^ *//' | cut -c1-100)" >&2
  done
  if ! wait "$worker"; then
    grep -E 'error|warn' "$log" | sort -u | head -40 >&2 || cat "$log" >&2
    rm -f "$log"
    echo "error: the build failed" >&2
    return 1
  fi
  rm -f "$log"
  echo "built in $((SECONDS - started)) s" >&2
}
