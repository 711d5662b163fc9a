#!/bin/bash
# A registry that belongs to a Safe: what two of three owners approve is served, what they revoke is not, what one of
# them does alone changes nothing, and the answer names the Safe as the owner. At l3.
set -euo pipefail
build=${1:?usage: safe_registry_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/contracts.sh
. tests/support/registry.sh
. tests/support/safe.sh
. tests/support/daemon.sh
. tests/support/check.sh
anvil_program >/dev/null || { echo 'skipped: no anvil (scripts/fetch-anvil)'; exit 77; }
safe_files || { echo 'skipped: no Safe (scripts/fetch-safe)'; exit 77; }

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'daemon_stop || true; anvil_stop; rm -rf "$work"' EXIT
document() {
    printf '[{"measurement_id":"%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"}}}]' \
        "$1" "$(printf "$2%.0s" {1..48})" >"$work/$1.json"
}
document one 11
document two 22

# What the registry is told, it is told by the Safe.
registry_send() { safe_exec "$REGISTRY" "$1"; }
# Two blocks for what the owners agree to, then the one with the transaction: the contract wants notBefore >= its
# time. A block is one second here, however long a transaction takes.
approve() { registry_approve_at "$1" $(($(anvil_now) + 3)) 0 1 '' "$work/$2.json" chain; }
by_one_owner() {
    SAFE_SIGNERS=("${SAFE_OWNERS[0]}")
    local status=0
    "$@" 2>"$work/words" || status=$?
    SAFE_SIGNERS=("${SAFE_OWNERS[@]:0:2}")
    return $status
}

anvil_start "$work/chain"
anvil_rpc anvil_setBlockTimestampInterval '[1]' >/dev/null
safe_install
safe_deploy
registry_deploy 0 "$SAFE" "$SAFE"
approve 1 one
registry_finalize
daemon_config "$work" <<EOF
[policy]
level = l3
quorum = 2
poll = 60s
head-poll = 1s
[rpc a]
chain = 1
url = $ANVIL_URL
[rpc b]
chain = 1
url = $ANVIL_URL/
EOF
daemon_start "$work"

# The records in force, by id: "one two".
listed() {
    get "/v1/measurements?specifier=$REGISTRY"
    grep -o '"measurement_id":"[a-z]*"' "$work/body" | cut -d'"' -f4 | xargs
}
is_listed() { [ "$(listed)" = "$1" ]; }

is_listed one || fail "approved by the Safe: $(listed)"
get "/v1/resolve?specifier=$REGISTRY"
want 200 'resolve'
body_has '"state":"fresh","trust":"proof"'
body_has '"level":"l3"'
body_has '"owner_kind":"safe"'
owner=$(grep -o '"owner":"0x[0-9a-fA-F]*"' "$work/body" | sed 's/.*"owner":"//; s/"$//')
[ "${owner,,}" = "$SAFE" ] || fail "the owner is $owner instead of $SAFE"

# One owner: neither through the Safe nor past it.
height=$(anvil_height latest)
if by_one_owner approve 2 two; then fail 'one of three owners approved'; fi
grep -q GS020 "$work/words" || fail "the Safe did not refuse for want of signatures: $(head -c 300 "$work/words")"
if by_one_owner registry_revoke 1; then fail 'one of three owners revoked'; fi
grep -q GS020 "$work/words" || fail "the Safe did not refuse for want of signatures: $(head -c 300 "$work/words")"
data=$(registry_calldata revoke 1 0)
if anvil_send "${SAFE_OWNERS[0]}" "$REGISTRY" "$data" >/dev/null 2>&1; then
    fail 'an owner of the Safe revoked by itself'
fi
[ "$(anvil_height latest)" -gt "$height" ] || fail 'nothing was tried'
registry_finalize
measuredctl refresh "$REGISTRY" >/dev/null 2>&1 || fail "refresh: exit $?"
is_listed one || fail "after what one owner tried: $(listed)"

# The Safe goes on: another release, then the first is revoked, which counts in the newest block.
approve 2 two
registry_finalize
both() { is_listed 'one two'; }
eventually 8 both || fail "a second release: $(listed)"
registry_revoke 1
eventually 8 is_listed two || fail "revoked by the Safe: $(listed)"
get "/v1/resolve?specifier=$REGISTRY"
body_has 'revoked-at-head'
registry_finalize
eventually 8 is_listed two || fail "final revocation: $(listed)"
check_log "$work"
check_end
