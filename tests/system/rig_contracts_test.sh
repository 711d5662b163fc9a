#!/bin/bash
# The contracts of the rig keep what the real ones are read by: code behind a proxy, slots, answers and events.
set -euo pipefail
build=${1:?usage: rig_contracts_test.sh BUILD_DIR}
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/contracts.sh
. tests/support/dstack.sh
. tests/support/flashtestations.sh
. tests/support/timelock.sh
. tests/support/multicall.sh
anvil_program >/dev/null || { echo 'skipped: no anvil (scripts/fetch-anvil)'; exit 77; }

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'anvil_stop; rm -rf "$work"' EXIT
bad=0
fail() {
    echo "FAILED: $*"
    bad=1
}
# 32 bytes of one value, and a word of one number
bytes32() { printf '0x%s' "$(printf "$1%.0s" {1..32})"; }
word() { printf '0x%064x' "$1"; }
# is WHAT GOT WANT
is() { [ "$2" = "$3" ] || fail "$1: $2 instead of $3"; }
# logged ADDRESS TOPIC: how many logs
logged() {
    anvil_rpc eth_getLogs "[{\"fromBlock\":\"0x0\",\"address\":\"$1\",\"topics\":[\"$2\"]}]" |
        { grep -o "\"topics\":\[\"$2\"" || true; } | wc -l
}
topic() { abi_calldata keccak "0x$(printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n')"; }
refused() { ! "$@" 2>/dev/null || fail "not refused: $*"; }
# The contract says no; a call that fails is no answer.
denied() {
    local status=0
    "$@" || status=$?
    [ $status = 1 ] || fail "not denied but $status: $*"
}

anvil_start "$work/chain"
hash=$(bytes32 11)
image=$(bytes32 22)
device=$(bytes32 33)
mr=$(bytes32 44)

