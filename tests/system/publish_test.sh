#!/bin/bash
# docs/publish-with-a-safe.md, followed to the letter: its blocks of commands are run in their order, unchanged, in one
# shell, and what the page says they print is compared. Between them this test looks for itself: at the chain, with
# encoders that share nothing with the tool, and at what the daemon serves.
set -euo pipefail
build=${1:?usage: publish_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$(realpath "$build/tests")
source_dir=$PWD
. tests/support/anvil.sh
. tests/support/contracts.sh
. tests/support/registry.sh
. tests/support/safe.sh
. tests/support/daemon.sh
. tests/support/check.sh
anvil_program >/dev/null || { echo 'skipped: no anvil (scripts/fetch-anvil)'; exit 77; }
safe_files || { echo 'skipped: no Safe (scripts/fetch-safe)'; exit 77; }
unset XDG_RUNTIME_DIR http_proxy HTTP_PROXY ALL_PROXY

exec 3>&1
work=$(mktemp -d /tmp/m.XXXXXX)
page_daemon=
watchdog=
step=
cleanup() {
    local status=$?
    # a command of the page that fails ends this shell while its output goes to the file
    if [ "$status" != 0 ] && [ "$CHECK_BAD" = 0 ] && [ -n "$step" ]; then
        { echo "FAILED: status $status in step $step:"; cat "$work/out"; } >&3
    fi
    [ -z "$watchdog" ] || kill "$watchdog" 2>/dev/null || true
    [ -z "$page_daemon" ] || kill "$page_daemon" 2>/dev/null || true
    [ -z "$page_daemon" ] || wait "$page_daemon" 2>/dev/null || true
    anvil_stop
    rm -rf "$work"
}
trap cleanup EXIT
trap 'echo "the page takes too long" >&3; exit 1' USR1
(sleep 100 & trap 'kill $!' TERM; wait && kill -USR1 $$) &
watchdog=$!

# ---- the page: FOLDER/NN-STEP.sh, and FOLDER/NN-STEP.text where it says what is printed ----
page_blocks() { # PAGE FOLDER
    awk -v folder="$2" '
        /^<!-- step: [a-z0-9-]+ -->$/ { name = $3; next }
        /^```sh$/ { if (name == "") { print "a block without a step in line " NR; exit 1 }
                    n++; file = sprintf("%s/%02d-%s.sh", folder, n, name); last = file; name = ""; next }
        /^```text$/ { if (last == "") { print "an output without commands in line " NR; exit 1 }
                      file = last; sub(/sh$/, "text", file); last = ""; next }
        /^```$/ { if (file != "") close(file); file = ""; next }
        /^```/ { file = "/dev/null"; next }
        file != "" { print >file }' "$1"
}
# Each line of the page is a line of the output, in this order; `...` is anything.
printed() { # WANTED OUTPUT
    local want pattern line
    exec 5<"$2"
    while IFS= read -r want; do
        pattern=$(sed -e 's/[][\.*^$/+?(){}|]/\\&/g' -e 's/\\\.\\\.\\\./.*/g' <<<"$want")
        while :; do
            IFS= read -r line <&5 || { fail "step $step does not print: $want"; cat "$2"; exec 5<&-; return 0; }
            [[ ! $line =~ ^$pattern$ ]] || break
        done
    done <"$1"
    exec 5<&-
}
mkdir "$work/page" "$work/here"
page_blocks docs/publish-with-a-safe.md "$work/page" || { echo 'FAILED: the page'; exit 1; }
steps=$(cd "$work/page" && printf '%s\n' *.sh | sed 's/^[0-9]*-//; s/\.sh$//' | xargs)
want_steps='deploy document approve sign execute builder serve first second pending switched revoke'
[ "$steps" = "$want_steps" ] || { echo "FAILED: the page has the steps $steps"; exit 1; }

# ---- the stage: a chain with a block a second, a Safe, and the keys of anvil's well-known accounts ----
anvil_start "$work/chain"
safe_install
safe_deploy
anvil_rpc evm_increaseTime '[28]' >/dev/null # it starts 30 s behind
anvil_rpc evm_setIntervalMining '[1]' >/dev/null
key() { (umask 077 && echo "$2" >"$work/$1.key") && echo "$work/$1.key"; }
ANN=$(key ann ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80)
BEN=$(key ben 5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a)
GUARD=$(key guard 59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d)
PAYER=$(key payer 7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6)
GUARDIAN=$ANVIL_GUARDIAN
RPC=$ANVIL_URL
RPC2=$ANVIL_URL/
CHAIN=1
SAFE=$(abi_calldata encode address "$SAFE" | sed 's/^0x0\{24\}/0x/')
DELAY=2s
FIRST=0 # set when they are needed, so that a slow machine is no late one
SECOND=0
in_seconds() { echo $(($(date +%s) + $1)); }

now() { date +%s; } # a release begins by the clock, once its approval is final
listed() {
    get "/v1/measurements?specifier=$REGISTRY"
    grep -o '"measurement_id":"[a-z0-9]*"' "$work/body" | cut -d'"' -f4 | xargs
}
live() { # whether the contract approves the document now
    local answer
    answer=$(contract_call "$REGISTRY" 'isApproved(bytes32)' "0x$(registry_calldata sha256 "$work/here/$1" | sed 's/^0x//')")
    [ "$((answer))" = 1 ]
}

after_deploy() {
    REGISTRY=$(cat "$work/here/registry.txt")
    [ "$(contract_code_hash_at "$REGISTRY")" = "$(sed -n 's/^ "deployedBytecodeKeccak256": "\(.*\)"$/\1/p' \
        "$source_dir/$REGISTRY_ABI")" ] || fail 'another contract was created'
    [[ $(contract_call "$REGISTRY" 'owner()') == *"$(tr 'A-F' 'a-f' <<<"${SAFE#0x}")" ]] || fail 'another owner'
}
after_document() { FIRST=$(in_seconds 4); }
after_approve() { # what the owners sign is what an encoder of its own makes of the same release
    local data hash
    data=$(registry_calldata approve $((1 << 48)) "$FIRST" 0 1 '' "$work/here/v1.json" chain)
    grep -q "\"data\": \"$data\"" "$work/here/approve-1.json" || fail 'other call data than registry_calldata'
    hash=$(safe_tx_hash "$REGISTRY" "$data" 0 0) # the Safe's own
    grep -q "safeTxHash   $hash" "$work/out" || fail "the Safe says $hash"
    [ "$(safe_nonce)" = 0 ] || fail 'something was sent'
}
after_execute() {
    [ "$(safe_nonce)" = 1 ] || fail 'the Safe did nothing'
    [ "$(($(contract_call "$REGISTRY" 'releaseCount()')))" = 1 ] || fail 'no release'
    SECOND=$(in_seconds 3600) # of the files that are not sent
}
after_builder() { # nothing but files
    [ "$(grep -c '"to": ' "$work/here/both-builder.json")" = 2 ] || fail 'not two transactions'
    [ "$(safe_nonce)" = 1 ] || fail 'something was sent'
}
after_serve() { page_daemon=$!; }
after_first() {
    [ "$(listed)" = v1 ] || fail "first: $(listed)"
    [ "$(now)" -ge "$FIRST" ] || fail 'served before its first second'
    get "/v1/resolve?specifier=$REGISTRY"
    body_has '"level":"l3"'
    body_has '"owner_kind":"safe"'
    body_has '"threshold":2'
    SECOND=$(in_seconds 9)
}
after_second() {
    [ "$(safe_nonce)" = 2 ] || fail 'the Safe did nothing'
    [ "$(anvil_now)" -lt "$SECOND" ] || fail 'too slow: the second release has begun already'
}
after_pending() {
    local seen at
    for _ in $(seq 400); do # not a second too early: what is served is looked at before the clock is
        at=$(now)
        seen=$(listed)
        [ "$seen" != 'v1 v2' ] || break
        [ "$seen" = v1 ] || fail "before the second: $seen"
        sleep 0.1
    done
    [ "$seen" = 'v1 v2' ] || fail 'never switched'
    [ "$(now)" -ge "$SECOND" ] || fail "served at $(now), before $SECOND"
    [ "$at" -le $((SECOND + 4)) ] || fail "not served at $at, its second was $SECOND"
    eventually 5 live v2.json || fail 'the contract does not approve it' # by the time of its newest block
}
after_revoke() {
    [ "$(anvil_height finalized)" -lt "$(anvil_height latest)" ]
    if live v1.json; then fail 'the contract still approves it'; fi
    get "/v1/resolve?specifier=$REGISTRY"
    want 200 'after the revocation'
    body_lacks '"v1"'
}

cd "$work/here"
for file in "$work"/page/*.sh; do
    step=$(basename "$file" .sh | sed 's/^[0-9]*-//')
    # in this shell, so that variables last, and in no condition, where -e would not count
    . "$file" >"$work/out" 2>&1
    [ ! -f "${file%sh}text" ] || printed "${file%sh}text" "$work/out"
    if declare -F "after_$step" >/dev/null; then "after_$step"; fi
    [ "$CHECK_BAD" = 0 ] || { echo "--- step $step:"; cat "$work/out"; break; }
done
step=
cd "$source_dir"
kill "$page_daemon" && wait "$page_daemon" || fail "the daemon's exit: $?"
page_daemon=
if grep -nE 'Sanitizer|runtime error:' "$work/here/measured.log"; then fail "the daemon's log"; fi
check_end
