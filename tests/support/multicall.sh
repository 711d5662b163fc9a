# tests/support/multicall.sh - Multicall3 at its address on the test chain; source it after contracts.sh.
#
#   multicall_install                         puts our TestMulticall3 at $MULTICALL
#   multicall_call TARGET,ALLOW,DATA...       aggregate3 of the calls; prints what it returns

MULTICALL=0xcA11bde05977b3631167028862bE2a173976CA11

multicall_install() {
    local code
    code=$(abi_calldata code "$CONTRACTS/TestMulticall3.json") || return 1
    anvil_rpc anvil_setCode "[\"$MULTICALL\",\"$code\"]" >/dev/null
}

multicall_call() {
    local call list=
    for call; do
        list+=",($call)"
    done
    contract_call "$MULTICALL" 'aggregate3((address,bool,bytes)[])' "[${list#,}]"
}
