#!/bin/bash
# measuredctl against the real daemon: resolve, check, watch, refresh, status, and no daemon at all.
set -euo pipefail
build=$(realpath "${1:?usage: ctl_test.sh BUILD_DIR}")
MEASURED_BIN=$build/bin
RIG_TOOLS=$build/tests
. tests/support/daemon.sh
. tests/support/anvil.sh
. tests/support/registry.sh
. tests/support/tls.sh
for program in "$MEASURED_BIN/measured" "$MEASURED_BIN/measuredctl"; do
    [ -x "$program" ] || { echo "skipped: no $program"; exit 77; }
done
unset XDG_RUNTIME_DIR http_proxy HTTP_PROXY ALL_PROXY

work=$(mktemp -d /tmp/ctl.XXXXXX)
watch_pid=
frozen=
cleanup() {
    [ -z "$frozen" ] || kill -CONT "$frozen" 2>/dev/null || true
    [ -z "$watch_pid" ] || kill "$watch_pid" 2>/dev/null || true
    daemon_stop || true
    tls_stop
    anvil_stop
    rm -rf "$work"
}
trap cleanup EXIT

bad=0
fail() {
    echo "FAILED (line ${BASH_LINENO[1]:-?}): $*"
    bad=1
}
show() { sed 's/^/    /' "$@"; }
# run WANTED_EXIT_CODE ARGUMENT...: output in $work/out and $work/err.
run() {
    local want=$1 got=0
    shift
    measuredctl "$@" >"$work/out" 2>"$work/err" || got=$?
    if [ "$got" -ne "$want" ]; then
        fail "measuredctl $(printf '%.60q ' "$@"): exit code $got instead of $want"
        show "$work/out" "$work/err"
    fi
    if grep -q 'Sanitizer' "$work/err"; then show "$work/err"; bad=1; fi
}
out_has() { grep -qF -- "$1" "$work/out" || { fail "stdout lacks $1:"; show "$work/out"; }; }
out_lacks() { ! grep -qF -- "$1" "$work/out" || { fail "stdout has $1:"; show "$work/out"; }; }
err_has() { grep -qF -- "$1" "$work/err" || { fail "stderr lacks $1:"; show "$work/err"; }; }
quiet() { [ ! -s "$work/$1" ] || { fail "$1 is not empty:"; show "$work/$1"; }; }
one_line() { [ "$(wc -l <"$work/$1")" -eq 1 ] || { fail "$1 is not one line:"; show "$work/$1"; }; }
# wait_for WHAT COMMAND...: at most 20 s.
wait_for() {
    local what=$1
    shift
    for _ in $(seq 200); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    fail "waited too long for $what"
    show "$work/w.out" "$work/w.err" "$DAEMON_LOG" 2>/dev/null || true
}
register() { printf '%s %s' "$1" "$2" | sha384sum | cut -c 1-96; }
document() {
    printf '[{"measurement_id":"%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"},"1":{"expected":"%s"}}}]\n' \
        "$1" "$(register "$1" 0)" "$(register "$1" 1)"
}
registers() { printf '{"0":"%s","1":"%s","2":"%s"}\n' "$(register "$1" 0)" "$(register "$1" 1)" "$(register x 2)"; }

inline='https://H4sIAAAAAAAAA82QTWoDMQyF9zlFmHUCsmxZnl6llCBZMhSaNjRTSCm5e53ZJKGQdFOoFsbo93vvcbHs8TW/pxi2LvuPd9/667R5tuFhOViV3Xqyw9oPst29+BpwWJ0HZJp8P8n0/Pa6mT53fjly2XexeN97zifnKvxIzWk/7LxOPnOQUYYCrqO3Uh1UpWW1amLuCtm5koIkC15DVi+5SCEZKaqoQyWnZBBqcSAQSs1DFeASGSmC4XB1/ri6Bgz3AROG7CNS4zG35FiwNulYaKkyS4HOPxaWJjgGIsmhWY1RTLsqUbAUAooaYSzs5NhboGtrWoSw8G1A/A0gd9VNeYQRu0cJAJQ4aE5eNUXsZJG4A3UpzcJMnTnkYmzcuHnBrq0brHLawN3YSLWl2Mgr0W3AeB8Q/jhuA6Z/B7i4/h0XT4tv+8/CCrEDAAA=@host.domain'

