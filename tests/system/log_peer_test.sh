#!/bin/bash
# The log as another implementation reads it: golang.org/x/mod/sumdb (note, tlog), from Debian. Checkpoint, tiles, entries
# and proofs that our programs made are verified by tests/peers/tlogcheck.go.
set -euo pipefail
build=${1:?usage: log_peer_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
gocode=/usr/share/gocode
command -v go >/dev/null && [ -d "$gocode/src/golang.org/x/mod/sumdb/tlog" ] ||
    { echo 'skipped: apt-get install --no-install-recommends golang-go golang-golang-x-mod-dev'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'daemon_stop || true; rm -rf "$work"' EXIT
export GO111MODULE=off GOPATH=$gocode GOCACHE=$work/gocache GOFLAGS= GOTOOLCHAIN=local GOPROXY=off
go build -o "$work/tlogcheck" tests/peers/tlogcheck.go || { echo 'skipped: this go does not build it'; exit 77; }

fill() { # FROM TO
    local n
    for n in $(seq "$1" "$2"); do
        printf 'url = "http://localhost/v1/measurements?specifier=%s"\noutput = /dev/null\n' "$(
            printf '[{"measurement_id":"n%05d","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%096d"}}}]\n' \
                "$n" "$n" | base64 -w0 | tr -d '=\n' | tr '+/' '-_'
        )"
    done >"$work/many"
    curl -sS --unix-socket "$MEASURED_SOCKET_DIR/api.sock" -K "$work/many"
}
size_is() { [ "$(daemon_get /v1/log/checkpoint | sed -n 2p)" = "$1" ]; }
daemon_config "$work/a" </dev/null
daemon_start "$work/a"
key=$(measuredctl log key)
fill 1 100
eventually 10 size_is 100 || fail 'the log does not have 100 entries'
daemon_get /v1/log/checkpoint >"$work/old"
fill 101 600
eventually 20 size_is 600 || fail 'the log does not have 600 entries'
daemon_get '/v1/log/growth?old=100' >"$work/growth"
measuredctl log prove --leaf 517 -o "$work/proof"
daemon_stop || fail 'the daemon did not end well'
measuredctl log export "$work/files" --db "$work/a/state/measured.db"
peer() { "$work/tlogcheck" "$work/files" "$key" "$work/proof" "$work/old" "$work/growth" >"$work/out" 2>&1; }
peer || fail "the other implementation: $(cat "$work/out")"
[ "$(cat "$work/out")" = '600 entries, leaf 517, growth 100 to 600' ] || fail "it saw $(cat "$work/out")"
# it can say no
cp "$work/growth" "$work/whole"
sed -i '2{h;d};3G' "$work/growth"
peer && fail 'it took a growth proof with two lines swapped'
cp "$work/whole" "$work/growth"
printf x | dd of="$work/files/v1/log/tile/entries/001" bs=1 seek=900 conv=notrunc status=none
peer && fail 'it took a changed entry'
check_log "$work/a"
check_end
