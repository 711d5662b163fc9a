#!/bin/bash
# Which code was approved, when and by whom: the history of a registry on a real chain, differences, what was in
# force at a moment, and the evidence, from the daemon and from a copied database without one.
set -euo pipefail
build=${1:?usage: history_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/registry.sh
. tests/support/daemon.sh
. tests/support/check.sh
anvil_program >/dev/null || { echo 'skipped: no anvil (scripts/fetch-anvil)'; exit 77; }

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'daemon_stop || true; anvil_stop; rm -rf "$work"' EXIT
document() {
    printf '[{"measurement_id":"%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"},"1":{"expected":"%s"}}}]' \
        "$1" "$(printf "$2%.0s" {1..48})" "$(printf "$3%.0s" {1..48})" >"$work/$1.json"
}
document one 11 aa
document two 22 bb

anvil_start "$work/chain"
registry_deploy 0
registry_approve 1 "$work/one.json"
registry_finalize
daemon_config "$work" <<CONFIG
[policy]
level = l3
quorum = 2
poll = 1s
head-poll = 1s
[rpc a]
chain = 1
url = $ANVIL_URL
[rpc b]
chain = 1
url = $ANVIL_URL/
CONFIG
daemon_start "$work"
get "/v1/resolve?specifier=$REGISTRY"
want 200 'resolve'

# CTL EXIT ARGUMENTS...: measuredctl; data in $work/out, words in $work/words
ctl() {
    local expected=$1 status=0
    shift
    measuredctl "$@" >"$work/out" 2>"$work/words" || status=$?
    [ "$status" = "$expected" ] || fail "measuredctl $*: exit $status instead of $expected: $(head -c 500 "$work/out" "$work/words")"
}
says() { grep -qE -- "$1" "$work/out" || fail "the output lacks $1: $(head -c 800 "$work/out")"; }
rows() { measuredctl history "$REGISTRY" --jsonl 2>/dev/null | wc -l; } # an operation each
has_rows() { [ "$(rows)" = "$1" ]; }

# approve, heartbeat, revoke: a change each; polls that change nothing are no rows
registry_approve 2 "$work/two.json"
registry_finalize
eventually 10 has_rows 3 || fail "approval: $(rows) rows"
sleep 3
middle=$(date +%s)
registry_heartbeat $(($(anvil_now) + 4000))
registry_finalize
eventually 10 has_rows 4 || fail "heartbeat: $(rows) rows"
registry_revoke 1
registry_finalize
removed() { measuredctl history "$REGISTRY" --jsonl 2>/dev/null | tail -n 1 | grep -q '"accepted":.*"removed":\[{"id":"one"'; }
eventually 10 removed || fail "revocation: $(measuredctl history "$REGISTRY" --jsonl | tail -n 1)"
sleep 2

ctl 0 history "$REGISTRY" --json
# every operation of the registry once, from the first, which nobody here had seen; with what was seen of it here
[ "$(jq -c 'map([.sequence, .kind, (.accepted // [] | map(.n))])' "$work/out")" = \
    "$(jq -cn '[[1, "init", []], [2, "approve", [1]], [3, "approve", [2]], [4, "heartbeat", [3]], [5, "revoke", [4]]]')" ] ||
    fail "operations: $(jq -c 'map([.sequence, .kind, .accepted])' "$work/out")"
jq -e 'all(.[]; (.sequence and .time and .state and .block and .kind and .added and .removed))' "$work/out" >/dev/null ||
    fail 'a member is missing'
says '"accepted":\[\{"n":1,"sequence":2,"time":[0-9]+,"state":"fresh","kind":"change","source":"seen","level":"l3","block":2,'
says '"added":\[\{"id":"one","release":1,'
says '"hash_by":"quorum"'
says '"owner":"0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266","owner_kind":"account"'
says '"build":"[0-9.]+ sha256:'"$(sha256sum "$MEASURED_BIN/measured" | cut -d' ' -f1)"'"'
head -c 1 "$work/out" | grep -q '\[' && tail -c 3 "$work/out" | grep -q '\]' || fail 'history --json is one array'
ctl 0 history "$REGISTRY"
says '^      \+ release 2 \(version 2\): two \(dcap-tdx\)$'
says '^      - release 1 \(version 1\): one \(dcap-tdx\)$'
says '^    \+ release 2 \(version 2\): document sha256:[0-9a-f]{64}$'
says '^    confirmed until '
ctl 0 history "$REGISTRY" --csv
says '^"1","2",'
ctl 2 history "$REGISTRY" --csv --md

ctl 0 diff "$REGISTRY" 2 3
says '  \+ release 2 \(version 2\): two'
says 'mrtd +2{96}$'
says 'governance.updated_block +was 2, is 5'
ctl 0 diff "$REGISTRY" 1 5 # nobody here had seen the first
says '^from .* sequence 1 \(init, block 1\)'
says '  \+ release 2 \(version 2\): two'
says 'mrtd +2{96}$'
if grep -q '  same set\|release 1' "$work/out"; then fail "from the first operation to the fifth: $(cat "$work/out")"; fi
ctl 1 diff "$REGISTRY" 2 999
ctl 2 diff "$REGISTRY" 2 tomorrow

ctl 0 at "$REGISTRY" "@$middle"
says '^at .* in force: accepted and confirmed$'
says '^      one '
says '^      two '
ctl 0 at "$REGISTRY" "$(date -u +%Y-%m-%dT%H:%M:%SZ)"
if grep -q '^      one ' "$work/out"; then fail 'what was revoked is in force now'; fi
ctl 1 at "$REGISTRY" 2020-01-01
says "NOT in force: .*the registry's own history proves it: nothing was approved"
ctl 1 at "$REGISTRY" "@$(($(date +%s) + 100))"
says 'has not come'

# the same without the daemon: HTTP, errors, and a copied database in a folder of its own
name=$(measuredctl history "$REGISTRY" --json 2>/dev/null | jq -r '.[1].accepted[0].evidence' | cut -d: -f2)
get "/v1/evidence/$name"
want 200 evidence
[ "$(sha256sum "$work/body" | cut -d' ' -f1)" = "$name" ] || fail 'evidence does not hash to its name'
get "/v1/evidence/$(printf '0%.0s' {1..64})"
want 404 'no such evidence'
get /v1/evidence/../../etc/passwd
want 400 'no name of evidence'
for bad in "history?specifier=$REGISTRY&limit=0" "history?specifier=$REGISTRY&after=1&before=2" "history?specifier=zzz" \
    "history?specifier=$REGISTRY&after=x" "diff?specifier=$REGISTRY&from=1" "diff?specifier=$REGISTRY&from=2&to=zzz" "at?specifier=$REGISTRY"; do
    get "/v1/$bad"
    want 400 "$bad"
done
get "/v1/history?specifier=$REGISTRY&limit=1"
body_has '"next":1'
get "/v1/history?specifier=$REGISTRY&before=0&limit=1"
body_has '"previous":[0-9]+'
get "/v1/history?specifier=0x0000000000000000000000000000000000000001"
want 200 'a history of nothing'
body_has '"rows":\[\]'

ctl 0 evidence "$REGISTRY" 2 -o "$work/bundle.json"
[ "$(sha256sum "$work/bundle.json" | cut -d' ' -f1)" = "$name" ] || fail 'evidence of sequence 2'
measuredctl history "$REGISTRY" --json >"$work/online.json" 2>/dev/null
ctl 0 audit --db "$work/state" # while the daemon runs
ctl 0 evidence "$REGISTRY" past -o "$work/past.json"
get "/v1/past?specifier=0x0000000000000000000000000000000000000001"
want 404 'what is no registry has no such past'
daemon_stop || fail "exit $?"
mkdir "$work/copy"
cp "$work"/state/measured.* "$work/copy"
unset MEASURED_SOCKET_DIR
offline() { ctl "$1" "$2" "$REGISTRY" "${@:3}" --db "$work/copy"; }
offline 0 history --json
# but for a confirmation that came in between
without_confirmed() { jq -S 'map(del(.accepted[]?.confirmed))' "$1"; }
[ "$(without_confirmed "$work/out")" = "$(without_confirmed "$work/online.json")" ] ||
    fail 'history of a copy differs from that of the daemon'
offline 0 diff 2 3
offline 0 at "@$middle"
offline 0 evidence 2
[ "$(sha256sum "$work/out" | cut -d' ' -f1)" = "$name" ] || fail 'evidence of a copy'
ctl 0 audit --db "$work/copy"
says '^clean$'
says '^codes of rows: all compared$'
says '^older database: compared with measured.floor$'
ctl 0 audit --db "$work/copy/measured.db" --json
says '"verdict":"clean"'
mv "$work/copy/measured.hmac" "$work/key"
ctl 0 audit --db "$work/copy"
says 'NOT compared'
mv "$work/key" "$work/copy/measured.hmac"

# one bundle, elsewhere, by what the auditor knows himself
mkdir "$work/elsewhere"
cp "$work/bundle.json" "$work/elsewhere"
block=$(grep -oE '"block_hash":"0x[0-9a-f]{64}' "$work/online.json" | head -n 1 | cut -d'"' -f4)
bundle() { ctl "$1" audit --bundle "$work/elsewhere/bundle.json" "${@:2}"; }
bundle 0
says 'roots +none named'
bundle 0 --sha256 "$name" --spec "$REGISTRY" --block "$block" --groups a,b --quorum 2 --level l3
says 'rests on +on the word of 2 of the groups a, b, as this machine saw it: that the chain'
# proofs are of the registry, and nothing else is called proven
says 'rests on +on the word of 2 of the groups a, b, as this machine saw it: what the owner is'
bundle 0 --spec "$REGISTRY;level=l3;seq=2"
for differs in "--sha256 $(printf '1%.0s' {1..64})" '--spec 0x0000000000000000000000000000000000000001' \
    "--spec $REGISTRY;level=l4" "--spec $REGISTRY;seq=99" \
    "--block 0x$(printf '1%.0s' {1..64})" '--groups a' '--quorum 3' '--level l4'; do
    # shellcheck disable=SC2086
    bundle 1 $differs
    says 'DIFFERS'
done
sed 's/"quorum":2/"quorum":1/' "$work/bundle.json" >"$work/elsewhere/bundle.json"
bundle 1 --sha256 "$name"
ctl 3 audit --bundle "$work/elsewhere/none.json"
ctl 3 audit --db "$work/elsewhere/none.db"
ctl 2 audit --level l3
ctl 2 audit --bundle x --db y

# the whole past elsewhere: what nobody here had seen, proven by the registry itself, and what was in force then
offline 0 evidence 1
cp "$work/out" "$work/elsewhere/past.json"
offline 0 evidence past
cmp "$work/out" "$work/elsewhere/past.json" || fail 'the past has two forms'
cmp "$work/past.json" "$work/elsewhere/past.json" || fail 'the daemon and its copied database give two pasts'
past() { ctl "$1" audit --bundle "$work/elsewhere/past.json" "${@:2}"; }
last=$(jq -r '.bundle | fromjson | .key' "$work/elsewhere/past.json")
[ "${#last}" = 64 ] || fail 'there is no bundle in the past'
past 0 --spec "$REGISTRY" --groups a,b --level l3
says 'proven: that these 5 operations, in this order and at these times, and no others'
says 'sequence 5  revoke'
past 1 --spec 0x0000000000000000000000000000000000000001
revoked=$(jq '.operations[4].time' "$work/elsewhere/past.json")
past 0 --at "$((revoked - 1))"
says '^      one '
past 0 --at "$revoked"
if grep -q '^      one ' "$work/out"; then fail 'what was revoked is in force'; fi
past 1 --at 2020-01-01
says 'there was no registry'
past 1 --at "$(($(date +%s) + 100000))"
says 'NOT in force: not known'
past 2 --at tomorrow
ctl 1 audit --bundle "$work/bundle.json" --at 2020-01-01
sed 's/"kind":2,/"kind":3,/' "$work/elsewhere/past.json" >"$work/elsewhere/changed.json"
ctl 1 audit --bundle "$work/elsewhere/changed.json"
grep -q 'operation 5 (' "$work/words" "$work/out" || fail "a changed operation: $(cat "$work/words" "$work/out")"

# what evidence does not say, and a database of before
sqlite() { python3 -c 'import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.commit()' "$@"; }
cp -r "$work/copy" "$work/changed"
sqlite "$work/changed/measured.db" "DROP TRIGGER history_no_update; UPDATE history SET time_s = time_s - 86400 WHERE n = 1"
ctl 1 audit --db "$work/changed"
says '^history row 1 of key [0-9a-f]{64}: a row of table history does not carry our authentication code$'
says '^schema: '
says '^NOT clean'
ctl 1 history "$REGISTRY" --db "$work/changed"
cp -r "$work/copy" "$work/kept"
MEASURED_SOCKET_DIR=
daemon_start "$work"
get "/v1/resolve?specifier=$REGISTRY"
registry_revoke 2
registry_finalize
revoked() { measuredctl history "$REGISTRY" --jsonl 2>/dev/null | tail -n 1 | grep -q '"state":"revoked"'; }
eventually 10 revoked || fail "last revocation: $(rows) rows"
ctl 0 history "$REGISTRY" --json
says '"state":"revoked"'
daemon_stop || fail "exit $?"
cp "$work"/kept/measured.db* "$work/state/"
ctl 1 audit --db "$work/state"
says '^floor: history row [0-9]+ was once durable here and is missing'
daemon_start "$work"
eventually 3 grep -q 'older-database' "$DAEMON_LOG" || fail 'the daemon does not notice an older database'

# rebuilt artifacts
printf '{"0":"%s","1":"%s"}' "$(printf '22%.0s' {1..48})" "$(printf 'bb%.0s' {1..48})" >"$work/rebuilt.json"
ctl 0 compare "$work/two.json" --against "$work/rebuilt.json" --type dcap-tdx
says '^equal'
ctl 1 compare "$work/one.json" --against "$work/two.json"
says '^    mrtd$'
ctl 0 compare "$work/two.json" --against "$work/two.json" --json
says '"verdict":"equal"'
ctl 2 compare "$work/two.json"
ctl 3 compare "$work/two.json" --against "$work/none.json"
daemon_stop || fail "exit $?"
check_log "$work"
check_end
