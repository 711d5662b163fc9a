#!/bin/bash
# Level l3 where endpoints prove only the newest state: what was proven at a head counts when that block is final, and
# takes away at once.
set -euo pipefail
build=${1:?usage: headonly_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/contracts.sh
. tests/support/registry.sh
. tests/support/dstack.sh
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
hash=$(printf '11%.0s' {1..32})

anvil_start "$work/chain"
registry_deploy 0
registry_approve 1 "$work/one.json"
dstack_deploy
dstack_add "0x$hash"
daemon_config "$work" <<EOF2
[policy]
level = l3
quorum = 2
poll = 60s
head-poll = 1s
[rpc a]
chain = 1
url = $ANVIL_URL
proofs = head
[rpc b]
chain = 1
url = $ANVIL_URL/
proofs = head
EOF2
daemon_start "$work"
listed() {
    get "/v1/measurements?specifier=$REGISTRY"
    grep -o '"measurement_id":"[a-z]*"' "$work/body" | cut -d'"' -f4 | xargs
}
is_listed() { [ "$(listed)" = "$1" ]; }

# Nothing is final that was proven: the answer says what it waits for. An older state is not taken in its place.
anvil_mine 3
get "/v1/resolve?specifier=$REGISTRY"
want 503 'before anything is final'
body_has 'there is an answer when block [0-9]+ is final'
app="$DSTACK_APP;kind=dstack-app"
get "/v1/resolve?specifier=$app"
want 503 'an app before anything is final'
anvil_mine 2
eventually 8 is_listed one || fail "when it is final: $(head -c 400 "$work/body")"
get "/v1/resolve?specifier=$REGISTRY"
want 200 'resolve'
body_has '"state":"fresh","trust":"proof"'
body_has '"level":"l3"'

# A contract of unknown code: its code was kept with the rest.
app_listed() {
    get "/v1/resolve?specifier=$app"
    grep -q "\"value\":\"$hash\"" "$work/body"
}
eventually 8 app_listed || fail "the app: $(head -c 400 "$work/body")"

# An approval waits until a block with it is final; a revocation counts in the newest one.
registry_approve 2 "$work/two.json"
sleep 3
is_listed one || fail "an approval that is not final counts: $(listed)"
anvil_mine 3
sleep 2
anvil_mine 3
eventually 10 is_listed 'one two' || fail "a final approval: $(listed) $(head -c 300 "$work/body")"
registry_revoke 1
eventually 8 is_listed two || fail "revoked in the newest block: $(listed)"
get "/v1/resolve?specifier=$REGISTRY"
body_has 'revoked-at-head'

# What counted is still there after a restart without the chain, from its evidence.
daemon_stop || fail "exit $?"
sed -i 's|^url = .*|url = http://127.0.0.1:1/|' "$work/measured.conf"
daemon_start "$work"
is_listed two || fail "after a restart without the chain: $(listed) $(head -c 300 "$work/body")"
daemon_stop || fail "exit $?"
check_log "$work"
check_end
