#!/bin/bash
# Whatever can go wrong between the daemon and an https location or a JSON-RPC endpoint over https, at every layer: the
# error says what it was, the good set stays until its deadline and tells its age truly, a newcomer gets the error, and
# it recovers when the fault goes, without a restart. UPSTREAM_TABLE=print prints what happens as the table below.
# Short: without the faults that take longest and that other tests have as well. With $MS_SOAK set: all.
set -euo pipefail
build=$(realpath "${1:?usage: upstream_test.sh BUILD_DIR}")
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$build/bin
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/registry.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh

root=$(mktemp -d /tmp/m.XXXXXX)
work=$root
pids=() # of this shell's children
end_all() {
    daemon_stop || true
    local pid
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    pids=()
}
trap 'end_all; tls_stop; anvil_stop; rm -rf "$root"' EXIT
trap 'exit 1' INT TERM

# An endpoint's answer is judged by what it says, not by its status: with 500 it is as good as with 200.
# fault | an https location: refresh, state then, newcomer | the endpoint of a contract (l1): likewise | what the cause says
table() {
    cat <<'TABLE'
refuse        | connect fresh connect | connect fresh connect | Connection refused
hang-connect  | timeout fresh timeout | timeout fresh timeout | not connected in time
reset         | tls fresh tls | tls fresh tls | reset by peer
hang-tls      | timeout fresh timeout | timeout fresh timeout | not connected in time
garbage       | tls fresh tls | tls fresh tls | wrong version number
truncate-tls  | tls fresh tls | tls fresh tls | SSL_connect
expired       | tls fresh tls | tls fresh tls | certificate has expired
hang-head     | timeout fresh timeout | timeout fresh timeout | connected, but no answer in time
hang-body     | timeout fresh timeout | timeout fresh timeout | the answer came too slowly
slow 1000     | timeout fresh timeout | timeout fresh timeout | connected, but no answer in time
cut           | truncated fresh truncated | truncated fresh truncated | ended before the answer did
status 500    | http fresh http | good fresh good | HTTP status 500
retry 429 5   | http fresh http | rpc fresh quorum | HTTP status 429
dns           | dns fresh dns | dns fresh dns | could not be resolved
TABLE
}

# ---- what works ----

tls_start "$root/good" --host '*.example.test' --save "$root/good.pem" --save-expired "$root/expired.pem"
cp "$TLS_CA" "$root/ca.pem"
tls_stop
tls_start "$root/plain" --plain
doc='[{"measurement_id":"good","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%096d"}}}]'
for n in good new; do
    printf "$doc" 7 >"$root/plain/www/$n.json"
    printf '!no-etag\nCache-Control: max-age=60\n' >"$root/plain/www/$n.json.http"
done
chain=no
if anvil_program >/dev/null && [ -f "$REGISTRY_ABI" ]; then
    chain=yes
    anvil_start "$root/chain"
    registry_deploy 0
    registry_approve 1 "$root/plain/www/good.json"
    registry_finalize
fi

# ---- one fault ----

