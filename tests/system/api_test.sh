#!/bin/bash
# Every path of the HTTP API, on the Unix sockets and over TCP: bodies, types, headers, status codes, modes.
set -euo pipefail
build=${1:?usage: api_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'daemon_stop || true; tls_stop; rm -rf "$work"' EXIT

# ---- documents ----

zeros=$(printf '%096d' 0)
value=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f
other=${value//2f/30}
cat >"$work/one.json" <<EOF
[{"measurement_id":"one","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"$value"}}}]
EOF
cat >"$work/any.json" <<EOF
[{"measurement_id":"any","attestation_type":"dcap-tdx","measurements":{"0":{"expected_any":["$value","$zeros"]}}}]
EOF
hash=$(printf 'c0%062d' 0)
tls_start "$work/tls" --host docs.example.test
cp "$work/one.json" "$work/tls/www/one.json"
printf 'Cache-Control: max-age=600\n' >"$work/tls/www/one.json.http"
printf '!status 503\n' >"$work/tls/www/down.json.http"
echo '{}' >"$work/tls/www/down.json"
echo '[]' >"$work/tls/www/none.json"
port=$((20000 + RANDOM % 20000))
daemon_config "$work" <<EOF
http-listen = 127.0.0.1:$port
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
EOF
daemon_start "$work"

encode() { # every byte that is not unreserved
    local LC_ALL=C text=$1 out= c i
    for ((i = 0; i < ${#text}; i++)); do
        c=${text:i:1}
        case $c in [A-Za-z0-9._~-]) out+=$c ;; *) out+=$(printf '%%%02X' "'$c") ;; esac
    done
    echo "$out"
}
url_of() { measuredctl url --host h.example "$@" 2>/dev/null; }
spec_of() { local u; u=$(url_of "$@") || return 1; u=${u#https://}; encode "${u%%@*}"; }
one=$(spec_of --inline "$work/one.json")
any=$(spec_of --inline "$work/any.json")
location=$(spec_of --location "https://docs.example.test:$TLS_PORT/one.json")
down=$(spec_of --location "https://docs.example.test:$TLS_PORT/down.json")
absent=$(spec_of --location "https://docs.example.test:$TLS_PORT/absent.json")
none=$(spec_of --location "https://docs.example.test:$TLS_PORT/none.json")

# ---- modes ----

[ "$(stat -c %a "$work/run/api.sock")" = 660 ] || fail 'mode of api.sock'
[ "$(stat -c %a "$work/run/admin.sock")" = 600 ] || fail 'mode of admin.sock'
while IFS= read -r file; do
    [ "$(stat -c %a "$file")" = 600 ] || fail "mode of $file: $(stat -c %a "$file")"
done < <(find "$work/state" -type f)

# ---- measurements ----

m=/v1/measurements
measurements() {
    get "$m?specifier=$one"; want 200 'measurements'
    [ "$TYPE" = application/json ] || fail "type of measurements: $TYPE"
    body_has '^\[\{"measurement_id":"one","attestation_type":"dcap-tdx","measurements":\{'
    head_has '^X-Measured-State: fresh'
    head_has '^X-Measured-Trust: self'
    head_has '^ETag: "[0-9a-f]{64}"'
    local etag
    etag=$(tr -d '\r' <"$work/head" | sed -n 's/^ETag: //p')
    for header in "$etag" "W/$etag" "\"x\", $etag" '*'; do
        get "$m?specifier=$one" -H "If-None-Match: $header"; want 304 "If-None-Match: $header"
        [ ! -s "$work/body" ] || fail '304 with a body'
        head_has '^X-Measured-State: fresh'
        head_has '^X-Measured-Trust: self'
        head_has "^ETag: $etag"
    done
    get "$m?specifier=$one" -H 'If-None-Match: "x"'; want 200 'another ETag'
    get "$m?specifier=$one" -I; want 200 HEAD
    [ ! -s "$work/body" ] || grep -q '^HTTP' "$work/body" || fail 'HEAD with a body'
    for profile in seed atls-1 atls-2 cvm; do
        get "$m?specifier=$any&profile=$profile"
        # seed and cvm know one value a register; what they cannot say is an error, never a wider list
        if [ "$STATUS" = 200 ]; then body_has "$value"; else not_json "profile $profile"; fi
        get "$m?specifier=$one&profile=$profile"; want 200 "profile $profile"
        body_has "\"(0|mrtd)\""
        get "$m?specifier=$none&profile=$profile"; want 200 "nothing approved, profile $profile"
        head_has '^X-Measured-State: revoked'
        if [ "$profile" = cvm ]; then
            body_has 'dcap-tdx.*f{96}'
            body_has 'azure-tdx.*f{64}'
        else
            [ "$(tr -d ' \n' <"$work/body")" = '[]' ] || fail "nothing approved in $profile: $(cat "$work/body")"
        fi
    done
    get "$m?url=$(encode "$(url_of --inline "$work/one.json")/path?q=1")"; want 200 '?url='
    get "$m?specifier=$location"; want 200 'a location'
    head_has '^X-Measured-Trust: tls'
    head_has '^Expires: [A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} 20[0-9]{2} [0-9:]{8} GMT'
}
measurements

bad_query() { # WANTED_STATUS QUERY WHAT
    get "$m$2"; want "$1" "$3"
    not_json "$3"
    get "/v1/resolve$2"; want "$1" "resolve: $3"
    [ "$TYPE" = application/problem+json ] || fail "resolve: $3: $TYPE"
    body_has '"code":"[a-z0-9-]+"'
    body_has "\"status\":$1"
}
errors() {
    bad_query 400 '' 'no query'
    bad_query 400 '?' 'an empty query'
    bad_query 400 '?specifier=' 'an empty specifier'
    bad_query 400 "?specifier=$one&url=https%3A%2F%2F$one%40h" 'both'
    bad_query 400 "?specifier=$one&specifier=$one" 'specifier twice'
    bad_query 400 "?url=https%3A%2F%2F$one%40h&url=x" 'url twice'
    bad_query 400 "?Specifier=$one" 'another case'
    bad_query 400 "?specifier=$one%00" 'a NUL'
    bad_query 400 "?specifier=%00" 'a NUL only'
    bad_query 400 "?specifier=$one%4" 'a cut percent-encoding'
    bad_query 400 "?specifier=$one%" 'a lone percent sign'
    bad_query 400 "?specifier=$one%zz" 'no hex digits'
    bad_query 400 "?specifier=$one%ff" 'no UTF-8'
    bad_query 400 "?specifier=$one%C3%28" 'bad UTF-8'
    bad_query 400 "?specifier=+$one" 'a plus in front'
    bad_query 400 "?specifier=%20$one" 'a space in front'
    bad_query 400 "?specifier=nosuchalias" 'an unknown alias'
    bad_query 400 "?url=https%3A%2F%2Fhost.example%2F" 'a URL without a specifier'
    bad_query 404 "?specifier=$absent" 'a document that is not there'
    bad_query 502 "?specifier=$down" 'a server in trouble'
    get "$m?specifier=$one&profile=nosuch"; want 400 'an unknown profile'; not_json 'an unknown profile'
    get "$m?specifier=$one&profile=$(printf 'x%.0s' {1..300})"; want 400 'a long profile'
    not_json 'a long profile'
    get "$m?specifier=$one&profile=cvm&profile=cvm"; want 400 'profile twice'; not_json 'profile twice'
    # base64 with '+' in it must reach the parser as '+'
    get "/v1/resolve?specifier=ab+cd"; want 400 'plus'; body_lacks 'ab cd'
    for method in POST PUT DELETE PATCH OPTIONS; do
        get "$m?specifier=$one" -X "$method"; want 405 "$method on measurements"; not_json "$method on measurements"
        head_has '^Allow: GET, HEAD'
    done
    get "/v1/resolve?specifier=$one" -X DELETE; want 405 'DELETE on resolve'
    [ "$TYPE" = application/problem+json ] || fail "405 of resolve: $TYPE"
    get /v1/check; want 405 'GET on check'; head_has '^Allow: POST'
    for path in / /v1 /v1/ /v1/nosuch /v1/measurements/ //v1/measurements '/v1/measurements%00' /v1/../v1/status; do
        get "$path"; want 404 "the path $path"
        [ "$TYPE" = application/problem+json ] || fail "404 of $path: $TYPE"
        body_has '"code":"not-found"'
    done
}
errors

# Longer than a specifier may be, and than a target; then than libmicrohttpd reads.
for size in 17000 27000 29000; do
    head -c "$size" /dev/zero | tr '\0' a >"$work/long"
    printf 'GET %s?specifier=%s HTTP/1.1\r\nHost: h\r\n\r\n' "$m" "$(cat "$work/long")" >"$work/raw"
    "$RIG_TOOLS/httpclients" "$work/run/api.sock" raw 1 - <"$work/raw" >"$work/answer"
    head -n 1 "$work/answer" | grep -qE '^HTTP/1.1 (400|414) ' || fail "a target of $size: $(head -c 200 "$work/answer")"
    tr -d '\r' <"$work/answer" | sed '1,/^$/d' | head -c 1 | grep -qE '[A-Za-z]' || fail "a target of $size: no text"
done
for size in 33000 63000 110000; do
    head -c "$size" /dev/zero | tr '\0' a >"$work/long"
    printf 'GET %s?specifier=%s HTTP/1.1\r\nHost: h\r\n\r\n' "$m" "$(cat "$work/long")" >"$work/raw"
    "$RIG_TOOLS/httpclients" "$work/run/api.sock" raw 1 - <"$work/raw" >"$work/answer"
    grep -qE '^HTTP/1.1 4(00|13|14|31) ' "$work/answer" || fail "a target of $size: $(head -c 200 "$work/answer")"
    ! grep -qE '^[[{]' "$work/answer" || fail "a target of $size is answered with JSON"
done
# A long document fits, even percent-encoded throughout.
long_url=$(measuredctl url --host h 2>/dev/null --inline <(printf '['; for i in $(seq 60); do
    printf '%s{"measurement_id":"%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"}}}' \
        "$([ "$i" = 1 ] || echo ,)" "$i" "$(head -c 48 /dev/urandom | od -An -tx1 | tr -d ' \n')"
done; echo ']'))
long_url=${long_url#https://}
long_spec=${long_url%%@*}
get "$m?specifier=$(printf %s "$long_spec" | od -An -v -tx1 | tr -d '\n' | tr ' ' '%')"; want 200 "${#long_spec} characters, percent-encoded"
get "$m?specifier=$long_spec"; want 200 "${#long_spec} characters"
# What libmicrohttpd itself answers is no JSON either.
for text in 'GET /v1/measurements?specifier=a\0b HTTP/1.1\r\nHost: h\r\n\r\n' 'GARBAGE\r\n\r\n' \
    'GET /v1/measurements HTTP/1.1\r\n\r\n' 'GET  HTTP/1.1\r\n\r\n'; do
    printf '%b' "$text" | "$RIG_TOOLS/httpclients" "$work/run/api.sock" raw 1 - >"$work/answer"
    tr -d '\r' <"$work/answer" | sed '1,/^$/d' | grep -qE '^[[{]' && fail "$text is answered with JSON"
    grep -qE '^HTTP/1.1 200' "$work/answer" && fail "$text is answered with 200"
done
# Keep-alive: three requests on one connection, the pipelined ones in order.
printf 'GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n%.0s' 1 2 3 >"$work/raw"
"$RIG_TOOLS/httpclients" "$work/run/api.sock" raw 1 - <"$work/raw" >"$work/answer"
[ "$(grep -c '^HTTP/1.1 200' "$work/answer")" = 3 ] || fail "keep-alive: $(cat "$work/answer")"

# ---- resolve ----

resolve() {
    get "/v1/resolve?specifier=$one"; want 200 resolve
    [ "$TYPE" = application/json ] || fail "type of the envelope: $TYPE"
    for member in '"v":1[,}]' '"specifier":"sha256:[0-9a-f]{64}"' '"key":"[0-9a-f]{64}"' '"kind":"inline"' \
        '"state":"fresh"' '"trust":"self"' '"set_hash":"sha256:[0-9a-f]{64}"' \
        '"releases":\[\{"id":1,"version":"[^"]*","not_before":0,"not_after":0,"status":"in-force","records":\[\{' \
        '"predicates":\[' '"governance":\{' '"source":\{' '"fetched_at":[0-9]{10}[,}]' '"fresh_until":[0-9]+[,}]' \
        '"valid_until":[0-9]+[,}]' '"evidence":"sha256:[0-9a-f]{64}"' '"warnings":\[\]'; do
        body_has "$member"
    done
    get "/v1/resolve?specifier=$location"; want 200 'resolve of a location'
    body_has '"kind":"location"'
    body_has "\"specifier\":\"url:https://docs.example.test:$TLS_PORT/one.json\""
    body_has '"trust":"tls"'
    get "/v1/resolve?specifier=$none"; want 200 'resolve of nothing approved'
    body_has '"state":"revoked"'
}
resolve

# ---- check ----

check() { # WANTED_STATUS BODY
    get /v1/check -H 'Content-Type: application/json' --data-binary "$2"
    want "$1" "check ${2:0:80}"
}
verdict() { # WANTED WHAT
    body_has "\"verdict\":\"$1\""
    for member in measurement_id state reason; do body_has "\"$member\":\"[^\"]*\""; done
    body_has '"release":(null|\{|[0-9]+|"[^"]*")'
}
checks() {
    check 200 "{\"specifier\":\"$one\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":\"$value\"}}"
    verdict approved
    body_has '"measurement_id":"one"'
    check 200 "{\"url\":\"https://$one@h.example/x\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":\"${value^^}\"}}"
    verdict approved
    check 200 "{\"specifier\":\"$one\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":\"$other\"}}"
    verdict refused
    check 200 "{\"specifier\":\"$one\",\"attestation_type\":\"azure-tdx\",\"measurements\":{\"4\":\"${value:0:64}\"}}"
    verdict refused
    check 200 "{\"specifier\":\"$one\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"1\":\"$value\"}}"
    verdict refused
    check 200 "{\"specifier\":\"$one\",\"predicate\":{\"kind\":\"dstack-compose-hash\",\"value\":\"$hash\"}}"
    verdict refused
    local compose="{\"kind\":\"dstack-compose-hash\",\"value\":\"$hash\"}" image="{\"kind\":\"dstack-os-image\",\"value\":\"$hash\"}"
    check 200 "{\"specifier\":\"$one\",\"predicates\":[$compose,$image]}"
    verdict refused
    check 200 "{\"specifier\":\"$none\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":\"$value\"}}"
    verdict refused
    body_has '"state":"revoked"'
    local d
    d=$(printf 'https://docs.example.test:%s/down.json' "$TLS_PORT" | base64 -w0 | tr -d = | tr '+/' '-_')
    check 503 "{\"specifier\":\"$d\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":\"$value\"}}"
    verdict unknown
    local body
    for body in "{\"specifier\":\"$one\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{}}" \
        '' '[]' 'null' '{' '{}' '{"specifier":1}' "{\"specifier\":\"$one\"}" "{\"specifier\":\"$one\",\"specifier\":\"$one\"}" \
        "{\"specifier\":\"$one\",\"attestation_type\":\"dcap-tdx\"}" \
        "{\"specifier\":\"$one\",\"measurements\":{\"0\":\"$value\"}}" \
        "{\"specifier\":\"$one\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":\"xyz\"}}" \
        "{\"specifier\":\"$one\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":1}}" \
        "{\"specifier\":\"$one\",\"attestation_type\":\"dcap-tdx\",\"measurements\":[]}" \
        "{\"specifier\":\"$one\",\"attestation_type\":1,\"measurements\":{\"0\":\"$value\"}}" \
        "{\"specifier\":\"$one\",\"url\":\"https://$one@h\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":\"$value\"}}" \
        "{\"specifier\":\"$one\",\"predicate\":{\"kind\":\"nosuch\",\"value\":\"$hash\"}}" \
        "{\"specifier\":\"$one\",\"predicate\":{\"kind\":\"dstack-compose-hash\",\"value\":\"c0\"}}" \
        "{\"specifier\":\"$one\",\"predicate\":[]}" \
        "{\"specifier\":\"$one\",\"predicates\":[]}" \
        "{\"specifier\":\"$one\",\"predicates\":{}}" \
        "{\"specifier\":\"$one\",\"predicates\":[$compose,$compose]}" \
        "{\"specifier\":\"$one\",\"predicates\":[$compose,$image,$compose]}" \
        "{\"specifier\":\"$one\",\"predicates\":[$compose,{}]}" \
        "{\"specifier\":\"$one\",\"predicates\":[$compose],\"predicate\":$compose}" \
        "{\"specifier\":\"@@\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":\"$value\"}}"; do
        check 400 "$body"
        [ "$TYPE" = application/problem+json ] || fail "check 400: $TYPE"
        body_has '"code":"'
    done
    head -c 70000 /dev/zero | tr '\0' ' ' >"$work/long"
    check 413 "@$work/long"
    get /v1/check -H 'Expect:' -H 'Transfer-Encoding: chunked' --data-binary "@$work/long"; want 413 'a long chunked body'
    head -c 3000000 /dev/zero | tr '\0' ' ' >"$work/long"
    get /v1/check -H 'Expect:' -H 'Transfer-Encoding: chunked' --data-binary "@$work/long"
    [[ $STATUS = 413 || $STATUS = 000 ]] || fail "a chunked body without end: $STATUS"
}
checks

# ---- refresh, operators, watch ----

SOCKET=$work/run/admin.sock
get "/v1/refresh?specifier=$location" -X POST; want 200 'refresh'
body_has '"kind":"location"'
get "/v1/refresh?specifier=$down" -X POST; want 502 'refresh of a server in trouble'
get "/v1/refresh?specifier=$absent" -X POST; want 404 'refresh of what is not there'
get "/v1/refresh" -X POST; want 400 'refresh of nothing'
get "/v1/refresh?specifier=$location"; want 405 'GET on refresh'
get "$m?specifier=$one"; want 200 'measurements on admin.sock'
SOCKET=
get "/v1/refresh?specifier=$location" -X POST; want 403 'refresh on api.sock'
[ "$TYPE" = application/problem+json ] || fail "refresh on api.sock: $TYPE"
operators() {
    get /v1/status; want 200 status
    body_has '"version"'
    get /metrics; want 200 metrics
    [[ $TYPE == text/plain* ]] || fail "metrics: $TYPE"
    body_has '^measured_upstream_requests_total\{provider="https"\} [1-9]'
    body_has '^measured_entries\{state="fresh"\} [1-9]'
    [ -z "$(grep -vE '^(#|measured_[a-z_]+(\{[a-z]+="[^"]*"\})? [0-9.e+-]+$)' "$work/body")" ] || fail 'metrics: a bad line'
    for path in /healthz /readyz; do get "$path"; want 200 "$path"; done
    get /healthz -I; want 200 'HEAD of healthz'
}
operators
timeout 2 curl -sSN --unix-socket "$work/run/api.sock" -D "$work/head" "http://h/v1/watch?specifier=$one" >"$work/body" || true
head_has '^HTTP/1.1 200'
head_has '^Content-Type: text/event-stream'
body_has '^event: set$'
body_has '^data: \{"v":1,"specifier":"sha256:'
get '/v1/watch'; want 400 'watch of nothing'
[ "$TYPE" = application/problem+json ] || fail "watch of nothing: $TYPE"
# A change is told without being asked for.
: >"$work/events"
curl -sSN --max-time 20 --unix-socket "$work/run/api.sock" "http://h/v1/watch?specifier=$location" >"$work/events" 2>/dev/null &
watcher=$!
eventually 10 grep -q '^event: set' "$work/events" || fail 'no first event'
cp "$work/any.json" "$work/tls/www/one.json"
SOCKET=$work/run/admin.sock
get "/v1/refresh?specifier=$location" -X POST; want 200 'refresh after a change'
SOCKET=
two_events() { [ "$(grep -c '^event: set' "$work/events")" -ge 2 ]; }
eventually 10 two_events || fail 'no second event'
tail -n 2 "$work/events" | grep -q '"any"' || fail "the second event is not the new set: $(tail -n 2 "$work/events")"
kill "$watcher" 2>/dev/null || true
wait "$watcher" 2>/dev/null || true
cp "$work/one.json" "$work/tls/www/one.json"

# ---- the same over TCP ----

get_unix=$(declare -f get)
get() {
    local target=$1
    shift
    : >"$work/body"
    read -r STATUS TYPE < <(curl -sS -g --path-as-is --max-time 40 --noproxy '*' -D "$work/head" -o "$work/body" \
        -w '%{http_code} %{content_type}\n' "$@" "http://127.0.0.1:$port$target" 2>"$work/curl") || true
}
measurements
errors
resolve
checks
operators
get "/v1/refresh?specifier=$location" -X POST; want 403 'refresh over TCP'
# under a name that somebody points at this machine a browser would read along for his site: no data, whatever the path
key=$(printf '0%.0s' {1..64})
for host in evil.example "evil.example:$port" 127.0.0.1.evil.example; do
    get "$m?specifier=$one" -H "Host: $host"; want 403 "records, Host: $host"; not_json "records, Host: $host"
    body_lacks measurement_id
    for path in "/v1/resolve?specifier=$one" "/v1/watch?specifier=$one" "/v1/history?specifier=$one" "/v1/diff?specifier=$one&from=1&to=1" \
        "/v1/at?specifier=$one&time=1" "/v1/operations?specifier=$one" "/v1/backfill?specifier=$one" "/v1/evidence/$key" /v1/log/checkpoint \
        /v1/entries /v1/status /metrics /healthz /readyz /ui/; do
        get "$path" -H "Host: $host"; want 403 "$path, Host: $host"
        [[ $TYPE == application/problem+json* ]] || fail "$path, Host: $host: $TYPE"
        body_has '"code":"argument"'
        body_has 'open it by 127.0.0.1'
    done
    get /v1/check -H "Host: $host" -d "{\"specifier\":\"$one\"}"; want 403 "check, Host: $host"
    body_lacks verdict
done
for host in 127.0.0.1 "127.0.0.1:$port" localhost "LOCALHOST:$port" measured.localhost '[::1]' "[::1]:$port" ''; do
    get "$m?specifier=$one" -H "Host: $host"; want 200 "records, Host: $host"
done
get "$m?specifier=$one" --http1.0 -H Host:; want 200 'records, without a Host'
# a proxy asks about a request of its own, and comes with its Host
get /v1/authorize -H 'Host: shop.example' -H "X-Measured-Specifier: $one" -H 'X-Flashbots-Attestation-Type: dcap-tdx' -H 'X-Flashbots-Measurement: {"0":"00"}'
want 403 'another measurement'
grep -qi '^X-Measured-' "$work/head" || fail "a proxy under its own Host is not judged: $(cat "$work/head" "$work/body")"
eval "$get_unix"
get "$m?specifier=$one" -H 'Host: evil.example'; want 200 'a name on a socket that no browser reaches'

daemon_stop || fail "the exit status is $?"
[ ! -e "$work/run/api.sock" ] || fail 'api.sock is left'
check_log "$work"
check_end
