#!/usr/bin/env bash
# Runs the fuzz targets, two at a time, from the kept corpora: gateway/fuzz/run.sh [SECONDS] [TARGET…]
# With 0 seconds only the kept inputs are tried, which says the same every time. FUZZ_SEED makes runs of a build alike.
# What a run finds is written to the working folder of the targets, target/fuzz/found; corpora are only read, unless
# KEEP_CORPUS is set: then what covers more than the kept inputs do is kept with them.
set -euo pipefail
cd "$(dirname "$0")"
seconds="${1:-60}"
shift || true
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || targets=(read_json write_json route query stream)

if ! command -v c++ >/dev/null; then
  line='apt-get update && apt-get install -y --no-install-recommends g++'
  if [ "$(id -u)" -ne 0 ]; then
    echo "libFuzzer needs a C++ compiler. Install it with: sudo sh -c '$line'" >&2
    exit 1
  fi
  echo 'Installing a C++ compiler'
  DEBIAN_FRONTEND=noninteractive sh -c "$line" >/dev/null
fi
target_dir="${FUZZ_TARGET_DIR:-$PWD/../../target/fuzz}"
host="$(rustc -vV | sed -n 's/^host: //p')"
# The versions of the workspace, so that what is fuzzed is what is shipped.
cp ../../Cargo.lock Cargo.lock
# As cargo-fuzz instruments, without a sanitizer: the code is safe Rust, and three times as many inputs fit in the time.
flags='--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4'
flags+=' -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table'
flags+=' -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0'
RUSTFLAGS="$flags" cargo build --quiet --release --target "$host" --target-dir "$target_dir"

limit="-max_total_time=$seconds"
[ "$seconds" -gt 0 ] || limit=-runs=0
found="$target_dir/found"
mkdir -p "$found"
one() {
  local target="$1" program="$target_dir/$host/release/$1" work
  work="$(mktemp -d)"
  mkdir "$work/fresh" "$work/kept" "$work/all"
  tar -C "$work/kept" -xzf "corpus/$target.tar.gz"
  if "$program" "$work/fresh" "$work/kept" "$limit" -timeout=10 -rss_limit_mb=2048 \
    -max_len=4096 ${FUZZ_SEED:+-seed=$FUZZ_SEED} -print_final_stats=1 -artifact_prefix="$found/$target-" >"$found/$target.log" 2>&1; then
    echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$found/$target.log") inputs, no difference"
  else
    grep -m1 -A3 panicked "$found/$target.log" || tail -n 5 "$found/$target.log"
    echo "$target: FAILED, see $found" >&2
    rm -r "$work"
    return 1
  fi
  if [ -n "${KEEP_CORPUS:-}" ]; then
    "$program" -set_cover_merge=1 -max_len=1024 "$work/all" "$work/kept" "$work/fresh" >/dev/null 2>&1
    tar -C "$work/all" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - . | gzip -9n >"corpus/$target.tar.gz"
  fi
  rm -r "$work"
}
export -f one
export target_dir host found limit
printf '%s\n' "${targets[@]}" | xargs -P 2 -I{} bash -c 'set -eu; one {}'
