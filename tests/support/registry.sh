# tests/support/registry.sh - a MeasurementRegistry on the test chain; source it after anvil.sh.
# $RIG_TOOLS is the folder of registry_calldata (build/PRESET/tests).
#
#   registry_deploy [MIN_DELAY_S] [OWNER] [GUARDIAN]   sets REGISTRY, its address
#   registry_approve VERSION PAYLOAD_FILE     release in force at once, payload on chain, format 1
#   registry_approve_at VERSION NOT_BEFORE NOT_AFTER FORMAT URI PAYLOAD_FILE chain|off
#   registry_revoke ID [REASON] [FROM]
#   registry_heartbeat VALID_UNTIL
#   registry_finalize                         mines until what was done is finalized
#   registry_deploy_many N PAYLOAD_FILE TIME  sets REGISTRIES: N of them, each with one release in force from TIME on
#   multicall_install                         puts a Multicall3 where every chain has it

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

# One batch of transactions in one block; prints the receipts' contract addresses, one a line.
registry_batch() { # FILE with one `{...}` of eth_sendTransaction a line
    local hashes
    anvil_rpc evm_setAutomine '[false]' >/dev/null || return 1
    hashes=$(awk 'BEGIN { printf "[" } { printf "%s{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"eth_sendTransaction\",\"params\":[%s]}", (NR > 1 ? "," : ""), NR, $0 } END { printf "]" }' "$1" |
        registry_post | grep -oE '0x[0-9a-f]{64}') || return 1
    anvil_rpc anvil_mine '["0x1","0x0"]' >/dev/null || return 1
    anvil_rpc evm_setAutomine '[true]' >/dev/null || return 1
    awk 'BEGIN { printf "[" } { printf "%s{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"eth_getTransactionReceipt\",\"params\":[\"%s\"]}", (NR > 1 ? "," : ""), NR, $0 } END { printf "]" }' <<<"$hashes" |
        registry_post >"$1.receipts" || return 1
    [ "$(grep -o '"status":"0x1"' "$1.receipts" | wc -l)" = "$(wc -l <"$1")" ] || { head -c 2000 "$1.receipts" >&2; return 1; }
    grep -oE '"contractAddress":"0x[0-9a-f]{40}"' "$1.receipts" | grep -oE '0x[0-9a-f]{40}' || true
}

registry_post() {
    curl -sS --fail --max-time 60 --noproxy '*' -H 'Content-Type: application/json' --data-binary @- "$ANVIL_URL"
}

registry_deploy_many() {
    local n=$1 deploy approve file left=$1 k to
    file=$(mktemp) || return 1
    deploy=$(registry_calldata deploy "$REGISTRY_ABI" "$ANVIL_OWNER" "$ANVIL_GUARDIAN" 0) || return 1
    approve=$(registry_calldata approve 1 "$3" 0 1 '' "$2" chain) || return 1
    REGISTRIES=()
    while [ "$left" -gt 0 ]; do # anvil takes messages of 2 MB
        k=$((left > 50 ? 50 : left))
        for ((i = 0; i < k; i++)); do
            printf '{"from":"%s","gas":"0x3d0900","data":"%s"}\n' "$ANVIL_OWNER" "$deploy"
        done >"$file"
        mapfile -t -O ${#REGISTRIES[@]} REGISTRIES < <(registry_batch "$file")
        left=$((left - k))
    done
    [ ${#REGISTRIES[@]} = "$n" ] || { echo "deployed ${#REGISTRIES[@]} of $n" >&2; return 1; }
    for ((i = 0; i < n; i += 100)); do
        for to in "${REGISTRIES[@]:i:100}"; do
            printf '{"from":"%s","to":"%s","gas":"0xf4240","data":"%s"}\n' "$ANVIL_OWNER" "$to" "$approve"
        done >"$file"
        registry_batch "$file" || return 1
    done
    rm -f "$file" "$file.receipts"
}

multicall_install() {
    local code
    code=$(sed -nE 's/^ "deployedBytecode": "(0x[0-9a-f]+)",?$/\1/p' tests/support/contracts/TestMulticall3.json)
    [ -n "$code" ] || return 1
    anvil_rpc anvil_setCode "[\"0xcA11bde05977b3631167028862bE2a173976CA11\",\"$code\"]" >/dev/null
}

registry_finalize() {
    local until
    until=$(anvil_height latest) || return 1
    anvil_mine 2
    [ "$(anvil_height finalized)" -ge "$until" ]
}
