# tests/support/timelock.sh - a timelock on the test chain; source it after contracts.sh. One account proposes and
# cancels, everybody may execute.
#
#   timelock_deploy MIN_DELAY_S [PROPOSER]    sets TIMELOCK; PROPOSER is the first account by default
#   timelock_schedule TARGET DATA DELAY_S     sets TIMELOCK_ID; value, predecessor and salt are zero
#   timelock_execute TARGET DATA
#   timelock_cancel ID
#   timelock_state ID                         prints 0 unset, 1 waiting, 2 ready, 3 done
#   timelock_timestamp ID                     decimal; 1 when done
#   timelock_skip SECONDS                     the chain's clock goes on; one block is mined

TIMELOCK_ZERO=0x0000000000000000000000000000000000000000000000000000000000000000

timelock_deploy() {
    local proposer=${2:-$ANVIL_OWNER} zero=0x0000000000000000000000000000000000000000
    contract_deploy TestTimelock 'uint256,address[],address[],address' "$1" "[$proposer]" "[$zero]" "$zero" ||
        return 1
    TIMELOCK=$CONTRACT
}

timelock_schedule() {
    TIMELOCK_ID=$(contract_call "$TIMELOCK" 'hashOperation(address,uint256,bytes,bytes32,bytes32)' \
        "$1" 0 "$2" "$TIMELOCK_ZERO" "$TIMELOCK_ZERO") || return 1
    contract_send "$TIMELOCK" 'schedule(address,uint256,bytes,bytes32,bytes32,uint256)' \
        "$1" 0 "$2" "$TIMELOCK_ZERO" "$TIMELOCK_ZERO" "$3" >/dev/null
}

timelock_execute() {
    contract_send "$TIMELOCK" 'execute(address,uint256,bytes,bytes32,bytes32)' \
        "$1" 0 "$2" "$TIMELOCK_ZERO" "$TIMELOCK_ZERO" >/dev/null
}

timelock_cancel() { contract_send "$TIMELOCK" 'cancel(bytes32)' "$1" >/dev/null; }

timelock_number() {
    local word
    word=$(contract_call "$TIMELOCK" "$1" "$2") || return 1
    echo $((16#${word:50}))
}
timelock_state() { timelock_number 'getOperationState(bytes32)' "$1"; }
timelock_timestamp() { timelock_number 'getTimestamp(bytes32)' "$1"; }

timelock_skip() {
    anvil_rpc evm_increaseTime "[$1]" >/dev/null || return 1
    anvil_mine 1
}
