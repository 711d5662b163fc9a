#!/bin/bash
# GET /v1/measurements of an inline specifier on the Unix socket, with 1 and 50 connections, beside a bare
# libmicrohttpd server that sends the same bytes. Rounds alternate, so that what else the machine does hits both;
# the ratios are medians. CPU time a request depends less on neighbours than requests a second do.
set -euo pipefail
build=$(realpath "${1:?usage: http_bench.sh BUILD_DIR}")
here=$(dirname "$0")
MEASURED_BIN=$build/bin
. "$here/../tests/support/daemon.sh"

rounds=${ROUNDS:-5}
seconds=${SECONDS_A_ROUND:-1}
threads=2
work=$(mktemp -d /tmp/m.XXXXXX)
peer_pid=
trap 'daemon_stop || true; [ -z "$peer_pid" ] || kill "$peer_pid"; rm -rf "$work"' EXIT

for program in peer_mhd http_load; do
    cc -std=c17 -O2 -Wall -Wextra "$here/$program.c" -o "$work/$program" -lmicrohttpd
done
value=$(printf '%096d' 7)
echo "[{\"measurement_id\":\"one\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":{\"expected\":\"$value\"}}}]" \
    >"$work/one.json"
printf 'http-threads = %s\n' "$threads" | daemon_config "$work"
daemon_start "$work"
url=$(measuredctl url --host h --inline "$work/one.json")
target=${url#https://}
target=/v1/measurements?specifier=${target%%@*}
printf 'GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n' "$target" >"$work/request"
daemon_get "$target" -D "$work/head" -o "$work/body"

mapfile -t headers < <(tr -d '\r' <"$work/head" | sed -n 's/^\(Content-Type\|X-[A-Za-z-]*\|ETag\|Expires\): /\1:/p')
"$work/peer_mhd" "$work/peer.sock" "$work/body" "$threads" "${headers[@]}" &
peer_pid=$!
for _ in $(seq 100); do
    [ ! -S "$work/peer.sock" ] || break
    sleep 0.05
done

ticks_of() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
one_round() { # PID SOCKET CONNECTIONS: `REQ/S P50 P99 MAX CPU_US`
    local before after line
    before=$(ticks_of "$1")
    line=$("$work/http_load" "$2" "$work/request" "$3" "$seconds")
    after=$(ticks_of "$1")
    # the warm-up of 0.2 s counts for the processor but not for the requests
    awk -v t="$((after - before))" -v s="$seconds" -v hz="$(getconf CLK_TCK)" \
        '{ printf "%s %.2f\n", $0, t / hz * 1e6 / ($1 * (s + 0.2)) }' <<<"$line"
}
median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

printf '%-12s %11s %11s %8s %8s %9s %9s %7s %7s\n' connections ours/s peer/s ratio p99_us peer_p99 cpu_us peer_cpu cpu_ratio
for connections in 1 50; do
    : >"$work/rows"
    for _ in $(seq "$rounds"); do
        echo "$(one_round "$DAEMON_PID" "$work/run/api.sock" "$connections")" \
            "$(one_round "$peer_pid" "$work/peer.sock" "$connections")" >>"$work/rows"
    done
    column() { awk "{ print $1 }" "$work/rows" | median; }
    printf '%-12s %11.0f %11.0f %8.2f %8.0f %9.0f %9.2f %7.2f %7.2f\n' "$connections" "$(column '$1')" "$(column '$6')" \
        "$(column '$1 / $6')" "$(column '$3')" "$(column '$8')" "$(column '$5')" "$(column '$10')" "$(column '$5 / $10')"
done
