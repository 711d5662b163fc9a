# tests/support/daemon.sh - the real daemon in a folder of its own, for shell tests and the demo; source it.
# $MEASURED_BIN is the folder of the programs (build/PRESET/bin); it is put in front of $PATH.
#
#   daemon_config FOLDER         writes FOLDER/measured.conf: sockets and database below FOLDER, then stdin
#   daemon_start FOLDER          runs it; returns when it is ready, 1 with its log on stderr when it is not in 20 s
#   daemon_stop                  SIGTERM, waits, returns its exit status; harmless when none runs
#   daemon_get PATH [curl...]    a request on its API socket
#
# Sets DAEMON_PID, DAEMON_LOG and exports MEASURED_SOCKET_DIR. The folder's path must be short: a socket's
# name has 107 bytes.

PATH=$MEASURED_BIN:$PATH
DAEMON_PID=

daemon_config() {
    mkdir -p "$1/run" "$1/state"
    {
        printf '[server]\nsocket-dir = %s/run\nstate-dir  = %s/state\n' "$1" "$1"
        cat
    } >"$1/measured.conf"
}

daemon_start() {
    DAEMON_LOG=$1/measured.log
    export MEASURED_SOCKET_DIR=$1/run
    : >"$DAEMON_LOG" # what an earlier one said here must not count as ready
    measured -c "$1/measured.conf" >"$DAEMON_LOG" 2>&1 &
    DAEMON_PID=$!
    for _ in $(seq 400); do
        grep -q '^measured: ready ' "$DAEMON_LOG" && return 0
        kill -0 "$DAEMON_PID" 2>/dev/null || break
        sleep 0.05
    done
    echo 'measured is not ready:' >&2
    tail -n 40 "$DAEMON_LOG" >&2
    return 1
}

daemon_stop() {
    local status=0
    [ -n "$DAEMON_PID" ] || return 0
    kill "$DAEMON_PID" 2>/dev/null || true
    wait "$DAEMON_PID" 2>/dev/null || status=$?
    DAEMON_PID=
    return "$status"
}

daemon_get() {
    local path=$1
    shift
    curl -sS --max-time 60 --unix-socket "$MEASURED_SOCKET_DIR/api.sock" "$@" "http://localhost$path"
}