# ---- usage, and what needs no daemon ----
export MEASURED_SOCKET_DIR=$work/run
for command in resolve check watch refresh; do
    run 2 $command
    err_has 'SPEC|URL'
    run 2 $command --frob x
    err_has '--frob'
done
run 2 resolve a b
run 2 resolve "$inline" --profile nonsense
err_has 'nonsense'
run 2 watch "$inline" --profile nonsense
run 2 status x
run 2 check "$inline"
err_has '--registers'
run 2 check "$inline" --registers -
err_has '--type'
run 2 check "$inline" --type dcap-tdx --registers - --compose-hash 00
run 2 check "$inline" --compose-hash 00
err_has '--compose-hash'
one_line err
# an invalid specifier is a no without a daemon
run 1 resolve 'https://a@b@host.domain/'
err_has '(url)'
quiet out
run 1 --json resolve 'https://admin:x@host.domain/'
out_has '{"error":{"code":'
run 1 check 'eip155:0:0x00' --type dcap-tdx --registers /dev/null
# a folder whose name is too long for a socket
run 3 --socket "/$(printf 'd%.0s' $(seq 120))" status
err_has 'too long'
# no daemon
for arguments in "resolve $inline" "refresh $inline" 'status' "watch $inline" 'resolve someword' \
    "check $inline --compose-hash $(printf '0%.0s' $(seq 64))"; do
    # shellcheck disable=SC2086
    run 3 $arguments
    err_has "$work/run/"
    err_has '(connect)'
done
run 3 check --json "$inline" --workload-id "0x$(printf '0%.0s' $(seq 64))"
out_has '"verdict":"unknown"'
echo '[{"old":"approval"}]' >"$work/w.json"
run 3 watch "$inline" --write "$work/w.json"
[ "$(cat "$work/w.json")" = '[]' ] || fail 'watch without a daemon left an old approval'
run 3 watch "$inline" --profile cvm --write "$work/w.json"
grep -q ffffffff "$work/w.json" || fail 'deny-all of cvm'
run 3 watch "$inline" --write "$work/no/such/folder"
err_has '--write'
# what listens but does not answer HTTP is no daemon either
mkdir -p "$work/mute"
run 3 --socket "$work/mute" status
echo 'without a daemon: ok'

# ---- inline and https ----
tls_start "$work/tls" --host docs.example.test
location=https://docs.example.test:$TLS_PORT/m.json
rpc=
if anvil_program >/dev/null && [ -f "$REGISTRY_ABI" ]; then
    anvil_start "$work/chain"
    rpc="[rpc local]
chain = 1
url = $ANVIL_URL"
fi
daemon_config "$work" <<CONF
[policy]
level = l1
poll = 1s
head-poll = 1s
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
[alias mine]
specifier = $(measuredctl url --host h --location "$location" | sed 's/^https:..//; s/@h$//')
$rpc
CONF
daemon_start "$work"

run 0 resolve "$inline"
err_has 'warning: raw-slash'
out_has '"measurement_id":"dcap-tdx-example-02"'
run 0 resolve "$inline" --profile seed
run 0 --json resolve "$inline"
out_has '"state":"fresh"'
out_has '"trust":"self"'
run 1 resolve no-such-alias
err_has '('

