#!/bin/bash
# The files of dstack's back-ends, made of a real contract: its app id, devices and demands, and a file that follows a
# device which governance takes away.
set -euo pipefail
build=${1:?usage: dstack_files_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/registry.sh
. tests/support/contracts.sh
. tests/support/dstack.sh
. tests/support/daemon.sh
. tests/support/check.sh
anvil_program >/dev/null || { echo 'skipped: no anvil (scripts/fetch-anvil)'; exit 77; }

work=$(mktemp -d /tmp/m.XXXXXX)
watch_pid=
trap '[ -z "$watch_pid" ] || kill "$watch_pid"; daemon_stop || true; anvil_stop; rm -rf "$work"' EXIT
hash_of() { printf "$1%.0s" {1..32}; } # 64 digits
compose=$(hash_of 11) image=$(hash_of 22) device=$(hash_of dd) ones=$(hash_of ff)

anvil_start "$work/chain"
dstack_deploy
dstack_add "0x$compose"
dstack_add_device "0x$device"
dstack_kms_deploy
dstack_kms_add_image "0x$image"
dstack_kms_register
registry_finalize
# removals by proof: see adapters_test.sh
daemon_config "$work" <<CONF
[policy]
level = l2
quorum = 2
poll = 60s
head-poll = 1s
[rpc a]
chain = 1
url = $ANVIL_URL
proofs = no
[rpc b]
chain = 1
url = $ANVIL_URL/
proofs = no
CONF
daemon_start "$work"
alone="$DSTACK_APP;kind=dstack-app"
both="$alone;kms=$DSTACK_KMS"
app=$(tr 'A-F' 'a-f' <<<"${DSTACK_APP#0x}")

for profile in dstack-auth auth-simple; do
    get "/v1/measurements?specifier=$both&profile=$profile"; want 200 "$profile"
    body_has "^\{\"osImages\":\[\"0x$image\"\]"
    body_has "\"apps\":\{\"0x$app\":\{\"composeHashes\":\[\"0x$compose\"\],\"devices\":\[\"0x$device\"\],\"allowAnyDevice\":false\}\}"
    get "/v1/measurements?specifier=$both&profile=$profile&app=$app"; want 200 "$profile, its own app"
    get "/v1/measurements?specifier=$both&profile=$profile&app=${app:1}0"; want 400 "$profile, another app"
    not_json "$profile, another app"
    get "/v1/measurements?specifier=$alone&profile=$profile"; want 502 "$profile without kms="
    body_has 'kms='
done

# The set stands, a device goes: the file, the tag and the watchers follow.
measuredctl watch "$both" --profile auth-simple --write "$work/file" >"$work/watch.out" 2>"$work/watch.err" &
watch_pid=$!
eventually 10 grep -qs "devices\":\[\"0x$device" "$work/file" || fail "watch: $(cat "$work/watch.err")"
get "/v1/measurements?specifier=$both&profile=auth-simple"
tag=$(tr -d '\r' <"$work/head" | sed -n 's/^ETag: //p')
dstack_remove_device "0x$device"
eventually 15 grep -q "0x$app\":{\"composeHashes\":\[\"0x$compose\"\],\"devices\":\[\"0x$ones\"\],\"allowAnyDevice\":false" "$work/file" ||
    fail "a device was removed: $(cat "$work/file" "$work/watch.err")"
get "/v1/measurements?specifier=$both&profile=auth-simple" -H "If-None-Match: $tag"; want 200 'another tag'
registry_finalize

# What dstack-auth does not look at is not written for it.
dstack_require_tcb true
tcb() {
    get "/v1/measurements?specifier=$both&profile=dstack-auth"
    [ "$STATUS" = 502 ] && grep -q UpToDate "$work/body"
}
eventually 15 tcb || fail "the TCB: $STATUS $(cat "$work/body")"
get "/v1/measurements?specifier=$both&profile=auth-simple"; want 200 'auth-simple looks at it'

# The KMS takes its image away: nothing can run.
dstack_kms_remove_image "0x$image"
eventually 15 grep -q "^{\"osImages\":\[\"0x$ones\"\].*\"apps\":{}}" "$work/file" ||
    fail "no image: $(cat "$work/file" "$work/watch.err")"
kill "$watch_pid"
wait "$watch_pid" || fail "watch ended with $?"
watch_pid=
daemon_stop || fail "exit $?"
check_log "$work"
check_end
