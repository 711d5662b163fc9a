#!/bin/bash
# HAProxy with proxy-plugin/haproxy/measured.lua, by the very file of proxy-plugin/examples/haproxy/.
set -euo pipefail
build=${1:?usage: haproxy_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
PATH=$PATH:/usr/sbin
haproxy -vv 2>/dev/null | grep -q 'Built with Lua' || { echo 'skipped: no haproxy with Lua'; exit 77; }
MEASURED_BIN=$(realpath "$build/bin")
RIG_TOOLS=$build/tests
. tests/support/anvil.sh
. tests/support/tls.sh
. tests/support/daemon.sh
. tests/support/check.sh
. tests/support/proxies.sh

work=$(mktemp -d /tmp/m.XXXXXX)
trap 'proxies_stop; daemon_stop || true; tls_stop; rm -rf "$work"' EXIT

proxies_world
proxies_sample proxy-plugin/examples/haproxy/haproxy.cfg >"$work/haproxy.cfg"
haproxy -q -c -f "$work/haproxy.cfg" || fail 'haproxy -c'
proxies_start haproxy -db -f "$work/haproxy.cfg"

proxies_cases

# ---- a script that cannot run lets nothing pass ----
daemon_start "$work"
eventually 10 proxies_status 200 || fail "the daemon is back, and $STATUS"
kill "$PROXY_PID"
wait "$PROXY_PID" 2>/dev/null || true
printf 'core.register_action("measured", {"http-req"}, function(txn) error("broken") end, 0)\n' >"$work/broken.lua"
sed "s#$PWD/proxy-plugin/haproxy/measured.lua#$work/broken.lua#" "$work/haproxy.cfg" >"$work/broken.cfg"
proxies_start haproxy -db -f "$work/broken.cfg"
stops 503 'a broken script' / -H "$type" -H "$shown"

check_log "$work"
check_end