document one >"$work/tls/www/m.json"
url=$(measuredctl url --host app.example.test --location "$location")
run 0 resolve "$url"
out_has '"measurement_id":"one"'
run 0 resolve mine
out_has '"measurement_id":"one"'
run 0 resolve "$url" --profile cvm
run 0 --json resolve "$url"
out_has '"trust":"tls"'
run 0 lint "$url"
out_has 'L019 warning: what vouches for the list: tls'
run 1 resolve "$(measuredctl url --host h --location "${location%m.json}none.json")"
err_has '(not-found)'
run 3 resolve "$(measuredctl url --host h --location https://127.0.0.1:9/x 2>/dev/null || echo 'https://aHR0cHM6Ly8xMjcuMC4wLjE6NDQzL3g@h')"
run 0 status
out_has 'entries'
out_has "url:$location"
run 0 --json status
out_has '"entries_by_state"'
echo 'resolve, status: ok'

# ---- check ----
registers one >"$work/good.json"
registers other >"$work/other.json"
run 0 check "$url" --type dcap-tdx --registers "$work/good.json"
out_has 'approved'
out_has 'one'
out_has 'fresh'
run 0 check "$url" --type=qemu-tdx --registers - --json <"$work/good.json"
out_has '"verdict":"approved","measurement_id":"one"'
run 1 check "$url" --type dcap-tdx --registers "$work/other.json"
out_has 'refused'
out_has 'register 0'
run 1 check "$url" --type azure-tdx --registers <(printf '{"4":"%064d"}' 0)
run 1 check "$url" --type none --registers "$work/good.json"
out_has 'refused'
# the shapes
printf '{"type":"dcap","measurements":{"0":["%s"],"1":["%s"]}}' "$(register one 0)" "$(register one 1)" >"$work/matched.json"
run 0 check "$url" --type dcap-tdx --registers "$work/matched.json"
document one | sed 's/^\[//; s/\]$//' >"$work/record.json"
run 0 check "$url" --type dcap-tdx --registers "$work/record.json"
# nonsense is refused, with a reason
run 1 check "$url" --type dcap-tdx --registers <(echo '{"0":"00"}')
err_has 'register'
run 1 check "$url" --type dcap-tdx --registers <(echo '[]')
run 1 check "$url" --type dcap-tdx --registers <(echo '{}')
run 3 check "$url" --type dcap-tdx --registers "$work/none.json"
err_has "$work/none.json"
run 1 check "$url" --compose-hash "$(printf '0%.0s' $(seq 64))"
out_has 'refused'
run 3 check 'https://aHR0cHM6Ly8xMjcuMC4wLjE6NDQzL3g@h' --type dcap-tdx --registers "$work/good.json" --json
out_has '"verdict":"unknown"'
echo 'check: ok'

# ---- refresh, and an answer that is not fresh ----
# A positive lifetime below a minute counts as a minute, so changes are told by refresh.
policy() { printf '%s\n' "$@" >"$work/tls/www/m.json.http"; }
follow() { measuredctl refresh "$url" >/dev/null 2>&1 || fail "refresh: $*"; }
approve() {
    document "$1" >"$work/tls/www/m.json"
    follow "$1"
}
document two >"$work/tls/www/m.json"
run 0 refresh "$url"
out_has 'two'
out_has 'state      fresh'
policy 'Cache-Control: max-age=0, stale-if-error=600'
follow
sleep 0.5 # with max-age=0 each answer starts an attempt, which a refresh would join
policy '!status 503'
run 3 refresh "$url"
err_has '(http)'
run 0 resolve "$url"
out_has '"measurement_id":"two"'
err_has 'stale-if-error, last confirmed '
run 0 --json resolve "$url"
err_has 'stale-if-error'
policy 'Cache-Control: max-age=600'
follow
echo 'refresh: ok'

# ---- watch ----
start_watch() {
    : >"$work/w.out"
    : >"$work/w.err"
    measuredctl watch "$@" >"$work/w.out" 2>"$work/w.err" &
    watch_pid=$!
}
stop_watch() {
    local got=0
    kill -"${1:-TERM}" "$watch_pid" 2>/dev/null || true
    wait "$watch_pid" || got=$?
    watch_pid=
    [ "$got" -eq 0 ] || { fail "watch ended with $got"; show "$work/w.err"; }
    ! grep -q Sanitizer "$work/w.err" || { show "$work/w.err"; bad=1; }
}
# Background jobs of a shell ignore SIGINT; watch has to take it all the same.
start_watch "$inline"
wait_for 'the first line' grep -q 'fresh, sequence 1: .*added dcap-tdx-example-02' "$work/w.out"
stop_watch INT

