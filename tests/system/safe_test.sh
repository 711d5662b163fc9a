#!/bin/bash
# A signed set that counts because a Safe approved it: by a message signed on chain, or by the signatures of enough of
# its owners, proven against the Safe's storage. The Safe is the real one.
set -euo pipefail
build=${1:?usage: safe_test.sh BUILD_DIR}
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
zero=0x$(printf '0%.0s' {1..64})

# document SEQUENCE VERSION FILL APP: an unsigned set of one release whose record is named rFILL
document() {
    local record hash now
    now=$(date +%s)
    record=$(printf '[{"measurement_id":"r%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"}}}]' \
        "$3" "$(printf "$3%.0s" {1..48})")
    hash=$(printf '%s' "$record" | sha256sum | cut -d' ' -f1)
    printf '{"type":"measured-release-set/1","set":{"app":"%s","sequence":%s,"issuedAt":%s,"validUntil":%s,' \
        "${4:-}" "$1" "$now" $((now + 86400))
    printf '"previous":"%s","releases":[{"id":1,"version":%s,"notBefore":0,"notAfter":0,"approvedSeq":1,' "$zero" "$2"
    printf '"payloadFormat":1,"payloadSize":%s,"payloadHash":"0x%s","uri":""}]},"payloads":{"0x%s":"%s"}}\n' \
        "${#record}" "$hash" "$hash" "$(printf '%s' "$record" | base64 -w0)"
}

anvil_start "$work/chain"
tls_start "$work/tls" --host docs.example.test
www=$work/tls/www
safe_install
keys=(a1 b2 c3)
owners=()
for key in "${keys[@]}"; do owners+=("$(tool owner "$key")"); done
safe_deploy 2 "${owners[@]}"
by_owners=$SAFE
safe_deploy 2 "${SAFE_OWNERS[@]}"
on_chain=$SAFE
registry_finalize
at() { printf 'https://docs.example.test:%s/%s' "$TLS_PORT" "$1" | base64 -w0 | tr '+/' '-_' | tr -d =; }
configure() { # LEVEL
    daemon_config "$work" <<CONF
[policy]
level = $1
quorum = 2
poll = 60s
head-poll = 1s
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
# Of the Safe by_owners: nobody has its keys here, so the slot is set, and a block mined that has it.
threshold() {
    anvil_rpc anvil_setStorageAt "[\"$by_owners\",\"$(printf '0x%064x' 4)\",\"$(printf '0x%064x' "$1")\"]" >/dev/null
    anvil_mine 1
}
refused() { # SPECIFIER STATUS PATTERN
    get "/v1/resolve?specifier=$1"
    want "$2" "$1"
    body_has "$3"
}

for level in l3 l2; do
    configure $level
    daemon_start "$work"

    # two of three owners
    mkdir -p "$www/$level"
    document 1 1 11 >"$work/set.json"
    tool safe "$work/set.json" 1 "$by_owners" a1 c3 >"$www/$level/set.json"
    spec="$by_owners;kind=safe;at=$(at "$level/")"
    is_listed "$spec" r11 || fail "$level: owners: $(head -c 400 "$work/body")"
    get "/v1/resolve?specifier=$spec"
    body_has '"adapter":"safe"'
    body_has '"approved_by":"owners"'
    body_has '"threshold":2'
    body_has '"version":"1.4.1"'
    body_has '"sequence":1'

    # one is too few, a stranger is none, nor is one owner twice
    tool safe "$work/set.json" 1 "$by_owners" a1 >"$www/$level/one.json"
    refused "$by_owners;kind=safe;at=$(at "$level/one.json")" 502 'has not approved'
    tool safe "$work/set.json" 1 "$by_owners" a1 d4 >"$www/$level/stranger.json"
    refused "$by_owners;kind=safe;at=$(at "$level/stranger.json")" 502 'has not approved'
    tool safe "$work/set.json" 1 "$by_owners" b2 b2 >"$www/$level/twice.json"
    refused "$by_owners;kind=safe;at=$(at "$level/twice.json")" 502 'has not approved'
    # of another chain, of another Safe, of another application, unsigned
    tool safe "$work/set.json" 5 "$by_owners" a1 b2 >"$www/$level/chain.json"
    refused "$by_owners;kind=safe;at=$(at "$level/chain.json")" 502 'has not approved'
    tool safe "$work/set.json" 1 "$on_chain" a1 b2 | sed "s/${on_chain#0x}/${by_owners#0x}/I" >"$www/$level/safe.json"
    refused "$by_owners;kind=safe;at=$(at "$level/safe.json")" 502 'has not approved'
    document 1 1 11 other >"$work/other.json"
    tool safe "$work/other.json" 1 "$by_owners" a1 b2 >"$www/$level/other.json"
    refused "$by_owners;kind=safe;at=$(at "$level/other.json")" 502 'another application'
    is_listed "$by_owners;kind=safe;app=other;at=$(at "$level/other.json")" r11 || fail "$level: app=other"
    refused "$on_chain;kind=safe;at=$(at "$level/set.json")" 502 'has not approved'

    # a higher threshold in the newest block: what two signed is not enough any more, until it is lowered again
    threshold 3
    measuredctl refresh "$spec" >/dev/null 2>&1 || fail "$level: refresh: exit $?"
    get "/v1/resolve?specifier=$spec"
    body_has '"state":"revoked"'
    body_has 'revoked-at-head'
    is_listed "$spec" '' || fail "$level: a higher threshold: $(head -c 400 "$work/body")"
    threshold 2
    anvil_mine 2 # the block that was changed is not the finalized one either: its root is of before
    measuredctl refresh "$spec" >/dev/null 2>&1 || fail "$level: refresh: exit $?"
    is_listed "$spec" r11 || fail "$level: the threshold as before: $(head -c 400 "$work/body")"

    # by a transaction of the Safe, when it is final
    document "$([ $level = l3 ] && echo 1 || echo 2)" 2 22 >"$www/$level/chain-set.json"
    spec2="$on_chain;kind=safe;at=$(at "$level/chain-set.json")"
    refused "$spec2" 502 'has not approved'
    safe_sign_message "$(tool digest "$www/$level/chain-set.json")"
    registry_finalize
    eventually 8 is_listed "$spec2" r22 || fail "$level: signed on chain: $(head -c 400 "$work/body")"
    get "/v1/resolve?specifier=$spec2"
    body_has '"approved_by":"signed-message"'

    # the next set takes the place of the one before; the one before does not come back
    document 2 2 33 >"$work/next.json"
    cp "$www/$level/set.json" "$work/first.json"
    tool safe "$work/next.json" 1 "$by_owners" b2 c3 >"$www/$level/set.json"
    status=0
    measuredctl refresh "$spec" >/dev/null 2>"$work/words" || status=$?
    [ $status = 3 ] || fail "$level: a next set that names no set before it: exit $status"
    grep -q 'does not name the set before it' "$work/words" || fail "$level: $(cat "$work/words")"
    is_listed "$spec" r11 || fail "$level: after a broken chain: $(head -c 400 "$work/body")"

    # nothing is said of a Safe without a document, and at= is for Safes only
    refused "$by_owners;kind=safe" 404 'at= where the signed set is'
    refused "$by_owners" 404 'at= where the signed set is'
    refused "$by_owners;kind=registry;at=$(at set.json)" 503 'kind=safe only'
    daemon_stop || fail "exit $?"
    daemon_start "$work"
    is_listed "$spec" r11 || fail "$level: after a restart: $(head -c 400 "$work/body")"
    daemon_stop || fail "exit $?"
    check_log "$work"
    rm -rf "$work/state"
done
check_end
