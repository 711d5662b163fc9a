# tests/support/proxies.sh - a real proxy that asks measured before it lets a request pass, between curl and a server that
# tells what it got; source it after tls.sh, daemon.sh and check.sh. $work is the test's folder.
#
#   proxies_world              the daemon with an alias `app`: a list that changes at run time; the application
#   proxies_sample FILE        a sample of proxy-plugin/examples/ on stdout, with the addresses of this test, nothing else changed
#   proxies_start COMMAND...   runs a proxy until it answers on PROXY_PORT
#   proxies_cases              what holds with every one of them
#   proxies_stop               all of them
#
# A request comes from the attested hop (127.0.0.1), or with OUTSIDE from somebody else.

OUTSIDE=(--interface 127.0.0.2)
PROXIES_VALUE=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f
PROXIES_OTHER=${PROXIES_VALUE//2f/30}
PROXY_PID='' BACKEND_PID=''

# A port that was free a moment ago.
free_port() {
    local pid
    "$RIG_TOOLS/httpsink" >"$work/port" &
    pid=$!
    rig_port_of "$work/port" $pid
    kill $pid
    wait $pid 2>/dev/null || true
    rm "$work/port"
}

# list ID VALUE
proxies_list() {
    printf '[{"measurement_id":"%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"}}}]\n' "$@"
}
proxies_base64url() { base64 -w0 | tr -d = | tr '+/' '-_'; }

proxies_world() {
    local page
    tls_start "$work/tls" --host docs.example.test
    page=https://docs.example.test:$TLS_PORT/app.json
    PROXIES_APP=$work/tls/www/app.json
    proxies_list one "$PROXIES_VALUE" >"$PROXIES_APP"
    printf 'Cache-Control: max-age=1, must-revalidate\n' >"$PROXIES_APP.http"
    # somebody else's list, which approves the other value
    PROXIES_EVIL=inline:$(proxies_list evil "$PROXIES_OTHER" | gzip -9nc | proxies_base64url)
    daemon_config "$work" <<END
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
[alias app]
specifier = url:$(printf '%s' "$page" | proxies_base64url)
END
    daemon_start "$work"
    BACKEND_LOG=$work/backend
    : >"$BACKEND_LOG"
    "$RIG_TOOLS/httpsink" --log "$BACKEND_LOG" >"$work/backend.port" &
    BACKEND_PID=$!
    BACKEND_PORT=$(rig_port_of "$work/backend.port" $BACKEND_PID)
    PROXY_PORT=$(free_port)
}

# A sample whose text is not where it is expected would be run with an address of the machine: the test must not.
proxies_sample() {
    local text
    text=$(sed -e "s/127\.0\.0\.1:8080/127.0.0.1:$PROXY_PORT/" -e "s/127\.0\.0\.1:9000/127.0.0.1:$BACKEND_PORT/" \
        -e "s#/run/measured/api\.sock#$work/run/api.sock#" \
        -e "s#/usr/share/measured/measured\.lua#$PWD/proxy-plugin/haproxy/measured.lua#" "$1")
    for part in ":$PROXY_PORT" ":$BACKEND_PORT" "$work/run/api.sock"; do
        grep -qF -- "$part" <<<"$text" || { echo "$1 lacks the place of $part" >&2; return 1; }
    done
    ! grep -vE '^[[:space:]]*#' <<<"$text" | grep -qE ':8080|:9000|/run/measured|/usr/share' || { echo "$1: another address" >&2; return 1; }
    printf '%s\n' "$text"
}

proxies_start() {
    "$@" >"$work/proxy.log" 2>&1 &
    PROXY_PID=$!
    for _ in $(seq 200); do
        ! (: <"/dev/tcp/127.0.0.1/$PROXY_PORT") 2>/dev/null || return 0
        kill -0 $PROXY_PID 2>/dev/null || break
        sleep 0.05
    done
    echo "$1 does not answer:" >&2
    tail -n 20 "$work/proxy.log" >&2
    return 1
}

proxies_stop() {
    local pid
    for pid in $PROXY_PID $BACKEND_PID; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    PROXY_PID='' BACKEND_PID=''
}

# web TARGET [curl...]: through the proxy; STATUS, body and head as `get` leaves them
web() {
    local target=$1
    shift
    : >"$work/body"
    read -r STATUS TYPE < <(curl -sS -g --path-as-is --max-time 30 --noproxy '*' -D "$work/head" -o "$work/body" \
        -w '%{http_code} %{content_type}\n' "$@" "http://127.0.0.1:$PROXY_PORT$target" 2>"$work/curl") || true
}
seen() { grep -c '^Host:\|^host:' "$BACKEND_LOG" || true; }

# passes|stops WHAT TARGET [curl...]; a request that is stopped never reaches the application
passes() {
    local what=$1
    shift
    web "$@"
    want 200 "$what"
}
stops() {
    local wanted=$1 what=$2 before
    shift 2
    before=$(seen)
    web "$@"
    want "$wanted" "$what"
    [ "$(seen)" = "$before" ] || fail "$what: the application was asked: $(tail -n 20 "$BACKEND_LOG")"
}
sent() { # PATTERN: the application got such a header, once
    [ "$(grep -ciE -- "$1" "$work/body")" = 1 ] || fail "not once $1 in: $(cat "$work/body")"
}

proxies_status() { # STATUS: of an approved request now
    web / -H "$type" -H "$shown"
    [ "$STATUS" = "$1" ]
}

proxies_cases() {
    type='X-Flashbots-Attestation-Type: dcap-tdx'
    shown="X-Flashbots-Measurement: {\"0\":\"$PROXIES_VALUE\"}"
    bad="X-Flashbots-Measurement: {\"0\":\"$PROXIES_OTHER\"}"
    local name

    # ---- the verdict ----
    passes 'approved' '/x/y?z=1' -H "$type" -H "$shown"
    sent '^GET /x/y\?z=1 HTTP/1'
    sent '^X-Measured-Id: one.?$'
    sent '^X-Measured-Release: .'
    sent '^X-Measured-State: [a-z]'
    sent '^X-Measured-Sequence: [0-9]+.?$'
    sent '^X-Flashbots-Measurement: \{"0":'
    body_lacks 'Measured-Specifier'
    passes 'the other spelling' / -H 'X-Flashbots-Attestation-Type: qemu-tdx' -H "$shown"
    passes 'a matched policy' / -H "$type" -H "X-Flashbots-Measurement: {\"type\":\"dcap\",\"measurements\":{\"0\":[\"$PROXIES_VALUE\"]}}"
    for name in POST PUT DELETE PATCH OPTIONS; do
        passes "$name" / -X $name --data-binary 'some body' -H "$type" -H "$shown"
        sent "^$name / "
        stops 403 "$name, refused" / -X $name --data-binary 'some body' -H "$type" -H "$bad"
    done
    head -c 100000 /dev/zero >"$work/long"
    passes 'a long body' / --data-binary "@$work/long" -H 'Expect:' -H "$type" -H "$shown"
    stops 403 'another value' / -H "$type" -H "$bad"
    stops 403 'nothing measured' /
    stops 403 'no type' / -H "$shown"
    stops 403 'no attestation' / -H 'X-Flashbots-Attestation-Type: none'
    stops 403 'no JSON' / -H "$type" -H 'X-Flashbots-Measurement: {'
    stops 403 'two measurements' / -H "$type" -H "$bad" -H "$shown"
    stops 403 'two measurements, the good one first' / -H "$type" -H "$shown" -H "$bad"
    stops 403 'two types' / -H "$type" -H 'x-flashbots-attestation-type: azure-tdx' -H "$shown"

    # ---- who may say so ----
    stops 403 'the same from outside' / "${OUTSIDE[@]}" -H "$type" -H "$shown"
    stops 403 'in small letters' / "${OUTSIDE[@]}" -H "${type,,}" -H "x-flashbots-measurement: ${shown#*: }"
    stops 403 'with the hop in X-Forwarded-For' / "${OUTSIDE[@]}" -H 'X-Forwarded-For: 127.0.0.1' -H 'X-Real-IP: 127.0.0.1' \
        -H 'Forwarded: for=127.0.0.1' -H "$type" -H "$shown"
    stops 403 'nothing from outside' / "${OUTSIDE[@]}"
    passes 'a verdict of its own' / -H "$type" -H "$shown" -H 'X-Measured-Id: forged' -H 'x-measured-state: forged' \
        -H 'X-Measured-Release: forged' -H 'X-Measured-Sequence: forged' -H 'X_Measured_Id: forged'
    body_lacks forged
    sent '^X-Measured-Id: one.?$'
    stops 403 'a verdict of its own, refused' / -H "$type" -H "$bad" -H 'X-Measured-Id: forged'
    stops 403 'its own verdict from outside' / "${OUTSIDE[@]}" -H 'X-Measured-Id: forged' -H 'X-Measured: approved'

    # ---- by whose approval ----
    passes 'a specifier of its own changes nothing' / -H "$type" -H "$shown" -H "X-Measured-Specifier: $PROXIES_EVIL"
    body_lacks 'inline:'
    stops 403 'a specifier of its own' / -H "$type" -H "$bad" -H "X-Measured-Specifier: $PROXIES_EVIL"
    stops 403 'as credentials' / -H "$type" -H "$bad" -H "X-Measured-Basic: Basic $(printf '%s' "$PROXIES_EVIL" | base64 -w0)" \
        -u "${PROXIES_EVIL}:"
    for name in "/?specifier=$PROXIES_EVIL" "/v1/authorize?specifier=$PROXIES_EVIL" "/?x&specifier=$PROXIES_EVIL#x" \
        "/a%3Fspecifier=$PROXIES_EVIL" "/a%0d%0aX-Measured-Specifier:%20$PROXIES_EVIL"; do
        stops 403 "in the target: $name" "$name" -H "$type" -H "$bad"
    done

    # ---- a set that changes ----
    echo '[]' >"$PROXIES_APP"
    eventually 10 proxies_status 403 || fail "revoked, and still $STATUS"
    stops 403 'revoked' / -H "$type" -H "$shown"
    proxies_list one "$PROXIES_VALUE" >"$PROXIES_APP"
    eventually 10 proxies_status 200 || fail "approved again, and still $STATUS"
    printf '!status 503\n' >"$PROXIES_APP.http"
    eventually 20 proxies_status 503 || fail "a source that is gone and a set past its end, and still $STATUS"
    stops 503 'past its end' / -H "$type" -H "$shown"
    printf 'Cache-Control: max-age=1, must-revalidate\n' >"$PROXIES_APP.http"
    eventually 40 proxies_status 200 || fail "the source is back, and still $STATUS"

    # ---- a daemon that hangs, dies, is stopped ----
    kill -STOP "$DAEMON_PID"
    stops 503 'the daemon hangs' / -H "$type" -H "$shown"
    kill -CONT "$DAEMON_PID"
    eventually 10 proxies_status 200 || fail "the daemon goes on, and still $STATUS"
    kill -KILL "$DAEMON_PID"
    daemon_stop || true
    stops 503 'the daemon is killed' / -H "$type" -H "$shown"
    mv "$work/measured.log" "$work/measured.1.log"
    daemon_start "$work"
    eventually 10 proxies_status 200 || fail "the daemon is back, and still $STATUS"
    daemon_stop || fail 'the daemon did not stop well'
    stops 503 'the daemon is stopped' / -H "$type" -H "$shown"
    stops 503 'and it is not known of the bad one either' / -H "$type" -H "$bad"
}
