#!/bin/bash
# measuredctl watch as the supervisor of a proxy that reads its list once: the real daemon, a real https
# list, and fileproxy, which takes an empty list for "accept everybody" as cvm-reverse-proxy does.
set -euo pipefail
build=$(realpath "${1:?usage: watch_test.sh BUILD_DIR}")
MEASURED_BIN=$build/bin
RIG_TOOLS=$build/tests
. tests/support/daemon.sh
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/check.sh
for program in "$MEASURED_BIN/measured" "$MEASURED_BIN/measuredctl" "$RIG_TOOLS/fileproxy" "$RIG_TOOLS/notifysink"; do
    [ -x "$program" ] || { echo "skipped: no $program"; exit 77; }
done
unset XDG_RUNTIME_DIR http_proxy HTTP_PROXY ALL_PROXY NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID

work=$(mktemp -d /tmp/wat.XXXXXX)
o=$work/o # where the files are
mkdir "$o"
watch_pid=
frozen=
sleeper=
mounted=
cleanup() {
    [ -z "$frozen" ] || kill -CONT "$frozen" 2>/dev/null || true
    [ -z "$watch_pid" ] || kill -KILL "$watch_pid" 2>/dev/null || true
    [ -z "$sleeper" ] || kill "$sleeper" 2>/dev/null || true
    # of a supervisor that did not take its proxy along
    for pid in $(cut -d ' ' -f 1 "$work/proxy" 2>/dev/null | sort -u); do
        [ "$(readlink "/proc/$pid/exe" || true)" != "$RIG_TOOLS/fileproxy" ] || kill -KILL "$pid" || true
    done
    daemon_stop || true
    tls_stop
    [ -z "$mounted" ] || umount "$mounted" 2>/dev/null || umount -l "$mounted" || true
    rm -rf "$work"
}
trap cleanup EXIT

now_ms() { date +%s%3N; }
register() { printf '%s %s' "$1" "$2" | sha384sum | cut -c 1-96; }
document() {
    printf '[{"measurement_id":"%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"}}}]\n' \
        "$1" "$(register "$1" 0)"
}
policy() { printf '%s\n' "$@" >"$work/tls/www/m.json.http"; }
follow() { measuredctl refresh "$url" >/dev/null 2>&1 || fail "refresh: $*"; }
approve() {
    document "$1" >"$work/tls/www/m.json"
    follow "$1"
}
revoke() {
    echo '[]' >"$work/tls/www/m.json"
    follow revoke
}
start_watch() {
    : >"$work/w.err"
    measuredctl watch "$url" --profile cvm --write "$o/list.json" "$@" >"$work/w.out" 2>"$work/w.err" &
    watch_pid=$!
}
# stop_watch [SIGNAL [EXIT CODE]]
stop_watch() {
    local got=0
    kill -"${1:-TERM}" "$watch_pid" 2>/dev/null || true
    wait "$watch_pid" || got=$?
    watch_pid=
    [ "$got" -eq "${2:-0}" ] || { fail "watch ended with $got instead of ${2:-0}"; cat "$work/w.err"; }
    ! grep -n 'Sanitizer\|runtime error' "$work/w.err" || fail 'a sanitizer spoke'
}
# wait_for WHAT COMMAND...
wait_for() {
    local what=$1
    shift
    eventually 20 "$@" 2>/dev/null || { fail "waited too long for $what"; tail -n 20 "$work/w.err" "$work/proxy" 2>/dev/null; }
}
holds() { grep -q "\"$1" "$o/list.json"; }       # the file
reads() { tail -n 1 "$work/proxy" | grep -q " holds $1"; } # the proxy
proxy_pid() { tail -n 1 "$work/proxy" | cut -d ' ' -f 1; }
gone() { ! grep -qs '^State:[[:space:]]*[^Z]' "/proc/$1/status"; } # what nobody has reaped yet is dead all the same
is_like() { [ "$(stat -c '%a %g' "$o/list.json")" = "$1" ]; }
new_page() { # of the proxy's log
    ! grep ' open$\|refuses' "$work/proxy" || fail 'the proxy was left open, or with a part of a list'
    : >"$work/proxy"
}
proxy=("$RIG_TOOLS/fileproxy" "$work/proxy" "$o/list.json")

