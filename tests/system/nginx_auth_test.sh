#!/bin/bash
# nginx with auth_request, by the very file of proxy-plugin/examples/nginx/.
set -euo pipefail
build=${1:?usage: nginx_auth_test.sh BUILD_DIR}
[ -x "$build/bin/measured" ] || { echo 'skipped: measured is not built'; exit 77; }
PATH=$PATH:/usr/sbin
nginx -V 2>&1 | grep -q with-http_auth_request_module || { echo 'skipped: no nginx with auth_request'; exit 77; }
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
mkdir "$work/nginx" "$work/nginx/logs"
# Where nginx keeps its files is not of the sample: of Debian's places none may be written here.
temp=$(printf '%s_temp_path %s; ' client_body "$work/nginx/1" proxy "$work/nginx/2" fastcgi "$work/nginx/3" uwsgi "$work/nginx/4" scgi "$work/nginx/5")
proxies_sample proxy-plugin/examples/nginx/nginx.conf |
    sed "s#^http {#http { access_log off; $temp#" >"$work/nginx/nginx.conf"
# As root nginx gives its workers to another user, who may not go into the daemon's folder.
user=
[ "$(id -u)" != 0 ] || user='user root;'
proxies_start nginx -p "$work/nginx" -c "$work/nginx/nginx.conf" -e "$work/nginx/error.log" \
    -g "daemon off; pid $work/nginx/pid; error_log $work/nginx/error.log; $user"

proxies_cases

# ---- what only this sample has; the daemon is down ----
stops 404 'the question itself' "/measured?specifier=$PROXIES_EVIL" -H "$type" -H "$bad"
for target in /public/ /public/../public/x //public//x /x/..%2fpublic/x; do
    passes "$target is for everybody" "$target" "${OUTSIDE[@]}" -H "$type" -H "$shown" -H 'X-Measured-Id: forged'
    body_lacks 'Flashbots|Measured'
done
for target in /public/../x /public/%2e%2e/x /public/..%2fx /public/x/../../y /PUBLIC/x /publicx; do
    stops 503 "$target is not public" "$target" -H "$type" -H "$shown"
done

check_log "$work"
check_end
