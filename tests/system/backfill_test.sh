#!/bin/bash
# The past of a registry, from its newest state back to its first operation: about a hundred operations, some of
# them a Safe's, some that a reorganisation undid before they were final and which must not be among them. An endpoint
# that drops a log and one that alters one are told by name and another serves; what a daemon had stored when it was
# killed is not fetched again; and the sets of the past are those the contract itself remembers.
set -euo pipefail
build=${1:?usage: backfill_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$(realpath "$build/tests")
. tests/support/anvil.sh
. tests/support/contracts.sh
. tests/support/registry.sh
. tests/support/dstack.sh
. tests/support/safe.sh
. tests/support/daemon.sh
. tests/support/check.sh
anvil_program >/dev/null || { echo 'skipped: no anvil (scripts/fetch-anvil)'; exit 77; }
safe_files || { echo 'skipped: no Safe (scripts/fetch-safe)'; exit 77; }
command -v jq >/dev/null || { echo 'skipped: no jq'; exit 77; }

work=$(mktemp -d /tmp/m.XXXXXX)
pids=()
cleanup() {
    daemon_stop || true
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

# ---- a history ----

# An app that approves by a mapping: it has logs, and nothing that shows whether these are all.
hash_one=0x$(printf '1a%.0s' {1..32})
hash_two=0x$(printf '2b%.0s' {1..32})

# Many at once, in one block. One line of calldata each.
send_block() {
    awk -v from="$ANVIL_OWNER" -v to="$REGISTRY" \
        '{ printf "{\"from\":\"%s\",\"to\":\"%s\",\"gas\":\"0x7a120\",\"data\":\"%s\"}\n", from, to, $0 }' >"$work/block"
    registry_batch "$work/block" >/dev/null
}
number_word() { printf '%064x' "$1"; }
heartbeat_data() { echo "0x9bf6fa57$(number_word "$1")"; }
address_word() { printf '%064s' "${1#0x}" | tr ' ' 0; }
guardian_data() { echo "0x8a0dac4a$(address_word "$1")"; }
transfer_data() { echo "0xf2fde38b$(address_word "$1")"; }

anvil_start "$work/chain"
safe_install
safe_deploy
dstack_deploy
dstack_add $hash_one
dstack_add $hash_two
dstack_add_device $hash_one
registry_deploy 0
ANVIL_SAFE=${SAFE,,}
far=$(($(date +%s) + 100000000))
for ((i = 0; i < 30; i++)); do # one operation a block
    registry_heartbeat $((far + i))
done
registry_approve 1 "$work/one.json"
for ((i = 0; i < 4; i++)); do # several in one block
    for ((k = 0; k < 12; k++)); do guardian_data $((i * 100 + k + 1)); done | send_block
done
registry_approve 2 "$work/two.json"
registry_revoke 1 3
{
    guardian_data "$ANVIL_GUARDIAN"
    transfer_data "$ANVIL_SAFE"
} | send_block
# From here on it is the Safe's.
safe_exec "$REGISTRY" 0x79ba5097 >/dev/null
registry_send() { safe_exec "$REGISTRY" "$1"; }
for ((i = 0; i < 5; i++)); do
    registry_heartbeat $((far + 1000 + i))
done

# What is undone before it is final never was.
undone=$((far + 777777))
sequence_now() { # how many operations the newest state has
    echo $((16#$(anvil_rpc eth_call "[{\"to\":\"$REGISTRY\",\"data\":\"0x529d15cc\"},\"latest\"]" | jq -r .result | cut -c3-)))
}
undo() { # OPERATION TRY: the operation is in the newest block for a while, in which something is tried
    local snapshot before
    before=$(sequence_now)
    snapshot=$(anvil_result evm_snapshot '[]')
    $1
    [ "$(sequence_now)" = $((before + 1)) ] || fail 'nothing was done that could be undone'
    $2
    anvil_rpc evm_revert "[\"$snapshot\"]" >/dev/null
    [ "$(sequence_now)" = "$before" ] || fail 'it was not undone'
}
undo "registry_heartbeat $undone" true
for ((i = 0; i < 5; i++)); do
    registry_heartbeat $((far + 2000 + i))
done
registry_finalize
sequence=$(sequence_now)
echo "$sequence operations, head $(anvil_height latest)"
[ "$sequence" -ge 90 ] || fail "only $sequence operations"

# ---- endpoints ----

liar_start() { # NAME: sets URL_NAME
    : >"$work/$1.lie"
    "$RIG_TOOLS/rpcliar" --upstream "$ANVIL_URL" --control "$work/$1.lie" --log "$work/$1.asked" >"$work/$1.log" 2>&1 &
    pids+=($!)
    printf -v "URL_$1" 'http://127.0.0.1:%s' "$(rig_port_of "$work/$1.log" $!)"
}
liar_start a
liar_start b
configure() { # RATE [more lines of policy]
    daemon_config "$work" <<EOF
[policy]
level = l3
quorum = 2
poll = 1s
head-poll = 1s
backfill-rate = $1
${2:-}
[rpc a]
chain = 1
url = $URL_a
[rpc b]
chain = 1
url = $URL_b
[rpc c]
chain = 1
url = $ANVIL_URL
EOF
}
asked_logs() { cat "$work/a.asked" "$work/b.asked" | grep -c eth_getLogs || true; }
status_of() { daemon_get "/v1/backfill?specifier=$REGISTRY"; }
operations() { daemon_get "/v1/operations?specifier=$REGISTRY" >"$work/operations.json"; }
fresh_start() {
    daemon_stop || true
    rm -rf "$work/state"
    daemon_start "$work"
}

# ---- complete, with every link proven ----

configure 100
daemon_start "$work"
get "/v1/backfill?specifier=$REGISTRY"
want 200 'status of what was never asked for'
body_has '"state": ?"none"'
get "/v1/backfill?specifier=$REGISTRY" -X POST
want 403 'only admin.sock begins one'
measuredctl backfill "$REGISTRY" --json >"$work/done.json" || fail "backfill: exit $?"
[ "$(jq -r '.state, .complete, .operations, .stored' "$work/done.json" | xargs)" = "done true $sequence $sequence" ] ||
    fail "backfill: $(cat "$work/done.json")"
blocks=$(asked_logs)
operations
[ "$(jq '.complete' "$work/operations.json")" = true ] || fail 'the operations are not complete'
[ "$(jq -c '[.operations[].sequence] == [range(1; '"$sequence"' + 1)]' "$work/operations.json")" = true ] ||
    fail 'operations are missing or not in order'
[ "$(jq '[.operations[].block] | unique | length' "$work/operations.json")" -ge "$((blocks - 5))" ] ||
    fail "$blocks requests for $(jq '[.operations[].block] | unique | length' "$work/operations.json") blocks"
for kind in init approve revoke heartbeat set-guardian transfer-started transfer-accepted; do
    [ "$(jq --arg k $kind '[.operations[] | select(.kind == $k)] | length' "$work/operations.json")" -ge 1 ] ||
        fail "no $kind among the operations"
done
[ "$(jq '[.operations[] | select(.valid_until == '$undone')] | length' "$work/operations.json")" = 0 ] ||
    fail 'what a reorganisation undid is among the operations'
# What it became, as the chain has it now: the last operation's live releases, its owner before and after.
[ "$(jq -c '.operations[-1].live' "$work/operations.json")" = '[2]' ] || fail 'live releases at the end'
[ "$(jq -r '[.operations[] | select(.kind == "approve")][0].added[0].payload' "$work/operations.json")" = \
    "sha256:$(sha256sum "$work/one.json" | cut -d' ' -f1)" ] || fail 'the document of the first release'
[ "$(jq -r '[.operations[] | select(.kind == "approve") | .added[0].document] | join(" ")' "$work/operations.json")" = \
    'known known' ] || fail 'which documents are at hand'
[ "$(jq -r '[.operations[] | select(.kind == "revoke")][0] | .removed[0].release, .reason' "$work/operations.json" | xargs)" = '1 3' ] ||
    fail 'the revocation'
[ "$(jq -r '[.operations[] | select(.kind == "transfer-accepted")][0].owner' "$work/operations.json" | tr A-F a-f)" = "$ANVIL_SAFE" ] ||
    fail 'the owner after the transfer'
# Again: nothing is fetched.
measuredctl backfill "$REGISTRY" 2>/dev/null || fail "again: exit $?"
[ "$(asked_logs)" = "$blocks" ] || fail 'what is stored was fetched again'
get "/v1/operations?specifier=$REGISTRY&from=$((sequence - 1))"
[ "$(jq '.operations | length' "$work/body")" = 2 ] || fail 'operations from a number on'
# One that is not final yet is not stored, be it that the daemon has seen it. In one block, so that nothing that was
# final is undone with it.
by_guardian() { anvil_send "$ANVIL_GUARDIAN" "$REGISTRY" "$(registry_calldata revoke 2 4)" >/dev/null; }
see_it() {
    measuredctl refresh "$REGISTRY" >/dev/null 2>&1 || fail "refresh: exit $?"
    get "/v1/resolve?specifier=$REGISTRY"
    body_has 'revoked-at-head'
    measuredctl backfill "$REGISTRY" 2>/dev/null || fail "before it is final: exit $?"
}
undo by_guardian see_it
operations
[ "$(jq '.newest, ([.operations[] | select(.kind == "revoke" and .release == 2)] | length)' "$work/operations.json" | xargs)" = "$sequence 0" ] ||
    fail 'an operation that was not final is stored'
# New operations: only those.
registry_heartbeat $((far + 3000))
registry_heartbeat $((far + 3001))
registry_finalize
sequence=$((sequence + 2))
newer() { [ "$(daemon_get "/v1/resolve?specifier=$REGISTRY" | jq .sequence)" = $sequence ]; }
eventually 20 newer || fail 'the new state was not read'
measuredctl backfill "$REGISTRY" 2>/dev/null || fail "newer ones: exit $?"
[ "$(asked_logs)" -le $((blocks + 3)) ] || fail "newer ones took $(($(asked_logs) - blocks)) requests"
operations
[ "$(jq '.complete, .newest' "$work/operations.json" | xargs)" = "true $sequence" ] || fail 'newer operations are missing'
jq -S '[.operations[] | del(.evidence, .provider)]' "$work/operations.json" >"$work/whole.json"

# ---- endpoints that drop or alter a log: told by name, another serves ----

lying() { # LIE WORDS-OF-THE-LOG BREAKER
    echo "$1" >"$work/a.lie"
    fresh_start
    measuredctl backfill "$REGISTRY" >/dev/null 2>"$work/words" || fail "$1: exit $?: $(cat "$work/words")"
    : >"$work/a.lie"
    grep -q "$2" "$work/words" || fail "$1: not told: $(cat "$work/words")"
    grep -q "name=a .*$3" "$DAEMON_LOG" || fail "$1: not in the log: $(grep backfill "$DAEMON_LOG")"
    operations
    jq -S '[.operations[] | del(.evidence, .provider)]' "$work/operations.json" | cmp -s - "$work/whole.json" ||
        fail "$1: other operations than without it"
    [ "$(daemon_get /v1/status | jq -r '.rpc[] | select(.name == "a").breaker')" = "$4" ] ||
        fail "$1: the breaker is $(daemon_get /v1/status | jq -r '.rpc[] | select(.name == "a").breaker')"
}
lying 'log-drop 20' 'a: operation 20 (block' 'operation 20' closed
lying 'log-flip 40' 'a: operation 40 (' 'operation 40' benched
lying 'error eth_getLogs 4444 pruned' 'a: ' 'pruned' closed

# What auditors do, without a network: every row against the states that the bundles prove.
check_db() { # WHOLE|part
    "$RIG_TOOLS/dbcheck" "$work/state/measured.db" >"$work/dbcheck" 2>&1 || fail "the database: $(cat "$work/dbcheck")"
    grep -qE "^operations [0-9]+ $1" "$work/dbcheck" || fail "operations: $(cat "$work/dbcheck")"
}
check_db whole

# ---- killed in the middle, it goes on ----

configure 8
fresh_start
: >"$work/a.asked"
: >"$work/b.asked"
curl -sS --max-time 20 -X POST --unix-socket "$work/run/admin.sock" "http://localhost/v1/backfill?specifier=$REGISTRY" >/dev/null
half_done() { [ "$(status_of | jq '.stored // 0')" -gt 0 ]; }
eventually 30 half_done || fail "nothing was stored: $(status_of)"
had=$(status_of | jq .stored)
kill -9 "$DAEMON_PID"
wait "$DAEMON_PID" 2>/dev/null || true
DAEMON_PID=
check_db part
[ "$had" -lt "$sequence" ] || fail 'it was done before it was killed'
before=$(asked_logs)
configure 100
daemon_start "$work"
measuredctl backfill "$REGISTRY" 2>/dev/null || fail "after a kill: exit $?"
operations
jq -S '[.operations[] | del(.evidence, .provider)]' "$work/operations.json" | cmp -s - "$work/whole.json" ||
    fail 'after a kill: other operations than without it'
blocks=$(jq '[.operations[].block] | unique | length' "$work/operations.json")
check_db whole
[ "$(($(asked_logs) - before))" -lt "$blocks" ] || fail 'after a kill all was fetched again'
[ "$(($(asked_logs)))" -le "$((blocks + 20))" ] || fail "$(asked_logs) requests in all for $blocks blocks"

# ---- without being asked, unless configuration says no ----

configure 100 'backfill = no'
fresh_start
measuredctl resolve "$REGISTRY" >/dev/null 2>&1
measuredctl history "$REGISTRY" --json 2>/dev/null >"$work/history.json" || fail "history: exit $?"
[ "$(jq -r '.[].kind' "$work/history.json")" = change ] || fail "with backfill = no: $(head -c 500 "$work/history.json")"
[ "$(status_of | jq -r .state)" = none ] || fail 'it was begun with backfill = no'
configure 100
fresh_start
measuredctl resolve "$REGISTRY" >/dev/null 2>&1
measuredctl history "$REGISTRY" --json 2>"$work/words" >"$work/history.json" || fail "history: exit $?"
[ "$(jq -c 'map(.sequence) == [range(1; '"$sequence"' + 1)]' "$work/history.json")" = true ] ||
    fail "history is not each operation once: $(jq -c 'map(.sequence)' "$work/history.json")"
if grep -v 'eip55' "$work/words"; then fail 'history of all operations has something to say'; fi
[ "$(status_of | jq -r .complete)" = true ] || fail "by itself: $(status_of)"

# ---- logs that nobody can prove complete ----

app="$DSTACK_APP;kind=dstack-app"
daemon_get "/v1/resolve?specifier=$app" >/dev/null
measuredctl backfill "$app" --json >"$work/logs.done" || fail "dstack: exit $?"
[ "$(jq -r '.kind, .state, .complete' "$work/logs.done" | xargs)" = 'logs done false' ] || fail "dstack: $(cat "$work/logs.done")"
get "/v1/operations?specifier=$app"
want 200 'the logs of the app'
[ "$(jq .complete "$work/body")" = false ] || fail 'logs are said to be complete'
[ "$(jq -r '[.logs[].event | select(. != null) | split("(")[0] | select(endswith("Added"))] | join(" ")' "$work/body")" = \
    'ComposeHashAdded ComposeHashAdded DeviceAdded' ] || fail "the app's logs: $(head -c 800 "$work/body")"
[ "$(jq -r '[.logs[], .ranges[] | .provider] | unique | join(" ")' "$work/body")" = a ] || fail 'who told the logs'
[ "$(jq '.ranges[-1].to' "$work/body")" = "$(jq '.last_block' "$work/logs.done")" ] || fail 'the blocks that were searched'

# ---- in turns: a long past holds up nobody else's ----

configure 8
fresh_start
measuredctl resolve "$REGISTRY" >/dev/null 2>&1
eventually 30 half_done || fail "nothing was stored: $(status_of)"
daemon_get "/v1/resolve?specifier=$app" >/dev/null
measuredctl backfill "$app" --json >"$work/logs.done" || fail "dstack, behind a registry: exit $?"
[ "$(status_of | jq -r .complete)" = false ] || fail 'the logs had to wait for a whole registry'
measuredctl backfill "$REGISTRY" 2>/dev/null || fail "in turns: exit $?"
operations
jq -S '[.operations[] | del(.evidence, .provider)]' "$work/operations.json" | cmp -s - "$work/whole.json" ||
    fail 'in turns: other operations'

# ---- what has no past, or none that is proven ----

status=0
measuredctl backfill 'inline:W10' >/dev/null 2>"$work/words" || status=$?
[ $status = 1 ] || fail "an inline list has no past: exit $status: $(cat "$work/words")"
configure 100 'nonfinality = safe'
fresh_start
status=0
measuredctl backfill "$REGISTRY" >/dev/null 2>"$work/words" || status=$?
[ $status = 3 ] && grep -q 'may be undone' "$work/words" || fail "of states that may be undone: $status: $(cat "$work/words")"
operations
[ "$(jq .stored "$work/operations.json")" = 0 ] || fail 'operations of a state that may be undone are stored'
# At l1 a state is one endpoint's word, and history says that it is not whole; at l0 it is the operator's own node's.
level() { configure 100 "$2" && sed -i "s/^level = .*/level = $1/; s/^quorum = .*/quorum = 1/; s/^url = .*/&\n$3/" "$work/measured.conf"; }
level l1 '' ''
fresh_start
measuredctl resolve "$REGISTRY" >/dev/null 2>&1
measuredctl history "$REGISTRY" --json >"$work/history.json" 2>"$work/words" || fail "history at l1: exit $?"
grep -q "not read back to its beginning: at level l1" "$work/words" || fail "history at l1: $(cat "$work/words")"
[ "$(jq length "$work/history.json")" = 1 ] || fail 'history at l1 has what is not proven'
status=0
measuredctl history "$REGISTRY" --backfill >/dev/null 2>&1 || status=$?
[ $status = 3 ] || fail "history --backfill at l1: exit $status"
level l0 '' 'trusted = yes'
fresh_start
measuredctl resolve "$REGISTRY" >/dev/null 2>&1
measuredctl history "$REGISTRY" --backfill --json >"$work/history.json" 2>"$work/words" || fail "history at l0: $(cat "$work/words")"
[ "$(jq length "$work/history.json")" = "$sequence" ] || fail "history at l0: $(jq length "$work/history.json") rows"
daemon_stop || fail "the daemon ended with $?"
check_log "$work"
check_end
