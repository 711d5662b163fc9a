#!/bin/bash
# attested-tls-proxy v1.1.1 with --measurements-file http://127.0.0.1:PORT/v1/measurements?specifier=...: it asks
# once, ignores the status, and parses whatever comes. What it gets is a list it accepts, or nothing it can parse.
set -euo pipefail
build=${1:?usage: atls_test.sh BUILD_DIR}
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
v48=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f
v32=${v48:0:64}
cat >"$work/mixed.json" <<EOF
[{"measurement_id":"d","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"$v48"},"3":{"expected_any":["$v48","${v48//2f/30}"]}}},
 {"measurement_id":"a","attestation_type":"azure-tdx","measurements":{"4":{"expected":"$v32"},"9":{"expected":"$v32"},"11":{"expected":"${v32^^}"}}}]
EOF
tls_start "$work/tls" --host docs.example.test
cp "$work/mixed.json" "$work/tls/www/mixed.json"
# what the proxy itself would take for "accept anything" or not take at all
cat >"$work/tls/www/named.json" <<EOF
[{"measurement_id":"n","attestation_type":"dcap-tdx","measurements":{"mrtd":{"expected":"$v48"},"RTMR1":{"expected":"$v48"}}}]
EOF
echo '[{"measurement_id":"x","attestation_type":"none"}]' >"$work/tls/www/type-none.json"
echo '[{"measurement_id":"x","attestation_type":"dcap-tdx"}]' >"$work/tls/www/any.json"
echo '[{"measurement_id":"x","attestation_type":"dcap-tdx","measurements":{}}]' >"$work/tls/www/empty.json"
echo '[]' >"$work/tls/www/nothing.json"
echo '{}' >"$work/tls/www/object.json"
echo '[' >"$work/tls/www/broken.json"
echo '[]' >"$work/tls/www/down.json"
printf '!status 503\n' >"$work/tls/www/down.json.http"
printf '!delay-ms 9000\n' >"$work/tls/www/slow.json.http"
echo '[]' >"$work/tls/www/slow.json"
chain=no
if anvil_program >/dev/null && [ -f "$REGISTRY_ABI" ]; then
    chain=yes
    anvil_start "$work/chain"
    registry_deploy 0
    EMPTY=$REGISTRY
    registry_deploy 0
    registry_approve 1 "$work/mixed.json"
    registry_finalize
fi
port=$((20000 + RANDOM % 20000))
daemon_config "$work" <<EOF
http-listen = 127.0.0.1:$port
[policy]
level = l1
quorum = 1
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
$([ $chain = no ] || printf '[rpc a]\nchain = 1\nurl = %s\n' "$ANVIL_URL")
EOF
daemon_start "$work"

# What the proxy does: one GET, the status ignored.
ask() { curl -sS --max-time 30 --noproxy '*' -o "$work/list" "http://127.0.0.1:$port/v1/measurements?$1"; }
parse() { "$RIG_TOOLS/proxyparse" <"$work/list" >"$work/parsed"; }
accepts() { # QUERY LINES...
    local query=$1
    shift
    ask "$query"
    parse || fail "$query: $(cat "$work/parsed" "$work/list")"
    [ "$(sort "$work/parsed")" = "$(printf '%s\n' "$@" | sort)" ] || fail "$query is read as $(cat "$work/parsed")"
}
starts_not() { # QUERY
    ask "$1"
    ! parse || fail "$1: the proxy would start with $(cat "$work/list")"
    ! "$RIG_TOOLS/proxyparse" -j <"$work/list" >/dev/null || fail "$1: the error is JSON: $(cat "$work/list")"
}
spec_of() { local u; u=$(measuredctl url --host h "$@" 2>/dev/null) || return 1; u=${u#https://}; echo "${u%%@*}"; }
raw_location() { printf 'https://docs.example.test:%s/%s.json' "$TLS_PORT" "$1" | base64 -w0 | tr '+/' '-_' | tr -d =; }

mixed=('dcap-tdx 2' 'azure-tdx 3')
inline=$(spec_of --inline "$work/mixed.json")
for profile in '' '&profile=atls-1'; do
    accepts "specifier=$inline$profile" "${mixed[@]}"
    accepts "specifier=$(raw_location mixed)$profile" "${mixed[@]}"
    accepts "specifier=$(raw_location nothing)$profile" ''
done
accepts "url=https%3A%2F%2F$inline%40host.example%2Fpath" "${mixed[@]}"
# reqwest leaves these as they are in a query
accepts "url=https://$inline@host.example/path" "${mixed[@]}"
# names of registers become numbers, as v1.1.1 knows nothing else
ask "specifier=$(raw_location named)"
parse || starts_not "specifier=$(raw_location named)"
for name in type-none any empty object broken down missing slow; do
    starts_not "specifier=$(raw_location $name)"
done
for query in '' 'specifier=' 'specifier=%' 'specifier=nosuch' "specifier=$inline&profile=nosuch" 'url=http://x@y' \
    "specifier=$inline&specifier=$inline" "specifier=$inline%00" 'specifier=0x0000000000000000000000000000000000000001'; do
    starts_not "$query"
done
if [ $chain = yes ]; then
    accepts "specifier=$(spec_of --contract "$REGISTRY" --chain 1)" "${mixed[@]}"
    accepts "specifier=$REGISTRY" "${mixed[@]}"
    accepts "specifier=$EMPTY" ''
    starts_not 'specifier=0x000000000000000000000000000000000000dEaD'
    # the last release is taken back: nobody is let in, at once for who asks after it is known
    registry_revoke 1
    registry_finalize
    curl -sS --max-time 30 -o /dev/null --unix-socket "$work/run/admin.sock" -X POST "http://h/v1/refresh?specifier=$REGISTRY"
    accepts "specifier=$REGISTRY" ''
    # the node is gone: the last answer still holds for a while, an unknown contract cannot be looked up
    anvil_stop
    accepts "specifier=$REGISTRY" ''
    starts_not 'specifier=0x00000000000000000000000000000000000dEaD1'
else
    echo 'skipped: contracts (no anvil)'
fi
daemon_stop || fail "the exit status is $?"
ask_status=0
ask "specifier=$inline" 2>/dev/null || ask_status=$?
[ "$ask_status" != 0 ] || fail 'somebody answers for a daemon that is gone'
check_log "$work"
check_end
