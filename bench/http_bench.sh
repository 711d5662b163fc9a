#!/bin/bash
# GET /v1/measurements of an inline set of 600 bytes on the Unix socket, beside three peers that send the same bytes in the
# same run: a bare libmicrohttpd server with a static body, an epoll loop that parses nothing, and redis GET of a value
# of the body's size (when redis-server is there). One connection with server and load on one processor, 50 with all of
# them. Rounds alternate, so that what else the machine does hits all; the figures are medians.
#
#   ROUNDS=5 SECONDS_A_ROUND=1 bench/http_bench.sh BUILD_DIR
set -euo pipefail
build=$(realpath "${1:?usage: http_bench.sh BUILD_DIR}")
here=$(dirname "$0")
MEASURED_BIN=$build/bin
. "$here/../tests/support/daemon.sh"

rounds=${ROUNDS:-5}
seconds=${SECONDS_A_ROUND:-1}
threads=2
work=$(mktemp -d /tmp/m.XXXXXX)
peers=()
trap 'daemon_stop || true; [ ${#peers[@]} -eq 0 ] || kill "${peers[@]}" || true; rm -rf "$work"' EXIT

for program in peer_mhd peer_echo http_load; do
    cc -std=c17 -O2 -Wall -Wextra "$here/$program.c" -o "$work/$program" -lmicrohttpd
done
# five registers, as a DCAP record pins them: about 600 bytes
registers=
for i in 0 1 2 3 4; do
    registers+=${registers:+,}"\"$i\":{\"expected\":\"$(printf '%096d' "$i")\"}"
done
echo "[{\"measurement_id\":\"one\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{$registers}}]" >"$work/one.json"
printf 'http-threads = %s\n' "$threads" | daemon_config "$work"
daemon_start "$work"
url=$(measuredctl url --host h --inline "$work/one.json")
target=${url#https://}
target=/v1/measurements?specifier=${target%%@*}
printf 'GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n' "$target" >"$work/request"
daemon_get "$target" -D "$work/head" -o "$work/body"
cat "$work/head" "$work/body" >"$work/reply"

declare -A pid=([ours]=$DAEMON_PID) sock=([ours]=$work/run/api.sock) request=([ours]=$work/request)
order=(ours mhd echo)
await_socket() {
    for _ in $(seq 100); do
        [ ! -S "$1" ] || return 0
        sleep 0.05
    done
    echo "nobody listens on $1" >&2
    exit 1
}
start_peer() { # NAME REQUEST_FILE COMMAND...: it listens on $work/NAME.sock
    local name=$1
    request[$name]=$2
    sock[$name]=$work/$name.sock
    shift 2
    "$@" >"$work/$name.log" 2>&1 &
    pid[$name]=$!
    peers+=($!)
    await_socket "${sock[$name]}"
}
mapfile -t headers < <(tr -d '\r' <"$work/head" | sed -n 's/^\(Content-Type\|X-[A-Za-z-]*\|ETag\|Expires\): /\1:/p')
start_peer mhd "$work/request" "$work/peer_mhd" "$work/mhd.sock" "$work/body" "$threads" "${headers[@]}"
start_peer echo "$work/request" "$work/peer_echo" "$work/echo.sock" "$work/reply" "$(stat -c %s "$work/request")"
if command -v redis-server >/dev/null; then
    order+=(redis)
    printf '*2\r\n$3\r\nGET\r\n$1\r\nk\r\n' >"$work/get"
    start_peer redis "$work/get" redis-server --port 0 --unixsocket "$work/redis.sock" --save '' --appendonly no
    { printf '*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n' "$(stat -c %s "$work/body")"; cat "$work/body"; printf '\r\n'; } >"$work/set"
    "$work/http_load" "$work/redis.sock" "$work/set" 1 0.1 >/dev/null
else
    echo 'redis-server is not installed: no comparison with redis GET' >&2
fi

pin() { # CPU_LIST: every thread of every server
    local p
    for p in "${pid[@]}"; do
        taskset -a -p -c "$1" "$p" >/dev/null
    done
}
ticks_of() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
one_round() { # NAME CONNECTIONS CPU_LIST: `REQ/S P50 P99 CPU_US`
    local before after line
    before=$(ticks_of "${pid[$1]}")
    line=$(taskset -c "$3" "$work/http_load" "${sock[$1]}" "${request[$1]}" "$2" "$seconds")
    after=$(ticks_of "${pid[$1]}")
    # the warm-up of 0.2 s counts for the processor but not for the requests
    awk -v t="$((after - before))" -v s="$seconds" -v hz="$(getconf CLK_TCK)" \
        '{ printf "%s %s %s %.2f\n", $1, $2, $3, t / hz * 1e6 / ($1 * (s + 0.2)) }' <<<"$line"
}
median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
column() { awk -v c="$2" '{ print $c }' "$work/rows.$1" | median; }
# median of the ratios of each round, ours to the peer's
ratio() { paste -d ' ' "$work/rows.ours" "$work/rows.$1" | awk -v c="$2" '{ print $c / $(c + 4) }' | median; }

echo "a body of $(stat -c %s "$work/body") bytes, a reply of $(stat -c %s "$work/reply"), medians of $rounds rounds of $seconds s"
all=0-$(($(nproc) - 1))
for run in "1 0" "50 $all"; do
    read -r connections cpus <<<"$run"
    pin "$cpus"
    rm -f "$work"/rows.*
    for _ in $(seq "$rounds"); do
        for name in "${order[@]}"; do
            one_round "$name" "$connections" "$cpus" >>"$work/rows.$name"
        done
    done
    printf '\n%s connections, processors %s\n%-7s %11s %8s %8s %8s %12s %12s\n' "$connections" "$cpus" \
        server requests/s p50_us p99_us cpu_us ours/it 'cpu ours/it'
    for name in "${order[@]}"; do
        printf '%-7s %11.0f %8.0f %8.0f %8.2f %12.2f %12.2f\n' "$name" "$(column "$name" 1)" "$(column "$name" 2)" \
            "$(column "$name" 3)" "$(column "$name" 4)" "$(ratio "$name" 1)" "$(ratio "$name" 4)"
    done
done
