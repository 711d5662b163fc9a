#!/bin/bash
# The logs of contracts that are no registry, a Safe's and those of flashtestations' policy: every block that has some
# is checked against its receipts, by a quorum about its header. Endpoints that drop, invent or change a log of a block
# are told by name and another serves; one that takes few blocks at a time is asked for few; without receipts the logs
# are told as not checked; and what a daemon had stored when it was killed is not fetched again.
set -euo pipefail
build=${1:?usage: backfill_logs_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$(realpath "$build/tests")
. tests/support/anvil.sh
. tests/support/contracts.sh
. tests/support/registry.sh
. tests/support/safe.sh
. tests/support/flashtestations.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh
anvil_program >/dev/null || { echo 'skipped: no anvil (scripts/fetch-anvil)'; exit 77; }
safe_files || { echo 'skipped: no Safe (scripts/fetch-safe)'; exit 77; }
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
tool() { "$RIG_TOOLS/release_tool" "$@"; }
word() { printf '0x%064x' "$1"; }

# ---- contracts with a past ----

ANVIL_TIMESTAMP=$(($(date +%s) - 110)) ANVIL_STATES=1000 anvil_start "$work/chain"
tls_start "$work/tls" --host docs.example.test
anvil_mine 10
safe_install
safe_deploy
safe_born=$(anvil_height latest)
anvil_mine 5
flashtestations_deploy
flashtestations_add "$(word 1)"
flashtestations_add "$(word 2)"
flashtestations_remove "$(word 1)"
# An owner more, with a higher threshold; then the threshold as it was. Each block has what the Safe did, and that it did it.
new_owner=0x90F79bf6EB2c4f870365E785982E1f101E93b906
safe_exec "$SAFE" "$(abi_calldata 'addOwnerWithThreshold(address,uint256)' $new_owner 3)"
added_at=$(anvil_height latest)
SAFE_SIGNERS=("${SAFE_OWNERS[@]}")
safe_exec "$SAFE" "$(abi_calldata 'changeThreshold(uint256)' 2)"
SAFE_SIGNERS=("${SAFE_OWNERS[@]:0:2}")
anvil_mine 5

# A set that the Safe approves.
record=$(printf '[{"measurement_id":"one","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"}}}]' \
    "$(printf '11%.0s' {1..48})")
hash=$(printf '%s' "$record" | sha256sum | cut -d' ' -f1)
now=$(date +%s)
{
    printf '{"type":"measured-release-set/1","set":{"app":"","sequence":1,"issuedAt":%s,"validUntil":%s,' "$now" $((now + 86400))
    printf '"previous":"%s","releases":[{"id":1,"version":1,"notBefore":0,"notAfter":0,"approvedSeq":1,' "$(word 0)"
    printf '"payloadFormat":1,"payloadSize":%s,"payloadHash":"0x%s","uri":""}]},"payloads":{"0x%s":"%s"}}\n' \
        "${#record}" "$hash" "$hash" "$(printf '%s' "$record" | base64 -w0)"
} >"$work/tls/www/set.json"
safe_sign_message "$(tool digest "$work/tls/www/set.json")"
anvil_mine 30
registry_finalize
head=$(anvil_height latest)
while [ "$(anvil_now)" -gt "$(date +%s)" ]; do sleep 1; done # a second a block: the last ones may lie in the future
safe_spec="$SAFE;kind=safe;at=$(printf 'https://docs.example.test:%s/set.json' "$TLS_PORT" | base64 -w0 | tr '+/' '-_' | tr -d =)"
policy="$FLASH_POLICY;kind=flashtestations"

# ---- endpoints ----

for name in a b c; do
    : >"$work/$name.lie"
    "$RIG_TOOLS/rpcliar" --upstream "$ANVIL_URL" --control "$work/$name.lie" --log "$work/$name.asked" >"$work/$name.log" 2>&1 &
    pids+=($!)
    printf -v "URL_$name" 'http://127.0.0.1:%s' "$(rig_port_of "$work/$name.log" $!)"
done
configure() { # RATE
    daemon_config "$work" <<EOF
[policy]
level = l2
quorum = 2
poll = 60s
head-poll = 60s
backfill-rate = $1
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
[rpc a]
chain = 1
url = $URL_a
proofs = no
[rpc b]
chain = 1
url = $URL_b
proofs = no
[rpc c]
chain = 1
url = $URL_c
proofs = no
EOF
}
fresh_start() {
    daemon_stop || true
    rm -rf "$work/state"
    daemon_start "$work"
}
asked() { cat "$work"/[abc].asked | grep -c "$1" || true; }
lie() { # ENDPOINT LIES
    printf '%s\n' "${@:2}" >"$work/$1.lie"
}
logs_of() { # SPEC FILE
    get "/v1/operations?specifier=$1"
    want 200 "the logs of $1"
    cp "$work/body" "$2"
}
fetch() { # SPEC NAME: all of its logs into NAME.json, words into NAME.words
    get "/v1/resolve?specifier=$1"
    want 200 "$1"
    measuredctl backfill "$1" --json >"$work/$2.done" 2>"$work/$2.words" || fail "$2: exit $?: $(cat "$work/$2.words")"
    logs_of "$1" "$work/$2.json"
}
what_happened() { # FILE: events in order, without who told them
    jq -cS '[.logs[] | {block, index, event, topics, data, address, block_hash, time, complete}]' "$1"
}

# ---- complete as far as anybody can say, and every block checked ----

configure 100
daemon_start "$work"
fetch "$safe_spec" safe
[ "$(jq -r '.kind, .state, .complete' "$work/safe.done" | xargs)" = 'logs done false' ] || fail "the Safe: $(cat "$work/safe.done")"
[ "$(jq -r '[.logs[].event | if . == null then "?" else split("(")[0] end] | join(" ")' "$work/safe.json" |
    tr ' ' '\n' | grep -vx ApproveHash | xargs)" = \
    'SafeSetup AddedOwner ChangedThreshold ExecutionSuccess ChangedThreshold ExecutionSuccess SignMsg ExecutionSuccess' ] ||
    fail "the Safe's logs: $(jq -c '[.logs[].event]' "$work/safe.json")"
[ "$(jq -c '[.logs[] | .complete, .checked] | unique' "$work/safe.json")" = '[false,"receipts"]' ] ||
    fail "not all checked: $(jq -c '[.logs[] | [.block, .checked, .why]]' "$work/safe.json")"
fetch "$policy" policy
[ "$(jq -r '[.logs[].event | if . == null then "?" else split("(")[0] end] | join(" ")' "$work/policy.json" | tr ' ' '\n' | grep Policy | xargs)" = \
    'WorkloadAddedToPolicy WorkloadAddedToPolicy WorkloadRemovedFromPolicy' ] || fail "the policy's logs: $(jq -c '[.logs[].event]' "$work/policy.json")"
[ "$(jq -c '[.logs[] | .checked, .hash_by] | unique' "$work/policy.json")" = '["quorum","receipts"]' ] || fail 'the policy: not all checked'
# What is told of a block is what the chain says of it.
while read -r block block_hash time; do
    told=$(anvil_rpc eth_getBlockByNumber "[\"$(printf 0x%x "$block")\",false]" | jq -r '.result | .hash, .timestamp' | xargs)
    [ "$told" = "$block_hash $(printf 0x%x "$time")" ] || fail "block $block: $block_hash $time, the chain: $told"
done < <(jq -r '.logs[] | "\(.block) \(.block_hash) \(.time)"' "$work/safe.json" "$work/policy.json" | sort -u)
[ "$(jq -r '[.logs[], .ranges[] | .provider] | unique | join(" ")' "$work/safe.json")" = a ] || fail 'who told the logs'
[ "$(jq '[.ranges[-1].to, .ranges[0].from] | @sh' -r "$work/safe.json")" = "$((head - 2)) $(jq .first_block "$work/safe.done")" ] ||
    fail "the blocks that were searched: $(jq -c .ranges "$work/safe.json")"
[ "$(jq .first_block "$work/safe.done")" = "$safe_born" ] || fail "it begins with block $(jq .first_block "$work/safe.done"), the Safe with $safe_born"
# Again: nothing but what is new.
before=$(asked eth_getLogs)
measuredctl backfill "$safe_spec" 2>/dev/null || fail "again: exit $?"
[ "$(asked eth_getLogs)" = "$before" ] || fail 'what is stored was fetched again'
what_happened "$work/safe.json" >"$work/safe.whole"
what_happened "$work/policy.json" >"$work/policy.whole"

# ---- the history has them ----

measuredctl history "$safe_spec" --json >"$work/history.json" || fail "history: exit $?"
[ "$(jq -c '[.[] | has("sequence") and has("time") and has("state") and has("block") and has("kind") and has("added") and has("removed")] | all' "$work/history.json")" = true ] ||
    fail 'a row lacks what every row has'
[ "$(jq -r '[.[] | select(.source == "logs")] | length' "$work/history.json")" = "$(jq '.logs | length' "$work/safe.json")" ] || fail 'logs are missing in the history'
[ "$(jq -c '[.[] | select(.kind == "log:AddedOwner")] | map([.block, .complete, .checked, .provider, .sequence, .added[0].kind, .added[0].value])' "$work/history.json")" = \
    "[[$added_at,false,\"receipts\",\"a\",0,\"owner\",\"${new_owner,,}\"]]" ] || fail "the new owner: $(jq -c '.[] | select(.kind == "log:AddedOwner")' "$work/history.json")"
[ "$(jq -c '[.[].time] == ([.[].time] | sort)' "$work/history.json")" = true ] || fail 'rows are not in the order of time'
measuredctl history "$policy" --json | jq -e '[.[] | select(.kind == "log:WorkloadRemovedFromPolicy") | .removed[0].value] == ["'"$(word 1 | cut -c3-)"'"]' >/dev/null ||
    fail 'the workload that was removed'
measuredctl history "$policy" >"$work/text" || fail "history as text: exit $?"
grep -q 'log:WorkloadAddedToPolicy .*block' "$work/text" && grep -q '+ tdx-workload-id 0*1$' "$work/text" &&
    grep -q "told by a, in its block's receipts; not known to be complete" "$work/text" || fail "history as text: $(cat "$work/text")"
measuredctl history "$policy" --md >"$work/md" || fail "history as Markdown: exit $?"
grep -q 'log:WorkloadAddedToPolicy .*tdx-workload-id .*told by a' "$work/md" || fail "history as Markdown: $(cat "$work/md")"
measuredctl audit --db "$work/state" >"$work/audit" 2>&1 || fail "audit: $(cat "$work/audit")"

# Somebody who has the file takes a log away: it shows.
daemon_stop || fail "the daemon ended with $?"
cp -r "$work/state" "$work/copy"
"$RIG_TOOLS/dbtamper" "$work/copy/measured.db" log >/dev/null
status=0
measuredctl audit --db "$work/copy" >"$work/audit" 2>&1 || status=$?
[ $status = 1 ] && grep -q "block $added_at: 2 logs are stored, 3 were checked" "$work/audit" || fail "a log that was taken away: $status: $(cat "$work/audit")"
status=0
measuredctl history "$safe_spec" --db "$work/copy" >"$work/text" 2>&1 || status=$?
[ $status = 1 ] && grep -q 'unreadable' "$work/text" || fail "the history without a log: $status: $(cat "$work/text")"

# ---- one that takes few blocks at a time ----

lie a 'logs-range 7'
for name in b c; do lie $name 'error eth_getCode -32000 missing_trie_node'; done # then it begins with the first block
fresh_start
fetch "$safe_spec" narrow
for name in b c; do : >"$work/$name.lie"; done
[ "$(jq .first_block "$work/narrow.done")" = 0 ] || fail 'where the Safe appeared was believed of one endpoint'
[ "$(what_happened "$work/narrow.json")" = "$(cat "$work/safe.whole")" ] || fail 'other logs in small windows'
[ "$(jq '[.ranges[] | .to - .from + 1] | max' "$work/narrow.json")" -le 7 ] || fail "windows: $(jq -c .ranges "$work/narrow.json")"
[ "$(jq -r '[.ranges[].provider] | unique | join(" ")' "$work/narrow.json")" = a ] || fail 'another one was asked for windows that are too large'

# ---- one that drops, invents or changes a log of a block: told by name, another serves ----

breaker() { daemon_get /v1/status | jq -r '.rpc[] | select(.name == "a").breaker'; }
lying() { # NAME WORDS BREAKER
    fresh_start
    fetch "$safe_spec" "$1"
    : >"$work/a.lie"
    grep -q "$2" "$work/$1.words" || fail "$1: not told: $(cat "$work/$1.words")"
    grep -q "name=a .*block $added_at" "$DAEMON_LOG" || fail "$1: not in the log: $(grep backfill "$DAEMON_LOG")"
    [ "$(what_happened "$work/$1.json")" = "$(cat "$work/safe.whole")" ] || fail "$1: other logs than without it"
    [ "$(jq -c '[.logs[].checked] | unique' "$work/$1.json")" = '["receipts"]' ] || fail "$1: not all checked"
    [ "$(jq -r '[.logs[].provider] | unique | join(" ")' "$work/$1.json")" = b ] || fail "$1: whose logs are stored"
    [ "$(breaker)" = "$3" ] || fail "$1: the breaker is $(breaker)"
}
lie a "block-log-drop $added_at 0"
lying drop "a: block $added_at: log 0 is missing" closed
lie a "block-log-drop $added_at 1" "receipt-log-drop $added_at 1"
lying drop-both "a: block $added_at: log 1 is missing" closed
lie a "block-log-add $added_at 2"
lying invent "a: block $added_at: log 102 is not in the block" benched
lie a "block-log-forge $added_at 1"
lying forge "a: block $added_at: log 1 has other data" benched

# ---- without receipts: said, and not shown as if they were checked ----

for name in a b c; do lie $name 'error eth_getBlockReceipts -32601 the_method_does_not_exist'; done
fresh_start
fetch "$policy" blind
[ "$(jq -c '[.logs[].checked] | unique' "$work/blind.json")" = '["no"]' ] || fail 'logs without receipts are said to be checked'
jq -r '.logs[0].why' "$work/blind.json" | grep -q 'no endpoint gives receipts.*the method does not exist' || fail "why not: $(jq -c '.logs[0]' "$work/blind.json")"
[ "$(jq -cS '[.logs[] | del(.provider)] | map({block, index, event, topics, data, address, block_hash, time, complete})' "$work/blind.json")" = "$(cat "$work/policy.whole")" ] ||
    fail 'without receipts: other logs, or other times'
measuredctl history "$policy" | grep -q 'told by a, not checked (no endpoint gives receipts' || fail 'the history does not say that they are not checked'
for name in a b c; do : >"$work/$name.lie"; done
# Asked for again, it is tried again; the logs themselves are not fetched as new ones.
fetch "$policy" later
[ "$(jq -c '[.logs[].checked] | unique' "$work/later.json")" = '["receipts"]' ] || fail "not checked later: $(jq -c '[.logs[] | [.block, .checked, .why]]' "$work/later.json")"
[ "$(jq -c .ranges "$work/later.json")" = "$(jq -c .ranges "$work/blind.json")" ] || fail 'ranges were searched again'

# ---- what was stored unchecked and is found to be wrong is told as that ----

for name in a b c; do lie $name 'error eth_getBlockReceipts -32601 no'; done
lie a "block-log-forge $added_at 1" 'error eth_getBlockReceipts -32601 no'
fresh_start
fetch "$safe_spec" believed
[ "$(jq -c '[.logs[].checked] | unique' "$work/believed.json")" = '["no"]' ] || fail 'a forged log is said to be checked'
for name in a b c; do : >"$work/$name.lie"; done
fetch "$safe_spec" unmasked
[ "$(jq -c --argjson b "$added_at" '[.logs[] | select(.block == $b) | .checked] | unique' "$work/unmasked.json")" = '["wrong"]' ] ||
    fail "a forged log: $(jq -c --argjson b "$added_at" '[.logs[] | select(.block == $b)]' "$work/unmasked.json")"
[ "$(jq -c --argjson b "$added_at" '[.logs[] | select(.block != $b) | .checked] | unique' "$work/unmasked.json")" = '["receipts"]' ] ||
    fail 'the blocks beside a forged one'
measuredctl history "$safe_spec" | grep -q 'told by a, and wrong (the block' || fail 'the history does not say what is wrong'

# ---- killed in the middle, it goes on ----

lie a 'logs-range 1'
configure 12
fresh_start
get "/v1/resolve?specifier=$safe_spec"
curl -sS --max-time 20 -X POST --unix-socket "$work/run/admin.sock" "http://localhost/v1/backfill?specifier=$safe_spec" >/dev/null
half_done() { [ "$(daemon_get "/v1/operations?specifier=$safe_spec" | jq '.ranges | length')" -gt 0 ]; }
eventually 60 half_done || fail "nothing was stored: $(daemon_get "/v1/backfill?specifier=$safe_spec")"
kill -9 "$DAEMON_PID"
wait "$DAEMON_PID" 2>/dev/null || true
DAEMON_PID=
configure 100
daemon_start "$work"
logs_of "$safe_spec" "$work/part.json"
had=$(jq '.ranges | length' "$work/part.json")
[ "$(jq '.ranges[-1].to' "$work/part.json")" -lt $((head - 2)) ] || fail 'it was done before it was killed'
: >"$work/a.asked"
fetch "$safe_spec" resumed
[ "$(what_happened "$work/resumed.json")" = "$(cat "$work/safe.whole")" ] || fail 'after a kill: other logs than without it'
[ "$(jq '[.ranges[1:], .ranges[:-1]] | transpose | all(.[0].from == .[1].to + 1)' "$work/resumed.json")" = true ] ||
    fail "ranges with a gap, or twice: $(jq -c .ranges "$work/resumed.json")"
[ "$(grep -c eth_getLogs "$work/a.asked")" -le $(($(jq '.ranges | length' "$work/resumed.json") - had + 15)) ] || fail 'after a kill all was fetched again'
# ---- a long past does not keep another one waiting to its end ----

for name in a b c; do lie $name 'logs-range 1'; done
anvil_mine 400 0
fresh_start
short_spec=$policy
for spec in "$safe_spec" "$short_spec"; do
    get "/v1/resolve?specifier=$spec"
    curl -sS --max-time 20 -X POST --unix-socket "$work/run/admin.sock" "http://localhost/v1/backfill?specifier=$spec" >/dev/null
done
state_of() { daemon_get "/v1/backfill?specifier=$1" | jq -r .state; }
has_begun() { [ "$(daemon_get "/v1/backfill?specifier=$short_spec" | jq .requests)" -gt 0 ]; }
eventually 60 has_begun || fail "it waits: $(daemon_get "/v1/backfill?specifier=$short_spec")"
[ "$(state_of "$safe_spec")" != done ] || fail 'it waited until the first one was done'
fetch "$short_spec" short
fetch "$safe_spec" long
[ "$(what_happened "$work/long.json")" = "$(cat "$work/safe.whole")" ] || fail 'other logs in several turns'
[ "$(jq '[.ranges[1:], .ranges[:-1]] | transpose | all(.[0].from == .[1].to + 1)' "$work/long.json")" = true ] ||
    fail "ranges with a gap, or twice, in several turns: $(jq -c .ranges "$work/long.json")"
daemon_stop || fail "the daemon ended with $?"
check_log "$work"
check_end
