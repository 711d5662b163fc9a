#!/bin/bash
# https servers that are slow, broken or hostile: a definite error, bounded memory, and no earlier answer lost.
set -euo pipefail
build=${1:?usage: hostile_https_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
# Memory means something without sanitizers only.
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'daemon_stop || true; tls_stop; rm -rf "$work"' EXIT
value=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f
good="[{\"measurement_id\":\"good\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":{\"expected\":\"$value\"}}}]"
spec_of() { local u; u=$(measuredctl url --host h "$@") || return 1; u=${u#https://}; echo "${u%%@*}"; }
location() { spec_of --location "https://${HOST:-docs.example.test}:${PORT:-$TLS_PORT}/$1.json"; }

tls_start "$work/other" --host docs.example.test
OTHER_PID=$TLS_PID OTHER_PORT=$TLS_PORT
trap 'daemon_stop || true; tls_stop; kill $OTHER_PID; rm -rf "$work"' EXIT
echo "$good" >"$work/other/www/good.json"
tls_start "$work/tls" --host docs.example.test
www=$work/tls/www
config() {
    daemon_config "$1" <<EOF
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1, docs.example.test:$OTHER_PORT:127.0.0.1
EOF
}
config "$work"

# ---- the cases: name, directives (\n), body (printf %b; @FILE) ----

head -c 300000 /dev/zero | tr '\0' ' ' >"$work/long"
{ printf '['; head -c 200000 /dev/zero | tr '\0' '['; } >"$work/deep"
head -c 50000000 /dev/zero | gzip -9 >"$work/bomb" # 50 kB
cases=()
bad() { cases+=("$1"); printf '%b' "$2" >"$work/$1.http"; case $3 in @*) cp "${3#@}" "$work/$1.body" ;; *) printf '%b' "$3" >"$work/$1.body" ;; esac; }
bad truncated '!cut 20\n' "$good"
bad announced '!length 1073741824\n' "$good"
bad endless '!endless\n' "$good"
bad long '' "@$work/long"
bad deep '' "@$work/deep"
bad off-origin "!status 302\nLocation: https://docs.example.test:$OTHER_PORT/good.json\n" ''
bad to-http "!status 301\nLocation: http://docs.example.test:$TLS_PORT/good.json\n" ''
bad loop "!status 302\nLocation: https://docs.example.test:$TLS_PORT/loop.json\n" ''
bad same-origin "!status 307\nLocation: /good.json\n" ''
bad error-500 '!status 500\n' '{}'
bad gone '!status 410\n' 'gone'
bad missing '!status 404\n' 'missing'
bad unasked-304 '!status 304\n!no-etag\n' ''
bad empty-204 '!status 204\n' ''
bad partial-206 '!status 206\n' "$good"
bad unauthorised '!status 401\nWWW-Authenticate: Basic realm="x"\n' "$good"
bad gzip-bomb 'Content-Encoding: gzip\n' "@$work/bomb"
bad gzip-plain 'Content-Encoding: gzip\n' "$good"
bad bomb-unlabelled '' "@$work/bomb"
bad nul '' '[{"measurement_id":"a\\0b"}]'
bad nul-after '' "$good\\0\\0"
bad bom '' "\\xef\\xbb\\xbf$good"
bad utf16 '' '[\\0]\\0'
bad not-json '' '[{'
bad two-values '' "$good$good"
bad twice '' '[{"attestation_type":"dcap-tdx","attestation_type":"none"}]'
bad object '' '{}'
bad null '' 'null'
bad nothing '' ''
bad html 'Content-Type: text/html\n' '<!DOCTYPE html><title>[]</title>'
bad html-200 '' '<html>[]</html>'
bad no-pins '' '[{"measurement_id":"x","attestation_type":"dcap-tdx","measurements":{}}]'
bad type-none '' '[{"measurement_id":"x","attestation_type":"none"}]'
bad false-length '' '[{"measurement_id":"x","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"00"}}}]'
bad big-header "X: $(printf 'x%.0s' {1..3900})\n!status 500\n" '{}'
bad drip '!drip-ms 100\n' "$good"
echo "$good" >"$www/good.json"

# Some that look strange may be accepted; they must then be exactly what is written, never more.
lenient=' bom gzip-plain same-origin '

daemon_start "$work"
for name in "${cases[@]}"; do # every one has a good answer first
    echo "$good" >"$www/$name.json"
    get "/v1/measurements?specifier=$(location "$name")"; want 200 "$name, while it is good"
    sed -n 's/^ETag: //p' "$work/head" >"$work/$name.etag"
    cp "$work/$name.body" "$www/$name.json"
    cp "$work/$name.body" "$www/cold-$name.json"
    cp "$work/$name.http" "$www/$name.json.http"
    cp "$work/$name.http" "$www/cold-$name.json.http"
done

one() { # NAME: in a process of its own, as some take seconds
    local name=$1 start status
    work=$work/case-$1
    mkdir "$work"
    start=$(date +%s%N)
    get "/v1/measurements?specifier=$(location "cold-$name")"
    status=$STATUS
    [ $((($(date +%s%N) - start) / 1000000)) -lt 8000 ] || fail "$name: an answer after 8 s"
    case $lenient:$status in *" $name "*:200) ;; *:400 | *:404 | *:502 | *:503) not_json "$name" ;; *) fail "$name: $status $(cat "$work/body")" ;; esac
    case $name:$status in gone:404 | missing:404) ;; gone:* | missing:* | *:404) fail "$name: $status" ;; esac
    SOCKET=${MEASURED_SOCKET_DIR}/admin.sock
    get "/v1/refresh?specifier=$(location "$name")" -X POST
    case $lenient:$name:$STATUS in
    *" $name "*:200) return "$CHECK_BAD" ;;
    *:unasked-304:200) ;; # this one was asked for, with the ETag
    *:[45]??) ;;
    *) fail "$name: refresh is $STATUS" ;;
    esac
    SOCKET=
    # The old answer is there, the same, and tells its age truly.
    get "/v1/measurements?specifier=$(location "$name")"; want 200 "$name, after it was good"
    [ "$(sed -n 's/^ETag: //p' "$work/head")" = "$(cat "${work%/*}/$name.etag")" ] || fail "$name: another set is served"
    get "/v1/resolve?specifier=$(location "$name")"; want 200 "$name, envelope"
    body_has '"state":"(fresh|stale-while-revalidate|stale-if-error)"'
    body_has '"measurement_id":"good"'
    return "$CHECK_BAD"
}
all_cases() {
    local pids=() pid name
    for name in "${cases[@]}"; do
        one "$name" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid" || CHECK_BAD=1; done
    rm -rf "$work"/case-*
}
all_cases

# ---- what approves nothing ----

echo '[]' >"$www/none.json"
get "/v1/measurements?specifier=$(location none)"; want 200 '[]'
head_has '^X-Measured-State: revoked'
[ "$(tr -d ' \n' <"$work/body")" = '[]' ] || fail "[] became $(cat "$work/body")"
get "/v1/measurements?specifier=$(location none)&profile=cvm"; want 200 '[] in cvm'
body_has 'f{96}'
# A good set replaced by []: the empty one at once, never the older.
echo "$good" >"$www/shrinks.json"
get "/v1/measurements?specifier=$(location shrinks)"; want 200 'before it is revoked'
echo '[]' >"$www/shrinks.json"
SOCKET=$work/run/admin.sock
get "/v1/refresh?specifier=$(location shrinks)" -X POST; want 200 'revoking'
printf '!status 503\n' >"$www/shrinks.json.http"
get "/v1/refresh?specifier=$(location shrinks)" -X POST; want 502 'an error after the revocation'
SOCKET=
get "/v1/measurements?specifier=$(location shrinks)"; want 200 'revoked'
[ "$(tr -d ' \n' <"$work/body")" = '[]' ] || fail "revoked became $(cat "$work/body")"

# ---- addresses and certificates ----

refused() { # STATUS_PATTERN BODY_PATTERN LOCATION_URL
    get "/v1/measurements?specifier=$(printf %s "$3" | base64 -w0 | tr '+/' '-_' | tr -d =)"
    [[ $STATUS =~ $1 ]] || fail "$3: $STATUS"
    not_json "$3"
    body_has "$2"
}
refused '50[23]' 'address-blocked' 'https://127.0.0.1:4443/x'
refused '(400|50[23])' 'measured: ' "https://localhost:$OTHER_PORT/good.json"
refused '(400|50[23])' 'measured: ' "https://[::1]:$OTHER_PORT/good.json"
refused '(400|50[23])' 'measured: ' 'https://169.254.169.254/latest/meta-data'
refused '(400|50[23])' 'measured: ' "https://0x7f.1:$OTHER_PORT/good.json"
refused '50[23]' '(tls|connect|certificate)' "https://docs.example.test:$OTHER_PORT/good.json" # another CA
[ "$(grep -c . "$work/other/requests")" = 0 ] || fail 'the other server was asked'

daemon_stop || fail "the exit status is $?"
check_log "$work"

# ---- memory ----

release=$(dirname "$build")/release/bin
if [ -x "$release/measured" ] &&
    [ -z "$(find base eth sig resolver cache -name '*.[ch]' -newer "$release/measured")" ]; then
    mkdir "$work/r"
    unset 'cases[-1]' # the drip, which is long
    config "$work/r"
    PATH=$release:$PATH daemon_start "$work/r"
    before=$(rss "$DAEMON_PID")
    for name in "${cases[@]}"; do
        echo "$good" >"$www/$name.json"
        rm -f "$www/$name.json.http"
        get "/v1/measurements?specifier=$(location "$name")"; want 200 "$name, while it is good, release"
        cp "$work/$name.body" "$www/$name.json"
        cp "$work/$name.http" "$www/$name.json.http"
    done
    all_cases
    peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$DAEMON_PID/status")
    echo "resident: $before KiB at the start, $peak KiB at most"
    [ "$((peak - before))" -lt 40000 ] || fail "the daemon grew to $peak KiB"
    daemon_stop || fail "release: the exit status is $?"
else
    echo 'memory is not looked at: no release build of these sources'
fi
check_end