# ---- what is refused before anything is done ----
usage() {
    local got=0
    measuredctl watch x "${@:2}" >/dev/null 2>"$work/err" || got=$?
    [ "$got" -eq 2 ] && grep -qF -- "$1" "$work/err" || { fail "exit $got for ${*:2}"; cat "$work/err"; }
}
export MEASURED_SOCKET_DIR=$work/none
usage '--mode' --write "$o/x" --mode 0666
usage '--mode' --write "$o/x" --mode 640x
usage '--group' --write "$o/x" --group no-such-group-here
usage '--signal' --signal NOPE --pid-file x
usage '--pid-file' --signal HUP
usage '--pid-file' --pid-file x
usage '--write' -- true
usage 'no program' --write "$o/x" --
usage '--on-exit' --write "$o/x" --on-exit maybe
usage '--grace' --grace 0
usage '--exec-timeout' --exec true --exec-timeout 1h
[ -z "$(ls -A "$o")" ] || fail 'a usage error left something behind'

tls_start "$work/tls" --host docs.example.test
location=https://docs.example.test:$TLS_PORT/m.json
url=$(measuredctl url --host app.example.test --location "$location")

# ---- no daemon at the start ----
echo '[{"of":"an earlier run"}]' >"$o/list.json"
start_watch --exec "echo \"\$MEASURED_STATE \$MEASURED_PROFILE\" >>$work/told"
wait "$watch_pid" && fail 'no daemon, and yet a success' || [ $? -eq 3 ] || fail 'no daemon: not 3'
holds deny-all || fail 'an earlier list stands although there is no daemon'
grep -qx 'unknown cvm' "$work/told" || fail 'nobody was told'
# a link is neither followed nor replaced
echo precious >"$work/precious"
ln -sf "$work/precious" "$o/list.json"
start_watch
wait "$watch_pid" && fail 'a link was taken' || true
grep -q 'symbolic link' "$work/w.err" || fail 'a link was taken'
grep -qx precious "$work/precious" || fail 'a link was followed'
[ -L "$o/list.json" ] || fail 'a link was replaced'
rm "$o/list.json"
# wait: it goes on, approves nothing, and is not ready
echo '[{"of":"an earlier run"}]' >"$o/list.json"
touch "$o/.list.json.measuredctl-4711" # of one that was killed
"$RIG_TOOLS/notifysink" "$work/notify" 60 >"$work/heard" &
sink=$!
wait_for 'the sink' test -S "$work/notify"
export MEASURED_SOCKET_DIR=$work/run
NOTIFY_SOCKET=$work/notify WATCHDOG_USEC=1000000 start_watch --on-unknown wait --mode 0600 -- "${proxy[@]}"
wait_for 'deny-all' holds deny-all
wait_for 'the watchdog' grep -q 'WATCHDOG=1' "$work/heard"
[ ! -e "$work/proxy" ] || fail 'the proxy runs without a list'
! grep -q READY "$work/heard" || fail 'ready without a list'
[ ! -e "$o/.list.json.measuredctl-4711" ] || fail 'the leftover is still there'
[ "$(stat -c %a "$o/list.json")" = 600 ] || fail "mode $(stat -c %a "$o/list.json")"

# ---- a second one on the same file ----
got=0
measuredctl watch "$url" --write "$o/../o/list.json" 2>"$work/err" || got=$?
[ "$got" -eq 3 ] && grep -q 'another measuredctl' "$work/err" || fail "a second supervisor: $got"

document one >"$work/tls/www/m.json"
policy 'Cache-Control: max-age=600'
daemon_config "$work" <<CONF
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
CONF
daemon_start "$work"
wait_for 'the proxy' reads one
wait_for 'READY' grep -q READY=1 "$work/heard"
wait_for 'STATUS' grep -q 'STATUS=fresh' "$work/heard"
echo 'start: ok'

