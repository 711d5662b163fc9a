#!/bin/bash
# One local user does what he can to keep the daemon for himself: another one is served all the same, what is new to
# it as well, and the greedy one is told 429. Needs root, who asks as another user (nobody, in root's group).
# With $MS_SOAK set: with the limits as they are by default, and for longer.
set -euo pipefail
build=${1:?usage: fairness_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
[ "$(id -u)" = 0 ] && command -v setpriv >/dev/null || { echo 'skipped: it takes root and setpriv to be two users'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
chmod 755 "$work" # nobody must reach the socket and the tool
cp "$RIG_TOOLS/httpclients" "$work/"
greedy=()
end_greedy() {
    local pid
    for pid in "${greedy[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${greedy[@]}"; do wait "$pid" 2>/dev/null || true; done
    greedy=()
    cat "$work"/greedy.* 2>/dev/null | sed '/holding/d; /closed early/d; s/^/  the greedy one: /' || true
    rm -f "$work"/greedy.*
}
trap 'end_greedy; daemon_stop || true; tls_stop; rm -rf "$work"' EXIT
setpriv --reuid=65534 --regid=0 --clear-groups true 2>/dev/null || { echo 'skipped: not allowed to become another user'; exit 77; }

tls_start "$work/tls" --host docs.example.test --host '*.example.test'
www=$work/tls/www
doc='[{"measurement_id":"n","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%096d"}}}]'
document() { printf "$doc" "$2" >"$www/$1.json"; } # NAME NUMBER
location() { local u; u=$(measuredctl url --host h --location "https://${HOST:-docs.example.test}:$TLS_PORT/$1.json"); u=${u#https://}; echo "${u%%@*}"; }
for n in $(seq 30); do document "cold$n" "$n"; done
document slow 100
printf '!delay-ms 2500\n' >"$www/slow.json.http"
for n in $(seq 0 99); do
    document "hangs$n" "$n"
    printf '!delay-ms 30000\n' >"$www/hangs$n.json.http"
done
hosts=$(for n in $(seq 0 99); do printf ', h%d.example.test:%s:127.0.0.1' "$n" "$TLS_PORT"; done)

if [ -n "${MS_SOAK:-}" ]; then
    limits='' connections=12000 waiting=1024 seconds=30
else
    limits=$'uid-connections = 1500\nuid-waiting = 1024\nuid-watchers = 200\nuid-resolutions = 128'
    connections=1500 waiting=1024 seconds=2
fi
daemon_config "$work" <<CONF
$limits
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1$hosts
CONF
daemon_start "$work"
chmod 755 "$work/run"
sock=$work/run/api.sock

as_nobody() { # MODE N TARGET
    local out=$work/greedy.$RANDOM$RANDOM
    GREEDY_OUT=$out
    setpriv --reuid=65534 --regid=0 --clear-groups "$work/httpclients" "$sock" "$@" >"$out" 2>"$out.err" &
    greedy+=($!)
    eventually 30 grep -qx holding "$out" || fail "the greedy one ($*) does not come up"
}
metric() { get /metrics --max-time 10; want 200 metrics; sed -n "s/^$1 //p" "$work/body"; }
refused() { metric "measured_quota_refusals_total{share=\"$1\"}"; }
cold=0
within() { # MS WHAT TARGET: 200 in time
    local start took
    start=$(date +%s%N)
    get "$3" --max-time 20
    took=$((($(date +%s%N) - start) / 1000000))
    want 200 "$2"
    [ "$took" -lt "$1" ] || fail "$2: $took ms"
    echo "  $2: $took ms"
}
others_are_served() { # WHAT
    echo "$1"
    cold=$((cold + 1))
    within 1000 'a hit' "/v1/measurements?specifier=$hit"
    within 4500 'a cold location' "/v1/measurements?specifier=$(location "cold$cold")"
    printf "$doc" "$((1000 + cold))" >"$work/new.json"
    local u
    u=$(measuredctl url --host h --inline "$work/new.json") u=${u#https://}
    within 4500 'a new inline list' "/v1/measurements?specifier=${u%%@*}"
    within 2000 'metrics' /metrics
    curl -sN --max-time 1 --unix-socket "$sock" "http://h/v1/watch?specifier=$hit" >"$work/events" 2>/dev/null || true
    grep -q '^event: set' "$work/events" || fail "$1: a watcher hears nothing"
}
hit=$(location cold30)
others_are_served 'alone'

as_nobody idle $((connections + 300)) -
get "/v1/status"; want 200 status
body_has "\"uid\": *65534"
n=$(tr -d ' \n' <"$work/body" | grep -o '{"uid":65534[^}]*}' | grep -o '"connections":[0-9]*')
[ "$n" = "\"connections\":$connections" ] || fail "nobody has $n instead of $connections"
others_are_served 'all the connections one may have, and more'
[ "$(refused connections)" -ge 300 ] || fail "only $(refused connections) connections were refused"
# What one over the limit gets to read.
answer=$(setpriv --reuid=65534 --regid=0 --clear-groups curl -s -D - -o /dev/null --unix-socket "$sock" http://h/healthz || true)
grep -q '^HTTP/1.1 429' <<<"$answer" && grep -qi '^Retry-After: 1' <<<"$answer" || fail "one connection too many gets: $answer"
end_greedy
gone() { [ "$(metric measured_connections)" -lt 20 ]; }
eventually 10 gone || fail 'connections that are closed are still counted'

# The places of one key: another user gets one.
as_nobody noread 1100 "/v1/measurements?specifier=$(location slow)"
within 4000 'the very key the greedy one waits for' "/v1/measurements?specifier=$(location slow)"
[ "$(($(metric measured_overloads_total) + $(refused waiting)))" -ge 50 ] || fail 'more than 1,024 waited for one key'
end_greedy

# Servers that never answer, of many hosts, and of the one that others need.
as_nobody flood 200 "/v1/measurements?specifier=%{https://h%h.example.test:$TLS_PORT/hangs%h.json}"
as_nobody flood 100 "/v1/measurements?specifier=%{https://docs.example.test:$TLS_PORT/hangs%h.json}"
sleep 1
others_are_served 'every transfer is taken, and the host is busy'
[ "$(refused resolutions)" -ge 1 ] || [ -n "${MS_SOAK:-}" ] || fail 'nothing was refused'
end_greedy

as_nobody noread 1100 "/v1/watch?specifier=$hit"
others_are_served 'watchers'
[ "$(refused watchers)" -ge 1 ] || fail 'as many watchers as one likes'
end_greedy

as_nobody flood 60 '/v1/measurements?specifier=%i'
as_nobody flood 60 /v1/status
sleep "$seconds"
others_are_served 'new lists and status pages all the time'
[ "$(refused replies)" -ge 1 ] || fail 'as many status pages at once as one likes'
end_greedy
others_are_served 'and afterwards'

daemon_stop || fail "the exit status is $?"
check_log "$work"
check_end
