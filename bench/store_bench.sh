#!/bin/bash
# Group commit: COUNT new locations asked for at once by 1 and by 64 clients, each a change that must be durable before
# it is answered; how many transactions carried them. The https server is on loopback; the disk is that of $TMPDIR.
#   COUNT=500 bench/store_bench.sh [BUILD_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
count=${COUNT:-1000}
cmake --build "$build" --target measured measuredctl rig_tools >/dev/null
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/m.XXXXXX")
trap 'daemon_stop || true; tls_stop; rm -rf "$work"' EXIT
cc -std=c17 -O2 -Wall -Wextra bench/ask_all.c -o "$work/ask_all" -lpthread
tls_start "$work/tls" --host docs.example.test
for i in $(seq "$count"); do
    printf '[{"measurement_id":"n%05d","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%096d"}}}]\n' \
        "$i" "$i" >"$work/tls/www/$i.json"
    printf 'url:%s\n' "$(printf 'https://docs.example.test:%s/%s.json' "$TLS_PORT" "$i" | basenc -w0 --base64url | tr -d '=')"
done >"$work/specifiers"
printf '%-8s %8s %8s %12s %8s %12s\n' clients good others answers/s changes transactions
for clients in 1 64; do
    daemon_config "$work" <<EOF
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
EOF
    rm -rf "$work/state"
    daemon_start "$work"
    read -r good others seconds _ < <("$work/ask_all" "$work/run/api.sock" "$work/specifiers" "$clients")
    count_of() { daemon_get /metrics | sed -n "s/^measured_store_$1_total //p"; }
    printf '%-8s %8s %8s %12s %8s %12s\n' "$clients" "$good" "$others" \
        "$(awk -v n="$count" -v s="$seconds" 'BEGIN { printf "%.0f", n / s }')" "$(count_of commits)" "$(count_of transactions)"
    daemon_stop
done
