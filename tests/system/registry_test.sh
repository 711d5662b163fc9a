#!/bin/bash
# A registry on a real chain: what is approved counts when it is final, what is revoked counts at once, other
# code behind the address holds what was, and a finalized chain may not lose a block. At l3: two groups agree
# about the hash of a block, the rest is proven.
set -euo pipefail
build=${1:?usage: registry_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/registry.sh
. tests/support/daemon.sh
. tests/support/check.sh
anvil_program >/dev/null || { echo 'skipped: no anvil (scripts/fetch-anvil)'; exit 77; }

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'daemon_stop || true; anvil_stop; rm -rf "$work"' EXIT
document() {
    printf '[{"measurement_id":"%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"}}}]' \
        "$1" "$(printf "$2%.0s" {1..48})" >"$work/$1.json"
}
document one 11
document two 22
document three 33

anvil_start "$work/chain"
registry_deploy 0
registry_approve 1 "$work/one.json"
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
resolves() {
    get "/v1/resolve?specifier=$REGISTRY"
    want 200 'resolve'
}

is_listed one || fail "first: $(listed)"
resolves
body_has '"state":"fresh","trust":"proof"'
body_has '"level":"l3"'
body_has '"code_hash":"0x61be32a64c042403140289050e9b36ad276a6503200208de32eaff6414d1bcd9"'

# A head read never adds.
registry_approve 2 "$work/two.json"
sleep 3
is_listed one || fail "an approval that is not final counts: $(listed)"
registry_finalize
eventually 8 is_listed 'one two' || fail "final approval: $(listed)"

# A revocation in the newest block counts at once; undone by a reorganisation, the release comes back.
anvil_mine 1
before=$(anvil_result evm_snapshot '[]')
registry_revoke 1
eventually 8 is_listed two || fail "revoked in the newest block: $(listed)"
resolves
body_has 'revoked-at-head'
anvil_rpc evm_revert "[\"$before\"]" >/dev/null
anvil_mine 2
eventually 8 is_listed 'one two' || fail "the revocation was undone: $(listed)"
registry_revoke 1
registry_finalize
eventually 8 is_listed two || fail "final revocation: $(listed)"
resolves
body_lacks 'revoked-at-head'

# What is served survives a restart without the chain, from its evidence.
daemon_stop || fail "exit $?"
mv "$work/measured.conf" "$work/with.conf"
sed 's|^url = .*|url = http://127.0.0.1:1/|' "$work/with.conf" >"$work/measured.conf"
daemon_start "$work"
is_listed two || fail "after a restart without the chain: $(listed)"
daemon_stop || fail "exit $?"
mv "$work/with.conf" "$work/measured.conf"
daemon_start "$work"
is_listed two || fail "after a restart: $(listed)"

# Other code behind the address: what was is held, nothing new is taken, until an operator accepts it.
code=$(anvil_result eth_getCode "[\"$REGISTRY\",\"latest\"]")
anvil_rpc anvil_setCode "[\"$REGISTRY\",\"${code}00\"]" >/dev/null
registry_approve 3 "$work/three.json"
registry_finalize
held() {
    get "/v1/resolve?specifier=$REGISTRY"
    grep -q '"state":"hold"' "$work/body"
}
eventually 8 held || fail "other code: $(head -c 300 "$work/body")"
body_has '"code":"hold"'
is_listed two || fail "held: $(listed)"
status=0
measuredctl refresh "$REGISTRY" >/dev/null 2>"$work/words" || status=$?
[ $status = 3 ] || fail "refresh of what is held: exit $status"
grep -q code-identity "$work/words" || fail "refresh of what is held: $(cat "$work/words")"
measuredctl refresh --accept "$REGISTRY" >/dev/null 2>&1 || fail "refresh --accept: exit $?"
eventually 8 is_listed 'two three' || fail "accepted: $(listed)"
resolves
body_has 'unknown-code'

# Two groups say that a block both called final is another one: nothing is served until an operator looks.
height=$(anvil_height finalized)
sleep 4 # polled: this block was believed
anvil_rpc anvil_reorg "[$(($(anvil_height latest) - height + 2)),[]]" >/dev/null
anvil_mine 3
conflicts() {
    get "/v1/resolve?specifier=$REGISTRY"
    [ "$STATUS" = 409 ]
}
eventually 10 conflicts || fail "a finalized block was replaced: $STATUS $(head -c 300 "$work/body")"
daemon_stop || fail "exit $?"
daemon_start "$work"
check_log "$work"
check_end