location() { local u; u=$(measuredctl url --host h --location "https://one.example.test:$web/$1.json"); u=${u#https://}; echo "${u%%@*}"; }
line_start() { # NAME BACKEND: sets PORT
    : >"$work/fault"
    "$RIG_TOOLS/faultline" --backend "$2" --control "$work/fault" --tls "$root/good.pem" --expired "$root/expired.pem" >"$work/$1.log" 2>&1 &
    pids+=($!)
    PORT=$(rig_port_of "$work/$1.log" $!)
}
config() { # dns: as if the names were unknown
    local pins="resolve = one.example.test:$web:127.0.0.1, two.example.test:$rpc:127.0.0.1"
    [ "${1:-}" != dns ] || pins=''
    daemon_config "$work" <<CONF
[policy]
level = l1
quorum = 1
[fetch]
ca-file = $root/ca.pem
$pins
[rpc far]
chain = 1
url = https://two.example.test:$rpc/
CONF
}
reload() {
    local before
    before=$(grep -c 'config: reloaded' "$DAEMON_LOG" || true)
    kill -HUP "$DAEMON_PID"
    reloaded() { [ "$(grep -c 'config: reloaded' "$DAEMON_LOG")" -gt "$before" ]; }
    eventually 5 reloaded || fail 'no reload'
}
begin_fault() { if [ "$1" = dns ]; then config dns && reload; else echo "$1" >"$work/fault.new" && mv "$work/fault.new" "$work/fault" && sleep 0.2; fi; }
end_fault() { if [ "$1" = dns ]; then config && reload; else : >"$work/fault"; fi; }

code_of() { # of the last answer
    [ "$STATUS" != 200 ] || { echo good; return; }
    sed -n 's/.*"code":"\([a-z0-9-]*\)".*/\1/p; s/^measured: \([a-z0-9-]*\): .*/\1/p' "$work/body" | head -n 1
}
refresh() { SOCKET=$MEASURED_SOCKET_DIR/admin.sock get "/v1/refresh?specifier=$1" -X POST; }
recovered() { refresh "$1" && [ "$STATUS" = 200 ] && grep -q '"state":"fresh"' "$work/body"; }
took() { echo $((($(date +%s%N) - $1) / 1000000)); }

# While the fault is there: prints the refresh's code, the state of what is served, the newcomer's code.
measure() { # FAULT KIND KNOWN NEW WORDS
    local at refreshed state
    work=$work/$2
    mkdir "$work"
    at=$(date +%s%N)
    refresh "$3"
    refreshed=$(code_of)
    [ "$(took "$at")" -lt 13000 ] || fail "$1: a refresh that fails took $(took "$at") ms" >&2
    grep -q -- "$5" "$work/body" || fail "$1: the cause does not say '$5': $(cat "$work/body")" >&2
    at=$(date +%s%N)
    {
        get "/v1/resolve?specifier=$3"; want 200 "$1: the good set"
        body_has '"measurement_id":"good"'
    } >&2
    [ "$(took "$at")" -lt 3000 ] || fail "$1: the good set took $(took "$at") ms" >&2
    state=$(sed -n 's/.*"state":"\([a-z-]*\)".*/\1/p' "$work/body")
    at=$(date +%s%N)
    get "/v1/measurements?specifier=$4"
    [ "$STATUS" = 200 ] || not_json "$1" >&2
    [ "$(took "$at")" -lt 7000 ] || fail "$1: a newcomer waits $(took "$at") ms" >&2
    echo "$refreshed $state $(code_of)" >"$work/cell"
    check_end
}
run_fault() { # FAULT LOCATION CONTRACT WORDS
    work=$root/${1%% *}
    pids=()
    DAEMON_PID=
    mkdir "$work"
    trap end_all EXIT
    line_start web "$TLS_PORT"
    web=$PORT rpc=1
    [ $chain = no ] || { line_start rpc "${ANVIL_URL##*:}" && rpc=$PORT; }
    config
    daemon_start "$work"
    local contract="eip155:1:${REGISTRY:-}" found known new of_contract= job
    known=$(location good) new=$(location new)
    get "/v1/resolve?specifier=$known"; want 200 "$1, before"
    [ $chain = no ] || { get "/v1/resolve?specifier=$contract"; want 200 "$1, before, the contract"; }
    [ "$STATUS" = 200 ] || exit 1
    begin_fault "$1"
    (trap - EXIT; measure "$1" location "$known" "$new" "$4") &
    job=$!
    if [ $chain = yes ]; then
        (trap - EXIT; measure "$1" contract "$contract" "$contract;app=new" .) || CHECK_BAD=1
    fi
    wait "$job" || CHECK_BAD=1
    end_fault "$1"
    eventually 30 recovered "$known" || fail "$1: no recovery: $(cat "$work/body")"
    [ $chain = no ] || eventually 30 recovered "$contract" || fail "$1: no recovery of the contract: $(cat "$work/body")"
    found=$(cat "$work/location/cell")
    [ $chain = no ] || of_contract=$(cat "$work/contract/cell")
    if [ "${UPSTREAM_TABLE:-}" = print ]; then
        printf '%-13s | %s | %s | %s\n' "$1" "$found" "$of_contract" "$4"
    else
        # a reset comes in the handshake or just before it: that is the kernel's business
        [ "$1" != reset ] || { found=${found//connect/tls}; of_contract=${of_contract//connect/tls}; }
        [ "$found" = "$2" ] || fail "$1, a location: '$found' instead of '$2'"
        [ "$of_contract" = "$3" ] || [ $chain = no ] || fail "$1, a contract: '$of_contract' instead of '$3'"
    fi
    [ -z "${UPSTREAM_TABLE:-}" ] || echo "  $1: $SECONDS s"
    daemon_stop || fail "$1: the exit status is $?"
    check_log "$work"
    check_end
}

jobs=()
while IFS='|' read -r fault location contract words; do
    read -r fault <<<"$fault"
    case ${MS_SOAK:-}$fault in hang-[thb]* | slow*) continue ;; esac
    read -r location <<<"$location"
    read -r contract <<<"$contract"
    (run_fault "$fault" "$location" "$contract" "${words# }") &
    jobs+=($!)
done < <(table)
for job in "${jobs[@]}"; do wait "$job" || CHECK_BAD=1; done
[ $chain = yes ] || echo 'contracts are not looked at: no anvil (scripts/fetch-anvil)'
check_end
