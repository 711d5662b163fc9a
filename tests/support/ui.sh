# tests/support/ui.sh - a daemon with histories worth looking at, for the tests of the page; source it after anvil.sh,
# contracts.sh, registry.sh, safe.sh, tls.sh, daemon.sh and check.sh. $work is the test's folder.
#
#   ui_start     an https server and a daemon on http-listen, with a chain where anvil and the Safe are there
#   ui_stop
#
# Sets UI (http://127.0.0.1:PORT), UI_HEX (96 digits) and, specifiers or URLs:
#   UI_SAFE      a registry owned by a Safe: releases in force, pending and withdrawn (empty without a chain)
#   UI_HOSTILE   a registry with a version that is no double, and markup for names (empty without a chain)
#   UI_LIST      a list on a web server that changed, with names that are markup, bidi controls and 200 letters
#   UI_NONE      a list that became empty
#   UI_SIGNED    keys that signed two sets with one sequence: a conflict

UI_MARKUP='<script>document.title=1</script><img src=x onerror=document.title=1>'
UI_LONG=9007199254740993 # 2^53 + 1
UI_BIDI=$'safe\u202egnp.exe\u200b'

ui_fill() { printf "$1%.0s" {1..48}; }
ui_record() { # ID FILL: one record
    printf '{"measurement_id":"%s","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%s"},"1":{"expected":"%s"},"2":{"expected_any":["%s","%s"]}}}' \
        "$1" "$(ui_fill 6b)" "$(ui_fill "$2")" "$(ui_fill 9e)" "$(ui_fill "$2")"
}
ui_list() { # FILE RECORD...
    local file=$1
    shift
    local IFS=,
    printf '[%s]' "$*" >"$file"
}
ui_refresh() { measuredctl refresh "$1" >"$work/ui.refresh" 2>&1 || { echo "refresh $1: $(cat "$work/ui.refresh")" >&2; return 1; }; }

# ---- on the chain ----

ui_call() { # OWNER registry_calldata...: sent by the Safe or by the account
    local owner=$1 data
    shift
    data=$(registry_calldata "$@") || return 1
    if [ "$owner" = safe ]; then safe_exec "$REGISTRY" "$data"; else registry_send "$data"; fi
}
ui_settle() { # finalized and long past whatever begins soon, so that the daemon sees every step
    anvil_mine 5
    registry_finalize
    while [ "$(anvil_now)" -gt "$(date +%s)" ]; do sleep 0.2; done # blocks of the future are refused
    ui_refresh "$1"
}
ui_approve() { # OWNER VERSION PAYLOAD [SECONDS_FROM_NOW]
    local at
    anvil_mine 1 # the chain's clock as it is now, not as it was at the last block
    at=$(($(anvil_now) + 5))
    [ -z "${4:-}" ] || at=$(($(date +%s) + $4))
    ui_call "$1" approve "$2" "$at" 0 1 '' "$3" chain
}

ui_chain() {
    anvil_start "$work/chain" && safe_install && safe_deploy || return 1
    registry_deploy 0 "$SAFE" && UI_SAFE=$REGISTRY
    registry_deploy 0 && UI_HOSTILE=$REGISTRY
    local n
    for n in 1 2 3; do ui_list "$work/p$n.json" "$(ui_record guest "$n$n")"; done
    ui_list "$work/p4.json" "$(ui_record guest 33)" "$(ui_record guest-with-gpu 44)"
    ui_list "$work/p5.json" "$(ui_record "$UI_MARKUP" 55)" "$(ui_record "$UI_BIDI" 56)"
}

ui_releases() {
    REGISTRY=$UI_SAFE
    ui_approve safe 140 "$work/p1.json" && ui_settle "$UI_SAFE"
    ui_approve safe 141 "$work/p2.json" && ui_settle "$UI_SAFE"
    ui_call safe revoke 1 3 && ui_settle "$UI_SAFE"
    ui_approve safe 150 "$work/p4.json" $((9 * 86400)) && ui_settle "$UI_SAFE"
    REGISTRY=$UI_HOSTILE
    ui_approve account 2 "$work/p5.json" && ui_settle "$UI_HOSTILE"
    ui_approve account "$UI_LONG" "$work/p1.json" && ui_settle "$UI_HOSTILE"
}