mkdir -p "$work/o"
rm -f "$work/o/list.json"
# shellcheck disable=SC2016
start_watch "$url" --write "$work/o/list.json" \
    --exec 'printf "%s|%s|%s|%s\n" "$MEASURED_STATE" "$MEASURED_SEQUENCE" "$MEASURED_FILE" "$(grep -o "measurement_id\":\"[a-z]*" "$MEASURED_FILE")" >>'"$work/hook"
wait_for 'the first file' grep -q '"two"' "$work/o/list.json"
[ "$(stat -c %a "$work/o/list.json")" = 640 ] || fail "mode $(stat -c %a "$work/o/list.json")"
wait_for 'the command' grep -q "|$work/o/list.json|.*two" "$work/hook"
cmp -s "$work/o/list.json" <(measuredctl resolve "$url" 2>/dev/null) || fail 'not what resolve prints'

# A reader never sees a part: every read while it changes is one of the documents.
(
    for _ in $(seq 300); do
        text=$(cat "$work/o/list.json") || { echo 'no file' >>"$work/torn"; continue; }
        case $text in '[{'*'}]') ;; *) echo "$text" >>"$work/torn" ;; esac
    done
) &
reader=$!
inode=$(stat -c %i "$work/o/list.json")
approve three
wait_for 'the change' grep -q '"three"' "$work/o/list.json"
wait_for 'the command' grep -q 'three' "$work/hook"
wait_for 'the line' grep -q 'added three; removed two' "$work/w.out"
wait "$reader"
[ ! -e "$work/torn" ] || { fail 'a reader saw a part'; show "$work/torn"; }
[ "$(stat -c %i "$work/o/list.json")" != "$inode" ] || fail 'the file was written in place'
[ "$(find "$work/o" -type f ! -name '*-lock' | wc -l)" = 1 ] || fail "left behind: $(ls -A "$work/o")"

# Nothing approved any more.
echo '[]' >"$work/tls/www/m.json"
follow nothing
wait_for 'nothing approved' grep -qx '\[\]' "$work/o/list.json"
wait_for 'the command' grep -q '^revoked|' "$work/hook"
wait_for 'the line' grep -q 'revoked, sequence [0-9]*: nothing is approved; removed three' "$work/w.out"

# The daemon goes and comes back: said once, no command for nothing.
approve four
wait_for 'approved again' grep -q four "$work/hook"
before=$(wc -l <"$work/hook")
daemon_stop || fail 'the daemon did not end well'
wait_for 'words' grep -q 'lost the daemon' "$work/w.err"
grep -q '"four"' "$work/o/list.json" || fail 'the approval went before its time'
daemon_start "$work"
wait_for 'the reconnection' grep -q 'answers again' "$work/w.err"
approve five
wait_for 'a change after the reconnection' grep -q five "$work/hook"
[ "$(wc -l <"$work/hook")" = $((before + 1)) ] || { fail 'the command ran for nothing'; show "$work/hook"; }
stop_watch
echo 'watch: ok'

