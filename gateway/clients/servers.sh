# shellcheck shell=bash
# The echo service and the program in front of it, for the scripts beside this file. What they start ends with them.
cargo build --quiet --workspace --bin pulpo-gateway-echo --bin pulpo-gateway
bin=${CARGO_TARGET_DIR:-target}/debug
work=$(mktemp -d)
running=()
trap 'for id in "${running[@]}"; do kill "$id" 2>/dev/null || true; done; rm -rf "$work"' EXIT

# address FILE PATTERN: the address that a program tells once it listens.
address() {
  local found
  for _ in $(seq 100); do
    found=$(sed -nE "s/$2/\1/p" "$1" | head -1)
    [ -n "$found" ] && { echo "$found"; return; }
    sleep 0.1
  done
  cat "$1" >&2
  return 1
}

"$bin/pulpo-gateway-echo" >"$work/echo" & running+=($!)
echo_address=$(address "$work/echo" '.* ([0-9.]+:[0-9]+)$')

# front TOML: the program with this configuration, at the address $gateway.
front() {
  printf '%s\n' "$1" >"$work/gateway.toml"
  NO_COLOR=1 "$bin/pulpo-gateway" --config "$work/gateway.toml" 2>"$work/gateway" & running+=($!)
  gateway=$(address "$work/gateway" '.*address=([0-9.]+:[0-9]+).*')
}
