#!/bin/bash
# The examples for proxies do as they say: C with libmeasured, Go and Rust over the HTTP socket, against a real daemon.
# Where there is no Go or Rust that part is left out, and said so.
set -euo pipefail
build=${1:?usage: examples_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
command -v cc >/dev/null || { echo 'skipped: no cc'; exit 77; }
MEASURED_BIN=$build/bin
work=$(mktemp -d)
LOOP=
. tests/support/daemon.sh
. tests/support/check.sh
trap '[ -z "$LOOP" ] || kill "$LOOP" 2>/dev/null || true; daemon_stop || true; rm -rf "$work"' EXIT

good=$(printf 'ab%.0s' $(seq 48))
bad=$(printf 'cd%.0s' $(seq 48))
specifier=$(printf '[{"measurement_id":"example","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"}}}]' \
    "$good" | gzip -n | base64 -w0)
daemon_config "$work" </dev/null
daemon_start "$work"

# ---- C ----
cc -Wall -Wextra -Werror -Iinclude -o "$work/check" proxy-plugin/examples/check.c -L"$build/lib" -lmeasured
export LD_LIBRARY_PATH=$build/lib
# loop EXPECTED ARGUMENTS...: its first line
loop() {
    local want=$1
    shift
    : >"$work/out"
    "$work/check" "$@" >"$work/out" &
    LOOP=$!
    eventually 10 grep -q . "$work/out" || true
    kill "$LOOP"
    wait "$LOOP" 2>/dev/null || true
    LOOP=
    [ "$(head -n 1 "$work/out")" = "$want" ] || fail "check.c: $(cat "$work/out") instead of $want"
}
loop 'approved fresh example' "$specifier" dcap-tdx "0=$good"
loop 'refused fresh ' "$specifier" dcap-tdx "0=$bad"
loop 'refused fresh ' "$specifier" azure-tdx "0=$good"
loop 'unknown failed spec: not a specifier, nor an alias known here' 'nonsense!' dcap-tdx "0=$good"

# ---- Go, Rust ----
# program NAME COMMAND...
program() {
    local name=$1 got
    shift
    got=$("$@" "$specifier" dcap-tdx "{\"0\":\"$good\"}") || fail "$name: approved, exit status"
    [[ $got == approved* ]] || fail "$name: $got instead of approved"
    if got=$("$@" "$specifier" dcap-tdx "{\"0\":\"$bad\"}"); then fail "$name: refused, exit status"; fi
    [[ $got == refused* ]] || fail "$name: $got instead of refused"
    if got=$("$@" 'no such thing' dcap-tdx "{\"0\":\"$good\"}"); then fail "$name: unknown, exit status"; fi
    [[ $got == unknown* ]] || fail "$name: $got instead of unknown"
    if got=$(MEASURED_SOCKET_DIR=/nowhere "$@" "$specifier" dcap-tdx "{\"0\":\"$good\"}"); then
        fail "$name: no daemon, exit status"
    fi
    [[ $got == unknown* ]] || fail "$name: $got instead of unknown without a daemon"
}
if command -v go >/dev/null; then
    (cd proxy-plugin/examples && GOFLAGS=-mod=mod GO111MODULE=off GOTOOLCHAIN=local CGO_ENABLED=0 \
        go build -o "$work/check-go" check.go) || fail 'check.go does not build'
    program check.go "$work/check-go"
else
    echo 'note: no go, check.go was not tried'
fi
if command -v rustc >/dev/null; then
    rustc --edition 2021 -D warnings -o "$work/check-rs" proxy-plugin/examples/check.rs || fail 'check.rs does not build'
    program check.rs "$work/check-rs"
else
    echo 'note: no rustc, check.rs was not tried'
fi
check_log "$work"
check_end
