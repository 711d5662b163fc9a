#!/bin/bash
# The command line, the configuration, reload, readiness and the end of the daemon.
set -euo pipefail
build=${1:?usage: config_test.sh BUILD_DIR}
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
echo "[{\"measurement_id\":\"one\",\"attestation_type\":\"dcap-tdx\",\"measurements\":{\"0\":{\"expected\":\"$value\"}}}]" >"$work/one.json"
spec_of() { local u; u=$(measuredctl url --host h "$@" 2>/dev/null) || return 1; u=${u#https://}; echo "${u%%@*}"; }
one=$(spec_of --inline "$work/one.json")

# ---- the command line ----

run() { # WANTED_STATUS ARGUMENTS...
    local want=$1 status=0
    shift
    timeout 10 measured "$@" >"$work/out" 2>"$work/err" || status=$?
    [ "$status" = "$want" ] || fail "measured $*: $status instead of $want: $(cat "$work/out" "$work/err")"
}
run 0 --version
grep -qE '^measured [0-9]+\.[0-9]+\.[0-9]+$' "$work/out" || fail "--version: $(cat "$work/out")"
run 0 --help
grep -qF 'usage: measured [-c FILE] [-n] [--version] [--help]' "$work/out" || fail "--help: $(cat "$work/out")"
[ ! -s "$work/err" ] || fail '--help speaks on stderr'
run 2 --nosuch
run 2 -c
run 2 surplus
run 2 -n -c "$work/nosuch.conf"
grep -qF "$work/nosuch.conf" "$work/err" || fail "no such file: $(cat "$work/err")"
run 2 -n -c "$work"

# ---- -n ----

good() {
    cat >"$work/c.conf"
    run 0 -n -c "$work/c.conf"
}
bad() { # LINE; one line `FILE:LINE: words`
    cat >"$work/c.conf"
    run 2 -n -c "$work/c.conf"
    grep -qE "^$work/c\.conf:$1: [a-z\"'[].*[^.]\$" "$work/err" || fail "line $1 expected: $(cat "$work/err") for: $(head -c 200 "$work/c.conf")"
    [ "$(wc -l <"$work/err")" = 1 ] || fail "more than one line: $(cat "$work/err")"
    [ ! -s "$work/out" ] || fail 'an error on stdout'
}
# the example of the interface, with values where it leaves them out
good <<'EOF'
[server]
socket-dir  = /run/measured        # api.sock 0660, admin.sock 0600, feed.sock 0660; default $XDG_RUNTIME_DIR/measured if not root
state-dir   = /var/lib/measured    # measured.db 0600; default $XDG_STATE_HOME/measured if not root
http-listen =                      # e.g. 127.0.0.1:7747; empty = off; non-loopback addresses are refused
http-threads = 2
[policy]
level            = l2              # least read level for contracts: l1 l2 l3 (l0 only for rpc trusted=yes)
quorum           = 2               # groups that must agree
poll             = 60s             # finalized state of contracts
head-poll        = 12s             # revocations at the head
max-evidence-age = 6h
eip55            = warn            # warn | strict
audit            = require         # require | best-effort
[fetch]
ca-file       =                    # extra trust anchors for https locations (PEM)
allow-private =                    # comma list of CIDR blocks or host names that may resolve to private addresses
resolve       =                    # comma list HOST:PORT:ADDRESS, as curl --resolve; such a HOST:PORT may be private
[rpc NAME]                         # one section per endpoint
chain   = 1
url     = https://rpc.example/     # http:// only to loopback
group   = NAME                     # operator group, default the section's name
proofs  = finalized                # finalized | head | no
trusted = no
[alias NAME]
specifier = 0xde374479CEe0792F9c3fD389E5c28B8574b0a7DD
EOF
good </dev/null
printf '\xef\xbb\xbf[server]\n' >"$work/c.conf"; run 2 -n -c "$work/c.conf"
printf '[server]\r\nhttp-threads = 1\r\n' | good
bad 1 <<<'nosuch = 1'
bad 1 <<<'[nosuch]'
bad 2 <<<$'[server]\nnosuch = 1'
bad 2 <<<$'[server]\nsocket-dir'
bad 3 <<<$'[policy]\nlevel = l1\nlevel = l2'
bad 2 <<<$'[policy]\nlevel = l9'
bad 3 <<<$'# comment\n[policy]\nquorum = 0'
bad 2 <<<$'[policy]\nquorum = two'
bad 2 <<<$'[policy]\nquorum = -1'
bad 2 <<<$'[policy]\nquorum = 99999999999999999999'
bad 2 <<<$'[policy]\npoll = 60x'
bad 2 <<<$'[policy]\npoll = 60 s'
bad 2 <<<$'[policy]\npoll = 999999999999999999d'
bad 2 <<<$'[policy]\neip55 = maybe'
bad 2 <<<$'[policy]\naudit = maybe'
bad 2 <<<$'[server]\nhttp-listen = 0.0.0.0:80'
bad 2 <<<$'[server]\nhttp-listen = 192.0.2.1:7747'
bad 2 <<<$'[server]\nhttp-listen = [::]:7747'
bad 2 <<<$'[server]\nhttp-listen = 127.0.0.1:99999'
bad 2 <<<$'[server]\nhttp-listen = 127.0.0.1'
bad 2 <<<$'[server]\nhttp-threads = 0'
bad 2 <<<$'[server]\nhttp-threads = 100000'
bad 2 <<<$'[fetch]\nallow-private = 10.0.0.0/33'
bad 2 <<<$'[fetch]\nresolve = host:443'
bad 3 <<<$'[rpc a]\nchain = 1\nurl = http://rpc.example/'
bad 3 <<<$'[rpc a]\nchain = 1\nurl = ftp://rpc.example/'
bad 4 <<<$'[rpc a]\nchain = 1\nurl = https://rpc.example/\ntrusted = perhaps'
bad 2 <<<$'[alias a]\nspecifier = @@'
bad 2 <<<$'[alias a]\nspecifier = b'
bad '[0-9]+' <<<$'[rpc a]\nchain = 1'
bad '[0-9]+' <<<$'[alias a]'
bad 3 <<<$'[alias a]\nspecifier = 0xde374479CEe0792F9c3fD389E5c28B8574b0a7DD\n[alias a]\nspecifier = 0xde374479CEe0792F9c3fD389E5c28B8574b0a7DD'
printf '[server]\nhttp-threads = 1\0\n' | bad 2
printf '[server]\nhttp-threads = 1\033\n' | bad 2
{ echo '[server]'; printf 'socket-dir = /%s\n' "$(head -c 30000 /dev/zero | tr '\0' a)"; } | bad 2

# ---- ready, NOTIFY_SOCKET, stale sockets, a second daemon ----

tls_start "$work/tls" --host docs.example.test
cp "$work/one.json" "$work/tls/www/one.json"
printf '!delay-ms 1500\n' >"$work/tls/www/one.json.http"
base_config() {
    cat <<EOF
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
EOF
}
base_config | daemon_config "$work"
# a socket nobody listens on
mkdir -p "$work/run"
"$RIG_TOOLS/notifysink" "$work/run/api.sock" 0
[ -S "$work/run/api.sock" ] || fail 'no stale socket was made'
"$RIG_TOOLS/notifysink" "$work/notify" 20 >"$work/notified" &
sink=$!
eventually 5 test -S "$work/notify" || fail 'no notify socket'
NOTIFY_SOCKET=$work/notify daemon_start "$work"
grep -qx "measured: ready socket=$work/run/api.sock" "$work/measured.log" || fail "the ready line: $(cat "$work/measured.log")"
eventually 5 grep -qx 'READY=1' "$work/notified" || fail "not notified: $(cat "$work/notified")"
get "/v1/measurements?specifier=$one"; want 200 'over a stale socket'

status=0
timeout 10 measured -c "$work/measured.conf" >"$work/measured.second.log" 2>&1 || status=$?
[ "$status" = 1 ] || fail "a second daemon: $status $(cat "$work/measured.second.log")"
grep -qiE 'another' "$work/measured.second.log" || fail "a second daemon: $(cat "$work/measured.second.log")"
{ base_config; } | sed "1i [server]\nsocket-dir = $work/run\nstate-dir = $work/state2" >"$work/second.conf"
status=0
timeout 10 measured -c "$work/second.conf" >"$work/measured.second.log" 2>&1 || status=$?
[ "$status" = 1 ] || fail "a second daemon on the same sockets: $status"
get "/v1/measurements?specifier=$one"; want 200 'after the second daemon'
[ "$(stat -c %a "$work/run/api.sock")" = 660 ] || fail 'the socket of the first is gone'

# ---- reload ----

reloads() { grep -cE 'reload(ed|-refused)' "$work/measured.log" || true; }
reload() {
    local before
    before=$(reloads)
    kill -HUP "$DAEMON_PID"
    reloaded() { [ "$(reloads)" -gt "$before" ]; }
    eventually 5 reloaded || fail 'SIGHUP changes nothing'
}
get "/v1/measurements?specifier=short"; want 400 'an alias before it exists'
{ base_config; printf '[alias short]\nspecifier = %s\n' "$one"; } | daemon_config "$work"
reload
get "/v1/measurements?specifier=short"; want 200 'an alias after reload'
{ base_config; printf '[alias other]\nspecifier = %s\n[policy]\nnosuch = 1\n' "$one"; } | daemon_config "$work"
reload
grep -qE "reload-refused.*measured\.conf:[0-9]+: " "$work/measured.log" || fail 'the refusal does not name the line'
get "/v1/measurements?specifier=short"; want 200 'the old alias after a bad reload'
get "/v1/measurements?specifier=other"; want 400 'the new alias after a bad reload'
rm "$work/measured.conf"
reload
get "/v1/measurements?specifier=short"; want 200 'after the file is gone'
{ base_config; printf '[policy]\neip55 = strict\n'; } | daemon_config "$work"
reload
get "/v1/measurements?specifier=short"; want 400 'an alias taken away'
# Reloads under load, with requests that wait, change nothing for those who wait.
location=$(spec_of --location "https://docs.example.test:$TLS_PORT/one.json")
"$RIG_TOOLS/httpclients" "$work/run/api.sock" get 20 "/v1/measurements?specifier=$location" >"$work/answers" &
clients=$!
for _ in 1 2 3 4 5 6; do
    sleep 0.15
    kill -HUP "$DAEMON_PID"
done
wait "$clients"
[ "$(grep -c '^200 ' "$work/answers")" = 20 ] || fail "reload under load: $(sort "$work/answers" | uniq -c)"

# ---- contracts without enough endpoints ----

base_config | daemon_config "$work"
reload
contract=0xde374479CEe0792F9c3fD389E5c28B8574b0a7DD
for _ in 1 2 3 4 5 6; do get "/v1/measurements?specifier=$contract"; done # each failure lengthens the backoff
want 503 'a contract without [rpc]'
not_json 'a contract without [rpc]'
body_has 'rpc'
{ base_config; printf '[policy]\nlevel = l2\n[rpc a]\nchain = 1\nurl = http://127.0.0.1:9/\n'; } | daemon_config "$work"
reload
get "/v1/measurements?specifier=$contract"; want 503 'l2 with one group'
not_json 'l2 with one group'
body_has '(group|quorum)'
tail -n 5 "$work/measured.log" | grep -q warning || fail "no warning for one group: $(tail -n 5 "$work/measured.log")"
daemon_stop || fail "the exit status is $?"
wait "$sink" || true
grep -qx 'STOPPING=1' "$work/notified" || fail 'not notified of the end'
# The same from the start.
mv "$work/measured.log" "$work/measured.first.log"
daemon_start "$work"
grep -qE 'warning' "$work/measured.log" || fail 'no warning at the start'
get "/v1/measurements?specifier=$contract"; want 503 'l2 with one group, from the start'
body_has '(group|quorum)'
get "/v1/measurements?specifier=$one"; want 200 'an inline one beside'

# ---- SIGTERM with requests in flight: they get their answers, and the status is 0 ----

printf '!delay-ms 1500\nCache-Control: no-store\n' >"$work/tls/www/one.json.http"
for signal in TERM INT; do
    "$RIG_TOOLS/httpclients" "$work/run/api.sock" get 20 "/v1/measurements?specifier=$location" >"$work/answers" &
    clients=$!
    sleep 0.5
    kill "-$signal" "$DAEMON_PID"
    status=0
    wait "$DAEMON_PID" || status=$?
    DAEMON_PID=
    [ "$status" = 0 ] || fail "SIG$signal: exit status $status: $(tail -n 5 "$work/measured.log")"
    wait "$clients"
    [ "$(grep -c '^200 ' "$work/answers")" = 20 ] || fail "in flight at SIG$signal: $(sort "$work/answers" | uniq -c)"
    [ ! -e "$work/run/api.sock" ] && [ ! -e "$work/run/admin.sock" ] || fail 'a socket is left'
    mv "$work/measured.log" "$work/measured.$signal.log"
    daemon_start "$work"
done
# One that would wait longer than the daemon: it is told so.
printf '!delay-ms 4700\n!status 302\nLocation: /two.json\n' >"$work/tls/www/one.json.http"
printf '!delay-ms 4700\n' >"$work/tls/www/two.json.http"
SOCKET=$work/run/admin.sock
(
    get "/v1/refresh?specifier=$location" -X POST
    [ "$STATUS" = 503 ] || fail "a refresh at the end: $STATUS"
    body_has 'shutdown'
    exit "$CHECK_BAD"
) &
refresh=$!
sleep 0.3
start=$(date +%s)
daemon_stop || fail "with a long refresh: exit status $?: $(tail -n 5 "$work/measured.log")"
[ $(($(date +%s) - start)) -le 10 ] || fail 'the end took longer than 10 s'
wait "$refresh" || CHECK_BAD=1
check_log "$work"
check_end
