#!/bin/bash
# The Safe of the rig is the one that is deployed everywhere: addresses, code, slots, and two of three owners agree.
set -euo pipefail
build=${1:?usage: rig_safe_test.sh BUILD_DIR}
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/contracts.sh
. tests/support/safe.sh
anvil_program >/dev/null || { echo 'skipped: no anvil (scripts/fetch-anvil)'; exit 77; }
safe_files || { echo 'skipped: no Safe (scripts/fetch-safe)'; exit 77; }

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'anvil_stop; rm -rf "$work"' EXIT
bad=0
fail() {
    echo "FAILED: $*"
    bad=1
}
is() { [ "$2" = "$3" ] || fail "$1: $2 instead of $3"; }
word() { printf '0x%064x' "$1"; }
address() { printf '0x%024d%s' 0 "$(tr 'A-F' 'a-f' <<<"${1#0x}")"; }

anvil_start "$work/chain"
safe_install || fail 'safe_install'
for part in SINGLETON:1fe2df852ba3299d FACTORY:50c3cdc4074750a7 HANDLER:7c6007a5d711cea8 MULTISEND:0e4f7fc66550a322; do
    name=SAFE_${part%:*}
    code=$(contract_code_hash_at "${!name}")
    is "$name" "${code:2:16}" "${part#*:}"
done
safe_deploy
is 'address of the proxy' "$SAFE" 0xf8fb2d03775675ca0cf01a178769fb9b4a30f4be
is 'code of the proxy' "$(contract_code_hash_at "$SAFE")" \
    0xd7d408ebcd99b2b70be43e20253d6d92a8ea8fab29bd3be7f55b10032331fb4c
is 'singleton' "$(contract_slot "$SAFE" "$(word 0)")" "$(address $SAFE_SINGLETON)"
is 'owners' "$(contract_slot "$SAFE" "$(word 3)")" "$(word 3)"
is 'threshold' "$(contract_slot "$SAFE" "$(word 4)")" "$(word 2)"
is 'nonce' "$(contract_slot "$SAFE" "$(word 5)")" "$(word 0)"
is 'first owner' "$(contract_slot "$SAFE" 0xe90b7bceb6e7df5418fb78d8ee546e97c83a08bbccc01a0644d599ccd2a7c2e0)" \
    "$(address "${SAFE_OWNERS[0]}")"
is 'modules' "$(contract_slot "$SAFE" "$(abi_calldata slot 1 1)")" "$(word 1)"
is 'handler' "$(contract_slot "$SAFE" 0x6c9a6c4a39284e37ed1cf53d337577d14212a4870fb976a4366c693b939918d5)" \
    "$(address $SAFE_HANDLER)"

# Who may: two owners, in any order; not one, not one twice, not a stranger.
message=0x$(printf '44%.0s' {1..32})
stranger=0x90F79bf6EB2c4f870365E785982E1f101E93b906
# refused REASON SIGNERS...
refused() {
    SAFE_SIGNERS=("${@:2}")
    if safe_sign_message "$message" 2>"$work/words"; then fail "signed by ${*:2}"; fi
    SAFE_SIGNERS=("${SAFE_OWNERS[@]:0:2}")
    grep -q "$1" "$work/words" || fail "${*:2}: no $1 in $(head -c 300 "$work/words")"
    is "nonce after ${*:2}" "$(safe_nonce)" 0
}
refused GS020 "${SAFE_OWNERS[0]}"
refused GS026 "${SAFE_OWNERS[0]}" "${SAFE_OWNERS[0]}"
refused reverted "${SAFE_OWNERS[0]}" $stranger # may not even approve a hash

# A message signed on chain is one word in signedMessages; EIP-1271 then takes an empty signature.
key=$(safe_message_hash "$message")
signed() { contract_slot "$SAFE" "$(abi_calldata slot "$key" 7)"; }
is 'not signed' "$(signed)" "$(word 0)"
if contract_call "$SAFE" 'isValidSignature(bytes32,bytes)' "$message" 0x >/dev/null 2>&1; then
    fail 'valid before it is signed'
fi
SAFE_SIGNERS=("${SAFE_OWNERS[2]}" "${SAFE_OWNERS[1]}")
safe_sign_message "$message" || fail 'two of three could not sign'
SAFE_SIGNERS=("${SAFE_OWNERS[@]:0:2}")
is 'signed' "$(signed)" "$(word 1)"
is 'EIP-1271' "$(contract_call "$SAFE" 'isValidSignature(bytes32,bytes)' "$message" 0x)" 0x1626ba7e"$(printf '%056d' 0)"
is 'nonce' "$(safe_nonce)" 1
# The slot of the published vector.
is 'slot of signedMessages' "$(abi_calldata slot "$message" 7)" \
    0x24597913804a270af9f1c36212d428351b5da882653771a5462b13127fb2a975

# What a call in it refuses reverts the whole, and a module is listed.
if safe_exec "$SAFE" 0x01020304 2>"$work/words"; then fail 'a failing call went through'; fi
grep -q GS013 "$work/words" || fail "a failing call: $(head -c 300 "$work/words")"
safe_enable_module "$stranger" || fail 'enableModule'
is 'module' "$(contract_slot "$SAFE" "$(abi_calldata slot 1 1)")" "$(address $stranger)"
first=$SAFE
safe_deploy 1 "$ANVIL_OWNER"
[ "$SAFE" != "$first" ] || fail 'a second Safe has the address of the first'
is 'threshold of the second' "$(contract_slot "$SAFE" "$(word 4)")" "$(word 1)"
exit $bad
