#!/bin/bash
# What curl sends to a forward proxy when a URL has a specifier, byte for byte, and that what a proxy passes on of it names
# the same specifier. docs/proxies.md quotes these bytes.
set -euo pipefail
build=${1:?usage: forward_proxy_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
SINK_PID=
end_sink() {
    [ -z "$SINK_PID" ] || kill "$SINK_PID" 2>/dev/null || true
    wait "$SINK_PID" 2>/dev/null || true
}
trap 'end_sink; daemon_stop || true; rm -rf "$work"' EXIT

value=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f
echo "[{\"measurement_id\":\"one\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":{\"expected\":\"$value\"}}}]" >"$work/one.json"
packed=$(gzip -9nc "$work/one.json" | base64 -w0)
# the three shapes: no colon, one of its own, one character that userinfo must percent-encode
legacy=$(tr -d = <<<"$packed" | tr '+/' '-_')
inline=inline:$legacy
daemon_config "$work" <<END
[alias app]
specifier = $inline
END
daemon_start "$work"
log=$work/sent
: >"$log"
"$RIG_TOOLS/httpsink" --log "$log" >"$work/sink.port" &
SINK_PID=$!
port=$(rig_port_of "$work/sink.port" $SINK_PID)

# sent [curl...]: what it sends is in $log then
sent() {
    : >"$log"
    curl -sS --max-time 10 -A '' -H 'Accept:' "$@" >"$work/out" 2>"$work/curl" || true
    tr -d '\r' <"$log" >"$work/sent.txt"
}
line() { [ "$(sed -n "$1p" "$work/sent.txt")" = "$2" ] || fail "line $1 is not '$2' but: $(cat "$work/sent.txt")"; }
has() { grep -qxF -- "$1" "$work/sent.txt" || fail "'$1' is not in: $(cat "$work/sent.txt")"; }
lacks() { ! grep -qi -- "$1" "$work/sent.txt" || fail "$1 is in: $(cat "$work/sent.txt")"; }
credentials() { printf 'Basic %s' "$(printf '%s' "$1" | base64 -w0)"; }
# names_one HEADER: what stands in it, passed on as X-Measured-Basic, names the list of this test
names_one() {
    local text
    text=$(sed -n "s/^$1: //p" "$work/sent.txt")
    get /v1/authorize -H "X-Measured-Basic: $text" -H 'X-Flashbots-Attestation-Type: dcap-tdx' -H "X-Flashbots-Measurement: {\"0\":\"$value\"}"
    want 200 "$1 passed on: $text"
    head_has '^X-Measured-Id: one'
}

# ---- http: absolute form, Authorization ----

sent -x "http://127.0.0.1:$port" 'http://app@h.example/a?b=1'
line 1 'GET http://h.example/a?b=1 HTTP/1.1'
line 2 'Host: h.example'
line 3 'Authorization: Basic YXBwOg=='
lacks proxy-authorization
names_one Authorization
http_proxy=http://127.0.0.1:$port sent 'http://app@h.example/a?b=1'
line 1 'GET http://h.example/a?b=1 HTTP/1.1'
line 3 'Authorization: Basic YXBwOg=='
sent -x "http://127.0.0.1:$port" "http://$legacy@h.example/"
line 3 "Authorization: $(credentials "$legacy:")"
names_one Authorization
# a colon of its own is the border between user and password to curl, so that there is none behind
sent -x "http://127.0.0.1:$port" "http://$inline@h.example/"
line 3 "Authorization: $(credentials "$inline")"
names_one Authorization
# curl percent-decodes
sent -x "http://127.0.0.1:$port" "http://$(sed 's/+/%2B/g; s#/#%2F#g; s/=/%3D/g' <<<"$packed")@h.example/"
line 3 "Authorization: $(credentials "$packed:")"
names_one Authorization
# a long one: 24 KB of base64
long="app;x-long=$(printf 'x%.0s' {1..16000})"
sent -x "http://127.0.0.1:$port" "http://$long@h.example/"
line 3 "Authorization: $(credentials "$long:")"

# ---- https: CONNECT, Proxy-Authorization; what stands in the inner URL never gets to the proxy ----

sent -x "http://app@127.0.0.1:$port" 'https://h.example/a'
line 1 'CONNECT h.example:443 HTTP/1.1'
line 2 'Host: h.example:443'
line 3 'Proxy-Authorization: Basic YXBwOg=='
lacks '^authorization'
names_one Proxy-Authorization
sent -x "http://$inline@127.0.0.1:$port" 'https://h.example/a'
line 3 "Proxy-Authorization: $(credentials "$inline")"
names_one Proxy-Authorization
sent -x "http://127.0.0.1:$port" 'https://app@h.example/a'
line 1 'CONNECT h.example:443 HTTP/1.1'
lacks authorization
lacks app
sent -x "http://app@127.0.0.1:$port" 'http://h.example/a'
line 1 'GET http://h.example/a HTTP/1.1'
has 'Proxy-Authorization: Basic YXBwOg=='
lacks '^authorization'
sent -x "http://app@127.0.0.1:$port" 'http://other@h.example/a'
has 'Proxy-Authorization: Basic YXBwOg=='
has 'Authorization: Basic b3RoZXI6'

# ---- a header, for clients without userinfo ----

sent -x "http://127.0.0.1:$port" -H 'X-Measured-Specifier: app' 'http://h.example/a'
has 'X-Measured-Specifier: app'
sent -x "http://127.0.0.1:$port" --proxy-header 'X-Measured-Specifier: app' 'https://h.example/a'
line 1 'CONNECT h.example:443 HTTP/1.1'
has 'X-Measured-Specifier: app'
# -H is for the server alone, and does not get to the proxy
sent -x "http://127.0.0.1:$port" -H 'X-Measured-Specifier: app' 'https://h.example/a'
line 1 'CONNECT h.example:443 HTTP/1.1'
lacks measured

# ---- SOCKS5: a user name of at most 255 bytes ----

hex() { printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n'; }
sent -x "socks5h://app@127.0.0.1:$port" 'https://h.example/a'
has "socks5 user=$(hex app) password="
sent -x "socks5h://$inline@127.0.0.1:$port" 'https://h.example/a'
[ ${#legacy} -lt 256 ] || fail 'the list of this test is too long to be a password'
has "socks5 user=$(hex inline) password=$(hex "$legacy")"
name=$(printf 'x%.0s' {1..255})
sent -x "socks5h://$name@127.0.0.1:$port" 'https://h.example/a'
has "socks5 user=$(hex "$name") password="
sent -x "socks5h://${name}x@127.0.0.1:$port" 'https://h.example/a'
lacks socks5
grep -qi 'proxy\|socks\|length\|long' "$work/curl" || fail "256 bytes: $(cat "$work/curl")"

check_log "$work"
check_end
