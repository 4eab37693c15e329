#!/usr/bin/env bash
# grpcurl, with nothing but reflection to go by.
set -euo pipefail

check() { [ "$2" = "$3" ] || { printf '%s:\n  expected %s\n  got      %s\n' "$1" "$3" "$2" >&2; exit 1; }; }
# Without what a gateway on the way says of the client.
call() {
  grpcurl -plaintext "$@" "$ECHO_ADDRESS" "$method" | tr -d ' \n' |
    sed -E 's/,?"x-(forwarded-for|forwarded-proto|request-id)":"[^"]*"//g; s/\{,/{/g; s/,"metadata":\{\}//g'
}

check 'services' "$(grpcurl -plaintext "$ECHO_ADDRESS" list | grep echo)" 'echo.v1.EchoService'
grpcurl -plaintext "$ECHO_ADDRESS" describe echo.v1.EchoRequest | grep -q 'repeated string tags = 4'
method=echo.v1.EchoService/Echo
check 'unary' "$(call -d '{"text":"a","number":"9007199254740993"}')" \
  '{"request":{"text":"a","number":"9007199254740993"}}'
check 'metadata' "$(call -H 'x-lead: one' -d '{}')" '{"request":{},"metadata":{"x-lead":"one"}}'
method=echo.v1.EchoService/Count
check 'server stream' "$(call -d '{"to":3}')" '{"index":1}{"index":2}{"index":3}'
method=echo.v1.EchoService/Sum
check 'client stream' "$(call -d '{"number":3} {"number":4}')" '{"sum":"7","messages":2}'
method=echo.v1.EchoService/Chat
check 'both' "$(call -d '{"text":"a"} {"text":"b"}')" '{"request":{"text":"a"}}{"request":{"text":"b"}}'
method=echo.v1.EchoService/Echo
failed=$(grpcurl -plaintext -d '{"fail":{"code":9,"message":"not now"}}' "$ECHO_ADDRESS" "$method" 2>&1 || true)
grep -q 'Code: FailedPrecondition' <<<"$failed"
grep -q 'Message: not now' <<<"$failed"
echo 'grpcurl: 8 passed'
