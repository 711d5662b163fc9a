#!/bin/bash
# The webhook of dstack's KMS, on a real chain: what its contracts approve and refuse, each rule alone; what a list
# approves; malformed questions; a chain that is down or does not answer; signed decisions, checked as docs/dstack.md says.
set -euo pipefail
build=${1:?usage: dstack_webhook_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/registry.sh
. tests/support/contracts.sh
. tests/support/dstack.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh
. tests/support/page.sh
anvil_program >/dev/null || { echo 'skipped: no anvil (scripts/fetch-anvil)'; exit 77; }
command -v openssl >/dev/null || { echo 'skipped: no openssl'; exit 77; }

tree=$PWD
work=$(mktemp -d /tmp/m.XXXXXX)
trap 'kill -CONT "${ANVIL_PID:-$$}" 2>/dev/null || true; daemon_stop || true; tls_stop; anvil_stop; rm -rf "$work"' EXIT
hash_of() { printf "$1%.0s" {1..32}; } # 64 digits
compose=$(hash_of c1) image=$(hash_of 1a) device=$(hash_of de) mr=$(hash_of a6) other=$(hash_of 99)
gateway=0x2f83172a49584c017f2b256f0fb2dca14126ba9c
listed=$(printf '77%.0s' {1..20}) # an app id that a list governs
lower() { tr 'A-F' 'a-f'; }

anvil_start "$work/chain"
dstack_deploy
dstack_add "0x$compose"
dstack_add_device "0x$device"
dstack_kms_deploy
dstack_kms_gateway "$gateway"
dstack_kms_add_image "0x$image"
dstack_kms_add_mr "0x$mr"
dstack_kms_add_device "0x$device"
dstack_kms_register
registry_finalize
app=$(printf '%s' "${DSTACK_APP#0x}" | lower)

tls_start "$work/tls" --host docs.example.test
cat >"$work/tls/www/list.json" <<JSON
{"predicates":[{"kind":"dstack-compose-hash","value":"$compose"},{"kind":"dstack-os-image","value":"$image"}]}
JSON
list=$(measuredctl url --host h --location "https://docs.example.test:$TLS_PORT/list.json" 2>/dev/null)
list=${list#https://} list=${list%%@*}

configure() { # [dstack] and more from stdin; $LEVEL, $PROOFS, $RPC
    {
        cat <<CONF
[policy]
level = ${LEVEL:-l2}
quorum = 2
poll = 60s
head-poll = 1s
[times]
contract-fresh = ${FRESH:-120s}
contract-swr = ${SWR:-120s}
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
[rpc a]
chain = 1
url = $ANVIL_URL
proofs = ${PROOFS:-no}
[rpc b]
chain = 1
url = $ANVIL_URL/
proofs = ${PROOFS:-no}
CONF
        cat
    } | daemon_config "$work"
}
kms="eip155:1:$DSTACK_KMS;kind=dstack-kms"

# ask app|kms [MEMBER=JSON...]: posts what a KMS would say, with members replaced; a MEMBER= without value is left out
ask() {
    local whom=$1 pair name value text=''
    shift
    declare -A m=([teeVariant]='"dstack-tdx"' [mrAggregated]="\"$mr\"" [osImageHash]="\"$image\""
        [mrSystem]="\"$(hash_of 55)\"" [appId]="\"$app\"" [composeHash]="\"$compose\""
        [instanceId]="\"$(printf '44%.0s' {1..20})\"" [deviceId]="\"$device\"" [keyProviderInfo]='"00"'
        [tcbStatus]='"UpToDate"' [advisoryIds]='[]')
    for pair; do
        name=${pair%%=*} value=${pair#*=}
        if [ -n "$value" ]; then m[$name]=$value; else unset "m[$name]"; fi
    done
    for name in "${!m[@]}"; do text+=",\"$name\":${m[$name]}"; done
    printf '{%s}' "${text#,}" >"$work/request"
    get "/bootAuth/$whom" -A 'dstack-kms/0.5.4' -H 'Content-Type: application/json' --data-binary @"$work/request"
}
is_decision() { # VERDICT WHAT
    want 200 "$2"
    grep -qi "^X-Measured-Verdict: $1" "$work/head" || fail "$2: not $1: $(cat "$work/body")"
    body_has '^\{"isAllowed":(true|false),"gatewayAppId":"[^"]*","reason":"([^"\\]|\\.)*"\}$'
}
allows() { # WHAT, of the last ask
    is_decision approved "$1"
    body_has '"isAllowed":true,.*"reason":""'
}
denies() { # WHAT REASON [VERDICT]
    is_decision "${3:-refused}" "$1"
    body_has "\"isAllowed\":false,.*\"reason\":\"[^\"]*$2"
}

# ---- without [dstack] there is no such path ----
configure </dev/null
daemon_start "$work"
get /
want 404 'GET / without [dstack]'
ask app
want 404 'POST /bootAuth/app without [dstack]'
get /bootAuth/kms
want 404 'GET /bootAuth/kms without [dstack]'
daemon_stop || fail "exit $?"

# ---- by contracts: every rule, at both levels ----
for LEVEL in l3 l2; do
    PROOFS=$([ $LEVEL = l3 ] && echo finalized || echo no)
    configure <<<"[dstack]
kms-specifier = $kms
allow-any-device = yes
allowed-tcb-statuses = UpToDate, OutOfDate" # which are of no concern to contracts
    daemon_start "$work"
    ask app
    allows "$LEVEL: the app"
    body_has "\"gatewayAppId\":\"$gateway\""
    ask app composeHash="\"${compose^^}\"" osImageHash="\"0x$image\"" appId="\"0x${app^^}\"" instanceId='""'
    allows "$LEVEL: capitals and 0x"
    ask app mrSystem= teeVariant= keyProviderInfo= advisoryIds= later='{"x":1}'
    allows "$LEVEL: members of other versions"
    ask app tcbStatus='"OutOfDate"'
    allows "$LEVEL: an app that does not ask for the TCB"
    ask app composeHash="\"$other\""
    denies "$LEVEL: another compose hash" "compose hash 0x$other is not approved"
    ask app osImageHash="\"$other\""
    denies "$LEVEL: another image" "OS image 0x$other is not approved"
    ask app deviceId="\"$other\""
    denies "$LEVEL: another device" "device 0x$other is not approved"
    ask app appId="\"$(printf '66%.0s' {1..20})\""
    denies "$LEVEL: no contract" '(no-code|kind): '
    ask app appId="\"${DSTACK_KMS#0x}\""
    denies "$LEVEL: the KMS as an app" 'kms= names the app itself' unknown
    ask kms
    allows "$LEVEL: the KMS"
    body_has "\"gatewayAppId\":\"$gateway\""
    ask kms tcbStatus='"OutOfDate"'
    denies "$LEVEL: a KMS out of date" "TCB status is 'OutOfDate'"
    ask kms osImageHash="\"$other\""
    denies "$LEVEL: the image of a KMS" 'OS image'
    ask kms mrAggregated="\"$other\""
    denies "$LEVEL: the measurement of a KMS" "aggregated measurement 0x$other"
    ask kms deviceId="\"$other\""
    denies "$LEVEL: the device of a KMS" 'device of a KMS'
    ask kms composeHash="\"$other\""
    allows "$LEVEL: a KMS has no compose hash to be approved"
    get /
    want 200 "$LEVEL: GET /"
    body_has "^\{\"status\":\"ok\",\"kmsContractAddr\":\"0x[0-9a-fA-F]{40}\",\"gatewayAppId\":\"$gateway\",\"chainId\":1,\"appImplementation\":\"0x[0-9a-fA-F]{40}\"\}$"
    grep -qi "\"kmsContractAddr\":\"$DSTACK_KMS\"" "$work/body" || fail "the KMS: $(cat "$work/body")"
    grep -qi "\"appImplementation\":\"$DSTACK_APP_CODE\"" "$work/body" || fail "the app: $(cat "$work/body")"
    body_lacks '127\.0\.0\.1'
    # the contracts themselves say the same
    dstack_is_allowed "$DSTACK_KMS" "0x$compose" "0x$device" "0x$image" || fail 'isAppAllowed'
    dstack_kms_is_allowed "0x$image" "0x$mr" "0x$device" || fail 'isKmsAllowed'
    [ $LEVEL = l3 ] || break
    daemon_stop || fail "exit $?"
    check_log "$work"
    rm -rf "$work/state"
done

# ---- the same question to check ----
check_boot() { # EXIT SPECIFIER WORDS: with $work/request
    local status=0
    measuredctl check "$2" --boot-info "${4:-$work/request}" >"$work/verdict" 2>"$work/words" || status=$?
    [ "$status" = "$1" ] || fail "check --boot-info $2: exit $status: $(cat "$work/verdict" "$work/words")"
    grep -q -- "$3" "$work/verdict" "$work/words" || fail "check --boot-info: $(cat "$work/verdict" "$work/words")"
}
both="eip155:1:$DSTACK_APP;kind=dstack-app;kms=$DSTACK_KMS"
ask app
check_boot 0 "$both" 'may boot'
grep -q '^release *#1' "$work/verdict" || fail "the release: $(cat "$work/verdict")"
printf '{"is_valid":true,"details":{"quote_verified":true,"boot_info":%s},"reason":null}' "$(cat "$work/request")" >"$work/verified"
check_boot 0 "$both" 'may boot' "$work/verified"
sed -i 's/"is_valid":true/"is_valid":false/' "$work/verified"
check_boot 1 "$both" 'does not say that' "$work/verified"
check_boot 1 "eip155:1:$DSTACK_APP;kind=dstack-app" 'kms='
check_boot 0 "$list" 'may boot' # any device, says the operator of lists
ask app deviceId="\"$other\""
check_boot 1 "$both" "device 0x$other"
ask app composeHash="\"$other\""
check_boot 1 "$both" 'compose hash'
ask app composeHash="\"${compose:2}\""
check_boot 1 "$both" 'composeHash'

# ---- malformed questions ----
bad() { # WHAT MEMBER=JSON
    ask app "${@:2}"
    want 400 "$1"
    body_lacks 'isAllowed'
}
for name in mrAggregated osImageHash mrSystem composeHash deviceId; do
    bad "$name of 31 bytes" "$name=\"${compose:2}\""
    bad "$name of 33 bytes" "$name=\"${compose}00\""
    body_has "$name"
done
bad '19 bytes' "appId=\"${app:2}\""
bad 'an app id of 32 bytes' "appId=\"$compose\""
bad 'an instance of 19 bytes' "instanceId=\"${app:2}\""
bad 'no hex' "composeHash=\"${compose:1}g\""
bad 'no compose hash' composeHash=
bad 'no status' tcbStatus=
bad 'advisories of another type' 'advisoryIds={}'
bad 'twice' "x=1,\"appId\":\"$app\""
get /bootAuth/app -d ''
want 400 'an empty body'
get /bootAuth/app -d '[]'
want 400 'a list'
get /bootAuth/app
want 405 'GET'
get / -d '{}'
want 405 'POST /'
head -c 70000 /dev/zero | tr '\0' ' ' >"$work/large"
get /bootAuth/app --data-binary @"$work/large"
want 413 'too large'

# ---- what changes on chain ----
denies_now() { ask "$1" "${@:4}" && grep -qE "\"isAllowed\":false,.*$2" "$work/body"; } # WHOM REASON WHAT MEMBER=...
allows_now() { ask "$@" && grep -q '"isAllowed":true' "$work/body"; }
dstack_require_tcb true
eventually 8 denies_now app "TCB status is 'OutOfDate'" '' tcbStatus='"OutOfDate"' || fail "TCB wanted in the newest block: $(cat "$work/body")"
ask app
allows 'an app that is up to date'
dstack_remove "0x$compose"
eventually 8 denies_now app 'compose hash' || fail "a compose hash removed in the newest block: $(cat "$work/body")"
dstack_add "0x$compose"
eventually 8 allows_now app || fail "it was final before, and is back: $(cat "$work/body")"
registry_finalize # and so is its removal, if only the block of that one were final
eventually 8 allows_now app || fail "and final again: $(cat "$work/body")"
dstack_add_device "0x$other"
sleep 3
ask app deviceId="\"$other\""
denies 'a device that is not final' 'device'
registry_finalize
eventually 8 allows_now app deviceId="\"$other\"" || fail "a device that is final: $(cat "$work/body")"
dstack_kms_remove_mr "0x$mr"
eventually 8 denies_now kms 'aggregated measurement' || fail "a KMS removed: $(cat "$work/body")"
dstack_kms_gateway other-gateway
gateway_is() { ask app && grep -qF "\"gatewayAppId\":\"$1\"" "$work/body"; }
eventually 8 gateway_is '' || fail "a gateway that is not final: $(cat "$work/body")"
body_has '"isAllowed":true'
registry_finalize
eventually 8 gateway_is other-gateway || fail "another gateway: $(cat "$work/body")"

# ---- who governs ----
ask app appId="\"$listed\""
denies 'an app of nobody' 'contract'
grep -q 'verdict=refused' "$DAEMON_LOG" || fail 'decisions are logged'
n=$(grep -c 'dstack: boot ' "$DAEMON_LOG")
for _ in $(seq 30); do ask app; done
[ $(($(grep -c 'dstack: boot ' "$DAEMON_LOG") - n)) = 30 ] || fail 'each decision is logged'
grep -qE "dstack: boot whom=app verdict=approved reason=\"\" app=$app .* chain=1 block=[1-9]" "$DAEMON_LOG" || fail "the log: $(grep 'dstack: boot' "$DAEMON_LOG" | tail -n 1)"
ask app tcbStatus='"Up ToDate\" x=y"'
denies 'a status with quotes' 'TCB'
grep -qF 'tcb="Up ToDate\" x=y" key=' "$DAEMON_LOG" || fail 'a status is quoted in the log'
get /metrics
body_has '^measured_boot_decisions_total\{verdict="approved"\} [1-9]'
body_has '^measured_boot_decisions_total\{verdict="refused"\} [1-9]'
daemon_stop || fail "exit $?"
check_log "$work"
rm -rf "$work/state"

dstack_kms_add_mr "0x$mr"
registry_finalize
configure <<<"[dstack]
kms-specifier = $list
gateway-app-id = 0xgateway
allowed-advisories = INTEL-SA-1
devices = $device
kms-mr-aggregated = $mr
sign = yes
[dstack-app 0x$listed]
specifier = $list
[dstack-app $app]
specifier = eip155:1:$DSTACK_APP;kind=dstack-app
[dstack-app $(printf '88%.0s' {1..20})]
specifier = eip155:1:$DSTACK_APP;kind=dstack-app;kms=$DSTACK_KMS"
daemon_start "$work"
ask app appId="\"$listed\"" advisoryIds='["INTEL-SA-1"]'
allows 'an app by a list'
body_has '"gatewayAppId":"0xgateway"'

# ---- signed: as the page says ----
cp "$work/body" "$work/reply"
cp "$work/state/signing.pub" "$work/signing.pub"
[ "$(stat -c %a "$work/state/signing.key")" = 600 ] || fail 'the mode of signing.key'
grep -q 'daemon: signing key_id=[0-9a-f]\{64\}' "$DAEMON_LOG" || fail 'the id of the key'
page_script "$tree/docs/dstack.md" >"$work/verify.sh"
verified() { (cd "$work" && bash -e verify.sh) >"$work/out" 2>&1; }
verified || fail "the signature: $(cat "$work/out")"
grep -qx 'measured/boot-decision/1' "$work/statement" || fail "the statement: $(cat "$work/statement")"
grep -qx 'path=/bootAuth/app' "$work/statement" && grep -qx 'verdict=approved' "$work/statement" || fail "$(cat "$work/statement")"
grep -qx 'state=fresh' "$work/statement" && grep -qx 'chain=0' "$work/statement" || fail "$(cat "$work/statement")"
grep -qxE 'evidence=[0-9a-f]{64}' "$work/statement" || fail "$(cat "$work/statement")"
time=$(sed -n 's/^time=//p' "$work/statement")
[ $(($(date +%s) - time)) -le 60 ] || fail "the time: $time"
sed -i 's/0xgateway/0xgatewaz/' "$work/reply"
! verified || fail 'another reply is verified'
cp "$work/body" "$work/reply"
echo >>"$work/request"
! verified || fail 'another request is verified'
truncate -s -1 "$work/request"
verified || fail 'the same again'
sed -i 's/^X-Measured-Statement: .\{200\}/&A/I' "$work/head"
! verified || fail 'another statement is verified'
ask app appId="\"$listed\"" composeHash="\"$other\""
denies 'a list: another compose hash' "compose hash 0x$other"
cp "$work/body" "$work/reply"
verified || fail 'a refusal is signed'
grep -qx 'verdict=refused' "$work/statement" || fail "$(cat "$work/statement")"

ask app appId="\"$listed\"" osImageHash="\"$other\""
denies 'a list: another image' 'OS image'
ask app appId="\"$listed\"" tcbStatus='"OutOfDate"'
denies 'a list: TCB' 'allowed-tcb-statuses'
ask app appId="\"$listed\"" advisoryIds='["INTEL-SA-1","INTEL-SA-2"]'
denies 'a list: an advisory' "'INTEL-SA-2'"
ask app appId="\"$listed\"" advisoryIds=
denies 'a list: advisories not said' 'advisoryIds'
ask app appId="\"$listed\"" deviceId="\"$other\""
denies 'a list: another device' "device 0x$other"
ask app
denies 'a contract without its KMS' 'kms='
ask app appId="\"$(printf '88%.0s' {1..20})\""
denies "another app's contract" 'another app'
ask app appId="\"$(printf '66%.0s' {1..20})\""
denies 'an app of nobody' 'nobody governs'
cp "$work/body" "$work/reply"
verified || fail 'that nobody governs is signed'
grep -qx 'specifier-key=' "$work/statement" || fail "$(cat "$work/statement")"
ask app deviceId="\"$other\""
check_boot 1 "$list" "device 0x$other"
ask kms
allows 'a KMS by a list'
ask kms mrAggregated="\"$other\""
denies 'a list: another measurement' 'aggregated measurement'
get /
want 200 'GET / by a list'
body_has '^\{"status":"ok","kmsContractAddr":"","gatewayAppId":"0xgateway","chainId":0,"appImplementation":""\}$'
key=$(sha256sum <"$work/state/signing.key")
daemon_stop || fail "exit $?"
check_log "$work"

# ---- the same key after a restart; none that others could read ----
daemon_start "$work"
[ "$(sha256sum <"$work/state/signing.key")" = "$key" ] || fail 'another key after a restart'
daemon_stop || fail "exit $?"
chmod 644 "$work/state/signing.key"
! daemon_start "$work" 2>/dev/null || fail 'a key that others may read'
grep -q 'may be read by others' "$DAEMON_LOG" || fail "$(cat "$DAEMON_LOG")"
rm -rf "$work/state"

# ---- nobody at all ----
configure <<<'[dstack]'
daemon_start "$work"
grep -q 'every boot is refused' "$DAEMON_LOG" || fail 'a warning'
ask app
denies 'nobody governs apps' 'nobody governs'
ask kms
denies 'nobody governs KMSs' 'nobody governs'
get /
want 200 'GET / of nobody'
head_has '^Content-Type: application/json'
daemon_stop || fail "exit $?"

# ---- an option of the KMS that cannot be held for its apps ----
configure <<<"[dstack]
kms-specifier = $kms;code=0x$(hash_of 12)"
daemon_start "$work"
ask app
denies 'code= of the KMS' 'cannot be held for its apps' unknown
daemon_stop || fail "exit $?"
configure <<<"[dstack]
kms-specifier = $kms;level=l3" # which nobody proves here
daemon_start "$work"
ask app
denies 'level= of the KMS holds for its apps' 'level l3' unknown
daemon_stop || fail "exit $?"

# ---- a chain that is down, or hangs ----
LEVEL=l2 PROOFS=no FRESH=3s SWR=0s
configure <<<"[dstack]
kms-specifier = $kms
deadline = 2s"
daemon_start "$work"
ask app
allows 'before'
kill -STOP "$ANVIL_PID"
began=$(date +%s%N)
ask app composeHash="\"$other\""
took=$((($(date +%s%N) - began) / 1000000))
denies 'a chain that hangs' 'could not find out' unknown
[ $took -lt 4000 ] || fail "an answer after $took ms"
took_all=$took
began=$(date +%s%N)
ask app appId="\"$(printf '67%.0s' {1..20})\""
took=$((($(date +%s%N) - began) / 1000000))
denies 'an app that is not known' 'could not find out: timeout' unknown
[ $took -lt 4000 ] || fail "an answer after $took ms"
echo "a chain that hangs: answers after $took_all and $took ms, deadline 2000"
kill -CONT "$ANVIL_PID"
eventually 30 allows_now app || fail "it goes on: $(cat "$work/body")"
anvil_stop
eventually 20 denies_now app 'could not find out' || fail "a chain that is down: $(cat "$work/body")"
is_decision unknown 'a chain that is down'
get "/v1/resolve?specifier=$DSTACK_APP;kind=dstack-app;kms=$DSTACK_KMS"
want 200 'others are still served'
body_has '"state":"stale-if-error"'
get /metrics
body_has '^measured_boot_decisions_total\{verdict="unknown"\} [1-9]'
daemon_stop || fail "exit $?"
check_log "$work"
check_end
