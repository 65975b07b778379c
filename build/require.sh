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
