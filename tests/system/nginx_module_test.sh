#!/bin/bash
# The real nginx with our module, by the very file of proxy-plugin/examples/nginx/, and the real daemon: who may say what was
# measured, the verdict, sets that change, a daemon that hangs and dies, requests that wait, reloads. With the sanitizers, the
# module that has them is loaded. $MEASURED_NGINX puts a command in front of nginx (valgrind).
set -euo pipefail
build=${1:?usage: nginx_module_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
PATH=$PATH:/usr/sbin
module=$(realpath "$build/lib/ngx_http_measured_module.so" 2>/dev/null) && [ -e "$module" ] ||
    { echo 'skipped: the nginx module is not built (nginx-dev, or scripts/fetch-nginx-dev)'; exit 77; }
command -v nginx >/dev/null || { echo 'skipped: no nginx'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

work=$(mktemp -d /tmp/m.XXXXXX)
NGINX_PID='' BACKEND_PID='' TRY=0 STOPPED=()
trap 'nginx_stop; daemon_stop || true; tls_stop; rm -rf "$work"' EXIT

VALUE=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f
OTHER=${VALUE//2f/30}
OUTSIDE=(--interface 127.0.0.2)
type='X-Flashbots-Attestation-Type: dcap-tdx'
shown="X-Flashbots-Measurement: {\"0\":\"$VALUE\"}"
bad="X-Flashbots-Measurement: {\"0\":\"$OTHER\"}"
good=(-H "$type" -H "$shown")

# ---- helpers ----

list() { # ID VALUE
    printf '[{"measurement_id":"%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"}}}]\n' "$@"
}
base64url() { base64 -w0 | tr -d = | tr '+/' '-_'; }
inline() { printf 'inline:'; list "$@" | gzip -9nc | base64url; }

# A port of loopback on which nobody listens.
free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)) && (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo $port
}

temp_paths() { # FOLDER
    mkdir -p "$1/logs"
    printf '%s_temp_path %s; ' client_body "$1/t1" proxy "$1/t2" fastcgi "$1/t3" uwsgi "$1/t4" scgi "$1/t5"
}

await_port() { # PORT PID LOG
    for _ in $(seq 200); do
        ! (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null || return 0
        kill -0 "$2" 2>/dev/null || break
        sleep 0.05
    done
    echo 'nginx does not answer:' >&2
    tail -n 30 "$3" >&2
    return 1
}

# A server without the module that tells what it got, and counts it.
backend_start() {
    local folder=$work/backend
    BACKEND_PORT=$(free_port)
    mkdir -p "$folder"
    cat >"$folder/nginx.conf" <<END
events { }
http {
    $(temp_paths "$folder")
    underscores_in_headers on;
    large_client_header_buffers 4 32k;
    log_format seen '\$http_x_try \$request_uri';
    access_log $folder/seen seen;
    server {
        listen 127.0.0.1:$BACKEND_PORT;
        location /accel/ { add_header X-Accel-Redirect /strict/behind; return 200; }
        location / {
            return 200 'uri=\$request_uri id=\$http_x_measured_id release=\$http_x_measured_release state=\$http_x_measured_state sequence=\$http_x_measured_sequence type=\$http_x_flashbots_attestation_type shown=\$http_x_flashbots_measurement\n';
        }
    }
}
END
    nginx -p "$folder" -c "$folder/nginx.conf" -e "$folder/error.log" -g "daemon off; pid $folder/pid; $user" >"$folder/out" 2>&1 &
    BACKEND_PID=$!
    await_port "$BACKEND_PORT" $BACKEND_PID "$folder/error.log"
}

# The sample with our places, and what the test adds to it. Here all lines of the sample must have been found.
nginx_config() {
    local folder=$work/nginx more
    mkdir -p "$folder"
    more="error_log $folder/error.log info; $(temp_paths "$folder")"
    sed -e "s#modules/ngx_http_measured_module.so#$module#" -e "s#127\.0\.0\.1:8080#127.0.0.1:$PORT#" \
        -e "s#127\.0\.0\.1:9000#127.0.0.1:$BACKEND_PORT#" -e "s#/run/measured;#$work/run;#" \
        -e "s#^worker_processes auto;#worker_processes 1; worker_shutdown_timeout 5s;#" -e "s#^http {#http { $more#" \
        -e "s#^ *log_format .*#& include $folder/more.conf;#" \
        proxy-plugin/examples/nginx/module.conf >"$folder/nginx.conf"
    for part in "$module" ":$PORT" ":$BACKEND_PORT" "$work/run;" 'worker_processes 1;' more.conf; do
        grep -qF -- "$part" "$folder/nginx.conf" || { echo "the sample lacks the place of $part" >&2; return 1; }
    done
    cat >"$folder/more.conf" <<END
measured_max_sets 3;
measured_wait 1s;
map \$arg_by \$by { volatile; default \$arg_by; none ''; good '$(inline good "$VALUE")'; evil '$(inline evil "$OTHER")'; }

server {
    listen unix:$work/n.sock;
    measured_require app;
    location / { proxy_pass http://127.0.0.1:$BACKEND_PORT; }
    location /unix/ { measured_trusted_hop unix:; proxy_pass http://127.0.0.1:$BACKEND_PORT; }
}
server { # what nginx calls the client's address is what a header says
    listen 127.0.0.1:$PORT_REALIP;
    set_real_ip_from 127.0.0.0/8;
    real_ip_header X-Forwarded-For;
    underscores_in_headers on;
    measured_require app;
    location / { proxy_pass http://127.0.0.1:$BACKEND_PORT; }
    location /public/ { measured_require off; proxy_pass http://127.0.0.1:$BACKEND_PORT; }
    location /addr { measured_require off; return 200 "\$remote_addr"; }
}
server {
    listen 127.0.0.1:$PORT_H2 http2;
    measured_require app;
    location / { proxy_pass http://127.0.0.1:$BACKEND_PORT; }
    location /by/ { measured_require \$by; proxy_pass http://127.0.0.1:$BACKEND_PORT; }
}
server {
    listen 127.0.0.1:$PORT_MORE;
    access_log $folder/more.log measured;
    root $folder/www;
    large_client_header_buffers 4 32k;
    measured_require app;

    location / { proxy_pass http://127.0.0.1:$BACKEND_PORT; }
    location /by/ { measured_require \$by; proxy_pass http://127.0.0.1:$BACKEND_PORT; }
    location /forever/ { measured_require '$(inline forever "$VALUE")'; proxy_pass http://127.0.0.1:$BACKEND_PORT; }
    location /url/ { measured_require 'https://$(inline url "$VALUE")@example.test/x'; proxy_pass http://127.0.0.1:$BACKEND_PORT; }
    location /mixed/ { measured_require 'inline:\$arg_rest'; proxy_pass http://127.0.0.1:$BACKEND_PORT; }
    location /nobody/ { measured_trusted_hop off; proxy_pass http://127.0.0.1:$BACKEND_PORT; }
    location /block/ { measured_trusted_hop 127.0.0.2/32 10.0.0.0/8; proxy_pass http://127.0.0.1:$BACKEND_PORT; }
    location = /cached.html { set \$before "\$measured_id"; }

    # redirects
    location /strict/ { internal; measured_require '$(inline strict "$OTHER")'; proxy_pass http://127.0.0.1:$BACKEND_PORT/strict/; }
    location /accel/ { proxy_pass http://127.0.0.1:$BACKEND_PORT/accel/; }
    location /loose/ { measured_require off; error_page 404 = /strict/x; proxy_intercept_errors on; alias $folder/nothing/; }
    location /pages/ {
        error_page 403 /denied.html;
        error_page 503 @later;
        proxy_pass http://127.0.0.1:$BACKEND_PORT;
    }
    location = /denied.html { internal; measured_require off; }
    location @later { measured_require off; return 503 'later\n'; }
    location /again/ { error_page 503 = @app; proxy_pass http://127.0.0.1:$BACKEND_PORT; }
    location /named/ { error_page 403 = @app; proxy_pass http://127.0.0.1:$BACKEND_PORT; }
    location @app { proxy_pass http://127.0.0.1:$BACKEND_PORT; }

    # subrequests
    location /asked/ { auth_request /ask; proxy_pass http://127.0.0.1:$BACKEND_PORT; }
    location = /ask { internal; proxy_pass http://127.0.0.1:$BACKEND_PORT/asked-first; }
    location /asked-strict/ { measured_require off; auth_request /strict/ask; proxy_pass http://127.0.0.1:$BACKEND_PORT; }
    location /asked-new/ { measured_require off; auth_request /ask-new; proxy_pass http://127.0.0.1:$BACKEND_PORT; }
    location = /ask-new { internal; measured_require \$http_x_by; proxy_pass http://127.0.0.1:$BACKEND_PORT; }
    location /ssi/ { measured_require off; ssi on; }
    location /inner/ { proxy_pass http://127.0.0.1:$BACKEND_PORT; }

    # satisfy
    location /any/ { satisfy any; allow 127.0.0.2; deny all; proxy_pass http://127.0.0.1:$BACKEND_PORT; }
    location /any-by/ { satisfy any; allow 127.0.0.3; deny all; measured_require \$by; proxy_pass http://127.0.0.1:$BACKEND_PORT; }
    location /all/ { deny 127.0.0.1; allow all; proxy_pass http://127.0.0.1:$BACKEND_PORT; }
}
END
    mkdir -p "$folder/www/ssi"
    echo 'before <!--# include virtual="/inner/x" --> after' >"$folder/www/ssi/page.html"
    echo cached >"$folder/www/cached.html"
    echo 'denied by page' >"$folder/www/denied.html"
}

nginx_start() {
    local folder=$work/nginx preload=''
    if [ -e "$build/tests/nginx/ngx_http_measured_module.so" ] && [ -z "${MEASURED_NGINX:-}" ]; then
        preload=$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so)
    fi
    echo 'leak:ngx_alloc' >"$folder/lsan" # nginx does not free all that it has at its end
    LSAN_OPTIONS=suppressions=$folder/lsan:print_suppressions=0 LD_PRELOAD=$preload ASAN_OPTIONS=log_path=$folder/asan UBSAN_OPTIONS=log_path=$folder/ubsan:print_stacktrace=1 \
        ${MEASURED_NGINX:-} nginx -p "$folder" -c "$folder/nginx.conf" -e "$folder/error.log" \
        -g "daemon off; error_log $folder/error.log info; pid $folder/pid; $user" >"$folder/out" 2>&1 &
    NGINX_PID=$!
    await_port "$PORT" $NGINX_PID "$folder/error.log"
}

nginx_stop() {
    local pid
    for pid in $NGINX_PID $BACKEND_PID; do
        kill -QUIT "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    NGINX_PID='' BACKEND_PID=''
}

# The worker that takes new connections: the one that is not shutting down.
worker() {
    local pid
    for pid in $(pgrep -P "$(cat "$work/nginx/pid")"); do
        ! tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q 'worker process *$' || echo "$pid"
    done 2>/dev/null | tail -n 1
}
fds() { find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l; }

# web TARGET [curl...]: the request number $TRY, through $AT (a URL without path), else the sample's server
web() {
    local target=$1
    shift
    : >"$work/body"
    TRY=$((TRY + 1))
    read -r STATUS TIME < <(curl -sS -H "X-Try: $TRY" -g --path-as-is --max-time 20 --noproxy '*' -D "$work/head" -o "$work/body" \
        -w '%{http_code} %{time_total}\n' "$@" "${AT:-http://127.0.0.1:$PORT}$target" 2>"$work/curl") || true
}
seen() { grep -c "^$1 " "$work/backend/seen" || true; } # how often the application was asked by a request
passes() { # WHAT TARGET [curl...]
    local what=$1
    shift
    web "$@"
    want 200 "$what"
}
# A request that is stopped never reaches the application; its log is looked at in the end, for it is written late.
stops() { # STATUS WHAT TARGET [curl...]
    local wanted=$1 what=$2
    shift 2
    web "$@"
    want "$wanted" "$what"
    STOPPED[TRY]=$what
}
logged() { tail -n "${2:-40}" "$work/nginx/error.log" | grep -qE -- "$1" || fail "the error log does not say $1: $(tail -n 3 "$work/nginx/error.log")"; }
status_is() { # STATUS TARGET
    web "$2" "${good[@]}"
    [ "$STATUS" = "$1" ]
}
faster() { # SECONDS WHAT
    awk -v t="$TIME" -v max="$1" 'BEGIN { exit !(t < max) }' || fail "$2: took $TIME s"
}
slower() {
    awk -v t="$TIME" -v min="$1" 'BEGIN { exit !(t >= min) }' || fail "$2: took only $TIME s"
}

# ---- the world ----

# As root nginx gives its workers to another user, who may not go into the daemon's folder.
user=
[ "$(id -u)" != 0 ] || user='user root;'
[ ! -e "$build/tests/nginx/ngx_http_measured_module.so" ] || [ -n "${MEASURED_NGINX:-}" ] ||
    module=$(realpath "$build/tests/nginx/ngx_http_measured_module.so")
PORT=$(free_port) PORT_REALIP=$(free_port) PORT_H2=$(free_port) PORT_MORE=$(free_port)
tls_start "$work/tls" --host docs.example.test
page=$work/tls/www/app.json
list one "$VALUE" >"$page"
printf 'Cache-Control: max-age=5, must-revalidate\n' >"$page.http"
daemon_config "$work" <<END
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
[alias app]
specifier = url:$(printf 'https://docs.example.test:%s/app.json' "$TLS_PORT" | base64url)
END
backend_start
nginx_config
more=http://127.0.0.1:$PORT_MORE

# ---- no daemon has ever run ----
nginx_start
sleep 1
stops 503 'no daemon yet' / "${good[@]}"
head_has '^Retry-After: 1'
logged 'measured: unknown: nothing can be said by: app: waiting'
logged 'measured: no connection to the daemon'
AT=$more stops 503 'no daemon yet, a new specifier' '/by/?by=good' "${good[@]}"
slower 0.9 'it waits for its first snapshot'
AT=$more stops 503 'no daemon yet, the same again' '/by/?by=good' "${good[@]}"
faster 0.7 'it does not wait again'
stops 403 'no daemon and nothing measured' /
passes 'what needs no check' /public/
daemon_start "$work"
eventually 10 status_is 200 / || fail "the daemon has come, and still $STATUS"

# ---- the verdict ----
passes 'approved' '/x/y?z=1' "${good[@]}"
body_has '^uri=/x/y\?z=1 id=one release=[^ ]+ state=fresh sequence=[0-9]+ type=dcap-tdx shown=\{"0":"0001'
stops 403 'another value' / -H "$type" -H "$bad"
logged 'measured: refused: not approved by: app'
for name in qemu-tdx gcp-tdx; do
    passes "type $name" / -H "X-Flashbots-Attestation-Type: $name" -H "$shown"
done
stops 403 'azure-tdx with a DCAP value' / -H 'X-Flashbots-Attestation-Type: azure-tdx' -H "$shown"
policy="X-Flashbots-Measurement: {\"type\":\"dcap\",\"measurements\":{\"0\":[\"$VALUE\"]}}"
passes 'a matched policy' / -H "$type" -H "$policy"
stops 403 'a matched policy with another value beside' / -H "$type" \
    -H "X-Flashbots-Measurement: {\"type\":\"dcap\",\"measurements\":{\"0\":[\"$VALUE\",\"$OTHER\"]}}"
stops 403 'a matched policy of another type' / -H "$type" -H "${policy/dcap/azure}"
stops 403 'no type' / -H "$shown"
logged 'refused: X-Flashbots-Attestation-Type is missing'
stops 403 'no measurement' / -H "$type"
stops 403 'no attestation' / -H 'X-Flashbots-Attestation-Type: none' -H "$shown"
logged 'is of no known type: none'
stops 403 'the type in capitals' / -H 'X-Flashbots-Attestation-Type: DCAP-TDX' -H "$shown"
stops 403 'no JSON' / -H "$type" -H 'X-Flashbots-Measurement: {'
stops 403 'a register twice' / -H "$type" -H "X-Flashbots-Measurement: {\"0\":\"$VALUE\",\"mrtd\":\"$VALUE\"}"
stops 403 'two measurements' / -H "$type" -H "$bad" -H "$shown"
logged 'refused: an X-Flashbots-\* header stands twice'
stops 403 'two measurements, the good one first' / -H "$type" -H "$shown" -H "$bad"
stops 403 'two types' / -H "$type" -H 'x-flashbots-attestation-type: azure-tdx' -H "$shown"
AT=$more passes 'a long one' / -H "$type" -H "${shown/\{/\{$(printf '%15000s' '')}"
AT=$more stops 403 'an oversized one' / -H "$type" -H "${shown/\{/\{$(printf '%17000s' '')}"
logged 'cannot be read as of type: dcap-tdx: it is too long'
stops 403 'bytes beyond ASCII' / -H $'X-Flashbots-Attestation-Type: d\xc3\xa4cap' -H "$shown"
logged 'no known type: d\?\?cap'
passes 'a forged verdict is replaced' / "${good[@]}" -H 'X-Measured-Id: forged' -H 'x-measured-state: forged' -H 'X-Measured-Release: forged'
body_lacks forged
passes 'a forged verdict where nothing is checked' /public/ -H 'X-Measured-Id: forged' -H 'X-Measured-Sequence: 9'
body_has 'id= release= state= sequence= '
for name in POST PUT DELETE; do
    passes "$name" / -X $name --data-binary 'some body' "${good[@]}"
    stops 403 "$name, refused" / -X $name --data-binary 'some body' -H "$type" -H "$bad"
done
grep -q '"GET /x/y?z=1 HTTP/1.1" 200 one fresh "approved"' "$work/nginx/logs/measured.log" || fail 'the access log lacks the id'
grep -q '403 - - "nothing was measured' "$work/nginx/logs/measured.log" || fail 'the access log lacks the reason'
AT=$more passes 'a URL as specifier' /url/ "${good[@]}"
body_has ' id=url '
AT=$more passes 'what was looked at before the check' /cached.html "${good[@]}"
grep -q '"GET /cached.html HTTP/1.1" 200 one fresh "approved"' "$work/nginx/more.log" || fail 'what was looked at before the check is in the log'

# ---- who may say so ----
stops 403 'from outside' / "${OUTSIDE[@]}" "${good[@]}"
logged 'measured: refused: X-Flashbots-\* headers from a peer that is no measured_trusted_hop'
stops 403 'from outside where nothing is required' /public/ "${OUTSIDE[@]}" -H "x-flashbots-measurement: ${shown#*: }"
stops 403 'only the type, from outside' /public/ "${OUTSIDE[@]}" -H "$type"
stops 403 'nothing, from outside' / "${OUTSIDE[@]}"
passes 'nothing, from outside, where nothing is required' /public/ "${OUTSIDE[@]}"
stops 403 'with the hop in headers' / "${OUTSIDE[@]}" -H 'X-Forwarded-For: 127.0.0.1' -H 'X-Real-IP: 127.0.0.1' "${good[@]}"
AT=http://127.0.0.1:$PORT_REALIP
web /addr "${OUTSIDE[@]}" -H 'X-Forwarded-For: 127.0.0.1'
body_has '^127\.0\.0\.1$' # so realip is at work
stops 403 'realip: outside calls itself the hop' / "${OUTSIDE[@]}" -H 'X-Forwarded-For: 127.0.0.1' "${good[@]}"
passes 'realip: the hop tells its client' / -H 'X-Forwarded-For: 9.9.9.9' "${good[@]}"
stops 403 'spelled with underscores' /public/ "${OUTSIDE[@]}" -H "X_Flashbots_Measurement: ${shown#*: }"
stops 403 'spelled with one underscore, by the hop' / "${good[@]}" -H "X-Flashbots_Measurement: ${shown#*: }"
AT=$more
stops 403 'nobody is trusted' /nobody/ "${good[@]}"
stops 403 'the hop is another one' /block/ "${good[@]}"
passes 'the other one' /block/ "${OUTSIDE[@]}" "${good[@]}"
AT=http://localhost
stops 403 'over a Unix socket' / --unix-socket "$work/n.sock" "${good[@]}"
passes 'over a Unix socket that is trusted' /unix/ --unix-socket "$work/n.sock" "${good[@]}"
AT=$more

# ---- specifiers of requests ----
passes 'by a map' '/by/?by=good' "${good[@]}"
body_has ' id=good '
stops 403 'by a map, another' '/by/?by=evil' "${good[@]}"
stops 403 'by nobody' '/by/?by=none' "${good[@]}"
logged 'refused: measured_require is empty'
stops 503 'by no specifier' '/by/?by=off' "${good[@]}"
logged 'unknown: nothing can be said by: off: [a-z-]+: '
for i in 1 2 3 4 5 6 7 8; do
    passes "one of more sets than are kept: $i" "/mixed/?rest=$(inline "n$i" "$VALUE" | cut -d: -f2)" "${good[@]}"
    body_has " id=n$i "
done
passes 'one that was given up' '/by/?by=good' "${good[@]}"
body_has ' id=good '

# ---- redirects and subrequests ----
stops 403 'an error page that is for another set' /loose/x "${good[@]}"
web /accel/x "${good[@]}" # the application is asked here, and sends it on
want 403 'X-Accel-Redirect to another set'
grep -q '"GET /accel/x HTTP/1.1" 403 - fresh "not approved by: inline' "$work/nginx/more.log" || fail 'a refusal after an approval keeps its id'
stops 403 'a page for those refused' /pages/ -H "$type" -H "$bad"
body_has 'denied by page'
stops 403 'a fallback that is as strict' /named/ -H "$type" -H "$bad"
stops 403 'headers from outside do not get to a fallback' /named/ "${OUTSIDE[@]}" "${good[@]}"
grep -q '/pages/ .*403 - fresh "not approved by: app"' "$work/nginx/more.log" || fail 'after an error page the log lacks the reason'
passes 'auth_request' /asked/ "${good[@]}"
asked=$TRY
stops 403 'auth_request, refused' /asked/ -H "$type" -H "$bad"
stops 403 'auth_request of a stricter place' /asked-strict/ "${good[@]}"
passes 'auth_request of a place with a new set' /asked-new/ -H "X-By: $(inline fresh "$VALUE")" "${good[@]}"
passes 'an include' /ssi/page.html "${good[@]}"
body_has '^before uri=/inner/x id=one '
web /ssi/page.html "${OUTSIDE[@]}"
body_lacks 'uri=/inner'
before=$(grep -c 'measured: refused' "$work/nginx/error.log")
stops 403 'once' /once -H "$type" -H "$bad"
[ $(($(grep -c 'measured: refused' "$work/nginx/error.log") - before)) = 1 ] || fail 'one request is not refused once'

# ---- satisfy ----
passes 'satisfy any: approved' /any/ "${good[@]}"
passes 'satisfy any: the address' /any/ "${OUTSIDE[@]}"
body_has ' id= '
stops 403 'satisfy any: the address does not make evidence good' /any/ "${OUTSIDE[@]}" "${good[@]}"
stops 403 'satisfy any: neither' /any/ -H "$type" -H "$bad"
stops 403 'satisfy any: not known' '/any-by/?by=off' "${good[@]}"
stops 403 'satisfy all: approved, but denied' /all/ "${good[@]}"

# ---- connections ----
AT=
curl -sS --noproxy '*' "${good[@]}" -o /dev/null -w '%{http_code} %{num_connects}\n' "http://127.0.0.1:$PORT/k?[1-400]" >"$work/many" 2>&1 || true
[ "$(grep -c '^200 ' "$work/many")" = 400 ] || fail "kept alive: $(sort "$work/many" | uniq -c)"
[ "$(grep -c ' 1$' "$work/many")" = 1 ] || fail 'more than one connection'
for i in 1 2 3; do # verdicts of one connection are each request's own
    printf 'GET /a HTTP/1.1\r\nHost: h\r\n%s\r\n%s\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n%s\r\n%s\r\n\r\n' \
        "$type" "$shown" "$type" "$bad" >"$work/pipelined"
    exec 3<>"/dev/tcp/127.0.0.1/$PORT"
    cat "$work/pipelined" >&3
    [ "$(timeout 10 cat <&3 | grep -ac '^HTTP/1.1 200\|^HTTP/1.1 403')" = 2 ] || fail 'pipelined: not 200 and 403'
    exec 3<&-
done
AT=http://127.0.0.1:$PORT_H2
h2=(--http2-prior-knowledge)
if curl --version | grep -q HTTP2; then
    passes 'HTTP/2' / "${h2[@]}" "${good[@]}"
    head_has '^HTTP/2 200'
    body_has ' id=one '
    stops 403 'HTTP/2, refused' / "${h2[@]}" -H "$type" -H "$bad"
    stops 403 'HTTP/2, from outside' / "${h2[@]}" "${OUTSIDE[@]}" "${good[@]}"
    passes 'HTTP/2, a new set' "/by/?by=$(inline h2 "$VALUE")" "${h2[@]}" "${good[@]}"
    body_has ' id=h2 '
else
    h2=()
    echo 'note: curl has no HTTP/2'
fi
AT=

# ---- a set that changes ----
echo '[]' >"$page"
measuredctl refresh app >/dev/null 2>&1 || fail "refresh: $?"
eventually 1 status_is 403 / || fail "revoked a second ago, and still $STATUS"
list two "$VALUE" >"$page"
measuredctl refresh app >/dev/null 2>&1 || fail "refresh: $?"
eventually 1 status_is 200 / || fail "approved a second ago, and still $STATUS"
body_has ' id=two '

# ---- a daemon that hangs: the one worker goes on ----
kill -STOP "$DAEMON_PID"
AT=$more
for i in 1 2 3 4 5; do # as many as wait hold the places of all sets, and their clients go away
    curl -sS -g --noproxy '*' --max-time 0.4 "${good[@]}" -o /dev/null "$AT/by/?by=$(inline "gone$i" "$VALUE")" 2>/dev/null || true &
    [ ${#h2[@]} = 0 ] || curl -sS -g --noproxy '*' --max-time 0.4 "${h2[@]}" "${good[@]}" -o /dev/null \
        "http://127.0.0.1:$PORT_H2/by/?by=$(inline "gone$((i % 3))" "$VALUE")" 2>/dev/null || true &
done
sleep 0.1
passes 'the daemon hangs, others wait, and a set without end is asked' /forever/ "${good[@]}"
faster 0.3 'while others wait'
sleep 0.6
logged 'unknown: requests wait for as many sets as measured_max_sets allows' 200
grep -q ' 499 - waiting ' "$work/nginx/more.log" || fail 'nobody who waited was seen to go away'
stops 503 'a new set while the daemon hangs' "/by/?by=$(inline hangs "$VALUE")" "${good[@]}"
slower 0.9 'it waits'
faster 2.5 'it waits a second'
AT=
eventually 6 status_is 503 / || fail "the daemon hangs, the set is past its end, and still $STATUS"
stops 503 'a set past its end while the daemon hangs' / "${good[@]}"
logged 'nothing can be said by: app: expired'
AT=$more stops 503 'a page for those not known' /pages/ "${good[@]}"
body_has later
head_has '^Retry-After: 1'
AT=$more stops 503 'a page that is not known either' /again/ "${good[@]}"
[ "$(grep -ci '^Retry-After: 1' "$work/head")" = 1 ] || fail "not one Retry-After: $(cat "$work/head")"
(sleep 0.5; kill -CONT "$DAEMON_PID") &
AT=$more passes 'a new set when the daemon goes on' "/by/?by=$(inline late "$VALUE")" "${good[@]}"
slower 0.3 'it waited'
eventually 10 status_is 200 / || fail "the daemon goes on, and still $STATUS"

# ---- a daemon that dies ----
kill -KILL "$DAEMON_PID"
daemon_stop || true
mv "$work/measured.log" "$work/measured.1.log"
eventually 8 status_is 503 / || fail "the daemon is dead, the set past its end, and still $STATUS"
AT=$more passes 'a set without end is used without a daemon' /forever/ "${good[@]}"
AT=$more stops 403 'and refuses' /forever/ -H "$type" -H "$bad"
daemon_start "$work"
eventually 12 status_is 200 / || fail "the daemon is back, and still $STATUS"

# ---- reloads and workers ----
master=$(cat "$work/nginx/pid")
reload() {
    local old
    old=$(worker)
    kill -HUP "$master"
    eventually 10 test "$(worker)" != "$old" -a -n "$(worker)" || true
    eventually 10 eval "[ ! -e /proc/$old ]" || fail "the old worker $old does not end"
    eventually 10 status_is 200 / || fail "after a reload: $STATUS"
}
reload
sleep 0.5
fds_worker=$(fds "$(worker)") fds_master=$(fds "$master")
curl -sS --noproxy '*' "${good[@]}" -o /dev/null -w '%{http_code}\n' "$more/forever/load?[1-200000]" >"$work/load" 2>&1 &
load=$!
for _ in 1 2 3 4 5; do reload; done
kill $load 2>/dev/null || true
wait $load 2>/dev/null || true
[ "$(grep -c '^200$' "$work/load")" -gt 20 ] || fail "hardly a request under load: $(sort "$work/load" | uniq -c)"
[ "$(grep -cv '^200$' "$work/load")" = 0 ] || fail "lost while reloading: $(sort "$work/load" | uniq -c)"
sleep 1
[ "$(fds "$(worker)")" -le "$fds_worker" ] || fail "a worker had $fds_worker descriptors, after reloads $(fds "$(worker)")"
[ "$(fds "$master")" -le "$fds_master" ] || fail "the master had $fds_master descriptors, after reloads $(fds "$master")"
kill -KILL "$(worker)"
eventually 10 status_is 200 / || fail "a worker was killed, and still $STATUS"

# a reload while a request waits: the old worker answers it
kill -STOP "$DAEMON_PID"
(sleep 0.2; kill -HUP "$master"; sleep 0.3; kill -CONT "$DAEMON_PID") &
AT=$more passes 'a reload while a request waits' "/by/?by=$(inline reloaded "$VALUE")" "${good[@]}"
wait $! 2>/dev/null || true

# ---- configurations ----
refused() { # TEXT PATTERN: in the http block
    printf 'load_module %s; events { } http { %s }\n' "$(realpath "$build/lib/ngx_http_measured_module.so")" "$1" >"$work/t.conf"
    if nginx -t -p "$work/nginx" -c "$work/t.conf" -e "$work/t.log" -g "pid $work/t.pid;" >"$work/t.out" 2>&1; then
        fail "accepted: $1"
    fi
    grep -qE -- "$2" "$work/t.out" || fail "$1: $(cat "$work/t.out")"
}
refused "measured_feed /$(printf '%0100d' 0);" 'longer than the name of a socket'
refused 'measured_require a; measured_require b;' 'duplicate'
refused 'measured_require "";' 'needs a specifier'
refused "measured_require '\$nosuch';" 'unknown "nosuch" variable'
refused 'measured_trusted_hop example.test;' 'is no address'
refused 'measured_trusted_hop 10.0.0.1/8;' 'low address bits'
refused 'measured_trusted_hop 10.0.0.1 off;' 'is no address'
refused 'measured_max_sets 0;' 'must be'
printf 'load_module %s; events { } http { %s measured_require app; server { listen 127.0.0.1:%s; } }\n' \
    "$(realpath "$build/lib/ngx_http_measured_module.so")" "$(temp_paths "$work/nginx")" "$PORT" >"$work/t.conf"
nginx -t -p "$work/nginx" -c "$work/t.conf" -e "$work/t.log" -g "pid $work/t.pid;" >"$work/t.out" 2>&1 || fail "$(cat "$work/t.out")"
grep -q 'refuses every request' "$work/t.out" || fail 'nobody is told that nobody is trusted'

# ---- the end ----
[ "$(seen "$asked")" = 2 ] || fail "the application was asked $(seen "$asked") times, not by auth_request and once"
for try in "${!STOPPED[@]}"; do
    [ "$(seen "$try")" = 0 ] || fail "${STOPPED[$try]}: the application was asked"
done
[ ${#STOPPED[@]} -gt 50 ] || fail 'hardly a request was stopped'
kill -QUIT "$NGINX_PID"
wait "$NGINX_PID" || fail 'nginx did not end well'
NGINX_PID=
if grep -nE '\[(alert|crit|emerg)\]|exited on signal' "$work/nginx/error.log" | grep -v 'exited on signal 9'; then
    fail 'nginx complains'
fi
for log in "$work"/nginx/asan* "$work"/nginx/ubsan*; do
    [ ! -s "$log" ] || { fail "$log"; head -n 40 "$log"; }
done
if [ -n "${MEASURED_NGINX:-}" ]; then cp "$work/nginx/out" "${MEASURED_NGINX_OUT:-/dev/stderr}"; fi
check_log "$work"
check_end
