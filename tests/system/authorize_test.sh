#!/bin/bash
# Forward-auth without a proxy: every status and header of /v1/authorize, and who may say by whose approval.
set -euo pipefail
build=${1:?usage: authorize_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'daemon_stop || true; tls_stop; rm -rf "$work"' EXIT

value=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f
other=${value//2f/30}
pcr=${value:0:64}
# record ID TYPE REGISTER VALUE
record() { printf '{"measurement_id":"%s","attestation_type":"%s","measurements":{"%s":{"expected":"%s"}}}' "$@"; }
echo "[$(record one dcap-tdx 0 "$value"),$(record vtpm azure-tdx 4 "$pcr")]" >"$work/one.json"
echo "[$(record other dcap-tdx 0 "$other")]" >"$work/other.json"
echo "[$(record 'größe 100% \"a b, c' dcap-tdx 0 "$value")]" >"$work/odd.json"
tls_start "$work/tls" --host docs.example.test
www=$work/tls/www
cp "$work/one.json" "$www/live.json"
echo "[$(record '' dcap-tdx 0 "$value")]" >"$www/nameless.json"
printf 'Cache-Control: max-age=1, must-revalidate\n' >"$www/live.json.http"
echo '{}' >"$www/down.json"
printf '!status 503\n' >"$www/down.json.http"
echo '{}' >"$www/junk.json"
daemon_config "$work" <<END
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
[alias app]
specifier = inline:$(gzip -9nc "$work/one.json" | base64 -w0 | tr -d = | tr '+/' '-_')
END
daemon_start "$work"

# An inline text needs no percent-encoding.
inline() { printf 'inline:%s' "$(gzip -9nc "$1" | base64 -w0 | tr -d = | tr '+/' '-_')"; }
location() { printf 'url:%s' "$(printf 'https://docs.example.test:%s/%s' "$TLS_PORT" "$1" | base64 -w0 | tr -d = | tr '+/' '-_')"; }
one=$(inline "$work/one.json")
two=$(inline "$work/other.json")

a=/v1/authorize
type='X-Flashbots-Attestation-Type: dcap-tdx'
shown="X-Flashbots-Measurement: {\"0\":\"$value\"}"
bad="X-Flashbots-Measurement: {\"0\":\"$other\"}"

# approved|refused|unknown WHAT TARGET [curl...]
approved() {
    local what=$1
    shift
    get "$@"
    want 200 "$what"
    local name
    for name in Id Release State Sequence; do head_has "^X-Measured-$name: [!-~]+"; done
}
refused() {
    local what=$1
    shift
    get "$@"
    want 403 "$what"
    body_has '^refused: [A-Za-z]'
    head_has '^X-Measured-Reason: [ -~]+'
    ! grep -qi '^X-Measured-Id' "$work/head" || fail "$what: a refusal with an id"
}
unknown() {
    local what=$1
    shift
    get "$@"
    want 503 "$what"
    body_has '^unknown: [a-z-]+: '
    head_has '^X-Measured-Reason: [ -~]+'
    ! grep -qi '^X-Measured-Id' "$work/head" || fail "$what: an unknown with an id"
}

# ---- the verdict ----

approved 'approved' "$a?specifier=$one" -H "$type" -H "$shown"
head_has '^X-Measured-Id: one'
head_has '^X-Measured-State: fresh'
head_has '^Cache-Control: no-store'
body_has '^approved: '
approved 'by an alias' "$a?specifier=app" -H "$type" -H "$shown"
approved 'by a URL' "$a?url=https%3A%2F%2F$one%40h.example%2F" -H "$type" -H "$shown"
for name in dcap-tdx qemu-tdx gcp-tdx; do
    approved "as $name" "$a?specifier=$one" -H "X-Flashbots-Attestation-Type: $name" -H "$shown"
done
approved 'azure' "$a?specifier=$one" -H 'X-Flashbots-Attestation-Type: azure-tdx' -H "X-Flashbots-Measurement: {\"4\":\"$pcr\",\"9\":\"$pcr\"}"
head_has '^X-Measured-Id: vtpm'
approved 'a matched policy' "$a?specifier=$one" -H "$type" -H "X-Flashbots-Measurement: {\"type\":\"dcap\",\"measurements\":{\"0\":[\"$value\"]}}"
refused 'a matched policy with another value beside' "$a?specifier=$one" -H "$type" \
    -H "X-Flashbots-Measurement: {\"type\":\"dcap\",\"measurements\":{\"0\":[\"$value\",\"$other\"]}}"
for policy in image no_attestation azure nosuch; do
    refused "a matched policy of type $policy" "$a?specifier=$one" -H "$type" \
        -H "X-Flashbots-Measurement: {\"type\":\"$policy\",\"measurements\":{\"0\":[\"$value\"]}}"
done
refused 'another value' "$a?specifier=$one" -H "$type" -H "$bad"
body_has 'nearest record "one": register 0 \(mrtd\)'
refused 'another type' "$a?specifier=$one" -H 'X-Flashbots-Attestation-Type: azure-tdx' -H "X-Flashbots-Measurement: {\"3\":\"$pcr\"}"
refused 'another specifier' "$a?specifier=$two" -H "$type" -H "$shown"
approved 'an id of odd bytes' "$a?specifier=$(inline "$work/odd.json")" -H "$type" -H "$shown"
head_has '^X-Measured-Id: gr%C3%B6%C3%9Fe%20100%25%20"a%20b,%20c.?$'
approved 'no id' "$a?specifier=$(location nameless.json)" -H "$type" -H "$shown"
head_has '^X-Measured-Id: -.?$'

# ---- methods, bodies, paths: whatever the proxy sends along ----

for method in GET HEAD POST PUT DELETE PATCH OPTIONS PROPFIND; do
    head=()
    [ $method != HEAD ] || head=(-I)
    approved "$method" "$a?specifier=$one" -X $method "${head[@]}" -H "$type" -H "$shown"
    get "$a?specifier=$one" -X $method "${head[@]}" -H "$type" -H "$bad"
    want 403 "$method, refused"
done
head -c 200000 /dev/zero >"$work/long"
approved 'a body longer than any of ours' "$a?specifier=$one" -H 'Expect:' --data-binary "@$work/long" -H "$type" -H "$shown"
approved 'a chunked body' "$a?specifier=$one" -H 'Expect:' -H 'Transfer-Encoding: chunked' --data-binary "@$work/long" -H "$type" -H "$shown"
approved 'a path behind ours' "$a/x/y?z=1" -H "X-Measured-Specifier: $one" -H "$type" -H "$shown"
approved 'the root behind ours' "$a/" -H "X-Measured-Specifier: $one" -H "$type" -H "$shown"
approved 'a strange path behind ours' "$a/../../measurements?a=%zz" -H "X-Measured-Specifier: $one" -H "$type" -H "$shown"
get "${a}x?specifier=$one" -H "$type" -H "$shown"; want 404 'another path'

# ---- evidence that is missing, doubled or broken ----

refused 'no evidence' "$a?specifier=$one"
refused 'no measurement' "$a?specifier=$one" -H "$type"
body_has 'X-Flashbots-Measurement is missing'
refused 'no type' "$a?specifier=$one" -H "$shown"
refused 'an empty measurement' "$a?specifier=$one" -H "$type" -H 'X-Flashbots-Measurement;'
body_has 'X-Flashbots-Measurement is empty'
refused 'an empty type' "$a?specifier=$one" -H 'X-Flashbots-Attestation-Type;' -H "$shown"
refused 'a peer without attestation' "$a?specifier=$one" -H 'X-Flashbots-Attestation-Type: none'
body_has 'the peer is not attested'
for name in DCAP-TDX tdx 'dcap-tdx, dcap-tdx' nitro; do
    refused "type $name" "$a?specifier=$one" -H "X-Flashbots-Attestation-Type: $name" -H "$shown"
done
refused 'two measurements, the good one last' "$a?specifier=$one" -H "$type" -H "$bad" -H "$shown"
body_has 'X-Flashbots-Measurement stands twice'
refused 'two measurements, the good one first' "$a?specifier=$one" -H "$type" -H "$shown" -H "$bad"
refused 'two equal measurements' "$a?specifier=$one" -H "$type" -H "$shown" -H "${shown/X-F/x-f}"
refused 'three measurements' "$a?specifier=$one" -H "$type" -H "$shown" -H "$shown" -H "$shown"
refused 'an empty one and a good one' "$a?specifier=$one" -H "$type" -H 'X-Flashbots-Measurement;' -H "$shown"
refused 'two types' "$a?specifier=$one" -H "$type" -H "$type" -H "$shown"
for text in '{' '[]' 'null' '{}' '""' '0' "{\"0\":\"$value\"}x" "{\"0\":\"$value\"}, {\"0\":\"$value\"}" \
    "{\"0\":\"$value\",\"0\":\"$value\"}" "{\"0\":\"$value\",\"mrtd\":\"$value\"}" '{"0":"00"}' '{"0":1}' \
    "{\"0\":[\"$value\"]}" "{\"99\":\"$value\"}" "{\"0\":\"${value%2f}zz\"}" '{"a":{"b":{"c":{"d":{"e":1}}}}}' \
    '{"type":"dcap","measurements":{}}' '{"type":"dcap","measurements":{"0":[]}}' \
    "{\"type\":\"dcap\",\"measurements\":{\"0\":[\"$value\"]},\"more\":1}"; do
    refused "measurement $text" "$a?specifier=$one" -H "$type" -H "X-Flashbots-Measurement: $text"
done
refused 'bytes that are no UTF-8' "$a?specifier=$one" -H "$type" -H $'X-Flashbots-Measurement: {"\xff":"x"}'
refused 'an overlong measurement' "$a?specifier=$one" -H "$type" \
    -H "X-Flashbots-Measurement: {\"0\":\"$value\"$(printf ' %.0s' {1..17000})}"
get "$a?specifier=$one" -H "$type" -H "$shown" -H "X-Long: $(printf 'x%.0s' {1..70000})"
want 431 'a head that is too long'

# ---- by whose approval ----

approved 'in the header' "$a" -H "X-Measured-Specifier: $one" -H "$type" -H "$shown"
approved 'a URL in the header' "$a" -H "X-Measured-Specifier: https://$one@h.example:8443/x" -H "$type" -H "$shown"
approved 'the same twice over' "$a?specifier=app" -H "X-Measured-Specifier: $one" -H "$type" -H "$shown"
refused 'none' "$a" -H "$type" -H "$shown"
body_has 'nobody says by whose approval'
refused 'none, with another member' "$a?profile=cvm" -H "$type" -H "$shown"
# what the configuration fixed approves other; the client names one, which approves what it shows
refused 'another in the header than in the query' "$a?specifier=$two" -H "X-Measured-Specifier: $one" -H "$type" -H "$shown"
body_has 'two specifiers'
refused 'another in the query than in the header' "$a?specifier=$one" -H "X-Measured-Specifier: $two" -H "$type" -H "$shown"
refused 'an empty one in the header' "$a?specifier=$one" -H 'X-Measured-Specifier;' -H "$type" -H "$shown"
refused 'a bad one in the header' "$a?specifier=$one" -H 'X-Measured-Specifier: @@' -H "$type" -H "$shown"
refused 'two in the header' "$a" -H "X-Measured-Specifier: $one" -H "X-Measured-Specifier: $one" -H "$type" -H "$shown"
refused 'two in the query' "$a?specifier=$one&specifier=$one" -H "$type" -H "$shown"
refused 'two kinds in the query' "$a?specifier=$one&url=https%3A%2F%2F$one%40h" -H "$type" -H "$shown"
refused 'a weaker option in the header' "$a?specifier=$one%3Bmax-age%3D5" -H "X-Measured-Specifier: $one" -H "$type" -H "$shown"
refused 'behind a suffix the query is the client'\''s' "$a/x?specifier=$one" -H "$type" -H "$shown"
body_has 'nobody says by whose approval'
refused 'and cannot replace the header' "$a/x?specifier=$one" -H "X-Measured-Specifier: $two" -H "$type" -H "$shown"
body_has 'nearest record "other"'
approved 'nor spoil it' "$a/x?specifier=$two&specifier=@" -H "X-Measured-Specifier: $one" -H "$type" -H "$shown"
refused 'a suffix is not what was remembered of the plain path' "$a/?specifier=$one" -H "$type" -H "$shown"
refused 'a bad specifier' "$a?specifier=@@" -H "$type" -H "$shown"
refused 'an unknown alias' "$a?specifier=nosuch" -H "$type" -H "$shown"
refused 'a long target' "$a?specifier=$one&x=$(printf 'x%.0s' {1..28000})" -H "$type" -H "$shown"

# ---- credentials of a forward proxy's client ----

basic() { printf 'X-Measured-Basic: Basic %s' "$(printf '%s' "$1" | base64 -w0)"; }
approved 'userinfo with a colon of its own' "$a" -H "$(basic "$one")" -H "$type" -H "$shown"
approved 'an alias' "$a" -H "$(basic app:)" -H "$type" -H "$shown"
approved 'both and equal' "$a" -H "$(basic app:)" -H "X-Measured-Specifier: $one" -H "$type" -H "$shown"
refused 'a password' "$a" -H "$(basic app:secret)" -H "$type" -H "$shown"
refused 'both and different' "$a" -H "$(basic app:)" -H "X-Measured-Specifier: $two" -H "$type" -H "$shown"
refused 'different from the query' "$a?specifier=$two" -H "$(basic app:)" -H "$type" -H "$shown"
refused 'another scheme' "$a" -H 'X-Measured-Basic: Bearer YXBwOg==' -H "$type" -H "$shown"
refused 'no base64' "$a" -H 'X-Measured-Basic: Basic app:' -H "$type" -H "$shown"
refused 'two of them' "$a" -H "$(basic app:)" -H "$(basic app:)" -H "$type" -H "$shown"
refused 'Authorization is not asked' "$a" -H 'Authorization: Basic YXBwOg==' -H 'Proxy-Authorization: Basic YXBwOg==' -H "$type" -H "$shown"

# ---- what nobody knows is not refused, and not approved ----

unknown 'a server in trouble' "$a?specifier=$(location down.json)" -H "$type" -H "$shown"
unknown 'no document' "$a?specifier=$(location absent.json)" -H "$type" -H "$shown"
unknown 'junk' "$a?specifier=$(location junk.json)" -H "$type" -H "$shown"
unknown 'a sequence that is not reached' "$a?specifier=$(location live.json)%3Bseq%3D9" -H "$type" -H "$shown"
unknown 'no endpoint for the chain' "$a?specifier=eip155:1:0x00000000000000000000000000000000000000Aa" -H "$type" -H "$shown"

# ---- a set that changes ----

live=$(location live.json)
approved 'a location' "$a?specifier=$live" -H "$type" -H "$shown"
revoked() {
    get "$a?specifier=$live" -H "$type" -H "$shown"
    [ "$STATUS" = 403 ]
}
echo '[]' >"$www/live.json"
eventually 10 revoked || fail "revoked, and still $STATUS"
body_has 'nothing is approved'

# ---- nobody waits for a set that is served; counters ----

counter() { daemon_get /metrics | sed -n "s/^$1 //p"; }
before=$(counter measured_http_waits_total) hits=$(counter measured_http_hits_total)
yes=$(counter 'measured_checks_total{verdict="approved"}') no=$(counter 'measured_checks_total{verdict="refused"}')
errors=$(counter measured_http_errors_total)
for _ in 1 2 3 4 5; do
    approved 'again' "$a?specifier=$one" -H "$type" -H "$shown"
    refused 'again' "$a/x" -H "X-Measured-Specifier: $one" -H "$type" -H "$bad"
done
refused 'without evidence' "$a?specifier=$one"
[ "$(counter measured_http_waits_total)" = "$before" ] || fail 'a request about a served set waited for the core'
[ "$(counter measured_http_hits_total)" = $((hits + 10)) ] || fail 'hits are not counted'
[ "$(counter 'measured_checks_total{verdict="approved"}')" = $((yes + 5)) ] || fail 'approvals are not counted'
[ "$(counter 'measured_checks_total{verdict="refused"}')" = $((no + 6)) ] || fail 'refusals are not counted'
[ "$(counter measured_http_errors_total)" = "$errors" ] || fail 'a refusal counts as an error'

check_log "$work"
check_end
