#!/usr/bin/env bash
# How fast the program starts, cold (empty data folder) and warm, and how much memory it takes idle, without Postgres.
# usage: bench/start.sh [program]; exits with 1 when a limit is exceeded.
set -euo pipefail

program=$(realpath "${1:-target/release/pulpo}")
runs=${RUNS:-5}
cold_limit_ms=2000 warm_limit_ms=500 memory_limit_kib=$((60 * 1024))

folder=$(mktemp -d)
chmod 755 "$folder"
pid=
cleanup() {
    if [[ -n "$pid" ]]; then
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    fi
    rm -rf "$folder"
}
trap cleanup EXIT
cd "$folder" # away from any pulpo.toml
for surface in PULLPUSH PUSHPAKA PUPPYONE PULSE INTEGRATIONS; do
    export "PULPO_${surface}_ADDR=127.0.0.1:0"
done

# Starts, waits for the ready line, and leaves the time in started_ms and the memory in memory_kib.
start() {
    local began deadline
    : >out
    began=$(date +%s%N)
    "$program" dev --data-dir "$folder/data" >out 2>log &
    pid=$!
    deadline=$((SECONDS + 30))
    until grep -q '^ready' out; do
        if ! kill -0 "$pid" 2>/dev/null || ((SECONDS > deadline)); then
            echo "did not start:" >&2
            tail -n 20 log >&2
            exit 1
        fi
        sleep 0.005
    done
    started_ms=$((($(date +%s%N) - began) / 1000000))
    sleep 1
    memory_kib=$(awk '/^VmRSS/ {print $2}' "/proc/$pid/status")
    kill -TERM "$pid"
    wait "$pid"
    pid=
}

worst() { printf '%s\n' "$@" | sort -n | tail -n 1; }

cold=() warm=() memory=()
for ((run = 0; run < runs; run++)); do
    rm -rf data
    start
    cold+=("$started_ms") memory+=("$memory_kib")
    start
    warm+=("$started_ms") memory+=("$memory_kib")
done

status=0
report() { # name, worst value, limit, unit
    local verdict=ok
    if (($2 > $3)); then
        verdict="TOO MUCH" status=1
    fi
    echo "$1: $2 $4 (worst of $runs runs, limit $3 $4) $verdict"
}
report "cold start" "$(worst "${cold[@]}")" "$cold_limit_ms" ms
report "warm start" "$(worst "${warm[@]}")" "$warm_limit_ms" ms
report "idle memory" "$(worst "${memory[@]}")" "$memory_limit_kib" KiB
exit "$status"
