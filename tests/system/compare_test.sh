#!/bin/bash
# What somebody measured of an image he rebuilt, against what a running daemon has approved: yes, no with the names of
# the registers, and that it could not be found out.
set -euo pipefail
build=${1:?usage: compare_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'daemon_stop || true; tls_stop; rm -rf "$work"' EXIT

hex() { printf "$1%.0s" {1..48}; }
# record NAME MRTD RTMR0 RTMR1...: the last register takes any of what follows
record() {
    local name=$1 mrtd=$2 rtmr0=$3 any= one
    shift 3
    for one; do any+="${any:+,}\"$(hex "$one")\""; done
    printf '{"measurement_id":"%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"},"1":{"expected":"%s"},"2":{"expected_any":[%s]}},"provenance":{"commit":"c0ffee-%s"}}' \
        "$name" "$(hex "$mrtd")" "$(hex "$rtmr0")" "$any" "$name"
}
tls_start "$work/tls" --host docs.example.test
docs=https://docs.example.test:$TLS_PORT
printf '[%s,%s]\n' "$(record one 11 aa c1 c2)" "$(record two 22 bb c3)" >"$work/tls/www/list.json"
echo '[]' >"$work/tls/www/none.json"
list=$(measuredctl url --host h --location "$docs/list.json" 2>/dev/null)
none=$(measuredctl url --host h --location "$docs/none.json" 2>/dev/null)
lost=$(measuredctl url --host h --location "$docs/lost.json" 2>/dev/null)
daemon_config "$work" <<END
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
END
daemon_start "$work"

# compare EXIT APPROVED FLAGS...: data in $work/out, words in $work/words
compare() {
    local expected=$1 status=0
    shift
    measuredctl compare "$@" >"$work/out" 2>"$work/words" || status=$?
    [ "$status" = "$expected" ] || fail "compare $*: exit $status instead of $expected: $(head -c 600 "$work/out" "$work/words")"
}
says() { grep -qE -- "$1" "$work/out" || fail "the output lacks $1: $(head -c 800 "$work/out")"; }
says_not() { ! grep -qE -- "$1" "$work/out" || fail "the output has $1: $(head -c 800 "$work/out")"; }
words() { grep -qE -- "$1" "$work/words" || fail "the words lack $1: $(cat "$work/words")"; }
measured_as() { # MRTD RTMR0 RTMR1: as a quote has them
    printf '{"0":"%s","1":"%s","2":"%s"}' "$(hex "$1")" "$(hex "$2")" "$(hex "$3")" >"$work/rebuilt.json"
}

# ---- yes ----
measured_as 11 aa c2
compare 0 "$list" --against "$work/rebuilt.json" --type dcap-tdx
says '^equal   rebuilt is approved as one$'
says '^not rebuilt: two$'
printf '[%s,%s]\n' "$(record two 22 bb c3)" "$(record first 11 aa c1)" >"$work/both.json"
compare 0 "$list" --against "$work/both.json" --all
says '^equal   two is approved as two$'
says '^equal   first is approved as one$'
says_not 'not rebuilt'
compare 0 "$list" --against - --type dcap-tdx <"$work/rebuilt.json"

# ---- no ----
compare 1 "$list" --against "$work/rebuilt.json" --type dcap-tdx --all
says '^not rebuilt: two$'
measured_as 11 ab c2
compare 1 "$list" --against "$work/rebuilt.json" --type dcap-tdx
says '^DIFFERS rebuilt from approved one$'
says '^    rtmr0$'
says "^      approved (aa){48}\$"
says "^      rebuilt  (ab){48}\$"
says_not 'mrtd|rtmr1'
measured_as 12 aa c3 # one's firmware and two's kernel: no register of another record makes it right
compare 1 "$list" --against "$work/rebuilt.json" --type dcap-tdx --json
[ "$(jq -c '[.verdict, .records[0].approved, [.records[0].registers[].register]]' "$work/out")" = '["differs","one",["mrtd","rtmr1"]]' ] ||
    fail "registers that differ: $(cat "$work/out")"
[ "$(jq -c '.records[0].registers[1].approved | length' "$work/out")" = 2 ] || fail 'not both values that are approved'
printf '{"0":"%s","1":"%s"}' "$(hex 11)" "$(hex aa)" >"$work/rebuilt.json"
compare 1 "$list" --against "$work/rebuilt.json" --type dcap-tdx
says '^    rtmr1$'
says '^      rebuilt  not measured$'
printf '[%s,%s]\n' "$(record one 11 aa c1)" "$(record two 22 bb c4)" >"$work/half.json"
compare 1 "$list" --against "$work/half.json"
says '^equal   one '
says '^DIFFERS two from approved two$'
printf '{"4":"%.64s"}' "$(hex 11)" >"$work/azure.json"
compare 1 "$list" --against "$work/azure.json" --type azure-tdx
says 'nothing of this type is approved'
measured_as 11 aa c2
compare 1 "$none" --against "$work/rebuilt.json" --type dcap-tdx
says 'nothing of this type is approved'
echo '[]' >"$work/nothing.json"
compare 1 "$list" --against "$work/nothing.json" # who rebuilt nothing has confirmed nothing

# what is signed and has not begun is not approved
signers=()
for fill in a1 b2; do
    install -m 600 <(printf "$fill%.0s" {1..32}) "$work/$fill.key"
    signers+=("$("$RIG_TOOLS/release_tool" owner $fill)")
done
printf '[%s]\n' "$(record begun 11 aa c2)" >"$work/m1.json"
printf '[%s]\n' "$(record later 22 bb c3)" >"$work/m2.json"
mkdir -p "$work/tls/www/.well-known/measured"
{
    measuredctl release new --version 1.0.0 -o "$work/set1.json" "$work/m1.json"
    measuredctl release new --previous "$work/set1.json" --version 1.0.1 --not-before "$(date -u -d '+3 days' +%Y-%m-%dT%H:%M:%SZ)" \
        -o "$work/set.json" "$work/m2.json"
    for fill in a1 b2; do measuredctl release sign --key-file "$work/$fill.key" --replace -o "$work/set.json" "$work/set.json"; done
} 2>"$work/words" || fail "no set: $(cat "$work/words")"
cp "$work/set.json" "$work/tls/www/.well-known/measured/set.json"
signed=https://2of2:${signers[0]},${signers[1]}@docs.example.test:$TLS_PORT/
compare 0 "$signed" --against "$work/m1.json"
says '^equal   begun '
compare 1 "$signed" --against "$work/m2.json"
says '^DIFFERS later from approved begun$'

# ---- could not find out ----
echo '!status 500' >"$work/tls/www/lost.json.http"
echo '[]' >"$work/tls/www/lost.json"
compare 3 "$lost" --against "$work/m1.json"
words 'HTTP status 500'
[ ! -s "$work/out" ] || fail "it says $(cat "$work/out") of what it does not know"
compare 3 "$list" --against "$work/not-there.json"
words 'not-there.json'
echo '{"0":' >"$work/half.json"
compare 3 "$list" --against "$work/half.json"
compare 1 not-a-specifier --against "$work/m1.json" # nothing can be approved by what is no specifier
compare 2 "$list"
words 'against'
compare 2 "$list" --against "$work/m1.json" --type sgx
daemon_stop || fail "the daemon ended with $?"
compare 3 "$list" --against "$work/m1.json"
compare 0 "$work/m1.json" --against "$work/m1.json" # without it: a file, and what that says of its origin
says '^    said to be built from \{"commit":"c0ffee-begun"\}$'
check_log "$work"
check_end
