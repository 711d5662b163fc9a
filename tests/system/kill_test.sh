#!/bin/bash
# kill -9 at random moments while several entries change as fast as they can and are asked for: the database opens,
# every row, history and bundle verifies (dbcheck), every set that was ever given out is there, and the next daemon
# serves at least what was acknowledged. ROUNDS kills; 1000 when $MS_SOAK is set.
set -euo pipefail
build=${1:?usage: kill_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

rounds=${ROUNDS:-${MS_SOAK:+1000}}
rounds=${rounds:-5}
writers=4
work=$(mktemp -d /tmp/m.XXXXXX)
children=()
stop_children() {
    [ ${#children[@]} -eq 0 ] || kill "${children[@]}" 2>/dev/null || true
    [ ${#children[@]} -eq 0 ] || wait "${children[@]}" 2>/dev/null || true
    children=()
}
daemon_kill() {
    [ -n "$DAEMON_PID" ] || return 0
    kill -9 "$DAEMON_PID" 2>/dev/null || true
    wait "$DAEMON_PID" 2>/dev/null || true
    DAEMON_PID=
}
trap 'stop_children; daemon_kill; tls_stop; rm -rf "$work"' EXIT

tls_start "$work/tls" --host docs.example.test
daemon_config "$work" <<EOF
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
EOF
publish() { # WRITER N
    printf '[{"measurement_id":"n%05d","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%096d"}}}]\n' \
        "$2" "$2" >"$work/new$1"
    mv "$work/new$1" "$work/tls/www/$1.json"
}
for w in $(seq "$writers"); do
    printf 'Cache-Control: max-age=600\n' >"$work/tls/www/$w.json.http"
    url=$(measuredctl url --host h --location "https://docs.example.test:$TLS_PORT/$w.json")
    spec=${url#https://}
    echo "${spec%%@*}" >"$work/spec$w"
    : >"$work/given$w"
    : >"$work/read$w"
    echo 0 >"$work/published$w"
    publish "$w" 0
done

# `KEY SET_HASH NUMBER` of an envelope; nothing when it is none
facts() { # an envelope does not end in a newline
    { cat; echo; } | sed -n 's/.*"key":"\([0-9a-f]*\)".*"set_hash":"sha256:\([0-9a-f]*\)".*"measurement_id":"n0*\([0-9][0-9]*\)".*/\1 \2 \3/p'
}
writer() { # what it was given is what somebody may rely on
    local n spec
    n=$(cat "$work/published$1")
    spec=$(cat "$work/spec$1")
    while :; do
        n=$((n + 1))
        echo "$n" >"$work/published$1.new" && mv "$work/published$1.new" "$work/published$1"
        publish "$1" "$n"
        curl -s --max-time 10 --unix-socket "$work/run/admin.sock" -X POST "http://h/v1/refresh?specifier=$spec" |
            facts >>"$work/given$1" || true
    done
}
reader() {
    local spec
    spec=$(cat "$work/spec$1")
    while :; do
        curl -s --max-time 10 --unix-socket "$work/run/api.sock" "http://h/v1/resolve?specifier=$spec" |
            facts >>"$work/read$1" || true
    done
}

more_given() { [ "$(cat "$work"/given* | wc -l)" -gt "$1" ]; }

check_given() { # ROUND: nothing was given out that is not durable
    sed -n 's/^history //p' "$work/list" | sort -u >"$work/durable"
    cat "$work"/given* "$work"/read* | cut -d' ' -f1,2 | sort -u >"$work/told"
    lost=$(comm -13 "$work/durable" "$work/told" | wc -l)
    [ "$lost" = 0 ] || fail "round $1: $lost sets were given out and are not in the database"
}
check_served() { # ROUND: the daemon that has just begun, before anything is fetched
    local w acknowledged served published
    for w in $(seq "$writers"); do
        acknowledged=$(cat "$work/given$w" "$work/read$w" | cut -d' ' -f3 | sort -n | tail -n 1)
        published=$(cat "$work/published$w")
        [ -n "$acknowledged" ] || continue
        get "/v1/resolve?specifier=$(cat "$work/spec$w")"
        want 200 "round $1, writer $w"
        served=$(facts <"$work/body" | cut -d' ' -f3)
        if [ -z "$served" ] || [ "$served" -lt "$acknowledged" ] || [ "$served" -gt "$published" ]; then
            fail "round $1, writer $w: serves ${served:-nothing}, acknowledged was $acknowledged of $published"
        fi
    done
}

seed=${SEED:-$RANDOM}
RANDOM=$seed
while_starting=0
told=0
before=0 # of them when the round began
for round in $(seq "$rounds"); do
    if [ $((round % 10)) = 5 ]; then # while it starts
        measured -c "$work/measured.conf" >"$work/measured.starting.log" 2>&1 &
        DAEMON_PID=$!
        sleep "0.0$((RANDOM % 10))"
        daemon_kill
        while_starting=$((while_starting + 1))
    fi
    daemon_start "$work" || { fail "round $round: the daemon does not start"; break; }
    check_served "$round"
    for w in $(seq "$writers"); do
        writer "$w" &
        children+=($!)
    done
    reader $((RANDOM % writers + 1)) &
    children+=($!)
    # every other time not before something was given out, however slow the machine is
    given=$(cat "$work"/given* | wc -l)
    [ $((round % 2)) = 0 ] || eventually 20 more_given "$given" || fail "round $round: no answer in 20 s"
    sleep "0.$(printf '%03d' $((RANDOM % 500)))"
    daemon_kill
    stop_children
    check_log "$work"
    "$RIG_TOOLS/dbcheck" "$work/state/measured.db" "$work/list" >"$work/counts" 2>"$work/bad" ||
        fail "round $round: the database is not clean: $(cat "$work/bad")"
    check_given "$round"
    [ "$CHECK_BAD" = 0 ] || break
    told=$((told + $(wc -l <"$work/told") - before))
    before=$(wc -l <"$work/told")
    [ $((round % 100)) = 0 ] || continue
    # a new database now and then: all of it is verified each time
    echo "$round kills, $told sets given out"
    rm -rf "$work/state"
    for w in $(seq "$writers"); do
        : >"$work/given$w"
        : >"$work/read$w"
    done
    before=0
done
[ "$told" -ge $((rounds / 2)) ] || fail "only $told sets were given out in $rounds rounds"
echo "seed $seed: $rounds kills under load, $while_starting while starting; $told sets given out, $(cat "$work/counts")"
check_end
