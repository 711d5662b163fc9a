# tests/support/contracts.sh - any contract on the test chain; source it after anvil.sh. Ours are in
# tests/support/contracts. $RIG_TOOLS is the folder of abi_calldata (build/PRESET/tests).
#
#   abi_calldata ...                         call data; the head of tools/abi_calldata.c says how to write arguments
#   contract_deploy NAME [TYPES ARGS...]     sets CONTRACT, the address of a new NAME
#   contract_proxy NAME SIGNATURE ARGS...    sets IMPLEMENTATION, a new NAME, and CONTRACT, a proxy before it,
#                                            initialised by that call
#   contract_send TO SIGNATURE ARGS...       from $FROM, else the first account; prints the receipt; 1 when it reverted
#   contract_call TO SIGNATURE ARGS...       prints what a call at the latest block returns
#   contract_slot ADDRESS SLOT               prints the word there, 0x and 64 digits
#   contract_upgrade PROXY NAME              sets IMPLEMENTATION, a new NAME, and makes the proxy run it
#   contract_code_hash NAME                  what keccak256 of the deployed code of a NAME must be
#   contract_code_hash_at ADDRESS            what it is on the chain

CONTRACTS=${CONTRACTS:-tests/support/contracts}

abi_calldata() { "$RIG_TOOLS/abi_calldata" "$@"; }

contract_deploy() {
    local data receipt name=$1
    shift
    data=$(abi_calldata deploy "$CONTRACTS/$name.json" "$@") || return 1
    receipt=$(anvil_send "${FROM:-$ANVIL_OWNER}" - "$data") || return 1
    [[ $receipt =~ \"contractAddress\":\"(0x[0-9a-fA-F]{40})\" ]] || return 1
    CONTRACT=${BASH_REMATCH[1]}
}

contract_proxy() {
    local data name=$1
    shift
    contract_deploy "$name" || return 1
    IMPLEMENTATION=$CONTRACT
    data=$(abi_calldata "$@") || return 1
    contract_deploy TestProxy address,bytes "$IMPLEMENTATION" "$data"
}

contract_send() {
    local data to=$1
    shift
    data=$(abi_calldata "$@") || return 1
    anvil_send "${FROM:-$ANVIL_OWNER}" "$to" "$data"
}

contract_call() {
    local data to=$1
    shift
    data=$(abi_calldata "$@") || return 1
    anvil_result eth_call "[{\"to\":\"$to\",\"data\":\"$data\"},\"latest\"]"
}

contract_slot() { anvil_result eth_getStorageAt "[\"$1\",\"$2\",\"latest\"]"; }

contract_upgrade() {
    local proxy=$1 name=$2
    contract_deploy "$name" || return 1
    IMPLEMENTATION=$CONTRACT
    contract_send "$proxy" 'upgradeToAndCall(address,bytes)' "$IMPLEMENTATION" 0x >/dev/null
}

contract_code_hash() { sed -n 's/^ "deployedBytecodeKeccak256": "\(0x[0-9a-f]*\)"$/\1/p' "$CONTRACTS/$1.json"; }

contract_code_hash_at() {
    local code
    code=$(anvil_result eth_getCode "[\"$1\",\"latest\"]") || return 1
    abi_calldata keccak "$code"
}
