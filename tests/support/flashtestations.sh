# tests/support/flashtestations.sh - a policy of workloads and a registry of quotes on the test chain; source it
# after contracts.sh. The policy lies behind a proxy and belongs to the first account.
#
#   flashtestations_deploy [NAME]             sets FLASH_POLICY, FLASH_POLICY_CODE and FLASH_REGISTRY; NAME:
#                                             TestWorkloadPolicy, or TestWorkloadPolicyV1 with the first formula
#   flashtestations_add ID [COMMIT] [URL]     approves a workload
#   flashtestations_remove ID
#   flashtestations_upgrade NAME              other code behind the policy; sets FLASH_POLICY_CODE
#   flashtestations_register FILE [FROM]      the sender registers a quote; nothing of it is verified
#   flashtestations_invalidate ADDRESS
#   flashtestations_id FILE                   the id that the policy computes for a quote

FLASH_TEE='(bool,bytes,(bytes16,bytes,bytes,bytes8,bytes8,bytes8,bytes,bytes,bytes,bytes,bytes,bytes,bytes,bytes,bytes),bytes,bytes32)'

flashtestations_deploy() {
    contract_deploy TestFlashtestationRegistry || return 1
    FLASH_REGISTRY=$CONTRACT
    contract_proxy "${1:-TestWorkloadPolicy}" 'initialize(address,address)' "$ANVIL_OWNER" "$FLASH_REGISTRY" ||
        return 1
    FLASH_POLICY=$CONTRACT
    FLASH_POLICY_CODE=$IMPLEMENTATION
}

flashtestations_add() {
    local commit=${2:-0123456789abcdef0123456789abcdef01234567} url=${3:-https://example.test/source}
    contract_send "$FLASH_POLICY" 'addWorkloadToPolicy(bytes32,string,string[])' "$1" "$commit" "[\"$url\"]" >/dev/null
}

flashtestations_remove() { contract_send "$FLASH_POLICY" 'removeWorkloadFromPolicy(bytes32)' "$1" >/dev/null; }

flashtestations_upgrade() {
    contract_upgrade "$FLASH_POLICY" "$1" || return 1
    FLASH_POLICY_CODE=$IMPLEMENTATION
}

flashtestations_register() {
    FROM=${2:-$ANVIL_OWNER} contract_send "$FLASH_REGISTRY" 'registerTEEService(bytes,bytes)' "@$1" 0x >/dev/null
}

flashtestations_invalidate() { contract_send "$FLASH_REGISTRY" 'invalidateAttestation(address)' "$1" >/dev/null; }

# The members of a TD report (584 bytes behind the quote's header of 48), by their sizes.
flashtestations_report() {
    local hex part text= position=96
    hex=$(od -An -v -tx1 -N 632 "$1" | tr -d ' \n') || return 1
    [ ${#hex} = 1264 ] || return 1
    for part in 16 48 48 8 8 8 48 48 48 48 48 48 48 48 64; do
        text+=,0x${hex:position:2*part}
        position=$((position + 2 * part))
    done
    echo "(${text#,})"
}

flashtestations_id() {
    local report
    report=$(flashtestations_report "$1") || return 1
    contract_call "$FLASH_POLICY" "workloadIdForTDRegistration($FLASH_TEE)" \
        "(true,0x,$report,0x,0x0000000000000000000000000000000000000000000000000000000000000000)"
}
