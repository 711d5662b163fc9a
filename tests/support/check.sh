# tests/support/check.sh - counting checks of the system tests; source it after daemon.sh. $work is the test's folder.
#
#   fail WORDS                     says so and lets the test go on; check_end exits 1 then
#   get TARGET [curl...]           request on api.sock; sets STATUS, TYPE; body in $work/body, head in $work/head
#   want STATUS WHAT               STATUS of the last get, and what was tried
#   body_has / body_lacks / head_has PATTERN
#   not_json WHAT                  the body is text/plain that starts with a letter
#   eventually SECONDS COMMAND...  until it succeeds
#   rss PID                        resident KiB
#   check_log FOLDER               no sanitizer or libmicrohttpd spoke in the daemon's logs
#   check_end

CHECK_BAD=0
fail() {
    echo "FAILED: $*"
    CHECK_BAD=1
}

# What curl cannot do (no answer) is status 000.
get() {
    local target=$1
    shift
    : >"$work/body"
    read -r STATUS TYPE < <(curl -sS -g --path-as-is --max-time 40 --noproxy '*' --unix-socket \
        "${SOCKET:-$MEASURED_SOCKET_DIR/api.sock}" -D "$work/head" -o "$work/body" \
        -w '%{http_code} %{content_type}\n' "$@" "http://localhost$target" 2>"$work/curl") || true
}
want() {
    [ "$STATUS" = "$1" ] || fail "$2: $STATUS instead of $1: $(head -c 300 "$work/body" | tr '\0' '?')"
}
body_has() { grep -qE -- "$1" "$work/body" || fail "the body lacks $1: $(head -c 400 "$work/body")"; }
body_lacks() { ! grep -qE -- "$1" "$work/body" || fail "the body has $1"; }
head_has() { grep -qiE -- "$1" "$work/head" || fail "the head lacks $1: $(cat "$work/head")"; }
not_json() {
    [[ $TYPE == text/plain* ]] || fail "$1: $TYPE instead of text/plain"
    LC_ALL=C grep -qE '^[A-Za-z]' <(head -c 1 "$work/body") || fail "$1: the body does not start with a letter"
}
eventually() {
    local tries=$(($1 * 10))
    shift
    for _ in $(seq "$tries"); do
        if "$@"; then return 0; fi
        sleep 0.1
    done
    return 1
}
rss() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$1/status"; }
check_log() {
    local file
    for file in "$1"/measured*.log; do
        if grep -nE 'Sanitizer|runtime error:|Fatal error in GNU|assertion|Assertion' "$file"; then
            fail "the daemon's log $file"
            head -n 60 "$file"
        fi
    done
}
check_end() { exit "$CHECK_BAD"; }
