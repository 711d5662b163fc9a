#!/bin/bash
# Caddy with forward_auth, by the very file of proxy-plugin/examples/caddy/.
set -euo pipefail
build=${1:?usage: caddy_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
command -v caddy >/dev/null || { echo 'skipped: no caddy'; exit 77; }
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
# What it keeps, and its own API, which has a fixed port, are not of the sample.
export HOME=$work XDG_DATA_HOME=$work/caddy XDG_CONFIG_HOME=$work/caddy
proxies_sample proxy-plugin/examples/caddy/Caddyfile | sed 's/^{$/{\n\tadmin off/' >"$work/Caddyfile"
proxies_start caddy run --adapter caddyfile --config "$work/Caddyfile"
proxies_cases

check_log "$work"
check_end
