# tests/support/dstack.sh - a dstack app and its KMS on the test chain; source it after contracts.sh. Both lie
# behind proxies and belong to the first account. Hashes and devices are 32 bytes, 0x..
#
#   dstack_deploy [NAME]              sets DSTACK_APP and DSTACK_APP_CODE, its implementation; no hash, no device, any
#                                     device no, up-to-date TCB not required. NAME: TestDstackApp, or TestDstackAppNewer,
#                                     which emits PolicyChanged too
#   dstack_add HASH                   approves a compose hash
#   dstack_remove HASH
#   dstack_add_device DEVICE
#   dstack_remove_device DEVICE
#   dstack_any_device true|false
#   dstack_require_tcb true|false
#   dstack_disable_upgrades
#   dstack_upgrade NAME               other code behind the app; sets DSTACK_APP_CODE
#   dstack_is_allowed TARGET HASH DEVICE [IMAGE] [TCB] [MR]   TARGET, $DSTACK_APP or $DSTACK_KMS, says isAppAllowed
#   dstack_kms_deploy [NAME]          sets DSTACK_KMS and DSTACK_KMS_CODE; NAME: TestDstackKms or TestDstackKmsOldLayout
#   dstack_kms_register [APP]         default $DSTACK_APP
#   dstack_kms_add_image IMAGE        and dstack_kms_remove_image
#   dstack_kms_add_mr MR              and dstack_kms_remove_mr
#   dstack_kms_add_device DEVICE      and dstack_kms_remove_device
#   dstack_kms_gateway ID
#   dstack_kms_is_allowed IMAGE MR DEVICE [TCB]               isKmsAllowed

DSTACK_INFO='((address,bytes32,address,bytes32,bytes32,bytes32,bytes32,string,string[]))'
DSTACK_ZERO=0x0000000000000000000000000000000000000000000000000000000000000000

dstack_deploy() {
    contract_proxy "${1:-TestDstackApp}" 'initialize(address,bool,bool,bool,bytes32,bytes32)' \
        "$ANVIL_OWNER" false false false "$DSTACK_ZERO" "$DSTACK_ZERO" || return 1
    DSTACK_APP=$CONTRACT
    DSTACK_APP_CODE=$IMPLEMENTATION
}

dstack_send() { contract_send "$DSTACK_APP" "$@" >/dev/null; }
dstack_add() { dstack_send 'addComposeHash(bytes32)' "$1"; }
dstack_remove() { dstack_send 'removeComposeHash(bytes32)' "$1"; }
dstack_add_device() { dstack_send 'addDevice(bytes32)' "$1"; }
dstack_remove_device() { dstack_send 'removeDevice(bytes32)' "$1"; }
dstack_any_device() { dstack_send 'setAllowAnyDevice(bool)' "$1"; }
dstack_require_tcb() { dstack_send 'setRequireTcbUpToDate(bool)' "$1"; }
dstack_disable_upgrades() { dstack_send 'disableUpgrades()'; }

dstack_upgrade() {
    contract_upgrade "$DSTACK_APP" "$1" || return 1
    DSTACK_APP_CODE=$IMPLEMENTATION
}

# What isAppAllowed or isKmsAllowed returns begins with the verdict, one word.
dstack_ask() {
    local to=$1 name=$2 answer zero=0x0000000000000000000000000000000000000000
    answer=$(contract_call "$to" "$name$DSTACK_INFO" \
        "(${DSTACK_APP:-$zero},$3,$zero,$4,$5,$DSTACK_ZERO,$6,\"$7\",[])") || return 2
    case ${answer:2:64} in
    *1) return 0 ;;
    *) return 1 ;;
    esac
}

dstack_is_allowed() {
    dstack_ask "$1" isAppAllowed "$2" "$3" "${6:-$DSTACK_ZERO}" "${4:-$DSTACK_ZERO}" "${5:-UpToDate}"
}

dstack_kms_deploy() {
    contract_proxy "${1:-TestDstackKms}" 'initialize(address,address)' \
        "$ANVIL_OWNER" "${DSTACK_APP_CODE:-0x0000000000000000000000000000000000000000}" || return 1
    DSTACK_KMS=$CONTRACT
    DSTACK_KMS_CODE=$IMPLEMENTATION
}

dstack_kms_send() { contract_send "$DSTACK_KMS" "$@" >/dev/null; }
dstack_kms_register() { dstack_kms_send 'registerApp(address)' "${1:-$DSTACK_APP}"; }
dstack_kms_add_image() { dstack_kms_send 'addOsImageHash(bytes32)' "$1"; }
dstack_kms_remove_image() { dstack_kms_send 'removeOsImageHash(bytes32)' "$1"; }
dstack_kms_add_mr() { dstack_kms_send 'addKmsAggregatedMr(bytes32)' "$1"; }
dstack_kms_remove_mr() { dstack_kms_send 'removeKmsAggregatedMr(bytes32)' "$1"; }
dstack_kms_add_device() { dstack_kms_send 'addKmsDevice(bytes32)' "$1"; }
dstack_kms_remove_device() { dstack_kms_send 'removeKmsDevice(bytes32)' "$1"; }
dstack_kms_gateway() { dstack_kms_send 'setGatewayAppId(string)' "$1"; }
dstack_kms_is_allowed() {
    dstack_ask "$DSTACK_KMS" isKmsAllowed "$DSTACK_ZERO" "$3" "$2" "$1" "${4:-UpToDate}"
}