# ---- a change, a revocation ----
first=$(proxy_pid)
approve two
wait_for 'the second list' reads two
gone "$first" || fail 'the old proxy still runs'
before=$(now_ms)
revoke
wait_for 'deny-all in the proxy' reads deny-all
echo "revoked -> the proxy holds deny-all: $(($(now_ms) - before)) ms"
[ "$(tail -n 1 "$work/proxy" | grep -o deny-all | wc -l)" -ge 1 ] || fail 'no deny-all'
approve three
wait_for 'the third list' reads three
# SIGTERM: the policy is deny
last=$(proxy_pid)
stop_watch TERM
gone "$last" || fail 'the proxy outlives us'
holds deny-all || fail 'a list stands although nobody is left to watch it'
wait_for 'STOPPING' grep -q STOPPING=1 "$work/heard"
wait "$sink" || true
[ "$(find "$o" -type f | wc -l)" = 1 ] || fail "left behind: $(ls -A "$o")"

# ---- the other policies; SIGINT is handed on ----
new_page
start_watch --on-exit keep -- "${proxy[@]}"
wait_for 'the list' reads three
stop_watch INT
grep -q ' signal 2$' "$work/proxy" || fail 'SIGINT was not handed on'
holds three || fail 'keep did not keep'
new_page
start_watch --on-exit remove -- "${proxy[@]}"
wait_for 'the list' reads three
stop_watch
[ ! -e "$o/list.json" ] || fail 'remove did not remove'
echo 'ends: ok'

# ---- SIGKILL: the proxy goes with us ----
new_page
start_watch -- "${proxy[@]}" deaf
wait_for 'the list' reads three
last=$(proxy_pid)
kill -KILL "$watch_pid"
wait "$watch_pid" 2>/dev/null || true
watch_pid=
eventually 2 gone "$last" || fail 'the proxy outlives a killed supervisor'

# ---- a deaf proxy is killed after its grace, and what it left goes with it ----
new_page
start_watch --grace 1 -- "${proxy[@]}" deaf
wait_for 'the list' reads three
before=$(now_ms)
approve four
wait_for 'the fourth list' reads four
took=$(($(now_ms) - before))
[ "$took" -ge 1000 ] || fail "killed before its grace was over: $took ms"
stop_watch
new_page
start_watch -- "${proxy[@]}" child
wait_for 'the list' reads four
last=$(proxy_pid)
child=$(cut -d ' ' -f 1 "/proc/$last/task/$last/children")
kill -KILL "$last"
wait_for 'another proxy' bash -c "grep -v '^$last ' '$work/proxy' | grep -q holds"
eventually 2 gone "$child" || fail 'a child of the dead proxy still runs'
grep -q 'ended with signal 9; starting it again in' "$work/w.err" || fail 'nothing was said of its death'
stop_watch
echo 'killed: ok'

