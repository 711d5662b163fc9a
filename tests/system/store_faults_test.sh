#!/bin/bash
# The disk under the database fails: what is good is served on, what cannot be stored is not (audit = require) or says
# so (best-effort), metrics and log tell, and when the fault is gone it works again, without a restart.
set -euo pipefail
build=${1:?usage: store_faults_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
holder=
unlock() {
    [ -n "$holder" ] || return 0
    kill "$holder" 2>/dev/null || true
    wait "$holder" 2>/dev/null || true
    holder=
}
trap 'unlock; daemon_stop || true; tls_stop; rm -rf "$work"' EXIT

publish() { # N
    printf '[{"measurement_id":"n%05d","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%096d"}}}]\n' \
        "$1" "$1" >"$work/new"
    mv "$work/new" "$work/tls/www/doc.json"
}
tls_start "$work/tls" --host docs.example.test
printf 'Cache-Control: max-age=60\n' >"$work/tls/www/doc.json.http"
configure() { # AUDIT
    daemon_config "$work" <<EOF
[policy]
audit = $1
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
EOF
}
url=$(measuredctl url --host h --location "https://docs.example.test:$TLS_PORT/doc.json")
spec=${url#https://}
spec=${spec%%@*}
refresh() { SOCKET=$work/run/admin.sock get "/v1/refresh?specifier=$spec" -X POST; }
store_errors() { daemon_get /metrics | sed -n 's/^measured_store_errors_total{op="commit"} //p'; }
serves() { # N WHAT
    get "/v1/measurements?specifier=$spec"
    want 200 "$2"
    body_has "$(printf 'n%05d' "$1")"
}

export FAULTIO=$work/fault
begin_fault() { # ERRNO|lock
    if [ "$1" = lock ]; then
        "$RIG_TOOLS/dbtamper" "$work/state/measured.db" lock >"$work/lock" &
        holder=$!
        eventually 10 grep -q locked "$work/lock" || fail 'cannot lock the database'
    else
        echo "$1" >"$work/fault.new"
        mv "$work/fault.new" "$FAULTIO"
    fi
}
end_fault() {
    rm -f "$FAULTIO"
    unlock
}
start() {
    LD_PRELOAD=$(realpath "$RIG_TOOLS/faultio.so") ASAN_OPTIONS=verify_asan_link_order=0:${ASAN_OPTIONS:-} \
        daemon_start "$work"
}
# ENOSPC, EIO, EROFS, somebody's lock
faults=(28 5 30 lock)

configure require
publish 1
start
n=1
refresh
want 200 'the first'
for fault in "${faults[@]}"; do
    before=$(store_errors)
    begin_fault "$fault"
    publish $((n + 1))
    refresh
    want 503 "error $fault: a change that cannot be stored"
    serves "$n" "error $fault: the good answer"
    [ "$(store_errors)" -gt "$before" ] || fail "error $fault: no metric tells"
    end_fault
    refresh
    want 200 "error $fault is gone"
    n=$((n + 1))
    serves "$n" "error $fault is gone"
done
[ "$(grep -c 'store: commit-failed' "$work/measured.log")" -ge 4 ] || fail "the log does not tell: $(cat "$work/measured.log")"
grep -q 'store: works-again' "$work/measured.log" || fail 'the log does not tell that it works again'
daemon_stop || fail "the exit status is $?"
check_log "$work"
"$RIG_TOOLS/dbcheck" "$work/state/measured.db" || fail 'the database is not clean'

configure best-effort
start
for fault in 28 lock; do
    begin_fault "$fault"
    n=$((n + 1))
    publish "$n"
    refresh
    want 200 "error $fault, best effort"
    body_has '"code":"audit"'
    serves "$n" "error $fault, best effort"
    end_fault
    refresh # in full, although nothing is new
    want 200 "error $fault is gone, best effort"
    body_lacks '"code":"audit"'
done
kill -9 "$DAEMON_PID"
wait "$DAEMON_PID" 2>/dev/null || true
DAEMON_PID=
tls_stop
mv "$work/measured.log" "$work/measured.killed.log"
start
serves "$n" 'what was stored later'
daemon_stop || fail "the exit status is $?"
check_log "$work"
"$RIG_TOOLS/dbcheck" "$work/state/measured.db" || fail 'the database is not clean'
check_end
