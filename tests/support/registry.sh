# tests/support/registry.sh - a MeasurementRegistry on the test chain; source it after anvil.sh.
# $RIG_TOOLS is the folder of registry_calldata (build/PRESET/tests).
#
#   registry_deploy [MIN_DELAY_S] [OWNER] [GUARDIAN]   sets REGISTRY, its address
#   registry_approve VERSION PAYLOAD_FILE     release in force at once, payload on chain, format 1
#   registry_approve_at VERSION NOT_BEFORE NOT_AFTER FORMAT URI PAYLOAD_FILE chain|off
#   registry_revoke ID [REASON] [FROM]
#   registry_heartbeat VALID_UNTIL
#   registry_finalize                         mines until what was done is finalized

REGISTRY_ABI=${REGISTRY_ABI:-contracts-abi/MeasurementRegistry.json}

registry_calldata() { "$RIG_TOOLS/registry_calldata" "$@"; }

registry_deploy() {
    local data receipt
    data=$(registry_calldata deploy "$REGISTRY_ABI" "${2:-$ANVIL_OWNER}" "${3:-$ANVIL_GUARDIAN}" "${1:-0}") || return 1
    receipt=$(anvil_send "$ANVIL_OWNER" - "$data") || return 1
    [[ $receipt =~ \"contractAddress\":\"(0x[0-9a-fA-F]{40})\" ]] || return 1
    REGISTRY=${BASH_REMATCH[1]}
}

registry_send() {
    anvil_send "${2:-$ANVIL_OWNER}" "$REGISTRY" "$1" >/dev/null
}

registry_approve_at() {
    local data
    data=$(registry_calldata approve "$@") || return 1
    registry_send "$data"
}

# The contract wants notBefore >= the block's time, so the block is told its time first.
registry_approve() {
    local at
    at=$(($(anvil_now) + 1)) || return 1
    anvil_rpc evm_setNextBlockTimestamp "[$at]" >/dev/null || return 1
    registry_approve_at "$1" "$at" 0 1 '' "$2" chain
}

registry_revoke() {
    local data
    data=$(registry_calldata revoke "$1" "${2:-0}") || return 1
    registry_send "$data" "${3:-$ANVIL_OWNER}"
}

registry_heartbeat() {
    local data
    data=$(registry_calldata heartbeat "$1") || return 1
    registry_send "$data"
}

registry_finalize() {
    local until
    until=$(anvil_height latest) || return 1
    anvil_mine 2
    [ "$(anvil_height finalized)" -ge "$until" ]
}