# ---- a proxy that dies at once: less and less often ----
new_page
start_watch -- "${proxy[@]}" die
sleep 9
stop_watch
mapfile -t times < <(grep holds "$work/proxy" | cut -d ' ' -f 2)
n=${#times[@]}
if [ "$n" -lt 4 ] || [ "$n" -gt 6 ]; then fail "$n starts in 9 s"; fi
for ((i = 2; i < n; i++)); do
    [ $((times[i] - times[i - 1])) -gt $((times[i - 1] - times[i - 2])) ] || fail "no growing delay: ${times[*]}"
done
echo "crash loop: $n starts in 9 s: ok"
# ... and one that is not there
got=0
measuredctl watch "$url" --profile cvm --write "$o/list.json" -- "$work/no-such-proxy" 2>"$work/err" >/dev/null || got=$?
[ "$got" -eq 3 ] && grep -q no-such-proxy "$work/err" || fail "a proxy that is not there: $got"
holds deny-all || fail 'a list without a proxy'

# ---- a command that hangs is killed with its children ----
start_watch --exec-timeout 1 --exec "sleep 300 & echo \$! >$work/sleeper; wait"
wait_for 'the command' test -s "$work/sleeper"
sleeper=$(cat "$work/sleeper")
before=$(now_ms)
wait_for 'its end' gone "$sleeper"
took=$(($(now_ms) - before))
[ "$took" -ge 500 ] && [ "$took" -lt 4000 ] || fail "the command was killed after $took ms"
wait_for 'words' grep -q 'takes too long' "$work/w.err"
# what failed is tried again
rm "$work/sleeper"
wait_for 'another try' test -s "$work/sleeper"
stop_watch
sleeper=

# ---- a signal ----
new_page
document four | sed 's/^/ /' >"$work/own.json"
"$RIG_TOOLS/fileproxy" "$work/proxy" "$work/own.json" &
sleeper=$!
wait_for 'the consumer' grep -q holds "$work/proxy"
start_watch --signal HUP --pid-file "$work/pid"
wait_for 'words' grep -q -- '--pid-file' "$work/w.err" # not there yet: again a second later
echo "$sleeper" >"$work/pid"
wait_for 'SIGHUP' grep -q ' signal 1$' "$work/proxy"
revoke
wait_for 'another SIGHUP' bash -c "[ \$(grep -c ' signal 1\$' '$work/proxy') -ge 2 ]"
stop_watch
kill "$sleeper"
wait "$sleeper" || true
sleeper=
echo 'commands and signals: ok'

# ---- the deadline, with the daemon dead, and hung ----
deadline() { measuredctl --json resolve "$url" | grep -o '"valid_until":[0-9]*' | cut -d : -f 2; }
# on_time WHAT DEADLINE: by the time at which what denies was written; that clock is a tick behind
on_time() {
    local late
    while holds four && [ "$(now_ms)" -lt $(($2 * 1000 + 9000)) ]; do sleep 0.1; done
    holds deny-all || fail "$1: the list stands"
    late=$(($(stat -c %.3Y "$o/list.json" | tr -d .) - $2 * 1000))
    echo "$1: deny-all $late ms after the deadline"
    [ "$late" -ge -20 ] || fail "$1: before the deadline"
    [ "$late" -le 1000 ] || fail "$1: too late"
    wait_for "$1: the proxy" reads deny-all
}
policy 'Cache-Control: max-age=6, must-revalidate'
approve four
new_page
start_watch -- "${proxy[@]}"
wait_for 'the list' reads four
sleep 7
reads four || fail 'withdrawn although it was confirmed all the time'
kill -STOP "$DAEMON_PID"
frozen=$DAEMON_PID
sleep 0.2
kill -CONT "$frozen"
until_s=$(deadline)
kill -STOP "$frozen"
on_time 'hung' "$until_s"
kill -CONT "$frozen"
frozen=
wait_for 'the list again' reads four
until_s=$(deadline)
kill -KILL "$DAEMON_PID"
wait "$DAEMON_PID" 2>/dev/null || true
on_time 'dead' "$until_s"
stop_watch
daemon_start "$work"
policy 'Cache-Control: max-age=600'
follow four
# It hangs when we start: what lies there is from nobody knows when.
kill -STOP "$DAEMON_PID"
frozen=$DAEMON_PID
echo '[{"of":"an earlier run"}]' >"$o/list.json"
start_watch
eventually 5 holds deny-all || fail 'an earlier list stands while the daemon hangs'
kill -CONT "$frozen"
frozen=
wait_for 'the list' holds four
stop_watch
echo 'deadlines: ok'

# ---- no room, and no way to write ----
mkdir "$work/small"
if mount -t tmpfs -o size=64k none "$work/small" 2>/dev/null; then
    mounted=$work/small
    o=$work/small
    proxy[2]=$o/list.json
    new_page
    start_watch --exec "echo \"\$MEASURED_STATE\" >>$work/told" -- "${proxy[@]}"
    wait_for 'the list' reads four
    last=$(proxy_pid)
    dd if=/dev/zero of="$o/fill" bs=4k 2>/dev/null || true
    revoke
    wait_for 'the end of the proxy' gone "$last"
    wait_for 'words' grep -q 'No space left' "$work/w.err"
    [ ! -e "$o/list.json" ] || fail 'an old list stands on a full disk'
    wait_for 'the command' grep -qx write-error "$work/told"
    sleep 3
    [ "$(grep -c 'No space left' "$work/w.err")" = 1 ] || fail 'said more than once'
    rm "$o/fill"
    wait_for 'deny-all' holds deny-all
    wait_for 'the proxy, denying' reads deny-all
    approve five
    wait_for 'the list' reads five
    last=$(proxy_pid)
    mount -o remount,ro "$o"
    revoke
    wait_for 'the end of the proxy' gone "$last"
    wait_for 'words' grep -q 'stays in' "$work/w.err"
    stop_watch TERM 3 # the file is not what it has to be
    mount -o remount,rw "$o"
    # keep: the proxy goes on
    new_page
    approve five
    start_watch --on-write-error keep -- "${proxy[@]}"
    wait_for 'the list' reads five
    mount -o remount,ro "$o"
    revoke
    wait_for 'words' grep -q 'trying again every' "$work/w.err"
    reads five || fail 'keep did not keep the proxy'
    mount -o remount,rw "$o"
    wait_for 'the proxy, denying' reads deny-all
    stop_watch
    umount "$mounted"
    mounted=
    o=$work/o
    proxy[2]=$o/list.json
    echo 'write errors: ok'
else
    echo 'note: no mount here: a full and a read-only disk were not looked at'
fi

# ---- the same bytes are left alone; another mode or group is not the same ----
approve six
start_watch --on-exit keep
wait_for 'the list' holds six
ticks() { awk '{ print $14 + $15 }' "/proc/$watch_pid/stat"; }
before=$(ticks)
sleep 3
took=$(($(ticks) - before))
[ "$took" -le 30 ] || fail "it does not rest: $took ticks in 3 s"
stop_watch
inode=$(stat -c %i "$o/list.json")
start_watch --on-exit keep --exec "echo again >>$work/again"
wait_for 'the command' grep -q again "$work/again"
[ "$(stat -c %i "$o/list.json")" = "$inode" ] || fail 'the same bytes were written again'
stop_watch
if [ "$(id -u)" = 0 ]; then
    start_watch --on-exit keep --group 12345 --mode 0644
    wait_for 'mode and group' is_like '644 12345'
    stop_watch
else
    echo 'note: not root: groups were not looked at'
fi

# ---- on disk before it has its name, and its name before it counts ----
if strace -o "$work/trace" true 2>/dev/null; then
    rm "$o/list.json"
    # a sanitizer that looks for leaks cannot be traced
    ASAN_OPTIONS=detect_leaks=0 strace -o "$work/trace" -e trace=fsync,rename,renameat,renameat2 \
        "$MEASURED_BIN/measuredctl" watch "$url" --write "$o/list.json" --on-exit keep >/dev/null 2>"$work/w.err" &
    watch_pid=$!
    wait_for 'the list' holds six
    kill "$(pgrep -P "$watch_pid")"
    wait "$watch_pid" || fail 'the traced one did not end well'
    watch_pid=
    order=$(grep -oE '^(fsync|rename)' "$work/trace" | tr '\n' ' ')
    [ "$order" = 'fsync rename fsync ' ] || fail "the order on the way to the disk: $order"
else
    echo 'note: no strace, or it may not trace: the order on the way to the disk was not looked at'
fi

# ---- the folder is made anew under us, as a runtime directory is ----
approve six
new_page
start_watch -- "${proxy[@]}"
wait_for 'the list' reads six
rm -r "$o"
mkdir "$o"
approve seven
wait_for 'the list' reads seven
stop_watch

# ---- the units ----
if command -v systemd-analyze >/dev/null; then
    DESTDIR=$work/root cmake --install "$build" --prefix /usr >/dev/null 2>&1 || fail 'install'
    units=$work/root/usr/lib/systemd/system
    [ -f "$units/measured-watch@.service" ] || fail 'no unit'
    # the programs are not where the units will find them
    mkdir -p "$work/units"
    for unit in measured.service measured-watch@.service; do
        sed "s|/usr/bin/measured|$work/root/usr/bin/measured|" "$units/$unit" >"$work/units/$unit"
    done
    sed 's|%i|x|g; s|EnvironmentFile=|EnvironmentFile=-|' "$work/units/measured-watch@.service" >"$work/units/measured-watch@x.service"
    systemd-analyze verify --man=no "$work/units/measured-watch@x.service" 2>"$work/verify" || fail 'systemd-analyze verify'
    if grep "measured-watch" "$work/verify"; then fail 'systemd-analyze verify complains'; fi
    echo 'units: ok'
else
    echo 'note: no systemd-analyze: the unit was not looked at'
fi

daemon_stop || fail 'the daemon did not end well'
new_page
check_log "$work"
check_end
