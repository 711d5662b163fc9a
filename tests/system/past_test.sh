#!/bin/bash
# "Which code was approved on 3 March?", asked of a daemon that was first started in May: a registry's own history proves
# it, with the documents it names, from contract code and from an https host. At the first and the last second of
# everything; from a copied database without a daemon or a network; with a document that nobody has any more; and with
# an endpoint and a host that give another one.
set -euo pipefail
build=${1:?usage: past_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$(realpath "$build/tests")
. tests/support/anvil.sh
. tests/support/registry.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh
anvil_program >/dev/null || { echo 'skipped: no anvil (scripts/fetch-anvil)'; exit 77; }
command -v jq >/dev/null || { echo 'skipped: no jq'; exit 77; }

work=$(mktemp -d /tmp/m.XXXXXX)
pids=()
cleanup() {
    daemon_stop || true
    tls_stop
    anvil_stop
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
document() {
    printf '[{"measurement_id":"%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"}}}]' \
        "$1" "$(printf "$2%.0s" {1..48})" >"$work/$1.json"
}
document one 11
document two 22
document three 33
document four 44
payload() { echo "sha256:$(sha256sum "$work/$1.json" | cut -d' ' -f1)"; }

# ---- ten days of governance, before any daemon was started ----

start=$(($(date +%s) - 900000))
when() { echo $((start + $1)); }
ANVIL_TIMESTAMP=$start anvil_start "$work/chain"
tls_start "$work/tls" --host docs.example.test
host=https://docs.example.test:$TLS_PORT
cp "$work/two.json" "$work/tls/www/two.json"
at_time() { anvil_rpc evm_setNextBlockTimestamp "[$(when "$1")]" >/dev/null; }
at_time 1000
registry_deploy 0
at_time 2000
registry_approve_at 1 "$(when 3000)" 0 1 '' "$work/one.json" chain
at_time 10000
registry_approve_at 2 "$(when 11000)" "$(when 50000)" 1 "$host/two.json" "$work/two.json" off
at_time 20000
registry_approve_at 3 "$(when 21000)" 0 1 "$host/three.json" "$work/three.json" off
at_time 30000
registry_revoke 1 3
at_time 40000
registry_approve_at 4 "$(when 41000)" 0 1 '' "$work/four.json" chain
at_time 60000
registry_revoke 2
at_time 70000
registry_revoke 3
at_time 75000
registry_heartbeat "$(when 80000)"
at_time 90000
registry_heartbeat "$(($(date +%s) + 100000))"
catch_up() { # the chain's clock follows ours
    anvil_rpc evm_setNextBlockTimestamp "[$(($(date +%s) - 2))]" >/dev/null
    anvil_mine 1
    anvil_mine 2
}
anvil_rpc evm_setNextBlockTimestamp "[$(($(date +%s) - 30))]" >/dev/null
anvil_mine 1
anvil_mine 3

: >"$work/a.lie"
"$RIG_TOOLS/rpcliar" --upstream "$ANVIL_URL" --control "$work/a.lie" --log "$work/a.asked" >"$work/a.log" 2>&1 &
pids+=($!)
url_a=http://127.0.0.1:$(rig_port_of "$work/a.log" $!)
daemon_config "$work" <<EOF
[policy]
level = l3
quorum = 2
poll = 1s
head-poll = 1s
backfill-rate = 100
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
[rpc a]
chain = 1
url = $url_a
[rpc b]
chain = 1
url = $ANVIL_URL
[rpc c]
chain = 1
url = $ANVIL_URL/
EOF
fresh_start() {
    daemon_stop || true
    rm -rf "$work/state"
    daemon_start "$work"
}
backfill() { measuredctl backfill "$REGISTRY" --json >"$work/done.json" 2>"$work/words" || fail "backfill: exit $?: $(cat "$work/words")"; }
progress() { jq -r '[.state, .complete, .documents, .documents_missing] | map(tostring) | join(" ")' "$work/done.json"; }

fresh_start
get "/v1/at?specifier=$REGISTRY&time=$(when 5000)"
body_has '"known":false'
body_lacks '"chain"'
backfill
[ "$(progress)" = 'done true 3 1' ] || fail "documents: $(cat "$work/done.json")"
jq -r .documents_why "$work/done.json" | grep -q '^release 3: docs.example.test: HTTP status 404' ||
    fail "why one is missing: $(jq -r .documents_why "$work/done.json")"

# The live release's stands in the evidence; only what is not live any more was asked for, once.
[ "$(grep -c eth_getCode "$work/a.asked" || true) $(tls_count '^GET')" = '1 2' ] ||
    fail "asked for: $(grep -c eth_getCode "$work/a.asked" || true) codes, $(tls_count '^GET') files"

# ---- moments ----

# AT T: the answer in $work/at.json, the exit code in $code
db=()
at() {
    code=0
    measuredctl at "$REGISTRY" "@$1" --json "${db[@]}" >"$work/at.json" 2>"$work/words" || code=$?
}
releases() { jq -r "[$1.releases[] | \"\(.id):\(.status):\(.document)\"] | join(\" \")" "$work/at.json"; }
moments=0
moment() { # T EXIT OPERATION RELEASES WORDS
    local t
    t=$(when "$1")
    at "$t"
    moments=$((moments + 1))
    [ "$code $(jq -r '.chain.operation' "$work/at.json")" = "$2 $3" ] || fail "at $1: exit $code: $(cat "$work/at.json" "$work/words")"
    [ "$(releases '')" = "$4" ] || fail "at $1: $(releases '') instead of $4"
    [ "$(releases .chain)" = "$4" ] || fail "at $1, chain: $(releases .chain)"
    [ "$(jq -r '[.known, .by, .chain.complete, (.in_force == .chain.in_force)] | map(tostring) | join(" ")' "$work/at.json")" = 'true chain true true' ] ||
        fail "at $1: $(cat "$work/at.json")"
    jq -r .why "$work/at.json" | grep -qE "$5" || fail "at $1: why: $(jq -r .why "$work/at.json")"
}
all_moments() {
    moment 999 1 0 '' 'no registry before its first operation, in block 1'
    moment 1000 0 1 '' 'nothing was in force after operation 1 \(init, block 1\)'
    moment 1999 0 1 '' 'nothing was in force'
    moment 2000 0 2 '1:pending:known' 'nothing was in force after operation 2 \(approve of release 1'
    moment 2999 0 2 '1:pending:known' 'nothing was in force'
    moment 3000 0 2 '1:in-force:known' 'proves it: this was governance.s word after operation 2'
    moment 9999 0 2 '1:in-force:known' .
    moment 10000 0 3 '1:in-force:known 2:pending:known' .
    moment 11000 0 3 '1:in-force:known 2:in-force:known' .
    moment 29999 0 4 "1:in-force:known 2:in-force:known 3:in-force:$1" .
    moment 30000 0 5 "2:in-force:known 3:in-force:$1" 'revoke of release 1'
    moment 41000 0 6 "2:in-force:known 3:in-force:$1 4:in-force:known" .
    moment 49999 0 6 "2:in-force:known 3:in-force:$1 4:in-force:known" .
    moment 50000 0 6 "2:expired:known 3:in-force:$1 4:in-force:known" .
    moment 60000 0 7 "3:in-force:$1 4:in-force:known" .
    moment 70000 0 8 '4:in-force:known' .
    moment 80000 0 9 '4:in-force:known' .
    moment 80001 1 9 '4:expired:known' 'governance itself ended the set'
    moment 89999 1 9 '4:expired:known' .
    moment 90000 0 10 '4:in-force:known' .
    moment 500000 0 10 '4:in-force:known' .
}
all_moments missing
at "$(when 29999)"
[ "$(jq -r '[.releases[0,1].records[0].measurement_id] | join(" ")' "$work/at.json")" = 'one two' ] || fail 'the records of then'
[ "$(jq -r '.releases[1].records[0].measurements["0"] | tostring' "$work/at.json" | grep -o '22' | wc -l)" -ge 48 ] ||
    fail "the registers of then: $(jq -c '.releases[1].records' "$work/at.json")"
[ "$(jq -r '.releases[2] | [.payload, .size, .uri, has("records")] | map(tostring) | join(" ")' "$work/at.json")" = \
    "$(payload three) $(stat -c %s "$work/three.json") $host/three.json false" ] || fail 'what is missing is named'
[ "$(jq -r '.chain | .owner, .level' "$work/at.json" | xargs)" = "$ANVIL_OWNER l3" ] || fail 'the owner of then'

# in words
status=0
measuredctl at "$REGISTRY" "@$(when 29999)" >"$work/text" 2>"$work/words" || status=$?
[ $status = 0 ] || fail "in words: exit $status"
grep -q '  in force: nobody had looked here by then, but the registry.s own history proves it' "$work/text" &&
    grep -q '^      two (dcap-tdx)$' "$work/text" && grep -q '^  operation 4, block 4  ' "$work/text" &&
    grep -q "^      its document is missing: $(payload three), " "$work/text" || fail "in words: $(cat "$work/text")"

# documents are evidence by their name; operations say which are there
get "/v1/evidence/$(payload two | cut -c8-)"
want 200 'a document'
cmp -s "$work/body" "$work/two.json" || fail 'the bytes of a document'
documents() { jq -r '[.operations[] | select(.kind == "approve") | .added[0].document] | join(" ")' "$1"; }
daemon_get "/v1/operations?specifier=$REGISTRY" >"$work/operations.json"
daemon_get "/v1/history?specifier=$REGISTRY" >"$work/history.json"
[ "$(documents "$work/operations.json")" = 'known known missing known' ] || fail "operations: $(documents "$work/operations.json")"
[ "$(documents "$work/history.json")" = 'known known missing known' ] || fail "history: $(documents "$work/history.json")"

# ---- what the daemon saw itself, and what the chain says, are two answers ----

at $(($(date +%s) + 5000))
[ "$(jq -r '[.known, .by, .chain.complete] | map(tostring) | join(" ")' "$work/at.json")" = 'true seen false' ] ||
    fail "beyond what is known: $(cat "$work/at.json")"
jq -r .chain.why "$work/at.json" | grep -q "known until $(jq .chain.until "$work/at.json")" || fail "until when: $(jq -c .chain "$work/at.json")"
row=$(jq .row.time "$work/at.json")
later() { # the same state confirmed in a later block carries the proof on
    catch_up
    at "$row"
    [ "$(jq -r '[.by, .chain.complete, .chain.operation] | map(tostring) | join(" ")' "$work/at.json")" = 'seen true 10' ]
}
eventually 10 later || fail "at the first row: $(cat "$work/at.json")"
[ "$code" = 0 ] && [ "$(jq -r '[.releases[0], .chain.releases[0] | .id] | join(" ")' "$work/at.json")" = '4 4' ] ||
    fail "both answers: $(cat "$work/at.json")"
measuredctl at "$REGISTRY" "@$row" >"$work/text" 2>"$work/words" || fail "at the first row, in words: exit $?"
grep -q '^at .* in force: accepted and confirmed$' "$work/text" &&
    grep -q "^the registry's own history: this was governance's word after operation 10" "$work/text" || fail "both, in words: $(cat "$work/text")"
# two operations that nobody here had seen, compared; not without all their documents
for where in '' "--db $work/state"; do
    # shellcheck disable=SC2086
    measuredctl diff "$REGISTRY" 2 3 --json $where >"$work/diff.json" 2>"$work/words" || fail "diff $where: $(cat "$work/words")"
    [ "$(jq -c '[.same, (.added | map(.release)), (.removed | length), (.changed | length), .from.kind, .to.sequence]' "$work/diff.json")" = '[false,[2],0,0,"approve",3]' ] ||
        fail "diff $where: $(cat "$work/diff.json")"
    status=0
    # shellcheck disable=SC2086
    measuredctl diff "$REGISTRY" 2 4 $where >"$work/text" 2>"$work/words" || status=$?
    [ $status = 1 ] && grep -q 'the document of release 3 is missing' "$work/words" "$work/text" || fail "diff without a document $where: $status: $(cat "$work/words")"
done

# ---- a copied database, without a daemon ----

online=$work/online
: >"$online"
for t in 999 2000 29999 50000 80001; do
    at "$(when $t)"
    jq -S 'del(.chain.until)' "$work/at.json" >>"$online"
done
daemon_stop || fail "the daemon ended with $?"
mkdir "$work/copy"
cp "$work"/state/measured.* "$work/copy"
socket=$MEASURED_SOCKET_DIR
unset MEASURED_SOCKET_DIR
db=(--db "$work/copy")
for t in 999 2000 29999 50000 80001; do
    at "$(when $t)"
    jq -S 'del(.chain.until)' "$work/at.json"
done | cmp -s - "$online" || fail 'a copied database says something else'
all_moments missing
measuredctl audit --db "$work/copy" --json >"$work/audit.json" || fail "audit: $(cat "$work/audit.json")"
[ "$(jq '.counts.documents' "$work/audit.json")" = 3 ] || fail "audit: $(cat "$work/audit.json")"
export MEASURED_SOCKET_DIR=$socket
db=()

# ---- a document that nobody has is asked for again, and another one is none ----

cp "$work/one.json" "$work/tls/www/three.json"
daemon_start "$work"
backfill
[ "$(progress)" = 'done true 3 1' ] || fail "another document: $(cat "$work/done.json")"
grep -q 'docs.example.test: the document of release 3: .* another document' "$work/words" || fail "it is not told: $(cat "$work/words")"
grep -q 'document-wrong.*docs.example.test' "$DAEMON_LOG" || fail 'it is not in the log'
asked=$(grep -c eth_getCode "$work/a.asked" || true)
requests=$(tls_count)
cp "$work/three.json" "$work/tls/www/three.json"
backfill
[ "$(progress)" = 'done true 4 0' ] || fail "when it is there again: $(cat "$work/done.json")"
[ "$(grep -c eth_getCode "$work/a.asked" || true) $(tls_count)" = "$asked $((requests + 1))" ] || fail 'what is stored was fetched again'
all_moments known

# ---- a document said to lie at a private address ----

first=$REGISTRY
registry_deploy 0
registry_approve_at 1 "$(($(anvil_now) + 1))" 0 1 "https://127.0.0.1:$TLS_PORT/two.json" "$work/four.json" off
registry_revoke 1
registry_finalize
requests=$(tls_count)
document five 55
registry_approve_at 2 "$(($(anvil_now) + 1))" 0 1 "https://127.0.0.1:$TLS_PORT/five.json" "$work/five.json" off
registry_revoke 2
registry_finalize
cp "$work/five.json" "$work/tls/www"
while [ "$(anvil_now)" -gt "$(date +%s)" ]; do sleep 0.5; done # a second a block: it may have run ahead
daemon_get "/v1/resolve?specifier=$REGISTRY" >/dev/null
backfill
[ "$(progress)" = 'done true 1 1' ] || fail "a private address: $(cat "$work/done.json")" # the first is known from elsewhere
jq -r .documents_why "$work/done.json" | grep -q '^release 2: 127.0.0.1: .*private' || fail "a private address: $(jq -r .documents_why "$work/done.json")"
[ "$(tls_count)" = "$requests" ] || fail 'a private address was asked'
REGISTRY=$first

# ---- a change is no reason to ask again for what could not be had an hour ago ----

rm "$work/tls/www/three.json"
fresh_start
backfill
[ "$(jq .documents_missing "$work/done.json")" = 1 ] || fail "none is missing: $(cat "$work/done.json")"
requests=$(tls_count)
operations=$(jq .operations "$work/done.json")
registry_heartbeat "$(($(date +%s) + 100001))"
registry_finalize
while [ "$(anvil_now)" -gt "$(date +%s)" ]; do sleep 0.5; done
has_more() { [ "$(daemon_get "/v1/backfill?specifier=$REGISTRY" | jq -r '[.state, .operations, .documents_missing] | join(" ")')" = "done $((operations + 1)) 1" ]; }
eventually 30 has_more || fail "after a change: $(daemon_get "/v1/backfill?specifier=$REGISTRY")"
[ "$(tls_count)" = "$requests" ] || fail 'a change had the host asked again'
backfill
[ "$(tls_count)" -gt "$requests" ] || fail 'who asks was not served'

# ---- an endpoint that gives other code, and a host that is gone ----

echo 'code 0x0060016001' >"$work/a.lie"
tls_stop
fresh_start
backfill
: >"$work/a.lie"
[ "$(progress)" = 'done true 2 2' ] || fail "a lying endpoint: $(cat "$work/done.json")"
grep -q 'a: the document of release 1: the code at 0x' "$work/words" ||
    fail "the liar is not told: $(cat "$work/words")"
grep -q 'document-wrong name=a ' "$DAEMON_LOG" || fail "the liar is not in the log: $(grep backfill "$DAEMON_LOG")"
[ "$(daemon_get /v1/status | jq -r '.rpc[] | select(.name == "a").breaker')" = benched ] || fail 'the liar is not benched'
jq -r .documents_why "$work/done.json" | grep -q '^release [23]: docs.example.test' || fail "the host is not told: $(cat "$work/done.json")"
at "$(when 29999)"
[ "$(releases '')" = '1:in-force:known 2:in-force:missing 3:in-force:missing' ] || fail "with a lying endpoint: $(releases '')"

daemon_stop || fail "the daemon ended with $?"
echo "$moments moments"
check_log "$work"
check_end
