#!/bin/bash
# The feed with the real daemon and libmeasured: a change is pushed, a dead daemon's set ends at its deadline to the
# millisecond, a restart resumes, and a hostile subscriber holds up nobody.
set -euo pipefail
build=${1:?usage: feed_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
probes=()
end_probes() {
    local pid
    for pid in "${probes[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${probes[@]}"; do wait "$pid" 2>/dev/null || true; done
    probes=()
}
trap 'end_probes; daemon_stop || true; tls_stop; rm -rf "$work"' EXIT
tls_start "$work/tls" --host docs.example.test
www=$work/tls/www
value=$(printf '%096d' 7)
other=$(printf '%096d' 8)
record() { printf '{"measurement_id":"%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"}}}' "$1" "$2"; }
list() { # FILE LIFETIME RECORD...: served with that Cache-Control
    local file=$1 life=$2
    shift 2
    printf 'Cache-Control: %s\n' "$life" >"$www/$file.json.http"
    (IFS=,; printf '[%s]' "$*") >"$www/$file.json"
}
spec_of() { local u; u=$(measuredctl url --host h "$@"); u=${u#https://}; echo "${u%%@*}"; }
location() { spec_of --location "https://docs.example.test:$TLS_PORT/$1.json"; }
config() {
    daemon_config "$work" <<CONF
uid-watchers = 40
${1:-}
[times]
location-min = 0s
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
[alias ours]
specifier = ${2:-$changing}
CONF
}
probe() { # NAME SPEC...: its lines in $work/NAME
    local name=$1
    shift
    : >"$work/$name"
    "$RIG_TOOLS/feedprobe" "$work/run" dcap-tdx "0=$value" "$@" >"$work/$name" 2>"$work/$name.err" &
    probes+=($!)
}
last() { grep "set=${2:-0} " "$work/$1" | tail -n 1; }
says() { last "$1" "${3:-0}" | grep -q "$2"; }
want_says() { # NAME PATTERN [SET] [SECONDS]
    eventually "${4:-10}" says "$1" "$2" "${3:-0}" || fail "$1 set ${3:-0} never says '$2': $(tail -n 4 "$work/$1")"
}
field() { sed -n "s/.* $2=\([^ ]*\).*/\1/p" <<<"$1"; }

list changing 'max-age=300' "$(record one "$value")"
list short 'max-age=3, must-revalidate' "$(record short "$value")"
changing=$(location changing)
short=$(location short)
nothing=$(location nothing)
record inline "$value" >"$work/inline.json"
sed -i 's/.*/[&]/' "$work/inline.json"
inline=$(spec_of --inline "$work/inline.json")
config
daemon_start "$work"

# ---- what comes first, and what a specifier that is none is told ----
probe a "$changing" "$inline" ours "https://ours@app.example.test/" nonsense "$nothing" 0x1111111111111111111111111111111111111111
for set in 0 2 3; do want_says a 'verdict=approved state=fresh .* id=one' "$set"; done
want_says a 'verdict=approved state=fresh .* id=inline hard=9223372036854775807' 1
want_says a 'verdict=unknown state=failed .* spec: ' 4
want_says a 'verdict=unknown state=negative' 5
want_says a 'verdict=unknown state=negative' 6

# ---- a change, a revocation and a new approval are pushed ----
list changing 'max-age=300' "$(record two "$other")"
measuredctl refresh "$changing" >/dev/null
for set in 0 2 3; do want_says a 'verdict=refused state=fresh' "$set" 2; done
list changing 'max-age=300' "$(record three "$other")" "$(record four "$value")"
measuredctl refresh "$changing" >/dev/null
want_says a 'verdict=approved state=fresh .* id=four' 0 2
list changing 'max-age=300'
measuredctl refresh "$changing" >/dev/null
want_says a 'verdict=refused state=revoked' 0 2
list changing 'max-age=300' "$(record five "$value")"
measuredctl refresh "$changing" >/dev/null
want_says a 'verdict=approved state=fresh .* id=five' 0 2
[ "$(grep 'set=1 ' "$work/a" | grep -vc state=waiting)" = 1 ] ||
    fail "an inline list has more to say than once: $(grep 'set=1 ' "$work/a")"

# ---- while the daemon lives a short set is renewed, without a gap ----
probe short "$short"
want_says short verdict=approved
sleep 7
! grep 'set=0 verdict=unknown' "$work/short" | grep -v state=waiting || fail "a set that is renewed was not usable for a while"
renewals=$(daemon_get /metrics | sed -n 's/^measured_feed_renewals_total //p')
[ "$renewals" -ge 1 ] || fail "no times were renewed in 7 s of a set that lives 3"

# ---- killed: to the deadline, not longer, not shorter ----
kill -9 "$DAEMON_PID"
wait "$DAEMON_PID" 2>/dev/null || true
DAEMON_PID=
want_says short 'verdict=unknown state=expired' 0 10
approved=$(grep 'set=0 verdict=approved' "$work/short" | tail -n 1)
expired=$(last short)
hard=$(field "$approved" hard)
late=$((${expired%% *} - hard))
echo "the set ended $late ms after its deadline"
# the probe looks each millisecond; a loaded machine may not let it
[ "$late" -ge 0 ] && [ "$late" -le 250 ] || fail "the set ended $late ms after its deadline"
says a 'verdict=approved' 0 || fail "a set with time left was dropped with the daemon: $(last a)"
says a 'verdict=approved' 1 || fail 'an inline list was dropped with the daemon'

# ---- back: readers resume by themselves ----
daemon_start "$work"
want_says short 'verdict=approved state=fresh' 0 15
list changing 'max-age=300' "$(record six "$other")"
# they come one by one, within seconds
eventually 15 grep -q '^measured_feed_subscriptions [7-9]' <(daemon_get /metrics) ||
    eventually 15 sh -c "curl -s --unix-socket '$work/run/api.sock' http://localhost/metrics | grep -q '^measured_feed_subscriptions [6-9]'" ||
    fail "readers did not come back: $(daemon_get /metrics | grep measured_feed)"
measuredctl refresh "$changing" >/dev/null
want_says a 'verdict=refused' 0 10

# ---- a reload: an alias means something else now ----
config '' "$inline"
kill -HUP "$DAEMON_PID"
want_says a 'verdict=approved .* id=inline' 2 15
want_says a 'verdict=approved .* id=inline' 3 15

# ---- one user's share ----
many=()
for _ in $(seq 45); do many+=("$inline"); done
probe many "${many[@]}"
eventually 10 grep -q 'state=failed .* quota: ' "$work/many" || fail "more than uid-watchers subscriptions: $(tail -n 3 "$work/many")"
end_probes
eventually 10 sh -c "curl -s --unix-socket '$work/run/api.sock' http://localhost/metrics | grep -q '^measured_feed_subscriptions 0'" ||
    fail "subscriptions outlive their connections: $(daemon_get /metrics | grep measured_feed)"

# ---- hostile subscribers: rubbish, floods, nobody reads; the others are served ----
probe b "$changing"
want_says b verdict=refused
"$RIG_TOOLS/feedfoe" "$work/run" "$changing" 6 >"$work/foe" 2>&1 &
probes+=($!)
foe=$!
sleep 1
list changing 'max-age=300' "$(record seven "$value")"
measuredctl refresh "$changing" >/dev/null
changed=$(awk '{ printf "%d", $1 * 1000 }' /proc/uptime)
want_says b 'verdict=approved .* id=seven' 0 5
seen=$(last b)
echo "beside hostile subscribers a change took $((${seen%% *} - changed)) ms from the end of refresh"
wait "$foe" || fail "the foe: $(cat "$work/foe")"
cat "$work/foe"
[ "$(rss "$DAEMON_PID")" -lt 400000 ] || fail "$(rss "$DAEMON_PID") KiB resident after hostile subscribers"

# ---- SIGTERM: they are told, and keep what they have ----
daemon_stop || fail 'the daemon did not end with 0'
eventually 5 grep -q 'pump=' "$work/b" || fail 'the reader was not told that the daemon stops'
says b verdict=approved || fail "a set was dropped with the daemon: $(last b)"
check_log "$work"
check_end
