# tests/support/tls.sh - an https server on loopback for shell tests and the demo; source it after anvil.sh.
# $RIG_TOOLS is the folder of tlsserver (build/PRESET/tests); what it can do stands in tlsserver.c.
#
#   tls_start FOLDER [args...]     serves FOLDER/www; sets TLS_PID, TLS_PORT, TLS_CA; log in FOLDER/requests
#   tls_stop
#   tls_count [PATTERN]            requests so far whose log line matches

tls_start() {
    local folder=$1
    shift
    mkdir -p "$folder/www"
    TLS_CA=$folder/ca.pem
    TLS_LOG=$folder/requests
    : >"$TLS_LOG"
    "$RIG_TOOLS/tlsserver" --dir "$folder/www" --ca "$TLS_CA" --log "$TLS_LOG" "$@" \
        >"$folder/tlsserver.log" 2>&1 &
    TLS_PID=$!
    TLS_PORT=$(rig_port_of "$folder/tlsserver.log" "$TLS_PID")
}

tls_stop() {
    [ -n "${TLS_PID:-}" ] || return 0
    kill "$TLS_PID" 2>/dev/null || true
    wait "$TLS_PID" 2>/dev/null || true
    TLS_PID=
}

tls_count() { grep -c -- "${1:-.}" "$TLS_LOG" || true; }
