#!/bin/bash
# Contracts that approve by mappings, on a real chain: dstack's app and KMS, flashtestations' policy with both
# formulas. What is listed is found in logs and confirmed one by one; what nobody listed is asked about by a check.
set -euo pipefail
build=${1:?usage: adapters_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/registry.sh
. tests/support/contracts.sh
. tests/support/dstack.sh
. tests/support/flashtestations.sh
. tests/support/timelock.sh
. tests/support/daemon.sh
. tests/support/check.sh
anvil_program >/dev/null || { echo 'skipped: no anvil (scripts/fetch-anvil)'; exit 77; }

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'daemon_stop || true; anvil_stop; rm -rf "$work"' EXIT
hash_of() { printf "$1%.0s" {1..32}; } # 64 digits
one=$(hash_of 11) two=$(hash_of 22) three=$(hash_of 33) device=$(hash_of dd)

anvil_start "$work/chain"
dstack_deploy
dstack_add "0x$one"
dstack_add_device "0x$device"
dstack_any_device true # an upgrade reads this slot: see below about slots that are zero
dstack_kms_deploy
dstack_kms_add_image "0x$two"
kms=$DSTACK_KMS
dstack_kms_deploy TestDstackKmsOldLayout
dstack_kms_add_image "0x$two"
old_kms=$DSTACK_KMS
flashtestations_deploy
flashtestations_add "0x$three"
policy=$FLASH_POLICY
flashtestations_deploy TestWorkloadPolicyV1
policy_v1=$FLASH_POLICY
timelock_deploy 60
registry_finalize
configure() { # LEVEL PROOFS
    daemon_config "$work" <<CONF
[policy]
level = $1
quorum = 2
poll = 60s
head-poll = 1s
[rpc a]
chain = 1
url = $ANVIL_URL
proofs = $2
[rpc b]
chain = 1
url = $ANVIL_URL/
proofs = $2
CONF
}
resolves() { # SPECIFIER
    get "/v1/resolve?specifier=$1"
    want 200 "resolve $1"
}
is_listed() { # SPECIFIER VALUES...
    local found
    get "/v1/resolve?specifier=$1"
    shift
    found=$(grep -o '"predicates":\[[^]]*\]' "$work/body" | grep -oE '"value":"[0-9a-f]{64}"' | cut -d'"' -f4 | xargs)
    [ "$found" = "$*" ]
}
# check SPECIFIER EXIT ARGUMENTS...: the verdict of measuredctl check
check() {
    local spec=$1 expected=$2 status=0
    shift 2
    measuredctl check "$spec" "$@" >"$work/verdict" 2>"$work/words" || status=$?
    [ "$status" = "$expected" ] || fail "check $spec $*: exit $status instead of $expected: $(cat "$work/verdict" "$work/words")"
}

for level in l3 l2; do
    configure $level finalized
    daemon_start "$work"
    app=$DSTACK_APP

    # found without kind=, by what it answers
    resolves "$app"
    body_has '"adapter":"dstack-app"'
    body_has '"complete":false'
    body_has "\"devices\":\[\"0x$device\"\]"
    body_has '"allow_any_device":true'
    body_has '"require_tcb_up_to_date":false'
    body_has '"code":"proxy"'
    is_listed "$app" "$one" || fail "$level: app: $(head -c 600 "$work/body")"
    get "/v1/resolve?specifier=$app;kind=flashtestations"
    want 404 "$level: the app read as a policy"
    get "/v1/resolve?specifier=$app;kind=registry"
    want $([ $level = l3 ] && echo 502 || echo 404) "$level: the app read as a registry"

    # a value that is not listed is asked about, and refused by proof; one that is, is approved
    check "$app;kind=dstack-app" 0 --compose-hash "$one"
    check "$app;kind=dstack-app" 1 --compose-hash "$two"
    check "$app" 1 --workload-id "$one"

    # the KMS; one whose storage lies elsewhere is refused instead of misread
    resolves "$kms;kind=dstack-kms"
    is_listed "$kms;kind=dstack-kms" "$two" || fail "$level: kms: $(head -c 600 "$work/body")"
    resolves "$kms"
    body_has '"adapter":"dstack-kms"'
    get "/v1/resolve?specifier=$old_kms"
    if [ $level = l3 ]; then
        [ "$STATUS" = 502 ] || fail "$level: a KMS of another layout: $STATUS $(head -c 300 "$work/body")"
        body_has 'storage and answer differ'
    fi

    # flashtestations
    resolves "$policy"
    body_has '"adapter":"flashtestations"'
    body_has '"workload_id_version":2'
    body_has '"commits":\{"0x3333'
    is_listed "$policy" "$three" || fail "$level: policy: $(head -c 600 "$work/body")"
    resolves "$policy_v1;kind=flashtestations"
    body_has '"workload_id_version":1'
    body_has '"state":"revoked"'
    check "$policy" 0 --workload-id "$three"
    check "$policy" 1 --workload-id "$one"

    # what holds decisions approves nothing
    get "/v1/resolve?specifier=$TIMELOCK"
    want 404 "$level: a timelock"
    body_has 'timelock approves nothing by itself'
    daemon_stop || fail "exit $?"
    check_log "$work"
    rm -rf "$work/state"
done

# An app and its KMS, read together: nothing counts before the KMS knows the app, and then what each approves.
DSTACK_KMS=$kms
both="$DSTACK_APP;kind=dstack-app;kms=$kms"
unregistered() { # LEVEL
    resolves "$both"
    body_has '"state":"revoked"'
    body_has '"code":"not-registered"'
    body_has "\"kms\":\{\"address\":\"[^\"]*\",\"registered\":false"
    check "$both" 1 --compose-hash "$one"
    grep -q 'not registered at the KMS' "$work/verdict" || fail "$1: the reason: $(cat "$work/verdict")"
}
for level in l3 l2; do
    configure $level finalized
    daemon_start "$work"
    if [ $level = l3 ]; then
        unregistered $level
        dstack_kms_register
        sleep 2
        unregistered "$level, not final"
        registry_finalize
    fi
    eventually 8 is_listed "$both" "$one" "$two" || fail "$level: app and KMS: $(head -c 600 "$work/body")"
    body_has '"kind":"dstack-os-image"'
    body_has '"registered":true'
    body_has '"adapter":"dstack-app"'
    is_listed "$DSTACK_APP;kms=$kms" "$one" "$two" || fail "$level: without kind=: $(head -c 600 "$work/body")"
    check "$both" 0 --compose-hash "$one" --os-image "$two"
    check "$both" 0 --compose-hash "$one"
    check "$both" 1 --compose-hash "$one" --os-image "$three"
    check "$both" 1 --compose-hash "$two" --os-image "$two"
    check "$both" 2 --compose-hash "$one" --workload-id "$two"
    get "/v1/resolve?specifier=$kms;kind=dstack-kms;kms=$kms"
    body_has 'kind=dstack-app only'
    get "/v1/resolve?specifier=$DSTACK_APP;kms=$policy"
    want 404 "$level: kms= of a policy"
    body_has 'does not answer as a dstack-kms'
    get "/v1/resolve?specifier=$DSTACK_APP;kms=$old_kms"
    [ $level = l2 ] || body_has 'storage and answer differ'
    daemon_stop || fail "exit $?"
    check_log "$work"
    rm -rf "$work/state"
done

# The KMS takes an image away in the newest block, and a reorganisation undoes it; other code behind it holds.
configure l2 no
daemon_start "$work"
is_listed "$both" "$one" "$two" || fail "app and KMS: $(head -c 300 "$work/body")"
anvil_mine 1
before=$(anvil_result evm_snapshot '[]')
dstack_kms_remove_image "0x$two"
eventually 8 is_listed "$both" "$one" || fail 'an image removed in the newest block'
body_has 'revoked-at-head'
check "$both" 1 --compose-hash "$one" --os-image "$two"
anvil_rpc evm_revert "[\"$before\"]" >/dev/null
anvil_mine 2
eventually 8 is_listed "$both" "$one" "$two" || fail 'the removal was undone'
daemon_stop || fail "exit $?"
rm -rf "$work/state"
configure l3 finalized
daemon_start "$work"
is_listed "$both" "$one" "$two" || fail "l3: $(head -c 300 "$work/body")"
contract_upgrade "$kms" TestDstackKms
registry_finalize
kms_held() {
    get "/v1/resolve?specifier=$both"
    grep -q '"state":"hold"' "$work/body"
}
eventually 8 kms_held || fail "other code behind the KMS: $(head -c 300 "$work/body")"
is_listed "$both" "$one" "$two" || fail "held: $(head -c 300 "$work/body")"
daemon_stop || fail "exit $?"
rm -rf "$work/state"

# Approvals when final; what was found is still there after a restart without the chain.
configure l3 finalized
daemon_start "$work"
app="$DSTACK_APP;kind=dstack-app"
is_listed "$app" "$one" || fail "app: $(head -c 300 "$work/body")"
dstack_add "0x$two"
sleep 3
is_listed "$app" "$one" || fail "an approval that is not final counts"
check "$app" 1 --compose-hash "$two"
registry_finalize
eventually 8 is_listed "$app" "$one" "$two" || fail "a final approval: $(head -c 300 "$work/body")"
daemon_stop || fail "exit $?"
mv "$work/measured.conf" "$work/with.conf"
sed 's|^url = .*|url = http://127.0.0.1:1/|' "$work/with.conf" >"$work/measured.conf"
daemon_start "$work"
is_listed "$app" "$one" "$two" || fail "after a restart without the chain: $(head -c 300 "$work/body")"
check "$app" 0 --compose-hash "$two"
check "$app" 3 --compose-hash "$three"
daemon_stop || fail "exit $?"
mv "$work/with.conf" "$work/measured.conf"
daemon_start "$work"

# from= says where the search begins; it hides nothing for good.
late=$(anvil_height finalized)
measuredctl resolve "$DSTACK_APP;from=$late" >/dev/null 2>&1 || true
eventually 8 is_listed "$DSTACK_APP" "$one" "$two" || fail "after from=$late: $(head -c 300 "$work/body")"

# Other code behind the proxy: what was is held.
dstack_add "0x$three"
dstack_upgrade TestDstackAppNewer
registry_finalize
held() {
    get "/v1/resolve?specifier=$app"
    grep -q '"state":"hold"' "$work/body"
}
eventually 8 held || fail "other code: $(head -c 300 "$work/body") $(grep -v quorum "$work/measured.log" | head -n 3)"
is_listed "$app" "$one" "$two" || fail "held: $(head -c 300 "$work/body")"
daemon_stop || fail "exit $?"
rm -rf "$work/state"

# Removals at once, and undone by a reorganisation. anvil keeps a slot that a transaction read or wrote as zero in the
# storage trie, where no real chain has one, so its proofs of removed values are refused: unit.source.mapping shows
# removal by proof.
configure l2 no
daemon_start "$work"
is_listed "$app" "$one" "$two" "$three" || fail "l2: $(head -c 300 "$work/body")"
anvil_mine 1
before=$(anvil_result evm_snapshot '[]')
dstack_remove "0x$one"
eventually 8 is_listed "$app" "$two" "$three" || fail 'removed in the newest block'
body_has 'revoked-at-head'
check "$app" 1 --compose-hash "$one"
anvil_rpc evm_revert "[\"$before\"]" >/dev/null
anvil_mine 2
eventually 8 is_listed "$app" "$one" "$two" "$three" || fail 'the removal was undone'
dstack_remove "0x$one"
registry_finalize
eventually 8 is_listed "$app" "$two" "$three" || fail 'removed for good'
body_lacks 'revoked-at-head'
daemon_stop || fail "exit $?"
check_log "$work"
check_end