# ---- on a web server ----

ui_lists() {
    local www=$work/tls/www long
    long=$(printf 'n%.0s' {1..200})
    UI_LIST=$(measuredctl url --host h.example --location "https://docs.example.test:$TLS_PORT/list.json" 2>/dev/null)
    UI_NONE=$(measuredctl url --host h.example --location "https://docs.example.test:$TLS_PORT/none.json" 2>/dev/null)
    ui_list "$www/list.json" "$(ui_record "$UI_MARKUP" 11)" "$(ui_record "$long" 12)"
    ui_list "$www/none.json" "$(ui_record old 13)"
    ui_refresh "$UI_LIST" && ui_refresh "$UI_NONE"
    ui_list "$www/list.json" "$(ui_record "$UI_MARKUP" 21)" "$(ui_record "$UI_BIDI" 22)"
    echo '[]' >"$www/none.json"
    ui_refresh "$UI_LIST" && ui_refresh "$UI_NONE"
}

ui_sign() { # FILE
    measuredctl release sign --key-file "$work/a1.key" --replace -o "$1" "$1" 2>/dev/null &&
        measuredctl release sign --key-file "$work/b2.key" --replace -o "$1" "$1" 2>/dev/null
}
ui_signed() {
    local www=$work/tls/www/.well-known/measured fill signers=()
    mkdir -p "$www"
    for fill in a1 b2; do
        install -m 600 <(printf "$fill%.0s" {1..32}) "$work/$fill.key"
        signers+=("$("$RIG_TOOLS/release_tool" owner $fill)")
    done
    UI_SIGNED=https://2of2:${signers[0]},${signers[1]}@docs.example.test:$TLS_PORT/
    ui_list "$work/s1.json" "$(ui_record enclave 51)"
    ui_list "$work/s2.json" "$(ui_record enclave 52)"
    measuredctl release new --version 3.0.0 -o "$work/set1.json" "$work/s1.json" 2>/dev/null
    measuredctl release new --version 3.0.1 --sequence "$UI_LONG" --previous "$work/set1.json" -o "$work/set2.json" "$work/s2.json" 2>/dev/null
    measuredctl release new --version 3.0.2 --sequence "$UI_LONG" --previous "$work/set1.json" -o "$work/twin.json" "$work/s2.json" 2>/dev/null
    for fill in set1 set2 twin; do ui_sign "$work/$fill.json"; done
    cp "$work/set1.json" "$www/set.json" && ui_refresh "$UI_SIGNED"
    cp "$work/set2.json" "$www/set.json" && ui_refresh "$UI_SIGNED"
    cp "$work/twin.json" "$www/set.json"
    ! ui_refresh "$UI_SIGNED" 2>/dev/null
}

# ---- all of it ----

ui_start() {
    local port=$((20000 + RANDOM % 12000)) rpc= # below those of outgoing connections
    UI_SAFE= UI_HOSTILE=
    tls_start "$work/tls" --host docs.example.test
    if anvil_program >/dev/null && safe_files; then
        ui_chain
        rpc=$(printf '[rpc %s]\nchain = 1\nurl = %s\n' alpha "$ANVIL_URL" beta "$ANVIL_URL/")
    fi
    daemon_config "$work" <<EOF
http-listen = 127.0.0.1:$port
[policy]
level = l3
# changes are seen when this asks for them, none in two steps
poll = 1h
head-poll = 1h
[fetch]
ca-file = $TLS_CA
resolve = docs.example.test:$TLS_PORT:127.0.0.1
$rpc
EOF
    daemon_start "$work" || return 1
    UI=http://127.0.0.1:$port
    ui_lists && ui_signed || return 1
    [ -z "$UI_SAFE" ] || ui_releases
}
ui_stop() {
    daemon_stop || true
    tls_stop
    anvil_stop
}
