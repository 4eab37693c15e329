#!/usr/bin/env bash
# A thousand slow connections by slowhttptest, in each of its modes (slow heads, slow bodies, slow readers), against the
# program in front of the echo service; other clients must be answered all the while. On loopback only, about 20 s.
set -euo pipefail
cd "$(dirname "$0")/../.."

CONNECTIONS=1000
# One slowhttptest opens its connections one after the other, with a pause after each.
PROCESSES=4
# The most for one mode; it ends as soon as enough answers have come beside all of the connections.
MODE_SECONDS=40
ANSWERS=20
# For one answer to a client that is not slow. A machine of two cores that runs the thousand others too may take its time;
# a client that waits for a slow one would wait for as long as that may live, which is longer.
ANSWER_SECONDS=10
# Both sides of the slow connections, and those to the upstream, are in this shell's children.
ulimit -n 8192

if ! command -v slowhttptest >/dev/null; then
  [ "$(id -u)" -eq 0 ] || { echo "Missing: slowhttptest. Install it with: sudo apt-get install slowhttptest" >&2; exit 1; }
  echo 'Installing slowhttptest'
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slowhttptest >/dev/null
fi

source gateway/clients/servers.sh
# A stream of replies that is read slowly holds a stream of the upstream, of which a connection has 256 here.
# The heads' time is as long as the slow ones may take, so that they are still there when the last of them has come.
front "
server = {header_timeout_ms = 60000}
listener = [{name = 'main', address = '127.0.0.1:0'}]
upstream = [{name = 'echo', url = 'http://$echo_address', reflection = true, connections = 8}]
surface = [{name = 'echo'}]"

# The connections of clients that the gateway has at this moment.
open_connections() {
  awk -v port="$(printf ':%04X' "${gateway##*:}")" '$4 == "01" && $2 ~ port "$"' /proc/net/tcp | wc -l
}

# mode NAME OPTION…: slow connections, and answers to two other clients meanwhile.
mode() {
  local name=$1 most=0 answers=0 now slow=()
  shift
  for _ in $(seq "$PROCESSES"); do
    timeout "$MODE_SECONDS" slowhttptest "$@" -c $((CONNECTIONS / PROCESSES)) -r 200 -l "$MODE_SECONDS" -p "$ANSWER_SECONDS" >"$work/slow" 2>&1 &
    slow+=($!)
  done
  running+=("${slow[@]}")
  while [ "$answers" -lt "$ANSWERS" ]; do
    if ! kill -0 "${slow[0]}" 2>/dev/null; then
      echo "$name: only $most connections of $CONNECTIONS were open at once" >&2
      tail -20 "$work/slow" >&2
      return 1
    fi
    for version in --http1.1 --http2-prior-knowledge; do
      if ! curl -sSf -o "$work/answer" "$version" --max-time "$ANSWER_SECONDS" "http://$gateway/v1/echo/hello"; then
        echo "$name: no answer beside $(open_connections) connections" >&2
        return 1
      fi
      grep -q '"text":"hello"' "$work/answer"
    done
    now=$(open_connections)
    [ "$now" -le "$most" ] || most=$now
    [ "$now" -lt "$CONNECTIONS" ] || answers=$((answers + 2))
    sleep 0.1
  done
  kill "${slow[@]}" 2>/dev/null || true
  wait "${slow[@]}" || true
  echo "$name: $answers answers beside $most connections"
  while [ "$(open_connections)" -gt 0 ]; do sleep 0.1; done
}

mode 'slow heads' -H -i 2 -u "http://$gateway/v1/echo/slow"
mode 'slow bodies' -B -i 2 -s 8192 -t POST -f application/json -u "http://$gateway/v1/echo"
mode 'slow readers' -X -n 2 -z 32 -w 16 -y 64 -t GET -m application/json -u "http://$gateway/v1/count/10?size=10000"
