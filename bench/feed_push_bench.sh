#!/bin/bash
# How long a change that the core has detected takes to all subscribers of the feed: 1,000 and 10,000 connections.
# The targets are 10 ms and 100 ms. A list on a local https server changes, `refresh` has it read.
set -euo pipefail
build=$(realpath "${1:?usage: feed_push_bench.sh BUILD_DIR}")
cd "$(dirname "$0")/.."
MEASURED_BIN=$build/bin
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh

changes=${CHANGES:-5}
work=$(mktemp -d /tmp/m.XXXXXX)
crowd=
trap '[ -z "$crowd" ] || kill "$crowd" 2>/dev/null || true; daemon_stop || true; tls_stop; rm -rf "$work"' EXIT
RIG_TOOLS=$work
cc -std=c17 -O2 -Wall -Wextra -I. bench/feed_crowd.c -o "$work/feed_crowd"
cc -std=c17 -O2 tests/support/tools/tlsserver.c -o "$work/tlsserver" -lssl -lcrypto
ulimit -n "$(ulimit -Hn)"
tls_start "$work/tls" --host docs.example.test
list() {
    printf '[{"measurement_id":"one","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%096d"}}}]' "$1" \
        >"$work/tls/www/list.json"
}
list 0
daemon_config "$work" <<CONF
uid-watchers = 20000
uid-connections = 20000
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
CONF
daemon_start "$work"
url=$(measuredctl url --host h --location "https://docs.example.test:$TLS_PORT/list.json")
spec=${url#https://}
spec=${spec%%@*}

printf '%11s %9s %9s %9s\n' subscribers p50_ms p99_ms max_ms
number=0
for n in 1000 10000; do
    "$work/feed_crowd" "$work/run" "$spec" "$n" "$changes" >"$work/crowd" 2>"$work/crowd.err" &
    crowd=$!
    for round in $(seq 0 "$changes"); do
        for _ in $(seq 600); do
            [ "$(wc -l <"$work/crowd")" -le "$round" ] || break
            kill -0 "$crowd" 2>/dev/null || break
            sleep 0.1
        done
        [ "$(wc -l <"$work/crowd")" -gt "$round" ] || { cat "$work/crowd.err" >&2; exit 1; }
        [ "$round" -lt "$changes" ] || break
        number=$((number + 1))
        list "$number"
        measuredctl refresh "$spec" >/dev/null
    done
    wait "$crowd"
    crowd=
    awk '/^[0-9]/ { printf "%11d %9.1f %9.1f %9.1f\n", $1, $2, $3, $4 }' "$work/crowd"
done
