#!/bin/bash
# What polling 1, 10, 100 and 1000 registries of one chain costs: requests to endpoints and bytes from them for each
# poll, from the daemon's own metrics, beside what as many separate polls would take (N times the first row).
# The real daemon, two endpoints of two groups, one test chain that stands still. Polls are six times as frequent as by
# default, the newest block every 2 s and proofs at l3 every 10 s, so a poll means the same as by default. Each contract
# is read in full besides every ten minutes, which is one in forty polls by default; such reads are in column `full`.
#   COUNTS='1 10' LEVELS=l2 POLLS=10 bench/poll_requests_bench.sh [BUILD_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
counts=${COUNTS:-1 10 100 1000}
polls=${POLLS:-10}
cmake --build "$build" --target measured rig_tools >/dev/null
RIG_TOOLS=$build/tests
MEASURED_BIN=$(realpath "$build/bin")
. tests/support/anvil.sh
. tests/support/registry.sh
. tests/support/daemon.sh

anvil_program >/dev/null || { echo 'skipped: no anvil (scripts/fetch-anvil)'; exit 0; }
# in memory when that is possible: the disk is not what is measured, and there are thousands of commits
work=$(mktemp -d /dev/shm/polls.XXXXXX 2>/dev/null || mktemp -d /tmp/polls.XXXXXX)
trap 'daemon_stop || true; anvil_stop; rm -rf "$work"' EXIT

printf '[{"measurement_id":"one","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%096d"}}}]' 1 \
    >"$work/one.json"
anvil_start "$work/chain" --gas-limit 1000000000
multicall_install
most=$(tr ' ' '\n' <<<"$counts" | sort -n | tail -n 1)
registry_deploy_many "$most" "$work/one.json" $(($(anvil_now) + 60))
registry_finalize
anvil_mine 5 # blocks that list no transactions

# `POLLS RESOLUTIONS REQUESTS BYTES`: attempts count as polls where there are no others
counters() {
    daemon_get /metrics | awk '
        /^measured_polls_total / { polls = $2 }
        /^measured_resolutions_total / { resolutions = $2 }
        /^measured_upstream_requests_total/ { requests += $2 }
        /^measured_upstream_bytes_total/ { bytes += $2 }
        END { print polls, resolutions, requests, bytes }'
}

ask_all() { # N: until each of them is served; a busy machine takes more than one try
    local ok
    for ((i = 0; i < $1; i++)); do
        printf 'url = "http://localhost/v1/resolve?specifier=eip155:1:%s"\noutput = "%s/out.%s"\n' \
            "${REGISTRIES[i]}" "$work" "$i"
    done >"$work/curl.conf"
    for _ in 1 2 3 4 5; do
        rm -f "$work"/out.*
        curl -sS --no-progress-meter -Z --parallel-max 8 --unix-socket "$work/d/run/api.sock" -K "$work/curl.conf"
        ok=$(cat "$work"/out.* | grep -o '"set_hash"' | wc -l) || true
        [ "$ok" != "$1" ] || return 0
    done
    echo "$ok of $1 are served; one that is not: $(grep -L set_hash "$work"/out.* | head -n 1 | xargs tail -c 400)" >&2
    return 1
}

# Until `polls` more polls are over during which nothing was read in full; those that came one by one need a few.
settle() {
    local before now
    for _ in $(seq 30); do
        before=$(counters)
        sleep 5
        now=$(counters)
        [ "$(cut -d' ' -f2 <<<"$before")" != "$(cut -d' ' -f2 <<<"$now")" ] || return 0
    done
    echo 'the daemon goes on reading in full' >&2
    return 1
}

run() { # LEVEL N
    local first last
    {
        printf '[policy]\nlevel = %s\npoll = 10s\nhead-poll = 2s\n' "$1"
        # proofs are what a test chain of a thousand contracts is slow at: where the level needs none, there are none
        printf '[rpc a]\nurl = %s\nproofs = %s\n' "$ANVIL_URL" "$([ "$1" = l3 ] && echo finalized || echo no)"
        printf '[rpc b]\nurl = %s\nproofs = no\n' "$ANVIL_URL"
    } | daemon_config "$work/d"
    daemon_start "$work/d"
    ask_all "$2"
    [ "$2" = 1 ] || settle
    first=$(counters)
    while :; do
        sleep 1
        last=$(counters)
        [ "$2" = 1 ] && field=2 || field=1
        [ $(($(cut -d' ' -f$field <<<"$last") - $(cut -d' ' -f$field <<<"$first"))) -lt "$polls" ] || break
    done
    ask_all "$2"
    daemon_stop
    rm -rf "$work/d"
    awk -v level="$1" -v n="$2" -v one="${one[$1]:-}" '
        { polls = n == 1 ? $6 - $2 : $5 - $1; full = n == 1 ? 0 : $6 - $2
          requests = ($7 - $3) / polls; bytes = ($8 - $4) / polls
          split(one == "" ? requests " " bytes : one, each, " ")
          printf "%-5s %9d %13.1f %12.1f %7.0f %13.0f %13.0f %7.0f %5d\n", level, n, requests, n * each[1],
              n * each[1] / requests, bytes, n * each[2], n * each[2] / bytes, full
          printf "%s %s\n", requests, bytes >"/dev/fd/3" }' <<<"$first $last" 3>"$work/row"
    [ "$2" != 1 ] || one[$1]=$(cat "$work/row")
}

declare -A one
printf '%-5s %9s %13s %12s %7s %13s %13s %7s %5s\n' level contracts requests/poll separately ratio bytes/poll separately \
    ratio full
for level in ${LEVELS:-l1 l2 l3}; do
    for n in $counts; do run "$level" "$n"; done
done
