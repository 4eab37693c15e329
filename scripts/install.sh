#!/usr/bin/env bash
# Installs the system packages the project needs and that are missing. Without root it prints the line that does.
set -euo pipefail

missing=()
have_postgres() {
  for dir in /usr/lib/postgresql/*/bin; do
    [ -x "$dir/postgres" ] && [ -x "$dir/initdb" ] && return 0
  done
  command -v postgres >/dev/null && command -v initdb >/dev/null
}
have_postgres || missing+=(postgresql)
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v curl >/dev/null || missing+=(curl)

if ! command -v cargo >/dev/null; then
  echo "A Rust toolchain is needed: install rustup, then run this again." >&2
  exit 1
fi
if [ "${#missing[@]}" -eq 0 ]; then
  exit 0
fi
line="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -ne 0 ]; then
  echo "Missing: ${missing[*]}. Install them with:" >&2
  echo "  sudo sh -c '$line'" >&2
  exit 1
fi
echo "Installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# The package would start a server of its own, which nobody here needs.
if [[ " ${missing[*]} " == *" postgresql "* ]]; then
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
fi
sh -c "$line" >/dev/null
