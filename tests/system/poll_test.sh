#!/bin/bash
# Several registries on one chain: they are polled together, in as many requests for nine as for three; a revocation in
# the newest block is seen in every one of them within head-poll; at l3 it is a proof that renews an answer.
set -euo pipefail
build=$1
RIG_TOOLS=$build/tests
MEASURED_BIN=$(realpath "$build/bin")
. tests/support/anvil.sh
. tests/support/registry.sh
. tests/support/daemon.sh

anvil_program >/dev/null || { echo 'no anvil (scripts/fetch-anvil)'; exit 77; }
work=$(mktemp -d /tmp/poll.XXXXXX)
trap 'daemon_stop || true; anvil_stop; rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; tail -n 20 "$DAEMON_LOG" >&2; exit 1; }

printf '[{"measurement_id":"one","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"%096d"}}}]' 1 \
    >"$work/one.json"
anvil_start "$work/chain" --gas-limit 1000000000
multicall_install
registry_deploy_many 9 "$work/one.json" $(($(anvil_now) + 10))
anvil_mine 3 10
registry_finalize

metric() { daemon_get /metrics | sed -n "s/^$1 //p"; }
requests() { daemon_get /metrics | awk '/^measured_upstream_requests_total/ { n += $2 } END { print n }'; }
resolve() { daemon_get "/v1/resolve?specifier=eip155:1:$1"; }
member() { [[ $1 =~ \"$2\":\"?([^,\"}]*) ]] && echo "${BASH_REMATCH[1]}"; }

start() { # LEVEL
    {
        printf '[policy]\nlevel = %s\npoll = 4s\nhead-poll = 2s\n' "$1"
        printf '[rpc %s]\nurl = %s\n' a "$ANVIL_URL" b "$ANVIL_URL"
    } | daemon_config "$work/d"
    daemon_start "$work/d"
}

await_polls() { # N more
    local until
    until=$(($(metric measured_polls_total) + $1))
    for _ in $(seq 200); do
        [ "$(metric measured_polls_total)" -lt "$until" ] || return 0
        sleep 0.1
    done
    fail "no $1 polls in 20 s"
}

await_shown() { # TEXT: in what each registry answers, within one head-poll (2 to 2.7 s), its tick and the reading
    local start now left
    start=$(date +%s%N)
    while :; do
        left=0
        for registry in "${REGISTRIES[@]}"; do [[ $(resolve "$registry") == *"$1"* ]] || left=$((left + 1)); done
        [ "$left" -gt 0 ] || return 0
        now=$((($(date +%s%N) - start) / 1000000))
        [ "$now" -lt "${2:-5000}" ] || fail "$left of ${#REGISTRIES[@]} do not show $1 after $now ms"
        sleep 0.2
    done
}

cost() { # N: requests of one poll of the first N
    local polls before after full
    for registry in "${REGISTRIES[@]:0:$1}"; do
        [[ $(resolve "$registry") == *'"status":"in-force"'* ]] || fail "$registry is not served: $(resolve "$registry")"
    done
    await_polls 3
    full=$(metric measured_resolutions_total)
    polls=$(metric measured_polls_total) before=$(requests)
    await_polls 4
    sleep 0.5 # the last one comes to its end
    after=$(requests)
    [ "$(metric measured_resolutions_total)" = "$full" ] || fail 'they are read in full although nothing changed'
    echo $(((after - before) / ($(metric measured_polls_total) - polls)))
}

start l2
three=$(cost 3)
nine=$(cost 9)
[ "$three" = "$nine" ] && [ "$nine" -le 4 ] || fail "a poll takes $three requests for 3 and $nine for 9"
daemon_get /metrics | grep '^measured_upstream_bytes_total{provider="b"} [1-9]' >/dev/null || fail 'no bytes of b are counted'
# the block shown and the time of the check go on without a full read
full=$(metric measured_resolutions_total)
anvil_mine 5 1
await_shown "\"block\":$(anvil_height finalized),"
[ "$(metric measured_resolutions_total)" = "$full" ] || fail 'a new block made full reads'
# a revocation in the newest block, in all of them at once
data=$(registry_calldata revoke 1 0)
for registry in "${REGISTRIES[@]}"; do
    printf '{"from":"%s","to":"%s","gas":"0xf4240","data":"%s"}\n' "$ANVIL_OWNER" "$registry" "$data"
done >"$work/revoke"
registry_batch "$work/revoke"
[ "$(anvil_height finalized)" -lt "$(anvil_height latest)" ] || fail 'the revocation is final already'
await_shown '"state":"revoked"'
await_shown '"code":"revoked-at-head"'
daemon_stop || fail "exit status $?"

# l3: without proofs nothing is renewed, with them it is
start l3
anvil_mine 2 1
for registry in "${REGISTRIES[@]}"; do
    [[ $(resolve "$registry") == *'"trust":"proof"'* ]] || fail "$registry: $(resolve "$registry")"
done
await_polls 3
full=$(metric measured_resolutions_total)
checked=$(member "$(resolve "${REGISTRIES[4]}")" fetched_at)
anvil_mine 3 1
await_shown "\"block\":$(anvil_height finalized)," 12000
[ "$(member "$(resolve "${REGISTRIES[4]}")" fetched_at)" -gt "$checked" ] || fail 'the time of the check stands still'
[ "$(metric measured_resolutions_total)" = "$full" ] || fail 'l3: a new block made full reads'
daemon_stop || fail "exit status $?"
echo ok
