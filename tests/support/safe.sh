# tests/support/safe.sh - the real Safe 1.4.1 on the test chain; source it after contracts.sh. Needs scripts/fetch-safe.
# Owners agree by approveHash, so no key is needed: anvil's accounts are unlocked.
#
#   safe_files                          0 when the compiled contracts are there (a test exits 77 otherwise)
#   safe_install                        singleton, factory, handler and libraries at their addresses on every chain
#   safe_deploy [THRESHOLD OWNERS...]   sets SAFE, a new one; 2 of $SAFE_OWNERS by default
#   safe_exec TO DATA [OPERATION]       a transaction agreed on by $SAFE_SIGNERS (the first two owners); OPERATION 1 is
#                                       a delegatecall; 1 when it reverted, with the reason (GS020, ...) on stderr
#   safe_tx_hash TO DATA OPERATION NONCE
#   safe_nonce                          decimal
#   safe_sign_message HASH32            the Safe signs the 32 bytes on chain, by SignMessageLib
#   safe_message_hash HASH32            prints the key of these in signedMessages
#   safe_enable_module ADDRESS

SAFE_FILES=${SAFE_FILES:-.deps/safe}
SAFE_OWNERS=("$ANVIL_OWNER" "$ANVIL_GUARDIAN" 0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC)
SAFE_SIGNERS=("${SAFE_OWNERS[@]:0:2}")
SAFE_SALT=42

# The factory that puts a contract at the same address on every chain: 32 bytes of salt, then creation code.
SAFE_CREATE2=0x914d7Fec6aaC8cd542e72Bca78B30650d45643d7
SAFE_CREATE2_CODE=0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3

SAFE_SINGLETON=0x41675C099F32341bf84BFc5382aF534df5C7461a
SAFE_FACTORY=0x4e1DCf7AD4e460CfD30791CCC4F9c8a4f820ec67
SAFE_HANDLER=0xfd0732Dc9E303f09fCEf3a7388Ad10A83459Ec99
SAFE_SIGN_LIB=0xd53cd0aB83D845Ac265BE939c57F53AD838012c9
SAFE_MULTISEND=0x38869bf66a61cF6bDB996A6aE40D5853Fd43B526

SAFE_ZERO=0x0000000000000000000000000000000000000000

safe_files() { [ -f "$SAFE_FILES/Safe.json" ]; }

# NAME must come to lie at ADDRESS, which is a hash of its creation code.
safe_put() {
    local code
    code=$(abi_calldata deploy "$SAFE_FILES/$1.json") || return 1
    anvil_send "$ANVIL_OWNER" "$SAFE_CREATE2" "0x$(printf '%064d' 0)${code#0x}" >/dev/null || return 1
    [ "$(anvil_result eth_getCode "[\"$2\",\"latest\"]")" != 0x ] || {
        echo "$1 is not at $2" >&2
        return 1
    }
}

safe_install() {
    anvil_rpc anvil_setCode "[\"$SAFE_CREATE2\",\"$SAFE_CREATE2_CODE\"]" >/dev/null || return 1
    safe_put Safe $SAFE_SINGLETON && safe_put SafeProxyFactory $SAFE_FACTORY &&
        safe_put CompatibilityFallbackHandler $SAFE_HANDLER && safe_put SignMessageLib $SAFE_SIGN_LIB &&
        safe_put MultiSend $SAFE_MULTISEND
}

safe_deploy() {
    local threshold=${1:-2} owners setup word
    local -a create
    [ $# -gt 1 ] && owners=("${@:2}") || owners=("${SAFE_OWNERS[@]}")
    owners=$(IFS=, && echo "${owners[*]}")
    setup=$(abi_calldata 'setup(address[],uint256,address,bytes,address,address,uint256,address)' \
        "[$owners]" "$threshold" $SAFE_ZERO 0x $SAFE_HANDLER $SAFE_ZERO 0 $SAFE_ZERO) || return 1
    create=('createProxyWithNonce(address,bytes,uint256)' $SAFE_SINGLETON "$setup" "$SAFE_SALT")
    SAFE_SALT=$((SAFE_SALT + 1)) # the next one gets another address
    word=$(contract_call $SAFE_FACTORY "${create[@]}") || return 1
    contract_send $SAFE_FACTORY "${create[@]}" >/dev/null || return 1
    SAFE=0x${word:26}
}

safe_nonce() { echo $(($(contract_call "$SAFE" 'nonce()'))); }

safe_tx_hash() {
    contract_call "$SAFE" \
        'getTransactionHash(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,uint256)' \
        "$1" 0 "$2" "$3" 0 0 0 $SAFE_ZERO $SAFE_ZERO "$4"
}

# A signature of 65 bytes that says "see approveHash": the owner, nothing, 1. The Safe wants them by ascending owner.
safe_signatures() {
    local owner
    printf 0x
    for owner in $(printf '%s\n' "$@" | tr 'A-F' 'a-f' | sort); do
        printf '%024d%s%064d01' 0 "${owner#0x}" 0
    done
}

safe_exec() {
    local to=$1 data=$2 operation=${3:-0} nonce hash owner
    local -a execute
    nonce=$(safe_nonce) || return 1
    hash=$(safe_tx_hash "$to" "$data" "$operation" "$nonce") || return 1
    for owner in "${SAFE_SIGNERS[@]}"; do
        FROM=$owner contract_send "$SAFE" 'approveHash(bytes32)' "$hash" >/dev/null || return 1
    done
    execute=("$SAFE" 'execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)'
        "$to" 0 "$data" "$operation" 0 0 0 $SAFE_ZERO $SAFE_ZERO "$(safe_signatures "${SAFE_SIGNERS[@]}")")
    contract_send "${execute[@]}" >/dev/null && return 0
    contract_call "${execute[@]}" >/dev/null || true # says why
    return 1
}

safe_sign_message() {
    local data
    data=$(abi_calldata 'signMessage(bytes)' "$1") || return 1
    safe_exec $SAFE_SIGN_LIB "$data" 1
}

safe_message_hash() { contract_call "$SAFE" 'getMessageHash(bytes)' "$1"; }

safe_enable_module() {
    local data
    data=$(abi_calldata 'enableModule(address)' "$1") || return 1
    safe_exec "$SAFE" "$data"
}