# ---- what may not be served any longer goes out of the file ----
policy 'Cache-Control: max-age=6, must-revalidate'
approve six
start_watch "$url" --profile cvm --write "$work/o/list.json" --exec 'exit 7'
wait_for 'the file' grep -q '"six"' "$work/o/list.json"
wait_for 'the failure of the command' grep -q 'exit status 7' "$work/w.err"
sleep 8
[ "$(wc -l <"$work/w.out")" = 1 ] || { fail 'withdrawn although it was confirmed all the time'; show "$work/w.out"; }
[ "$(grep -c 'exit status 7' "$work/w.err")" = 1 ] || { fail 'the file went to and fro'; show "$work/w.err"; }
policy '!status 503'
wait_for 'deny-all' grep -q '"deny-all' "$work/o/list.json"
wait_for 'the reason' grep -q 'nothing may be served' "$work/w.out"
stop_watch
# The daemon dies and nobody confirms.
policy 'Cache-Control: max-age=8, must-revalidate'
follow six
# shellcheck disable=SC2016
start_watch "$url" --json --write "$work/o/list.json" --exec 'echo $MEASURED_STATE'
wait_for 'the file' grep -q '"six"' "$work/o/list.json"
wait_for 'the command, on stderr' grep -qx fresh "$work/w.err"
kill -KILL "$DAEMON_PID"
wait "$DAEMON_PID" 2>/dev/null || true
wait_for 'the end of validity' grep -qx '\[\]' "$work/o/list.json"
wait_for 'the command' grep -qx expired "$work/w.err"
daemon_start "$work"
wait_for 'the approval again' grep -q '"six"' "$work/o/list.json"
# ... or hangs.
frozen=$DAEMON_PID
kill -STOP "$frozen"
wait_for 'the end of validity' grep -qx '\[\]' "$work/o/list.json"
kill -CONT "$frozen"
frozen=
wait_for 'the approval again' grep -q '"six"' "$work/o/list.json"
stop_watch
while IFS= read -r line; do
    case $line in '{"v":1,'*'}') ;; *) fail "no envelope: $line" ;; esac
done <"$work/w.out"
# A command that takes long: one at a time, and the file does not wait for it.
policy 'Cache-Control: max-age=600'
follow six
start_watch "$url" --write "$work/o/list.json" \
    --exec "mkdir $work/busy || exit 9; sleep 3; rmdir $work/busy; echo done >>$work/slow"
wait_for 'the command' test -d "$work/busy"
approve seven
wait_for 'the file' grep -q '"seven"' "$work/o/list.json"
[ -d "$work/busy" ] || echo 'note: too slow a machine to see the file change under the command'
wait_for 'both runs' grep -qz 'done.*done' "$work/slow"
grep -q 'exit status 9' "$work/w.err" && fail 'two commands at once'
stop_watch
echo 'deadlines and commands: ok'

# ---- a registry ----
if [ -n "$rpc" ]; then
    registry_deploy 0
    document release-a >"$work/a.json"
    document release-b >"$work/b.json"
    registry_approve 10 "$work/a.json"
    registry_finalize
    contract=eip155:1:$REGISTRY
    run 0 check "$contract" --type dcap-tdx --registers <(registers release-a)
    out_has 'version      10'
    # shellcheck disable=SC2016
    start_watch "$contract" --write "$work/o/chain.json" --exec 'echo "$MEASURED_SEQUENCE" >>'"$work/sequences"
    wait_for 'release 10' grep -q release-a "$work/o/chain.json"
    registry_approve 11 "$work/b.json"
    registry_finalize
    wait_for 'release 11' grep -q release-b "$work/o/chain.json"
    registry_revoke 1 1
    registry_finalize
    wait_for 'the revocation' grep -q 'removed release-a' "$work/w.out"
    wait_for 'the file' bash -c "! grep -q release-a $work/o/chain.json"
    # a revocation seen at the head comes before the sequence number that goes with it
    wait_for 'the sequences' bash -c "[ \"\$(sort -un $work/sequences | wc -l)\" -ge 2 ]"
    sort -nc "$work/sequences" || fail 'sequences out of order'
    stop_watch
    run 1 check "$contract" --type dcap-tdx --registers <(registers release-a)
    run 0 refresh "$contract"
    out_has 'sequence'
    run 1 resolve "eip155:1:0x00000000000000000000000000000000000000aa"
    err_has '(no-code)'
    run 0 lint "$contract"
    out_has 'L015 warning: the owner is an account of one key'
    out_has 'L019 warning: what vouches for the list: single'
    run 3 resolve "eip155:10:$REGISTRY"
    err_has '(no-rpc)'
    echo 'registry: ok'
else
    echo 'note: no anvil or no registry: contracts were not looked at'
fi

daemon_stop || fail 'the daemon did not end well'
exit $bad
