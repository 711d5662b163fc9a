#!/bin/bash
# kill -9 at any moment: the database opens, what was acknowledged is still served without the network, and it is
# a set that was once published. Damaged evidence is not served, and the log says why.
set -euo pipefail
build=${1:?usage: crash_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'daemon_kill; tls_stop; rm -rf "$work"' EXIT
daemon_kill() {
    [ -n "$DAEMON_PID" ] || return 0
    kill -9 "$DAEMON_PID" 2>/dev/null || true
    wait "$DAEMON_PID" 2>/dev/null || true
    DAEMON_PID=
}
publish() { # N: the document with that number, put in place at once as an editor would
    printf '[{"measurement_id":"n%05d","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%096d"}}}]\n' \
        "$1" "$1" >"$work/new"
    mv "$work/new" "$work/tls/www/doc.json"
}
number_in() { sed -n 's/.*"measurement_id":"n0*\([0-9][0-9]*\)".*"0":{"expected":"0*\1"}.*/\1/p' "$1"; }

tls_start "$work/tls" --host docs.example.test
printf 'Cache-Control: max-age=60\n' >"$work/tls/www/doc.json.http"
tls_port=$TLS_PORT
publish 1
daemon_config "$work" <<EOF
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
EOF
url=$(measuredctl url --host h --location "https://docs.example.test:$tls_port/doc.json")
spec=${url#https://}
spec=${spec%%@*}
admin() { curl -sS --max-time 10 --unix-socket "$work/run/admin.sock" "$@"; }

# A writer changes the document and asks for it; a request that answers 200 acknowledges its set. One line for each
# attempt, written before, and one for each acknowledgement, after.
activity() {
    local n=$1 answer
    while :; do
        n=$((n + 1))
        publish "$n"
        echo "published $n" >>"$work/journal"
        answer=$(admin -X POST "http://h/v1/refresh?specifier=$spec" 2>/dev/null) || continue
        n_got=$(number_in <(echo "$answer"))
        [ -z "$n_got" ] || echo "acknowledged $n_got" >>"$work/journal"
    done
}
last_of() { sed -n "s/^$1 //p" "$work/journal" | tail -n 1; }

echo 'published 1' >"$work/journal"
echo 'acknowledged 0' >>"$work/journal"
rounds=8
for round in $(seq $rounds); do
    daemon_start "$work" || { fail "round $round: the daemon does not start"; break; }
    if [ "$round" -gt 1 ]; then
        get "/v1/measurements?specifier=$spec"
        want 200 "round $round"
        served=$(number_in "$work/body")
        if [ -z "$served" ] || [ "$served" -lt "$acknowledged" ] || [ "$served" -gt "$published" ]; then
            fail "round $round: serves n${served:-?}, acknowledged was $acknowledged, published $published"
        fi
        get "/v1/resolve?specifier=$spec"
        body_has '"state":"(fresh|stale-while-revalidate|stale-if-error)"'
        age=$(($(date +%s) - $(sed -n 's/.*"fetched_at":\([0-9]*\).*/\1/p' "$work/body")))
        [ "$age" -ge 0 ] && [ "$age" -lt 60 ] || fail "round $round: the age is $age s"
        tls_start "$work/tls" --host docs.example.test --port "$tls_port"
        # The CA is a new one, so a daemon that has read the old one must be started again.
        daemon_kill
        daemon_start "$work"
    fi
    activity "$(last_of published)" &
    writer=$!
    sleep "0.$((200 + RANDOM % 700))"
    daemon_kill
    kill "$writer" 2>/dev/null || true
    wait "$writer" 2>/dev/null || true
    tls_stop
    published=$(last_of published)
    acknowledged=$(last_of acknowledged)
    mv "$work/measured.log" "$work/measured.round$round.log"
    "$RIG_TOOLS/dbtamper" "$work/state/measured.db" count >"$work/counts"
    grep -qx ok "$work/counts" || fail "round $round: the database is not whole: $(cat "$work/counts")"
done
[ "$acknowledged" -gt "$rounds" ] || fail "only $acknowledged sets were acknowledged"
echo "$rounds rounds, $published published, $acknowledged acknowledged"

# kill -9 while it starts
for _ in 1 2 3 4; do
    measured -c "$work/measured.conf" >"$work/measured.starting.log" 2>&1 &
    DAEMON_PID=$!
    sleep "0.0$((RANDOM % 10))"
    daemon_kill
done
daemon_start "$work" || fail 'does not start after it was killed while starting'
get "/v1/measurements?specifier=$spec"
want 200 'after all that'
daemon_stop || fail "the exit status is $?"
check_log "$work"

# ---- damage, without network: nothing wrong is served ----

cp -r "$work/state" "$work/good"
damaged() { # WHAT
    rm -rf "$work/state"
    cp -r "$work/good" "$work/state"
    mv "$work/measured.log" "$work/measured.before-$1.log"
    "$RIG_TOOLS/dbtamper" "$work/state/measured.db" "$1"
    daemon_start "$work" || { fail "$1: the daemon does not start"; return 0; }
    get "/v1/measurements?specifier=$spec"
    [[ $STATUS = 502 || $STATUS = 503 ]] || fail "$1: $STATUS $(cat "$work/body")"
    not_json "$1"
    get "/v1/resolve?specifier=$spec"
    [[ $STATUS = 502 || $STATUS = 503 ]] || fail "resolve, $1: $STATUS"
    grep -qE 'stored-entry-refused' "$work/measured.log" || fail "$1: the log does not say why: $(cat "$work/measured.log")"
    daemon_stop || fail "$1: the exit status is $?"
}
damaged blob
damaged row
damaged set
# The key of the codes is gone: nothing on disk can be trusted, but the daemon runs.
rm -rf "$work/state"
cp -r "$work/good" "$work/state"
rm "$work/state/measured.hmac"
if daemon_start "$work" 2>/dev/null; then
    get "/v1/measurements?specifier=$spec"
    [ "$STATUS" != 200 ] || fail 'without the key: served'
    daemon_stop || fail "without the key: the exit status is $?"
fi
# No database at all in the file's place: said, not overwritten.
rm -rf "$work/state"
cp -r "$work/good" "$work/state"
echo 'not a database, but long enough to be taken for something of value' >"$work/state/measured.db"
cp "$work/state/measured.db" "$work/kept"
if daemon_start "$work" 2>/dev/null; then
    daemon_stop || true
    find "$work/state" -type f -exec cmp -s {} "$work/kept" \; -print | grep -q . || fail 'a foreign file was overwritten'
fi
# Undamaged, it is served, with its true age.
rm -rf "$work/state"
cp -r "$work/good" "$work/state"
daemon_start "$work"
get "/v1/resolve?specifier=$spec"
want 200 'the undamaged copy'
fetched=$(sed -n 's/.*"fetched_at":\([0-9]*\).*/\1/p' "$work/body")
[ "$fetched" -le "$(date +%s)" ] && [ "$fetched" -gt "$(($(date +%s) - 300))" ] || fail "fetched_at is $fetched"
daemon_stop || fail "the exit status is $?"
check_log "$work"
check_end
