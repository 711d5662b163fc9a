#!/bin/bash
# One user of the feed against the others: what was found by trying to break it.
set -euo pipefail
build=${1:?usage: feed_abuse_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
started=()
end_started() {
    local pid
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
    started=()
}
trap 'end_started; daemon_stop || true; tls_stop; rm -rf "$work"' EXIT
tls_start "$work/tls" --host docs.example.test
value=$(printf '%096d' 7)
other=$(printf '%096d' 8)
list() { # VALUE: what is approved
    printf 'Cache-Control: max-age=300\n' >"$work/tls/www/set.json.http"
    printf '[{"measurement_id":"one","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"}}}]' \
        "$1" >"$work/tls/www/set.json"
}
list "$value"
spec=$(measuredctl url --host h --location "https://docs.example.test:$TLS_PORT/set.json")
spec=${spec#https://}
spec=${spec%%@*}
daemon_config "$work" <<CONF
[times]
location-min = 0s
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
CONF
daemon_start "$work"

abuse() { # WAY SECONDS [OPTIONS]
    "$RIG_TOOLS/feedabuse" "$1" "$work/run" "$spec${3:-}" "$2" >"$work/$1" 2>&1 &
    started+=($!)
    eventually 60 grep -q ready "$work/$1" || fail "$1: $(cat "$work/$1")"
}
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$DAEMON_PID/stat"; }
says() { tail -n 1 "$work/probe" | grep -q "$1"; }

# ---- subscriptions that end while their first answer is on its way; nobody else has the same ----
measuredctl resolve "$spec" >/dev/null
for n in 1 2 3; do abuse churn 8 ";max-age=1000$n"; done
for pid in "${started[@]: -3}"; do wait "$pid" || fail "the daemon did not outlive subscriptions that come and go"; done

# ---- one set of many records, followed in a thousand ways: the core has time for others ----
records=$(for i in $(seq 900); do
    printf ',{"measurement_id":"r%d","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%096d"}}}' "$i" "$i"
done)
printf 'Cache-Control: max-age=300\n' >"$work/tls/www/large.json.http"
printf '[%s]' "${records:1}" >"$work/tls/www/large.json"
large=$(measuredctl url --host h --location "https://docs.example.test:$TLS_PORT/large.json")
large=${large#https://}
measuredctl resolve "${large%%@*}" >"$work/large" || fail 'the large set'
spec=${large%%@*} abuse vary 5
daemon_get /v1/status --max-time 5 >"$work/status" || fail 'the core has no time for others'

"$RIG_TOOLS/feedprobe" "$work/run" dcap-tdx "0=$value" "$spec" >"$work/probe" 2>&1 &
probe=$!
started+=("$probe")
eventually 10 says verdict=approved || fail "the reader: $(cat "$work/probe")"

# ---- an inline list that somebody asked for by its hash only, and follows ----
printf '[{"measurement_id":"in","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"}}}]' "$value" >"$work/inline.json"
inline=$(measuredctl url --host h --inline "$work/inline.json")
inline=${inline#https://}
inline=${inline%%@*}
hash=$(measuredctl explain "$inline" --json | grep -o 'sha256:[0-9a-f]\{64\}' | head -n 1)
"$RIG_TOOLS/feedprobe" "$work/run" dcap-tdx "0=$value" "$hash" >"$work/hash" 2>&1 &
started+=($!)
eventually 10 grep -q state=negative "$work/hash" || fail "a hash without a document: $(cat "$work/hash")"
get "/v1/measurements?specifier=$inline"
want 200 'an inline list whose hash was asked for'
"$RIG_TOOLS/feedprobe" "$work/run" dcap-tdx "0=$value" "$inline" >"$work/inline" 2>&1 &
started+=($!)
eventually 5 grep -q verdict=approved "$work/inline" || fail "an inline list: $(cat "$work/inline")"

# ---- one that is to be closed, but reads nothing and has more to say ----
abuse deaf 6
before=$(cpu_ticks)
sleep 5
used=$(($(cpu_ticks) - before))
[ "$used" -lt 100 ] || fail "the daemon was busy for $used of 500 ticks with one who says nothing"

# ---- a descriptor that takes long to close: a revocation is pushed all the same ----
if printf '6.16\n%s\n' "$(uname -r)" | sort -V -C; then
    abuse linger 20
    list "$other"
    measuredctl refresh "$spec" >/dev/null
    eventually 3 says verdict=refused || fail "a user's descriptor holds up a revocation: $(tail -n 1 "$work/probe")"
    list "$value"
    measuredctl refresh "$spec" >/dev/null
    eventually 10 says verdict=approved || fail "the reader: $(tail -n 1 "$work/probe")"
fi

# ---- snapshots that lie unread on many connections: a revocation is heard of all the same ----
end_started
daemon_stop || fail 'the daemon did not end with 0'
measured() { # as an ordinary user's, whose unread descriptors are limited
    ulimit -n 8192
    [ "$(id -u)" != 0 ] || exec setpriv --bounding-set=-sys_resource,-sys_admin "$MEASURED_BIN/measured" "$@"
    exec "$MEASURED_BIN/measured" "$@"
}
daemon_start "$work"
"$RIG_TOOLS/feedprobe" "$work/run" dcap-tdx "0=$value" "$spec" >"$work/probe" 2>&1 &
started+=($!)
eventually 10 says verdict=approved || fail "the reader: $(cat "$work/probe")"
abuse hoard 20
list "$other"
measuredctl refresh "$spec" >/dev/null
eventually 5 says 'verdict=\(refused\|unknown\)' || fail "unread snapshots hold up a revocation: $(tail -n 1 "$work/probe")"
end_started

end_started
daemon_stop || fail 'the daemon did not end with 0'
check_log "$work"
check_end
