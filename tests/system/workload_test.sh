#!/bin/bash
# Workload ids for people: measuredctl workload-id without a daemon, and checks of quotes and of registers with what
# belongs to an id, against policies of both formulas on a real chain.
set -euo pipefail
build=${1:?usage: workload_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/registry.sh
. tests/support/contracts.sh
. tests/support/dstack.sh
. tests/support/flashtestations.sh
. tests/support/daemon.sh
. tests/support/check.sh
vectors=${MEASURED_VECTORS:-../shared/vectors}/tdx/parse
quote=$vectors/flashtestations-0xf200f222043C5bC6c70AA6e35f5C5FDe079F3a03-quote.bin.bin
other=$vectors/go-tdx-guest-testdata-tdx_prod_quote_SPR_E4.dat.bin
[ -f "$quote" ] && [ -f "$other" ] || { echo 'skipped: no quotes among the vectors (tdx/parse)'; exit 77; }

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'daemon_stop || true; anvil_stop; rm -rf "$work"' EXIT
# run EXIT ARGUMENTS...: measuredctl; output in $work/out, words in $work/err
run() {
    local expected=$1 status=0
    shift
    measuredctl "$@" >"$work/out" 2>"$work/err" || status=$?
    [ "$status" = "$expected" ] ||
        fail "measuredctl $(printf '%.60q ' "$@"): exit $status instead of $expected: $(cat "$work/out" "$work/err")"
    ! grep -q Sanitizer "$work/err" || fail "$(cat "$work/err")"
}
says() { grep -qF -- "$1" "$work/out" || fail "stdout lacks $1: $(cat "$work/out" "$work/err")"; }
complains() { grep -qF -- "$1" "$work/err" || fail "stderr lacks $1: $(cat "$work/err")"; }

# ---- ids: no daemon; what the code of both contracts said ----
id=0x952569f637f3f7e36cd8f5a7578ae4d03a1cb05ddaf33b35d3054464bb1c862e
id_v1=0xf724e7d117f5655cf33beefdfc7d31e930278fcb65cf6d1de632595e97ca82b2
both="{\"workload_id\":\"$id\",\"workload_id_v1\":\"$id_v1\"}"
export MEASURED_SOCKET_DIR=$work/none
run 0 workload-id --quote "$quote"
says "workload id     $id"
says "workload id v1  $id_v1"
run 0 workload-id --json --quote - <"$quote"
[ "$(cat "$work/out")" = "$both" ] || fail "--json: $(cat "$work/out")"
base64 "$quote" >"$work/quote.b64"
od -An -v -tx1 "$quote" >"$work/quote.hex"
for file in "$work/quote.b64" "$work/quote.hex"; do
    run 0 workload-id --json --quote "$file"
    [ "$(cat "$work/out")" = "$both" ] || fail "$file: $(cat "$work/out")"
done
# members QUOTE [WITHOUT]: its registers with what else belongs to an id
members() {
    local hex part name=()
    hex=$(od -An -v -tx1 -N 632 "$1" | tr -d ' \n')
    for part in 0:136:48 1:328:48 2:376:48 3:424:48 4:472:48 mrconfigid:184:48 xfam:128:8 tdattributes:120:8; do
        IFS=: read -r key at len <<<"$part"
        [ "$key" = "${2:-}" ] || name+=("\"$key\":\"${hex:2*(48 + at):2*len}\"")
    done
    (IFS=,; echo "{${name[*]}}")
}
members "$quote" >"$work/all.json"
run 0 workload-id --json --registers "$work/all.json"
[ "$(cat "$work/out")" = "$both" ] || fail "registers: $(cat "$work/out")"
run 0 workload-id --json --registers - <<<"{\"measurement_id\":\"x\",\"measurements\":$(cat "$work/all.json")}"
[ "$(cat "$work/out")" = "$both" ] || fail "a record: $(cat "$work/out")"
run 1 workload-id --registers - < <(members "$quote" xfam)
complains 'a workload id needs these too: xfam'
run 1 workload-id --json --quote "$work/all.json"
says '"code":"argument"'
run 1 workload-id --quote - < <(head -c 631 "$quote")
complains '631 bytes are too few'
run 1 workload-id --quote - < <(head -c 65537 /dev/zero)
complains 'more than 65536 bytes'
run 3 workload-id --quote "$work/none"
complains "$work/none"
run 2 workload-id
run 2 workload-id --quote "$quote" --registers "$work/all.json"
run 2 workload-id "$quote"
# wrong usage of check and files that are no quotes need no daemon either
spec=eip155:1:0x00000000000000000000000000000000000000Aa
for more in '--compose-hash 00' '--registers -' "--workload-id $id" '--type dcap-tdx'; do
    # shellcheck disable=SC2086
    run 2 check "$spec" --quote "$quote" $more
done
run 2 check "$spec" --os-image 00
complains '--os-image: not 64 hex digits'
run 1 check "$spec" --quote "$work/all.json"
complains 'neither bytes nor hex nor base64'
run 3 check "$spec" --quote "$quote"
complains '(connect)'
[ "$CHECK_BAD" = 0 ] && echo 'ids: ok'

# ---- checks ----
anvil_program >/dev/null || { echo 'note: no anvil (scripts/fetch-anvil): checks were not looked at'; check_end; }
anvil_start "$work/chain"
flashtestations_deploy
[ "$(flashtestations_id "$quote")" = "$id" ] || fail 'the contract computes another id'
flashtestations_add "$id"
policy="$FLASH_POLICY;kind=flashtestations"
flashtestations_deploy
empty="$FLASH_POLICY;kind=flashtestations"
flashtestations_deploy TestWorkloadPolicyV1
[ "$(flashtestations_id "$quote")" = "$id_v1" ] || fail 'the contract of the first formula computes another id'
flashtestations_add "$id_v1"
policy_v1="$FLASH_POLICY;kind=flashtestations"
flashtestations_deploy TestWorkloadPolicyV1
flashtestations_add "$id"
crossed="$FLASH_POLICY;kind=flashtestations"
image=$(printf '22%.0s' {1..32})
dstack_kms_deploy
dstack_kms_add_image "0x$image"
registry_finalize
configure() { # LEVEL
    daemon_config "$work" <<CONF
[policy]
level = $1
quorum = 2
[rpc a]
chain = 1
url = $ANVIL_URL
[rpc b]
chain = 1
url = $ANVIL_URL/
CONF
}

authorize() { # SPECIFIER REGISTERS
    get /v1/authorize -H "X-Measured-Specifier: $1" -H 'X-Flashbots-Attestation-Type: dcap-tdx' -H "X-Flashbots-Measurement: $2"
}

for level in l3 l2; do
    configure $level
    daemon_start "$work"
    for file in "$quote" "$work/quote.b64" "$work/quote.hex"; do
        run 0 check "$policy" --quote "$file"
        says 'its workload id is approved'
    done
    run 0 check "$policy" --quote - <"$quote"
    run 1 check "$policy" --quote "$other"
    says "workload id $(measuredctl workload-id --quote "$other" | grep -o '0x.*' | head -n 1) (formula 2) is not approved"
    run 1 check "$empty" --quote "$quote"
    says "workload id $id (formula 2) is not approved"

    # no list of registers can have an id, and an empty one is no reason to be silent
    run 0 resolve "$policy"
    says '[]'
    complains 'warning: 0 records and 1 predicates cannot be written'
    run 0 resolve --json "$policy"
    says "\"value\":\"${id#0x}\""

    # the formula is the contract's: another one makes the same id of another guest
    run 0 check "$policy_v1" --quote "$quote"
    run 1 check "$crossed" --quote "$quote"
    says "workload id $id_v1 (formula 1) is not approved"
    run 0 check "$crossed" --workload-id "$id"

    # registers, with and without all that an id needs
    run 0 check "$policy" --type dcap-tdx --registers "$work/all.json"
    run 0 check "$policy_v1" --type gcp-tdx --registers "$work/all.json"
    for member in mrconfigid xfam tdattributes; do
        for spec in "$policy" "$empty"; do
            run 1 check "$spec" --type dcap-tdx --registers - < <(members "$quote" $member)
            says "workload ids are approved here: that takes a quote, or beside the registers: $member"
            ! grep -q "registers: $member," "$work/out" || fail "more than $member is missing: $(cat "$work/out")"
        done
    done
    run 1 check "$policy" --type dcap-tdx --registers - < <(members "$quote" 2)
    says 'beside the registers: rtmr1'
    run 1 check "$policy" --type azure-tdx --registers - <<<"{\"4\":\"$image\"}"
    says 'nothing is approved for attestation type azure-tdx'
    run 1 check "$policy" --type dcap-tdx --registers - < <(sed 's/"xfam":"/&00/' "$work/all.json")
    complains 'xfam is not 8 bytes in hex'

    run 0 check "$DSTACK_KMS" --os-image "$image"
    run 1 check "$DSTACK_KMS" --os-image "$(printf '33%.0s' {1..32})"

    # the socket itself: base64 or nothing
    get /v1/check --data-binary "{\"specifier\":\"$policy\",\"quote\":\"$(base64 -w 0 "$quote")\"}"
    want 200 'a quote'
    body_has '"verdict":"approved"'
    get /v1/check --data-binary "{\"specifier\":\"$policy\",\"quote\":\"$(tr -d ' \n' <"$work/quote.hex")\"}"
    want 400 'hex'

    # forward-auth: what belongs to an id may stand among the registers, and who is approved by an id has no record
    authorize "$policy" "$(cat "$work/all.json")"
    want 200 'authorize by a workload id'
    head_has '^X-Measured-Id: -.?$'
    authorize "$policy_v1" "$(cat "$work/all.json")"
    want 200 'authorize by an id of the first formula'
    authorize "$policy" "$(members "$other")"
    want 403 'authorize another guest'
    body_has 'workload id 0x[0-9a-f]{64} \(formula 2\) is not approved'
    authorize "$policy" "$(members "$quote" xfam)"
    want 403 'authorize without xfam'
    daemon_stop || fail "exit $?"
    check_log "$work"
    rm -rf "$work/state"
done

# A quote nobody asked about, and the chain is gone: could not find out. What was asked about stays known.
configure l3
daemon_start "$work"
run 0 check "$policy" --quote "$quote"
anvil_stop
run 3 check "$policy" --quote "$other"
authorize "$policy" "$(members "$other")"
want 503 'authorize what the contract cannot be asked about'
body_has '^unknown: '
run 0 check "$policy" --quote "$quote"
authorize "$policy" "$(cat "$work/all.json")"
want 200 'authorize what is known'
daemon_stop || fail "exit $?"
check_log "$work"
[ "$CHECK_BAD" = 0 ] && echo 'checks: ok'
check_end
