#!/bin/bash
# The past of signed sets: forty of them, published by measuredctl release, with other signers from the middle on and a
# number that the signers left out. The daemon goes back from the one it accepted, each set named by the one after it;
# a set that is gone and one that was altered are gaps that are told, what is below them rests on its signatures and
# says so; a daemon that is killed goes on where it was; and a database with a byte of it changed is found out.
set -euo pipefail
build=${1:?usage: set_backfill_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
command -v jq >/dev/null || { echo 'skipped: no jq'; exit 77; }
command -v sqlite3 >/dev/null && have_sqlite=yes || have_sqlite=no
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$(realpath "$build/tests")
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'daemon_stop || true; tls_stop; rm -rf "$work"' EXIT

signers=()
for fill in a1 b2 c3 d4; do
    install -m 600 <(printf "$fill%.0s" {1..32}) "$work/$fill.key"
    signers+=("$("$RIG_TOOLS/release_tool" owner $fill)")
done
tls_start "$work/tls" --host docs.example.test
www=$work/tls/www/.well-known/measured
mkdir -p "$www"
spec=2of3:${signers[0]},${signers[1]},${signers[2]}
url=https://$spec@docs.example.test:$TLS_PORT/

release() { measuredctl release "$@" 2>"$work/words" || fail "release $*: $(cat "$work/words")"; }
sign() { # FILE KEY...
    local file=$1 key
    shift
    for key in "$@"; do release sign --key-file "$work/$key.key" --replace -o "$file" "$file"; done
}
measurements() { # FILL
    printf '[{"measurement_id":"r%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"}}}]' \
        "$1" "$(printf "$1%.0s" {1..48})" >"$work/m$1.json"
}

# ---- forty sets ----

newest=40 turn=20 left_out=34 now=$(date +%s)
issued() { echo $((now - (newest - $1) * 3600)); }
release root new --signers "2of3:${signers[1]},${signers[2]},${signers[3]}" -o "$work/1.root.json"
sign "$work/1.root.json" b2 c3
last=
for ((i = 1; i <= newest; i++)); do
    [ $i != $left_out ] || continue
    set=$www/$i.set.json
    measurements "$(printf %02x $i)"
    args=(--sequence $i --version $i.0.0 --issued-at "$(date -u -d "@$(issued $i)" +%Y-%m-%dT%H:%M:%SZ)")
    [ -z "$last" ] || args+=(--previous "$last")
    [ $i != 7 ] || args+=(--drop 3) # the third release goes in set 7
    release new "${args[@]}" -o "$set" "$work/m$(printf %02x $i).json"
    if [ $i -le $turn ]; then sign "$set" a1 b2; else sign "$set" c3 d4; fi
    last=$set
done
cp "$www/$newest.set.json" "$www/set.json"
cp "$work/1.root.json" "$www/"
mkdir "$work/kept"
cp "$www/12.set.json" "$www/30.set.json" "$work/kept/"

configure() { # RATE [KEY = VALUE]: into [policy]
    daemon_config "$work" <<CONF
[policy]
backfill-rate = $1
${2:-}
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
CONF
}
status_of() { daemon_get "/v1/backfill?specifier=$spec"; }
asked_sets() { tls_count '[0-9]\.set\.json'; }
history_of() { measuredctl history "$spec" --json >"$work/history" 2>"$work/words" || fail "history: exit $?"; }
told() { jq -r "$1" "$work/history"; }
clean() { measuredctl audit --db "$work/state/measured.db" >"$work/audit" 2>&1 || fail "$1: $(cat "$work/audit")"; }

configure 100
daemon_start "$work"
status=0
measuredctl backfill 'inline:W10' >/dev/null 2>"$work/words" || status=$?
[ $status = 1 ] || fail "an inline list has no past: exit $status: $(cat "$work/words")"
get "/v1/resolve?url=$url"
want 200 'the newest set'
body_has "\"sequence\":$newest"
daemon_stop || fail "the daemon ended with $?"

# ---- one is gone, one was altered; killed in the middle ----

rm "$www/12.set.json"
sed -i 's/"validUntil": *\([0-9]*\)/"validUntil":1\1/' "$www/30.set.json"
cmp -s "$www/30.set.json" "$work/kept/30.set.json" && fail 'set 30 was not altered'
configure 10
daemon_start "$work"
curl -sS --max-time 20 -X POST --unix-socket "$work/run/admin.sock" "http://localhost/v1/backfill?specifier=$spec" >/dev/null
half_done() { [ "$(status_of | jq '.stored // 0')" -gt 0 ]; }
eventually 30 half_done || fail "nothing was stored: $(status_of)"
had=$(status_of | jq .stored)
kill -9 "$DAEMON_PID"
wait "$DAEMON_PID" 2>/dev/null || true
DAEMON_PID=
[ "$had" -lt 30 ] || fail 'it was done before it was killed'
clean 'killed in the middle'
before=$(asked_sets)
configure 100
daemon_start "$work"
measuredctl backfill "$spec" --json >"$work/done" 2>"$work/words" || fail "after a kill: exit $?"
[ "$(jq -r '.kind, .state, .complete, .sets' "$work/done" | xargs)" = "sets done false $newest" ] || fail "after a kill: $(cat "$work/done")"
[ "$(jq -c .gaps "$work/done")" = '[{"from":30,"to":30},{"from":12,"to":12}]' ] || fail "gaps: $(cat "$work/done")"
# thirty-nine below the newest, without the one left out, the one gone and the one altered
[ "$(jq .stored "$work/done")" = 36 ] || fail "stored: $(cat "$work/done")"
jq -e '.complaints[] | select(.provider == "docs.example.test" and (.text | startswith("30.set.json: it is not the set")))' \
    "$work/done" >/dev/null || fail "nobody complains of set 30: $(cat "$work/done")"
again=$(($(asked_sets) - before))
[ $again -le $((39 - had)) ] || fail "after a kill: $again requests although $had sets were stored"

history_of
[ "$(told '[.[] | select(.kind == "gap") | "\(.from)-\(.to)"] | join(" ")')" = '12-12 30-30' ] || fail "gaps: $(cat "$work/history")"
[ "$(told '[.[] | select(.source == "previous" and .kind == "set")] | length')" = 36 ] || fail 'sets told'
[ "$(told '[.[] | select(.source == "seen")] | length')" = 1 ] || fail 'what was seen'
[ "$(told '[.[] | select(.kind != "gap") | .sequence] | . == sort and (unique | length == 37)')" = true ] || fail 'order'
proofs() { told "[.[] | select(.source == \"previous\" and .kind == \"set\" and .proof == \"$1\") | .sequence] | join(\" \")"; }
[ "$(proofs chain)" = '31 32 33 35 36 37 38 39' ] || fail "proven by the chain: $(proofs chain)"
[ "$(proofs signatures)" = "$(seq -s ' ' 1 29 | sed 's/ 12 / /')" ] || fail "by signatures: $(proofs signatures)"
[ "$(told '[.[] | select(.complete == true) | .sequence] | join(" ")')" = "$(seq -s ' ' 1 11)" ] || fail 'complete'
signed() { told ".[] | select(.source == \"previous\" and .kind == \"set\" and .sequence == $1) | .signers | \"\(.counted) \(.threshold) \(.of) \(.epoch) \(.met)\""; }
[ "$(signed 20)" = '2 2 3 0 true' ] || fail "who signed set 20: $(signed 20)"
[ "$(signed 21)" = '2 2 3 1 true' ] || fail "who signed set 21: $(signed 21)"
set7=$(told '.[] | select(.sequence == 7 and .source == "previous")')
[ "$(jq -r '[.added[].release, .removed[].release] | join(" ")' <<<"$set7")" = '7 3' ] || fail "set 7: $set7"
[ "$(jq .time <<<"$set7")" = "$(issued 7)" ] || fail "set 7: $set7"
for form in '' --csv --md; do
    measuredctl history "$spec" $form >"$work/text" 2>"$work/words" || fail "history $form"
    [ "$(grep -c 'sets [0-9]* to [0-9]* are missing' "$work/text")" = 2 ] || fail "history $form: gaps"
    grep -q "2 of 3, 2 needed, root 1" "$work/text" || fail "history $form: signers"
done
measuredctl history "$spec" 2>"$work/words" | grep -A4 'sequence 29 ' | grep -q 'rests on signatures alone' || fail 'set 29'

# ---- what had been signed by a time before the daemon knew anything ----

measuredctl at "$spec" "$(($(issued 21) + 60))" --json >"$work/at" 2>"$work/words" && fail 'in force before anything was accepted'
[ "$(jq -c '[.known, .in_force, .signed.sequence, .signed.valid, .signed.gap, (.signed.releases | length)]' "$work/at")" = \
    '[false,false,21,true,false,20]' ] || fail "at: $(cat "$work/at")"
measuredctl at "$spec" "$(($(issued 29) + 60))" --json >"$work/at" 2>"$work/words" || true
[ "$(jq -c '[.signed.sequence, .signed.gap]' "$work/at")" = '[29,true]' ] || fail "at a gap: $(cat "$work/at")"
measuredctl at "$spec" "$(($(issued 29) + 60))" >"$work/at" 2>"$work/words" || true
grep -q 'sets after it are missing' "$work/at" || fail "at a gap: $(cat "$work/at")"
clean 'with gaps'

# ---- what was missing is found ----

cp "$work/kept/12.set.json" "$work/kept/30.set.json" "$www/"
before=$(asked_sets)
measuredctl backfill "$spec" --json >"$work/done" 2>"$work/words" || fail "again: exit $?"
[ "$(jq -c '[.complete, .stored, .gaps]' "$work/done")" = '[true,38,[]]' ] || fail "again: $(cat "$work/done")"
[ "$(($(asked_sets) - before))" = 2 ] || fail "$(($(asked_sets) - before)) requests for two sets"
history_of
[ "$(proofs chain)" = "$(seq -s ' ' 1 39 | sed 's/ 34 / /')" ] || fail "all by the chain: $(proofs chain)"
[ "$(told '[.[] | select(.kind == "gap" or .complete == false)] | length')" = 0 ] || fail 'gaps that are closed'
before=$(asked_sets)
measuredctl backfill "$spec" >/dev/null 2>&1 || fail 'a third time'
[ "$(asked_sets)" = "$before" ] || fail 'what is stored was asked for'
clean 'complete'

# ---- sets accepted since are told once, and the next back-fill goes on from them ----

for i in 41 42; do
    measurements "$(printf %02x $i)"
    release new --previous "$last" --version $i.0.0 -o "$www/$i.set.json" "$work/m$(printf %02x $i).json"
    sign "$www/$i.set.json" b2 c3
    last=$www/$i.set.json
    cp "$last" "$www/set.json"
    measuredctl refresh "$spec" >/dev/null 2>&1 || fail "set $i: exit $?"
done
measuredctl backfill "$spec" --json >"$work/done" 2>"$work/words" || fail "from set 42: exit $?"
[ "$(jq -c '[.complete, .sets, .stored]' "$work/done")" = '[true,42,40]' ] || fail "from set 42: $(cat "$work/done")"
history_of
[ "$(told '[.[] | .sequence] | length, (unique | length)' | xargs)" = '41 41' ] || fail 'a set is told twice, or not at all'
clean 'from set 42'
daemon_stop || fail "the daemon ended with $?"

# ---- by configuration, without being asked ----

mv "$work/state" "$work/fetched"
configure 100 'backfill = all'
daemon_start "$work"
get "/v1/resolve?url=$url"
want 200 'a new daemon'
by_itself() { [ "$(status_of | jq -r .complete)" = true ]; }
eventually 20 by_itself || fail "by configuration: $(status_of)"
daemon_stop || fail "the daemon ended with $?"

# ---- a database that says something else ----

if [ $have_sqlite = yes ]; then
    cp -r "$work/fetched" "$work/other"
    sqlite3 "$work/other/measured.db" "DROP TRIGGER past_set_no_update; UPDATE past_set SET previous = zeroblob(32) WHERE rowid = 9"
    measuredctl audit --db "$work/other/measured.db" >"$work/audit" 2>&1 && fail 'another previous: clean'
    grep -q 'past set' "$work/audit" || fail "another previous: $(cat "$work/audit")"
fi
check_log "$work"
check_end
