#!/bin/bash
# Many who ask for the same thing at once cause one upstream fetch, and all get its answer.
set -euo pipefail
build=${1:?usage: concurrency_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/registry.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'daemon_stop || true; tls_stop; anvil_stop; rm -rf "$work"' EXIT
value=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f
tls_start "$work/tls" --host docs.example.test
for name in one two three; do
    echo "[{\"measurement_id\":\"$name\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":{\"expected\":\"$value\"}}}]" \
        >"$work/tls/www/$name.json"
    printf '!delay-ms 1000\nCache-Control: max-age=600\n' >"$work/tls/www/$name.json.http"
done
printf '!delay-ms 1000\nCache-Control: no-store\n' >"$work/tls/www/two.json.http"
printf '!delay-ms 500\n!status 503\n' >"$work/tls/www/three.json.http"
chain=no
if anvil_program >/dev/null && [ -f "$REGISTRY_ABI" ]; then
    chain=yes
    anvil_start "$work/chain"
    registry_deploy 0
    registry_approve 1 "$work/tls/www/one.json"
    registry_finalize
fi
daemon_config "$work" <<EOF
[policy]
level = l1
quorum = 1
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
$([ $chain = no ] || printf '[rpc a]\nchain = 1\nurl = %s\n' "$ANVIL_URL")
EOF
daemon_start "$work"

at_once() { # N SPECIFIER WANTED_STATUS WHAT: all get that status and one ETag
    "$RIG_TOOLS/httpclients" "$work/run/api.sock" get "$1" "/v1/measurements?specifier=$2" >"$work/answers"
    [ "$(grep -c "^$3 " "$work/answers")" = "$1" ] || fail "$4: $(sort "$work/answers" | uniq -c)"
    [ "$(sort -u "$work/answers" | wc -l)" = 1 ] || fail "$4: more than one ETag: $(sort "$work/answers" | uniq -c)"
}
spec_of() { local u; u=$(measuredctl url --host h "$@") || return 1; u=${u#https://}; echo "${u%%@*}"; }
location() { spec_of --location "https://docs.example.test:$TLS_PORT/$1.json"; }
rpc() { get /metrics; sed -n 's/^measured_upstream_requests_total{provider="a"} //p' "$work/body"; }

at_once 50 "$(location one)" 200 'a cold location'
[ "$(tls_count /one.json)" = 1 ] || fail "50 cold requests made $(tls_count /one.json) fetches"
at_once 50 "$(location one)" 200 'a warm location'
[ "$(tls_count /one.json)" = 1 ] || fail 'a warm answer was fetched again'
# An answer that may not be kept is still good for all who waited for it.
at_once 50 "$(location two)" 200 'a location with no-store'
[ "$(tls_count /two.json)" -le 2 ] || fail "no-store: 50 requests made $(tls_count /two.json) fetches"
at_once 50 "$(location three)" 502 'a server in trouble'
[ "$(tls_count /three.json)" -le 2 ] || fail "in trouble: 50 requests made $(tls_count /three.json) fetches"
# Other specifiers are not held up by a slow one.
"$RIG_TOOLS/httpclients" "$work/run/api.sock" get 20 "/v1/measurements?specifier=$(location two)" >"$work/slow" &
slow=$!
start=$(date +%s%N)
get "/v1/measurements?specifier=$(spec_of --inline "$work/tls/www/one.json")"; want 200 'an inline one meanwhile'
[ $((($(date +%s%N) - start) / 1000000)) -lt 700 ] || fail 'an inline specifier waited for a slow location'
wait "$slow"

if [ $chain = yes ]; then
    contract=$(spec_of --contract "$REGISTRY" --chain 1 2>/dev/null)
    before=$(rpc)
    at_once 1 "$contract" 200 'a lone cold contract'
    alone=$(($(rpc) - before))
    daemon_stop || fail "the exit status is $?"
    rm -rf "$work/state"
    mv "$work/measured.log" "$work/measured.1.log"
    daemon_start "$work"
    at_once 50 "$contract" 200 'a cold contract'
    [ "$(rpc)" -le "$alone" ] || fail "50 cold requests of a contract made $(rpc) RPC requests, one makes $alone"
    [ "$(rpc)" -gt 0 ] || fail 'no RPC requests were counted'
    before=$(rpc)
    at_once 50 "$contract" 200 'a warm contract'
    [ "$(rpc)" = "$before" ] || fail 'a warm contract was read again'
else
    echo 'skipped: contracts (no anvil)'
fi
daemon_stop || fail "the exit status is $?"
check_log "$work"
check_end
