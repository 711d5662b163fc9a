#!/bin/bash
# Who owns a registry: an account, a Safe with its owners and modules, a timelock with what it is about to do.
set -euo pipefail
build=${1:?usage: owner_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/contracts.sh
. tests/support/registry.sh
. tests/support/safe.sh
. tests/support/timelock.sh
. tests/support/daemon.sh
. tests/support/check.sh
anvil_program >/dev/null || { echo 'skipped: no anvil (scripts/fetch-anvil)'; exit 77; }
safe_files || { echo 'skipped: no Safe (scripts/fetch-safe)'; exit 77; }

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'daemon_stop || true; anvil_stop; rm -rf "$work"' EXIT
anvil_start "$work/chain"
safe_install
safe_deploy
timelock_deploy 5
registry_deploy 0
of_account=$REGISTRY
registry_deploy 0 "$SAFE"
of_safe=$REGISTRY
registry_deploy 0 "$TIMELOCK"
of_timelock=$REGISTRY
registry_finalize
daemon_config "$work" <<EOF2
[policy]
level = l3
quorum = 2
poll = 60s
head-poll = 1s
[rpc a]
chain = 1
url = $ANVIL_URL
[rpc b]
chain = 1
url = $ANVIL_URL/
EOF2
daemon_start "$work"
governance() { # SPECIFIER: its governance in $work/body
    measuredctl refresh "$1" >/dev/null 2>&1 || fail "refresh $1"
    get "/v1/resolve?specifier=$1"
    want 200 "$1"
}

governance "$of_account"
body_has '"owner_kind":"account"'

governance "$of_safe"
body_has '"owner_kind":"safe"'
body_has '"threshold":2'
body_has '"owner_version":"1.4.1"'
body_has '"modules":\[\]'
owners=$(grep -o '"owners":\[[^]]*\]' "$work/body" | grep -oE '0x[0-9a-fA-F]{40}' | wc -l)
[ "$owners" = 3 ] || fail "owners: $owners"

governance "$of_timelock"
body_has '"owner_kind":"timelock"'
body_has '"timelock_delay":5'
body_lacks '"operation"'
heartbeat=$(abi_calldata 'heartbeat(uint64)' $(($(date +%s) + 86400)))
timelock_schedule "$of_timelock" "$heartbeat" 5
timelock_schedule "$of_account" "$heartbeat" 5 # for somebody else
registry_finalize
governance "$of_timelock"
body_has '"pending":\[\{"operation":"0x[0-9a-f]{64}","call":"heartbeat","eta":[0-9]+\}\]'
body_has '"pending_complete":false'
timelock_skip 6
timelock_execute "$of_timelock" "$heartbeat"
registry_finalize
governance "$of_timelock"
body_has '"pending":\[\]'

daemon_stop || fail "exit $?"
check_log "$work"
check_end
