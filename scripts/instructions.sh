#!/usr/bin/env bash
# Counts the instructions of the gateway's codec under callgrind: `check` against the pinned counts, or `update` them.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v valgrind >/dev/null; then
  line='apt-get update && apt-get install -y --no-install-recommends valgrind'
  if [ "$(id -u)" -ne 0 ]; then
    echo "Missing: valgrind. Install it with:" >&2
    echo "  sudo sh -c '$line'" >&2
    exit 1
  fi
  echo 'Installing valgrind'
  DEBIAN_FRONTEND=noninteractive sh -c "$line" >/dev/null
fi
# Flags of the caller would choose other instructions.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
cargo build --quiet --package pulpo-gateway-instructions --profile instructions
exec "${CARGO_TARGET_DIR:-target}/instructions/codec-instructions" "$@"
