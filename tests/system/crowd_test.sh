#!/bin/bash
# 10,000 idle clients and 100 slow ones: hits of the others keep their latency. Then descriptors run out: clients wait,
# the database and sources do not, nothing spins, and when there are some again everybody is served.
# Short: 1,500 idle ones, and no ratio is asked for (sanitizers, other tests beside). With $MS_SOAK set: all 10,000,
# against a release build when there is one of these sources, and the ratio must be 2 at most.
set -euo pipefail
build=${1:?usage: crowd_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
release=$(dirname "$build")/release/bin
if [ -n "${MS_SOAK:-}" ] && [ -x "$release/measured" ]; then MEASURED_BIN=$(realpath "$release"); fi
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
idle=1500 seconds=0.5 rounds=1
if [ -n "${MS_SOAK:-}" ]; then idle=10000 seconds=3 rounds=5; fi
tls_start "$work/tls" --host docs.example.test
value=$(printf '%096d' 7)
doc="[{\"measurement_id\":\"one\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":{\"expected\":\"$value\"}}}]"
for n in $(seq 9); do echo "$doc" >"$work/tls/www/$n.json"; done
spec_of() { local u; u=$(measuredctl url --host h "$@"); u=${u#https://}; echo "${u%%@*}"; }
location() { spec_of --location "https://docs.example.test:$TLS_PORT/$1.json"; }
echo "$doc" >"$work/one.json"
one=$(spec_of --inline "$work/one.json")
config() {
    daemon_config "$work" <<CONF
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
CONF
}
hold() { # MODE N
    local out=$work/holding.$RANDOM$RANDOM
    "$RIG_TOOLS/httpclients" "$work/run/api.sock" "$1" "$2" - >"$out" 2>&1 &
    clients+=($!)
    eventually 30 grep -qx holding "$out" || fail "$1: not all $2 are connected: $(head -n 3 "$out")"
}
metric() { get /metrics --max-time 10; want 200 metrics; sed -n "s/^$1 //p" "$work/body"; }
ticks() { awk '{ print $14 + $15 }' "/proc/$DAEMON_PID/stat"; }
quiet() { # WHAT: a second of rest is rest
    local before after
    sleep 0.3
    before=$(ticks)
    sleep 1
    after=$(ticks)
    echo "$1: $((after - before)) ticks of processor time in a second"
    [ $((after - before)) -lt $(($(getconf CLK_TCK) / 4)) ] || fail "$1: the daemon is busy: $((after - before)) ticks in a second"
}

# ---- latency ----

cc -std=c17 -O2 bench/http_load.c -o "$work/http_load"
config
daemon_start "$work"
printf 'GET /v1/measurements?specifier=%s HTTP/1.1\r\nHost: localhost\r\n\r\n' "$one" >"$work/request"
get "/v1/measurements?specifier=$one"; want 200 'an inline answer'
load() { for _ in $(seq "$rounds"); do "$work/http_load" "$work/run/api.sock" "$work/request" 4 "$seconds"; done |
    sort -n -k3 | awk '{ v[NR] = $0 } END { print v[int((NR + 1) / 2)] }'; }
alone=$(load)
hold idle "$idle"
hold slow 100
[ "$(metric measured_connections)" -ge $((idle + 100)) ] || fail "only $(metric measured_connections) connections are there"
quiet "$idle idle and 100 slow ones"
crowded=$(load)
echo "hits a second, p50 us, p99 us, longest us: alone $alone; beside $idle idle and 100 slow ones $crowded"
ratio=$(awk '{ printf "p50 %.2f p99 %.2f", $6 / $2, $7 / $3 }' <<<"$alone $crowded")
echo "ratio: $ratio"
if [ -n "${MS_SOAK:-}" ]; then
    awk '{ exit !($2 <= 2 && $4 <= 2) }' <<<"$ratio" || fail "the latency of hits: $ratio"
fi
[ -z "${MS_SOAK:-}" ] || echo "resident with all of them: $(rss "$DAEMON_PID") KiB"
end_clients
daemon_stop || fail "the exit status is $?"

# ---- descriptors ----

# A hard limit of 300 leaves 150 for connections, and the daemon says so.
config
(ulimit -n 300 && exec bash -c '. tests/support/daemon.sh && daemon_start "$1" && echo "$DAEMON_PID" >"$1/pid" && disown -a' _ "$work") || fail 'it does not start with 300 descriptors'
DAEMON_PID=$(cat "$work/pid")
export MEASURED_SOCKET_DIR=$work/run
grep -q 'few-descriptors.* limit=300 .*connections=150' "$work/measured.log" || fail 'it does not say that 300 are few'
get "/v1/resolve?specifier=$(location 1)"; want 200 'before they run out'
[ "$(metric measured_connections_max)" = 150 ] || fail "room for $(metric measured_connections_max) connections"
# One user takes his three quarters, and what is more is told 429.
hold idle 400
open=$(ls "/proc/$DAEMON_PID/fd" | wc -l)
[ "$open" -lt 250 ] || fail "$open descriptors are open"
quiet 'as many as one may have'
end_clients
served() { get "/v1/resolve?specifier=$1" --max-time 8; [ "$STATUS" = 200 ]; }
eventually 5 served "$(location 2)" || fail "after they left: $STATUS"

# Descriptors are taken away while it runs: accept(2) finds none, not even for the first connection.
prlimit --pid "$DAEMON_PID" --nofile=48:300
hold idle 80 # most of them in the backlog
quiet 'no descriptor is left'
grep -q 'cannot-accept.*cause="Too many open files"' "$work/measured.log" || fail 'it does not say that it cannot accept'
get /healthz --max-time 1
[ "$STATUS" = 000 ] || fail "a connection was accepted beyond the limit: $STATUS"
end_clients
eventually 8 served "$(location 3)" || fail "after descriptors were freed: $STATUS $(cat "$work/body")"
prlimit --pid "$DAEMON_PID" --nofile=300:300
eventually 5 served "$(location 4)" || fail "after the limit was raised: $STATUS"
[ "$(metric measured_accept_failures_total)" -ge 1 ] || fail 'failures of accept are not counted'
[ "$(metric 'measured_store_errors_total{op="commit"}')" = 0 ] || fail 'the database ran out of descriptors'
kill "$DAEMON_PID"
gone() { ! kill -0 "$DAEMON_PID" 2>/dev/null; }
eventually 10 gone || { fail 'it does not end'; kill -9 "$DAEMON_PID"; }
DAEMON_PID=
check_log "$work"
check_end
