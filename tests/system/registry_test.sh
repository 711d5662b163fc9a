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

# Releases of predicates: payload formats 3 and 4. Each approves by itself, in its own time.
predicate() { printf '{"kind":"%s","value":"%s"%s}' "$1" "$(printf "$2%.0s" {1..32})" "${3:-}"; }
hash_of() { printf "$1%.0s" {1..32}; }
printf '{"predicates":[%s]}' "$(predicate tdx-workload-id a1 ',"version":2')" >"$work/workload.json"
for n in 2 3 4; do
    printf '{"predicates":[%s,%s]}' "$(predicate dstack-compose-hash c$n)" "$(predicate dstack-os-image d$n)" >"$work/dstack$n.json"
done
approve_format() { # VERSION FORMAT FILE [SECONDS_FROM_NOW]
    local at
    at=$(($(anvil_now) + 1))
    anvil_rpc evm_setNextBlockTimestamp "[$at]" >/dev/null
    registry_approve_at "$1" "$((at + ${4:-0}))" 0 "$2" '' "$work/$3.json" chain
}
check() { # EXIT ARGUMENTS...
    local expected=$1 status=0
    shift
    measuredctl check "$predicates" "$@" >"$work/verdict" 2>"$work/words" || status=$?
    [ "$status" = "$expected" ] || fail "check $*: exit $status instead of $expected: $(cat "$work/verdict" "$work/words")"
}
says() { grep -qE "$1" "$work/verdict" || fail "the verdict lacks $1: $(cat "$work/verdict")"; }
records=$REGISTRY
registry_deploy 0
predicates=$REGISTRY
approve_format 1 3 workload
approve_format 2 4 dstack2
approve_format 3 4 dstack3
approve_format 4 4 dstack4 3600
registry_finalize
for file in workload dstack2; do
    measuredctl lint "$work/$file.json" >"$work/words" 2>&1 || fail "lint $file: $(cat "$work/words")"
done
printf '{"predicates":[]}' >"$work/none.json"
if measuredctl lint "$work/none.json" >"$work/words" 2>&1; then fail 'lint of no predicates'; fi
resolves
[ "$(grep -o '"status":"[a-z-]*"' "$work/body" | cut -d'"' -f4 | xargs)" = 'in-force in-force in-force pending' ] ||
    fail "releases of predicates: $(head -c 1500 "$work/body")"
check 0 --workload-id "$(hash_of a1)"
says '^release +#1$'
check 0 --compose-hash "$(hash_of c2)" --os-image "$(hash_of d2)"
says '^release +#2$'
check 1 --compose-hash "$(hash_of c2)" --os-image "$(hash_of d3)"
says 'by no release together'
check 1 --compose-hash "$(hash_of c4)"
check 1 --workload-id "$(hash_of c2)"
registry_revoke 2
revoked() { ! measuredctl check "$predicates" --compose-hash "$(hash_of c2)" >/dev/null 2>&1; }
eventually 8 revoked || fail 'a release of predicates is revoked in the newest block'
check 0 --compose-hash "$(hash_of c3)" --os-image "$(hash_of d3)"
REGISTRY=$records

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
