#!/bin/bash
# Slow, idle, vanishing and deaf clients: others are served, memory stays bounded, and the daemon ends in time.
set -euo pipefail
build=${1:?usage: clients_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
export MEASURED_BIN
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
clients=()
end_clients() {
    local pid
    for pid in "${clients[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${clients[@]}"; do wait "$pid" 2>/dev/null || true; done
    clients=()
}
trap 'end_clients; daemon_stop || true; tls_stop; rm -rf "$work"' EXIT
tls_start "$work/tls" --host docs.example.test
www=$work/tls/www
document() { # FILE FIRST COUNT
    local i
    printf '[' >"$work/new"
    for ((i = $2; i < $2 + $3; i++)); do
        printf '%s{"measurement_id":"n%05d","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%096d"}}}' \
            "$([ "$i" = "$2" ] || echo ,)" "$i" "$i" >>"$work/new"
    done
    echo ']' >>"$work/new"
    mv "$work/new" "$1"
}
document "$work/one.json" 1 1
document "$www/large.json" 1 400
document "$www/slow.json" 1 1
printf '!delay-ms 1500\nCache-Control: no-store\n' >"$www/slow.json.http"
spec_of() { local u; u=$(measuredctl url --host h "$@") || return 1; u=${u#https://}; echo "${u%%@*}"; }
one=$(spec_of --inline "$work/one.json")
large=$(spec_of --location "https://docs.example.test:$TLS_PORT/large.json")
slow=$(spec_of --location "https://docs.example.test:$TLS_PORT/slow.json")

hold() { # MODE N TARGET [SOCKET]
    local out=$work/holding.$RANDOM$RANDOM
    "$RIG_TOOLS/httpclients" "${4:-$folder/run/api.sock}" "$1" "$2" "$3" >"$out" &
    clients+=($!)
    eventually 20 grep -qx holding "$out" || fail "$1: not all $2 are connected"
}
served() { # WHAT: an inline answer, a metrics page and a location within a second or so
    local start
    start=$(date +%s%N)
    get "/v1/measurements?specifier=$one" --max-time 10; want 200 "$1: an inline answer"
    get /healthz --max-time 10; want 200 "$1: healthz"
    get /metrics --max-time 10; want 200 "$1: metrics"
    get "/v1/measurements?specifier=$large" --max-time 10; want 200 "$1: a location"
    [ $((($(date +%s%N) - start) / 1000000)) -lt 3000 ] || fail "$1: it took $((($(date +%s%N) - start) / 1000000)) ms"
}
everything() { # FOLDER
    folder=$1
    daemon_config "$1" <<EOF
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
EOF
    # the usual soft limit of descriptors, which a service manager may leave in force
    (ulimit -Sn 1024 && exec bash -c '. tests/support/daemon.sh && daemon_start "$1" && echo "$DAEMON_PID" >"$1/pid" && disown -a' _ "$1") || fail 'the daemon does not start'
    DAEMON_PID=$(cat "$1/pid")
    DAEMON_LOG=$1/measured.log
    export MEASURED_SOCKET_DIR=$1/run
    served 'alone'
    first=$(rss "$DAEMON_PID")

    hold idle 1000 -
    served '1000 idle connections'
    hold slow 20 -
    hold partial 50 -
    hold body 20 /v1/check
    served 'slow heads and bodies'
    end_clients

    # Who leaves while the core works for him.
    for _ in 1 2 3 4 5; do
        "$RIG_TOOLS/httpclients" "$1/run/api.sock" leave 40 "/v1/measurements?specifier=$slow"
        "$RIG_TOOLS/httpclients" "$1/run/api.sock" leave 10 "/v1/watch?specifier=$slow"
        "$RIG_TOOLS/httpclients" "$1/run/api.sock" leave 10 /metrics
    done
    served 'clients that left'
    "$RIG_TOOLS/httpclients" "$1/run/api.sock" get 20 "/v1/measurements?specifier=$slow" >"$work/answers"
    [ "$(grep -c '^200 ' "$work/answers")" = 20 ] || fail "after clients that left: $(sort "$work/answers" | uniq -c)"

    # 200 watchers, most of them deaf, while the document changes.
    hold noread 200 "/v1/watch?specifier=$large"
    : >"$work/events"
    curl -sSN --max-time 60 --unix-socket "$1/run/api.sock" "http://h/v1/watch?specifier=$large" >"$work/events" 2>/dev/null &
    clients+=($!)
    local n
    for n in $(seq 10); do
        document "$www/large.json" "$((n * 1000))" 400
        curl -sS --max-time 20 -o "$work/refreshed" --unix-socket "$1/run/admin.sock" -X POST "http://h/v1/refresh?specifier=$large"
        grep -q "\"n$(printf %05d "$((n * 1000))")\"" "$work/refreshed" || fail "change $n did not arrive: $(head -c 200 "$work/refreshed")"
    done
    heard() { grep -q '"n10000"' "$work/events"; }
    eventually 10 heard || fail 'a watcher that listens did not hear the last change'
    served '200 deaf watchers'
    last=$(rss "$DAEMON_PID")

    # Everything at once, to its end.
    hold idle 100 -
    hold slow 10 -
    hold partial 10 -
    hold body 10 /v1/check
    hold noread 50 "/v1/measurements?specifier=$large"
    hold noread 5 "/v1/measurements?specifier=$slow" "$1/run/admin.sock"
    local start pid=$DAEMON_PID
    start=$(date +%s)
    kill "$pid"
    gone() { ! kill -0 "$pid" 2>/dev/null; }
    eventually 15 gone || { fail 'it does not end'; kill -9 "$pid"; }
    DAEMON_PID=
    [ $(($(date +%s) - start)) -le 10 ] || fail "the end took $(($(date +%s) - start)) s"
    [ ! -e "$1/run/api.sock" ] || fail 'it did not end by itself: api.sock is left'
    end_clients
    check_log "$1"
}
everything "$work"

release=$(dirname "$build")/release/bin
if [ -x "$release/measured" ] &&
    [ -z "$(find base eth sig resolver cache -name '*.[ch]' -newer "$release/measured")" ]; then
    mkdir "$work/r"
    MEASURED_BIN=$(realpath "$release")
    everything "$work/r"
    echo "resident: $first KiB at first, $last KiB with everybody there"
    [ "$((last - first))" -lt 150000 ] || fail "the daemon grew from $first to $last KiB"
else
    echo 'memory is not looked at: no release build of these sources'
fi
check_end
