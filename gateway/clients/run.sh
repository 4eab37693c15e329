#!/usr/bin/env bash
# Real clients against the echo service with the gateway in its process, and against the program in front of it: grpcurl,
# Python's grpcio, connect-es in Node.js and in headless Chromium; and slow ones beside others (slowhttptest).
# Installs what is missing into .tools/clients, and Chromium from the system's packages.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=$PWD/.tools/clients
mkdir -p "$tools"

if ! command -v chromium >/dev/null; then
  [ "$(id -u)" -eq 0 ] || { echo "Missing: chromium. Install it with: sudo apt-get install chromium" >&2; exit 1; }
  echo 'Installing chromium'
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
fi
if ! cmp -s gateway/clients/package.json "$tools/package.json"; then
  cp gateway/clients/package.json "$tools/"
  npm install --silent --no-audit --no-fund --prefix "$tools" || { rm "$tools/package.json"; exit 1; }
fi
if ! cmp -s gateway/clients/requirements.txt "$tools/requirements.txt"; then
  python3 -m venv "$tools/python"
  "$tools/python/bin/pip" install --quiet --disable-pip-version-check -r gateway/clients/requirements.txt
  cp gateway/clients/requirements.txt "$tools/"
fi
"$tools/node_modules/.bin/buf" generate gateway/echo/proto --template gateway/clients/buf.gen.yaml
# Where the scripts find their packages, though they lie elsewhere.
cp gateway/clients/*.mjs "$tools/"

source gateway/clients/servers.sh
# The same limits as in the service's process.
front "
listener = [{name = 'main', address = '127.0.0.1:0'}]
upstream = [{name = 'echo', url = 'http://$echo_address', reflection = true}]
surface = [{name = 'echo', max_body_bytes = 200000, deadline_cap_ms = 60000, cors_origins = ['*'], cors_exposed = ['*']}]"

# clients WHAT ADDRESS: all of them.
clients() {
  export ECHO_ADDRESS=$2
  echo "-- $1: grpcurl"
  PATH="$tools/python/bin:$PATH" bash gateway/clients/grpcurl.sh
  echo "-- $1: grpcio"
  "$tools/python/bin/python" gateway/clients/grpcio_reflection.py
  echo "-- $1: connect-es in Node.js and in Chromium"
  node --test --test-reporter=spec "$tools"/*.test.mjs
}
clients 'in process' "$echo_address"
clients 'the program' "$gateway"
echo '-- slowhttptest'
gateway/clients/slow.sh