# ---- dstack: the app ----
implementation_slot=0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc
owner_slot=0x9016d09d72d40fdae2fd8ceac6b6234c7706214fd39c1cd1e609a0528c199300
dstack_deploy TestDstackApp
is 'proxy code' "$(contract_code_hash_at "$DSTACK_APP")" "$(contract_code_hash TestProxy)"
is 'app code' "$(contract_code_hash_at "$DSTACK_APP_CODE")" "$(contract_code_hash TestDstackApp)"
is 'implementation' "$(contract_slot "$DSTACK_APP" $implementation_slot)" "0x000000000000000000000000${DSTACK_APP_CODE#0x}"
is 'owner' "$(contract_slot "$DSTACK_APP" $owner_slot)" \
    "0x000000000000000000000000$(tr 'A-F' 'a-f' <<<"${ANVIL_OWNER#0x}")"
for id in 01ffc9a7 1e079198 8fd37527; do
    is "ERC-165 $id" "$(contract_call "$DSTACK_APP" 'supportsInterface(bytes4)' "0x$id")" "$(word 1)"
done
is 'ERC-165 ffffffff' "$(contract_call "$DSTACK_APP" 'supportsInterface(bytes4)' 0xffffffff)" "$(word 0)"
is 'version' "$(contract_call "$DSTACK_APP" 'version()')" "$(word 2)"

hash_slot=0x5c75bb376affa44a4f06c8a768453c2f7945122a65eb322a0dd3cc2edcbd6f0a
is 'no hash' "$(contract_slot "$DSTACK_APP" $hash_slot)" "$(word 0)"
dstack_add "$hash"
is 'a hash' "$(contract_slot "$DSTACK_APP" $hash_slot)" "$(word 1)"
is 'getter' "$(contract_call "$DSTACK_APP" 'allowedComposeHashes(bytes32)' "$hash")" "$(word 1)"
denied dstack_is_allowed "$DSTACK_APP" "$hash" "$device"
dstack_add_device "$device"
is 'a device' "$(contract_slot "$DSTACK_APP" "$(abi_calldata slot "$device" 2)")" "$(word 1)"
dstack_is_allowed "$DSTACK_APP" "$hash" "$device" || fail 'hash and device are refused'
denied dstack_is_allowed "$DSTACK_APP" "$image" "$device"
denied dstack_is_allowed "$DSTACK_APP" "$hash" "$image"
dstack_any_device true
is 'any device' "$(contract_slot "$DSTACK_APP" "$(word 1)")" "$(word 256)"
dstack_is_allowed "$DSTACK_APP" "$hash" "$image" || fail 'any device is not any'
dstack_is_allowed "$DSTACK_APP" "$hash" "$image" '' OutOfDate || fail 'TCB counts though nobody asked'
dstack_require_tcb true
is 'TCB' "$(contract_slot "$DSTACK_APP" "$(word 3)")" "$(word 1)"
denied dstack_is_allowed "$DSTACK_APP" "$hash" "$image" '' uptodate
dstack_is_allowed "$DSTACK_APP" "$hash" "$image" || fail 'up to date is refused'
dstack_any_device false
dstack_remove_device "$device"
denied dstack_is_allowed "$DSTACK_APP" "$hash" "$device"
dstack_remove "$hash"
is 'removed' "$(contract_slot "$DSTACK_APP" $hash_slot)" "$(word 0)"
FROM=$ANVIL_GUARDIAN refused dstack_add "$hash"

is 'ComposeHashAdded' "$(logged "$DSTACK_APP" "$(topic 'ComposeHashAdded(bytes32)')")" 1
is 'ComposeHashRemoved' "$(logged "$DSTACK_APP" "$(topic 'ComposeHashRemoved(bytes32)')")" 1
changed=$(topic 'PolicyChanged(address,bytes32,bytes32,bool)')
is 'PolicyChanged of the older app' "$(logged "$DSTACK_APP" "$changed")" 0

# Other code behind the same address: state stays, the proxy's own code too.
dstack_add "$hash"
dstack_upgrade TestDstackAppNewer
is 'newer code' "$(contract_code_hash_at "$DSTACK_APP_CODE")" "$(contract_code_hash TestDstackAppNewer)"
is 'proxy code after the upgrade' "$(contract_code_hash_at "$DSTACK_APP")" "$(contract_code_hash TestProxy)"
is 'hash after the upgrade' "$(contract_slot "$DSTACK_APP" $hash_slot)" "$(word 1)"
is 'Upgraded' "$(logged "$DSTACK_APP" "$(topic 'Upgraded(address)')")" 2
dstack_remove "$hash"
is 'PolicyChanged of the newer app' "$(logged "$DSTACK_APP" "$changed")" 1
dstack_disable_upgrades
is 'upgrades disabled' "$(contract_slot "$DSTACK_APP" "$(word 1)")" "$(word 1)"
refused dstack_upgrade TestDstackApp

# ---- dstack: the KMS, in both layouts ----
image_slot=0xa106fe104d2402da20fc5ea27aa38cd5bb8f1c8c8004a7af1ed9e0d3a1894b51
dstack_deploy TestDstackAppNewer
dstack_any_device true
dstack_add "$hash"
for kms in TestDstackKms TestDstackKmsOldLayout; do
    dstack_kms_deploy $kms
    is "$kms code" "$(contract_code_hash_at "$DSTACK_KMS_CODE")" "$(contract_code_hash $kms)"
    dstack_kms_add_image "$image"
    is "$kms image" "$(contract_call "$DSTACK_KMS" 'allowedOsImages(bytes32)' "$image")" "$(word 1)"
    moved=0
    [ $kms = TestDstackKms ] || moved=1
    is "$kms image at slot 8" "$(contract_slot "$DSTACK_KMS" $image_slot)" "$(word $((1 - moved)))"
    at() { abi_calldata slot "$1" $(($2 + moved)); }
    is "$kms image" "$(contract_slot "$DSTACK_KMS" "$(at "$image" 8)")" "$(word 1)"
    denied dstack_is_allowed "$DSTACK_KMS" "$hash" "$device" "$image"
    dstack_kms_register
    is "$kms app" "$(contract_slot "$DSTACK_KMS" "$(at "$DSTACK_APP" 5)")" "$(word 1)"
    dstack_is_allowed "$DSTACK_KMS" "$hash" "$device" "$image" || fail "$kms refuses a registered app"
    denied dstack_kms_is_allowed "$image" "$mr" "$device"
    dstack_kms_add_mr "$mr"
    is "$kms aggregated" "$(contract_slot "$DSTACK_KMS" "$(at "$mr" 6)")" "$(word 1)"
    dstack_kms_add_device "$device"
    is "$kms device" "$(contract_slot "$DSTACK_KMS" "$(at "$device" 7)")" "$(word 1)"
    dstack_kms_is_allowed "$image" "$mr" "$device" || fail "$kms refuses a KMS"
    denied dstack_kms_is_allowed "$image" "$mr" "$device" OutOfDate
    dstack_kms_remove_mr "$mr"
    dstack_kms_remove_device "$device"
    denied dstack_kms_is_allowed "$image" "$mr" "$device"
    dstack_kms_gateway abc
    is "$kms gateway" "$(contract_slot "$DSTACK_KMS" "$(word 4)")" "0x616263$(printf '%058d' 6)"
    dstack_kms_remove_image "$image"
    denied dstack_is_allowed "$DSTACK_KMS" "$hash" "$device" "$image"
done
echo 'dstack: ok'

# ---- flashtestations ----
id=$(bytes32 33)
id_slot=0xa2198913505ba0684e7b9125ca79002c1058535fa2266e5471bd84ae2a18dbf5
flashtestations_deploy
is 'type hash' "$(contract_call "$FLASH_POLICY" 'VERIFY_BLOCK_BUILDER_PROOF_TYPEHASH()')" \
    0x93b3c192de39a93da71b94fb9fadb8e913f752a2e9ea950a33266a81fcbf2ffc
is 'registry' "$(contract_slot "$FLASH_POLICY" "$(word 1)")" "0x000000000000000000000000${FLASH_REGISTRY#0x}"
flashtestations_add "$id"
is 'a workload with a commit of 40 characters' "$(contract_slot "$FLASH_POLICY" $id_slot)" "$(word 0x51)"
metadata=$(contract_call "$FLASH_POLICY" 'getWorkloadMetadata(bytes32)' "$id")
is 'metadata is a struct: an offset first' "${metadata:0:66}" "$(word 32)"
refused flashtestations_add "$id"
flashtestations_remove "$id"
is 'no workload' "$(contract_slot "$FLASH_POLICY" $id_slot)" "$(word 0)"
refused flashtestations_remove "$id"

quote=${MEASURED_VECTORS:-../shared/vectors}/tdx/parse/flashtestations-0xf200f222043C5bC6c70AA6e35f5C5FDe079F3a03-quote.bin.bin
v2=0x952569f637f3f7e36cd8f5a7578ae4d03a1cb05ddaf33b35d3054464bb1c862e
v1=0xf724e7d117f5655cf33beefdfc7d31e930278fcb65cf6d1de632595e97ca82b2
if [ -f "$quote" ]; then
    is 'second formula' "$(flashtestations_id "$quote")" $v2
    flashtestations_register "$quote"
    allowed() { contract_call "$FLASH_POLICY" 'isAllowedPolicy(address)' "$ANVIL_OWNER"; }
    is 'a TEE without its workload' "$(allowed)" "$(word 0)$(printf '%064d' 0)"
    flashtestations_add $v2 c https://example.test/a
    is 'a TEE with its workload' "$(allowed)" "$(word 1)${v2#0x}"
    flashtestations_invalidate "$ANVIL_OWNER"
    is 'an invalid TEE' "$(allowed)" "$(word 0)$(printf '%064d' 0)"
    is 'TEEServiceRegistered' "$(logged "$FLASH_REGISTRY" "$(topic 'TEEServiceRegistered(address,bytes,bool)')")" 1
    flashtestations_upgrade TestWorkloadPolicyV1
    is 'first formula' "$(flashtestations_id "$quote")" $v1
else
    echo 'skipped: no quote among the vectors'
fi
echo 'flashtestations: ok'

# ---- timelock ----
contract_deploy TestProxy address,bytes "$DSTACK_APP_CODE" \
    "$(abi_calldata 'initialize(address,bool,bool,bool,bytes32,bytes32)' "$ANVIL_OWNER" false false true "$id" "$id")"
DSTACK_APP=$CONTRACT
timelock_deploy 3600
is 'delay' "$(contract_slot "$TIMELOCK" "$(word 2)")" "$(word 3600)"
FROM=$ANVIL_OWNER contract_send "$DSTACK_APP" 'transferOwnership(address)' "$TIMELOCK" >/dev/null
accept=$(abi_calldata 'acceptOwnership()')
refused timelock_schedule "$DSTACK_APP" "$accept" 3599
timelock_schedule "$DSTACK_APP" "$accept" 3600
is 'waiting' "$(timelock_state "$TIMELOCK_ID")" 1
is 'due' "$(timelock_timestamp "$TIMELOCK_ID")" $(($(anvil_now) + 3600))
is 'slot' "$(contract_slot "$TIMELOCK" "$(abi_calldata slot "$TIMELOCK_ID" 1)")" \
    "$(word "$(timelock_timestamp "$TIMELOCK_ID")")"
is 'slot of the vector' "$(abi_calldata slot "$(bytes32 55)" 1)" \
    0xeb737d991d2488afddcac27c82e43a27440e26900635e1d74b04305f78d4304b
refused timelock_execute "$DSTACK_APP" "$accept"
timelock_skip 3600
is 'ready' "$(timelock_state "$TIMELOCK_ID")" 2
timelock_execute "$DSTACK_APP" "$accept"
is 'done' "$(timelock_state "$TIMELOCK_ID") $(timelock_timestamp "$TIMELOCK_ID")" '3 1'
is 'owned' "$(contract_call "$DSTACK_APP" 'owner()')" "0x000000000000000000000000${TIMELOCK#0x}"
refused timelock_execute "$DSTACK_APP" "$accept"
timelock_schedule "$DSTACK_APP" "$(abi_calldata 'addComposeHash(bytes32)' "$hash")" 3600
timelock_cancel "$TIMELOCK_ID"
is 'cancelled' "$(timelock_state "$TIMELOCK_ID")" 0
FROM=$ANVIL_GUARDIAN refused timelock_schedule "$DSTACK_APP" "$accept" 3600
for event in 'CallScheduled(bytes32,uint256,address,uint256,bytes,bytes32,uint256) 2' \
    'CallExecuted(bytes32,uint256,address,uint256,bytes) 1' 'Cancelled(bytes32) 1'; do
    is "$event" "$(logged "$TIMELOCK" "$(topic "${event% *}")")" "${event#* }"
done
echo 'timelock: ok'

# ---- Multicall3 ----
multicall_install
is 'its code' "$(contract_code_hash_at "$MULTICALL")" "$(contract_code_hash TestMulticall3)"
parent=$(($(anvil_height latest) - 1))
is 'a block hash' "$(contract_call "$MULTICALL" 'getBlockHash(uint256)' $parent)" \
    "$(anvil_rpc eth_getBlockByNumber "[\"$(printf '0x%x' $parent)\",false]" | grep -o '"hash":"0x[0-9a-f]*"' | cut -d'"' -f4)"
both=$(multicall_call "$TIMELOCK,false,$(abi_calldata 'getMinDelay()')" "$TIMELOCK,true,0x01020304")
[[ $both == *$(printf '%064x' 3600)* ]] || fail "aggregate3: $both"
refused multicall_call "$TIMELOCK,false,0x01020304"
echo 'multicall: ok'
exit $bad
