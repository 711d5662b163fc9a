#!/bin/bash
# A list of signers in which one is a Safe: what the Safe says of a set counts as one signature, proven against its
# storage at l3, asked of it at l2. The Safe is the real one.
set -euo pipefail
build=${1:?usage: signers_safe_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/contracts.sh
. tests/support/registry.sh
. tests/support/safe.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh
anvil_program >/dev/null || { echo 'skipped: no anvil (scripts/fetch-anvil)'; exit 77; }
safe_files || { echo 'skipped: no Safe (scripts/fetch-safe)'; exit 77; }

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'daemon_stop || true; tls_stop; anvil_stop; rm -rf "$work"' EXIT
tool() { "$RIG_TOOLS/release_tool" "$@"; }

# document FILL: an unsigned set of one release whose record is named rFILL
document() {
    local record hash now
    now=$(date +%s)
    record=$(printf '[{"measurement_id":"r%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"}}}]' \
        "$1" "$(printf "$1%.0s" {1..48})")
    hash=$(printf '%s' "$record" | sha256sum | cut -d' ' -f1)
    printf '{"type":"measured-release-set/1","set":{"app":"","sequence":1,"issuedAt":%s,"validUntil":%s,' \
        "$now" $((now + 86400))
    printf '"previous":"0x%064d","releases":[{"id":1,"version":1,"notBefore":0,"notAfter":0,"approvedSeq":1,' 0
    printf '"payloadFormat":1,"payloadSize":%s,"payloadHash":"0x%s","uri":""}]},"payloads":{"0x%s":"%s"}}\n' \
        "${#record}" "$hash" "$hash" "$(printf '%s' "$record" | base64 -w0)"
}

anvil_start "$work/chain"
tls_start "$work/tls" --host docs.example.test
www=$work/tls/www
safe_install
owners=()
for key in a1 b2 c3; do owners+=("$(tool owner "$key")"); done
safe_deploy 2 "${owners[@]}"
by_owners=$SAFE
safe_deploy 2 "${SAFE_OWNERS[@]}"
on_chain=$SAFE
registry_finalize
list="2of3:$(tool owner d4),$(tool owner e5)"
at() { printf 'https://docs.example.test:%s/%s' "$TLS_PORT" "$1" | base64 -w0 | tr '+/' '-_' | tr -d =; }
configure() { # LEVEL
    daemon_config "$work" <<CONF
[policy]
level = $1
quorum = 2
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
[rpc a]
chain = 1
url = $ANVIL_URL
[rpc b]
chain = 1
url = $ANVIL_URL/
CONF
}
listed() {
    get "/v1/measurements?specifier=$1"
    grep -o '"measurement_id":"[a-z0-9]*"' "$work/body" | cut -d'"' -f4 | xargs
}
is_listed() { [ "$(listed "$1")" = "$2" ]; }
# Nobody has the keys of the Safe's owners on this chain, so the slot is set, and a block mined that has it.
threshold() {
    anvil_rpc anvil_setStorageAt "[\"$by_owners\",\"$(printf '0x%064x' 4)\",\"$(printf '0x%064x' "$1")\"]" >/dev/null
    anvil_mine 1
}
refused() { # SPECIFIER PATTERN [STATUS]
    get "/v1/resolve?specifier=$1"
    want "${3:-502}" "$1"
    body_has "$2"
}
refresh() { measuredctl refresh "$spec" >/dev/null 2>&1 || fail "$level: refresh: exit $?"; }

document 11 >"$work/set.json"
for level in l3 l2; do
    configure $level
    daemon_start "$work"
    folder=$www/$level
    mkdir -p "$folder"

    # a key and two owners of the Safe
    tool list "$work/set.json" d4 "1:$by_owners:a1c3" >"$folder/set.json"
    spec="$list,$by_owners;at=$(at "$level/")"
    is_listed "$spec" r11 || fail "$level: $(head -c 400 "$work/body")"
    get "/v1/resolve?specifier=$spec"
    body_has '"trust":"signers 2/3"'
    body_has '"adapter":"safe"'
    body_has '"approved_by":"signature"'
    body_has "\"level\":\"$level\""
    body_has '"version":"1.4.1"'

    # who has not signed refuses what the others have; so does a Safe of another list, chain or set
    tool list "$work/set.json" d4 "1:$by_owners:a1" >"$folder/one.json"
    refused "$list,$by_owners;at=$(at "$level/one.json")" 'the contract has not signed this document'
    tool list "$work/set.json" d4 "1:$by_owners:a1d4" >"$folder/stranger.json"
    refused "$list,$by_owners;at=$(at "$level/stranger.json")" 'the contract has not signed this document'
    tool list "$work/set.json" d4 "1:$on_chain:a1b2" | sed "s/${on_chain#0x}/${by_owners#0x}/I" >"$folder/safe.json"
    refused "$list,$by_owners;at=$(at "$level/safe.json")" 'the contract has not signed this document'
    tool list "$work/set.json" d4 "10:$by_owners:a1b2" >"$folder/chain.json"
    refused "$list,$by_owners;at=$(at "$level/chain.json")" 'on chain 10, the specifier says 1 .chain=.'
    refused "$list,$by_owners;chain=10;at=$(at "$level/chain.json")" 'section of the configuration serves chain 10' 503
    tool list "$work/set.json" "1:$by_owners:a1b2" >"$folder/alone.json"
    refused "$list,$by_owners;at=$(at "$level/alone.json")" '0 of the 2 signatures needed'
    # where keys are enough nobody asks the Safe
    tool list "$work/set.json" d4 e5 "1:$by_owners:a1" >"$folder/keys.json"
    is_listed "$list,$by_owners;at=$(at "$level/keys.json")" r11 || fail "$level: keys: $(head -c 400 "$work/body")"

    # a higher threshold in the newest block takes the set away, until it is lowered again
    threshold 3
    refresh
    get "/v1/resolve?specifier=$spec"
    body_has '"state":"revoked"'
    body_has 'revoked-at-head'
    is_listed "$spec" '' || fail "$level: a higher threshold: $(head -c 400 "$work/body")"
    threshold 2
    anvil_mine 2 # the block that was changed is not the finalized one either: its root is of before
    refresh
    is_listed "$spec" r11 || fail "$level: the threshold as before: $(head -c 400 "$work/body")"

    # by a transaction of the Safe, when it is final
    document "$([ $level = l3 ] && echo 22 || echo 33)" >"$work/next.json"
    tool list "$work/next.json" d4 "1:$on_chain:" >"$folder/on-chain.json"
    spec2="$list,$on_chain;at=$(at "$level/on-chain.json")"
    refused "$spec2" 'the contract has not signed this document'
    safe_sign_message "$(tool digest "$folder/on-chain.json")"
    measuredctl refresh "$spec2" >/dev/null 2>"$work/words" && fail "$level: a signature that is not final counts"
    grep -q 'in a block that is not final yet' "$work/words" || fail "$level: $(cat "$work/words")"
    registry_finalize
    measuredctl refresh "$spec2" >/dev/null 2>&1 || fail "$level: refresh of what was signed on chain: exit $?"
    is_listed "$spec2" "$([ $level = l3 ] && echo r22 || echo r33)" || fail "$level: $(head -c 400 "$work/body")"
    get "/v1/resolve?specifier=$spec2"
    body_has '"approved_by":"signed-message"'

    # what is on disk is verified again
    daemon_stop || fail "exit $?"
    daemon_start "$work"
    is_listed "$spec" r11 || fail "$level: after a restart: $(head -c 400 "$work/body")"
    daemon_stop || fail "exit $?"
    check_log "$work"
    rm -rf "$work/state"
done
check_end
