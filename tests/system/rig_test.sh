#!/bin/bash
# The rig itself: a chain, a registry and an https server behave as the other tests assume.
set -euo pipefail
build=${1:?usage: rig_test.sh BUILD_DIR}
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/registry.sh
. tests/support/tls.sh

work=$(mktemp -d)
trap 'tls_stop; anvil_stop; rm -rf "$work"' EXIT
fail() {
    echo "FAILED: $*"
    exit 1
}
get() { curl -sS --cacert "$TLS_CA" --resolve "docs.example.test:$TLS_PORT:127.0.0.1" "$@"; }

# https: our CA only, ETag and 304, what the .http file asks for, and the request log.
tls_start "$work/tls" --host docs.example.test
url=https://docs.example.test:$TLS_PORT
echo '[]' >"$work/tls/www/a.json"
[ "$(get "$url/a.json")" = '[]' ] || fail 'document not served'
etag=$(get -I "$url/a.json" | tr -d '\r' | sed -n 's/^ETag: //p')
[ "$(get -o "$work/none" -w '%{http_code}' -H "If-None-Match: $etag" "$url/a.json")" = 304 ] || fail 'no 304'
printf '!status 503\nRetry-After: 7\n' >"$work/tls/www/a.json.http"
get -i "$url/a.json" | grep -q '^Retry-After: 7' || fail 'no header from the .http file'
get -i "$url/b.json" | grep -q '^HTTP/1.1 404' || fail 'no 404'
[ "$(tls_count '/a.json 304$')" = 1 ] || fail 'the log lacks the 304'
[ "$(tls_count)" = 5 ] || fail "the log counts $(tls_count) requests, not 5"
curl -sS "$url/a.json" --resolve "docs.example.test:$TLS_PORT:127.0.0.1" 2>/dev/null &&
    fail 'served to a client that does not trust the CA'
tls_stop
echo 'https server: ok'

anvil_program >/dev/null || { echo 'skipped: no anvil (scripts/fetch-anvil)'; exit 77; }
[ -f "$REGISTRY_ABI" ] || { echo "skipped: no $REGISTRY_ABI"; exit 77; }

anvil_start "$work/chain"
[ "$(anvil_result eth_chainId '[]')" = 0x1 ] || fail 'chain id'
registry_deploy 0
slot0() { anvil_result eth_getStorageAt "[\"$REGISTRY\",\"0x$(printf '%064x' 0)\",\"$1\"]"; }
first=$(slot0 latest)
printf '[{"attestation_type":"dcap-tdx","measurements":{"0":{"expected":"00"}}}]' >"$work/one.json"
registry_approve 1 "$work/one.json"
second=$(slot0 latest)
[ "$first" != "$second" ] || fail 'approving changed nothing'
# isApproved(bytes32), 0x48aefc32
is_approved() {
    local hash
    hash=$(registry_calldata sha256 "$1")
    [[ $(anvil_result eth_call "[{\"to\":\"$REGISTRY\",\"data\":\"0x48aefc32${hash#0x}\"},\"$2\"]") == *1 ]]
}
is_approved "$work/one.json" latest || fail 'release 1 is not approved'
is_approved "$work/one.json" finalized && fail 'release 1 is final before it can be'
registry_finalize
is_approved "$work/one.json" finalized || fail 'release 1 did not become final'
registry_revoke 1 2 "$ANVIL_GUARDIAN"
is_approved "$work/one.json" latest && fail 'release 1 outlived its revocation'
registry_approve_at 2 $(($(anvil_now) + 1000)) 0 1 https://docs.example.test/x "$work/one.json" off
registry_heartbeat $(($(anvil_now) + 86400))
registry_revoke 1 0 2>/dev/null && fail 'revoked twice'
anvil_stop
[ ! -e "$work/chain/.foundry/anvil/tmp" ] || [ -z "$(ls -A "$work/chain/.foundry/anvil/tmp")" ] ||
    fail 'the chain left state files'
echo 'chain and registry: ok'
